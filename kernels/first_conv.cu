// The first convolution of a network, whose input has one to four channels.
//
//     z[n, i, j, f] = sum over c, u, v of x[n, i+u-ph, j+v-pw, c] w[f, c, u, v]
//     out = maxpool2x2(z) + b, ReLU, dropout: what there is of these, in this order
//
// So few channels do not fill a tensor core. A lane is an output channel here: it reads
// its own weights, and the same pixels of x as its neighbours, which costs one read.
// Images are channels last, (N, H, W, C), so neighbours write side by side.
//
// float only
#include "common.cuh"
#include "partial.cuh"

#ifndef CHANNELS
#define CHANNELS 1     // C, of x; 1 to 4
#define FILTERS 32     // F; a multiple of 8
#define HEIGHT 96      // of x
#define WIDTH 96
#define KH 5           // of the filters
#define KW 5
#define PH 0           // zeros around x
#define PW 0
#define POOL 1         // whether 2x2 maxima follow
#define RELU 1
#define LANES 32       // side by side for one place: 8, 16 or 32, and F a multiple
#define STRIP 8        // columns of z that a lane works on at a time: 8, 12 or 16
#define STRIPS 12      // side by side in a block
#endif
#ifndef AFTER
#define AFTER 0        // 1: what comes out goes through folded batch norms, too
#endif

enum {
    C = CHANNELS, F = FILTERS, H = HEIGHT, W = WIDTH, TAPS = KH * KW,
    STEP = POOL ? 2 : 1,
    Ho = (H + 2 * PH - KH + 1) / STEP, Wo = (W + 2 * PW - KW + 1) / STEP,
    PAIRS = 8,                               // of rows of z: what a block works on
    BANDS = (Ho * STEP + 2 * PAIRS - 1) / (2 * PAIRS),
    SIDES = (Wo * STEP + STRIP * STRIPS - 1) / (STRIP * STRIPS),
    X_ROWS = 2 * PAIRS + KH - 1,             // of x, for these
    WINDOW = (STRIP + KW - 1 + 3) / 4 * 4,   // columns of x for a strip, in fours
    X_COLS = (STRIPS - 1) * STRIP + WINDOW,
    PLACES = 32 / LANES,                     // that a warp works on at a time
    FORWARD_BLOCKS = TAPS <= 25 ? 3 : 2      // that registers are left for
};

// A block's part of an image: 16 rows of z from row y on, its strips from column j on.
struct Band {
    int n, y, j;

    __device__ Band(int item)
    {
        j = item % SIDES * STRIP * STRIPS;
        y = item / SIDES % BANDS * 2 * PAIRS;
        n = item / SIDES / BANDS;
    }
};

// x for a band, its channels apart: xs (C, X_ROWS, pitch), with zeros around the image.
__device__ inline void stage_x(float* xs, const float* x, Band band, int cols,
                               int pitch)
{
    for (int i = threadIdx.x; i < X_ROWS * cols * C; i += blockDim.x) {
        int c = i % C, col = i / C % cols, s = i / C / cols;
        int row = band.y + s - PH, at = band.j + col - PW;
        bool there = row >= 0 && row < H && at >= 0 && at < W;
        xs[(c * X_ROWS + s) * pitch + col] =
            there ? x[((band.n * (index_t)H + row) * W + at) * C + c] : 0;
    }
}

// --- forward ------------------------------------------------------------------

// sums[row][s] += x w, for two rows of z and STRIP columns.
// x: the strip's corner in shared memory; w (C, KH, KW, LANES), from this lane on.
__device__ inline void correlate(float (&sums)[2][STRIP], const float* x,
                                 const float* w)
{
    #pragma unroll 1
    for (int c = 0; c < C; c++, x += X_ROWS * X_COLS, w += TAPS * LANES) {
        float weights[2][KW];    // of this row of x for the upper row of z, the lower
        #pragma unroll
        for (int r = 0; r <= KH; r++) {
            float4 quads[WINDOW / 4];
            const float* window = (const float*)quads;
            #pragma unroll
            for (int q = 0; q < WINDOW / 4; q++)
                quads[q] = *(const float4*)(x + r * X_COLS + 4 * q);
            #pragma unroll
            for (int v = 0; v < KW; v++) {
                weights[1][v] = weights[0][v];
                if (r < KH) weights[0][v] = w[(r * KW + v) * LANES];
            }
            #pragma unroll
            for (int v = 0; v < KW; v++)
                #pragma unroll
                for (int s = 0; s < STRIP; s++) {
                    if (r < KH) sums[0][s] += weights[0][v] * window[s + v];
                    if (r > 0) sums[1][s] += weights[1][v] * window[s + v];
                }
        }
    }
}

// Where the output of a strip goes, from its first number on.
struct Output {
    float* out;
    unsigned char* codes;
    const unsigned char* keep;
    const float* after;    // see folding.cu; from this lane's filter on
    float bias, scale;

