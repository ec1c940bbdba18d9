// What CUDA C++ has no words for: the tensor core, and copies that go on by themselves.
//
// A file that includes this needs a GPU of compute capability 8.0, and says so in a
// line "needs sm_80". On the emulator the same names are functions of its own.
#pragma once
#include "common.cuh"

#ifdef MF_EMU

#define mma_tf32(d, a, b) emu_mma_tf32(EMU_HERE, d, a, b)
#define cp_async16(target, source) emu_copy_async(EMU_HERE, target, source)
#define cp_async_commit() emu_copy_commit()
template <int N> __device__ inline void cp_async_wait() { emu_copy_wait(N); }

#else

// d += a b for matrices a (16, 8), b (8, 8), d (16, 8) that a warp holds together.
// Lane 4g + t (g < 8, t < 4) brings a[g][t], a[g+8][t], a[g][t+4], a[g+8][t+4], then
// b[t][g], b[t+4][g], and has d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1].
// Of the inputs only the first 19 bits count; see to_tf32.
__device__ inline void mma_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])),
          "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
          "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

// Begin to copy 16 bytes from global to shared memory; both addresses are multiples of
// 16. The target may be read after cp_async_wait, by other threads after a barrier too.
__device__ inline void cp_async16(void* target, const void* source)
{
    unsigned int place = (unsigned int)__cvta_generic_to_shared(target);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(source)
                 : "memory");
}

// The copies begun since the last commit become one group.
__device__ inline void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Wait until at most the N latest groups of this thread are still under way.
template <int N> __device__ inline void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#endif

// x rounded to the 10 bits of fraction that the tensor core reads, ties away from 0.
// Left to itself it cuts the rest off, which costs 2.6 times the error.
__device__ inline float to_tf32(float x)
{
#ifdef MF_EMU
    unsigned int bits = __float_as_uint(x);
    if (x - x == 0) bits += 0x1000;  // not for NaN and infinity
    return __uint_as_float(bits & 0xffffe000u);
#else
    unsigned int bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
#endif
}
