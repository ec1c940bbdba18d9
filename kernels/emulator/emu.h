// What a kernel sees when g++ compiles it: CUDA's words, spelled for the CPU.
//
// The keywords vanish, threadIdx and its like become calls, and everything at which
// threads meet (barriers, shuffles, votes) goes to the scheduler in emu.cpp. EMU_HERE
// is the line of the kernel, by which a fault can be found.
#pragma once
#include <cstring>
#undef _GLIBCXX_USE_STD_SPEC_FUNCS  // Bessel's and the like: more text than most kernels
#include <math.h>
#include <utility>

#define MF_EMU 1
#define EMU_TEXT_(x) #x
#define EMU_TEXT(x) EMU_TEXT_(x)
#define EMU_HERE __FILE__ ":" EMU_TEXT(__LINE__)
#define EMU_JOIN_(a, b) a##b
#define EMU_JOIN(a, b) EMU_JOIN_(a, b)

// --- keywords ----------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static const

// Blocks run one after the other, so a static variable serves them all. A gap in
// front of each array catches an index that leaves its neighbour; emu_gaps lists them.
#define EMU_GAP 64
#define EMU_SHARED_GAP(name)                                                     \
    static char EMU_JOIN(name, _bytes)[EMU_GAP]                                  \
        __attribute__((section("emu_shared"), used, aligned(1)));                \
    static char* const name                                                      \
        __attribute__((section("emu_gaps"), used)) = EMU_JOIN(name, _bytes);
#define __shared__                                                               \
    EMU_SHARED_GAP(EMU_JOIN(emu_gap_, __COUNTER__))                              \
    static __attribute__((section("emu_shared"), aligned(EMU_GAP)))

// --- types -------------------------------------------------------------------

struct uint3 { unsigned int x, y, z; };
struct dim3 {
    unsigned int x, y, z;
    dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1)
        : x(x), y(y), z(z) {}
};
struct float2 { float x, y; } __attribute__((aligned(8)));
struct float4 { float x, y, z, w; } __attribute__((aligned(16)));
struct double2 { double x, y; } __attribute__((aligned(16)));
struct int2 { int x, y; } __attribute__((aligned(8)));
struct int4 { int x, y, z, w; } __attribute__((aligned(16)));
struct uint2 { unsigned int x, y; } __attribute__((aligned(8)));
struct uint4 { unsigned int x, y, z, w; } __attribute__((aligned(16)));
struct uchar4 { unsigned char x, y, z, w; } __attribute__((aligned(4)));
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
// What emu_tensor_map makes of an array: where it lies comes first, to be replaced by
// where the arena has it.
struct TensorMap {
    char* base;
    unsigned long long dims[5], strides[4];
    unsigned short box[5];
    unsigned char rank, type, swizzle;
    unsigned int magic;
    char spare[28];
};
static_assert(sizeof(TensorMap) == 128, "as large as CUDA's");
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

// --- the scheduler, in emu.cpp -----------------------------------------------

extern "C" {
// Const: a thread's place does not change, so g++ may ask once.
uint3 emu_thread_index() __attribute__((const));
uint3 emu_block_index() __attribute__((const));
uint3 emu_block_size() __attribute__((const));
uint3 emu_grid_size() __attribute__((const));
void* emu_dynamic_shared();
void emu_barrier(const char* where);
void emu_sync_warp(const char* where, unsigned int mask);
unsigned int emu_ballot(const char* where, unsigned int mask, int predicate);
unsigned long long emu_shuffle(const char* where, unsigned int mask,
                               unsigned long long value, int source);
void emu_atomic(const char* where, void* address, unsigned long bytes);
void emu_mma_tf32(const char* where, float* d, const float* a, const float* b);
void emu_copy_async(const char* where, void* target, const void* source);
void emu_copy_commit();
void emu_copy_wait(int pending);
// In hopper.cpp and wgmma.cpp.
void* emu_boxes_shared();
void emu_barrier_init(const char* where, void* barrier, unsigned int count);
void emu_barrier_arrive(const char* where, void* barrier, unsigned int bytes);
void emu_barrier_wait(const char* where, void* barrier, unsigned int parity);
void emu_fence_async();
void emu_load_box(const char* where, void* target, const TensorMap* map, int x, int y,
                  int z, void* barrier);
void emu_wgmma_fence();
void emu_wgmma_commit();
void emu_wgmma_wait(const char* where, int pending);
void emu_wgmma(const char* where, int n, float* d, const float* a, unsigned long long b,
               int adds);
}