    // One number, s columns and `row` rows further: from z, the largest of its window,
    // at place `code`.
    __device__ void put(float z, int code, int row, int s) const
    {
        z += bias;
        if (RELU && (AFTER ? z * after[0] : z) <= 0) z = 0, code = 4;
        if (AFTER) z = z * after[F] + after[2 * F];
        if (keep) {
            bool kept = keep[row * Wo + s];
            z *= kept ? scale : 0;
            if (!kept) code = 4;
        }
        out[(row * Wo + s) * F] = z;
        if (codes) codes[(row * Wo + s) * F] = code;
    }
};

// Two rows of z; of the output there are so many rows and columns from here on.
__device__ inline void finish(const float (&z)[2][STRIP], const Output& output,
                              int rows, int cols)
{
#if POOL
    #pragma unroll
    for (int s = 0; s < STRIP / 2; s++) {
        if (rows < 1 || s >= cols) return;
        float largest = z[0][2 * s];
        int code = 0;
        #pragma unroll
        for (int e = 1; e < 4; e++) {
            float one = z[e / 2][2 * s + e % 2];
            if (one > largest || one != one) largest = one, code = e;
        }
        output.put(largest, code, 0, s);
    }
#else
    #pragma unroll
    for (int row = 0; row < 2; row++)
        #pragma unroll
        for (int s = 0; s < STRIP; s++) {
            if (row >= rows || s >= cols) break;
            output.put(z[row][s], 0, row, s);
        }
#endif
}

// Grid (N * BANDS * SIDES, F / LANES), 256 threads.
extern "C" __global__ void __launch_bounds__(256, FORWARD_BLOCKS) first_conv_forward(
    const float* x /*[N*HEIGHT*WIDTH*CHANNELS]*/,
    const float* weights /*[FILTERS*CHANNELS*KH*KW]*/, const float* bias /*[FILTERS]?*/,
    float* out /*[outputs]*/, unsigned char* codes /*[outputs]?*/,
    const unsigned char* keep /*[outputs]?*/, const float* after /*[3*FILTERS]?*/, int N,
    int flip, float scale, index_t outputs)
{
    DYN_SHARED(float, xs);
    float* ws = xs + C * X_ROWS * X_COLS;
    int lane = threadIdx.x % LANES, f = blockIdx.y * LANES + lane;
    Band band(blockIdx.x);
    stage_x(xs, x, band, X_COLS, X_COLS);
    for (int k = threadIdx.x; k < C * TAPS * LANES; k += blockDim.x) {
        int ct = k / LANES, tap = ct % TAPS;
        ws[k] = weights[((index_t)blockIdx.y * LANES + k % LANES) * C * TAPS
                        + ct - tap + (flip ? TAPS - 1 - tap : tap)];
    }
    __syncthreads();
    float own_bias = bias ? bias[f] : 0;
    for (int k = threadIdx.x / LANES; k < PAIRS * STRIPS; k += blockDim.x / LANES) {
        int i = k / STRIPS * 2, j = k % STRIPS * STRIP;
        float sums[2][STRIP] = {};
        correlate(sums, xs + i * X_COLS + j, ws + lane);
        int row = (band.y + i) / STEP, col = (band.j + j) / STEP;
        index_t at = ((band.n * (index_t)Ho + row) * Wo + col) * F + f;
        index_t mask = ((band.n * (index_t)F + f) * Ho + row) * Wo + col;
        Output output = {out + at, codes ? codes + at : 0, keep ? keep + mask : 0,
                         AFTER ? after + f : 0, own_bias, scale};
        finish(sums, output, Ho - row, Wo - col);
    }
}

// --- gradients ----------------------------------------------------------------

enum {
    CHUNK = POOL ? 4 : 8,               // numbers of dout that a lane takes at a time
    CHUNKS = (STRIP * STRIPS / STEP + CHUNK - 1) / CHUNK,   // in a row of a band
    G_COLS = CHUNKS * CHUNK * STEP + KW - 1,
    // The four corners of a window lie in four banks: none where the pitch is 0, 1
    // or 31 modulo 32.
    G_PITCH = G_COLS + ((G_COLS + 1) % 32 < 3 ? 3 : 0),
    WARPS = 8 / C * C, PARTS = WARPS / C,
    GRADIENT_BLOCKS = POOL && TAPS <= 25 ? 3 : 2    // that registers are left for
};

struct Chunk {
    float dout[CHUNK];
    unsigned char code[CHUNK];

    // From row i, column j of a band on.
    __device__ Chunk(const float* from, const unsigned char* codes, Band band, int i,
                     int j, int f)
    {
        int row = band.y / STEP + i, col = band.j / STEP + j;
        index_t at = ((band.n * (index_t)Ho + row) * Wo + col) * F + f;
        #pragma unroll
        for (int s = 0; s < CHUNK; s++) {
            bool there = row < Ho && col + s < Wo;
            dout[s] = there ? from[at + s * F] : 0;
            code[s] = there && codes ? codes[at + s * F] : 0;
        }
    }

