// C = A B, for float and double, of matrices that lie in either order, or of many.
//
// What a graph can hold in place of cuBLAS, which CuPy does not let be captured. A block
// makes a tile of 64 by 64 sums, a thread 4 by 4 of them; K is taken STEP at a time. The
// dense layers and convolutions with kernels of their own (gemm.cu, fused_conv.cu) are
// faster, but for float and for some shapes only.
#include "common.cuh"

#ifndef A_DOWN      // whether A and B lie column by column
#define A_DOWN 0
#define B_DOWN 0
#endif

#define TILE 64
#define STEP 16
#define OWN 4    // rows and columns of a thread

// An element of a matrix of rows (DOWN 0) or of columns (DOWN 1), 0 outside of it.
template <int DOWN>
__device__ real element(const real* M, int row, int column, int rows, int columns)
{
    if (row >= rows || column >= columns) return 0;
    return DOWN ? M[(index_t)column * rows + row] : M[(index_t)row * columns + column];
}

// C (M, N) = A (M, K) B (K, N); blocks of 256 threads, one for each tile, rows first. Of
// `many` products, A and B may have fewer matrices, which are taken in turn.
extern "C" __global__ void matmul(const real* A /*[lefts*M*K]*/,
                                  const real* B /*[rights*K*N]*/, real* C /*[many*M*N]*/,
                                  index_t M, index_t N, index_t K, index_t lefts,
                                  index_t rights, index_t many)
{
    __shared__ real a[STEP][TILE + 1], b[STEP][TILE + 1];  // + 1: other banks
    const int t = threadIdx.x, across = (N + TILE - 1) / TILE;
    const int tiles = (M + TILE - 1) / TILE * across, tile = blockIdx.x % tiles;
    const index_t which = blockIdx.x / tiles;
    A += which % lefts * M * K, B += which % rights * K * N, C += which * M * N;
    const int row = tile / across * TILE, column = tile % across * TILE;
    const int y = t / 16, x = t % 16;
    real sums[OWN][OWN] = {};
    for (int k = 0; k < K; k += STEP) {
        for (int i = t; i < TILE * STEP; i += 256) {  // neighbours read neighbours
            const int ar = A_DOWN ? i % TILE : i / STEP, ak = A_DOWN ? i / TILE : i % STEP;
            a[ak][ar] = element<A_DOWN>(A, row + ar, k + ak, M, K);
            const int bc = B_DOWN ? i / STEP : i % TILE, bk = B_DOWN ? i % STEP : i / TILE;
            b[bk][bc] = element<B_DOWN>(B, k + bk, column + bc, K, N);
        }
        __syncthreads();
        for (int j = 0; j < STEP; j++) {
            real left[OWN], right[OWN];
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                left[i] = a[j][y + 16 * i];
                right[i] = b[j][x + 16 * i];
            }
#pragma unroll
            for (int u = 0; u < OWN; u++)
#pragma unroll
                for (int v = 0; v < OWN; v++) sums[u][v] += left[u] * right[v];
        }
        __syncthreads();
    }
#pragma unroll
    for (int u = 0; u < OWN; u++)
#pragma unroll
        for (int v = 0; v < OWN; v++) {
            const int r = row + y + 16 * u, c = column + x + 16 * v;
            if (r < M && c < N) C[(index_t)r * N + c] = sums[u][v];
        }
}