#define threadIdx emu_thread_index()
#define blockIdx emu_block_index()
#define blockDim emu_block_size()
#define gridDim emu_grid_size()
#define warpSize 32

#define __syncthreads() emu_barrier(EMU_HERE)
#define __syncwarp emu::SyncWarp{EMU_HERE}
#define __threadfence()
#define __threadfence_block()
#define __ballot_sync(mask, p) emu_ballot(EMU_HERE, mask, (p) != 0)
#define __any_sync(mask, p) (emu_ballot(EMU_HERE, mask, (p) != 0) != 0)
#define __all_sync(mask, p) (emu_ballot(EMU_HERE, mask, (p) == 0) == 0)
#define __shfl_sync(mask, v, ...) \
    emu::shuffle(EMU_HERE, mask, v, emu::lane_of(__VA_ARGS__))
#define __shfl_up_sync(mask, v, ...) \
    emu::shuffle(EMU_HERE, mask, v, emu::lane_up(__VA_ARGS__))
#define __shfl_down_sync(mask, v, ...) \
    emu::shuffle(EMU_HERE, mask, v, emu::lane_down(__VA_ARGS__))
#define __shfl_xor_sync(mask, v, ...) \
    emu::shuffle(EMU_HERE, mask, v, emu::lane_xor(__VA_ARGS__))

namespace emu {

inline int lane()
{
    uint3 t = threadIdx, n = blockDim;
    return (t.x + n.x * (t.y + n.y * t.z)) % 32;
}

// The lane that a shuffle reads; outside its segment of `width` lanes, the own one.
inline int lane_of(int source, int width = 32)
{
    return (lane() & -width) | (source & (width - 1));
}
inline int lane_up(unsigned int delta, int width = 32)
{
    int from = lane() - (int)delta;
    return from < (lane() & -width) ? lane() : from;
}
inline int lane_down(unsigned int delta, int width = 32)
{
    int from = lane() + (int)delta;
    return from > (lane() | (width - 1)) ? lane() : from;
}
inline int lane_xor(int bits, int width = 32)
{
    int from = lane() ^ bits;
    return from > (lane() | (width - 1)) ? lane() : from;
}

template <class T> T shuffle(const char* where, unsigned int mask, T value, int source)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_shuffle(where, mask, bits, source);
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct SyncWarp {
    const char* where;
    void operator()(unsigned int mask = 0xffffffffu) { emu_sync_warp(where, mask); }
};

// One fiber runs at a time, so any read-modify-write is atomic. Whole numbers only:
// the order in which floats are added would show in the result.
template <class T, class V, class F>
__attribute__((noinline, no_sanitize("thread")))
T atomic(const char* where, T* address, V value, F combine)
{
    static_assert((T)0.5 == 0, "atomics on floats depend on the order of threads");
    emu_atomic(where, address, sizeof(T));
    T old = *address;
    *address = combine(old, (T)value);
    return old;
}

}  // namespace emu

#define EMU_ATOMIC(p, v, result) \
    emu::atomic(EMU_HERE, p, v, [](auto old, auto value) { return result; })
#define atomicAdd(p, v) EMU_ATOMIC(p, v, old + value)
#define atomicSub(p, v) EMU_ATOMIC(p, v, old - value)
#define atomicMax(p, v) EMU_ATOMIC(p, v, old > value ? old : value)
#define atomicMin(p, v) EMU_ATOMIC(p, v, old < value ? old : value)
#define atomicAnd(p, v) EMU_ATOMIC(p, v, old & value)
#define atomicOr(p, v) EMU_ATOMIC(p, v, old | value)
#define atomicXor(p, v) EMU_ATOMIC(p, v, old ^ value)
#define atomicExch(p, v) EMU_ATOMIC(p, v, ((void)old, value))
#define atomicCAS(p, expected, v)                       \
    emu::atomic(EMU_HERE, p, v, [e = (expected)](auto old, auto value) { \
        return old == (decltype(old))e ? value : old; })

