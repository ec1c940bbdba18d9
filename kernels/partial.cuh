// What the gradients of filters share: many blocks sum, and then their sums are added.
#pragma once
#include "common.cuh"

// The gradients of F filters with C channels and `taps` places, and of F biases.
// partial: what each of `splits` blocks has found, (taps, F, C), and behind it (F,).
// dW is in the layer's order, (F, C, taps), its places turned if `flip`.
// 32 numbers a block; 8 rows of threads share the blocks' sums of each. parts: shared.
__device__ inline void add_partial_gradients(const float* partial, float* dW, float* db,
                                             int splits, int taps, int F, int C,
                                             int flip, float scale,
                                             float (*parts)[32])
{
    int count = taps * F * C, k = blockIdx.x * 32 + threadIdx.x;
    float total = 0;
    if (k < count + F)
        for (int s = threadIdx.y; s < splits; s += 8)
            total += partial[s * (index_t)(count + F) + k];
    parts[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y > 0 || k >= count + F) return;
    for (int i = 1; i < 8; i++) total += parts[i][threadIdx.x];
    total *= scale;
    if (k >= count) {
        if (db) db[k - count] = total;
        return;
    }
    int tap = k / (F * C), place = k % (F * C);
    dW[(index_t)place * taps + (flip ? taps - 1 - tap : tap)] = total;
}
