// libcudart.so.13: the words of CUDA's runtime that CuPy uses, each a call of the driver.
//
// What is not here answers "not supported": tests/cuda/standin/build.py adds it.
#include <cuda_runtime_api.h>
#include <cuda_profiler_api.h>
#include <string.h>

extern "C" {

int standin_stream_create(void**, unsigned int, int);
int standin_stream_destroy(void*);
int standin_stream_flags(void*, unsigned int*, int*);
int standin_stream_query(void*);
int standin_stream_wait(void*, void*);
int standin_event_create(void**);
int standin_event_destroy(void*);
int standin_event_record(void*, void*);
int standin_event_query(void*, int);
int standin_capture_begin(void*);
int standin_capture_end(void*, void**);
int standin_capture_status(void*, int*);
int standin_graph_copy(void*, void**);
int standin_graph_destroy(void*);
int standin_graph_launch(void*, void*);
int standin_graph_print(void*, const char*);
int standin_allocate(void**, size_t);
int standin_free(void*);
int standin_pin(void**, size_t);
int standin_unpin(void*);
void standin_memory(size_t*, size_t*);
int standin_copy(void*, const void*, size_t, int, void*, int);
int standin_fill(void*, int, size_t, void*);
int standin_synchronize(void*);
int standin_synchronize_all();
int standin_host_function(void*, void (*)(void*), void*);
int standin_is_device(const void*);

#define TOLD(call) return (cudaError_t)(call)

// --- the device ------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* n) { *n = 1; return cudaSuccess; }
cudaError_t cudaGetDevice(int* d) { *d = 0; return cudaSuccess; }
cudaError_t cudaSetDevice(int d) { return d ? cudaErrorInvalidDevice : cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { TOLD(standin_synchronize_all()); }
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int)
{
    *can = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int)
{
    strncpy(text, "none", size);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int)
{
    *value = which == cudaDevAttrComputeCapabilityMajor ? 9
        : which == cudaDevAttrMaxThreadsPerBlock ? 1024
        : which == cudaDevAttrMaxSharedMemoryPerBlock ? 48 * 1024
        : which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 * 1024
        : which == cudaDevAttrMultiProcessorCount ? 2
        : which == cudaDevAttrWarpSize ? 32 : 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* of, int)
{
    memset(of, 0, sizeof *of);
    strcpy(of->name, "stand-in, no GPU");
    size_t unused;
    standin_memory(&unused, &of->totalGlobalMem);
    of->major = 9;
    of->warpSize = 32;
    of->multiProcessorCount = 2;
    of->maxThreadsPerBlock = 1024;
    of->sharedMemPerBlock = 48 * 1024;
    of->sharedMemPerBlockOptin = 227 * 1024;
    of->maxGridSize[0] = 0x7fffffff, of->maxGridSize[1] = of->maxGridSize[2] = 65535;
    return cudaSuccess;
}

#define NAMED(error) case error: return #error;
const char* cudaGetErrorName(cudaError_t error)
{
    switch ((int)error) {
        NAMED(cudaErrorInvalidValue) NAMED(cudaErrorMemoryAllocation)
        NAMED(cudaErrorInvalidResourceHandle) NAMED(cudaErrorNotReady)
        NAMED(cudaErrorIllegalAddress) NAMED(cudaErrorLaunchFailure)
        NAMED(cudaErrorNotSupported) NAMED(cudaErrorStreamCaptureUnsupported)
        NAMED(cudaErrorStreamCaptureInvalidated) NAMED(cudaErrorStreamCaptureUnmatched)
        NAMED(cudaErrorStreamCaptureUnjoined) NAMED(cudaErrorStreamCaptureIsolation)
        NAMED(cudaErrorStreamCaptureImplicit) NAMED(cudaErrorCapturedEvent)
    }
    return "cudaErrorUnknown";
}
const char* cudaGetErrorString(cudaError_t) { return "as told by the stand-in"; }

// --- memory ----------------------------------------------------------------------------

cudaError_t cudaMalloc(void** p, size_t n) { TOLD(standin_allocate(p, n)); }
cudaError_t cudaFree(void* p) { TOLD(standin_free(p)); }
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned int) { TOLD(standin_pin(p, n)); }
cudaError_t cudaFreeHost(void* p) { TOLD(standin_unpin(p)); }

cudaError_t cudaMemGetInfo(size_t* unused, size_t* all)
{
    standin_memory(unused, all);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind kind)
{
    TOLD(standin_copy(to, from, n, kind, 0, 1));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    TOLD(standin_copy(to, from, n, kind, s, 0));
}

cudaError_t cudaMemset(void* to, int value, size_t n)
{
    TOLD(standin_fill(to, value, n, 0));
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t n, cudaStream_t s)
{
    TOLD(standin_fill(to, value, n, s));
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* of, const void* p)
{
    memset(of, 0, sizeof *of);
    of->type = standin_is_device(p) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
    of->devicePointer = of->type == cudaMemoryTypeDevice ? (void*)p : 0;
    return cudaSuccess;
}

// --- streams and events ----------------------------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* s)
{
    TOLD(standin_stream_create((void**)s, 0, 0));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned int flags)
{
    TOLD(standin_stream_create((void**)s, flags, 0));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned int flags, int p)
{
    TOLD(standin_stream_create((void**)s, flags, p));
}

cudaError_t cudaStreamGetFlags(cudaStream_t s, unsigned int* flags)
{
    TOLD(standin_stream_flags(s, flags, 0));
}

cudaError_t cudaStreamGetPriority(cudaStream_t s, int* p)
{
    TOLD(standin_stream_flags(s, 0, p));
}

cudaError_t cudaStreamDestroy(cudaStream_t s) { TOLD(standin_stream_destroy(s)); }
cudaError_t cudaStreamSynchronize(cudaStream_t s) { TOLD(standin_synchronize(s)); }
cudaError_t cudaStreamQuery(cudaStream_t s) { TOLD(standin_stream_query(s)); }

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned int)
{
    TOLD(standin_stream_wait(s, e));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t f, void* data)
{
    TOLD(standin_host_function(s, f, data));
}

cudaError_t cudaEventCreate(cudaEvent_t* e) { TOLD(standin_event_create((void**)e)); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned int)
{
    TOLD(standin_event_create((void**)e));
}
cudaError_t cudaEventDestroy(cudaEvent_t e) { TOLD(standin_event_destroy(e)); }
cudaError_t cudaEventQuery(cudaEvent_t e) { TOLD(standin_event_query(e, 0)); }
cudaError_t cudaEventSynchronize(cudaEvent_t e) { TOLD(standin_event_query(e, 1)); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    TOLD(standin_event_record(e, s));
}

// There is no time here: whatever is measured takes a millisecond.
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t)
{
    *ms = 1;
    return cudaSuccess;
}

// --- graphs ----------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    TOLD(standin_capture_begin(s));
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g)
{
    TOLD(standin_capture_end(s, (void**)g));
}

cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status)
{
    int found = 0, error = standin_capture_status(s, &found);
    *status = (cudaStreamCaptureStatus)found;
    TOLD(error);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t g, unsigned long long)
{
    TOLD(standin_graph_copy(g, (void**)made));
}

cudaError_t cudaGraphDestroy(cudaGraph_t g) { TOLD(standin_graph_destroy(g)); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) { TOLD(standin_graph_destroy(g)); }
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s)
{
    TOLD(standin_graph_launch(g, s));
}
cudaError_t cudaGraphDebugDotPrint(cudaGraph_t g, const char* path, unsigned int)
{
    TOLD(standin_graph_print(g, path));
}

}
