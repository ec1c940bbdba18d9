// What a convolution's sums go through before they are written: bias, ReLU, dropout, codes.
//
// A file that includes this has the layer's sizes as macros: see fused_conv.cu.
#pragma once
#include "common.cuh"

#ifndef AFTER       // 1: what comes out goes through folded batch norms, too
#define AFTER 0
#endif

// Take v if it is larger; NaN beats all numbers. The first of equals stays.
__device__ inline void take_larger(float& m, int& place, float v, int e)
{
    bool larger = m == m && !(v <= m);
    m = larger ? v : m;
    place = larger ? e : place;
}

// What the values of a forward pass go through, and where they go: the places of this
// lane's first value. Further ones are so many rows, columns, filters from it.
struct Output {
    float* out;
    unsigned char* codes;
    const unsigned char* keep;
    const float* after;    // see folding.cu; from this lane's filter on
    float scale;
    int relu;

    // Of two filters: z with its bias, and its place in its window.
    __device__ void write(int row, int col, int f, float2 z, int2 place) const
    {
        int at = (row * OUT_W + col) * FILTERS + f;
        through(z.x, place.x, f, (f * OUT_H + row) * OUT_W + col);
        through(z.y, place.y, f + 1, ((f + 1) * OUT_H + row) * OUT_W + col);
        *(float2*)(out + at) = z;
        if (codes) codes[at] = place.x, codes[at + 1] = place.y;
    }

    __device__ void through(float& z, int& place, int f, int at) const
    {
        bool dead = relu && (AFTER ? z * after[f] : z) <= 0, kept = !keep || keep[at];
        z = dead ? 0 : z;
        if (AFTER) z = z * after[FILTERS + f] + after[2 * FILTERS + f];
        z *= kept ? scale : 0;    // NaN stays NaN
        place = dead || !kept ? 4 : place;
    }
};
