// The gates of recurrent layers: one thread a unit and sequence, one launch a step.
//
// Between two steps lies a product of matrices, which no thread can wait for. So a step
// is two launches: the product, and here all that is done element by element, which as
// many small kernels would go through memory ten times. Flags are 0 where a sequence
// has ended: it keeps its state, and its gradient passes by.
#include "common.cuh"

__device__ inline real sigmoid(real x)
{
    real e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

__device__ inline real limited(real d, real clip)
{
    if (clip == 0) return d;
    return d > clip ? clip : d < -clip ? -clip : d;
}

// --- long short-term memory: gates i, f, c, o side by side --------------------

extern "C" __global__ void lstm_forward(
    real* gates /*[N*4*H]*/, const real* product /*[N*4*H]*/, const real* h /*[N*H]*/,
    const real* c /*[N*H]*/, const real* peepholes /*[3*H]?*/,
    const real* flags /*[N]?*/, real* c_new /*[N*H]*/, real* shown /*[N*H]*/,
    real* h_new /*[N*H]*/, index_t N, index_t H)
{
    index_t at = GLOBAL_INDEX;
    if (at >= N * H) return;
    index_t n = divided(at, H), u = at - n * H;
    real* a = gates + n * 4 * H + u;
    const real* p = product + n * 4 * H + u;
    real cell = c[at];
    real i = a[0] + p[0], f = a[H] + p[H], g = a[2 * H] + p[2 * H];
    real o = a[3 * H] + p[3 * H];
    if (peepholes) {
        i += cell * peepholes[u];
        f += cell * peepholes[H + u];
    }
    i = sigmoid(i);
    f = sigmoid(f);
    g = tanh(g);
    real next = f * cell + i * g;
    if (peepholes) o += next * peepholes[2 * H + u];
    o = sigmoid(o);
    real show = tanh(next);
    bool stays = flags && flags[n] == 0;
    a[0] = i;
    a[H] = f;
    a[2 * H] = g;
    a[3 * H] = o;
    shown[at] = show;
    c_new[at] = stays ? cell : next;
    h_new[at] = stays ? h[at] : o * show;
}

// seen: sums over steps of the gradients of the peepholes, for each sequence. The
// limit acts on dz alone, not on what goes back through peepholes.
extern "C" __global__ void lstm_backward(
    const real* dy /*[N*H]*/, const real* dh /*[N*H]*/, real* dc /*[N*H]*/,
    const real* gates /*[N*4*H]*/, const real* c /*[N*H]*/,
    const real* c_new /*[N*H]*/, const real* shown /*[N*H]*/,
    const real* peepholes /*[3*H]?*/, const real* flags /*[N]?*/,
    real* seen /*[N*3*H]?*/, real* dz /*[N*4*H]*/, real* kept /*[N*H]*/, real clip,
    index_t N, index_t H)
{
    index_t at = GLOBAL_INDEX;
    if (at >= N * H) return;
    index_t n = divided(at, H), u = at - n * H;
    const real* a = gates + n * 4 * H + u;
    real* d = dz + n * 4 * H + u;
    real arrived = dy[at] + dh[at];
    if (flags && flags[n] == 0) {
        d[0] = d[H] = d[2 * H] = d[3 * H] = 0;
        kept[at] = arrived;  // dc stays as it is
        return;
    }
    kept[at] = 0;
    real i = a[0], f = a[H], g = a[2 * H], o = a[3 * H], show = shown[at];
    real dzo = arrived * show * o * (1 - o);
    real dcell = dc[at] + arrived * o * (1 - show * show);
    if (peepholes) dcell += dzo * peepholes[2 * H + u];
    real dzi = dcell * g * i * (1 - i), dzf = dcell * c[at] * f * (1 - f);
    real dzg = dcell * i * (1 - g * g);
    dcell *= f;
    if (peepholes) {
        dcell += dzi * peepholes[u] + dzf * peepholes[H + u];
        real* s = seen + n * 3 * H + u;
        s[0] += dzi * c[at];
        s[H] += dzf * c[at];
        s[2 * H] += dzo * c_new[at];
    }
    dc[at] = dcell;
    d[0] = limited(dzi, clip);
    d[H] = limited(dzf, clip);
    d[2 * H] = limited(dzg, clip);
    d[3 * H] = limited(dzo, clip);
}

// --- gated recurrent units: gates r, u, c side by side ------------------------

extern "C" __global__ void gru_forward(real* gates /*[N*3*H]*/,
                                       const real* product /*[N*3*H]*/,
                                       const real* h /*[N*H]*/,
                                       const real* flags /*[N]?*/,
                                       real* h_new /*[N*H]*/, index_t N, index_t H)
{
    index_t at = GLOBAL_INDEX;
    if (at >= N * H) return;
    index_t n = divided(at, H), k = at - n * H;
    real* a = gates + n * 3 * H + k;
    const real* p = product + n * 3 * H + k;
    real r = sigmoid(a[0] + p[0]), u = sigmoid(a[H] + p[H]);
    real state = tanh(a[2 * H] + r * p[2 * H]);
    a[0] = r;
    a[H] = u;
    a[2 * H] = state;
    bool stays = flags && flags[n] == 0;
    h_new[at] = stays ? h[at] : h[at] + u * (state - h[at]);
}

// The limit acts on what enters tanh, and on both products.
extern "C" __global__ void gru_backward(
    const real* dy /*[N*H]*/, const real* dh /*[N*H]*/, const real* gates /*[N*3*H]*/,
    const real* product /*[N*3*H]*/, const real* h /*[N*H]*/,
    const real* flags /*[N]?*/, real* dz /*[N*3*H]*/, real* dproduct /*[N*3*H]*/,
    real* kept /*[N*H]*/, real clip, index_t N, index_t H)
{
    index_t at = GLOBAL_INDEX;
    if (at >= N * H) return;
    index_t n = divided(at, H), k = at - n * H, first = n * 3 * H + k;
    const real* a = gates + first;
    real *d = dz + first, *e = dproduct + first;
    real arrived = dy[at] + dh[at];
    if (flags && flags[n] == 0) {
        d[0] = d[H] = d[2 * H] = e[0] = e[H] = e[2 * H] = 0;
        kept[at] = arrived;
        return;
    }
    real r = a[0], u = a[H], state = a[2 * H];
    kept[at] = arrived * (1 - u);
    real dzc = limited(arrived * u * (1 - state * state), clip);
    real dzu = limited(arrived * (state - h[at]) * u * (1 - u), clip);
    real dzr = limited(dzc * product[first + 2 * H] * r * (1 - r), clip);
    d[0] = e[0] = dzr;
    d[H] = e[H] = dzu;
    d[2 * H] = dzc;
    e[2 * H] = limited(dzc * r, clip);
}
