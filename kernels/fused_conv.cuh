// Register-shift convolution: the main loop of fused_conv.cu.
//
// Filters slide over images (N, H, W, C), channels last, as many small matrix products
// on the tensor core: 16 rows of an image times 8 of its channels, by 8 channels times 8
// filters. The 16 rows are those at ONE column x, and each column has registers of its
// own. So a filter's next tap to the right takes the registers of the next column: what
// was loaded once serves all kw taps and all filters of the block.
//
// A warp computes 8 pairs of rows and WIDE columns for 8 NT filters. Rows come in pairs
// so that a 2x2 window lies in one thread. Pairs are counted on through the batch, hence
// a tile may end one image and begin the next. A block is DOWN x ACROSS warps; it goes
// through the channels in octets, and loads the next while it computes with this one.
#pragma once
#include "mma.cuh"

__device__ constexpr int divided_up(int n, int by) { return (n + by - 1) / by; }

// How a correlation is cut into tiles. Sizes has C, H, W (what is read; each of its
// pixels may stand for a CELL x CELL piece of the image), TOP and LEFT (zeros around
// the image), F, ROWS, COLS (what is computed), NT, WIDE, ACROSS, DOWN.
template <class Sizes> struct Tiling : Sizes {
    typedef Sizes S;
    static constexpr int OCTETS = S::C / 8;
    static constexpr int SLICES = S::F / 8 / S::NT;     // of the filters: a block has one
    static constexpr int THREADS = 32 * S::ACROSS * S::DOWN;
    static constexpr int PAIRS = (S::ROWS + 1) / 2;      // of an image
    static constexpr int TILE_PAIRS = 8 * S::DOWN, TILE_COLS = S::WIDE * S::ACROSS;
    static constexpr int COL_TILES = divided_up(S::COLS, TILE_COLS);
    // At most so many images meet in a tile.
    static constexpr int IMAGES = PAIRS % TILE_PAIRS == 0 ? 1
        : TILE_PAIRS % PAIRS == 0 ? TILE_PAIRS / PAIRS
        : 1 + divided_up(TILE_PAIRS - 1, PAIRS);

    // The stage: what shared memory holds of an octet. Even rows come first, then odd
    // rows. With a pitch of 4 modulo 8 words, lanes read from 32 banks.
    static constexpr int DOWNSHIFT = S::TOP % S::CELL;   // so that cells begin at even
    static constexpr int ASIDE = S::LEFT % S::CELL;      // rows and columns
    static constexpr int EXTRA = (KH + DOWNSHIFT) / 2;   // pairs below those of an image
    static constexpr int SLOTS = TILE_PAIRS + IMAGES * EXTRA;
    static constexpr int SPAN =
        divided_up(TILE_COLS + KW - 1 + ASIDE, S::CELL) * S::CELL;
    static constexpr int PITCH = 8 * SPAN + 4;
    static constexpr int HALF = SLOTS * PITCH, IMAGE = 2 * HALF;
    static constexpr int TAPS = KH * KW, STAGE = IMAGE + TAPS * S::NT * 64;

    // It is filled in KH shares. A thread brings so many cells of images and so many
    // float4 of filters to each.
    static constexpr int SPAN_CELLS = SPAN / S::CELL;
    static constexpr int CELLS = 2 * SLOTS / S::CELL * SPAN_CELLS * 2;
    static constexpr int CELLS_EACH = divided_up(CELLS, KH * THREADS);
    static constexpr int FILTER_ROW = KW * S::NT * 16;
    static constexpr int FILTERS_EACH = divided_up(FILTER_ROW, THREADS);
};

// A block's place: its first image, pair of rows, column, and slice of the filters.
template <class T> struct Corner {
    int image, pair, col, slice;

    __device__ Corner()
    {
        unsigned int b = blockIdx.x;
        slice = b % T::SLICES, b /= T::SLICES;
        col = b % T::COL_TILES * T::TILE_COLS, b /= T::COL_TILES;
        image = b * T::TILE_PAIRS / T::PAIRS;
        pair = b * T::TILE_PAIRS % T::PAIRS;
    }

    // Of four channels of a cell: x, where they are, in fours, from the first image on
    // (-1: nowhere, they are 0), and y, where they go in the stage.
    __device__ int2 way(int k, int N) const
    {
        int half = k % 2, cell = k / 2;
        int i = cell / T::SPAN_CELLS * T::CELL, j = cell % T::SPAN_CELLS * T::CELL;
        int target = i % 2 * T::HALF + i / 2 * T::PITCH + j * 8 + half * 4;
        int slot = pair + i / 2, n = slot / (T::PAIRS + T::EXTRA);
        int y = slot % (T::PAIRS + T::EXTRA) * 2 + i % 2 - T::TOP - T::DOWNSHIFT;
        int x = col + j - T::LEFT - T::ASIDE;
        if (image + n >= N || y < 0 || y >= T::H * T::CELL || x < 0 ||
            x >= T::W * T::CELL)
            return {-1, target};
        int pixel = (n * T::H + y / T::CELL) * T::W + x / T::CELL;
        return {pixel * (T::C / 4) + half, target};
    }
};

