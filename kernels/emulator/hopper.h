// What Hopper added, by PTX's words: copies of boxes (TMA), barriers in shared memory that
// count bytes (mbarrier), in hopper.cpp; products of four warps that read shared memory
// (wgmma), in wgmma.cpp.
//
// All of it goes on while the threads go on. Here each happens at the last moment that
// the kernel leaves: a copy lands when nothing can run without it, a product reads and
// writes when it is waited for. Who does not wait finds NaN, and where the kernel breaks
// a rule that a GPU would not check, it is a fault.
#pragma once
#include <stdint.h>

#include "internals.h"

namespace emu {

// Places in shared memory, as a GPU counts them: from 0 on.
inline uint64_t place_of(const void* p) { return (char*)p - (char*)emu_dynamic_shared(); }
inline char* at(uint64_t place) { return (char*)emu_dynamic_shared() + place; }

// Within each 8 rows of `span` bytes, row r has its pieces of 16 bytes in the order of
// number ^ r: bits of the place itself are combined. 32, 64 or 128 bytes, or none.
inline uint64_t swizzled(uint64_t place, int span)
{
    return place ^ ((place >> 7 & (span / 16 - 1)) << 4);
}

inline bool overlap(uint64_t a, unsigned long n, uint64_t b, unsigned long m)
{
    return a < b + m && b < a + n;
}

// hopper.cpp. Faults, if a use of shared memory leaves it, or was not told of a store.
void check_inside(Place where, uint64_t place, unsigned long bytes, const char* who);
void check_seen(Place where, uint64_t place, unsigned long bytes, const char* who);
bool is_loaded(uint64_t place, unsigned long bytes);      // a copy is under way to there

// wgmma.cpp
bool is_multiplied(uint64_t place, unsigned long bytes);  // a product still reads there
void begin_products();
void end_products(int threads);

}  // namespace emu
