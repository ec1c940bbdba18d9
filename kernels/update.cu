// Update rules, each as one pass over all parameters of a network, which lie in one
// buffer. The formulas and the order of their operations are those of minifer/rules.py.
//
// In array syntax (the plain version, which runs on a device too) Adam reads and writes
// some thirty arrays; here an element is read, moved and written once: 4 reads, 3 writes.
//
// Nobody waits to hear whether gradients are finite: that is noted in *fine, and while
// *fine is 0 no kernel here changes anything.
//
// p: parameters, g: gradients, then the state. Numbers that all elements share are worked
// out on the host, in double: rest = 1 - rho, rest1 = 1 - beta1, rest2 = 1 - beta2,
// shrink = 1 - learning rate * weight decay.
#include "common.cuh"

// Infinite or not a number: only then is x - x something else than 0.
__device__ inline bool is_wild(real x) { return !(x - x == 0); }

// Set *fine to 0 if any gradient is not finite. Whoever comes first, the result is the
// same.
extern "C" __global__ void note_finite(const real* g /*[n]*/, index_t n,
                                       int* fine /*[1]*/)
{
    index_t i = GLOBAL_INDEX;
    if (i < n && is_wild(g[i])) atomicAnd(fine, 0);
}

// The same of the loss, by one thread, which also counts the steps that are skipped.
extern "C" __global__ void note_step(const real* loss /*[1]?*/, int* fine /*[1]*/,
                                     int* skipped /*[1]*/)
{
    if (GLOBAL_INDEX) return;
    if (loss && is_wild(*loss)) *fine = 0;
    if (!*fine) ++*skipped;
}

extern "C" __global__ void sgd(real* p /*[n]*/, const real* g /*[n]*/, index_t n,
                               const int* fine /*[1]*/, real rate)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    p[i] -= rate * g[i];
}

extern "C" __global__ void momentum(real* p /*[n]*/, const real* g /*[n]*/,
                                    real* v /*[n]*/, index_t n,
                                    const int* fine /*[1]*/, real rate, real mu)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    v[i] = mu * v[i] - rate * g[i];
    p[i] += v[i];
}

extern "C" __global__ void nesterov_momentum(real* p /*[n]*/, const real* g /*[n]*/,
                                             real* v /*[n]*/, index_t n,
                                             const int* fine /*[1]*/, real rate, real mu)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real step = rate * g[i];
    real velocity = mu * v[i] - step;
    v[i] = velocity;
    p[i] = p[i] + mu * velocity - step;
}

extern "C" __global__ void adagrad(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* squares /*[n]*/, index_t n,
                                   const int* fine /*[1]*/, real rate, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real a = squares[i] + g[i] * g[i];
    squares[i] = a;
    p[i] -= rate * g[i] / sqrt(a + epsilon);
}

extern "C" __global__ void rmsprop(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* squares /*[n]*/, index_t n,
                                   const int* fine /*[1]*/, real rate, real rho,
                                   real rest, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real a = rho * squares[i] + rest * g[i] * g[i];
    squares[i] = a;
    p[i] -= rate * g[i] / sqrt(a + epsilon);
}

extern "C" __global__ void adadelta(real* p /*[n]*/, const real* g /*[n]*/,
                                    real* squares /*[n]*/, real* deltas /*[n]*/,
                                    index_t n, const int* fine /*[1]*/, real rate,
                                    real rho, real rest, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real a = rho * squares[i] + rest * g[i] * g[i];
    squares[i] = a;
    real u = g[i] * sqrt(deltas[i] + epsilon) / sqrt(a + epsilon);
    p[i] -= rate * u;
    deltas[i] = rho * deltas[i] + rest * u * u;
}

// Running means of g and g², as Adam and its relatives keep them.
__device__ inline void moments(real g, real* mean, real* squares, real beta1, real rest1,
                               real beta2, real rest2)
{
    *mean = beta1 * *mean + rest1 * g;
    *squares = beta2 * *squares + rest2 * g * g;
}

// Here and below the rate is the one corrected for the first steps.
extern "C" __global__ void adam(real* p /*[n]*/, const real* g /*[n]*/,
                                real* mean /*[n]*/, real* squares /*[n]*/, index_t n,
                                const int* fine /*[1]*/, real rate, real beta1,
                                real rest1, real beta2, real rest2, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    moments(g[i], mean + i, squares + i, beta1, rest1, beta2, rest2);
    p[i] -= rate * mean[i] / (sqrt(squares[i]) + epsilon);
}

extern "C" __global__ void amsgrad(real* p /*[n]*/, const real* g /*[n]*/,
                                   real* mean /*[n]*/, real* squares /*[n]*/,
                                   real* largest /*[n]*/, index_t n,
                                   const int* fine /*[1]*/, real rate, real beta1,
                                   real rest1, real beta2, real rest2, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    moments(g[i], mean + i, squares + i, beta1, rest1, beta2, rest2);
    real v = squares[i];
    if (v > largest[i] || v != v) largest[i] = v;
    p[i] -= rate * mean[i] / (sqrt(largest[i]) + epsilon);
}

extern "C" __global__ void adamax(real* p /*[n]*/, const real* g /*[n]*/,
                                  real* mean /*[n]*/, real* largest /*[n]*/, index_t n,
                                  const int* fine /*[1]*/, real rate, real beta1,
                                  real rest1, real beta2, real epsilon)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real slope = g[i] < 0 ? -g[i] : g[i];
    real faded = beta2 * largest[i];
    mean[i] = beta1 * mean[i] + rest1 * g[i];
    largest[i] = faded >= slope || faded != faded ? faded : slope;
    p[i] -= rate * mean[i] / (largest[i] + epsilon);
}

extern "C" __global__ void adamw(real* p /*[n]*/, const real* g /*[n]*/,
                                 real* mean /*[n]*/, real* squares /*[n]*/, index_t n,
                                 const int* fine /*[1]*/, real rate, real beta1,
                                 real rest1, real beta2, real rest2, real epsilon,
                                 real shrink)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    moments(g[i], mean + i, squares + i, beta1, rest1, beta2, rest2);
    p[i] = shrink * p[i] - rate * mean[i] / (sqrt(squares[i]) + epsilon);
}

// Momentum around another rule, which has moved p away from where it was before.
extern "C" __global__ void apply_momentum(real* p /*[n]*/, const real* before /*[n]*/,
                                          real* v /*[n]*/, index_t n,
                                          const int* fine /*[1]*/, real mu, int nesterov)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !*fine) return;
    real d = p[i] - before[i];
    real velocity = mu * v[i] + d;
    v[i] = velocity;
    p[i] = before[i] + (nesterov ? mu * velocity + d : velocity);
}
