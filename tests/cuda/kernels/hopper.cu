// Hopper's copies, barriers and products, and the mistakes that people make with them.
//
// Every kernel here is sound, but for the mistake that `ring` is asked to make.
// only sm_90a
// float only
#include "hopper.cuh"

#define BOX (64 * 32)

enum Mistake { NONE, WRONG_PHASE, NO_WAIT_FOR_EMPTY, NO_FENCE_OF_BARRIERS,
               STORES_WITHOUT_FENCE, NO_WGMMA_FENCE, MIDDLE_OF_A_PATTERN, TOO_FEW_BYTES,
               TOO_MANY_BYTES, CHANGES_REGISTERS, STORES_TOO_EARLY, ARRIVES_TOO_EARLY,
               ARRIVES_TOO_OFTEN, A_WARP_MISSES, NO_WGMMA_WAIT };

// y = a b^T for a and b (64, K), K = 32 steps: four warps compute, a fifth sends for boxes.
extern "C" __global__ void __launch_bounds__(160) ring(TENSOR_MAP a, TENSOR_MAP b,
                                                       float* y /*[4096]*/, int steps,
                                                       int stages, int mistake)
{
    BOXES_SHARED(shared);
    Mbarrier *full = (Mbarrier*)shared, *empty = full + stages;
    float* boxes = shared + 256;
    if (threadIdx.x == 0) {
        for (int s = 0; s < stages; s++) mbarrier_init(full + s, 1);
        for (int s = 0; s < stages; s++) mbarrier_init(empty + s, 4);
        if (mistake != NO_FENCE_OF_BARRIERS) fence_async();
    }
    __syncthreads();
    float sums[32], fa[4][4];
    if (threadIdx.x == 128) {
        for (int i = 0; i < steps; i++) {
            int s = i % stages;
            if (i >= stages && mistake != NO_WAIT_FOR_EMPTY)
                mbarrier_wait(empty + s, (i / stages + 1) % 2);
            mbarrier_expect(full + s, 2 * 4 * BOX - (mistake == TOO_FEW_BYTES) * 128 +
                                          (mistake == TOO_MANY_BYTES) * 128);
            load_box(boxes + s * 2 * BOX, a, i * 32, 0, 0, full + s);
            load_box(boxes + s * 2 * BOX + BOX, b, i * 32, 0, 0, full + s);
        }
    } else if (threadIdx.x < 128) {
        int m = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        bool is_first = threadIdx.x == 0;
        for (int i = 0; i < steps; i++) {
            int s = i % stages, next = i + 1;
            float *box_a = boxes + s * 2 * BOX, *box_b = box_a + BOX;
            mbarrier_wait(full + s, (i / stages + (mistake == WRONG_PHASE)) % 2);
            for (int k = 0; k < 4; k++)
                for (int e = 0; e < 4; e++)
                    fa[k][e] = to_tf32(box_a[swizzled(m + e % 2 * 8, 8 * k + t + e / 2 * 4)]);
            if (mistake == STORES_WITHOUT_FENCE && is_first) box_b[swizzled(3, 5)] *= 2;
            __syncwarp();
            if (mistake != NO_WGMMA_FENCE) wgmma_fence();
            if (mistake != A_WARP_MISSES || threadIdx.x / 32 != 2 || i)
                for (int k = 0; k < 4; k++)
                    wgmma<64>(sums, fa[k],
                              rows_of(box_b + (mistake == MIDDLE_OF_A_PATTERN) * 32, 8 * k),
                              i + k > 0);
            wgmma_commit();
            if (mistake == CHANGES_REGISTERS) fa[1][2] += 1;
            if (mistake == STORES_TOO_EARLY && is_first) box_b[7] = 0;
            if (mistake == ARRIVES_TOO_EARLY) {
                if (threadIdx.x % 32 == 0) mbarrier_arrive(empty + s);
                if (next < steps) mbarrier_wait(full + next % stages, next / stages % 2);
            }
            if (mistake != NO_WGMMA_WAIT) wgmma_wait();
            if (threadIdx.x % 32 == 0 && mistake != ARRIVES_TOO_EARLY)
                mbarrier_arrive(empty + s);
            if (threadIdx.x % 32 == 1 && mistake == ARRIVES_TOO_OFTEN)
                mbarrier_arrive(empty + s);
        }
        for (int i = 0; i < 32; i++)
            y[(m + i / 2 % 2 * 8) * 64 + i / 4 * 8 + 2 * t + i % 2] = sums[i];
    }
    __syncthreads();
}

// d = a b for a (64, 8) and a picture of shared memory that holds b, by a descriptor that
// lacks nothing but where shared memory begins.
extern "C" __global__ void described(const float* a /*[512]*/, const float* picture /*[n]*/,
                                     float* d /*[4096]*/, int n,
                                     unsigned long long descriptor)
{
    BOXES_SHARED(shared);
    for (int i = threadIdx.x; i < n; i += 128) shared[i] = picture[i];
    fence_async();
    __syncthreads();
    int m = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float fa[4] = {a[m * 8 + t], a[m * 8 + 64 + t], a[m * 8 + t + 4],
                         a[m * 8 + 64 + t + 4]};
    float sums[32];
    wgmma_fence();
    wgmma<64>(sums, fa, descriptor + (shared_place(shared) >> 4), false);
    wgmma_commit();
    wgmma_wait();
    for (int i = 0; i < 32; i++)
        d[(m + i / 2 % 2 * 8) * 64 + i / 4 * 8 + 2 * t + i % 2] = sums[i];
}

// The box that begins at (x, y, z), rows of 32 in order. One thread.
extern "C" __global__ void box(TENSOR_MAP from, float* out /*[32*rows]*/, int rows, int x,
                               int y, int z)
{
    BOXES_SHARED(shared);
    Mbarrier* full = (Mbarrier*)shared;
    mbarrier_init(full, 1);
    fence_async();
    mbarrier_expect(full, rows * 128);
    load_box(shared + 256, from, x, y, z, full);
    mbarrier_wait(full, 0);
    for (int i = 0; i < rows * 32; i++) out[i] = shared[256 + swizzled(i / 32, i % 32)];
}
