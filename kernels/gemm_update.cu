// The weight gradient of a dense layer with the update rule in it.
//
// needs sm_80
// float only
#include "gemm_update.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
dense_weight_update(const float* __restrict__ x /*[N*D]*/,
                    const float* __restrict__ dz /*[N*U]*/, float* __restrict__ W /*[D*U]*/,
                    float* __restrict__ slot0 /*[D*U]?*/,
                    float* __restrict__ slot1 /*[D*U]?*/,
                    float* __restrict__ slot2 /*[D*U]?*/, int* fine /*[2]*/,
                    const double* numbers /*[8]*/, int N, int D, int U)
{
    DYN_SHARED(float, shared);
    if (!*fine) return;  // all threads of all blocks
    multiply<true, true, false>(shared, {x, N, D}, {dz, N, U}, FIRST_M, FIRST_N, 0, N);
    update_tile(shared, FIRST_M, FIRST_N, W, slot0, slot1, slot2, fine, numbers, D, U);
}
