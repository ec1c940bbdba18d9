// Random bits by number: Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"), with key and counter as NumPy's generator sets them.
#pragma once

typedef unsigned long long word;

// The 256 bits of a block of this step.
__device__ inline void philox(word c[4], word block, word key0, word key1, word step)
{
    c[0] = block + 1;  // NumPy counts before it draws
    c[1] = c[2] = 0;
    c[3] = step;
    for (int round = 0; round < 10; round++) {
        word low0 = 0xD2E7470EE14C6C93ull * c[0];
        word high0 = __umul64hi(0xD2E7470EE14C6C93ull, c[0]);
        word low1 = 0xCA5A826395121157ull * c[2];
        word high1 = __umul64hi(0xCA5A826395121157ull, c[2]);
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B97F4A7C15ull;  // the golden ratio and the root of 3, less 1
        key1 += 0xBB67AE8584CAA73Bull;
    }
}
