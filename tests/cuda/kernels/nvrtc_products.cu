// Planted for tests/cuda/test_sass.py: the same eight products three times, once as
// they should be, once with moves between them, once in a loop that stayed a loop.
// needs sm_80
// float only
#include "mma.cuh"

// Each product reads its operands from where they lie.
extern "C" __global__ void tidy(const float* x /*[n*256]*/, float* y /*[n*128]*/,
                                long long n)
{
    float a[8][4], b[2] = {x[threadIdx.x], x[threadIdx.x + 32]}, d[4] = {};
    const float* from = x + threadIdx.x;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) a[i][j] = from[(4 * i + j) * 32];
    for (int i = 0; i < 8; i++) mma_tf32(d, a[i], b);
    for (int j = 0; j < 4; j++) y[threadIdx.x + 32 * j] = d[j];
}

// Loads of eight bytes put side by side what products do not want side by side.
extern "C" __global__ void moves(const float* x /*[n*256]*/, float* y /*[n*128]*/,
                                 long long n)
{
    float b[2] = {x[threadIdx.x], x[threadIdx.x + 32]}, d[4] = {};
    const float2* from = (const float2*)x + threadIdx.x;
    for (int i = 0; i < 8; i++) {
        float2 even = from[64 * i], odd = from[64 * i + 32];
        float a[4] = {even.x, odd.x, even.y, odd.y};
        mma_tf32(d, a, b);
    }
    for (int j = 0; j < 4; j++) y[threadIdx.x + 32 * j] = d[j];
}

extern "C" __global__ void rolled(const float* x /*[n*256]*/, float* y /*[n*128]*/,
                                  long long n)
{
    float b[2] = {x[threadIdx.x], x[threadIdx.x + 32]}, d[4] = {};
    const float* from = x + threadIdx.x;
#pragma unroll 1
    for (int i = 0; i < 8; i++) {
        float a[4];
        for (int j = 0; j < 4; j++) a[j] = from[(4 * i + j) * 32];
        mma_tf32(d, a, b);
    }
    for (int j = 0; j < 4; j++) y[threadIdx.x + 32 * j] = d[j];
}
