// Two threads race if both touch the same memory, one of them writes, and nothing in
// the kernel says who comes first. For each element we keep who used it last and when,
// and compare: this finds a race even where this run happened to go well.
//
// Time has two clocks. `epoch` counts the barriers of a block: what was before one is
// before all that is after it. Within a warp, each thread counts its __syncwarp, and
// knows (`seen`) how far the other lanes were when it last met them: a vector clock.
// Shuffles and votes order nothing, and nothing orders the blocks of a launch.
#include <stdlib.h>

#include "internals.h"

namespace emu {

struct Stamp {
    unsigned int block, epoch, clock;   // block 0: nobody yet
    short thread;
    bool atomic;
    Place place;
};

// Of the readers, the last one, the last of another lane and the last of another warp.
struct Cell { Stamp writer, reader, other_lane, other_warp; };

bool open_cells(Range& range)
{
    long elements = (range.end - range.start) / range.item + 1;
    range.cells = (Cell*)calloc(elements, sizeof(Cell));  // not real until used
    return range.cells;
}

void close_cells(Range& range)
{
    free(range.cells);
    range.cells = 0;
}

void begin_clock(Thread& thread)
{
    memset(thread.seen, 0, sizeof thread.seen);
    thread.seen[(&thread - threads) % 32] = 1;
}

// After __syncwarp each lane knows what any of them knew; then a new time begins.
void synchronise(Thread* warp, unsigned int lanes)
{
    unsigned int all[32] = {};
    for (int l = 0; l < 32; l++)
        for (int k = 0; k < 32 && lanes >> l & 1; k++)
            if (warp[l].seen[k] > all[k]) all[k] = warp[l].seen[k];
    for (int l = 0; l < 32; l++) {
        if (!(lanes >> l & 1)) continue;
        memcpy(warp[l].seen, all, sizeof all);
        warp[l].seen[l]++;
    }
}

namespace {

bool is_before(const Stamp& then, bool shared)
{
    if (!then.block || then.thread == me && then.block == now.number) return true;
    if (then.block != now.number) return shared;  // each block has its own
    if (then.epoch < now.epoch) return true;
    return then.thread / 32 == me / 32 &&
           then.clock <= threads[me].seen[then.thread % 32];
}

uint3 block_of(const Stamp& then)
{
    return then.index;
}

void report(const Range& range, long element, Access kind, Place place,
            const Stamp& then, const char* did)
{
    uint3 t = index_of(then.thread), b = then.index;
    const char* does = kind == READ ? "reads" : "writes";
    char what[64];
    if (range.number < 0)
        snprintf(what, sizeof what, "shared memory");
    else
        snprintf(what, sizeof what, "element %ld of {%d}", element, range.number);
    note_other(then.place);
    fault(place, "race: %s %s, which block (%u, %u, %u), thread (%u, %u, %u) %s at {@}, "
          "with no barrier between", does, what, b.x, b.y, b.z, t.x, t.y, t.z, did);
}

}  // namespace

void track(Range& range, const char* address, unsigned long bytes, Access kind,
           Place place)
{
}

}  // namespace emu
