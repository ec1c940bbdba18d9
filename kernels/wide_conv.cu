// The convolution of fused_conv.cu by Hopper's wgmma, for 32 channels and 32 filters in
// tf32.
//
// only sm_90a
// float only
//
// A product has 64 images in its rows: what ONE pixel of each holds, 32 channels, times the
// 32 filters' weights of one tap. So a pixel, a box of 64 images, comes once and serves all
// taps that touch it: each adds to another output. In registers lie two rows of KW
// outputs; a pixel further to the right ends the leftmost column, which is pooled and
// written, and its registers begin a new one. All filters stay in shared memory.
//
// A block has 64 images, two rows of outputs (one after pooling) and CHUNK columns. As in
// wide_gemm.cu the last warp sends for boxes. Pixels outside of the image are left out.
#ifndef CHANNELS    // the layer, as in fused_conv.cu
#define CHANNELS 32
#define FILTERS 32
#define HEIGHT 46
#define WIDTH 46
#define KH 5
#define KW 5
#define PH 0
#define PW 0
#define POOL 1
#define OUT_H 21
#define OUT_W 21
#endif
#ifndef CHUNK       // even
#define CHUNK 14
#define STAGES 8
#endif

#include "fused_output.cuh"
#include "hopper.cuh"

#define WINDOW (1 + POOL)
#define WORKERS 128
#define BOX (64 * 32)            // floats
#define TAPS (KH * KW)
#define PIXEL_COLUMNS (CHUNK + KW - 1)

// The block's place, and which of its pixels lie in the image.
struct Patch {
    int n0, y0, x0;

    __device__ Patch()
        : n0(blockIdx.x * 64), y0(blockIdx.y * 2), x0(blockIdx.z * CHUNK) {}
    __device__ int y(int row) const { return y0 + row - PH; }
    __device__ int x(int column) const { return x0 + column - PW; }
    __device__ bool has(int row, int column) const
    {
        return y(row) >= 0 && y(row) < HEIGHT && x(column) >= 0 && x(column) < WIDTH;
    }
    __device__ int pixels() const
    {
        int rows = min(KH + 1, HEIGHT - y(0)) - max(0, -y(0));
        int columns = min(PIXEL_COLUMNS, WIDTH - x(0)) - max(0, -x(0));
        return max(0, rows) * max(0, columns);
    }
};

// The ring of boxes: where the one of a step lies, and when it is there.
struct Ring {
    Mbarrier *full, *empty;
    float* stages;

    __device__ int at(int step) const { return step % STAGES; }
    __device__ const float* box(int step) const { return stages + at(step) * BOX; }

    // The numbers of a lane in a step's box, once it has come: see wgmma.
    __device__ void take(float (&a)[4][4], int step) const
    {
        int n = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        const float* from = box(step);
        mbarrier_wait(full + at(step), step / STAGES % 2);
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                a[k][e] = to_tf32(from[swizzled(n + e % 2 * 8, 8 * k + t + e / 2 * 4)]);
    }

    // The last warp: send for all pixels of a patch, in the order in which they are used.
    __device__ void fill(const Patch& patch, const TensorMap& x)
    {
        int step = 0;
        for (int column = 0; column < PIXEL_COLUMNS; column++)
            for (int row = 0; row < KH + 1; row++) {
                if (!patch.has(row, column)) continue;
                int s = at(step);
                if (step >= STAGES) mbarrier_wait(empty + s, (step / STAGES + 1) % 2);
                mbarrier_expect(full + s, 4 * BOX);
                load_box(stages + s * BOX, x, 0, patch.y(row) * WIDTH + patch.x(column),
                         patch.n0, full + s);
                step++;
            }
    }
};

// Filters as fused_pack sorts them, to rows of 32 channels, one box for each tap.
__device__ inline void place_filters(float* filters, const float* packed)
{
#pragma unroll 1
    for (int i = threadIdx.x; i < TAPS * 1024; i += WORKERS + 32) {
        int lane = i / 2 % 32, f = i / 64 % 4 * 8 + lane / 4, tap = i / 256 % TAPS;
        int c = i / 256 / TAPS * 8 + lane % 4 + i % 2 * 4;
        filters[tap * 1024 + swizzled(f, c)] = to_tf32(packed[i]);
    }
    fence_async();
}

// Two rows of a column of outputs, for the images and filters of this lane: see wgmma.
typedef float Column[2][16];

// Of two numbers, with their places in a window, the larger; of equals, and of two that are
// no numbers, the one whose place comes first.
__device__ inline void join(float& m, int& place, float v, int e)
{
    bool equal = v == m || (v != v && m != m);
    bool later = equal ? e < place : m == m && !(v <= m);
    m = later ? v : m;
    place = later ? e : place;
}

// What becomes of a column of outputs: it is written, or, with pooling, every second one is,
// with the one before.
struct Finish {
    const Patch& patch;
    const float* b;
    const unsigned char* keep;
    float* out;
    unsigned char* codes;
    const float* after;
    int N, relu;
    float scale;
    float left[16];           // of the column before, for pooling: the larger of two rows,
    unsigned int lower;       // and a bit for each, whether it was the second

