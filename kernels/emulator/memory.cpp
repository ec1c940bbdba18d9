// Every load and store of a kernel comes by here, since g++ -fsanitize=thread puts a
// call in front of each. We bring our own functions in place of the sanitizers': they
// know blocks, warps and barriers, and need no special process to run in.
//
// Arrays are copied into an arena, far apart, so that an index that leaves one does
// not land in another; they are copied back when the kernel ends well.
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>

#include <algorithm>

#include "internals.h"

namespace emu {
namespace {

const unsigned long GAP = 64 * 1024;   // at least, between arrays
const unsigned long ALIGNED = 64;

std::vector<Range> ranges;
Range* last;               // the one used last
char* arena;
unsigned long arena_bytes, shared_bytes;
char* dynamic_start;
const void* const* module;

unsigned long rounded(unsigned long n, unsigned long to)
{
    return (n + to - 1) / to * to;
}

bool reserve(unsigned long bytes)
{
    if (bytes <= arena_bytes) return true;
    if (arena) munmap(arena, arena_bytes);
    arena_bytes = 2 * bytes;
    arena = (char*)mmap(0, arena_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena != MAP_FAILED) return true;
    arena = 0, arena_bytes = 0;
    return false;
}

// Arrays that overlap, such as one given twice, become one.
std::vector<Array> merged(std::vector<Array> arrays)
{
    std::vector<Array> found;
    std::sort(arrays.begin(), arrays.end(),
              [](const Array& a, const Array& b) { return a.start < b.start; });
    for (const Array& a : arrays) {
        if (found.empty() || a.start >= found.back().start + found.back().bytes) {
            found.push_back(a);
            continue;
        }
        Array& one = found.back();
        one.bytes = std::max(one.bytes, a.start - one.start + a.bytes);
        one.constant &= a.constant;
    }
    return found;
}

// What an array takes in the arena: behind it a gap as large as itself.
unsigned long room_for(const Array& a)
{
    return rounded(ALIGNED + a.bytes + std::max(a.bytes, GAP), ALIGNED);
}

bool place_arrays(const std::vector<Array>& arrays, void** args)
{
    std::vector<Array> regions = merged(arrays);
    unsigned long total = GAP;
    for (const Array& a : regions) total += room_for(a);
    if (!reserve(total)) return false;
    char* free = arena + GAP;
    for (const Array& a : regions) {
        char* start = free + (unsigned long)a.start % ALIGNED;  // aligned as outside
        memcpy(start, a.start, a.bytes);
        ranges.push_back({start, start + a.bytes, a.item, a.number, a.start,
                          (bool)a.constant});
        free += room_for(a);
    }
    for (const Array& a : arrays)
        for (const Range& r : ranges)
            if (a.start >= r.home && a.start <= r.home + (r.end - r.start))
                *(char**)args[a.number] = r.start + (a.start - r.home);
    return true;
}

// Static shared memory between its gaps.
void place_static_shared()
{
    char* stop = (char*)module[1];
    std::vector<char*> gaps((char* const*)module[2], (char* const*)module[3]);
    std::sort(gaps.begin(), gaps.end());
    gaps.push_back(stop);
    for (size_t i = 0; i + 1 < gaps.size(); i++) {
        char* start = (char*)rounded((unsigned long)gaps[i] + EMU_GAP, EMU_GAP);
        if (start < gaps[i + 1]) ranges.push_back({start, gaps[i + 1], 1, -1});
    }
}

// Whether this is a table of constants, which lies beside the kernel's code.
bool is_table(const char* address)
{
    Dl_info kernel, its;
    if (address >= (char*)module[0] && address < (char*)module[1]) return false;
    return dladdr(module, &kernel) && dladdr(address, &its) &&
           kernel.dli_fbase == its.dli_fbase;
}

void outside(const char* address, unsigned long bytes, Access kind, Place place)
{
    if (kind == READ && is_table(address)) return;
    const char* verb = kind == READ ? "reads" : "writes";
    const Range* near = 0;
    long distance = 1l << 40;  // further away it is no slip of an index
    for (const Range& r : ranges) {
        long d = address < r.start ? r.start - address : address - r.end;
        if (d < distance) distance = d, near = &r;
    }
    if (!near)
        return fault(place, "%s %lu bytes at %p, where no array is", verb, bytes,
                     address);
    fault(place, "%s %s, which has %ld", verb, described(*near, address).text,
          (near->end - near->start) / near->item);
}

inline void check(const void* at, unsigned long bytes, Access kind, Place place)
{
    const char* address = (const char*)at;
    if ((unsigned long)(address - running->stack) < (unsigned long)STACK) return;
    if (address < last->start || address + bytes > last->end) {
        Range* found = 0;
        for (Range& r : ranges)
            if (address >= r.start && address + bytes <= r.end) found = &r;
        if (!found) return outside(address, bytes, kind, place);
        last = found;
    }
    if (watching && last->number < 0) watch(address, bytes, kind, place);
    if (last->cells) track(*last, address, bytes, kind, place);
}

}  // namespace

Words described(const Range& range, const char* address)
{
    Dl_info info;
    Words words;
    char (&text)[sizeof words.text] = words.text;
    long place = (address - range.start) / range.item;
    if (range.number >= 0)
        snprintf(text, sizeof text, "element %ld of {%d}", place, range.number);
    else if (range.start == dynamic_start || !dladdr(range.start, &info))
        snprintf(text, sizeof text, "byte %ld of the dynamic shared memory", place);
    else
        snprintf(text, sizeof text, "byte %ld of {+%ld}", place,
                 (long)(range.start - (char*)info.dli_fbase));
    return words;
}

bool open_memory(const void* const* of, const Array* arrays, int n, void** args,
                 unsigned long dynamic_shared, bool races)
{
    static Range nowhere;
    module = of;
    ranges.clear();
    last = &nowhere;
    if (!place_arrays({arrays, arrays + n}, args)) return false;
    place_static_shared();
    shared_bytes = dynamic_shared;
    static std::vector<char> buffer;
    if (buffer.size() < shared_bytes + 1024) buffer.resize(shared_bytes + 1024);
    dynamic_start = (char*)rounded((unsigned long)buffer.data(), 1024);
    if (shared_bytes)
        ranges.push_back({dynamic_start, dynamic_start + shared_bytes, 1, -1});
    for (Range& r : ranges)
        if (races && !open_cells(r)) return false;
    return true;
}

void close_memory(bool keep)
{
    for (Range& r : ranges)
        if (keep && r.number >= 0 && !r.constant)
            memcpy(r.home, r.start, r.end - r.start);
    for (Range& r : ranges) close_cells(r);
}

// What no thread has written is NaN, or -1: a kernel that reads it is found out.
void poison_shared()
{
    memset((void*)module[0], 0xff, (char*)module[1] - (char*)module[0]);
    memset(dynamic_start, 0xff, shared_bytes);
}

unsigned long shared_size() { return shared_bytes; }

void access(const void* address, unsigned long bytes, Access kind, const char* where)
{
    check(address, bytes, kind, {where, 0});
}

}  // namespace emu

