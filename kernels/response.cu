// Local response normalisation of (N, C, S): each number by the channels around it.
//
//     s_c = k + alpha * sum of x_j^2 over |j - c| <= half,  y_c = x_c s_c^-beta
//
// Krizhevsky et al. (2012). One thread a number; the neighbours of a warp's numbers lie
// side by side too, and most are in the cache: the other channels' threads read them.
#include "common.cuh"

// The number's channel, and how many channels lie before and behind it in the window.
struct Window {
    index_t below, above;
    __device__ Window(index_t i, int half, index_t C, index_t S)
    {
        index_t plane = divided(i, S), c = plane - divided(plane, C) * C;
        below = c < half ? c : half;
        above = C - 1 - c < half ? C - 1 - c : half;
    }
};

extern "C" __global__ void response_norm_forward(const real* x /*[N*C*S]*/,
                                                 real* y /*[N*C*S]*/,
                                                 real* s /*[N*C*S]*/, real alpha, real k,
                                                 real beta, int half, index_t N,
                                                 index_t C, index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    Window window(i, half, C, S);
    real total = 0;
    for (index_t j = -window.below; j <= window.above; j++)
        total += x[i + j * S] * x[i + j * S];
    total = k + alpha * total;
    s[i] = total;
    y[i] = x[i] * pow(total, -beta);
}

// dx_c = dy_c s_c^-beta - 2 alpha beta x_c sum of dy_j x_j s_j^(-beta-1)
extern "C" __global__ void response_norm_backward(
    const real* dy /*[N*C*S]*/, const real* x /*[N*C*S]*/, const real* s /*[N*C*S]*/,
    real* dx /*[N*C*S]*/, real alpha, real beta, int half, index_t N, index_t C,
    index_t S)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * S) return;
    Window window(i, half, C, S);
    real total = 0;
    for (index_t j = -window.below; j <= window.above; j++) {
        index_t at = i + j * S;
        total += dy[at] * x[at] * pow(s[at], -beta - 1);
    }
    dx[i] = dy[i] * pow(s[i], -beta) - 2 * alpha * beta * x[i] * total;
}
