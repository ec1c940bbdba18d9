// Nonlinearities, one thread an element, and biases.
//
// All are bound by memory: a GPU does some fifty operations in the time it takes to
// load and store a number. So arithmetic is free, and what counts is how often an
// array goes through memory: hence the fused bias_rectify at the end.
//
// NaN stays visible: a comparison with NaN is false, and is written so that NaN lands
// on the side where it goes on. For the same reason a slope of 0 multiplies dy.
#include "common.cuh"
#include "reduce.cuh"

extern "C" __global__ void rectify_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                           index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] <= 0 ? 0 : x[i];
}

// The slope at exactly 0 is 0.
extern "C" __global__ void rectify_backward(const real* dy /*[n]*/,
                                            const real* y /*[n]*/, real* dx /*[n]*/,
                                            index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = y[i] <= 0 ? dy[i] * 0 : dy[i];
}

extern "C" __global__ void leaky_rectify_forward(const real* x /*[n]*/,
                                                 real* y /*[n]*/, real leakiness,
                                                 index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] > 0 ? x[i] : x[i] * leakiness;
}

extern "C" __global__ void leaky_rectify_backward(const real* dy /*[n]*/,
                                                  const real* x /*[n]*/,
                                                  real* dx /*[n]*/, real leakiness,
                                                  index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = x[i] > 0 ? dy[i] : dy[i] * leakiness;
}

// elu is selu with both scales 1. expm1(x) is exp(x) - 1, exact near 0 too.
extern "C" __global__ void selu_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        real scale, real scale_neg, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] > 0 ? scale * x[i] : scale * scale_neg * expm1(x[i]);
}

extern "C" __global__ void selu_backward(const real* dy /*[n]*/, const real* x /*[n]*/,
                                         real* dx /*[n]*/, real scale, real scale_neg,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * (x[i] > 0 ? scale : scale * scale_neg * exp(x[i]));
}

// The slope of elu from its output: where x < 0, exp(x) = y + 1.
extern "C" __global__ void elu_backward(const real* dy /*[n]*/, const real* y /*[n]*/,
                                        real* dx /*[n]*/, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = y[i] > 0 ? dy[i] : dy[i] * (y[i] + 1);
}

// tanh is scaled_tanh with both scales 1.
extern "C" __global__ void scaled_tanh_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                               real scale_in, real scale_out,
                                               index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = scale_out * tanh(scale_in * x[i]);
}

extern "C" __global__ void scaled_tanh_backward(const real* dy /*[n]*/,
                                                const real* x /*[n]*/,
                                                real* dx /*[n]*/, real scale_in,
                                                real scale_out, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    real t = tanh(scale_in * x[i]);
    dx[i] = dy[i] * (1 - t * t) * (scale_in * scale_out);
}

extern "C" __global__ void tanh_backward(const real* dy /*[n]*/, const real* y /*[n]*/,
                                         real* dx /*[n]*/, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

// 1 / (1 + exp(-x)), written so that exp never overflows.
__device__ inline real sigmoid(real x)
{
    real e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

extern "C" __global__ void sigmoid_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                           index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = sigmoid(x[i]);
}

extern "C" __global__ void sigmoid_backward(const real* dy /*[n]*/,
                                            const real* y /*[n]*/, real* dx /*[n]*/,
                                            index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * y[i] * (1 - y[i]);
}

// log(1 + exp(x)), where exp never overflows.
extern "C" __global__ void softplus_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                            index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = (x[i] > 0 ? x[i] : 0) + log1p(exp(-fabs(x[i])));
}

extern "C" __global__ void softplus_backward(const real* dy /*[n]*/,
                                             const real* x /*[n]*/, real* dx /*[n]*/,
                                             index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * sigmoid(x[i]);
}

extern "C" __global__ void clipped_rectify_forward(const real* x /*[n]*/,
                                                   real* y /*[n]*/, real ceiling,
                                                   index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] <= 0 ? 0 : x[i] >= ceiling ? ceiling : x[i];
}

// The slope is 0 at both ends.
extern "C" __global__ void clipped_rectify_backward(const real* dy /*[n]*/,
                                                    const real* x /*[n]*/,
                                                    real* dx /*[n]*/, real ceiling,
                                                    index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = x[i] <= 0 || x[i] >= ceiling ? dy[i] * 0 : dy[i];
}

extern "C" __global__ void hard_sigmoid_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                                real slope, real shift, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    real z = slope * x[i] + shift;
    y[i] = z <= 0 ? 0 : z >= 1 ? 1 : z;
}

extern "C" __global__ void hard_sigmoid_backward(const real* dy /*[n]*/,
                                                 const real* y /*[n]*/,
                                                 real* dx /*[n]*/, real slope,
                                                 index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * (y[i] <= 0 || y[i] >= 1 ? 0 : slope);
}

extern "C" __global__ void softsign_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                            index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] / (1 + fabs(x[i]));
}

extern "C" __global__ void softsign_backward(const real* dy /*[n]*/,
                                             const real* x /*[n]*/, real* dx /*[n]*/,
                                             index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    real slope = 1 / (1 + fabs(x[i]));
    dx[i] = dy[i] * slope * slope;
}

// --- biases: x is (N, C, S), one bias a channel; S = 1 for a dense layer ------

// y = x + b; y may be x.
extern "C" __global__ void bias_add(const real* x /*[N*C*S]*/, const real* b /*[C]*/,
                                    real* y /*[N*C*S]*/, index_t N, index_t C,
                                    index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i < N * C * S) y[i] = x[i] + b[channel_of(i, C, S)];
}

// y = max(0, x + b): as bias_add and rectify_forward, but the array goes through
// memory once instead of twice. y may be x.
extern "C" __global__ void bias_rectify_forward(const real* x /*[N*C*S]*/,
                                                const real* b /*[C]*/,
                                                real* y /*[N*C*S]*/, index_t N,
                                                index_t C, index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    real v = x[i] + b[channel_of(i, C, S)];
    y[i] = v <= 0 ? 0 : v;
}

// dx = dy where y > 0, and its sums over piece p of channel c on the way: dx needs
// not be read again for the gradient of the bias. Grid (C, P), as sum_channels.
extern "C" __global__ void bias_rectify_backward(const real* dy /*[N*C*S]*/,
                                                 const real* y /*[N*C*S]*/,
                                                 real* dx /*[N*C*S]*/,
                                                 real* partial /*[P*C]*/, index_t N,
                                                 index_t C, index_t S, index_t P)
{
    __shared__ real parts[MAX_WARPS];
    index_t c = blockIdx.x, p = blockIdx.y;
    index_t length = (N * S + P - 1) / P, first = p * length;
    index_t end = first + length < N * S ? first + length : N * S;
    real total = 0;
    for (index_t i = first + threadIdx.x; i < end; i += blockDim.x) {
        index_t at = place_of(i, c, C, S);
        real d = y[at] <= 0 ? dy[at] * 0 : dy[at];
        dx[at] = d;
        total += d;
    }
    total = block_sum(total, parts);
    if (threadIdx.x == 0) partial[p * C + c] = total;
}
