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

// The window whose element u is the pixel at `place` behind the padding, or -1.
__device__ inline int window_of(int place, int u, int dilation, int stride, int count)
{
    int first = place - u * dilation;
    if (first < 0 || first % stride || first / stride >= count) return -1;
    return first / stride;
}
