// Products of matrices, C = A B of (M, K) by (K, N), for dense layers, on the tensor cores.
//
// A block makes a tile of C, BM by BN, and goes along K in steps of BK. While it multiplies
// one step, the next STAGES - 1 are on their way from memory to shared memory. Each warp
// makes its own part of the tile, in pieces of 16 by 8, the tensor core's size.
//
// A and B lie in memory along K or down K: see gemm.cu. A tile keeps the direction that its
// matrix has in memory, so every copy is of whole rows.
//
// Images come with CHANNELS channels last, the rows of W belong to channels first: input
// k of x meets row (k % CHANNELS) (D / CHANNELS) + k / CHANNELS of W.
//
// The tensor core multiplies numbers of 10 bits after the point. TF32 = 1 rounds to them.
// TF32 = 0 takes each number as the sum of two such, of which three of four products
// count: as exact as float, at a third of the speed.
#pragma once
#include "mma.cuh"

#ifndef BM
#define BM 64       // a block's tile
#define BN 64
#define BK 32
#define WARPS_M 2   // how it is divided among warps
#define WARPS_N 2
#define STAGES 3
#define RESIDENT 3  // blocks at a time on a multiprocessor, as far as registers go
#endif
#ifndef TF32
#define TF32 0
#endif
#ifndef CHANNELS
#define CHANNELS 1
#endif
#ifndef A_VECTOR    // 4 where rows begin at multiples of 16 bytes, else 1
#define A_VECTOR 4
#define B_VECTOR 4
#define C_VECTOR 4
#endif

#define THREADS (32 * WARPS_M * WARPS_N)
#define PART_M (BM / WARPS_M)
#define PART_N (BN / WARPS_N)
#define PIECES_M (PART_M / 16)
#define PIECES_N (PART_N / 8)

// A matrix in memory. DOWN: k counts its rows, else its columns.
struct Matrix {
    const float* data;
    int rows, columns;
};

// The row of W that input k of x meets.
__device__ inline int weight_row(int k, int D)
{
    unsigned int i = k, channel = i % CHANNELS;
    return channel * (D / CHANNELS) + i / CHANNELS;
}

// --- tiles in shared memory ---------------------------------------------------

// SIZE is the tile's extent across K. A row's pitch is such that the 32 numbers of a
// fragment lie in 32 different banks.
template <int SIZE, bool DOWN> struct Tile {
    static const int rows = DOWN ? BK : SIZE, columns = DOWN ? SIZE : BK;
    static const int pitch = columns + (DOWN ? 8 : 4), size = rows * pitch;

    static __device__ inline float at(const float* tile, int across, int k)
    {
        return DOWN ? tile[k * pitch + across] : tile[across * pitch + k];
    }
};

// Begin to copy 16 bytes as cp_async16 does, or, where there is nothing to copy, zeros.
__device__ inline void copy_or_zero(float* target, const float* source, bool is_inside)
{
#ifdef MF_EMU
    if (is_inside)
        cp_async16(target, source);
    else
        for (int v = 0; v < 4; v++) target[v] = 0;
#else
    unsigned int place = (unsigned int)__cvta_generic_to_shared(target);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place),
                 "l"(source), "r"(is_inside ? 16 : 0)
                 : "memory");
#endif
}

// Begin to fill a tile that starts at (row, column) of its matrix; 0 outside of it.
// PERMUTED: the rows are those of W.
template <class T, int VECTOR, bool PERMUTED>
__device__ inline void load(float* tile, const Matrix& matrix, int row, int column)
{
    const int at_once = THREADS * VECTOR / T::columns;  // rows
    int first = threadIdx.x * VECTOR / T::columns;
    int c = threadIdx.x * VECTOR % T::columns;
#pragma unroll
    for (int r = 0; r < T::rows; r += at_once) {
        int from = row + first + r;
        bool is_inside = from < matrix.rows && column + c < matrix.columns;
        if (PERMUTED) from = weight_row(from, matrix.rows);
        const float* source = matrix.data + (index_t)from * matrix.columns + column + c;
        float* target = tile + (first + r) * T::pitch + c;
        if (VECTOR == 4)
            copy_or_zero(target, source, is_inside);
        else
            *target = is_inside ? *source : 0;
    }
}

// --- one step along K ---------------------------------------------------------

// A warp's part of C, as the tensor core leaves it: see mma_tf32.
struct Part {
    float at[PIECES_M][PIECES_N][4];
};

