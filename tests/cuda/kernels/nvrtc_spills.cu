// Planted for tests/cuda/test_compile.py: too many values for 32 registers.

extern "C" __global__ void __launch_bounds__(1024, 2)
spills(const REAL* x /*[n*80]*/, REAL* y /*[n]*/, long long n)
{
    REAL held[80];
    for (int i = 0; i < 80; i++) held[i] = x[threadIdx.x * 80 + i];
    __syncthreads();                    // all of them are read before the first is used
    for (int round = 0; round < n; round++)
        for (int i = 0; i < 80; i++) held[i] = held[i] * held[(i + 7) % 80] + 1;
    REAL sum = 0;
    for (int i = 0; i < 80; i++) sum += held[i];
    y[threadIdx.x] = sum;
}
