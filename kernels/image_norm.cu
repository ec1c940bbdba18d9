// Batch norm of images as they lie between convolutions, (N, H, W, C), channels last,
// with the ReLU and the 2x2 max-pooling behind it, and dropout.
//
//     y = keep scale maxpool(relu((z - mean) gamma inv_std + beta))
//
// norm.cu says what mean and inv_std are. Forward, z is read twice and y written once;
// backward, z and dy are read twice and dz is written once. Nothing else is kept: which
// of a window's four numbers was the largest, and whether ReLU let it through, is found
// out again from z.
//
// image_norm.cuh has what a thread reads, and how blocks sum.
#include "image_norm.cuh"

// --- mean and variance in one pass --------------------------------------------

// Each of P pieces of the M pixels: its means, then its sums of squares around them.
// Grid (C / PACK / blockDim.x, P), rounded up.
extern "C" __global__ void image_moments(const real* z /*[M*C]*/,
                                         real* partial /*[P*2*C]*/, index_t M,
                                         index_t C, index_t P)
{
    __shared__ Moments<PACK> all[THREADS];
    index_t c = my_channel(), rows = blockDim.y;
    Piece piece(M, blockIdx.y, P);
    Moments<PACK> mine = {};
    if (c < C)
        for (index_t m = piece.first + threadIdx.y; m < piece.end; m += rows * AT_ONCE) {
            Pack read[AT_ONCE];
            Moments<PACK> few = {};
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++) {
                bool there = m + k * rows < piece.end;
                read[k] = load(z + (there ? m + k * rows : m) * C + c);
                few.count += there;
                for (int v = 0; v < PACK; v++)
                    few.mean[v] += there ? read[k].at[v] : 0;
            }
            for (int v = 0; v < PACK; v++) few.mean[v] /= few.count;
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++)
                for (int v = 0; v < PACK; v++) {
                    real apart = read[k].at[v] - few.mean[v];
                    few.squares[v] += m + k * rows < piece.end ? apart * apart : 0;
                }
            mine.join(few);
        }
    join_rows(mine, all);
    if (threadIdx.y > 0 || c >= C) return;
    real* found = partial + blockIdx.y * 2 * C + c;
    for (int v = 0; v < PACK; v++) {
        found[v] = mine.mean[v];
        found[C + v] = mine.squares[v];
    }
}

// mean and inv_std of all pieces; and the running averages of mean and variance, moved
// by a share alpha, if there are any. Grid C / 32, rounded up, block (32, rows).
extern "C" __global__ void image_statistics(
    const real* partial /*[P*2*C]*/, real* mean /*[C]*/, real* inv_std /*[C]*/,
    real* running_mean /*[C]?*/, real* running_inv_std /*[C]?*/, index_t M, index_t C,
    index_t P, real epsilon, real alpha)
{
    __shared__ Moments<1> all[THREADS];
    index_t c = blockIdx.x * (index_t)32 + threadIdx.x;
    Moments<1> mine = {};
    if (c < C)
        for (index_t p = threadIdx.y; p < P; p += blockDim.y) {
            Piece piece(M, p, P);
            const real* found = partial + p * 2 * C + c;
            Moments<1> one = {(real)(piece.end - piece.first), {found[0]}, {found[C]}};
            mine.join(one);
        }
    join_rows(mine, all);
    if (threadIdx.y > 0 || c >= C) return;
    real middle = mine.mean[0], inverse = 1 / sqrt(mine.squares[0] / M + epsilon);
    mean[c] = middle;
    inv_std[c] = inverse;
    if (!running_mean) return;
    running_mean[c] = (1 - alpha) * running_mean[c] + alpha * middle;
    // The variance is averaged, not what is kept, its root's inverse; see BatchNormLayer.
    real kept = running_inv_std[c] > 0 ? running_inv_std[c] : inverse;
    running_inv_std[c] = 1 / sqrt((1 - alpha) / (kept * kept)
                                  + alpha / (inverse * inverse));
}

// --- what becomes of a number -------------------------------------------------

// The numbers of a thread's channels.
struct Channels {
    Pack mean, slope, shift;

    __device__ Channels(const real* means, const real* inv_std, const real* gamma,
                        const real* beta, index_t c)
    {
        mean = load_or(means, c, 0);
        slope = load_or(inv_std, c, 1);
        shift = load_or(beta, c, 0);
        if (gamma)
            for (int v = 0; v < PACK; v++) slope.at[v] *= gamma[c + v];
    }

    // Written out: forward and backward must come to the same bits.
    __device__ real norm(real z, int v) const
    {
        return fma(z - mean.at[v], slope.at[v], shift.at[v]);
    }
};

// Whether a value takes the lead; NaN takes it from all. The first of equals keeps it.
__device__ inline bool beats(real value, real best)
{
    return value > best || (value != value && best == best);
}

// A window of z: a pixel, or 2x2 of them, which may hang over the image's end.
struct Window {
    index_t first, out;     // its first pixel, and what comes out of it
    bool below, beside;     // whether it has a second row, a second column

