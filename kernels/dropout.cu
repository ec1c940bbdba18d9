// Dropout, with masks drawn where they are used.
//
//     y = x * factor,   factor = keep ? scale : 0,   scale = 1/(1-p) or 1
//
// The masks come from Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"), with key and counter as NumPy's generator sets them, so that they
// are, bit for bit, those of the CPU. A counter goes through ten rounds of multiply and
// xor, and comes out as 256 random bits: any part of a mask can be drawn by any thread,
// in any order, and be drawn again instead of being kept. 16 bits decide about one
// element, which stays if they are >= threshold = round(65536 p).
#include "common.cuh"
#include "philox.cuh"

#define DRAWS 256  // threads of a block that draws; each draws for 16 elements
#define SHARE (16 * DRAWS)

// Bit i tells whether element 16*block + i of the mask of this step is kept.
__device__ inline unsigned int keep_bits(word block, word key0, word key1, word step,
                                         int threshold)
{
    word c[4];
    philox(c, block, key0, key1, step);
    unsigned int bits = 0;
    for (int i = 0; i < 16; i++)
        if ((int)(c[i / 4] >> 16 * (i % 4) & 0xFFFF) >= threshold) bits |= 1u << i;
    return bits;
}

// Elements start … start + n of a mask. The plain way: every thread draws 16 elements
// and uses one of them.
extern "C" __global__ void keep_mask_naive(
    unsigned char* mask /*[n]*/, index_t n, index_t start, unsigned long long key0,
    unsigned long long key1, unsigned long long step, int threshold)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n) return;
    index_t place = start + i;
    mask[i] = keep_bits(place / 16, key0, key1, step, threshold) >> place % 16 & 1;
}

// Better: a thread draws for 16 elements and leaves them in shared memory, from where
// the block writes neighbouring elements by neighbouring threads.
extern "C" __global__ void keep_mask(
    unsigned char* mask /*[n]*/, index_t n, index_t start, unsigned long long key0,
    unsigned long long key1, unsigned long long step, int threshold)
{
    __shared__ unsigned int bits[DRAWS];
    bits[threadIdx.x] = keep_bits(start / 16 + GLOBAL_INDEX, key0, key1, step, threshold);
    __syncthreads();
    index_t first = (index_t)blockIdx.x * SHARE - start % 16;
    for (int j = threadIdx.x; j < SHARE; j += DRAWS) {
        index_t i = first + j;
        if (i >= 0 && i < n) mask[i] = bits[j / 16] >> j % 16 & 1;
    }
}

// The same for a recorded step, which cannot be told the stream's step: it reads that
// from the device's memory. A double counts exactly up to 2^53.
extern "C" __global__ void draw_mask(
    unsigned char* mask /*[n]*/, index_t n, index_t start, unsigned long long key0,
    unsigned long long key1, int threshold, const double* numbers /*[count]*/,
    index_t count, index_t index)
{
    __shared__ unsigned int bits[DRAWS];
    bits[threadIdx.x] = keep_bits(start / 16 + GLOBAL_INDEX, key0, key1,
                                  (word)numbers[index], threshold);
    __syncthreads();
    index_t first = (index_t)blockIdx.x * SHARE - start % 16;
    for (int j = threadIdx.x; j < SHARE; j += DRAWS) {
        index_t i = first + j;
        if (i >= 0 && i < n) mask[i] = bits[j / 16] >> j % 16 & 1;
    }
}

// Dropout by a given mask; backward is the same, of dy. x * 0 and not 0, so that what
// is not a number stays visible, as on the CPU.
extern "C" __global__ void dropout_masked(const real* x /*[n]*/,
                                          const unsigned char* mask /*[n]*/,
                                          real* y /*[n]*/, index_t n, real scale)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = x[i] * (mask[i] ? scale : 0);
}

// Better: draw and multiply in one. The mask never is in memory: backward draws it
// again from the same key and step, which costs less than writing and reading it.
extern "C" __global__ void dropout_drawn(
    const real* x /*[n]*/, real* y /*[n]*/, index_t n, real scale,
    unsigned long long key0, unsigned long long key1, unsigned long long step,
    int threshold)
{
    __shared__ unsigned int bits[DRAWS];
    bits[threadIdx.x] = keep_bits(GLOBAL_INDEX, key0, key1, step, threshold);
    __syncthreads();
    index_t first = (index_t)blockIdx.x * SHARE;
    for (int j = threadIdx.x; j < SHARE; j += DRAWS) {
        index_t i = first + j;
        if (i < n) y[i] = x[i] * (bits[j / 16] >> j % 16 & 1 ? scale : 0);
    }
}
