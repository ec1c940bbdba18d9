// What every kernel shares: the types, a thread's number, a few constants.
//
// The same text is compiled by NVRTC for a GPU (which has no headers of the host, so
// none are included here) and by g++ for the emulator, which then defines MF_EMU.
#pragma once

#ifndef REAL
#define REAL float
#endif

typedef REAL real;           // the type the file is compiled for: float or double
typedef long long index_t;   // 64 bits: N*C*H*W of a large batch passes 2^31

// The number of this thread in a row of blocks. The product is of 64 bits.
#define GLOBAL_INDEX (blockIdx.x * (index_t)blockDim.x + threadIdx.x)

// Whether n fits into 32 bits. A GPU has no instruction that divides whole numbers;
// the function in its place is several times as long for 64 bits as for 32.
__device__ inline bool is_short(index_t n) { return n <= 0xffffffffll; }

__device__ inline index_t divided(index_t i, index_t by)
{
    if (is_short(i) && is_short(by)) return (unsigned int)i / (unsigned int)by;
    return i / by;
}

// Shared memory whose size the launch gives: DYN_SHARED(real, tile); tile[i] = ...
// One array per kernel; take it apart by hand where two are needed.
#ifdef MF_EMU
#define DYN_SHARED(type, name) type* name = (type*)emu_dynamic_shared()
#else
#define DYN_SHARED(type, name)                                     \
    extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
    type* name = reinterpret_cast<type*>(dynamic_shared)
#endif

// As macros, since NVRTC knows neither INFINITY nor NAN nor FLT_MAX.
#define REAL_INFINITY ((real)__int_as_float(0x7f800000))
#define NOT_A_NUMBER ((real)__int_as_float(0x7fffffff))
#define REAL_MAX ((real)(sizeof(real) == 4 ? 3.4028234663852886e+38 \
                                           : 1.7976931348623157e+308))
#define REAL_EPSILON ((real)(sizeof(real) == 4 ? 1.1920928955078125e-07 \
                                               : 2.220446049250313e-16))
