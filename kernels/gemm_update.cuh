// An update rule at the end of a product: the gradient is used where it was made.
//
// It is never stored, which saves writing and reading it: of 5 (momentum) passes over an
// array like W, 2; of 7 (Adam), 2. An element with a gradient that is not finite stays as
// it is, and is noted in fine[1]. While fine[0] is 0, nothing moves; no block writes there.
#pragma once
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

// A step with the tile of the gradient that starts at (m0, n0), by THREADS threads.
__device__ inline void update_tile(const float* shared, int m0, int n0, float* W,
                                   float* slot0, float* slot1, float* slot2, int* fine,
                                   const double* numbers, int D, int U)
{
    Numbers c = read_numbers(numbers);
    float* arrays[3] = {slot0, slot1, slot2};
    bool is_fine = true;
    for_each(shared, m0, n0, D, U, [&](int m, int n, const Pack& d) {
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
