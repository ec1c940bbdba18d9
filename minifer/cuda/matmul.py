"""Products of matrices that a graph can hold.

CuPy's are cuBLAS's, which it does not let be captured. They are taken where nothing is
to be captured, as they are faster. The kernel of ``matmul.cu`` is taken in steps that
will be captured, too: a step gives the same bits before and after.
"""

import numpy as np

from ..device.arrays import contiguous
from ..device.recording import products_are_captured
from .loader import kernel

__all__ = ["matmul"]

TILE = 64


def matmul(A, B, out=None):
    """``A B``, of float32 or float64.

    Parameters
    ----------
    A : device array, shape (M, K)
    B : device array, shape (K, N)
    out : device array, shape (M, N), optional

    Returns
    -------
    device array, shape (M, N)
    """
    if not products_are_captured():
        return np.matmul(A, B, out=out) if out is not None else np.matmul(A, B)
    (M, K), N = A.shape, B.shape[1]
    C = out if out is not None and out.flags.c_contiguous else (
        np.empty_like(A, shape=(M, N), order="C"))
    A, a_down = _as_it_lies(A)
    B, b_down = _as_it_lies(B)
    kernel("matmul.cu", "matmul", C, A_DOWN=a_down, B_DOWN=b_down)(
        A, B, C, M, N, K, grid=-(-M // TILE) * -(-N // TILE))
    if out is not None and out is not C:
        out[...] = C
    return C if out is None else out


def _as_it_lies(M):
    """A matrix as a contiguous array, and whether that is its transpose."""
    if not M.flags.c_contiguous and M.T.flags.c_contiguous:
        return M.T, 1
    return contiguous(M), 0
