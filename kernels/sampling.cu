// Images (N, C, H, W) read at P places between their pixels, (N, 2, P): x, then y, from
// -1 at the first pixel to 1 at the last. Jaderberg et al. (2015), "Spatial transformer
// networks".
//
//     y = sum over the four pixels around of weight * pixel
#include "common.cuh"

// The two neighbours of a place along one axis, and the second one's share.
struct Neighbours {
    int low, high;  // an image has fewer than 2^31 rows and columns
    real share;

    __device__ Neighbours(real place, index_t length, int border)
    {
        real at = (place + 1) * (real)((length - 1) * 0.5), down = floor(at);
        share = at - down;
        low = pixel(down, length, border);
        high = pixel(down + 1, length, border);
    }

    // Which pixel stands at a whole number: 0 the nearest, 1 mirrored, 2 around again.
    // What is no number becomes a pixel, too: its share is none, and shows.
    static __device__ int pixel(real at, index_t length, int border)
    {
        if (border == 1) {
            real period = length > 1 ? 2 * (length - 1) : 1;
            at -= period * floor(at / period);
            at = fmin(at, period - at);
        } else if (border == 2) {
            at -= length * floor(at / length);
        }
        return (int)fmax(fmin(at, (real)(length - 1)), (real)0);
    }
};

// One thread a number of y.
extern "C" __global__ void bilinear_forward(const real* x /*[N*C*H*W]*/,
                                            const real* points /*[N*2*P]*/,
                                            real* y /*[N*C*P]*/, index_t N, index_t C,
                                            index_t H, index_t W, index_t P, int border)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * P) return;
    index_t plane = divided(i, P), p = i - plane * P, n = divided(plane, C);
    Neighbours column(points[2 * n * P + p], W, border);
    Neighbours row(points[(2 * n + 1) * P + p], H, border);
    const real* upper = x + (plane * H + row.low) * W;
    const real* lower = x + (plane * H + row.high) * W;
    real left = 1 - column.share, right = column.share;
    y[i] = (1 - row.share) * (left * upper[column.low] + right * upper[column.high])
         + row.share * (left * lower[column.low] + right * lower[column.high]);
}

// dx: one thread a row of a plane. It looks at all places in order and takes what falls
// on its row: more work than adding each place's part with atomicAdd, but the same sum
// every time; and a warp's threads look at the same place at once.
extern "C" __global__ void bilinear_backward_pixels(
    const real* dy /*[N*C*P]*/, const real* points /*[N*2*P]*/, real* dx /*[N*C*H*W]*/,
    index_t N, index_t C, index_t H, index_t W, index_t P, int border)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * C * H) return;
    index_t plane = divided(i, H), mine = i - plane * H, n = divided(plane, C);
    real* out = dx + i * W;
    for (index_t w = 0; w < W; w++) out[w] = 0;
    for (index_t p = 0; p < P; p++) {
        Neighbours row(points[(2 * n + 1) * P + p], H, border);
        if (row.low != mine && row.high != mine) continue;
        Neighbours column(points[2 * n * P + p], W, border);
        real share = 0;
        if (row.low == mine) share += 1 - row.share;
        if (row.high == mine) share += row.share;
        share *= dy[plane * P + p];
        out[column.low] += share * (1 - column.share);
        out[column.high] += share * column.share;
    }
}

// The gradient of places: one thread a place, through all channels.
extern "C" __global__ void bilinear_backward_points(
    const real* dy /*[N*C*P]*/, const real* x /*[N*C*H*W]*/,
    const real* points /*[N*2*P]*/, real* dpoints /*[N*2*P]*/, index_t N, index_t C,
    index_t H, index_t W, index_t P, int border)
{
    index_t i = GLOBAL_INDEX;
    if (i >= N * P) return;
    index_t n = divided(i, P), p = i - n * P;
    Neighbours column(points[2 * n * P + p], W, border);
    Neighbours row(points[(2 * n + 1) * P + p], H, border);
    real along_x = 0, along_y = 0;
    x += n * C * H * W;
    dy += n * C * P + p;
    #pragma unroll 1  // a place is one thread's, and few registers let many wait at once
    for (index_t c = 0; c < C; c++, x += H * W, dy += P) {
        const real* upper = x + row.low * W;
        const real* lower = x + row.high * W;
        real a = upper[column.low], b = upper[column.high];
        real d = lower[column.low], e = lower[column.high];
        along_x += *dy * ((1 - row.share) * (b - a) + row.share * (e - d));
        along_y += *dy * ((1 - column.share) * (d - a) + column.share * (e - b));
    }
    dpoints[2 * n * P + p] = along_x * (real)((W - 1) * 0.5);
    dpoints[(2 * n + 1) * P + p] = along_y * (real)((H - 1) * 0.5);
}
