// The device's memory: the host's, with accounts of what has been handed out.
//
// New memory holds NaN, or -1, so whoever counts on zeros is found out. Copies ask what
// CUDA asks: whether an address is the device's, whether the host's pages are pinned.
#include "standin.h"

#include <stdlib.h>
#include <string.h>

#include <map>
#include <mutex>

namespace standin {
namespace {

std::mutex lock;
typedef std::lock_guard<std::mutex> Guard;
std::map<const char*, size_t> device, pinned;
size_t used, total = 4ul << 30;

bool inside(const std::map<const char*, size_t>& blocks, const void* at, size_t bytes)
{
    auto next = blocks.upper_bound((const char*)at);
    if (next == blocks.begin()) return false;
    --next;
    return (const char*)at + bytes <= next->first + next->second;
}

}  // namespace

bool on_device(const void* address, size_t bytes)
{
    Guard guard(lock);
    return inside(device, address, bytes);
}

bool is_pinned(const void* address, size_t bytes)
{
    Guard guard(lock);
    return inside(pinned, address, bytes);
}

}  // namespace standin

using namespace standin;

extern "C" {

int standin_is_device(const void* address) { return on_device(address); }
int standin_capture_status(void* stream, int* status);

int standin_allocate(void** address, size_t bytes)
{
    Guard guard(lock);
    *address = 0;
    if (!bytes) return SUCCESS;
    bytes = (bytes + 511) / 512 * 512;
    if (used + bytes > total || !(*address = aligned_alloc(512, bytes)))
        return OUT_OF_MEMORY;
    memset(*address, 0xff, bytes);
    device[(char*)*address] = bytes;
    used += bytes;
    return SUCCESS;
}

// All work that was given before is done first, as cudaFree has it.
int standin_free(void* address)
{
    if (!address) return SUCCESS;
    settle();
    Guard guard(lock);
    auto found = device.find((char*)address);
    if (found == device.end()) return INVALID_VALUE;
    used -= found->second;
    memset(address, 0xff, found->second);
    device.erase(found);
    free(address);
    return SUCCESS;
}

int standin_pin(void** address, size_t bytes)
{
    Guard guard(lock);
    if (!(*address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)))
        return OUT_OF_MEMORY;
    pinned[(char*)*address] = bytes;
    return SUCCESS;
}

int standin_unpin(void* address)
{
    if (!address) return SUCCESS;
    settle();
    Guard guard(lock);
    if (!pinned.erase((char*)address)) return INVALID_VALUE;
    free(address);
    return SUCCESS;
}

void standin_memory(size_t* unused, size_t* all)
{
    Guard guard(lock);
    *unused = total - used, *all = total;
}

// How much the device has from now on; returns how much it had.
size_t standin_limit(size_t bytes)
{
    Guard guard(lock);
    size_t before = total;
    total = bytes;
    return before;
}

// kind: CUDA's 0 host to host, 1 to the device, 2 to the host, 3 on the device, 4 any.
int standin_copy(void* to, const void* from, size_t bytes, int kind, void* stream,
                 int waits)
{
    if (!bytes) return SUCCESS;
    bool to_device = on_device(to, bytes), from_device = on_device(from, bytes);
    if (((kind == 1 || kind == 3) && !to_device) ||
        ((kind == 2 || kind == 3) && !from_device)) return INVALID_VALUE;
    Work work;
    if (!from_device && !is_pinned(from, bytes)) {
        int capturing = 0;       // the host's pages may move before the graph runs
        standin_capture_status(stream, &capturing);
        if (capturing == 1) return wait_for_stream(stream);
        std::shared_ptr<char> kept((char*)malloc(bytes), free);
        memcpy(kept.get(), from, bytes);
        work = [=] { memmove(to, kept.get(), bytes); };
    } else {
        work = [=] { memmove(to, from, bytes); };
    }
    if (int error = submit(stream, work)) return error;
    if (waits || (!to_device && !is_pinned(to, bytes))) return wait_for_stream(stream);
    return SUCCESS;
}

int standin_fill(void* to, int value, size_t bytes, void* stream)
{
    if (bytes && !on_device(to, bytes)) return INVALID_VALUE;
    return submit(stream, [=] { memset(to, value, bytes); });
}

}
