// The images of a batch, out of all that lie in the device's memory.
//
//     x[i] = image number order[first + i], its rows reversed if mirrored[first + i]
//
// and, where the network wants numbers around 0, x = image * scale + shift. Bytes stay
// bytes until here: a quarter of the traffic, and of the memory. Without an order,
// images that have been picked already, x[i] is image i.
#include "common.cuh"

// One thread for each element of an image; a column of blocks goes through the images.
// D elements of an image lie in rows of W.
template <class In, class Out, class Change>
__device__ inline void gather(const In* images, const index_t* order,
                              const unsigned char* mirrored, Out* x, index_t first,
                              int n, index_t D, int W, Change change)
{
    index_t at = GLOBAL_INDEX;
    if (at >= D) return;
    int column = at - divided(at, W) * W;
    index_t opposite = at + (W - 1 - 2 * column);
    for (int i = blockIdx.y; i < n; i += gridDim.y) {
        const In* image = images + (order ? order[first + i] : i) * D;
        bool is_mirrored = mirrored && mirrored[first + i];
        x[i * D + at] = change(image[is_mirrored ? opposite : at]);
    }
}

// Rounded after each of its two steps, as NumPy rounds: the compiler would make one of
// them, with one rounding.
struct Prepare {
    float scale, shift;
    __device__ float operator()(float pixel) const
    {
#ifdef MF_EMU
        return pixel * scale + shift;
#else
        return __fadd_rn(__fmul_rn(pixel, scale), shift);
#endif
    }
};

template <class T> struct Same {
    __device__ T operator()(T pixel) const { return pixel; }
};

extern "C" __global__ void gather_bytes(
    const unsigned char* images /*[N*D]*/, const index_t* order /*[M]?*/,
    const unsigned char* mirrored /*[M]?*/, unsigned char* x /*[n*D]*/, index_t N,
    index_t M, index_t first, int n, index_t D, int W)
{
    gather(images, order, mirrored, x, first, n, D, W, Same<unsigned char>());
}

extern "C" __global__ void gather_reals(
    const real* images /*[N*D]*/, const index_t* order /*[M]?*/,
    const unsigned char* mirrored /*[M]?*/, real* x /*[n*D]*/, index_t N, index_t M,
    index_t first, int n, index_t D, int W)
{
    gather(images, order, mirrored, x, first, n, D, W, Same<real>());
}

extern "C" __global__ void prepare_bytes(
    const unsigned char* images /*[N*D]*/, const index_t* order /*[M]?*/,
    const unsigned char* mirrored /*[M]?*/, float* x /*[n*D]*/, index_t N, index_t M,
    index_t first, int n, index_t D, int W, float scale, float shift)
{
    gather(images, order, mirrored, x, first, n, D, W, Prepare{scale, shift});
}

extern "C" __global__ void prepare_reals(
    const real* images /*[N*D]*/, const index_t* order /*[M]?*/,
    const unsigned char* mirrored /*[M]?*/, float* x /*[n*D]*/, index_t N, index_t M,
    index_t first, int n, index_t D, int W, float scale, float shift)
{
    gather(images, order, mirrored, x, first, n, D, W, Prepare{scale, shift});
}

// y[i] = classes[order[first + i]]
extern "C" __global__ void gather_classes(
    const int* classes /*[N]*/, const index_t* order /*[M]*/, int* y /*[n]*/, index_t N,
    index_t M, index_t first, int n)
{
    index_t i = GLOBAL_INDEX;
    if (i < n) y[i] = classes[order[first + i]];
}
