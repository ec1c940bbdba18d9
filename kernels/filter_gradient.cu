// The gradient of a convolution's filters and biases, on the tensor core.
//
//     dW[f, c, u, v] = sum over n, i, j of dz[n, i, j, f] x[n, i+u-ph, j+v-pw, c]
//
// x is (N, H, W, C), channels last. dz is the gradient of the convolution's output,
// which exists in shared memory only: what comes is the gradient `dout` of the layer's
// output, after ReLU, pooling and dropout, and `codes`, which say to which element of
// its window each number belongs (0..3 = 2*row + column, 4 = to none).
//
// One mma multiplies dz (16 filters, 8 positions) by x (8 positions, 8 channels). The
// 8 positions are 8 rows of one column j. The same dz meets the columns j ... j+KW-1
// of x, one for each v; all of them stay in registers, and for the next j only one new
// column is read: the others change their names, which costs nothing.
//
// Rows of all images are numbered through, so that the last 8 rows of one image may be
// shared with the next. A block takes bands of 8 rows, COLS columns wide, in turn, and
// keeps its sums in registers to the end. `filter_gradient_sum` adds up the blocks'.
//
// needs sm_80
// float only
#include "partial.cuh"
#include "mma.cuh"

#ifndef CHANNELS
#define CHANNELS 32    // C, of x; a multiple of 8
#define FILTERS 32     // F; a multiple of 8
#define HEIGHT 46      // of x
#define WIDTH 46
#define KH 5           // of the filters
#define KW 5
#define PH 0           // zeros around x
#define PW 0
#define POOL 1         // whether dout is that of 2x2 maxima
#define CODES 1        // whether there are codes
#define TF32 1         // 0: three products of two parts each, as exact as float32
#define COLS 14        // of a band; even if POOL
#define SPAN 2         // so many images may share 8 rows
#define WARPS_F 2      // warps of a block side by side, of 16 filters each
#define WARPS_C 2      // and of TILES_C * 8 channels each
#define TILES_C 2
#endif

enum {
    C = CHANNELS, F = FILTERS, H = HEIGHT, W = WIDTH,
    STEP = POOL ? 2 : 1,                    // a window of dz is STEP x STEP
    Ho = (H + 2 * PH - KH + 1) / STEP, Wo = (W + 2 * PW - KW + 1) / STEP,
    ROWS = Ho * STEP,                       // of dz; the pool drops an odd last one
    PADDED_ROWS = ROWS + KH - 1,            // of x with its zeros
    STRIPS = (Wo * STEP + COLS - 1) / COLS, // bands side by side
    BLOCK_F = 16 * WARPS_F, BLOCK_C = 8 * TILES_C * WARPS_C,
    C_BLOCKS = (C + BLOCK_C - 1) / BLOCK_C,
    WARPS = KH * WARPS_F * WARPS_C, THREADS = 32 * WARPS,
    SLOTS = 8 + SPAN * (KH - 1),            // rows of x that a band needs at most
    X_COLS = COLS + KW - 1,
    // Four rows that are 8 words apart modulo 32 banks, 8 channels of each: all
    // banks are different.
    X_PITCH = X_COLS * BLOCK_C + (40 - X_COLS * BLOCK_C % 32) % 32,
    Z_PITCH = COLS * BLOCK_F + (40 - COLS * BLOCK_F % 32) % 32,
    X_SIZE = SLOTS * X_PITCH, Z_SIZE = 8 * Z_PITCH,
    WINDOWS = 8 / STEP * (COLS / STEP), F_QUADS = BLOCK_F / 4,
    LOADS = (WINDOWS * F_QUADS + THREADS - 1) / THREADS,  // of a thread, of dout
    TAPS = KH * KW
};

// threadIdx.x, asked for wherever it is needed: the compiler would keep what follows
// from it in registers instead, and there are none to spare.
__device__ inline int thread()
{
#ifdef MF_EMU
    return threadIdx.x;
#else
    int number;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(number));
    return number;
#endif
}

// --- what an mma multiplies ---------------------------------------------------

