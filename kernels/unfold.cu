// Windows of up to three dimensions as columns, and back: strided, padded, dilated.
//
// columns[(c, u), (n, i)] = x[n, c, i*stride + u*dilation - pad], 0 outside x, where
// each of i and u stands for three numbers, one an axis. Images of fewer axes have
// axes of length 1 in front.
#include "common.cuh"
#include "windows.cuh"

// One thread a window of one channel, as for two dimensions in conv.cu: neighbours
// are windows side by side, and write a row of the matrix in one piece.
extern "C" __global__ void unfold(
    const real* x /*[N*C*D*H*W]*/, real* columns /*[C*kd*kh*kw*N*Do*Ho*Wo]*/,
    int N, int C, int D, int H, int W, int kd, int kh, int kw,
    int sd, int sh, int sw, int pd, int ph, int pw, int ed, int eh, int ew,
    int Do, int Ho, int Wo)
{
    index_t c = GLOBAL_INDEX, windows = (index_t)N * Do * Ho * Wo;
    if (c >= C * windows) return;
    int j = take(c, Wo), i = take(c, Ho), h = take(c, Do), n = take(c, N);
    const real* channel = x + ((index_t)n * C + c) * D * H * W;
    real* element = columns + c * kd * kh * kw * windows
        + (((index_t)n * Do + h) * Ho + i) * Wo + j;
    for (int t = 0; t < kd; ++t)
        for (int u = 0; u < kh; ++u)
            for (int v = 0; v < kw; ++v) {
                int depth = h * sd + t * ed - pd;
                int row = i * sh + u * eh - ph, col = j * sw + v * ew - pw;
                bool there = depth >= 0 && depth < D && inside(row, col, H, W);
                *element = there ? channel[((index_t)depth * H + row) * W + col] : 0;
                element += windows;
            }
}

// The gradient of unfold. One thread a pixel, which sums what was copied from it: if
// windows scattered instead, the order of the sum would change from run to run.
extern "C" __global__ void fold(
    const real* columns /*[C*kd*kh*kw*N*Do*Ho*Wo]*/, real* dx /*[N*C*D*H*W]*/,
    int N, int C, int D, int H, int W, int kd, int kh, int kw,
    int sd, int sh, int sw, int pd, int ph, int pw, int ed, int eh, int ew,
    int Do, int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * C * D * H * W) return;
    int col = take(n, W), row = take(n, H), depth = take(n, D), c = take(n, C);
    index_t windows = (index_t)N * Do * Ho * Wo;
    const real* element = columns + (index_t)c * kd * kh * kw * windows
        + n * Do * Ho * Wo;
    real sum = 0;
    for (int t = 0; t < kd; ++t) {
        int h = window_of(depth + pd, t, ed, sd, Do);
        if (h < 0) continue;
        for (int u = 0; u < kh; ++u) {
            int i = window_of(row + ph, u, eh, sh, Ho);
            if (i < 0) continue;
            for (int v = 0; v < kw; ++v) {
                int j = window_of(col + pw, v, ew, sw, Wo);
                if (j < 0) continue;
                sum += element[((index_t)t * kh + u) * kw * windows + v * windows
                               + ((index_t)h * Ho + i) * Wo + j];
            }
        }
    }
    dx[GLOBAL_INDEX] = sum;
}
