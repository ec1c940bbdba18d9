// Noise of a stream, the very same as on the CPU but for rounding:
// minifer.random.Stream.noise_part says how it is made of the stream's bits.
#include "common.cuh"
#include "philox.cuh"

// Elements start ... start + n. Thread t draws a block of Philox, 8 neighbours.
__device__ inline void draw(real* noise, index_t n, index_t start, word key0, word key1,
                            word step, bool is_normal)
{
    index_t block = start / 8 + GLOBAL_INDEX;
    if (block * 8 >= start + n) return;
    word c[4];
    philox(c, block, key0, key1, step);
    for (int i = 0; i < 8; i += 2) {
        // 23 bits and a half: exact in float, in (0, 1)
        real u = ((real)((c[i / 2] >> 9) & 0x7FFFFF) + (real)0.5) / 8388608;
        real v = ((real)(c[i / 2] >> 41) + (real)0.5) / 8388608;
        if (is_normal) {
            // Of multiples of pi: cos and sin of any angle keep an array in memory.
            real radius = sqrt(-2 * log(u)), angle = 2 * v;
            u = radius * cospi(angle);
            v = radius * sinpi(angle);
        }
        index_t at = block * 8 + i - start;
        if (at >= 0 && at < n) noise[at] = u;
        if (at + 1 >= 0 && at + 1 < n) noise[at + 1] = v;
    }
}

extern "C" __global__ void draw_noise(real* noise /*[n]*/, index_t n, index_t start,
                                      unsigned long long key0, unsigned long long key1,
                                      unsigned long long step, int is_normal)
{
    draw(noise, n, start, key0, key1, step, is_normal);
}

// The same for a recorded step, which reads the stream's step from the device's memory.
extern "C" __global__ void draw_recorded_noise(
    real* noise /*[n]*/, index_t n, unsigned long long key0, unsigned long long key1,
    int is_normal, const double* numbers /*[count]*/, index_t count, index_t index)
{
    draw(noise, n, 0, key0, key1, (word)numbers[index], is_normal);
}