// Numbers for the tensor core, which of each reads the first 19 bits. TF32: they have
// been rounded to that many. Else what it would not read is a second number, rounded.
template <int n> struct Fragment {
    float big[n], small[n];

    __device__ void set(int i, float value)
    {
#if TF32
        big[i] = value;
#else
        big[i] = __uint_as_float(__float_as_uint(value) & 0xffffe000u);
        small[i] = __uint_as_float(__float_as_uint(value - big[i]) + 0x1000);
#endif
    }
};

struct Column { Fragment<2> tile[TILES_C]; };  // of x: 8 rows

typedef float Sums[KW][TILES_C][4];

// sums[v] += dz x of the v-th column from the one called `first`. Products of one kind
// first: three in a row into the same sums would wait for each other.
__device__ inline void multiply(Sums& sums, const Fragment<4>& dz,
                                const Column (&x)[KW], int first)
{
#if !TF32
    #pragma unroll
    for (int i = 0; i < KW * TILES_C; i++)
        mma_tf32(sums[i / TILES_C][i % TILES_C], dz.small,
                 x[(first + i / TILES_C) % KW].tile[i % TILES_C].big);
    #pragma unroll
    for (int i = 0; i < KW * TILES_C; i++)
        mma_tf32(sums[i / TILES_C][i % TILES_C], dz.big,
                 x[(first + i / TILES_C) % KW].tile[i % TILES_C].small);
#endif
    #pragma unroll
    for (int i = 0; i < KW * TILES_C; i++)
        mma_tf32(sums[i / TILES_C][i % TILES_C], dz.big,
                 x[(first + i / TILES_C) % KW].tile[i % TILES_C].big);
}

// A lane's part of a column of x: rows t and t+4 (top and bottom) of channels g.
__device__ inline void load(Column& column, const float* top, const float* bottom)
{
    #pragma unroll
    for (int k = 0; k < TILES_C; k++) {
        column.tile[k].set(0, top[8 * k]);
        column.tile[k].set(1, bottom[8 * k]);
    }
}

__device__ inline void load(Fragment<4>& dz, const float* z)
{
    dz.set(0, z[0]);
    dz.set(1, z[8]);
    dz.set(2, z[4 * Z_PITCH]);
    dz.set(3, z[4 * Z_PITCH + 8]);
}

// One band: 8 rows, COLS columns.
__device__ inline void add_band(Sums& sums, const float* z, const float* top,
                                const float* bottom)
{
    Column x[KW];
    Fragment<4> dz;
    #pragma unroll
    for (int v = 0; v < KW - 1; v++)
        load(x[v], top + v * BLOCK_C, bottom + v * BLOCK_C);
    #pragma unroll 1
    for (int j = 0; j < COLS / KW; j++) {
        #pragma unroll
        for (int i = 0; i < KW; i++) {
            int v = i + KW - 1;
            load(dz, z + i * BLOCK_F);
            load(x[v % KW], top + v * BLOCK_C, bottom + v * BLOCK_C);
            multiply(sums, dz, x, i);
        }
        z += KW * BLOCK_F, top += KW * BLOCK_C, bottom += KW * BLOCK_C;
    }
    #pragma unroll
    for (int i = 0; i < COLS % KW; i++) {
        int v = i + KW - 1;
        load(dz, z + i * BLOCK_F);
        load(x[v % KW], top + v * BLOCK_C, bottom + v * BLOCK_C);
        multiply(sums, dz, x, i);
    }
}

// --- what is read -------------------------------------------------------------

// A band of 8 rows: from row y of image n on, from column j on.
struct Band {
    int n, y, j;

    __device__ Band(int item)
    {
        int row = item / STRIPS * 8;
        n = row / ROWS, y = row - n * ROWS, j = item % STRIPS * COLS;
    }

    // In which image row r of the band is, counted from the first one's.
    __device__ int image(int r) const { return (y + r) / ROWS; }

    // Rows of x that it needs: behind those of each image there are KH-1 more.
    __device__ int slots() const { return 8 + (image(7) + 1) * (KH - 1); }
};

