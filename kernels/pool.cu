// Pooling: the largest or the mean of each window, and the largest of a whole plane.
//
// A plane is one channel of one image, (H, W); where channels are last in memory, those
// of an image lie side by side, pixel by pixel. The gradient is gathered: each pixel
// sums what the windows over it pass on, in the order of its places in them. If
// windows scattered instead, those that overlap would have to take turns, and the
// order of the sum would change from run to run.
#include "common.cuh"
#include "windows.cuh"

#ifndef CHANNELS
#define CHANNELS 1    // that lie side by side
#endif

// Whether a value takes the lead: NaN from all, and nothing from NaN. An equal one
// does not, so that the first in reading order keeps it.
__device__ inline bool beats(real value, real best)
{
    return value > best || (value != value && best == best);
}

// y = max of the window; winner = u*kw + v, the place in the window that it came from.
// Padding takes no part. One thread a window.
extern "C" __global__ void max_pool_forward(
    const real* x /*[planes*H*W]*/, real* y /*[planes*Ho*Wo]*/,
    int* winner /*[planes*Ho*Wo]*/, index_t planes, int H, int W,
    int kh, int kw, int sh, int sw, int ph, int pw, int Ho, int Wo)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * Ho * Wo) return;
    int c = take(plane, CHANNELS), j = take(plane, Wo), i = take(plane, Ho);
    real best = 0;
    int place = -1;
    for (int u = 0; u < kh; ++u)
        for (int v = 0; v < kw; ++v) {
            int row = i * sh + u - ph, col = j * sw + v - pw;
            if (!inside(row, col, H, W)) continue;
            real value = x[((plane * H + row) * W + col) * CHANNELS + c];
            if (place < 0 || beats(value, best)) {
                best = value;
                place = u * kw + v;
            }
        }
    y[GLOBAL_INDEX] = best;
    winner[GLOBAL_INDEX] = place;
}

// dx = sum of dy of the windows that this pixel won. One thread a pixel, which asks
// for each place (u, v) whether a window has it there and was won from there.
extern "C" __global__ void max_pool_backward_naive(
    const real* dy /*[planes*Ho*Wo]*/, const int* winner /*[planes*Ho*Wo]*/,
    real* dx /*[planes*H*W]*/, index_t planes, int H, int W,
    int kh, int kw, int sh, int sw, int ph, int pw, int Ho, int Wo)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * H * W) return;
    int col = take(plane, W), row = take(plane, H);
    real sum = 0;
    for (int u = 0; u < kh; ++u)
        for (int v = 0; v < kw; ++v) {
            int top = row + ph - u, left = col + pw - v;  // of a window, if any
            if (top % sh || left % sw || !inside(top, left, Ho * sh, Wo * sw)) continue;
            index_t window = (plane * Ho + top / sh) * Wo + left / sw;
            if (winner[window] == u * kw + v) sum += dy[window];
        }
    dx[GLOBAL_INDEX] = sum;
}

// The same sum in the same order, over the windows that reach the pixel only.
extern "C" __global__ void max_pool_backward(
    const real* dy /*[planes*Ho*Wo]*/, const int* winner /*[planes*Ho*Wo]*/,
    real* dx /*[planes*H*W]*/, index_t planes, int H, int W,
    int kh, int kw, int sh, int sw, int ph, int pw, int Ho, int Wo)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * H * W) return;
    int c = take(plane, CHANNELS), col = take(plane, W), row = take(plane, H);
    Windows windows = {kh, kw, sh, sw, ph, pw, Ho, Wo};
    dx[GLOBAL_INDEX] = gathered(row, col, windows, [&](int i, int j, int u, int v) {
        index_t window = ((plane * Ho + i) * Wo + j) * CHANNELS + c;
        return winner[window] == u * kw + v ? dy[window] : 0;
    });
}

// How many cells of a window a mean counts along one axis: those in the image and
// in `margin` cells of padding around it, not those that hang over the end.
__device__ inline int counted(int start, int size, int length, int margin)
{
    return min(start + size, length + margin) - max(start, -margin);
}

