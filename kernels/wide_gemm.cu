// The products of a dense layer by Hopper's wgmma, for large tf32 products.
//
// only sm_90a
// float only
//
//     forward          z^T = W^T x^T     W (D, U) down K,      x (N, D) along K
//     input gradient   dx  = dz W^T      dz (N, U) along K,    W along K
//     weight gradient  dW  = x^T dz      x down K,             dz^T (U, N) along K
//
// wgmma takes its second matrix from shared memory, as rows along K and in no other way: so
// the forward pass makes z^T, and dz is transposed first. Its first comes in registers, from
// where each lane finds it, along K or down K, and is rounded there; what TMA brings
// of the second it rounds on the way.
//
// Two groups of four warps compute; each has 64 rows of a tile (128, WIDE). A ninth warp
// sends for boxes, STAGES steps ahead: it waits until a stage is empty, the others until
// it is full. As in gemm.cuh images come with CHANNELS channels last, and W's rows belong
// to channels first: an array (D, U) is (CHANNELS, D / CHANNELS, U) here, so that a box
// has 32 inputs that lie side by side in x. CHANNELS is 1 or a multiple of 32.
#ifndef WIDE        // the tile's columns: 64 or 128
#define WIDE 128
#define STAGES 4
#endif
#define BM 128      // of C, for gemm_update.cuh and for_each
#define BN WIDE
#define BK 32
#define WARPS_M 8
#define WARPS_N 1
#define RESIDENT 1
#define TF32 1
#include "gemm_update.cuh"
#include "hopper.cuh"

#define A_BOX (BM * BK)          // floats of a stage's first matrix
#define B_BOX (WIDE * BK)
#define ALL_THREADS (THREADS + 32)

// A box of 32 u by 32 d of W, which begins at d = d0.
__device__ inline void load_weights(float* target, const TensorMap& W, int u, int d0,
                                    Mbarrier* barrier)
{
    load_box(target, W, u, d0 / CHANNELS, d0 % CHANNELS, barrier);
}

// The first matrix's numbers of this lane, for one step along K: see wgmma. It lies in a
// box of 128 rows along K, or DOWN K in four boxes of 32 columns.
template <bool DOWN>
__device__ inline void take(float (&a)[BK / 8][4], const float* box)
{
    int m = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < BK / 8; s++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int row = m + e % 2 * 8, k = 8 * s + t + e / 2 * 4;
            a[s][e] = to_tf32(DOWN ? box[row / 32 * 1024 + swizzled(k, row % 32)]
                                   : box[swizzled(row, k)]);
        }
}

// The tile in shared memory: rows of WIDE + 8, or, TURNED, columns of BM + 8. load(box_a,
// box_b, k, barrier) sends for step k's boxes.
template <bool DOWN, bool TURNED, class Load>
__device__ inline void multiply_wide(float* shared, int start, int end, Load load)
{
    Mbarrier* full = (Mbarrier*)shared;        // in the first 1024 bytes
    Mbarrier* empty = full + STAGES;
    float* stages = shared + 256;
    int steps = (end - start + BK - 1) / BK, warp = threadIdx.x / 32;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            mbarrier_init(full + s, 1);
            mbarrier_init(empty + s, THREADS / 32);
        }
        fence_async();
    }
    __syncthreads();
    float sums[WIDE / 2];
    if (warp == THREADS / 32) {
        for (int step = 0; step < steps && threadIdx.x % 32 == 0; step++) {
            int s = step % STAGES;
            float* stage = stages + s * (A_BOX + B_BOX);
            if (step >= STAGES) mbarrier_wait(empty + s, (step / STAGES + 1) % 2);
            mbarrier_expect(full + s, 4 * (A_BOX + B_BOX));
            load(stage, stage + A_BOX, start + step * BK, full + s);
        }
    } else {
        float a[2][BK / 8][4];   // of this step, and of the next while it is computed
        mbarrier_wait(full, 0);
        take<DOWN>(a[0], stages);
#pragma unroll 1
        for (int two = 0; two < steps; two += 2)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int step = two + i, s = step % STAGES, next = (step + 1) % STAGES;
                if (step >= steps) break;
                const float* stage = stages + s * (A_BOX + B_BOX);
                wgmma_fence();
#pragma unroll
                for (int k = 0; k < BK / 8; k++)
                    wgmma<WIDE>(sums, a[i][k], rows_of(stage + A_BOX, 8 * k), step + k > 0);
                wgmma_commit();
                if (step + 1 < steps) {
                    mbarrier_wait(full + next, (step + 1) / STAGES % 2);
                    take<DOWN>(a[1 - i], stages + next * (A_BOX + B_BOX));
                }
                wgmma_wait();
                if (threadIdx.x % 32 == 0) mbarrier_arrive(empty + s);
            }
    }
    __syncthreads();             // the stages are free for the tile
    int m = warp * 16 + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    if (warp < THREADS / 32)
#pragma unroll
        for (int i = 0; i < WIDE / 2; i++) {
            int row = m + i / 2 % 2 * 8, column = i / 4 * 8 + 2 * t + i % 2;
            shared[TURNED ? column * (BM + 8) + row : row * (WIDE + 8) + column] = sums[i];
        }
    __syncthreads();
}

