// Small sound kernels, and the mistakes that people make in such kernels.
//
// Compiled as it is, every kernel here is sound. Each macro plants one mistake.
#include "mma.cuh"

#define BLOCK 128

#ifdef SMALL_SHARED
#define ROOM (BLOCK - 1)
#else
#define ROOM BLOCK
#endif

// y[i] = x[i] + x[i+1] within each tile of BLOCK, cyclic; one block does all tiles.
extern "C" __global__ void neighbours(const real* x /*[n]*/, real* y /*[n]*/, index_t n)
{
    __shared__ real tile[ROOM];
    __shared__ real other[4];  // what stands behind a tile that is too small
    int t = threadIdx.x;
    if (t < 4) other[t] = 0;
    for (index_t start = 0; start < n; start += BLOCK) {
        tile[t] = x[start + t];  // stage
#ifndef NO_BARRIER_BEFORE
        __syncthreads();
#endif
#ifdef WRONG_INDEX
        y[start + t] = tile[t] + x[start + t + 1];  // wrong index
#else
        y[start + t] = tile[t] + tile[(t + 1) % BLOCK];  // use
#endif
#ifndef NO_BARRIER_AFTER
        __syncthreads();
#endif
    }
}

// y = 2 x by way of cp.async, four floats a thread, the next tile under way meanwhile.
extern "C" __global__ void pipeline(const float* x /*[n]*/, float* y /*[n]*/, index_t n)
{
    __shared__ float tile[2][4 * BLOCK];
    const int t = 4 * threadIdx.x, step = 4 * BLOCK, tiles = n / step;
    cp_async16(&tile[0][t], x + t);
    cp_async_commit();
    for (int i = 0; i < tiles; i++) {
        if (i + 1 < tiles) cp_async16(&tile[(i + 1) % 2][t], x + (i + 1) * step + t);
        cp_async_commit();
#ifdef WAIT_FOR_LESS
        cp_async_wait<2>();
#elif !defined(NO_WAIT)
        cp_async_wait<1>();
#endif
        __syncthreads();
        for (int j = 0; j < 4; j++) {  // numbers that other threads have copied
            int k = threadIdx.x + j * BLOCK;
            y[i * step + k] = 2 * tile[i % 2][k];
        }
        __syncthreads();
    }
}

// The sum of each row of 32, by shuffles.
extern "C" __global__ void row_sums(const real* x /*[n]*/, real* y /*[n/32]*/,
                                    index_t n)
{
    index_t i = GLOBAL_INDEX;
    real v = x[i];
#ifdef DIVERGENT_SHUFFLE
    if (threadIdx.x % 32 < 31)
#endif
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_down_sync(0xffffffffu, v, d);  // shuffle
    if (threadIdx.x % 32 == 0) y[i / 32] = v;
}

// The largest of a block of four warps; the first warp looks at what the others found.
extern "C" __global__ void largest(const int* x /*[n]*/, int* y /*[n/128]*/, index_t n)
{
    __shared__ int found[BLOCK / 32];
    int v = x[GLOBAL_INDEX], warp = threadIdx.x / 32;
    for (int d = 16; d > 0; d /= 2) v = max(v, __shfl_xor_sync(0xffffffffu, v, d));
    if (threadIdx.x % 32 == 0) found[warp] = v;  // leave
#ifdef RACE_BETWEEN_WARPS
    __syncwarp();
#else
    __syncthreads();
#endif
#ifdef DIVERGENT_BARRIER
    if (warp > 0) return;
    __syncthreads();  // divergent
#endif
    if (threadIdx.x > 0) return;
    for (int w = 1; w < BLOCK / 32; w++) v = max(v, found[w]);  // look
    y[blockIdx.x] = v;
}

// y = x[0], read by all from one place, which the last thread then writes again.
extern "C" __global__ void spread(const int* x /*[n]*/, int* y /*[n]*/, index_t n)
{
    __shared__ int value;
    int t = threadIdx.x;
    if (t == 0) value = x[0];
    __syncthreads();
#ifdef OVERWRITTEN_IN_WARP
    if (t < BLOCK - 32) return;  // only one warp goes on
#endif
    y[GLOBAL_INDEX] = value;
#ifdef OVERWRITTEN_IN_BLOCK
    __syncwarp();  // the lanes of the last warp have read, but have the others?
#elif !defined(OVERWRITTEN_IN_WARP)
    __syncthreads();
#endif
    if (t == BLOCK - 1) value = 0;  // overwrite
}

// Reversed within each warp, by way of shared memory.
extern "C" __global__ void reversed(const real* x /*[n]*/, real* y /*[n]*/, index_t n)
{
    __shared__ real row[BLOCK];
    int t = threadIdx.x;
    row[t] = x[GLOBAL_INDEX];
#ifdef RACE_IN_WARP
    __shfl_sync(0xffffffffu, 0, 0);  // keeps lanes together, but orders no memory
#else
    __syncwarp();
#endif
    y[GLOBAL_INDEX] = row[t ^ 31];  // read
#ifdef RACE_AFTER_SYNC
    row[t] = 0;  // once more
#endif
}

// How many are positive. Blocks share the counter.
extern "C" __global__ void positives(const real* x /*[n]*/, int* count /*[1]*/,
                                     index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n || !(x[i] > 0)) return;
#ifdef RACE_BETWEEN_BLOCKS
    if (threadIdx.x == 0) *count = *count + 1;  // count
#else
    atomicAdd(count, 1);
#endif
}
