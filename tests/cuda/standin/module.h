// What a kernel that CuPy compiled sees of the emulator, and what the driver sees of it.
//
// The same as kernels/emulator/emu.h, but memory is not checked here (the driver knows
// pointers, not arrays; the emulator's own device does that), and CuPy's own kernels
// may add floats atomically. emu_launch runs one CUDA thread at a time.
#pragma once
#include <float.h>
#include <initializer_list>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <type_traits>

#include "names.h"

#include "emu.h"
#include "kernel.h"

#undef atomicAdd
#undef atomicSub
#undef atomicMax
#undef atomicMin
#undef atomicAnd
#undef atomicOr
#undef atomicXor
#undef atomicExch
#undef atomicCAS
#define STANDIN_ATOMIC(name, result)                                             \
    template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>   \
    inline T name(T* address, std::common_type_t<T> value)                       \
    {                                                                            \
        T old = *address;                                                        \
        *address = result;                                                       \
        return old;                                                              \
    }
STANDIN_ATOMIC(atomicAdd, old + value)
STANDIN_ATOMIC(atomicSub, old - value)
STANDIN_ATOMIC(atomicMax, old > value ? old : value)
STANDIN_ATOMIC(atomicMin, old < value ? old : value)
STANDIN_ATOMIC(atomicExch, value)
template <class T> inline T atomicAnd(T* p, T v) { T old = *p; *p = old & v; return old; }
template <class T> inline T atomicOr(T* p, T v) { T old = *p; *p = old | v; return old; }
template <class T> inline T atomicXor(T* p, T v) { T old = *p; *p = old ^ v; return old; }
template <class T> inline T atomicCAS(T* p, T expected, T v)
{
    T old = *p;
    if (old == expected) *p = v;
    return old;
}

// Half numbers, rounded to the nearest, ties to even.
inline unsigned short __float2half_rn(float x)
{
    unsigned int bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u;
    float size = fabsf(x);
    if (size != size) return 0x7fff;
    if (size >= 65520.0f) return sign | 0x7c00u;
    if (size < 6.103515625e-05f) return sign | (unsigned int)rintf(size * 16777216.0f);
    bits &= 0x7fffffffu;
    return sign | (bits + 0xfffu + (bits >> 13 & 1) - (112u << 23)) >> 13;
}
inline float __half2float(unsigned short h)
{
    float size = (h & 0x7c00) == 0x7c00 ? (h & 0x3ff ? NAN : INFINITY)
        : h & 0x7c00 ? __uint_as_float(((h & 0x7fffu) << 13) + (112u << 23))
        : (h & 0x3ff) / 16777216.0f;
    return h & 0x8000 ? -size : size;
}

// In the words of CuPy's own half numbers.
#define __half_as_ushort(h) (__half_raw(h).x)
#define __ushort_as_half(v) (half(__half_raw{(unsigned short)(v)}))

#define __noinline__ __attribute__((noinline))
#define __CUDACC_RTC__ 1

// --- the kernels of a module ----------------------------------------------------------

namespace standin {

template <class... P> struct Parameters {
    static constexpr int bytes[sizeof...(P) + 1] = {(int)sizeof(P)..., 0};
    static constexpr char pointers[sizeof...(P) + 1] = {std::is_pointer<P>::value..., 0};
};

template <auto kernel> struct Caller;
template <class... P, void (*kernel)(P...)> struct Caller<kernel> {
    template <size_t... I> static void all(void** args, std::index_sequence<I...>)
    {
        kernel(*(P*)args[I]...);
    }
    static void call(void** args) { all(args, std::index_sequence_for<P...>()); }
    static constexpr StandinKernel named(const char* name)
    {
        return {name, call, (int)sizeof...(P), Parameters<P...>::bytes,
                Parameters<P...>::pointers};
    }
};

}  // namespace standin
