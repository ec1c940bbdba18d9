// A few numbers from the CPU into the device's memory.
//
// The kernels of a step that has been recorded keep the arguments they were recorded
// with. What changes from step to step (the learning rate, Adam's corrections, the step
// of the dropout masks) they read from an array instead, and this is how it gets there:
// as the arguments of a kernel, which travel with its launch, so that neither side waits.
#include "common.cuh"

#define PUT(i) if (count > i) numbers[offset + i] = v##i;

// numbers[offset + i] = v_i for i < count. One thread: an argument has no index.
extern "C" __global__ void send_numbers(
    double* numbers /*[n]*/, int n, int offset, int count, double v0, double v1,
    double v2, double v3, double v4, double v5, double v6, double v7, double v8,
    double v9, double v10, double v11, double v12, double v13, double v14, double v15)
{
    PUT(0) PUT(1) PUT(2) PUT(3) PUT(4) PUT(5) PUT(6) PUT(7)
    PUT(8) PUT(9) PUT(10) PUT(11) PUT(12) PUT(13) PUT(14) PUT(15)
}
