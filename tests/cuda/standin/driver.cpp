// libcuda.so.1 as CuPy calls it: modules and launches.
//
// A module's image is what a compiler gave CuPy, and hook.py is that compiler: the image
// says where g++ put the kernels, as a shared library.
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <string>

#include "names.h"

#include "internals.h"
#include "kernel.h"
#include "standin.h"

using namespace standin;

namespace {

const unsigned int ALLOWED = 48 * 1024, MOST = 227 * 1024;  // shared memory, as Hopper

struct Module {
    void* library;
    const StandinKernel* kernels;
    const void* const* data;
};

struct Function {
    const StandinKernel* kernel;
    const void* const* data;
    unsigned int shared;         // dynamic shared memory that it may have
    unsigned int fixed() const { return (char*)data[1] - (char*)data[0]; }
};

CUdevice nothing;

}  // namespace

extern "C" {

int emu_launch(void (*)(void**), const void* const*, void**, const emu::Array*, int,
               uint3, uint3, unsigned long, int, int, emu::Fault*);

CUresult cuModuleLoadData(CUmodule* module, const void* image)
{
    if (strncmp((const char*)image, "standin:", 8)) return CUDA_ERROR_INVALID_IMAGE;
    void* library = dlopen((const char*)image + 8, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "stand-in: %s\n", dlerror());
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *module = (CUmodule)new Module{library,
        (const StandinKernel*)dlsym(library, "standin_kernels"),
        (const void* const*)dlsym(library, "emu_module")};
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module)
{
    settle();                    // the library stays: a graph may hold its kernels
    delete (Module*)module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name)
{
    for (const StandinKernel* k = ((Module*)module)->kernels; k->name; k++)
        if (!strcmp(k->name, name)) {
            *function = (CUfunction)new Function{k, ((Module*)module)->data, ALLOWED};
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute which, CUfunction f)
{
    *value = which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024
        : which == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES ? ((Function*)f)->fixed()
        : which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            ? ((Function*)f)->shared : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute which, int value)
{
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
    Function* function = (Function*)f;
    if (value < 0 || value + function->fixed() > MOST) return CUDA_ERROR_INVALID_VALUE;
    function->shared = value;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy,
                        unsigned int gz, unsigned int bx, unsigned int by,
                        unsigned int bz, unsigned int shared, CUstream stream,
                        void** args, void** extra)
{
    Function function = *(Function*)f;
    const StandinKernel* kernel = function.kernel;
    if (extra || !gx || !gy || !gz || !bx || !by || !bz || gx > 0x7fffffff ||
        gy > 65535 || gz > 65535 || bz > 64 || (unsigned long)bx * by * bz > 1024 ||
        shared > function.shared) return CUDA_ERROR_INVALID_VALUE;
    std::string values;          // the arguments, as they are now
    for (int i = 0; i < kernel->count; i++) {
        values.append((const char*)args[i], kernel->bytes[i]);
        if (!kernel->pointers[i] || !*(void**)args[i]) continue;
        if (on_device(*(void**)args[i])) continue;
        fprintf(stderr, "stand-in: %s: argument %d points to no memory of the device\n",
                kernel->name, i);
        fail(ILLEGAL_ADDRESS);
    }
    return (CUresult)submit(stream, [=] {
        std::string copy = values;
        std::vector<void*> places;
        char* next = &copy[0];
        for (int i = 0; i < kernel->count; i++)
            places.push_back(next), next += kernel->bytes[i];
        emu::Fault fault;
        if (!emu_launch(kernel->call, function.data, places.data(), 0, 0, {gx, gy, gz},
                        {bx, by, bz}, shared, -1, 0, &fault)) return;
        fprintf(stderr, "stand-in: %s: %s\n", kernel->name, fault.text);
        fail(LAUNCH_FAILED);
    });
}

int emu_tensor_map(void*, int, unsigned int, void*, const cuuint64_t*, const cuuint64_t*,
                   const cuuint32_t*, const cuuint32_t*, int, int, int, int);

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type,
                                cuuint32_t rank, void* base, const cuuint64_t* dims,
                                const cuuint64_t* strides, const cuuint32_t* box,
                                const cuuint32_t* steps, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion,
                                CUtensorMapFloatOOBfill fill)
{
    return (CUresult)emu_tensor_map(map, type, rank, base, dims, strides, box, steps,
                                    interleave, swizzle, promotion, fill);
}

CUresult cuGetErrorName(CUresult error, const char** text)
{
    *text = error == CUDA_ERROR_INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE"
        : error == CUDA_ERROR_INVALID_IMAGE ? "CUDA_ERROR_INVALID_IMAGE"
        : error == CUDA_ERROR_NOT_FOUND ? "CUDA_ERROR_NOT_FOUND"
        : error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
        : error == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
        : error >= 900 && error < 910 ? "CUDA_ERROR_STREAM_CAPTURE" : "CUDA_ERROR";
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult, const char** text)
{
    *text = "as told by the stand-in";
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context)
{
    *context = (CUcontext)&nothing;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) { *device = 0; return CUDA_SUCCESS; }

// --- what the emulator asks of the part that checks memory ------------------------------
}

namespace emu {

namespace {
std::vector<char> dynamic;
char* start;
unsigned long bytes;
const void* const* data;
}

bool open_memory(const void* const* module, const Array*, int, void**,
                 unsigned long shared, bool)
{
    data = module, bytes = shared;
    if (dynamic.size() < bytes + 1024) dynamic.resize(bytes + 1024);
    start = (char*)(((unsigned long)dynamic.data() + 1023) / 1024 * 1024);
    return true;
}

void close_memory(bool) {}

void poison_shared()
{
    memset((void*)data[0], 0xff, (char*)data[1] - (char*)data[0]);
    memset(start, 0xff, bytes);
}

void access(const void*, unsigned long, Access, const char*) {}
unsigned long shared_size() { return bytes; }
void begin_clock(Thread&) {}
void synchronise(Thread*, unsigned int) {}

}  // namespace emu

extern "C" void* emu_dynamic_shared() { return emu::start; }
extern "C" void emu_atomic(const char*, void*, unsigned long) {}