// y = sum of the window / cells counted. (mh, mw) is the padding that counts: all of
// it, (ph, pw), or none, (0, 0). One thread a window.
extern "C" __global__ void average_pool_forward(
    const real* x /*[planes*H*W]*/, real* y /*[planes*Ho*Wo]*/,
    index_t planes, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo, int mh, int mw)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * Ho * Wo) return;
    int c = take(plane, CHANNELS), j = take(plane, Wo), i = take(plane, Ho);
    int top = i * sh - ph, left = j * sw - pw;
    real sum = 0;
    for (int row = max(top, 0); row < min(top + kh, H); ++row)
        for (int col = max(left, 0); col < min(left + kw, W); ++col)
            sum += x[((plane * H + row) * W + col) * CHANNELS + c];
    y[GLOBAL_INDEX] = sum / ((real)counted(top, kh, H, mh) * counted(left, kw, W, mw));
}

// dx = sum of dy / cells counted, over the windows that reach the pixel, as for the
// maximum.
extern "C" __global__ void average_pool_backward(
    const real* dy /*[planes*Ho*Wo]*/, real* dx /*[planes*H*W]*/,
    index_t planes, int H, int W, int kh, int kw, int sh, int sw, int ph, int pw,
    int Ho, int Wo, int mh, int mw)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * H * W) return;
    int c = take(plane, CHANNELS), col = take(plane, W), row = take(plane, H);
    real sum = 0;
    for (int i = min((row + ph) / sh, Ho - 1); i >= 0; --i) {
        if (row + ph - i * sh >= kh) break;
        int rows = counted(i * sh - ph, kh, H, mh);
        for (int j = min((col + pw) / sw, Wo - 1); j >= 0; --j) {
            if (col + pw - j * sw >= kw) break;
            int cols = counted(j * sw - pw, kw, W, mw);
            sum += dy[((plane * Ho + i) * Wo + j) * CHANNELS + c] /
                   ((real)rows * cols);
        }
    }
    dx[GLOBAL_INDEX] = sum;
}

// y = max of the plane; winner = the pixel that it came from. One thread a plane:
// right, but neighbours read a plane apart, and most of a GPU has nothing to do.
extern "C" __global__ void global_max_naive(
    const real* x /*[planes*pixels]*/, real* y /*[planes]*/, int* winner /*[planes]*/,
    index_t planes, int pixels)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes) return;
    x += plane * pixels;
    int place = 0;
    for (int p = 1; p < pixels; ++p)
        if (beats(x[p], x[place])) place = p;
    y[plane] = x[place];
    winner[plane] = place;
}

// One warp a plane: its 32 lanes read neighbours, and then compare what they found.
// In step d, lane i meets lane i+d; after five steps lane 0 holds the winner. Among
// equals that is the lowest pixel, whichever lane found it.
extern "C" __global__ void global_max(
    const real* x /*[planes*pixels]*/, real* y /*[planes]*/, int* winner /*[planes]*/,
    index_t planes, int pixels)
{
    index_t plane = GLOBAL_INDEX / 32;
    int lane = threadIdx.x % 32;
    if (plane >= planes) return;  // the whole warp
    x += plane * pixels;
    int place = lane < pixels ? lane : 0;
    real best = x[place];
    for (int p = lane + 32; p < pixels; p += 32)
        if (beats(x[p], best)) {
            best = x[p];
            place = p;
        }
    for (int d = 16; d > 0; d /= 2) {
        real other = __shfl_down_sync(0xffffffffu, best, d);
        int there = __shfl_down_sync(0xffffffffu, place, d);
        if (beats(other, best) || (!beats(best, other) && there < place)) {
            best = other;
            place = there;
        }
    }
    if (lane == 0) {
        y[plane] = best;
        winner[plane] = place;
    }
}

// dx = dy of the plane at its winner, 0 elsewhere. One thread a pixel.
extern "C" __global__ void global_max_backward(
    const real* dy /*[planes]*/, const int* winner /*[planes]*/,
    real* dx /*[planes*pixels]*/, index_t planes, int pixels)
{
    index_t plane = GLOBAL_INDEX;
    if (plane >= planes * pixels) return;
    int pixel = take(plane, pixels);
    dx[GLOBAL_INDEX] = winner[plane] == pixel ? dy[plane] : 0;
}

// y = the sum of each plane, where channels are last: (N, pixels, C) to (N, C). One
// thread a plane: neighbours read side by side.
extern "C" __global__ void sum_planes(const real* x /*[N*pixels*C]*/, real* y /*[N*C]*/,
                                      index_t N, int pixels, int C)
{
    index_t n = GLOBAL_INDEX;
    if (n >= N * C) return;
    int c = take(n, C);
    real total = 0;
    for (int p = 0; p < pixels; ++p) total += x[(n * pixels + p) * C + c];
    y[GLOBAL_INDEX] = total;
}
