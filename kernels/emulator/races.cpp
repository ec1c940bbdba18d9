// Two threads race if both touch the same memory, one of them writes, and nothing in
// the kernel says which comes first. For each element we keep which thread used it last
// and when, and compare: this finds a race even where this run happened to go well.
//
// Time has two clocks. `epoch` counts the barriers of a block: what was before one is
// before all that is after it. Within a warp, each thread counts its __syncwarp, and
// knows (`seen`) how far the other lanes were when it last met them: a vector clock.
// Shuffles and votes order nothing, and nothing orders the blocks of a launch.
#include <stdio.h>
#include <stdlib.h>

#include "internals.h"

namespace emu {

struct Stamp {
    unsigned int block, epoch, clock;   // block 0: no thread yet
    int thread;
    bool atomic;
    uint3 index;                        // of the block
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
    if (!then.block) return true;
    if (then.block != now.number) return shared;  // each block has its own
    if (then.thread == me || then.epoch < now.epoch) return true;
    return then.thread / 32 == me / 32 &&
           then.clock <= threads[me].seen[then.thread % 32];
}

void report(const Range& range, const char* address, Access kind, Place place,
            const Stamp& then, Access did)
{
    const char* verbs[] = {"reads", "writes", "updates"};
    uint3 b = then.index, t = index_of(then.thread);
    char block[64] = "";
    if (then.block != now.number)
        snprintf(block, sizeof block, " of block (%u, %u, %u)", b.x, b.y, b.z);
    note_other(then.place);
    fault(place, "race: %s %s, which thread (%u, %u, %u)%s %s at {@}, and nothing says "
          "who comes first", verbs[kind], described(range, address).text,
          t.x, t.y, t.z, block, verbs[did]);
}

void remember_reader(Cell& cell, const Stamp& stamp)
{
    bool same_block = cell.reader.block == stamp.block;
    if (!same_block || cell.reader.thread / 32 != stamp.thread / 32) {
        cell.other_warp = cell.reader;
        cell.other_lane = {};
    } else if (cell.reader.thread != stamp.thread) {
        cell.other_lane = cell.reader;
    }
    cell.reader = stamp;
}

}  // namespace

void track(Range& range, const char* address, unsigned long bytes, Access kind,
           Place place)
{
    const bool shared = range.number < 0, atomic = kind == ATOMIC;
    const Stamp stamp = {now.number, now.epoch, threads[me].seen[me % 32], me, atomic,
                         now.index, place};
    long first = (address - range.start) / range.item;
    long end = (address + bytes - 1 - range.start) / range.item + 1;
    for (long i = first; i < end; i++) {
        Cell& cell = range.cells[i];
        if (!(atomic && cell.writer.atomic) && !is_before(cell.writer, shared))
            report(range, address, kind, place, cell.writer,
                   cell.writer.atomic ? ATOMIC : WRITE);
        if (kind == READ) {
            remember_reader(cell, stamp);
            continue;
        }
        for (const Stamp& then : {cell.reader, cell.other_lane, cell.other_warp})
            if (!is_before(then, shared))
                report(range, address, kind, place, then, READ);
        cell = {stamp};
    }
}

}  // namespace emu