// A fragment as the sum of what the tensor core can read and, unless TF32, of the rest.
template <int SIZE> struct Fragment {
    float big[SIZE], small[SIZE];

    __device__ inline void put(int i, float x)
    {
        big[i] = to_tf32(x);
        if (!TF32) small[i] = to_tf32(x - big[i]);
    }
};

// part += A B for one step. a, b: the tiles; g, t as in mma_tf32.
template <class A, class B>
__device__ inline void multiply_step(Part& part, const float* a, const float* b, int m,
                                     int n, int g, int t)
{
#pragma unroll
    for (int k = 0; k < BK; k += 8) {
        Fragment<4> fa[PIECES_M];
        Fragment<2> fb[PIECES_N];
#pragma unroll
        for (int i = 0; i < PIECES_M; i++)
            for (int e = 0; e < 4; e++)
                fa[i].put(e, A::at(a, m + 16 * i + g + e % 2 * 8, k + t + e / 2 * 4));
#pragma unroll
        for (int j = 0; j < PIECES_N; j++)
            for (int e = 0; e < 2; e++)
                fb[j].put(e, B::at(b, n + 8 * j + g, k + t + e * 4));
        // The small products first, and one kind after the other, so that no product
        // waits for the one before it.
#pragma unroll
        for (int kind = TF32 ? 2 : 0; kind < 3; kind++)
#pragma unroll
            for (int i = 0; i < PIECES_M; i++)
#pragma unroll
                for (int j = 0; j < PIECES_N; j++)
                    mma_tf32(part.at[i][j], kind == 0 ? fa[i].small : fa[i].big,
                             kind == 1 ? fb[j].small : fb[j].big);
    }
}

// --- a block's tile -----------------------------------------------------------

// The tile of C at (m0, n0), summed over k from `start` to `end`, as rows of BN + 8 in
// `shared`. PERMUTED: B's k or n are rows of W.
#define C_PITCH (BN + 8)

template <bool A_DOWN, bool B_DOWN, bool PERMUTED>
__device__ inline void multiply(float* shared, const Matrix& A, const Matrix& B, int m0,
                                int n0, int start, int end)
{
    typedef Tile<BM, A_DOWN> TileA;
    typedef Tile<BN, B_DOWN> TileB;
    const int stage_size = TileA::size + TileB::size;
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int m = warp / WARPS_N * PART_M, n = warp % WARPS_N * PART_N;
    int steps = (end - start + BK - 1) / BK;
    Part part = {};

    auto begin = [&](int step) {
        if (step < steps) {
            int k = start + step * BK;
            float* stage = shared + step % STAGES * stage_size;
            load<TileA, A_VECTOR, false>(stage, A, A_DOWN ? k : m0, A_DOWN ? m0 : k);
            load<TileB, B_VECTOR, PERMUTED>(stage + TileA::size, B, B_DOWN ? k : n0,
                                            B_DOWN ? n0 : k);
        }
        cp_async_commit();
    };
    for (int step = 0; step < STAGES - 1; step++) begin(step);
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();    // this step has come, and the one before was used by all
        begin(step + STAGES - 1);
        const float* stage = shared + step % STAGES * stage_size;
        multiply_step<TileA, TileB>(part, stage, stage + TileA::size, m, n, g, t);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < PIECES_M; i++)
#pragma unroll
        for (int j = 0; j < PIECES_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                shared[(m + 16 * i + g + e / 2 * 8) * C_PITCH + n + 8 * j + 2 * t + e % 2]
                    = part.at[i][j][e];
    __syncthreads();
}

// Neighbours that go to memory and back in one piece.
struct __align__(4 * C_VECTOR) Pack {
    float at[C_VECTOR];
};

// Call use(m, n, pack) for what of a tile lies within C, (M, N). THREADS threads take part.
template <int ROWS = BM, int COLUMNS = BN, class Use>
__device__ inline void for_each(const float* shared, int m0, int n0, int M, int N, Use use)
{
    const int at_once = THREADS * C_VECTOR / COLUMNS;  // rows
    int first = threadIdx.x * C_VECTOR / COLUMNS, n = threadIdx.x * C_VECTOR % COLUMNS;
    if (n0 + n >= N) return;
#pragma unroll 1
    for (int m = first; m < ROWS && m0 + m < M; m += at_once)
        use(m0 + m, n0 + n, *(const Pack*)(shared + m * (COLUMNS + 8) + n));
}

#define FIRST_M ((int)blockIdx.x * BM)
#define FIRST_N ((int)blockIdx.y * BN)
