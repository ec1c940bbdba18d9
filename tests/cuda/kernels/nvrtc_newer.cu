// Planted for tests/cuda/test_compile.py: an instruction that Turing does not have.
// needs sm_80

extern "C" __global__ void newer(const float* x /*[n]*/, float* y /*[n]*/, long long n)
{
    unsigned int bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x[threadIdx.x]));
    y[threadIdx.x] = __uint_as_float(bits);
}
