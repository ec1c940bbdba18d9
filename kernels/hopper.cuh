// What Hopper added for large products: copies of boxes (TMA), barriers that count their
// bytes (mbarrier), and products of four warps that read shared memory (wgmma).
//
// A file that includes this compiles for sm_90a alone, and says so in a line "only
// sm_90a". On the emulator the same names are functions of its own, in
// emulator/hopper.cpp and wgmma.cpp.
#pragma once
#include "mma.cuh"

// An array in memory, and how large a box is cut out of it: minifer/cuda/tensor_map.py
// makes it. A kernel's parameter is written TENSOR_MAP name.
#ifndef MF_EMU
struct __align__(64) TensorMap { unsigned char opaque[128]; };
#endif
#define TENSOR_MAP const __grid_constant__ TensorMap

typedef unsigned long long Mbarrier;

// In shared memory a box has rows of 128 bytes, 32 floats. Of each eight rows, row r has
// its pieces of 16 bytes in the order of number ^ r, so that both a row of pieces and a
// column of them lie in all banks: the "128-byte swizzle" of TMA and wgmma. A box begins
// at a multiple of 1024 bytes. The place of a number in it:
__device__ inline int swizzled(int row, int column)
{
    return row * 32 + ((column / 4 ^ row % 8) * 4 + column % 4);
}

#ifdef MF_EMU

#define BOXES_SHARED(name) float* name = (float*)emu_boxes_shared()
#define mbarrier_init(barrier, count) emu_barrier_init(EMU_HERE, barrier, count)
#define mbarrier_expect(barrier, bytes) emu_barrier_arrive(EMU_HERE, barrier, bytes)
#define mbarrier_arrive(barrier) emu_barrier_arrive(EMU_HERE, barrier, 0)
#define mbarrier_wait(barrier, parity) emu_barrier_wait(EMU_HERE, barrier, parity)
#define fence_async() emu_fence_async()
#define load_box(target, map, x, y, z, barrier) \
    emu_load_box(EMU_HERE, target, &(map), x, y, z, barrier)
#define wgmma_fence() emu_wgmma_fence()
#define wgmma_commit() emu_wgmma_commit()
#define wgmma_wait() emu_wgmma_wait(EMU_HERE, 0)
template <int N> __device__ inline void wgmma(float (&d)[N / 2], const float (&a)[4],
                                              unsigned long long b, bool adds)
{
    emu_wgmma(EMU_HERE, N, d, a, b, adds);
}

__device__ inline unsigned int shared_place(const void* p)
{
    return (const char*)p - (const char*)emu_dynamic_shared();
}

#else

// All dynamic shared memory, from a multiple of 1024 bytes on.
#define BOXES_SHARED(name)                                     \
    extern __shared__ __align__(1024) unsigned char boxes_shared[]; \
    float* name = reinterpret_cast<float*>(boxes_shared)

__device__ inline unsigned int shared_place(const void* p)
{
    return (unsigned int)__cvta_generic_to_shared(p);
}

// A barrier goes from phase to phase: each ends when `count` threads have arrived, and all
// bytes have come that were expected. The copies see it after fence_async.
__device__ inline void mbarrier_init(Mbarrier* barrier, unsigned int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_place(barrier)),
                 "r"(count)
                 : "memory");
}

// Arrive, and expect so many bytes more in this phase.
__device__ inline void mbarrier_expect(Mbarrier* barrier, unsigned int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_place(barrier)),
                 "r"(bytes)
                 : "memory");
}

__device__ inline void mbarrier_arrive(Mbarrier* barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_place(barrier))
                 : "memory");
}

// Wait for the end of the phase with this parity, which is the current one or was the last:
// 0 for the first phase, 1 for the second, 0 for the third.
__device__ inline void mbarrier_wait(Mbarrier* barrier, unsigned int parity)
{
    unsigned int done;
    do {
        asm volatile(
            "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
            "selp.u32 %0, 1, 0, p; }"
            : "=r"(done)
            : "r"(shared_place(barrier)), "r"(parity)
            : "memory");
    } while (!done);
}

// What this thread has stored in shared memory is seen by copies and products from now on.
__device__ inline void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Begin to copy the box that starts at (x, y, z) of an array, x along its rows. What lies
// outside of the array is 0. The barrier gets all the box's bytes.
__device__ inline void load_box(float* target, const TensorMap& map, int x, int y, int z,
                                Mbarrier* barrier)
{
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_place(target)),
        "l"(&map), "r"(shared_place(barrier)), "r"(x), "r"(y), "r"(z)
        : "memory");
}

// Before each group of products, which then may use the registers written so far; behind
// it; and until all are done. Until then neither sums nor a may be touched.
__device__ inline void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

// d += a b, or d = a b, for matrices a (64, 8), b (8, N), d (64, N). Of four warps, warp w
// has rows 16 w to 16 w + 15. Its lane 4g + t brings a[g][t], a[g+8][t], a[g][t+4],
// a[g+8][t+4], and has, for each eight columns, d[g][2t], d[g][2t+1], d[g+8][2t],
// d[g+8][2t+1]. b: see rows_of.
template <int N> __device__ void wgmma(float (&d)[N / 2], const float (&a)[4],
                                       unsigned long long b, bool adds);

#define EIGHT(i)                                                                  \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]),   \
        "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA(N, registers, outputs, a0, a1, a2, a3, b_, adds_)                      \
    template <> __device__ inline void wgmma<N>(                                      \
        float (&d)[N / 2], const float (&a)[4], unsigned long long b, bool adds)      \
    {                                                                                 \
        asm volatile(                                                                 \
            "{ .reg .pred p; setp.ne.b32 p, " adds_ ", 0; "                           \
            "wgmma.mma_async.sync.aligned.m64n" #N "k8.f32.tf32.tf32 {" registers     \
            "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b_ ", p, 1, 1; }"                 \
            : outputs                                                                 \
            : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])),                 \
              "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])), "l"(b),         \
              "r"((int)adds));                                                        \
    }
#define REGISTERS_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define OUTPUTS_32 \
    EIGHT(0), EIGHT(8)
WGMMA(32, REGISTERS_32, OUTPUTS_32, "%16", "%17", "%18", "%19", "%20", "%21")
#define REGISTERS_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define OUTPUTS_64 \
    EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24)
WGMMA(64, REGISTERS_64, OUTPUTS_64, "%32", "%33", "%34", "%35", "%36", "%37")
#define REGISTERS_128 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define OUTPUTS_128 \
    EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24), \
    EIGHT(32), EIGHT(40), EIGHT(48), EIGHT(56)
WGMMA(128, REGISTERS_128, OUTPUTS_128, "%64", "%65", "%66", "%67", "%68", "%69")

#endif

// For wgmma, b in shared memory as a box of N rows: row n has b[0][n] to b[7][n] from
// column `column` on, a multiple of 8. Eight rows lie 1024 bytes from the next.
__device__ inline unsigned long long rows_of(const float* box, int column)
{
    const unsigned long long swizzle_128 = 1ull << 62, stride = (1024ull >> 4) << 32;
    return swizzle_128 | stride | 1ull << 16 | (shared_place(box + column) & 0x3ffff) >> 4;
}
