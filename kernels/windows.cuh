// What convolution and pooling share: a thread's place, and what is an image.
#pragma once
#include "common.cuh"

// Take the last place off a number: k becomes k / n, what was left over is returned.
// int j = take(k, W), i = take(k, H); turns a thread's number into (k, i, j).
__device__ inline int take(index_t& k, int n)
{
    index_t whole = divided(k, n);
    int left = (int)(k - whole * n);
    k = whole;
    return left;
}

__device__ inline bool inside(int row, int col, int H, int W)
{
    return row >= 0 && row < H && col >= 0 && col < W;
}

// Windows of one size, and where they begin.
struct Windows { int kh, kw, sh, sw, ph, pw, Ho, Wo; };

// What all windows (i, j) that have this pixel, at their place (u, v), add to it: from
// the last that begins at or above it, upwards, until one ends before it. With a stride
// of s, only one place in s*s is worth asking for; side by side, one window.
template <class Added>
__device__ inline real gathered(int row, int col, Windows of, Added added)
{
    real sum = 0;
    for (int i = min((row + of.ph) / of.sh, of.Ho - 1); i >= 0; --i) {
        int u = row + of.ph - i * of.sh;
        if (u >= of.kh) break;
        for (int j = min((col + of.pw) / of.sw, of.Wo - 1); j >= 0; --j) {
            int v = col + of.pw - j * of.sw;
            if (v >= of.kw) break;
            sum += added(i, j, u, v);
        }
    }
    return sum;
}

// The window whose element u is the pixel at `place` behind the padding, or -1.
__device__ inline int window_of(int place, int u, int dilation, int stride, int count)
{
    int first = place - u * dilation;
    if (first < 0 || first % stride || first / stride >= count) return -1;
    return first / stride;
}
