// Softmax and cross-entropy, row by row of scores z (N, K); sigmoid and cross-entropy,
// element by element, at the end.
//
//     p[n,k] = exp(z[n,k] - m[n]) / sum over j of exp(z[n,j] - m[n])
//     loss[n] = sum over k of t[n,k] (m[n] + log(sum over j) - z[n,k])
//     dz[n,k] = dloss[n] (p[n,k] sum over j of t[n,j] - t[n,k])
//
// m[n], the largest of a row, is taken off so that exp never overflows.
//
// A warp takes a row: its 32 lanes read neighbours, and find the largest and the sum
// by shuffles, from register to register, without shared memory and without waiting
// for other warps. With the seven classes of faces most lanes idle, but there a row
// is so short that nothing matters but the number of launches.
// Grid ceil(N / 8), block (32, 8).
#include "common.cuh"
#include "reduce.cuh"

#define ROW (blockIdx.x * (index_t)blockDim.y + threadIdx.y)

// The largest of a row's K numbers; every lane gets it.
__device__ inline real row_max(const real* z, index_t K)
{
    real m = z[0];
    for (index_t k = threadIdx.x; k < K; k += 32) m = max_or_nan(m, z[k]);
    return warp_max(m);
}

// The sum of exp(z - m) over a row; every lane gets it.
__device__ inline real row_sum_exp(const real* z, real m, index_t K)
{
    real sum = 0;
    for (index_t k = threadIdx.x; k < K; k += 32) sum += exp(z[k] - m);
    return warp_sum(sum);
}

// Naive: one thread a row. Neighbouring threads read numbers K apart, so that a GPU
// fetches 32 bytes for each 4 it needs.
extern "C" __global__ void softmax_naive(const real* x /*[N*K]*/, real* y /*[N*K]*/,
                                         index_t N, index_t K)
{
    index_t n = GLOBAL_INDEX;
    if (n >= N) return;
    const real* z = x + n * K;
    real m = z[0], sum = 0;
    for (index_t k = 1; k < K; k++) m = max_or_nan(m, z[k]);
    for (index_t k = 0; k < K; k++) sum += exp(z[k] - m);
    for (index_t k = 0; k < K; k++) y[n * K + k] = exp(z[k] - m) / sum;
}

extern "C" __global__ void softmax_forward(const real* x /*[N*K]*/, real* y /*[N*K]*/,
                                           index_t N, index_t K)
{
    index_t n = ROW;
    if (n >= N) return;     // the whole warp
    const real* z = x + n * K;
    real m = row_max(z, K), sum = row_sum_exp(z, m, K);
    for (index_t k = threadIdx.x; k < K; k += 32) y[n * K + k] = exp(z[k] - m) / sum;
}

// dx = y (dy - sum over k of dy y)
extern "C" __global__ void softmax_backward(const real* dy /*[N*K]*/,
                                            const real* y /*[N*K]*/,
                                            real* dx /*[N*K]*/, index_t N, index_t K)
{
    index_t n = ROW;
    if (n >= N) return;
    real dot = 0;
    for (index_t k = threadIdx.x; k < K; k += 32) dot += dy[n * K + k] * y[n * K + k];
    dot = warp_sum(dot);
    for (index_t k = threadIdx.x; k < K; k += 32)
        dx[n * K + k] = y[n * K + k] * (dy[n * K + k] - dot);
}

// --- cross-entropy ------------------------------------------------------------

// The target t[n,k], weighted. Targets are class numbers or, if those are null, soft.
// A number that is no class gives NaN: a kernel cannot raise an error, and to look at
// the numbers beforehand the CPU would have to wait for the GPU.
__device__ inline real target(const int* classes, const real* soft,
                              const real* weights, index_t n, index_t k, index_t K)
{
    real t;
    if (classes) {
        if (classes[n] < 0 || classes[n] >= K) return NOT_A_NUMBER;
        t = classes[n] == k ? 1 : 0;
    } else {
        t = soft[n * K + k];
    }
    return weights ? t * weights[k] : t;
}

extern "C" __global__ void crossentropy_forward(const real* logits /*[N*K]*/,
                                                const int* classes /*[N]?*/,
                                                const real* soft /*[N*K]?*/,
                                                const real* weights /*[K]?*/,
                                                real* losses /*[N]*/, index_t N,
                                                index_t K)
{
    index_t n = ROW;
    if (n >= N) return;
    const real* z = logits + n * K;
    real m = row_max(z, K), log_sum = log(row_sum_exp(z, m, K)), loss = 0;
    for (index_t k = threadIdx.x; k < K; k += 32) {
        real t = target(classes, soft, weights, n, k, K);
        // Where t is 0 a log p of minus infinity must not matter: 0 * inf is NaN.
        if (t != 0) loss -= t * (z[k] - m - log_sum);
    }
    loss = warp_sum(loss);
    if (threadIdx.x == 0) losses[n] = loss;
}

// Computes the softmax again: a row is read from memory anyway, as p would be.
extern "C" __global__ void crossentropy_backward(const real* dlosses /*[N]*/,
                                                 const real* logits /*[N*K]*/,
                                                 const int* classes /*[N]?*/,
                                                 const real* soft /*[N*K]?*/,
                                                 const real* weights /*[K]?*/,
                                                 real* dlogits /*[N*K]*/, index_t N,
                                                 index_t K)
{
    index_t n = ROW;
    if (n >= N) return;
    const real* z = logits + n * K;
    real m = row_max(z, K), sum = row_sum_exp(z, m, K), total = 0;
    for (index_t k = threadIdx.x; k < K; k += 32)
        total += target(classes, soft, weights, n, k, K);
    total = warp_sum(total);
    for (index_t k = threadIdx.x; k < K; k += 32)
        dlogits[n * K + k] = dlosses[n] * (exp(z[k] - m) / sum * total
                                           - target(classes, soft, weights, n, k, K));
}

// --- binary cross-entropy -----------------------------------------------------

// log(1 + exp(z)), where exp never overflows.
__device__ inline real log_1_exp(real z)
{
    return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}

// loss = t log(1 + exp(-z)) + (1 - t) log(1 + exp(z)): of a sigmoid that has rounded
// to 0 or 1 the logarithm would be infinite.
extern "C" __global__ void sigmoid_crossentropy_forward(const real* logits /*[n]*/,
                                                        const real* targets /*[n]*/,
                                                        real* losses /*[n]*/,
                                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    real z = logits[i], t = targets[i], loss = 0;
    // Where t is 0 a loss of infinity must not matter: 0 * inf is NaN.
    if (t != 0) loss += t * log_1_exp(-z);
    if (t != 1) loss += (1 - t) * log_1_exp(z);
    losses[i] = z != z ? z : loss;
}

// dz = dloss ((1 - t) p - t (1 - p)), with 1 - p as exact as p.
extern "C" __global__ void sigmoid_crossentropy_backward(const real* dlosses /*[n]*/,
                                                         const real* logits /*[n]*/,
                                                         const real* targets /*[n]*/,
                                                         real* dlogits /*[n]*/,
                                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    real z = logits[i], t = targets[i], e = exp(-fabs(z));
    real p = (z >= 0 ? 1 : e) / (1 + e), q = (z >= 0 ? e : 1) / (1 + e);
    dlogits[i] = dlosses[i] * ((1 - t) * p - t * q);
}
