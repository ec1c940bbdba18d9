// What the emulator's own tests run: one kernel for each thing it offers.
#include "mma.cuh"
#include "emulator_part.cuh"

// Each thread writes who it is.
extern "C" __global__ void places(int* out /*[9*n]*/, int n)
{
    uint3 b = blockIdx, t = threadIdx;
    int block = (b.z * gridDim.y + b.y) * gridDim.x + b.x;
    int threads = blockDim.x * blockDim.y * blockDim.z;
    int me = (t.z * blockDim.y + t.y) * blockDim.x + t.x;
    int* row = out + 9 * (block * threads + me);
    int values[9] = {(int)b.x, (int)b.y, (int)b.z, (int)t.x, (int)t.y, (int)t.z, n,
                     warpSize, (int)GLOBAL_INDEX};
    for (int i = 0; i < 9; i++) row[i] = values[i];
}

extern "C" __global__ void shuffles(const double* x /*[n]*/, double* out /*[5*n]*/,
                                    int n, int by, int width)
{
    double v = x[threadIdx.x];
    double* mine = out + 5 * threadIdx.x;
    mine[0] = __shfl_sync(~0u, v, by, width);
    mine[1] = __shfl_up_sync(~0u, v, by, width);
    mine[2] = __shfl_down_sync(~0u, v, by, width);
    mine[3] = __shfl_xor_sync(~0u, v, by, width);
    mine[4] = __shfl_xor_sync(~0u, (int)v, 1);
}

extern "C" __global__ void votes(const int* x /*[n]*/, unsigned int* out /*[4*n]*/,
                                 int n)
{
    int i = threadIdx.x;
    out[4 * i] = __ballot_sync(~0u, x[i]);
    out[4 * i + 1] = __any_sync(~0u, x[i]);
    out[4 * i + 2] = __all_sync(~0u, x[i]);
    out[4 * i + 3] = i % 32 < 16 ? __ballot_sync(0xffffu, x[i])
                                 : __ballot_sync(0xffff0000u, x[i]);
}

extern "C" __global__ void atomics(int* out /*[7]*/)
{
    int i = threadIdx.x;
    atomicAdd(out, i);
    atomicSub(out + 1, 2);
    atomicMax(&out[2], i);
    atomicMin(&out[3], -i);
    atomicOr(out + 4, 1 << i % 8);
    atomicExch(out + 5, 7);
    atomicCAS(out + 6, 0, i + 1);  // only the first finds 0
}

// What is not written is NaN, in static and in dynamic shared memory, in every block.
extern "C" __global__ void unwritten(real* out /*[2*n]*/, int n)
{
    __shared__ real fixed[32];
    DYN_SHARED(real, dynamic);
    int i = threadIdx.x;
    if (i < 16) fixed[i] = dynamic[i] = i;
    __syncthreads();
    out[2 * GLOBAL_INDEX] = fixed[i];
    out[2 * GLOBAL_INDEX + 1] = dynamic[i];
}

// With `cut` the tensor core is given what it will cut, else what is rounded before.
extern "C" __global__ void product(const float* a /*[128]*/, const float* b /*[64]*/,
                                   float* d /*[128]*/, int cut)
{
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    a += 8 * g + t;
    float fa[4] = {a[0], a[64], a[4], a[68]};
    float fb[2] = {b[8 * t + g], b[8 * t + 32 + g]}, fd[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4 && !cut; i++) fa[i] = to_tf32(fa[i]);
    for (int i = 0; i < 2 && !cut; i++) fb[i] = to_tf32(fb[i]);
    mma_tf32(fd, fa, fb);
    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = fd[i];
}

extern "C" __global__ void rounded(const float* x /*[n]*/, float* y /*[n]*/, int n)
{
    if (GLOBAL_INDEX < n) y[GLOBAL_INDEX] = to_tf32(x[GLOBAL_INDEX]);
}

