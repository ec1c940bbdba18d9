// What mma.cuh promises, one kernel each, to be run on a GPU and on the emulator.
// needs sm_80
// float only
#include "mma.cuh"

// A block of 32 for each product: a (16, 8) by b (8, 8) is d (16, 8). With `cut` the
// tensor core is given what it will cut, else what has been rounded.
extern "C" __global__ void products(const float* a /*[n*128]*/, const float* b /*[n*64]*/,
                                    float* d /*[n*128]*/, int n, int cut)
{
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    a += blockIdx.x * 128 + 8 * g + t;
    b += blockIdx.x * 64 + 8 * t + g;
    d += blockIdx.x * 128;
    float fa[4] = {a[0], a[64], a[4], a[68]}, fb[2] = {b[0], b[32]}, fd[4] = {};
    for (int i = 0; i < 4 && !cut; i++) fa[i] = to_tf32(fa[i]);
    for (int i = 0; i < 2 && !cut; i++) fb[i] = to_tf32(fb[i]);
    mma_tf32(fd, fa, fb);
    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = fd[i];
}

extern "C" __global__ void rounded(const float* x /*[n]*/, float* y /*[n]*/, int n)
{
    if (GLOBAL_INDEX < n) y[GLOBAL_INDEX] = to_tf32(x[GLOBAL_INDEX]);
}

// One block of 64 turns pieces of 256 numbers round, while the next is on its way.
extern "C" __global__ void copies(const float* x /*[n*256]*/, float* y /*[n*256]*/, int n)
{
    __shared__ float4 piece[2][64];
    int i = threadIdx.x;
    cp_async16(&piece[0][i], x + 4 * i);
    cp_async_commit();
    for (int k = 0; k < n; k++) {
        if (k + 1 < n) cp_async16(&piece[(k + 1) % 2][i], x + (k + 1) * 256 + 4 * i);
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();
        float4 v = piece[k % 2][63 - i];
        ((float4*)y)[k * 64 + i] = make_float4(v.w, v.z, v.y, v.x);
        __syncthreads();
    }
}
