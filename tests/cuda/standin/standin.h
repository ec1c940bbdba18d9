// What the parts of the stand-in know of each other. streams.cpp says what is done when;
// driver.cpp has modules and launches, memory.cpp the memory; runtime.cpp and cublas.cpp
// speak CUDA's words for both.
#pragma once
#include <functional>
#include <memory>
#include <vector>

namespace standin {

typedef std::function<void()> Work;

struct Task;     // work on a stream, done or not
struct Stream;
struct Event;
struct Graph { std::vector<Work> nodes; };

// --- streams.cpp: all return CUDA's error codes, 0 for success -------------------

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200,
       INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
       LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900,
       CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903, CAPTURE_UNJOINED = 904,
       CAPTURE_ISOLATION = 905, CAPTURE_IMPLICIT = 906, CAPTURED_EVENT = 907 };

int submit(void* stream, Work work);   // to be done on a stream, or noted for a graph
int wait_for_stream(void* stream);
int wait_for_all();
int settle();
void fail(int error);                  // sticks, as a fault of a kernel does

// --- memory.cpp ------------------------------------------------------------------

bool on_device(const void* address, size_t bytes = 1);
bool is_pinned(const void* address, size_t bytes);

}  // namespace standin
