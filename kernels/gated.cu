// Nonlinearities that let x through by a gate of its own: y = x g(x).
//
// For each a function of x gives the gate and the slope of y, g(x) + x g'(x); both
// kernels of a pair call it, one thread an element. They are bound by memory, so that
// what one of them does not need costs nothing.
#include "common.cuh"

// Beyond it a gate is 0 or 1; brought so near, x times what is 0 there is 0.
#define FAR ((real)40)

struct Gate {
    real open, slope;
};

// 1 / (1 + exp(-x)), written so that exp never overflows.
__device__ inline Gate swish(real x)
{
    real e = exp(-fabs(x));
    real gate = (x >= 0 ? 1 : e) / (1 + e);
    return {gate, gate * (1 + x * (1 - gate))};
}

extern "C" __global__ void swish_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * swish(x[i]).open;
}

extern "C" __global__ void swish_backward(const real* dy /*[n]*/,
                                         const real* x /*[n]*/, real* dx /*[n]*/,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * swish(x[i]).slope;
}

// (x + 3) / 6 within [0, 1].
__device__ inline Gate hard_swish(real x)
{
    if (x <= -3) return {0, 0};
    if (x >= 3) return {1, 1};
    return {(x + 3) / 6, (2 * x + 3) / 6};
}

extern "C" __global__ void hard_swish_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * hard_swish(x[i]).open;
}

extern "C" __global__ void hard_swish_backward(const real* dy /*[n]*/,
                                         const real* x /*[n]*/, real* dx /*[n]*/,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * hard_swish(x[i]).slope;
}

// The normal distribution up to x; erfc is exact far below 0, too.
__device__ inline Gate gelu(real x)
{
    real gate = (real)0.5 * erfc(x * -(real)0.70710678118654752);
    real near = x < -FAR ? -FAR : x > FAR ? FAR : x;
    real density = exp((real)-0.5 * near * near) * (real)0.39894228040143268;
    return {gate, gate + near * density};
}

extern "C" __global__ void gelu_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * gelu(x[i]).open;
}

extern "C" __global__ void gelu_backward(const real* dy /*[n]*/,
                                         const real* x /*[n]*/, real* dx /*[n]*/,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * gelu(x[i]).slope;
}

// Nearly the same, by tanh.
__device__ inline Gate gelu_tanh(real x)
{
    const real root = (real)0.79788456080286536, cube = (real)0.044715;
    real near = x < -FAR ? -FAR : x > FAR ? FAR : x, square = near * near;
    real t = tanh(root * near * (1 + cube * square)), gate = (1 + t) / 2;
    return {gate, gate + near * (1 - t * t) * root / 2 * (1 + 3 * cube * square)};
}

extern "C" __global__ void gelu_tanh_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * gelu_tanh(x[i]).open;
}

extern "C" __global__ void gelu_tanh_backward(const real* dy /*[n]*/,
                                         const real* x /*[n]*/, real* dx /*[n]*/,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * gelu_tanh(x[i]).slope;
}

// tanh(log(1 + exp(x))).
__device__ inline Gate mish(real x)
{
    real e = exp(-fabs(x));
    real gate = tanh((x > 0 ? x : 0) + log1p(e)), open = (x >= 0 ? 1 : e) / (1 + e);
    return {gate, gate + x * ((1 - gate * gate) * open)};
}

extern "C" __global__ void mish_forward(const real* x /*[n]*/, real* y /*[n]*/,
                                        index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * mish(x[i]).open;
}

extern "C" __global__ void mish_backward(const real* dy /*[n]*/,
                                         const real* x /*[n]*/, real* dx /*[n]*/,
                                         index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) dx[i] = dy[i] * mish(x[i]).slope;
}