// Begin to copy the rows of x that a band needs: row y + s of the images, each with
// its zeros, one behind the other.
__device__ inline void stage_x(float* to, const float* x, int N, Band band, int c0)
{
    const int quads = BLOCK_C / 4;
    for (int s = thread() / 32; s < band.slots(); s += WARPS) {
        int image = (band.y + s) / PADDED_ROWS;
        int row = band.y + s - image * PADDED_ROWS - PH;
        bool there = band.n + image < N && row >= 0 && row < H;
        const float* from = x + ((band.n + image) * (index_t)H + row) * W * C + c0;
        for (int i = thread() % 32; i < X_COLS * quads; i += 32) {
            int col = band.j + i / quads - PW, c = i % quads * 4;
            float* place = to + s * X_PITCH + 4 * i;
            if (there && col >= 0 && col < W && c0 + c < C)
                cp_async16(place, from + col * C + c);
            else
                *(float4*)place = make_float4(0, 0, 0, 0);
        }
    }
    cp_async_commit();
}

__device__ inline float4 rounded(float4 v)
{
    return make_float4(to_tf32(v.x), to_tf32(v.y), to_tf32(v.z), to_tf32(v.w));
}

// Round what this thread has copied, here and not where it is read: that is KH times.
__device__ inline void round_x(float* xs, Band band)
{
    for (int s = thread() / 32; s < band.slots(); s += WARPS)
        for (int i = thread() % 32; i < X_COLS * BLOCK_C / 4; i += 32) {
            float4* place = (float4*)(xs + s * X_PITCH + 4 * i);
            *place = rounded(*place);
        }
}

// Begin to copy four numbers of dout; returned is where in their windows they belong.
// A byte for each.
__device__ inline unsigned int fetch(float4* to, const float* dout,
                                     const unsigned char* codes, int N, Band band,
                                     int f0, int k)
{
    int window = k / F_QUADS, f = f0 + k % F_QUADS * 4;
    int row = band.y / STEP + window / (COLS / STEP);
    int col = band.j / STEP + window % (COLS / STEP);
    int n = band.n + row / Ho;
    if (window >= WINDOWS || col >= Wo || n >= N || f >= F) {
        *to = make_float4(0, 0, 0, 0);
        return 0;
    }
    index_t at = (((index_t)n * Ho + row % Ho) * Wo + col) * F + f;
    cp_async16(to, dout + at);
    return CODES ? *(const unsigned int*)(codes + at) : 0;
}

__device__ inline int byte(unsigned int bytes, int i) { return bytes >> 8 * i & 255; }

// The window of dz that four numbers of dout make.
__device__ inline void put(float* dz, float4 v, unsigned int code, int k)
{
    int window = k / F_QUADS;
    if (window >= WINDOWS) return;
    float* corner = dz + window / (COLS / STEP) * STEP * Z_PITCH
                  + window % (COLS / STEP) * STEP * BLOCK_F + k % F_QUADS * 4;
#if TF32
    v = rounded(v);
#endif
    #pragma unroll
    for (int e = 0; e < STEP * STEP; e++)
        *(float4*)(corner + e / STEP * Z_PITCH + e % STEP * BLOCK_F) = make_float4(
            byte(code, 0) == e ? v.x : 0, byte(code, 1) == e ? v.y : 0,
            byte(code, 2) == e ? v.z : 0, byte(code, 3) == e ? v.w : 0);
}

// What four numbers of dout add to the gradient of the biases.
__device__ inline void add(float4& sum, float4 v, unsigned int code)
{
    if (byte(code, 0) < 4) sum.x += v.x;
    if (byte(code, 1) < 4) sum.y += v.y;
    if (byte(code, 2) < 4) sum.z += v.z;
    if (byte(code, 3) < 4) sum.w += v.w;
}

// Which sums a thread has: lane 4g + t of a warp that has row u of the filters, and
// tiles of filters from f on, of channels from c on.
struct Place {
    int g, t, u, f, c;

    __device__ Place()
    {
        int lane = thread() % 32, warp = thread() / 32;
        g = lane / 4, t = lane % 4, u = warp % KH;
        f = warp / KH % WARPS_F * 16, c = warp / KH / WARPS_F * (8 * TILES_C);
    }
};

// --- the kernels --------------------------------------------------------------

