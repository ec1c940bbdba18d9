// Planted for tests/cuda/test_compile.py: a name that nobody declared.

extern "C" __global__ void wrong(REAL* y /*[n]*/, long long n)
{
    if (threadIdx.x < n) y[threadIdx.x] = nobody;
}
