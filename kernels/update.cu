// Update rules, each as one pass over all parameters of a network, which lie in one
// buffer. What happens to an element is in rules.cuh.
//
// In array syntax (the plain version, which runs on a device too) Adam reads and writes
// some thirty arrays; here an element is read, moved and written once: 4 reads, 3 writes.
//
// The host does not wait to hear whether gradients are finite: that is noted in fine[1],
// and added to fine[0] at the end of each step's search. While fine[0] is 0 no rule
// changes anything. There are two since a kernel that both looks for what is not finite
// and moves elements must not depend on how far its other threads are (gemm_update.cu).
//
// p: parameters, g: gradients, then the state.
#include "rules.cuh"

// Set fine[1] to 0 if any gradient is not finite. Whichever thread comes first, the result
// is the same.
extern "C" __global__ void note_finite(const real* g /*[n]*/, index_t n,
                                       int* fine /*[2]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && is_wild(g[i])) atomicAnd(fine + 1, 0);
}

// The same of the loss, by one thread, which closes the search and counts the steps that
// are skipped.
extern "C" __global__ void note_step(const real* loss /*[1]?*/, int* fine /*[2]*/,
                                     int* skipped /*[1]*/)
{
    if (GLOBAL_INDEX) return;
    if (!fine[1] || (loss && is_wild(*loss))) *fine = 0;
    if (!*fine) ++*skipped;
}

// --- norms --------------------------------------------------------------------

#define PIECES 64   // as many blocks as there are partial sums

// partial[b] = sum of g² over every PIECES-th stretch of g. A block of whole warps.
extern "C" __global__ void sum_squares(const real* g /*[n]*/, index_t n,
                                       double* partial /*[64]*/)
{
    __shared__ double sums[32];
    double total = 0;
    for (index_t i = GLOBAL_INDEX; i < n; i += (index_t)PIECES * blockDim.x)
        total += (double)g[i] * g[i];
    for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(0xffffffffu, total, d);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = total;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < (int)blockDim.x / 32; w++) total += sums[w];
    partial[blockIdx.x] = total;
}

// Scale g to a norm of at most numbers[7]: see total_norm_constraint of
// minifer/updates/norms.py.
extern "C" __global__ void limit_norm(real* g /*[n]*/, index_t n,
                                      const double* partial /*[64]*/,
                                      const int* fine /*[2]*/,
                                      const double* numbers /*[8]*/)
{
    __shared__ real factor;
    if (!*fine) return;  // all of a block
    if (threadIdx.x == 0) {
        double squares = 0, limit = numbers[NUMBERS - 1];
        for (int b = 0; b < PIECES; b++) squares += partial[b];
        double norm = sqrt(squares);
        factor = (norm > limit ? limit : norm) / (1e-7 + norm);
    }
    __syncthreads();
    for (index_t i = GLOBAL_INDEX; i < n; i += gridDim.x * (index_t)blockDim.x)
        g[i] *= factor;
}

// --- rules --------------------------------------------------------------------

extern "C" __global__ void sgd(real* p /*[n]*/, const real* g /*[n]*/, index_t n,
                               const int* fine /*[2]*/, const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && *fine) sgd_rule(p[i], g[i], read_numbers(numbers));
}

extern "C" __global__ void momentum(real* p /*[n]*/, const real* g /*[n]*/,
                                    real* v /*[n]*/, index_t n, const int* fine /*[2]*/,
                                    const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && *fine) momentum_rule(p[i], g[i], v[i], read_numbers(numbers));
}

extern "C" __global__ void nesterov_momentum(real* p /*[n]*/, const real* g /*[n]*/,
                                             real* v /*[n]*/, index_t n,
                                             const int* fine /*[2]*/,
                                             const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && *fine) nesterov_momentum_rule(p[i], g[i], v[i], read_numbers(numbers));
}

extern "C" __global__ void adagrad(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* squares /*[n]*/, index_t n,
                                   const int* fine /*[2]*/,
                                   const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && *fine) adagrad_rule(p[i], g[i], squares[i], read_numbers(numbers));
}

extern "C" __global__ void rmsprop(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* squares /*[n]*/, index_t n,
                                   const int* fine /*[2]*/,
                                   const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && *fine) rmsprop_rule(p[i], g[i], squares[i], read_numbers(numbers));
}

extern "C" __global__ void adadelta(real* p /*[n]*/, const real* g /*[n]*/,
                                    real* squares /*[n]*/, real* deltas /*[n]*/,
                                    index_t n, const int* fine /*[2]*/,
                                    const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    adadelta_rule(p[i], g[i], squares[i], deltas[i], read_numbers(numbers));
}

extern "C" __global__ void adam(real* p /*[n]*/, const real* g /*[n]*/,
                                real* mean /*[n]*/, real* squares /*[n]*/, index_t n,
                                const int* fine /*[2]*/, const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    adam_rule(p[i], g[i], mean[i], squares[i], read_numbers(numbers));
}

extern "C" __global__ void amsgrad(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* mean /*[n]*/, real* squares /*[n]*/,
                                   real* largest /*[n]*/, index_t n,
                                   const int* fine /*[2]*/,
                                   const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    amsgrad_rule(p[i], g[i], mean[i], squares[i], largest[i], read_numbers(numbers));
}

extern "C" __global__ void adamax(real* p /*[n]*/, const real* g /*[n]*/,
                                  real* mean /*[n]*/, real* largest /*[n]*/, index_t n,
                                  const int* fine /*[2]*/,
                                  const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    adamax_rule(p[i], g[i], mean[i], largest[i], read_numbers(numbers));
}

extern "C" __global__ void adamw(real* p /*[n]*/, const real* g /*[n]*/,
                                 real* mean /*[n]*/, real* squares /*[n]*/, index_t n,
                                 const int* fine /*[2]*/, const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    adamw_rule(p[i], g[i], mean[i], squares[i], read_numbers(numbers));
}

// Momentum around another rule, which has moved p away from where it was before.
// Numbers: mu.
extern "C" __global__ void apply_momentum(real* p /*[n]*/, const real* before /*[n]*/,
                                          real* v /*[n]*/, index_t n,
                                          const int* fine /*[2]*/, int nesterov,
                                          const double* numbers /*[8]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real mu = numbers[0], d = p[i] - before[i];
    real velocity = mu * v[i] + d;
    v[i] = velocity;
    p[i] = before[i] + (nesterov ? mu * velocity + d : velocity);
}

extern "C" __global__ void remember(const real* p /*[n]*/, real* before /*[n]*/, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) before[i] = p[i];
}