    // The k-th of an image's rows by cols windows, all of which count through the batch.
    __device__ Window(index_t k, int H, int W, int rows, int cols)
    {
        first = out = k, below = beside = true;
        if (STEP == 1) return;
        int j = take(k, cols), i = take(k, rows);
        first = (k * H + i * STEP) * W + j * STEP;
        out = (k * (H / STEP) + i) * (W / STEP) + j;
        below = i < H / STEP, beside = j < W / STEP;
    }

    __device__ bool is_whole() const { return below && beside; }

    // Pixel e = 2 row + column, and whether it is there.
    __device__ index_t pixel(int e, int W) const { return first + e / 2 * W + e % 2; }
    __device__ bool has(int e) const { return (e < 2 || below) && (e % 2 < 1 || beside); }

    // What a whole one has in z, of the channels from c on.
    __device__ void read(const real* z, int W, index_t C, index_t c, Pack* into) const
    {
#pragma unroll
        for (int e = 0; e < STEP * STEP; e++) into[e] = load(z + pixel(e, W) * C + c);
    }
};

// Whether dropout keeps channel c of what comes out as number `out`, by a mask with
// channels first, (N, C, plane).
__device__ inline bool is_kept(const unsigned char* keep, index_t out, index_t plane,
                               index_t C, index_t c)
{
    if (!keep) return true;
    index_t n = divided(out, plane);
    return keep[(n * C + c) * plane + out - n * plane];
}

// The largest number of a window, and which of them it is.
__device__ inline real largest(const Channels& my, const Pack* read, int v, int& winner)
{
    real best = my.norm(read[0].at[v], v);
    winner = 0;
#pragma unroll
    for (int e = 1; e < STEP * STEP; e++) {
        real other = my.norm(read[e].at[v], v);
        if (beats(other, best)) best = other, winner = e;
    }
    return best;
}

// Of mean and inv_std, those of the batch or running averages. Grid (C / PACK /
// blockDim.x, any).
extern "C" __global__ void image_norm(
    const real* z /*[N*H*W*C]*/, const real* mean /*[C]*/, const real* inv_std /*[C]*/,
    const real* gamma /*[C]?*/, const real* beta /*[C]?*/,
    const unsigned char* keep /*[N*C*(H/STEP)*(W/STEP)]?*/,
    real* y /*[N*(H/STEP)*(W/STEP)*C]*/, index_t N, int H, int W, index_t C, int relu,
    real scale)
{
    index_t c = my_channel(), rows = gridDim.y * (index_t)blockDim.y;
    if (c >= C) return;
    Channels my(mean, inv_std, gamma, beta, c);
    index_t plane = (index_t)(H / STEP) * (W / STEP);
    for (index_t k = blockIdx.y * (index_t)blockDim.y + threadIdx.y; k < N * plane;
         k += rows) {
        Window window(k, H, W, H / STEP, W / STEP);
        Pack read[STEP * STEP], out;
        window.read(z, W, C, c, read);
#pragma unroll
        for (int v = 0; v < PACK; v++) {
            int winner;
            real best = largest(my, read, v, winner);
            if (relu && best <= 0) best = 0;
            out.at[v] = best * (is_kept(keep, k, plane, C, c + v) ? scale : 0);
        }
        *(Pack*)(y + k * C + c) = out;
    }
}

// --- backward -----------------------------------------------------------------

// The gradient of a window's numbers before pooling, ReLU and dropout: d belongs to the
// `winner`, the others have none.
__device__ inline real gradient(const Channels& my, const Pack* read, int v, real dy,
                                int relu, bool kept, real scale, int& winner)
{
    real best = largest(my, read, v, winner);
    return (relu && best <= 0) || !kept ? 0 : dy * scale;
}

// Each of P pieces of the windows: the sums of d, and of d (z - mean), (P, 2, C). Grid
// (C / PACK / blockDim.x, P), rounded up.
extern "C" __global__ void image_norm_sums(
    const real* dy /*[N*(H/STEP)*(W/STEP)*C]*/, const real* z /*[N*H*W*C]*/,
    const real* mean /*[C]*/, const real* inv_std /*[C]*/, const real* gamma /*[C]?*/,
    const real* beta /*[C]?*/, const unsigned char* keep /*[N*C*(H/STEP)*(W/STEP)]?*/,
    real* partial /*[P*2*C]*/, index_t N, int H, int W, index_t C, index_t P, int relu,
    real scale)
{
    __shared__ Sums<2 * PACK> all[THREADS];
    index_t c = my_channel();
    Sums<2 * PACK> mine = {};
    if (c < C) {
        Channels my(mean, inv_std, gamma, beta, c);
        index_t plane = (index_t)(H / STEP) * (W / STEP);
        Piece piece(N * plane, blockIdx.y, P);
        for (index_t k = piece.first + threadIdx.y; k < piece.end; k += blockDim.y) {
            Window window(k, H, W, H / STEP, W / STEP);
            Pack read[STEP * STEP], d = load(dy + k * C + c);
            window.read(z, W, C, c, read);
#pragma unroll
            for (int v = 0; v < PACK; v++) {
                int winner;
                bool kept = is_kept(keep, k, plane, C, c + v);
                real from = 0, g = gradient(my, read, v, d.at[v], relu, kept, scale,
                                            winner);
#pragma unroll
                for (int e = 0; e < STEP * STEP; e++)
                    if (e == winner) from = read[e].at[v];
                mine.of[v] += g;
                mine.of[PACK + v] += g * (from - my.mean.at[v]);
            }
        }
    }
    join_rows(mine, all);
    if (threadIdx.y > 0 || c >= C) return;
    for (int v = 0; v < 2 * PACK; v++)
        partial[(blockIdx.y * 2 + v / PACK) * C + c + v % PACK] = mine.of[v];
}

