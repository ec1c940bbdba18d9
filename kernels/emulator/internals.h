// What the parts of the emulator know of each other: emu.cpp schedules threads,
// warp.cpp lets lanes meet, memory.cpp checks each access, races.cpp their order,
// hopper.cpp and wgmma.cpp do what goes on beside the threads.
#pragma once
#include <vector>

#include "emu.h"
#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#endif

namespace emu {

const int MAX_THREADS = 1024;      // of a block, as on a GPU
const long STACK = 256 * 1024;     // bytes of a fiber; only those used are real

struct Fiber {
    char* stack;
#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
    void* top;
#else
    ucontext_t context;
#endif
};

struct Thread;
typedef void (*Finish)(Thread* warp, unsigned int lanes);

struct Copy { void* target; const void* source; int group; const char* where; };

struct Thread {
    Fiber* fiber;          // none before it begins
    const char* where;     // the line at which it waits
    unsigned int mask;     // of a warp's meeting: which lanes take part,
    void* operand;         // what this lane brings,
    Finish finish;         // and what is done when all are there
    std::vector<Copy> copies;  // cp.async under way
    int group;
    unsigned int seen[32];     // how far it knows each lane of its warp to be
};

struct Block {
    uint3 grid, block, index;
    unsigned int number;   // of blocks run so far: 1, 2, …
    unsigned int epoch;    // of barriers passed
};

// A place in a kernel: a line, or else where in its machine code.
struct Place { const char* where; const void* code; };

// What stopped a kernel. In the text, {n} stands for the name of argument n, {+n} for
// that of the variable at this place of the library, {@} for the other place.
struct Fault {
    int found;
    uint3 block, thread;
    struct { unsigned long code; char where[512]; } place, other;
    char text[1024];
};

// An array handed to a kernel.
struct Array {
    char* start;
    unsigned long bytes;
    int item;              // bytes of an element
    int constant;
    int number;            // which argument it is
};

// Memory that a kernel may use.
struct Range {
    char *start, *end;
    int item;              // bytes of an element
    int number;            // of the argument; -1: shared memory
    char* home;            // where the array is outside
    bool constant;
    struct Cell* cells;    // the last use of each element; none without a race check
};

extern Block now;
extern int me;             // the running thread
extern Thread threads[MAX_THREADS];
extern Fiber* running;

// emu.cpp
uint3 index_of(int thread);
void fault(Place place, const char* format, ...) __attribute__((format(printf, 2, 3)));
void note_other(Place place);  // before fault: the second place it speaks of
void meet(const char* where, unsigned int mask, void* operand, Finish finish);

// Wait until another thread, or a copy, wakes those that sleep on this.
void sleep_on(const char* where, const void* what);
void wake(const void* what);

// memory.cpp
unsigned long shared_size();   // bytes of dynamic shared memory
enum Access { READ, WRITE, ATOMIC };
bool open_memory(const void* const* module, const Array* arrays, int n, void** args,
                 unsigned long dynamic_shared, bool races);
void close_memory(bool keep);
void poison_shared();
void access(const void* address, unsigned long bytes, Access kind, const char* where);
struct Words { char text[100]; };
Words described(const Range& range, const char* address);

// hopper.cpp
extern bool watching;          // whether a block uses any of it: then tell
void watch(const void* address, unsigned long bytes, Access kind, Place where);
void begin_async();
void end_async(int threads);
bool land_one();

// races.cpp
bool open_cells(Range& range);
void close_cells(Range& range);
void begin_clock(Thread& thread);
void synchronise(Thread* warp, unsigned int lanes);
void track(Range& range, const char* address, unsigned long bytes, Access kind,
           Place place);

}  // namespace emu