// Grid (N / WIDE, U / BM, S), rounded up; block z sums over one of S pieces of D, each of
// `length`, a multiple of BK.
extern "C" __global__ void __launch_bounds__(ALL_THREADS, 1)
wide_forward(TENSOR_MAP x, TENSOR_MAP W, float* __restrict__ work /*[S*N*U]*/, int N, int D,
             int U, int S, int length)
{
    BOXES_SHARED(shared);
    int n0 = blockIdx.x * WIDE, u0 = blockIdx.y * BM, start = blockIdx.z * length;
    int end = start + length < D ? start + length : D;
    multiply_wide<true, true>(shared, start, end,
        [&](float* a, float* b, int k, Mbarrier* barrier) {
            for (int i = 0; i < BM / 32; i++)
                load_weights(a + i * 1024, W, u0 + i * 32, k, barrier);
            load_box(b, x, k, n0, 0, barrier);
        });
    if (threadIdx.x >= THREADS) return;
    float* mine = work + (index_t)blockIdx.z * N * U;
    for_each<WIDE, BM>(shared, n0, u0, N, U, [&](int n, int u, const Pack& z) {
        *(Pack*)(mine + (index_t)n * U + u) = z;
    });
}

// Grid (N / BM, D / WIDE), rounded up.
extern "C" __global__ void __launch_bounds__(ALL_THREADS, 1)
wide_input_gradient(TENSOR_MAP dz, TENSOR_MAP W, float* __restrict__ dx /*[N*D]*/, int N,
                    int D, int U)
{
    BOXES_SHARED(shared);
    int n0 = blockIdx.x * BM, d0 = blockIdx.y * WIDE;
    multiply_wide<false, false>(shared, 0, U,
        [&](float* a, float* b, int k, Mbarrier* barrier) {
            load_box(a, dz, k, n0, 0, barrier);
            for (int i = 0; i < WIDE / 32; i++)
                load_weights(b + i * 1024, W, k, d0 + i * 32, barrier);
        });
    if (threadIdx.x >= THREADS) return;
    for_each(shared, n0, d0, N, D, [&](int n, int d, const Pack& g) {
        *(Pack*)(dx + (index_t)n * D + d) = g;
    });
}

// The tile of dW that starts at (d0, u0). turned: dz^T, (U, N).
__device__ inline void weight_tile(float* shared, const TensorMap& x,
                                   const TensorMap& turned, int d0, int u0, int N)
{
    multiply_wide<true, false>(shared, 0, N,
        [&](float* a, float* b, int k, Mbarrier* barrier) {
            for (int i = 0; i < BM / 32; i++)
                load_box(a + i * 1024, x, d0 + i * 32, k, 0, barrier);
            load_box(b, turned, k, u0, 0, barrier);
        });
}

// Grid (D / BM, U / WIDE), rounded up.
extern "C" __global__ void __launch_bounds__(ALL_THREADS, 1)
wide_weight_gradient(TENSOR_MAP x, TENSOR_MAP turned, float* __restrict__ dW /*[D*U]*/,
                     int N, int D, int U)
{
    BOXES_SHARED(shared);
    weight_tile(shared, x, turned, FIRST_M, FIRST_N, N);
    if (threadIdx.x >= THREADS) return;
    for_each(shared, FIRST_M, FIRST_N, D, U, [&](int m, int n, const Pack& d) {
        *(Pack*)(dW + (index_t)weight_row(m, D) * U + n) = d;
    });
}

extern "C" __global__ void __launch_bounds__(ALL_THREADS, 1)
wide_weight_update(TENSOR_MAP x, TENSOR_MAP turned, float* __restrict__ W /*[D*U]*/,
                   float* __restrict__ slot0 /*[D*U]?*/,
                   float* __restrict__ slot1 /*[D*U]?*/,
                   float* __restrict__ slot2 /*[D*U]?*/, int* fine /*[2]*/,
                   const double* numbers /*[8]*/, int N, int D, int U)
{
    BOXES_SHARED(shared);
    if (!*fine) return;          // all threads of all blocks
    weight_tile(shared, x, turned, FIRST_M, FIRST_N, N);
    if (threadIdx.x >= THREADS) return;
    update_tile(shared, FIRST_M, FIRST_N, W, slot0, slot1, slot2, fine, numbers, D, U);
}

// turned = dz^T in rows of `pitch`; what lies behind N stays as it is, since no box reaches
// there. Grid (N / 32, U / 32), rounded up, block (32, 8).
extern "C" __global__ void wide_turn(const float* __restrict__ dz /*[N*U]*/,
                                     float* __restrict__ turned /*[U*pitch]*/, int N, int U,
                                     int pitch)
{
    __shared__ float tile[32][33];
    int n0 = blockIdx.x * 32, u0 = blockIdx.y * 32, x = threadIdx.x;
    for (int y = threadIdx.y; y < 32; y += 8)
        if (n0 + y < N && u0 + x < U) tile[y][x] = dz[(index_t)(n0 + y) * U + u0 + x];
    __syncthreads();
    for (int y = threadIdx.y; y < 32; y += 8)
        if (u0 + y < U && n0 + x < N)
            turned[(index_t)(u0 + y) * pitch + n0 + x] = tile[x][y];
}
