// The last dense layer with softmax and mean cross-entropy, forward and backward in one.
//
// float only
//
//     z = h W + b,  p = softmax(z),  loss = w (log sum of exp(z) - z[t])
//     dz = w (p - [k = t]) / N,  dh = dz W^T,  dW = h^T dz,  db = sum over n of dz
//
// w is the weight of class t. So small a layer, such as 256 by 7, is nothing but launches
// when each of these steps has its own. Here a warp takes a row of h: its lanes multiply
// every 32nd number of it with all columns of W, which lies in shared memory, and after
// one sum over the warp each of them has all scores in its registers.
//
// In plain float: there is not enough to do for the tensor cores.
#include "common.cuh"
#include "reduce.cuh"

#ifndef FEATURES
#define FEATURES 256    // D, the columns of h
#define CLASSES 7       // K
#endif

#define WARPS 8
#define THREADS (32 * WARPS)
#define MOST_ROWS 64            // of a block
#define PITCH (CLASSES | 1)     // odd: 32 rows of W begin in 32 different banks

// The scores of a row of h; every lane gets them all.
__device__ inline void score(const float* h, const float* W, const float* b,
                             float (&z)[CLASSES])
{
#pragma unroll
    for (int k = 0; k < CLASSES; k++) z[k] = 0;
    for (int d = threadIdx.x % 32; d < FEATURES; d += 32) {
        float x = h[d];
#pragma unroll
        for (int k = 0; k < CLASSES; k++) z[k] += x * W[d * PITCH + k];
    }
#pragma unroll
    for (int k = 0; k < CLASSES; k++) z[k] = warp_sum(z[k]) + (b ? b[k] : 0);
}

// Turns scores into their gradient, but for 1 / N, and returns the loss. A number that
// is no class gives NaN, as in loss.cu.
__device__ inline float cross_entropy(float (&z)[CLASSES], int target,
                                      const float* weights)
{
    bool exists = target >= 0 && target < CLASSES;
    float weight = !exists ? NOT_A_NUMBER : weights ? weights[target] : 1;
    float m = z[0], sum = 0, mine = 0;
#pragma unroll
    for (int k = 1; k < CLASSES; k++) m = max_or_nan(m, z[k]);
#pragma unroll
    for (int k = 0; k < CLASSES; k++) {
        if (k == target) mine = z[k] - m;
        z[k] = exp(z[k] - m);
        sum += z[k];
    }
#pragma unroll
    for (int k = 0; k < CLASSES; k++)
        z[k] = weight * (z[k] / sum - (k == target ? 1 : 0));
    return weight == 0 ? 0 : weight * (log(sum) - mine);
}

// A block takes `rows` rows of h, a warp one after the other, and then, if wanted, makes
// its part of dW and db: a thread for each row of W, which reads h again. Row FEATURES
// of a part is db's. Grid P = N / rows, rounded up, block 256.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
head_rows(const float* h /*[N*FEATURES]*/, const float* W /*[FEATURES*CLASSES]*/,
          const float* b /*[CLASSES]?*/, const int* targets /*[N]*/,
          const float* weights /*[CLASSES]?*/, float* logits /*[N*CLASSES]*/,
          float* losses /*[N]*/, float* dlogits /*[N*CLASSES]?*/,
          float* dh /*[N*FEATURES]?*/, float* parts /*[P*(FEATURES+1)*CLASSES]?*/, int N,
          int P, int rows)
{
    __shared__ float gradients[MOST_ROWS][CLASSES];
    DYN_SHARED(float, weight);
    int lane = threadIdx.x % 32;
    index_t first = (index_t)blockIdx.x * rows;
    int here = first + rows < N ? rows : (int)(N - first);
    for (int i = threadIdx.x; i < FEATURES * CLASSES; i += THREADS)
        weight[i / CLASSES * PITCH + i % CLASSES] = W[i];
    __syncthreads();
    for (int row = threadIdx.x / 32; row < here; row += WARPS) {
        index_t n = first + row;
        float z[CLASSES];
        score(h + n * FEATURES, weight, b, z);
#pragma unroll
        for (int k = 0; k < CLASSES; k++)
            if (lane == k) logits[n * CLASSES + k] = z[k];
        float loss = cross_entropy(z, targets[n], weights);
        if (lane == 0) losses[n] = loss;
#pragma unroll
        for (int k = 0; k < CLASSES; k++) {
            z[k] /= N;
            if (lane != k) continue;
            gradients[row][k] = z[k];
            if (dlogits) dlogits[n * CLASSES + k] = z[k];
        }
        for (int d = lane; dh && d < FEATURES; d += 32) {
            float sum = 0;
#pragma unroll
            for (int k = 0; k < CLASSES; k++) sum += z[k] * weight[d * PITCH + k];
            dh[n * FEATURES + d] = sum;
        }
    }
    if (!parts) return;
    __syncthreads();
    for (int d = threadIdx.x; d <= FEATURES; d += THREADS) {
        float sum[CLASSES] = {};
        for (int row = 0; row < here; row++) {
            float x = d < FEATURES ? h[(first + row) * FEATURES + d] : 1;
#pragma unroll
            for (int k = 0; k < CLASSES; k++) sum[k] += x * gradients[row][k];
        }
        float* mine = parts + ((index_t)blockIdx.x * (FEATURES + 1) + d) * CLASSES;
#pragma unroll
        for (int k = 0; k < CLASSES; k++) mine[k] = sum[k];
    }
}

// dW and db as sums of the blocks' parts, in their order.
extern "C" __global__ void head_sum(const float* parts /*[P*(FEATURES+1)*CLASSES]*/,
                                    float* dW /*[FEATURES*CLASSES]?*/,
                                    float* db /*[CLASSES]?*/, int P)
{
    const int size = (FEATURES + 1) * CLASSES, db_start = FEATURES * CLASSES;
    int i = GLOBAL_INDEX;
    if (i >= size) return;
    float sum = 0;
#pragma unroll 8
    for (int p = 0; p < P; p++) sum += parts[(index_t)p * size + i];
    if (i < db_start) {
        if (dW) dW[i] = sum;
    } else if (db) {
        db[i - db_start] = sum;
    }
}
