// libcublas.so.13: products of matrices, as loops. The rest answers "not supported".
//
// cuBLAS counts columns first, so A(i, j) is A[i + j * lda].
#include <stddef.h>

#include "standin.h"

typedef int Status;
struct Handle { void* stream; int pointer_mode, math_mode; };
enum { OK = 0, FAILED = 13, UNSUPPORTED = 15, FLOAT = 0, DOUBLE = 1 };

namespace {

template <class T> T at(const T* A, int trans, size_t i, size_t j, int ld)
{
    return trans ? A[j + i * ld] : A[i + j * ld];
}

template <class T>
void multiply(int ta, int tb, int m, int n, int k, T alpha, const T* A, int lda,
              const T* B, int ldb, T beta, T* C, int ldc)
{
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            T sum = 0;
            for (int l = 0; l < k; l++)
                sum += at(A, ta, i, l, lda) * at(B, tb, l, j, ldb);
            T& c = C[i + (size_t)j * ldc];
            c = alpha * sum + (beta == 0 ? 0 : beta * c);
        }
}

Status told(Handle* h, standin::Work work)
{
    return standin::submit(h->stream, work) ? FAILED : OK;
}

template <class T>
Status batch(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha,
             const void* A, int lda, long long sa, const void* B, int ldb, long long sb,
             const void* beta, void* C, int ldc, long long sc, int count)
{
    T a = *(const T*)alpha, b = *(const T*)beta;
    return told(h, [=] {
        for (int i = 0; i < count; i++)
            multiply<T>(ta, tb, m, n, k, a, (const T*)A + i * sa, lda,
                        (const T*)B + i * sb, ldb, b, (T*)C + i * sc, ldc);
    });
}

// The addresses of the matrices lie in the device's memory, too.
template <class T>
Status batch(Handle* h, int ta, int tb, int m, int n, int k, const T* alpha,
             const T* const* A, int lda, const T* const* B, int ldb, const T* beta,
             T* const* C, int ldc, int count)
{
    T a = *alpha, b = *beta;
    return told(h, [=] {
        for (int i = 0; i < count; i++)
            multiply<T>(ta, tb, m, n, k, a, A[i], lda, B[i], ldb, b, C[i], ldc);
    });
}

}  // namespace

extern "C" {

Status cublasCreate_v2(Handle** h) { *h = new Handle(); return OK; }
Status cublasDestroy_v2(Handle* h) { delete h; return OK; }
Status cublasGetVersion_v2(Handle*, int* v) { *v = 130000; return OK; }
Status cublasSetStream_v2(Handle* h, void* s) { h->stream = s; return OK; }
Status cublasGetStream_v2(Handle* h, void** s) { *s = h->stream; return OK; }
Status cublasSetPointerMode_v2(Handle* h, int m) { h->pointer_mode = m; return OK; }
Status cublasGetPointerMode_v2(Handle* h, int* m) { *m = h->pointer_mode; return OK; }
Status cublasSetMathMode(Handle* h, int m) { h->math_mode = m; return OK; }
Status cublasGetMathMode(Handle* h, int* m) { *m = h->math_mode; return OK; }

Status cublasGemmStridedBatchedEx(
    Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* A,
    int atype, int lda, long long sa, const void* B, int, int ldb, long long sb,
    const void* beta, void* C, int, int ldc, long long sc, int count, int, int)
{
    if (atype == FLOAT)
        return batch<float>(h, ta, tb, m, n, k, alpha, A, lda, sa, B, ldb, sb, beta, C,
                            ldc, sc, count);
    if (atype == DOUBLE)
        return batch<double>(h, ta, tb, m, n, k, alpha, A, lda, sa, B, ldb, sb, beta, C,
                             ldc, sc, count);
    return UNSUPPORTED;
}

Status cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha,
                    const void* A, int atype, int lda, const void* B, int btype, int ldb,
                    const void* beta, void* C, int ctype, int ldc, int compute, int algo)
{
    return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, alpha, A, atype, lda, 0, B,
                                      btype, ldb, 0, beta, C, ctype, ldc, 0, 1, compute,
                                      algo);
}

Status cublasSgemmEx(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha,
                     const void* A, int atype, int lda, const void* B, int btype,
                     int ldb, const float* beta, void* C, int ctype, int ldc)
{
    return cublasGemmEx(h, ta, tb, m, n, k, alpha, A, atype, lda, B, btype, ldb, beta, C,
                        ctype, ldc, 0, 0);
}

#define PRODUCTS(letter, T)                                                            \
    Status cublas##letter##gemm_v2(Handle* h, int ta, int tb, int m, int n, int k,     \
                                   const T* alpha, const T* A, int lda, const T* B,    \
                                   int ldb, const T* beta, T* C, int ldc)              \
    {                                                                                  \
        return batch<T>(h, ta, tb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, \
                        0, 1);                                                         \
    }                                                                                  \
    Status cublas##letter##gemmBatched(Handle* h, int ta, int tb, int m, int n, int k, \
                                       const T* alpha, const T* const* A, int lda,     \
                                       const T* const* B, int ldb, const T* beta,      \
                                       T* const* C, int ldc, int count)                \
    {                                                                                  \
        return batch<T>(h, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, count); \
    }
PRODUCTS(S, float)
PRODUCTS(D, double)

}