using namespace emu;

#define HERE Place{0, __builtin_return_address(0)}
#define CALLBACKS(n)                                                               \
    void __tsan_read##n(void* p) { check(p, n, READ, HERE); }                   \
    void __tsan_write##n(void* p) { check(p, n, WRITE, HERE); }                 \
    void __tsan_unaligned_read##n(void* p) { check(p, n, READ, HERE); }         \
    void __tsan_unaligned_write##n(void* p) { check(p, n, WRITE, HERE); }

extern "C" {

CALLBACKS(1)
CALLBACKS(2)
CALLBACKS(4)
CALLBACKS(8)
CALLBACKS(16)
void __tsan_read_range(void* p, unsigned long n) { check(p, n, READ, HERE); }
void __tsan_write_range(void* p, unsigned long n) { check(p, n, WRITE, HERE); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

// What -fsanitize=alignment and bounds tell: see libsanitizer/ubsan/ubsan_handlers.h.
struct SourceLine { const char* file; unsigned int line, column; };
struct Type { unsigned short kind, info; char name[]; };
struct Misaligned { SourceLine line; Type* type; unsigned char log_alignment, kind; };
struct BadIndex { SourceLine line; Type *array, *index; };

void __ubsan_handle_type_mismatch_v1(Misaligned* what, unsigned long)
{
    fault(HERE, "touches a %s at an address that is no multiple of %d",
          what->type->name, 1 << what->log_alignment);
}

void __ubsan_handle_out_of_bounds(BadIndex* what, unsigned long index)
{
    fault(HERE, "index %ld is outside of %s", (long)index,
          what->array->name);
}

void* emu_dynamic_shared() { return dynamic_start; }
void emu_atomic(const char* where, void* p, unsigned long n) 
{
    check(p, n, ATOMIC, {where, 0});
}

}
