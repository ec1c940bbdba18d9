// Sums over axes: gradients of biases, of scales and shifts.
//
// An array is seen as (N, C, S): C is what is kept, N and S are summed over.
//     y[c] = sum over n, s of x[n, c, s]
// A map's channels are that with S = H*W, a matrix's columns with S = 1, its rows
// with N = 1.
//
// The sum is made in two stages: P blocks sum a piece of a channel each, and the same
// kernel sums the P partial sums. Adding them up with atomicAdd would save the second
// stage, but then the order, and with it the last bits, would change from run to run.
#include "common.cuh"
#include "reduce.cuh"

// Naive: one thread a channel. Right, but 32 channels keep 32 threads busy, and a GPU
// has room for more than a hundred thousand.
extern "C" __global__ void sum_naive(const real* x /*[N*C*S]*/, real* y /*[C]*/,
                                     index_t N, index_t C, index_t S)
{
    index_t c = GLOBAL_INDEX;
    if (c >= C) return;
    real total = 0;
    for (index_t n = 0; n < N; n++)
        for (index_t s = 0; s < S; s++) total += x[(n * C + c) * S + s];
    y[c] = total;
}

// Better for S > 1: a block sums piece p of channel c. Its threads read neighbours,
// which arrive in one load, and many blocks share a channel.
// Grid (C, P), a block of whole warps.
extern "C" __global__ void sum_channels(const real* x /*[N*C*S]*/,
                                        real* partial /*[P*C]*/, index_t N, index_t C,
                                        index_t S, index_t P)
{
    __shared__ real parts[MAX_WARPS];
    index_t c = blockIdx.x, p = blockIdx.y;
    index_t length = (N * S + P - 1) / P, first = p * length;
    index_t end = first + length < N * S ? first + length : N * S;
    real total = 0;
    for (index_t i = first + threadIdx.x; i < end; i += blockDim.x)
        total += x[place_of(i, c, C, S)];
    total = block_sum(total, parts);
    if (threadIdx.x == 0) partial[p * C + c] = total;
}

// Better for S = 1, the columns of a matrix (N, C): 32 neighbouring threads take 32
// neighbouring columns, and 8 rows of threads share a piece of N.
// Grid (ceil(C / 32), P), block (32, 8).
extern "C" __global__ void sum_columns(const real* x /*[N*C]*/,
                                       real* partial /*[P*C]*/, index_t N, index_t C,
                                       index_t P)
{
    __shared__ real parts[8][32];
    index_t c = blockIdx.x * (index_t)32 + threadIdx.x, p = blockIdx.y;
    index_t length = (N + P - 1) / P, first = p * length;
    index_t end = first + length < N ? first + length : N;
    real total = 0;
    if (c < C)
        for (index_t n = first + threadIdx.y; n < end; n += 8) total += x[n * C + c];
    parts[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y > 0 || c >= C) return;
    for (int row = 1; row < 8; row++) total += parts[row][threadIdx.x];
    partial[p * C + c] = total;
}
