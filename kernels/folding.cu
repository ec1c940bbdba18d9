// Batch norms by fixed averages, folded into the convolution below them.
//
// Each is one product and one sum a channel; minifer/compiled/cpu/folding.py says where
// they go. What they fold into is made again in each pass, from the parameters as they
// are: that costs a pass through the filters, and none through images.
#include "common.cuh"

// One norm more behind slope and shift, (2, F), in place:
//     slope z + shift  becomes  (slope z + shift - mean) inv_std gamma + beta
extern "C" __global__ void fold_norm(real* line /*[2*F]*/, const real* mean /*[F]*/,
                                     const real* inv_std /*[F]*/,
                                     const real* gamma /*[F]?*/,
                                     const real* beta /*[F]?*/, index_t F, int first)
{
    index_t f = GLOBAL_INDEX;
    if (f >= F) return;
    real one = gamma ? inv_std[f] * gamma[f] : inv_std[f];
    real slope = first ? 1 : line[f], shift = first ? 0 : line[F + f];
    line[f] = slope * one;
    line[F + f] = (shift - mean[f]) * one + (beta ? beta[f] : 0);
}

// What the convolution is to work with, of the norms before ReLU, between ReLU and
// pooling, and behind pooling; each null where there is none. after: of each filter, the
// side on which ReLU lets through (1 above 0, -1 below), and what to multiply with and
// to add behind pooling, (3, F). One thread a number of W.
extern "C" __global__ void fold_filters(
    const real* W /*[F*K]*/, const real* b /*[F]?*/, const real* before /*[2*F]?*/,
    const real* between /*[2*F]?*/, const real* behind /*[2*F]?*/, real* folded /*[F*K]*/,
    real* bias /*[F]*/, real* after /*[3*F]?*/, index_t F, index_t K)
{
    index_t i = GLOBAL_INDEX;
    if (i >= F * K) return;
    index_t f = divided(i, K);
    real first = before ? before[f] : 1, shift = before ? before[F + f] : 0;
    real slope = between ? between[f] : 1;
    folded[i] = W[i] * (first * slope);
    if (i != f * K) return;
    bias[f] = ((b ? b[f] : 0) * first + shift) * slope;
    if (!after) return;
    real scale = behind ? behind[f] : 1;
    after[f] = slope < 0 ? -1 : 1;
    after[F + f] = scale;
    after[2 * F + f] = (between ? between[F + f] : 0) * scale + (behind ? behind[F + f] : 0);
}