// What the main loop reads.
template <class T> struct Source {
    const float* images;           // from the block's first on
    const unsigned char* codes;    // where in its cell each value goes; null: to place 0
    const float* packed;           // from the block's slice on
    const int2* ways;              // of all cells, in shared memory
};

// A share of an octet on its way to the stage. It is held in registers, so that the loop
// can compute meanwhile.
template <class T> struct Share {
    float4 cells[T::CELLS_EACH], filters[T::FILTERS_EACH];
    uchar4 codes[T::CELLS_EACH];
    int targets[T::CELLS_EACH];

    __device__ void fetch(const Source<T>& from, int octet, int share)
    {
#pragma unroll
        for (int k = 0; k < T::CELLS_EACH; k++) {
            int cell = (share * T::CELLS_EACH + k) * T::THREADS + threadIdx.x;
            int2 way = {-1, -1};
            if (cell < T::CELLS) way = from.ways[cell];
            int at = way.x + octet * 2;
            targets[k] = way.y;
            cells[k] = make_float4(0, 0, 0, 0);
            codes[k] = {0, 0, 0, 0};
            if (way.x < 0) continue;
            cells[k] = ((const float4*)from.images)[at];
            if (from.codes) codes[k] = ((const uchar4*)from.codes)[at];
        }
        const float* row = from.packed + (octet * T::TAPS + share * KW) * T::F * 8;
#pragma unroll
        for (int k = 0; k < T::FILTERS_EACH; k++) {
            int i = k * T::THREADS + threadIdx.x, tap = i / (T::NT * 16);
            if (i < T::FILTER_ROW)
                filters[k] = *(const float4*)(row + tap * (T::F - T::NT * 8) * 8 + i * 4);
        }
    }

    __device__ void put(float* stage, int share) const
    {
#pragma unroll
        for (int k = 0; k < T::CELLS_EACH; k++) {
            if (targets[k] < 0) continue;
            float4 v = rounded(cells[k]);
            uchar4 to = codes[k];
#pragma unroll
            for (int e = 0; e < T::CELL * T::CELL; e++)
                *(float4*)(stage + targets[k] + e / 2 * T::HALF + e % 2 * 8) =
                    make_float4(to.x == e ? v.x : 0, to.y == e ? v.y : 0,
                                to.z == e ? v.z : 0, to.w == e ? v.w : 0);
        }
#pragma unroll
        for (int k = 0; k < T::FILTERS_EACH; k++) {
            int i = k * T::THREADS + threadIdx.x;
            if (i < T::FILTER_ROW)
                *(float4*)(stage + T::IMAGE + (share * T::FILTER_ROW + i) * 4) =
                    rounded(filters[k]);
        }
    }

    // For tf32 on the way here, since each value is taken from the stage several times.
    __device__ static float4 rounded(float4 v)
    {
        return TF32 ? make_float4(to_tf32(v.x), to_tf32(v.y), to_tf32(v.z), to_tf32(v.w))
                    : v;
    }
};

// The part of the output that a lane computes: rows from row on, columns from col on, and
// filters filter, filter + 1, those 8 further on, ...
template <class T> struct Lane {
    int pair, image, row, col, filter;

    __device__ Lane(const Corner<T>& corner)
    {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        pair = warp / T::ACROSS * 8 + lane / 4;    // of the tile
        image = corner.image + (corner.pair + pair) / T::PAIRS;
        row = (corner.pair + pair) % T::PAIRS * 2;
        col = corner.col + warp % T::ACROSS * T::WIDE;
        filter = corner.slice * T::NT * 8 + lane % 4 * 2;
    }

    // Whether there is an output so many rows and columns on.
    __device__ bool has(int r, int c) const
    {
        return (T::ROWS % 2 == 0 || row + r < T::ROWS) &&
               (T::COLS % T::TILE_COLS == 0 || col + c < T::COLS);
    }
};

