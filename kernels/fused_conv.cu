// Convolution, bias, ReLU, max-pooling and dropout in one kernel, and in another the
// gradient with respect to what came in. What lies between is never in memory.
//
// Images are (N, H, W, C), channels last. fused_conv.cuh has the main loop; here is what
// goes in and what comes out. For each value that comes out, codes say where in its 2x2
// window the gradient goes: to 2 * row + column, the first maximum (0 without pooling),
// or to 4, nowhere, where ReLU or dropout let nothing through.
//
// needs sm_80
// float only

#ifndef CHANNELS    // the layer; if not said, the second of the network for 96x96 faces
#define CHANNELS 32
#define FILTERS 32
#define HEIGHT 46   // of the images that come in
#define WIDTH 46
#define KH 5
#define KW 5
#define PH 0        // zeros around them
#define PW 0
#define POOL 1
#define OUT_H 21    // of the images that come out
#define OUT_W 21
#endif
#ifndef TF32        // 1: tf32 products; 0: as accurate as float, in three of them
#define TF32 1
#endif
#ifndef FORWARD_WIDE    // tiles
#define FORWARD_OCTETS 4    // filters of a block, by eight
#define FORWARD_WIDE 6      // columns of a warp
#define FORWARD_ACROSS 1    // warps side by side
#define FORWARD_DOWN 4      // and one below another
#define BACK_OCTETS 4
#define BACK_WIDE 6
#define BACK_ACROSS 2
#define BACK_DOWN 2
#endif

#include "fused_conv.cuh"
#include "fused_output.cuh"
#include "windows.cuh"

#define WINDOW (1 + POOL)
#define FORWARD_THREADS (32 * FORWARD_ACROSS * FORWARD_DOWN)
#define BACK_THREADS (32 * BACK_ACROSS * BACK_DOWN)

struct ForwardSizes {
    static constexpr int C = CHANNELS, H = HEIGHT, W = WIDTH, CELL = 1, TOP = PH,
        LEFT = PW, F = FILTERS, ROWS = OUT_H * WINDOW, COLS = OUT_W * WINDOW,
        NT = FORWARD_OCTETS, WIDE = FORWARD_WIDE, ACROSS = FORWARD_ACROSS,
        DOWN = FORWARD_DOWN;
};

// The gradient is a correlation, too: of dz with zeros around it, and turned filters.
struct BackSizes {
    static constexpr int C = FILTERS, H = OUT_H, W = OUT_W, CELL = WINDOW,
        TOP = KH - 1 - PH, LEFT = KW - 1 - PW, F = CHANNELS, ROWS = HEIGHT, COLS = WIDTH,
        NT = BACK_OCTETS, WIDE = BACK_WIDE, ACROSS = BACK_ACROSS, DOWN = BACK_DOWN;
};

typedef Tiling<ForwardSizes> Forward;
typedef Tiling<BackSizes> Back;

// Filters W (F, C, kh, kw) in the order in which lanes take them: for each octet of
// channels, tap and octet of filters, lane 4g + t has channels t and t + 4 of filter g.
// turned: each filter by half a turn. swapped: the roles of C and F, for the gradient.
extern "C" __global__ void fused_pack(
    const float* W /*[F*C*kh*kw]*/, float* packed /*[F*C*kh*kw]*/, int F, int C, int kh,
    int kw, int turned, int swapped)
{
    index_t k = GLOBAL_INDEX;
    if (k >= (index_t)F * C * kh * kw) return;
    int i = take(k, 64), lane = i / 2;
    int filter = take(k, (swapped ? C : F) / 8) * 8 + lane / 4, tap = take(k, kh * kw);
    int channel = (int)k * 8 + lane % 4 + i % 2 * 4;
    index_t plane = swapped ? (index_t)channel * C + filter
                            : (index_t)filter * C + channel;
    packed[GLOBAL_INDEX] = W[plane * kh * kw + (turned ? kh * kw - 1 - tap : tap)];
}

// --- forward ----------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(FORWARD_THREADS, 1) fused_forward(
    const float* x /*[N*HEIGHT*WIDTH*CHANNELS]*/,
    const float* packed /*[FILTERS*CHANNELS*KH*KW]*/, const float* b /*[FILTERS]?*/,
    const unsigned char* keep /*[N*FILTERS*OUT_H*OUT_W]?*/,
    float* out /*[N*OUT_H*OUT_W*FILTERS]*/,
    unsigned char* codes /*[N*OUT_H*OUT_W*FILTERS]?*/,
    const float* after /*[3*FILTERS]?*/, int N, int relu, float scale)
{
    typedef Forward T;
    Corner<T> corner;
    float sum[T::WIDE][T::NT][4];
    correlate<T>(x, 0, packed, N, corner, sum);

    Lane<T> lane(corner);
    if (lane.image >= N) return;
    int i = lane.row / WINDOW, j = lane.col / WINDOW;
    index_t at = (((index_t)lane.image * OUT_H + i) * OUT_W + j) * FILTERS + lane.filter;
    index_t mask = (((index_t)lane.image * FILTERS + lane.filter) * OUT_H + i) * OUT_W + j;
    Output output = {out + at, codes ? codes + at : 0, keep ? keep + mask : 0,
                     AFTER ? after + lane.filter : 0, scale, relu};
#pragma unroll
    for (int f = 0; f < T::NT; f++) {
        float2 bias = {0, 0};
        if (b) bias.x = b[lane.filter + 8 * f], bias.y = b[lane.filter + 8 * f + 1];
#pragma unroll
        for (int c = 0; c < T::WIDE; c += WINDOW)
#if POOL
            if (lane.has(0, c)) {
                float2 z = {sum[c][f][0], sum[c][f][1]};
                int2 place = {0, 0};
#pragma unroll
                for (int e = 1; e < 4; e++) {
                    take_larger(z.x, place.x, sum[c + e % 2][f][e / 2 * 2], e);
                    take_larger(z.y, place.y, sum[c + e % 2][f][e / 2 * 2 + 1], e);
                }
                output.write(0, c / 2, 8 * f, {z.x + bias.x, z.y + bias.y}, place);
            }
#else
#pragma unroll
            for (int r = 0; r < 2; r++)
                if (lane.has(r, c))
                    output.write(r, c, 8 * f, {sum[c][f][2 * r] + bias.x,
                                               sum[c][f][2 * r + 1] + bias.y}, {0, 0});
#endif
    }
}

// --- backward ---------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(BACK_THREADS, 1) fused_input_gradient(
    const float* dout /*[N*OUT_H*OUT_W*FILTERS]*/,
    const unsigned char* codes /*[N*OUT_H*OUT_W*FILTERS]?*/,
    const float* transposed /*[FILTERS*CHANNELS*KH*KW]*/,
    float* dx /*[N*HEIGHT*WIDTH*CHANNELS]*/, int N, float scale)
{
    typedef Back T;
    Corner<T> corner;
    float sum[T::WIDE][T::NT][4];
    correlate<T>(dout, codes, transposed, N, corner, sum);

    Lane<T> lane(corner);
    if (lane.image >= N) return;
    dx += (((index_t)lane.image * HEIGHT + lane.row) * WIDTH + lane.col) * CHANNELS +
          lane.filter;
#pragma unroll
    for (int f = 0; f < T::NT; f++)
#pragma unroll
        for (int c = 0; c < T::WIDE; c++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                if (lane.has(r, c))
                    *(float2*)(dx + (r * WIDTH + c) * CHANNELS + 8 * f) = make_float2(
                        sum[c][f][2 * r] * scale, sum[c][f][2 * r + 1] * scale);
}