extern "C" __global__ void numbers(real* y /*[6]*/, unsigned long long* bits /*[4]*/)
{
    real values[6] = {REAL_INFINITY, NOT_A_NUMBER, REAL_MAX, REAL_EPSILON,
                      rsqrt((real)4), min((real)2, max((real)1, (real)-1))};
    for (int i = 0; i < 6; i++) y[i] = values[i];
    bits[0] = __umul64hi(0xD2E7470EE14C6C93ull, 0xCA5A826395121157ull);
    bits[1] = __umulhi(0xfffffff0u, 0x12345678u);
    bits[2] = __popc(0xf0f0u) + 100 * __clz(1) + 10000 * __ffs(8);
    bits[3] = __float_as_uint(__int_as_float(0x3f800001));
}

// y[i] = x[i] + 1; x and y may be the same or overlap.
extern "C" __global__ void one_more(const real* x /*[n]*/, real* y /*[n]*/, int n)
{
    if (GLOBAL_INDEX < n) y[GLOBAL_INDEX] = x[GLOBAL_INDEX] + 1;
}

extern "C" __global__ void four_at_once(const float* x /*[n]*/, float* y /*[n]*/, int n)
{
    float4 v = reinterpret_cast<const float4*>(x)[threadIdx.x];
    reinterpret_cast<float4*>(y)[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
}

extern "C" __global__ void table(int* y /*[n]*/, int n)
{
    static const int squares[] = {0, 1, 4, 9, 16, 25, 36, 49};
    static const int cubes[] = {0, 1, 8, 27, 64, 125, 216, 343};
    const int* powers = threadIdx.x % 2 ? cubes : squares;
    if (GLOBAL_INDEX < n) y[GLOBAL_INDEX] = powers[GLOBAL_INDEX];
}

extern "C" __global__ void past_dynamic(real* y /*[n]*/, int n)
{
    DYN_SHARED(real, room);
    room[threadIdx.x] = y[threadIdx.x];  // past dynamic
}

// The last column of a row is not the first of the next.
extern "C" __global__ void columns(int* y /*[n]*/, int n)
{
    __shared__ int rows[4][8];
    int sums[4] = {0, 0, 0, 0};
    rows[0][threadIdx.x] = 0;  // columns
    sums[n] = 1;               // sums
    y[threadIdx.x] = sums[n - 1];
}

// The same where g++ sees no array but an address: gaps lie around each.
extern "C" __global__ void near(int* y /*[n]*/, int n)
{
    __shared__ int first[4];
    __shared__ int second[4];
    __shared__ int third[4];
    int *a = first, *b = second, *c = third;
    a[threadIdx.x % 4] = b[threadIdx.x % 4] = c[threadIdx.x % 4] = 0;
    b[n] = 1;  // shared
    y[0] = a[0] + c[0];
}

extern "C" __global__ void far(const real* x /*[n]*/, real* y /*[n]*/, int at)
{
    y[0] = x[at];
}

extern "C" __global__ void before(real* y /*[n]*/, int n) { y[0] = y[-n]; }

extern "C" __global__ void part(real* y /*[n]*/, int n) { set_beyond(y, n); }

// Meetings that never come about, by `how`.
extern "C" __global__ void stuck(int* y /*[1]*/, int how)
{
    int lane = threadIdx.x;
    if (how == 0) {
        if (lane < 16) __syncthreads();  // half here
        else __syncthreads();
    } else if (how == 1) {
        __shfl_sync(1u, lane, 0);  // not in the mask
    } else if (how == 2) {
        if (lane == 0) __syncwarp();  // alone
        else __syncthreads();
    } else if (how == 3) {
        __ballot_sync(lane < 2 ? 0x3u : ~0u, 1);  // two masks
        __syncthreads();
    } else if (how == 4) {
        __ballot_sync(lane == 0 ? 0x3u : ~0u, 1);
    }
    if (lane == 0) *y = 1;
}