// --- arithmetic --------------------------------------------------------------

#define EMU_MIN_MAX(T, smaller, larger)              \
    inline T min(T a, T b) { return smaller; }       \
    inline T max(T a, T b) { return larger; }
#define EMU_MIN_MAX_WHOLE(T) EMU_MIN_MAX(T, a < b ? a : b, a > b ? a : b)
EMU_MIN_MAX_WHOLE(int)
EMU_MIN_MAX_WHOLE(unsigned int)
EMU_MIN_MAX_WHOLE(long)
EMU_MIN_MAX_WHOLE(unsigned long)
EMU_MIN_MAX_WHOLE(long long)
EMU_MIN_MAX_WHOLE(unsigned long long)
EMU_MIN_MAX(float, fminf(a, b), fmaxf(a, b))
EMU_MIN_MAX(double, fmin(a, b), fmax(a, b))

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float cospi(float x) { return (float)cos(3.141592653589793 * x); }
inline double cospi(double x) { return cos(3.141592653589793 * x); }
inline float sinpi(float x) { return (float)sin(3.141592653589793 * x); }
inline double sinpi(double x) { return sin(3.141592653589793 * x); }
// Macros: the C library declares functions of some of these names.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __fdividef(x, y) ((float)(x) / (float)(y))
#define __ldg(p) (*(p))

inline unsigned int __umulhi(unsigned int a, unsigned int b)
{
    return (unsigned long long)a * b >> 32;
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}
inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

namespace emu {
template <class To, class From> To bits_as(From from)
{
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
}
inline float __int_as_float(int x) { return emu::bits_as<float>(x); }
inline float __uint_as_float(unsigned int x) { return emu::bits_as<float>(x); }
inline int __float_as_int(float x) { return emu::bits_as<int>(x); }
inline unsigned int __float_as_uint(float x) { return emu::bits_as<unsigned int>(x); }
inline double __longlong_as_double(long long x) { return emu::bits_as<double>(x); }
inline long long __double_as_longlong(double x) { return emu::bits_as<long long>(x); }

// --- the way in --------------------------------------------------------------

namespace emu {

// A kernel's parameters as text, to be checked at launch: a letter each (c: pointer to
// constants, p: pointer, t: tensor map, f: float, i: whole number), then the bytes of
// each.
template <class P> struct Kind {
    static const char letter = (P)0.5 != 0 ? 'f' : 'i', bytes = sizeof(P);
};
template <class T> struct Kind<T*> {
    static const char letter = 'p', bytes = sizeof(T);
};
template <class T> struct Kind<const T*> {
    static const char letter = 'c', bytes = sizeof(T);
};
template <> struct Kind<TensorMap> {
    static const char letter = 't', bytes = (char)sizeof(TensorMap);
};
template <class... P> const char* kinds(void (*)(P...))
{
    static const char text[] = {Kind<P>::letter..., Kind<P>::bytes..., 0};
    return text;
}

template <class... P, size_t... I>
__attribute__((no_sanitize("thread")))
void call(void (*kernel)(P...), void** args, std::index_sequence<I...>)
{
    kernel(*(P*)args[I]...);
}
template <class... P>
__attribute__((no_sanitize("thread"))) void call(void (*kernel)(P...), void** args)
{
    call(kernel, args, std::index_sequence_for<P...>());
}

}  // namespace emu

#define EMU_KERNEL(name)                                                         \
    extern "C" const char* emu_kinds_##name() { return emu::kinds(name); }       \
    extern "C" __attribute__((no_sanitize("thread")))                            \
    void emu_call_##name(void** args) { emu::call(name, args); }
// The shared memory of this file, for the scheduler to poison and to guard.
#define EMU_MODULE                                                               \
    extern "C" {                                                                 \
    extern char __start_emu_shared[] __attribute__((weak, visibility("hidden")));\
    extern char __stop_emu_shared[] __attribute__((weak, visibility("hidden"))); \
    extern char* const __start_emu_gaps[] __attribute__((weak, visibility("hidden"))); \
    extern char* const __stop_emu_gaps[] __attribute__((weak, visibility("hidden"))); \
    const void* emu_module[] = {__start_emu_shared, __stop_emu_shared,     \
                                      __start_emu_gaps, __stop_emu_gaps};        \
    }
