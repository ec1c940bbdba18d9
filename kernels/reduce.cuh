// Sums within a warp and within a block, in an order that is always the same.
//
// A float sum depends on its order. Here the order follows from the numbers of the
// threads alone, never from which comes first, so that the same input gives the same
// bits in every run.
#pragma once
#include "common.cuh"

// The sum of v over the 32 lanes of a warp; every lane gets it. In step d, lane i adds
// what lane i^d holds, so after five steps each lane holds all 32 (a butterfly).
__device__ inline real warp_sum(real v)
{
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

// The larger of two numbers; NaN if one of them is: fmax would hide it.
__device__ inline real max_or_nan(real a, real b)
{
    return b > a || b != b ? b : a;
}

// The largest v of a warp's 32 lanes; every lane gets it.
__device__ inline real warp_max(real v)
{
    for (int d = 16; d > 0; d /= 2)
        v = max_or_nan(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

#define MAX_WARPS 32    // a block has at most 1024 threads

// The sum of v over a block of whole warps in one row; every thread gets it.
// parts: shared memory, MAX_WARPS numbers.
__device__ inline real block_sum(real v, real* parts)
{
    int warps = (int)blockDim.x / 32;
    v = warp_sum(v);
    __syncthreads();    // an earlier sum may still be read from parts
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    real total = 0;
    for (int w = 0; w < warps; w++) total += parts[w];
    return total;
}

// The channel c of element i of an array (N, C, S).
__device__ inline index_t channel_of(index_t i, index_t C, index_t S)
{
    index_t plane = divided(i, S);
    return plane - divided(plane, C) * C;
}

// Where in an array (N, C, S) the i-th of the N*S numbers of channel c is.
__device__ inline index_t place_of(index_t i, index_t c, index_t C, index_t S)
{
    index_t n = divided(i, S);
    return (n * C + c) * S + i - n * S;
}
