// Copies of boxes (TMA), and barriers in shared memory that count their bytes (mbarrier).
#include <stdio.h>

#include <algorithm>
#include <map>

#include "hopper.h"

namespace emu {

bool watching;             // whether this block uses any of it

namespace {

const unsigned int MAGIC = 0x544d4150;

// --- stores in shared memory ------------------------------------------------------------

// A thread's last store there that the asynchronous units may not know of: its number + 1.
std::vector<short> stores;
const int PIECE = 16;

short& store_at(uint64_t place) { return stores[place / PIECE]; }

}  // namespace

void check_inside(Place where, uint64_t place, unsigned long bytes, const char* who)
{
    if (place + bytes > shared_size())
        fault(where, "%s uses bytes %ld to %ld of shared memory, which has %lu", who,
              (long)place, (long)(place + bytes), shared_size());
}

// Whether the asynchronous units see what is stored there.
void check_seen(Place where, uint64_t place, unsigned long bytes, const char* who)
{
    for (uint64_t i = place / PIECE; i * PIECE < place + bytes; i++)
        if (stores[i])
            fault(where, "%s uses byte %ld of shared memory, where thread %d stored with "
                  "no fence_async() since", who, (long)(i * PIECE), stores[i] - 1);
}

namespace {

// --- mbarrier --------------------------------------------------------------------------

struct Barrier {
    uint64_t pending : 20, expected : 20, phase : 1, spare : 1;
    int64_t bytes : 22;    // that are still to come in this phase
};

// Which thread began a barrier, and in which epoch of the block: others may use it from
// the next on.
struct Begun { int thread; unsigned int epoch; };
std::map<uint64_t, Begun> begun;

Barrier& used(const char* where, void* p)
{
    Barrier& b = *(Barrier*)p;
    if (place_of(p) % 8) fault({where, 0}, "an mbarrier at no multiple of 8 bytes");
    check_inside({where, 0}, place_of(p), 8, "an mbarrier");
    auto found = begun.find(place_of(p));
    if (found == begun.end()) fault({where, 0}, "an mbarrier that was not begun");
    const Begun& one = found->second;
    if (one.thread != me && one.epoch == now.epoch)
        fault({where, 0}, "race: an mbarrier that thread %d has begun, with no "
              "__syncthreads() since", one.thread);
    return b;
}

void advance(Barrier& b)
{
    if (b.pending || b.bytes) return;
    b.phase ^= 1;
    b.pending = b.expected;
    wake(&b);
}

// --- copies ----------------------------------------------------------------------------

struct Load {
    TensorMap map;
    int at[5];
    uint64_t target;
    unsigned long bytes;
    Barrier* barrier;
    const char* where;
    int thread;
};
std::vector<Load> loads;   // under way

const Load* load_to(uint64_t place, unsigned long bytes)
{
    for (const Load& load : loads)
        if (overlap(place, bytes, load.target, load.bytes)) return &load;
    return 0;
}

int item_bytes(int type) { return type == 0 ? 1 : 4; }

// As the tensor core reads it: for TFLOAT32, rounded to nearest on the way.
unsigned int rounded(unsigned int bits)
{
    float x = __uint_as_float(bits);
    return (x - x == 0 ? bits + 0x1000 : bits) & 0xffffe000u;
}

void land(const Load& load)
{
    const TensorMap& map = load.map;
    int item = item_bytes(map.type), span = map.swizzle ? 16 << map.swizzle : 0;
    unsigned long elements = load.bytes / item;
    for (unsigned long e = 0; e < elements; e++) {
        const char* source = map.base;
        unsigned long rest = e;
        bool inside = true;
        for (int d = 0; d < map.rank; d++) {
            long i = load.at[d] + (long)(rest % map.box[d]);
            rest /= map.box[d];
            inside &= i >= 0 && i < (long)map.dims[d];
            source += i * (d ? (long)map.strides[d - 1] : item);
        }
        unsigned int value = 0;
        if (inside) memcpy(&value, source, item);
        if (map.type == 11) value = rounded(value);
        uint64_t to = load.target + e * item;
        memcpy(at(span ? swizzled(to, span) : to), &value, item);
    }
}

}  // namespace

// --- what the scheduler and the memory ask ---------------------------------------------

void begin_async()
{
    if (!watching) return;       // nor did the block before
    watching = false;
    loads.clear();
    begun.clear();
    std::fill(stores.begin(), stores.end(), 0);
    begin_products();
}

bool is_loaded(uint64_t place, unsigned long bytes) { return load_to(place, bytes); }

// Let the copy land that was begun first; false if there is none.
bool land_one()
{
    if (loads.empty()) return false;
    Load load = loads.front();
    loads.erase(loads.begin());
    land(load);
    load.barrier->bytes -= load.bytes;
    advance(*load.barrier);
    return true;
}

void end_async(int count)
{
    for (const Load& load : loads) {
        me = load.thread;
        fault({load.where, 0}, "the block ended while this copy was under way");
    }
    if (watching) end_products(count);
}

// A thread loads or stores shared memory.
void watch(const void* address, unsigned long bytes, Access kind, Place where)
{
    uint64_t place = place_of(address);
    if (place >= shared_size()) return;      // static shared memory
    const char* verb = kind == READ ? "reads" : "writes";
    if (load_to(place, bytes))
        fault(where, "%s byte %ld of the dynamic shared memory, where a copy is under way",
              verb, (long)place);
    if (kind != WRITE) return;
    if (is_multiplied(place, bytes))
        fault(where, "writes byte %ld of the dynamic shared memory, which a product still "
              "reads", (long)place);
    for (uint64_t i = place; i < place + bytes; i += PIECE) store_at(i) = me + 1;
    store_at(place + bytes - 1) = me + 1;
}

}  // namespace emu