// Each block leaves its sums: (u, v, f, c), then f.
// Grid (splits, blocks of filters * blocks of channels), THREADS threads.
extern "C" __global__ void __launch_bounds__(THREADS, 1) filter_gradient(
    const float* x /*[N*HEIGHT*WIDTH*CHANNELS]*/, const float* dout /*[outputs]*/,
    const unsigned char* codes /*[outputs]?*/,
    float* partial /*[splits*(KH*KW*FILTERS*CHANNELS+FILTERS)]*/, int N, int splits,
    int items, index_t outputs)
{
    DYN_SHARED(float, shared);
    float* xs = shared;                 // two bands: one is read while one arrives
    float* zs = xs + 2 * X_SIZE;
    // For each thread, so that it needs no registers for them: sums for the biases of
    // four filters, and what it has fetched of dout.
    float4* bias = (float4*)(zs + 2 * Z_SIZE) + thread();
    float4* douts = bias + THREADS;
    int c0 = blockIdx.y % C_BLOCKS * BLOCK_C, f0 = blockIdx.y / C_BLOCKS * BLOCK_F;
    Sums sums = {};
    unsigned int code[LOADS];

    *bias = make_float4(0, 0, 0, 0);

    int item = blockIdx.x;
    if (item < items) {
        for (int i = 0; i < LOADS; i++)
            code[i] = fetch(douts + i * THREADS, dout, codes, N, item, f0,
                            thread() + i * THREADS);
        stage_x(xs, x, N, item, c0);
    }
    for (int now = 0; item < items; now = 1 - now) {
        cp_async_wait<0>();
        for (int i = 0; i < LOADS; i++) {
            float4 v = douts[i * THREADS];
            put(zs + now * Z_SIZE, v, code[i], thread() + i * THREADS);
            add(*bias, v, code[i]);
        }
#if TF32
        round_x(xs + now * X_SIZE, item);
#endif
        __syncthreads();
        Band band(item);
        item += splits;
        if (item < items) {
            for (int i = 0; i < LOADS; i++)
                code[i] = fetch(douts + i * THREADS, dout, codes, N, item, f0,
                                thread() + i * THREADS);
            stage_x(xs + (1 - now) * X_SIZE, x, N, item, c0);
        }
        Place my;
        int top = my.t + band.image(my.t) * (KH - 1) + my.u;
        int bottom = my.t + 4 + band.image(my.t + 4) * (KH - 1) + my.u;
        const float* xb = xs + now * X_SIZE + my.c + my.g;
        const float* zb = zs + now * Z_SIZE + my.t * Z_PITCH + my.f + my.g;
#if TF32
        add_band(sums, zb, xb + top * X_PITCH, xb + bottom * X_PITCH);
#else
        // The tensor core cuts off what it adds to a large sum: a short one first.
        Sums part = {};
        add_band(part, zb, xb + top * X_PITCH, xb + bottom * X_PITCH);
        #pragma unroll
        for (int i = 0; i < KW * TILES_C * 4; i++)
            sums[i / 4 / TILES_C][i / 4 % TILES_C][i % 4] +=
                part[i / 4 / TILES_C][i / 4 % TILES_C][i % 4];
#endif
    }

    Place my;
    float* mine = partial + blockIdx.x * ((index_t)TAPS * F * C + F);
    #pragma unroll
    for (int i = 0; i < KW * TILES_C * 4; i++) {
        int v = i / 4 / TILES_C, k = i / 4 % TILES_C, e = i % 4;
        int f = f0 + my.f + my.g + e / 2 * 8, c = c0 + my.c + 8 * k + 2 * my.t + e % 2;
        if (f < F && c < C)
            mine[((index_t)(my.u * KW + v) * F + f) * C + c] = sums[v][k][e];
    }

    if (c0 > 0) return;
    __syncthreads();
    int f = thread();
    if (f >= BLOCK_F || f0 + f >= F) return;
    // Every F_QUADS-th thread has had the same four filters.
    const float* all = zs + 2 * Z_SIZE + f;
    float total = 0;
    for (int i = 0; i < THREADS / F_QUADS; i++) total += all[i * BLOCK_F];
    mine[(index_t)TAPS * F * C + f0 + f] = total;
}

// Grid ceil((TAPS*F*C + F) / 32), block (32, 8).
extern "C" __global__ void filter_gradient_sum(
    const float* partial /*[splits*(KH*KW*FILTERS*CHANNELS+FILTERS)]*/,
    float* dW /*[FILTERS*CHANNELS*KH*KW]*/, float* db /*[FILTERS]?*/, int splits,
    int flip, float scale)
{
    __shared__ float parts[8][32];
    add_partial_gradients(partial, dW, db, splits, TAPS, F, C, flip, scale, parts);
}
