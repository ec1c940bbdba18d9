// The weight gradient of a dense layer with the update rule in it.
//
// needs sm_80
// float only
#include "gemm.cuh"
#include "rules.cuh"

#ifndef RULE        // of rules.cuh, with so many arrays of state
#define RULE nesterov_momentum_rule
#define SLOTS 1
#endif

// RULE, given as many arrays of state as it has.
__device__ inline void apply_rule(float& p, float g, float& state0, float& state1,
                                  float& state2, const Numbers& c)
{
#if SLOTS == 0
    RULE(p, g, c);
#elif SLOTS == 1
    RULE(p, g, state0, c);
#elif SLOTS == 2
    RULE(p, g, state0, state1, c);
#else
    RULE(p, g, state0, state1, state2, c);
#endif
}

// The gradient is never stored, but used for a step where it was made. That saves
// writing and reading it: of 5 (momentum) passes over an array like W, 2; of 7 (Adam), 2.
// An element with a gradient that is not finite stays as it is, and is noted in fine[1].
// While fine[0] is 0, nothing moves; no block writes there.
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
    Numbers c = read_numbers(numbers);
    float* arrays[3] = {slot0, slot1, slot2};
    bool is_fine = true;
    for_each(shared, FIRST_M, FIRST_N, D, U, [&](int m, int n, const Pack& d) {
        index_t i = (index_t)weight_row(m, D) * U + n;
        Pack p = *(Pack*)(W + i), state[3];
#pragma unroll
        for (int s = 0; s < SLOTS; s++) state[s] = *(Pack*)(arrays[s] + i);
#pragma unroll
        for (int v = 0; v < C_VECTOR; v++) {
            if (is_wild(d.at[v]))
                is_fine = false;
            else
                apply_rule(p.at[v], d.at[v], state[0].at[v], state[1].at[v],
                           state[2].at[v], c);
        }
        *(Pack*)(W + i) = p;
#pragma unroll
        for (int s = 0; s < SLOTS; s++) *(Pack*)(arrays[s] + i) = state[s];
    });
    if (!is_fine) atomicAnd(fine + 1, 0);
}
