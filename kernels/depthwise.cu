// Convolution of each channel by filters of its own, in up to three dimensions.
//
// A product of matrices would have sums of only k numbers: copying windows into columns
// costs more than the convolution. So threads read the image itself, and neighbours find
// each other's pixels in the cache. Of M filters a channel, filter f sees channel f / M.
// Images of fewer axes have axes of length 1 in front.
#include "common.cuh"
#include "reduce.cuh"
#include "windows.cuh"

// y[n, f, i] = sum of W[f, u] x[n, f / M, i*stride + u*dilation - pad].
// One thread an element of y.
extern "C" __global__ void depthwise_forward(
    const real* x /*[N*C*D*H*W]*/, const real* filters /*[C*M*kd*kh*kw]*/,
    real* y /*[N*C*M*Do*Ho*Wo]*/, int N, int C, int M, int D, int H, int W,
    int kd, int kh, int kw, int sd, int sh, int sw, int pd, int ph, int pw,
    int ed, int eh, int ew, int Do, int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * C * M * Do * Ho * Wo) return;
    int j = take(n, Wo), i = take(n, Ho), h = take(n, Do), f = take(n, C * M);
    const real* channel = x + (n * C + f / M) * D * H * W;
    const real* w = filters + (index_t)f * kd * kh * kw;
    real sum = 0;
    for (int t = 0; t < kd; ++t)
        for (int u = 0; u < kh; ++u)
            for (int v = 0; v < kw; ++v, ++w) {
                int depth = h * sd + t * ed - pd;
                int row = i * sh + u * eh - ph, col = j * sw + v * ew - pw;
                if (depth >= 0 && depth < D && inside(row, col, H, W))
                    sum += *w * channel[((index_t)depth * H + row) * W + col];
            }
    y[GLOBAL_INDEX] = sum;
}

// dx[n, c, place] = sum of W[f, u] dy[n, f, i] over the windows i that have the pixel
// as their element u, and over the channel's filters. One thread a pixel.
extern "C" __global__ void depthwise_input_gradient(
    const real* dy /*[N*C*M*Do*Ho*Wo]*/, const real* filters /*[C*M*kd*kh*kw]*/,
    real* dx /*[N*C*D*H*W]*/, int N, int C, int M, int D, int H, int W,
    int kd, int kh, int kw, int sd, int sh, int sw, int pd, int ph, int pw,
    int ed, int eh, int ew, int Do, int Ho, int Wo)
{
    index_t n = GLOBAL_INDEX;
    if (n >= (index_t)N * C * D * H * W) return;
    int col = take(n, W), row = take(n, H), depth = take(n, D), c = take(n, C);
    index_t k = (index_t)kd * kh * kw, plane = (index_t)Do * Ho * Wo;
    const real* first = dy + (n * C + c) * M * plane;
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
                const real* w = filters + c * M * k + ((index_t)t * kh + u) * kw + v;
                const real* d = first + ((index_t)h * Ho + i) * Wo + j;
                for (int m = 0; m < M; ++m) sum += w[m * k] * d[m * plane];
            }
        }
    }
    dx[GLOBAL_INDEX] = sum;
}

// dW[f, u] = sum over n and i of dy[n, f, i] x[n, f / M, i*stride + u*dilation - pad].
// One block an element of dW: grid (kd*kh*kw, C*M), a block of whole warps.
extern "C" __global__ void depthwise_filter_gradient(
    const real* dy /*[N*C*M*Do*Ho*Wo]*/, const real* x /*[N*C*D*H*W]*/,
    real* dW /*[C*M*kd*kh*kw]*/, int N, int C, int M, int D, int H, int W,
    int kd, int kh, int kw, int sd, int sh, int sw, int pd, int ph, int pw,
    int ed, int eh, int ew, int Do, int Ho, int Wo)
{
    __shared__ real parts[MAX_WARPS];
    index_t k = blockIdx.x, plane = (index_t)Do * Ho * Wo;
    int f = (int)blockIdx.y;
    int v = take(k, kw), u = take(k, kh), t = (int)k;
    real sum = 0;
    for (index_t p = threadIdx.x; p < N * plane; p += blockDim.x) {
        index_t n = p;
        int j = take(n, Wo), i = take(n, Ho), h = take(n, Do);
        int depth = h * sd + t * ed - pd;
        int row = i * sh + u * eh - ph, col = j * sw + v * ew - pw;
        if (depth >= 0 && depth < D && inside(row, col, H, W))
            sum += dy[(n * C * M + f) * plane + ((index_t)h * Ho + i) * Wo + j]
                * x[(((n * C + f / M) * D + depth) * H + row) * W + col];
    }
    sum = block_sum(sum, parts);
    if (threadIdx.x == 0) dW[(index_t)f * kd * kh * kw + blockIdx.x] = sum;
}