    // Two neighbouring filters of a lane at a time, to keep registers free.
    __device__ void take(int column, const Column& sums)
    {
        int lane = threadIdx.x % 32, n = patch.n0 + threadIdx.x / 32 * 16 + lane / 4;
        bool ends = !POOL || column % 2;
        if (!ends) lower = 0;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            index_t image = min(n + h * 8, N - 1);
            index_t size = (index_t)OUT_H * OUT_W * FILTERS;
            Output output = {out + image * size, codes ? codes + image * size : 0,
                             keep ? keep + image * size : 0, after, scale, relu};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                int i = 4 * j + 2 * h, f = 8 * j + lane % 4 * 2;
                float2 bias = {0, 0};
                if (b && ends) bias.x = b[f], bias.y = b[f + 1];
#if POOL
                float2 z = {sums[0][i], sums[0][i + 1]};
                int2 place = {0, 0};
                take_larger(z.x, place.x, sums[1][i], 2);
                take_larger(z.y, place.y, sums[1][i + 1], 2);
                if (!ends) {
                    left[i] = z.x, left[i + 1] = z.y;
                    lower |= place.x / 2 << i | place.y / 2 << (i + 1);
                    continue;
                }
                place.x++, place.y++;
                join(z.x, place.x, left[i], (lower >> i & 1) * 2);
                join(z.y, place.y, left[i + 1], (lower >> (i + 1) & 1) * 2);
                if (n + h * 8 < N && patch.y0 / 2 < OUT_H &&
                    (patch.x0 + column) / 2 < OUT_W)
                    output.write(patch.y0 / 2, (patch.x0 + column) / 2, f,
                                 {z.x + bias.x, z.y + bias.y}, place);
#else
#pragma unroll
                for (int r = 0; r < 2; r++)
                    if (n + h * 8 < N && patch.y0 + r < OUT_H && patch.x0 + column < OUT_W)
                        output.write(patch.y0 + r, patch.x0 + column, f,
                                     {sums[r][i] + bias.x, sums[r][i + 1] + bias.y},
                                     {0, 0});
#endif
            }
        }
    }
};

extern "C" __global__ void __launch_bounds__(WORKERS + 32, 1) wide_conv_forward(
    TENSOR_MAP x, const float* packed /*[FILTERS*CHANNELS*KH*KW]*/,
    const float* b /*[FILTERS]?*/,
    const unsigned char* keep /*[N*FILTERS*OUT_H*OUT_W]?*/,
    float* out /*[N*OUT_H*OUT_W*FILTERS]*/,
    unsigned char* codes /*[N*OUT_H*OUT_W*FILTERS]?*/,
    const float* after /*[3*FILTERS]?*/, int N, int relu, float scale)
{
    BOXES_SHARED(shared);
    Mbarrier* barriers = (Mbarrier*)shared;
    float* filters = shared + 256;
    Ring ring = {barriers, barriers + STAGES, filters + TAPS * 1024};
    Patch patch;
    if (threadIdx.x == 0)
        for (int s = 0; s < STAGES; s++) {
            mbarrier_init(ring.full + s, 1);
            mbarrier_init(ring.empty + s, WORKERS / 32);
        }
    place_filters(filters, packed);
    __syncthreads();
    if (threadIdx.x >= WORKERS) {
        if (threadIdx.x == WORKERS) ring.fill(patch, x);
        return;
    }

    Column sums[KW];             // output column i lies in sums[i % KW]
    float a[4][4], next[4][4];   // of this pixel, and of the next while it is multiplied
    Finish finish = {patch, b, keep, out, codes, after, N, relu, scale};
    int step = 0, pixels = patch.pixels();
    if (pixels) ring.take(next, 0);
#pragma unroll 1
    for (int first = 0; first < PIXEL_COLUMNS; first += KW)
#pragma unroll
        for (int p = 0; p < KW; p++) {
            int column = first + p;
            if (column >= PIXEL_COLUMNS) break;
#pragma unroll
            for (int i = 0; i < 16; i++) sums[p][0][i] = sums[p][1][i] = 0;
            // The uppermost pixel is for the first row of outputs alone, the lowest for the
            // second. There is no branch within a group of products, which would make the
            // compiler wait for each.
            auto multiply = [&](int row, bool upper, bool lower) {
                if (!patch.has(row, column)) return;
#pragma unroll
                for (int i = 0; i < 16; i++) a[i / 4][i % 4] = next[i / 4][i % 4];
                wgmma_fence();
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    if (r ? !lower : !upper) continue;
                    const float* taps = filters + (row - r) * KW * 1024;
#pragma unroll
                    for (int kx = 0; kx < KW; kx++)
#pragma unroll
                        for (int k = 0; k < 4; k++)
                            wgmma<32>(sums[(p + KW - kx) % KW][r], a[k],
                                      rows_of(taps + kx * 1024, 8 * k), true);
                }
                wgmma_commit();
                if (step + 1 < pixels) ring.take(next, step + 1);
                wgmma_wait();
                if (threadIdx.x % 32 == 0) mbarrier_arrive(ring.empty + ring.at(step));
                step++;
            };
            multiply(0, true, false);
#pragma unroll 1
            for (int row = 1; row < KH; row++) multiply(row, true, true);
            multiply(KH, false, true);
            if (column >= KW - 1) finish.take(column - KW + 1, sums[(p + 1) % KW]);
        }
}
