// What the kernels of image_norm.cu share: the numbers of a thread, and sums over a block.
//
// A thread has PACK neighbouring channels, so that it reads 16 bytes at once. blockDim.x
// threads side by side have those of a pixel, blockDim.y rows of threads share the
// pixels. Both are powers of two.
#pragma once
#include "common.cuh"
#include "windows.cuh"

#ifndef STEP
#define STEP 2                           // 2: max-pooling over windows of 2x2; 1: none
#endif
#ifndef PACK
#define PACK (16 / (int)sizeof(real))
#endif
#ifndef THREADS
#define THREADS 256
#endif

#define AT_ONCE (16 / (int)sizeof(real)) // pixels that a thread loads before it sums

struct __align__(PACK * sizeof(real)) Pack {
    real at[PACK];
};

__device__ inline Pack load(const real* from) { return *(const Pack*)from; }

// PACK numbers of channels, or as many times what stands for them where there are none.
__device__ inline Pack load_or(const real* from, index_t c, real other)
{
    Pack found;
    for (int v = 0; v < PACK; v++) found.at[v] = from ? from[c + v] : other;
    return found;
}

// The first channel of this thread.
__device__ inline index_t my_channel()
{
    return (blockIdx.x * (index_t)blockDim.x + threadIdx.x) * PACK;
}

// The pixels, or windows, of block y of so many: from first on, before end.
struct Piece {
    index_t first, end;

    __device__ Piece(index_t length, index_t piece, index_t pieces)
    {
        index_t each = (length + pieces - 1) / pieces;
        first = piece * each < length ? piece * each : length;
        end = first + each < length ? first + each : length;
    }
};

// --- sums over a block --------------------------------------------------------

// What some numbers of n channels are as far as their variance goes: how many, the
// mean, and the sum of squares around it. Two such sets give that of both (Chan, Golub &
// LeVeque 1983), and no large numbers are taken from each other, as they are in the mean
// of squares less the square of the mean.
template <int n> struct Moments {
    real count, mean[n], squares[n];

    __device__ void join(const Moments& other)
    {
        real both = count + other.count, share = both > 0 ? other.count / both : 0;
        for (int v = 0; v < n; v++) {
            real apart = other.mean[v] - mean[v];
            mean[v] += apart * share;
            squares[v] += other.squares[v] + apart * apart * (count * share);
        }
        count = both;
    }
};

template <int n> struct Sums {
    real of[n];

    __device__ void join(const Sums& other)
    {
        for (int v = 0; v < n; v++) of[v] += other.of[v];
    }
};

// Join what the rows of a block have found; those of row 0 get all of it.
template <class Found> __device__ inline void join_rows(Found& mine, Found* all)
{
    int place = threadIdx.y * blockDim.x + threadIdx.x;
    all[place] = mine;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half) {
            mine.join(all[place + half * blockDim.x]);
            all[place] = mine;
        }
    }
}
