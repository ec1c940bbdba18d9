// Batch normalisation of (N, C, S): each channel c over its N*S numbers.
//
//     mean = sum x / n,  inv_std = 1 / sqrt(sum (x - mean)^2 / n + epsilon),  n = N S
//     y = (x - mean) inv_std gamma + beta
//
// Ioffe & Szegedy (2015), arXiv:1502.03167. The variance takes a second pass over x:
// the mean of x^2 less the square of the mean would need one only, but takes two large
// numbers from each other where a channel's mean is large, and loses all its digits.
#include "common.cuh"
#include "reduce.cuh"

// Naive: one thread a channel.
extern "C" __global__ void batch_statistics_naive(const real* x /*[N*C*S]*/,
                                                  real* mean /*[C]*/,
                                                  real* inv_std /*[C]*/, real epsilon,
                                                  index_t N, index_t C, index_t S)
{
    index_t c = GLOBAL_INDEX;
    if (c >= C) return;
    real total = 0, squares = 0;
    for (index_t i = 0; i < N * S; i++) total += x[place_of(i, c, C, S)];
    real mu = total / (N * S);
    for (index_t i = 0; i < N * S; i++) {
        real d = x[place_of(i, c, C, S)] - mu;
        squares += d * d;
    }
    mean[c] = mu;
    inv_std[c] = 1 / sqrt(squares / (N * S) + epsilon);
}

// Better: a block a channel. Its threads read neighbours, and what the first pass has
// read the second finds in the cache, if the channel is not too large. Grid C.
extern "C" __global__ void batch_statistics(const real* x /*[N*C*S]*/,
                                            real* mean /*[C]*/, real* inv_std /*[C]*/,
                                            real epsilon, index_t N, index_t C,
                                            index_t S)
{
    __shared__ real parts[MAX_WARPS];
    index_t c = blockIdx.x;
    real total = 0, squares = 0;
    for (index_t i = threadIdx.x; i < N * S; i += blockDim.x)
        total += x[place_of(i, c, C, S)];
    real mu = block_sum(total, parts) / (N * S);
    for (index_t i = threadIdx.x; i < N * S; i += blockDim.x) {
        real d = x[place_of(i, c, C, S)] - mu;
        squares += d * d;
    }
    squares = block_sum(squares, parts);
    if (threadIdx.x > 0) return;
    mean[c] = mu;
    inv_std[c] = 1 / sqrt(squares / (N * S) + epsilon);
}

// y from given statistics: those of the batch, or running averages.
extern "C" __global__ void normalise(const real* x /*[N*C*S]*/, const real* mean /*[C]*/,
                                     const real* inv_std /*[C]*/,
                                     const real* gamma /*[C]?*/,
                                     const real* beta /*[C]?*/, real* y /*[N*C*S]*/,
                                     index_t N, index_t C, index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    index_t c = channel_of(i, C, S);
    real v = (x[i] - mean[c]) * inv_std[c];
    if (gamma) v *= gamma[c];
    if (beta) v += beta[c];
    y[i] = v;
}

// dbeta = sum dy and dgamma = sum dy (x - mean) inv_std, in one pass. Grid C.
extern "C" __global__ void scale_shift_gradients(const real* dy /*[N*C*S]*/,
                                                 const real* x /*[N*C*S]*/,
                                                 const real* mean /*[C]*/,
                                                 const real* inv_std /*[C]*/,
                                                 real* dgamma /*[C]*/,
                                                 real* dbeta /*[C]*/, index_t N,
                                                 index_t C, index_t S)
{
    __shared__ real parts[MAX_WARPS];
    index_t c = blockIdx.x;
    real scale = 0, shift = 0;
    for (index_t i = threadIdx.x; i < N * S; i += blockDim.x) {
        index_t at = place_of(i, c, C, S);
        scale += dy[at] * ((x[at] - mean[c]) * inv_std[c]);
        shift += dy[at];
    }
    scale = block_sum(scale, parts);
    shift = block_sum(shift, parts);
    if (threadIdx.x > 0) return;
    dgamma[c] = scale;
    dbeta[c] = shift;
}

// The mean and the variance depend on x too:
// dx = gamma inv_std (dy - dbeta / n - (x - mean) inv_std dgamma / n)
extern "C" __global__ void batch_norm_backward(const real* dy /*[N*C*S]*/,
                                               const real* x /*[N*C*S]*/,
                                               const real* mean /*[C]*/,
                                               const real* inv_std /*[C]*/,
                                               const real* gamma /*[C]?*/,
                                               const real* dgamma /*[C]*/,
                                               const real* dbeta /*[C]*/,
                                               real* dx /*[N*C*S]*/, index_t N,
                                               index_t C, index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    index_t c = channel_of(i, C, S);
    real n = N * S, normed = (x[i] - mean[c]) * inv_std[c];
    real d = (dy[i] - dbeta[c] / n - normed * (dgamma[c] / n)) * inv_std[c];
    dx[i] = gamma ? d * gamma[c] : d;
}

// The statistics are constants: dx = dy gamma inv_std.
extern "C" __global__ void batch_norm_fixed_backward(const real* dy /*[N*C*S]*/,
                                                     const real* inv_std /*[C]*/,
                                                     const real* gamma /*[C]?*/,
                                                     real* dx /*[N*C*S]*/, index_t N,
                                                     index_t C, index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    index_t c = channel_of(i, C, S);
    dx[i] = dy[i] * (gamma ? inv_std[c] * gamma[c] : inv_std[c]);
}
