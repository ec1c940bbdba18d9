// Planted for tests/cuda/test_compile.py: no spill, but more than 64 registers; and
// a neighbour that needs few.

extern "C" __global__ void greedy(const REAL* x /*[n*80]*/, REAL* y /*[n]*/, long long n)
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

extern "C" __global__ void modest(const REAL* x /*[n]*/, REAL* y /*[n]*/, long long n)
{
    __shared__ REAL tile[64];
    tile[threadIdx.x % 64] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[(threadIdx.x + 1) % 64];
}
