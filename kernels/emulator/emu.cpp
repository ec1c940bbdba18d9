// The scheduler: one fiber for each CUDA thread that has begun and not ended.
//
// A block runs on one thread of the CPU. A CUDA thread runs until it has to wait for
// others; then the schedule picks the next. One that never waits hands its fiber on
// to the next thread when it ends, so a kernel without barriers runs as a plain loop.
// Nothing runs at the same time, so a kernel's result depends on the schedule only if
// the kernel is wrong: that is what the schedules are for.
#include "internals.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <numeric>

namespace emu {

Block now;
int me;
Thread threads[MAX_THREADS];
Fiber* running;

namespace {

// CUDA's text wants every thread at a barrier, and so do we of our kernels. GPUs since
// Volta let those pass without that have ended, and others count on it.
#ifdef EMU_AS_HARDWARE
const bool ENDED_MAY_MISS_BARRIERS = true;
#else
const bool ENDED_MAY_MISS_BARRIERS = false;
#endif

enum State : char { READY, AT_WARP, AT_BARRIER, ASLEEP, ENDED };
enum { FORWARD = -1, REVERSE = -2, FAIR = -3 };  // from 0 on: seed of a random order

char state[MAX_THREADS];
struct { unsigned int alive, met; } warps[MAX_THREADS / 32];  // not ENDED; AT_WARP
int count;  // threads of a block
void (*entry)(void** args);
void** arguments;
int order;
unsigned long drawn;           // by the minimal standard generator, as of 1993
unsigned long draw() { return drawn = drawn * 48271 % 2147483647; }
Fault* found;

Fiber outside;                 // the caller of launch
std::vector<Fiber*> fibers;    // all there are
std::vector<Fiber*> idle;

// --- fibers ------------------------------------------------------------------

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
// Save what a called function must preserve, change the stack, restore.
asm(R"(
.text
.type emu_swap, @function
emu_swap:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
.size emu_swap, .-emu_swap
)");
extern "C" void emu_swap(void** from, void** to);

void swap(Fiber* from, Fiber* to) { emu_swap(&from->top, &to->top); }

void prepare(Fiber* fiber, void (*work)())
{
    void** top = (void**)(fiber->stack + STACK) - 2;
    *top = (void*)work;        // where emu_swap returns to; below, six registers
    fiber->top = top - 6;
}
#else
void swap(Fiber* from, Fiber* to) { swapcontext(&from->context, &to->context); }

void prepare(Fiber* fiber, void (*work)())
{
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    makecontext(&fiber->context, work, 0);
}
#endif

void jump(Fiber* to)
{
    Fiber* from = running;
    running = to;
    swap(from, to);
}

void work();

// One more idle fiber; false without memory for its stack.
bool add_fiber()
{
    const long page = sysconf(_SC_PAGESIZE);  // below the stack, not to be touched
    char* memory = (char*)mmap(0, STACK + page, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    mprotect(memory, page, PROT_NONE);
    fibers.push_back(new Fiber());
    fibers.back()->stack = memory + page;
    prepare(fibers.back(), work);
    idle.push_back(fibers.back());
    return true;
}

// --- which thread runs next --------------------------------------------------

int ready_from(int first)
{
    char* found = (char*)memchr(state + first, READY, count - first);
    if (!found) found = (char*)memchr(state, READY, first);
    return found ? found - state : -1;
}

int next()
{
    if (order == FORWARD) return ready_from(0);
    if (order == FAIR) return ready_from((me + 1) % count);
    if (order >= 0) return ready_from(draw() % count);
    char* last = (char*)memrchr(state, READY, count);
    return last ? last - state : -1;
}

bool same_place(const char* a, const char* b) { return a == b || !strcmp(a, b); }

// If all lanes that thread t waits for are there, do what they met for and go on.
bool complete(int t)
{
    Thread *first = threads + t / 32 * 32, &one = threads[t];
    const unsigned int lanes = one.mask & warps[t / 32].alive;
    if (lanes & ~warps[t / 32].met) return false;
    for (int l = 0; l < 32; l++)
        if (lanes >> l & 1 && (first[l].mask != one.mask ||
                               !same_place(first[l].where, one.where))) return false;
    one.finish(first, lanes);
    warps[t / 32].met &= ~lanes;
    for (int l = 0; l < 32; l++)
        if (lanes >> l & 1) state[t / 32 * 32 + l] = READY;
    return true;
}

const char* doing(int t)
{
    static char text[600];
    if (state[t] == ENDED) return "has ended";
    const char* folder = strrchr(threads[t].where, '/');
    snprintf(text, sizeof text, "waits at %s", folder ? folder + 1 : threads[t].where);
    return text;
}

// Lane t waits for others that will not come.
void report_warp(int t)
{
    const Thread& one = threads[t];
    for (int l = 0; l < 32; l++) {
        int other = t / 32 * 32 + l;
        if (!(one.mask >> l & 1) || other >= count || state[other] == ENDED) continue;
        bool here = state[other] == AT_WARP && same_place(threads[other].where, one.where);
        if (here && threads[other].mask == one.mask) continue;
        me = t;
        fault({one.where, 0}, "divergent warp: lane %d waits for lane %d, which %s%s",
              t % 32, l, doing(other), here ? " with another mask" : "");
    }
}

// Thread t waits at a barrier to which others will not come.
void report_barrier(int t)
{
    for (int other = 0; other < count; other++) {
        if (state[other] == ENDED && ENDED_MAY_MISS_BARRIERS) continue;
        if (state[other] == AT_BARRIER &&
            same_place(threads[other].where, threads[t].where)) continue;
        me = t;
        uint3 i = index_of(other);
        fault({threads[t].where, 0}, "divergent barrier: it waits for thread (%u, %u, "
              "%u), which %s", i.x, i.y, i.z, doing(other));
    }
}

// No thread can run: let those go on that may. False if all have ended.
bool release()
{
    bool go_on = false;
    for (int t = 0; t < count; t++)  // lanes may wait for one that has ended since
        if (state[t] == AT_WARP && complete(t)) go_on = true;
    if (go_on) return true;
    if (char* asleep = (char*)memchr(state, ASLEEP, count)) {
        if (land_one()) return true;  // a copy may wake some
        me = asleep - state;
        fault({threads[me].where, 0}, "waits for a phase of an mbarrier that nobody "
              "completes");
    }
    for (int t = 0; t < count; t++)
        if (state[t] == AT_WARP) report_warp(t);
    char* waiting = (char*)memchr(state, AT_BARRIER, count);
    if (!waiting) return false;
    report_barrier(waiting - state);
    for (int t = 0; t < count; t++)
        if (state[t] == AT_BARRIER) state[t] = READY;
    now.epoch++;
    return true;
}

int choose()
{
    int to;
    while ((to = next()) < 0)
        if (!release()) return -1;
    return to;
}

// Run thread `to`, or the caller of launch.
void go(int to)
{
    if (to < 0) return jump(&outside);
    me = to;
    if (!threads[to].fiber) {
        if (idle.empty() && !add_fiber()) fault({}, "no memory for its stack");
        threads[to].fiber = idle.back();
        idle.pop_back();
    }
    jump(threads[to].fiber);
}

// What a fiber does: run a thread, then the next that has not begun.
void work()
{
    for (;;) {
        threads[me].copies.clear();
        threads[me].group = 0;
        begin_clock(threads[me]);
        entry(arguments);
        state[me] = ENDED;
        warps[me / 32].alive &= ~(1u << me % 32);
        int to = choose();
        if (to >= 0 && !threads[to].fiber) {
            me = to;
            threads[to].fiber = running;
            continue;
        }
        idle.push_back(running);
        go(to);
    }
}

void run_block()
{
    now.number++;
    now.epoch = 0;
    memset(state, READY, count);
    memset(warps, 0, sizeof warps);
    for (int t = 0; t < count; t++)
        threads[t].fiber = 0, warps[t / 32].alive |= 1u << t % 32;
    poison_shared();
    begin_async();
    me = count - 1;
    go(choose());
    if (!found->found) end_async(count);
}

template <class Noted> void note(Noted& noted, Place place)
{
    Dl_info info;
    snprintf(noted.where, sizeof noted.where, "%s", place.where ? place.where : "");
    noted.code = place.code && dladdr(place.code, &info)
        ? (char*)place.code - (char*)info.dli_fbase - 1 : 0;
}

// The i-th block in this schedule. A stride without common divisor meets each once.
unsigned long block_at(unsigned long i, unsigned long n)
{
    static unsigned long stride, first;
    if (order == REVERSE) return n - 1 - i;
    if (order < 0) return i;
    if (i == 0) {
        first = draw() % n;
        do stride = draw() % n + 1; while (std::gcd(stride, n) != 1);
    }
    return (first + i * stride) % n;
}

void wait()
{
    int mine = me, to = choose();
    if (to != mine) go(to);
}

}  // namespace

uint3 index_of(int t)
{
    unsigned int i = t, x = now.block.x, y = now.block.y;
    if (i < x) return {i, 0, 0};
    return {i % x, i / x % y, i / x / y};
}

// Write down what is wrong, and leave the kernel for good.
void fault(Place place, const char* format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(found->text, sizeof found->text, format, values);
    va_end(values);
    note(found->place, place);
    found->block = now.index;
    found->thread = index_of(me);
    found->found = 1;
    if (running != &outside) jump(&outside);
}

void note_other(Place place) { note(found->other, place); }

void meet(const char* where, unsigned int mask, void* operand, Finish finish)
{
    Thread& t = threads[me];
    if (!(mask >> me % 32 & 1))
        fault({where, 0}, "mask %08x leaves out lane %d, which gives it", mask,
              me % 32);
    t.where = where, t.mask = mask, t.operand = operand, t.finish = finish;
    state[me] = AT_WARP;
    warps[me / 32].met |= 1u << me % 32;
    complete(me);
    wait();
}

void sleep_on(const char* where, const void* what)
{
    threads[me].where = where, threads[me].operand = (void*)what;
    state[me] = ASLEEP;
    wait();
}

void wake(const void* what)
{
    for (int t = 0; t < count; t++)
        if (state[t] == ASLEEP && threads[t].operand == what) state[t] = READY;
}

}  // namespace emu

using namespace emu;

extern "C" {

uint3 emu_thread_index() { return index_of(me); }
uint3 emu_block_index() { return now.index; }
uint3 emu_block_size() { return now.block; }
uint3 emu_grid_size() { return now.grid; }

void emu_barrier(const char* where)
{
    threads[me].where = where;
    state[me] = AT_BARRIER;
    wait();
}

// Run a kernel. Returns 0, or 1 with the fault that stopped it.
int emu_launch(void (*kernel)(void**), const void* const* module, void** args,
               const Array* arrays, int n_arrays, uint3 grid, uint3 block,
               unsigned long dynamic_shared, int schedule, int races, Fault* result)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_at_a_time);
    now.grid = grid, now.block = block, now.number = 0;
    count = block.x * block.y * block.z;
    entry = kernel, arguments = args, order = schedule, found = result;
    found->found = 0;
    running = &outside;
    drawn = order % 2147483646 + 1;  // never 0, from which nothing else would come
    if (!open_memory(module, arrays, n_arrays, args, dynamic_shared, races) ||
        (idle.empty() && !add_fiber()))
        fault({}, "no memory for its arrays");
    unsigned long n = (unsigned long)grid.x * grid.y * grid.z;
    for (unsigned long i = 0; i < n && !found->found; i++) {
        unsigned long b = block_at(i, n);
        now.index = {(unsigned int)(b % grid.x), (unsigned int)(b / grid.x % grid.y),
                     (unsigned int)(b / grid.x / grid.y)};
        run_block();
    }
    if (found->found) {  // threads were left in the middle: their fibers start over
        idle.clear();
        for (Fiber* fiber : fibers) prepare(fiber, work), idle.push_back(fiber);
    }
    close_memory(!found->found);
    pthread_mutex_unlock(&one_at_a_time);
    return result->found;
}

}