    __device__ float gradient(int s) const { return code[s] < 4 ? dout[s] : 0; }
};

// sums[tap] += dz x. Of the four elements of a 2x2 window only one has a gradient, so
// each number of dout meets one window of x, wherever it lies.
__device__ inline void add_chunk(float (&sums)[TAPS], const Chunk& chunk,
                                 const float* x)
{
#if POOL
    #pragma unroll
    for (int s = 0; s < CHUNK; s++) {
        int code = chunk.code[s];
        float g = chunk.gradient(s);
        const float* window = x + code / 2 % 2 * G_PITCH + 2 * s + code % 2;
        #pragma unroll
        for (int tap = 0; tap < TAPS; tap++)
            sums[tap] += g * window[tap / KW * G_PITCH + tap % KW];
    }
#else
    #pragma unroll
    for (int u = 0; u < KH; u++) {
        float row[CHUNK + KW - 1];
        #pragma unroll
        for (int s = 0; s < CHUNK + KW - 1; s++) row[s] = x[u * G_PITCH + s];
        #pragma unroll
        for (int s = 0; s < CHUNK; s++)
            #pragma unroll
            for (int v = 0; v < KW; v++)
                sums[u * KW + v] += chunk.gradient(s) * row[s + v];
    }
#endif
}

// A lane is an output channel; a warp has one channel of x, and shares the numbers of
// dout with the warps that have it too.
// Each block leaves its sums: (u, v, f, c), then f.
// Grid (splits, F / LANES), 32 * WARPS threads.
extern "C" __global__ void __launch_bounds__(32 * WARPS, GRADIENT_BLOCKS)
first_conv_gradient(
    const float* x /*[N*HEIGHT*WIDTH*CHANNELS]*/, const float* dout /*[outputs]*/,
    const unsigned char* codes /*[outputs]?*/,
    float* partial /*[splits*(KH*KW*FILTERS*CHANNELS+FILTERS)]*/, int N, int splits,
    index_t outputs)
{
    DYN_SHARED(float, xs);
    int lane = threadIdx.x % LANES, place = threadIdx.x % 32 / LANES;
    int warp = threadIdx.x / 32, c = warp % C, part = warp / C;
    int f = blockIdx.y * LANES + lane;
    const int count = 2 * PAIRS / STEP * CHUNKS, step = PARTS * PLACES;
    float sums[TAPS] = {}, sum = 0;
    for (int item = blockIdx.x; item < N * BANDS * SIDES; item += splits) {
        Band band(item);
        __syncthreads();    // all have done with the last band
        stage_x(xs, x, band, G_COLS, G_PITCH);
        __syncthreads();
        int k = part * PLACES + place;
        Chunk next(dout, codes, band, k / CHUNKS, k % CHUNKS * CHUNK, f);
        for (; k < count; k += step) {
            Chunk now = next;
            int i = k / CHUNKS, j = k % CHUNKS * CHUNK;
            next = Chunk(dout, codes, band, (k + step) / CHUNKS,
                         (k + step) % CHUNKS * CHUNK, f);
            add_chunk(sums, now, xs + (c * X_ROWS + i * STEP) * G_PITCH + j * STEP);
            #pragma unroll
            for (int s = 0; s < CHUNK; s++) sum += now.gradient(s);
        }
    }

    // Places of a warp, then warps, are added in their order.
    float* totals = xs;
    for (int p = 0; p < PARTS; p++) {
        __syncthreads();
        #pragma unroll
        for (int tap = 0; tap <= TAPS; tap++) {
            float one = tap < TAPS ? sums[tap] : sum;
            for (int d = LANES; d < 32; d *= 2)
                one += __shfl_xor_sync(0xffffffffu, one, d);
            float* to = totals + (tap * LANES + lane) * C + c;
            if (part == p && place == 0) *to = (p ? *to : 0) + one;
        }
    }
    __syncthreads();
    float* mine = partial + blockIdx.x * ((index_t)TAPS * F * C + F);
    for (int k = threadIdx.x; k < TAPS * LANES * C; k += blockDim.x) {
        int tap = k / (LANES * C), fc = k % (LANES * C);
        mine[((index_t)tap * F + blockIdx.y * LANES) * C + fc] = totals[k];
    }
    if (threadIdx.x < LANES)
        mine[(index_t)TAPS * F * C + f] = totals[(TAPS * LANES + lane) * C];
}

// Grid ceil((TAPS*F*C + F) / 32), block (32, 8).
extern "C" __global__ void first_conv_gradient_sum(
    const float* partial /*[splits*(KH*KW*FILTERS*CHANNELS+FILTERS)]*/,
    float* dW /*[FILTERS*CHANNELS*KH*KW]*/, float* db /*[FILTERS]?*/, int splits,
    int flip, float scale)
{
    __shared__ float parts[8][32];
    add_partial_gradients(partial, dW, db, splits, TAPS, F, C, flip, scale, parts);
}
