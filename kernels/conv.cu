// Windows of images as columns of one matrix, and back.
//
// A convolution is then a matrix product: for filters W (F, C*kh*kw) and columns
// (C*kh*kw, N*Ho*Wo) it is Y = W columns. All images of a call share the matrix, so
// that cuBLAS gets one large product, and its transpose needs no copy.
//
// columns[(c, u, v), (n, i, j)] = x[n, c, i*sh + u - ph, j*sw + v - pw], 0 outside x.
#include "common.cuh"
#include "windows.cuh"

// One thread an element of the columns. Neighbours write side by side, but each
// takes its number apart into six, and the divisions cost more than the copy.
extern "C" __global__ void im2col_naive(
    const real* x /*[N*C*H*W]*/, real* columns /*[C*kh*kw*N*Ho*Wo]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t c = GLOBAL_INDEX;
    if (c >= (index_t)C * kh * kw * N * Ho * Wo) return;
    int j = take(c, Wo), i = take(c, Ho), n = take(c, N);
    int v = take(c, kw), u = take(c, kh);
    int row = i * sh + u - ph, col = j * sw + v - pw;
    columns[GLOBAL_INDEX] = inside(row, col, H, W)
        ? x[(((index_t)n * C + c) * H + row) * W + col] : 0;
}

// One thread a window of one channel: the divisions are done once for its kh*kw
// elements. Neighbours are windows side by side, so that each step of the loops
// still writes a row of the matrix in one piece, and reads what is in the cache.
extern "C" __global__ void im2col(
    const real* x /*[N*C*H*W]*/, real* columns /*[C*kh*kw*N*Ho*Wo]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t c = GLOBAL_INDEX, windows = (index_t)N * Ho * Wo;
    if (c >= C * windows) return;
    int j = take(c, Wo), i = take(c, Ho), n = take(c, N);
    const real* channel = x + ((index_t)n * C + c) * H * W;
    real* element = columns + c * kh * kw * windows + ((index_t)n * Ho + i) * Wo + j;
    for (int u = 0; u < kh; ++u)
        for (int v = 0; v < kw; ++v) {
            int row = i * sh + u - ph, col = j * sw + v - pw;
            *element = inside(row, col, H, W) ? channel[(index_t)row * W + col] : 0;
            element += windows;
        }
}

// The gradient of im2col: each pixel of dx sums the elements that were copied from
// it. Pixels gather; if windows scattered instead, those that overlap would have to
// take turns, and the order of the sum would change from run to run.
//
// One thread a pixel, which asks for each place (u, v) whether a window has it there.
extern "C" __global__ void col2im_naive(
    const real* columns /*[C*kh*kw*N*Ho*Wo]*/, real* dx /*[N*C*H*W]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * C * H * W) return;
    int col = take(n, W), row = take(n, H), c = take(n, C);
    real sum = 0;
    for (int u = 0; u < kh; ++u)
        for (int v = 0; v < kw; ++v) {
            int top = row + ph - u, left = col + pw - v;  // of a window, if any
            if (top % sh || left % sw || !inside(top, left, Ho * sh, Wo * sw)) continue;
            index_t window = (n * Ho + top / sh) * Wo + left / sw;
            sum += columns[(((index_t)c * kh + u) * kw + v) * N * Ho * Wo + window];
        }
    dx[GLOBAL_INDEX] = sum;
}

// The same sum in the same order, over the windows that reach the pixel only.
extern "C" __global__ void col2im(
    const real* columns /*[C*kh*kw*N*Ho*Wo]*/, real* dx /*[N*C*H*W]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * C * H * W) return;
    int col = take(n, W), row = take(n, H), c = take(n, C);
    Windows windows = {kh, kw, sh, sw, ph, pw, Ho, Wo};
    dx[GLOBAL_INDEX] = gathered(row, col, windows, [&](int i, int j, int u, int v) {
        index_t window = (n * Ho + i) * Wo + j;
        return columns[(((index_t)c * kh + u) * kw + v) * N * Ho * Wo + window];
    });
}

// --- channels last --------------------------------------------------------------
//
// For images (N, H, W, C) the matrix is turned: windows are its rows, (N*Ho*Wo,
// kh*kw*C), and Y = rows W has its channels last, too. Neighbours are channels.

// One thread an element of the rows.
extern "C" __global__ void im2row(
    const real* x /*[N*H*W*C]*/, real* rows /*[N*Ho*Wo*kh*kw*C]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * Ho * Wo * kh * kw * C) return;
    int c = take(n, C), v = take(n, kw), u = take(n, kh);
    int j = take(n, Wo), i = take(n, Ho);
    int row = i * sh + u - ph, col = j * sw + v - pw;
    rows[GLOBAL_INDEX] = inside(row, col, H, W) ? x[((n * H + row) * W + col) * C + c]
                                                : 0;
}

// Its gradient; the windows over a pixel are those of col2im, in the same order.
extern "C" __global__ void row2im(
    const real* rows /*[N*Ho*Wo*kh*kw*C]*/, real* dx /*[N*H*W*C]*/,
    int N, int C, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * H * W * C) return;
    int c = take(n, C), col = take(n, W), row = take(n, H);
    Windows windows = {kh, kw, sh, sw, ph, pw, Ho, Wo};
    dx[GLOBAL_INDEX] = gathered(row, col, windows, [&](int i, int j, int u, int v) {
        index_t window = (n * Ho + i) * Wo + j;
        return rows[((window * kh + u) * kw + v) * C + c];
    });
}
