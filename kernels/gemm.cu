// The products of a dense layer, and what belongs to them.
//
// needs sm_80
// float only
//
//     forward          z  = x W     x (N, D) along K,   W (D, U) down K
//     input gradient   dx = dz W^T  dz (N, U) along K,  W along K
//     weight gradient  dW = x^T dz  x down K,           dz (N, U) down K
#include "gemm.cuh"

// --- forward ------------------------------------------------------------------

// Block z sums over one of S pieces of D, each of `length`, a multiple of BK: with few
// images there are few tiles, and W would come through a few multiprocessors only.
// Grid (N / BM, U / BN, S), rounded up.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
dense_forward(const float* __restrict__ x /*[N*D]*/, const float* __restrict__ W /*[D*U]*/,
              float* __restrict__ work /*[S*N*U]*/, int N, int D, int U, int S, int length)
{
    DYN_SHARED(float, shared);
    int start = blockIdx.z * length, end = start + length < D ? start + length : D;
    multiply<false, true, true>(shared, {x, N, D}, {W, D, U}, FIRST_M, FIRST_N, start, end);
    float* mine = work + (index_t)blockIdx.z * N * U;
    for_each(shared, FIRST_M, FIRST_N, N, U, [&](int m, int n, const Pack& z) {
        *(Pack*)(mine + (index_t)m * U + n) = z;
    });
}

// out = scale keep relu(sum of the pieces + b). Codes say what the gradient does: 0 it
// goes through, 4 it ends here.
extern "C" __global__ void dense_finish(
    const float* work /*[S*N*U]*/, const float* b /*[U]?*/,
    const unsigned char* keep /*[N*U]?*/, float* out /*[N*U]*/,
    unsigned char* codes /*[N*U]?*/, index_t N, index_t U, int S, int relu, float scale)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * U) return;
    float z = 0;
#pragma unroll 8
    for (int s = 0; s < S; s++) z += work[s * N * U + i];
    if (b) z += b[i - divided(i, U) * U];
    bool is_off = relu && z <= 0, is_kept = !keep || keep[i];
    if (is_off) z = 0;
    out[i] = keep ? z * (is_kept ? scale : 0) : z;  // what is not a number stays visible
    if (codes) codes[i] = is_off || !is_kept ? 4 : 0;
}

// --- backward -----------------------------------------------------------------

// Grid (N / BM, D / BN), rounded up.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
dense_input_gradient(const float* __restrict__ dz /*[N*U]*/,
                     const float* __restrict__ W /*[D*U]*/,
                     float* __restrict__ dx /*[N*D]*/, int N, int D, int U)
{
    DYN_SHARED(float, shared);
    multiply<false, false, true>(shared, {dz, N, U}, {W, D, U}, FIRST_M, FIRST_N, 0, U);
    for_each(shared, FIRST_M, FIRST_N, N, D, [&](int m, int n, const Pack& d) {
        *(Pack*)(dx + (index_t)m * D + n) = d;
    });
}

// Grid (D / BM, U / BN), rounded up.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
dense_weight_gradient(const float* __restrict__ x /*[N*D]*/,
                      const float* __restrict__ dz /*[N*U]*/,
                      float* __restrict__ dW /*[D*U]*/, int N, int D, int U)
{
    DYN_SHARED(float, shared);
    multiply<true, true, false>(shared, {x, N, D}, {dz, N, U}, FIRST_M, FIRST_N, 0, N);
    for_each(shared, FIRST_M, FIRST_N, D, U, [&](int m, int n, const Pack& d) {
        *(Pack*)(dW + (index_t)weight_row(m, D) * U + n) = d;
    });
}

// dz = dout scale, or 0 where the code is 4.
extern "C" __global__ void dense_mask_gradient(const float* dout /*[n]*/,
                                               const unsigned char* codes /*[n]*/,
                                               float* dz /*[n]*/, index_t n, float scale)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dz[i] = codes[i] == 4 ? 0 : dout[i] * scale;
}

// db = sum over n of dz[n]. 32 rows of threads take every 32nd n; then one adds up.
// Grid U / 32, rounded up, block (32, 32).
extern "C" __global__ void dense_bias_gradient(const float* dz /*[N*U]*/,
                                               float* db /*[U]*/, index_t N, index_t U)
{
    __shared__ float sums[32][33];
    index_t u = blockIdx.x * (index_t)32 + threadIdx.x;
    float total = 0;
    if (u < U)
#pragma unroll 8
        for (index_t n = threadIdx.y; n < N; n += 32) total += dz[n * U + u];
    sums[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y || u >= U) return;
    for (int row = 1; row < 32; row++) total += sums[row][threadIdx.x];
    db[u] = total;
}