// One row of a filter's taps. even, odd: this lane's place in the rows of its pair.
template <class T> __device__ inline void row_of_taps(
    float (&sum)[T::WIDE][T::NT][4], const float* even, const float* odd,
    const float* filters)
{
    const int columns = T::WIDE + KW - 1;
    float big[columns][4];
#if !TF32
    float small[columns][4];    // what rounding cuts off, rounded in its turn
#endif
#pragma unroll
    for (int c = 0; c < columns; c++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float x = (i % 2 ? odd : even)[c * 8 + i / 2 * 4];
#if TF32
            big[c][i] = x;
#else
            big[c][i] = to_tf32(x);
            small[c][i] = to_tf32(x - big[c][i]);
#endif
        }
#pragma unroll
    for (int kx = 0; kx < KW; kx++)
#pragma unroll
        for (int j = 0; j < T::NT; j++) {
            float2 w = *(const float2*)(filters + (kx * T::NT + j) * 64);
#if TF32
            float b[2] = {w.x, w.y};
#else
            float b[2] = {to_tf32(w.x), to_tf32(w.y)};
            float rest[2] = {to_tf32(w.x - b[0]), to_tf32(w.y - b[1])};
#pragma unroll
            for (int c = 0; c < T::WIDE; c++) mma_tf32(sum[c][j], small[c + kx], b);
#pragma unroll
            for (int c = 0; c < T::WIDE; c++) mma_tf32(sum[c][j], big[c + kx], rest);
#endif
#pragma unroll
            for (int c = 0; c < T::WIDE; c++) mma_tf32(sum[c][j], big[c + kx], b);
        }
}

// The whole loop. Lane 4g + t of a warp gets sum[c][j] = (row 2g: filters 2t, 2t + 1;
// row 2g + 1: the same) of the warp's column c and filters j * 8 + ... of the slice.
template <class T> __device__ inline void correlate(
    const float* images, const unsigned char* codes, const float* packed, int N,
    const Corner<T>& corner, float (&sum)[T::WIDE][T::NT][4])
{
    DYN_SHARED(float, stages);
    int2* ways = (int2*)(stages + 2 * T::STAGE);    // a thread reads its own alone
#pragma unroll 1
    for (int k = threadIdx.x; k < T::CELLS; k += T::THREADS) ways[k] = corner.way(k, N);
    index_t first = (index_t)corner.image * T::H * T::W * T::C;
    Source<T> from = {images + first, codes ? codes + first : 0,
                      packed + corner.slice * T::NT * 64, ways};
    Share<T> held;
#pragma unroll 1
    for (int share = 0; share < KH; share++) {
        held.fetch(from, 0, share);
        held.put(stages, share);
    }
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, pair = Lane<T>(corner).pair;
    int slot = pair + (corner.pair + pair) / T::PAIRS * T::EXTRA;
    int place = slot * T::PITCH + (warp % T::ACROSS * T::WIDE + T::ASIDE) * 8 + lane % 4;
#pragma unroll
    for (int c = 0; c < T::WIDE; c++)
#pragma unroll
        for (int j = 0; j < T::NT; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) sum[c][j][e] = 0;

#pragma unroll 1
    for (int octet = 0; octet < T::OCTETS; octet++) {
        float* stage = stages + octet % 2 * T::STAGE;
        float* other = stages + (octet + 1) % 2 * T::STAGE;
        bool more = octet + 1 < T::OCTETS;
        __syncthreads();    // this octet is there, and no warp reads the one before
        // N is never below 0, but so ky's loop stays one where KH is 1. Otherwise its
        // body is mixed with what is around it, and spills.
        int rows = N < 0 ? KH + 1 : KH;
#pragma unroll 1
        for (int ky = 0; ky < rows; ky++) {
            if (more) held.fetch(from, octet + 1, ky);
            int row = ky + T::DOWNSHIFT, below = row + 1;
            row_of_taps<T>(sum, stage + row % 2 * T::HALF + row / 2 * T::PITCH + place,
                           stage + below % 2 * T::HALF + below / 2 * T::PITCH + place,
                           stage + T::IMAGE + ky * KW * T::NT * 64 + lane * 2);
            if (more) held.put(other, ky);
        }
    }
}