// The sums of all pieces, and what they are to the parameters: dbeta = sum d, dgamma =
// sum d (z - mean) inv_std. Grid C / 32, rounded up, block (32, rows).
extern "C" __global__ void image_norm_gradients(
    const real* partial /*[P*2*C]*/, const real* inv_std /*[C]*/, real* sums /*[2*C]*/,
    real* dgamma /*[C]?*/, real* dbeta /*[C]?*/, index_t C, index_t P)
{
    __shared__ Sums<2> all[THREADS];
    index_t c = blockIdx.x * (index_t)32 + threadIdx.x;
    Sums<2> mine = {};
    if (c < C)
        for (index_t p = threadIdx.y; p < P; p += blockDim.y) {
            mine.of[0] += partial[p * 2 * C + c];
            mine.of[1] += partial[(p * 2 + 1) * C + c];
        }
    join_rows(mine, all);
    if (threadIdx.y > 0 || c >= C) return;
    sums[c] = mine.of[0];
    sums[C + c] = mine.of[1];
    if (dbeta) dbeta[c] = mine.of[0];
    if (dgamma) dgamma[c] = mine.of[1] * inv_std[c];
}

// dz = slope (d - sums[0] / n - (z - mean) inv_std^2 sums[1] / n): mean and variance
// depend on z, too. Without sums they are constants: dz = slope d. An odd last row or
// column is in no window, but in the mean. Grid (C / PACK / blockDim.x, any).
extern "C" __global__ void image_norm_input_gradient(
    const real* dy /*[N*(H/STEP)*(W/STEP)*C]*/, const real* z /*[N*H*W*C]*/,
    const real* mean /*[C]*/, const real* inv_std /*[C]*/, const real* gamma /*[C]?*/,
    const real* beta /*[C]?*/, const unsigned char* keep /*[N*C*(H/STEP)*(W/STEP)]?*/,
    const real* sums /*[2*C]?*/, real* dz /*[N*H*W*C]*/, index_t N, int H, int W,
    index_t C, real n, int relu, real scale)
{
    index_t c = my_channel(), rows = gridDim.y * (index_t)blockDim.y;
    if (c >= C) return;
    Channels my(mean, inv_std, gamma, beta, c);
    Pack level = load_or(sums, c, 0), tilt = load_or(sums, sums ? C + c : c, 0);
    for (int v = 0; v < PACK; v++) {
        level.at[v] /= n;
        tilt.at[v] *= inv_std[c + v] * inv_std[c + v] / n;
    }
    index_t plane = (index_t)(H / STEP) * (W / STEP);
    int down = (H + STEP - 1) / STEP, across = (W + STEP - 1) / STEP;
    for (index_t k = blockIdx.y * (index_t)blockDim.y + threadIdx.y;
         k < N * down * across; k += rows) {
        Window window(k, H, W, down, across);
        Pack read[STEP * STEP], d = {};
#pragma unroll
        for (int e = 0; e < STEP * STEP; e++)
            if (window.has(e)) read[e] = load(z + window.pixel(e, W) * C + c);
        int winner[PACK];
        if (window.is_whole()) {
            d = load(dy + window.out * C + c);
#pragma unroll
            for (int v = 0; v < PACK; v++) {
                bool kept = is_kept(keep, window.out, plane, C, c + v);
                d.at[v] = gradient(my, read, v, d.at[v], relu, kept, scale, winner[v]);
            }
        }
#pragma unroll
        for (int e = 0; e < STEP * STEP; e++) {
            if (!window.has(e)) continue;
            Pack out;
#pragma unroll
            for (int v = 0; v < PACK; v++) {
                real mine = window.is_whole() && winner[v] == e ? d.at[v] : 0;
                real apart = read[e].at[v] - my.mean.at[v];
                out.at[v] = my.slope.at[v] * (mine - level.at[v] - apart * tilt.at[v]);
            }
            *(Pack*)(dz + window.pixel(e, W) * C + c) = out;
        }
    }
}