using namespace emu;

extern "C" {

// What cuTensorMapEncodeTiled takes and refuses, of what is used here: boxes of whole
// pieces of 16 bytes, no interleaving, no steps. With a swizzle, rows as long as it is.
int emu_tensor_map(TensorMap* map, int type, unsigned int rank, void* base,
                   const unsigned long long* dims, const unsigned long long* strides,
                   const unsigned int* box, const unsigned int* steps, int interleave,
                   int swizzle, int, int fill)
{
    bool fine = (uintptr_t)map % 64 == 0 && (uintptr_t)base % 16 == 0 && rank >= 1 &&
                rank <= 5 && (type == 0 || type == 7 || type == 11) && !interleave &&
                !fill && swizzle >= 0 && swizzle <= 3;
    for (unsigned int d = 0; fine && d < rank; d++)
        fine = dims[d] && dims[d] <= 1ull << 32 && box[d] && box[d] <= 256 &&
               steps[d] == 1 && (!d || (strides[d - 1] % 16 == 0 && strides[d - 1] <
                                        1ull << 40));
    if (!fine) return 1;
    unsigned int row = box[0] * item_bytes(type);
    if (row % 16 || (swizzle && row != 16u << swizzle)) return 1;
    memset(map, 0, sizeof *map);
    map->base = (char*)base, map->magic = MAGIC;
    map->rank = rank, map->type = type, map->swizzle = swizzle;
    for (unsigned int d = 0; d < rank; d++) {
        map->dims[d] = dims[d], map->box[d] = box[d];
        if (d) map->strides[d - 1] = strides[d - 1];
    }
    return 0;
}

// All dynamic shared memory. From here on loads and stores are watched.
void* emu_boxes_shared()
{
    watching = true;
    stores.resize(std::max<size_t>(stores.size(), shared_size() / PIECE + 1));
    return emu_dynamic_shared();
}

void emu_barrier_init(const char* where, void* p, unsigned int count)
{
    check_inside({where, 0}, place_of(p), 8, "an mbarrier");
    Barrier& b = *(Barrier*)p;
    b = {};
    b.pending = b.expected = count;
    begun[place_of(p)] = {me, now.epoch};
    store_at(place_of(p)) = me + 1;
    used(where, p);
}

// Expect so many bytes more in this phase, and arrive.
void emu_barrier_arrive(const char* where, void* p, unsigned int bytes)
{
    Barrier& b = used(where, p);
    if (!b.pending) fault({where, 0}, "more arrive at an mbarrier than it counts");
    b.bytes += bytes;
    b.pending--;
    advance(b);
}

// Wait for the end of the phase with this parity: of the current one, or of that before.
void emu_barrier_wait(const char* where, void* p, unsigned int parity)
{
    while (used(where, p).phase == (parity & 1)) sleep_on(where, p);
}

void emu_fence_async()
{
    for (short& store : stores)
        if (store == me + 1) store = 0;
}

void emu_load_box(const char* where, void* target, const TensorMap* map, int x, int y,
                  int z, void* p)
{
    if (map->magic != MAGIC || map->rank != 3)
        return fault({where, 0}, "no tensor map of three dimensions");
    Load load = {*map, {x, y, z}, place_of(target), (unsigned long)item_bytes(map->type),
                 &used(where, p), where, me};
    for (int d = 0; d < 3; d++) load.bytes *= map->box[d];
    if (load.target % 128) fault({where, 0}, "a copy to no multiple of 128 bytes");
    check_inside({where, 0}, load.target, load.bytes, "a copy");
    check_seen({where, 0}, place_of(p), 8, "a copy's mbarrier");
    check_seen({where, 0}, load.target, load.bytes, "a copy");
    if (load_to(load.target, load.bytes))
        fault({where, 0}, "a copy to where another is under way");
    if (is_multiplied(load.target, load.bytes))
        fault({where, 0}, "a copy to where a product still reads");
    memset(target, 0xff, load.bytes);
    loads.push_back(load);
}

}
