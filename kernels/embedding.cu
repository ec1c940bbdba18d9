// Embeddings: a number picks a row of a table.
//
//     y[n] = W[x[n]],   dW[v] = sum of dy[n] over all n with x[n] = v
//
// Numbers come as reals. What is no row's number gives NaN: nothing outside W is read.
#include "common.cuh"

extern "C" __global__ void embedding_forward(const real* x /*[n]*/,
                                             const real* W /*[V*D]*/,
                                             real* y /*[n*D]*/, index_t n, index_t V,
                                             index_t D)
{
    index_t i = GLOBAL_INDEX;
    if (i >= n * D) return;
    index_t at = divided(i, D);
    real number = x[at];
    bool is_row = number >= 0 && number < V && number == floor(number);
    y[i] = is_row ? W[(index_t)number * D + (i - at * D)] : NOT_A_NUMBER;
}

// A block a row of W, which looks through all numbers: neither atomic additions nor
// sorting, and sums always in the same order. Grid (V, pieces of D).
extern "C" __global__ void embedding_backward(const real* x /*[n]*/,
                                              const real* dy /*[n*D]*/,
                                              real* dW /*[V*D]*/, index_t n, index_t V,
                                              index_t D)
{
    index_t v = blockIdx.x, d = blockIdx.y * (index_t)blockDim.x + threadIdx.x;
    if (d >= D) return;
    real total = 0;
    for (index_t i = 0; i < n; i++)
        if (x[i] == v) total += dy[i * D + d];
    dW[v * D + d] = total;
}
