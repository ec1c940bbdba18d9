"""Products of matrices that a graph can hold.

CuPy's are cuBLAS's, which it does not let be captured. They are taken where nothing is
to be captured, as they are faster. The kernel of ``matmul.cu`` is taken in steps that
will be captured, too: a step gives the same bits before and after.
"""

import math

import numpy as np

from ..device.arrays import contiguous
from ..device.recording import products_are_captured
from .loader import kernel

__all__ = ["matmul"]

TILE = 64


def matmul(A, B, out=None):
    """``A B``, of float32 or float64, as ``numpy.matmul``.

    Parameters
    ----------
    A : device array, shape (..., M, K) or (K,)
    B : device array, shape (..., K, N) or (K,)
        What stands before the last two axes is stretched as in arithmetic.
    out : device array, shape (..., M, N), optional

    Returns
    -------
    device array, shape (..., M, N)
    """
    if not products_are_captured() or A.dtype != B.dtype or A.dtype.kind != "f":
        return np.matmul(A, B, out=out) if out is not None else np.matmul(A, B)
    if A.ndim == 1 or B.ndim == 1:
        return _of_vectors(A, B)
    (M, K), N = A.shape[-2:], B.shape[-1]
    lead = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    C = out if out is not None and out.flags.c_contiguous else (
        np.empty_like(A, shape=(*lead, M, N), order="C"))
    A, a_down = _as_it_lies(_in_turn(A, lead))
    B, b_down = _as_it_lies(_in_turn(B, lead))
    many = math.prod(lead)
    if C.size:
        kernel("matmul.cu", "matmul", C, A_DOWN=a_down, B_DOWN=b_down)(
            A, B, C, M, N, K, math.prod(A.shape[:-2]), math.prod(B.shape[:-2]), many,
            grid=many * -(-M // TILE) * -(-N // TILE))
    if out is not None and out is not C:
        out[...] = C
    return C if out is None else out


def _of_vectors(A, B):
    """A vector is a matrix of one row or column, which the result has not."""
    rows, columns = A[None] if A.ndim == 1 else A, B[:, None] if B.ndim == 1 else B
    C = matmul(rows, columns)
    C = C[..., 0] if B.ndim == 1 else C
    return C if A.ndim > 1 else C[..., 0, :] if B.ndim > 1 else C[..., 0]


def _in_turn(A, lead):
    """Matrices that the kernel can take in turn: all of the last axes of ``lead``."""
    own = A.shape[:-2]
    while own and own[0] == 1:
        own = own[1:]
    if own != lead[len(lead) - len(own):]:
        own = lead
    if A.shape[:-2] in (own, (1,) * (A.ndim - 2 - len(own)) + own):
        return A.reshape(*own, *A.shape[-2:]) if own != A.shape[:-2] else A
    return np.broadcast_to(A, (*own, *A.shape[-2:]))


def _as_it_lies(M):
    """Matrices as a contiguous array, and whether they are transposed in it."""
    turned = M.swapaxes(-1, -2)
    if not M.flags.c_contiguous and turned.flags.c_contiguous:
        return turned, 1
    return contiguous(M), 0
