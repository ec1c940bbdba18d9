"""Products of stacks of matrices.

>>> y, cache = matmul_forward(np.ones((4, 2, 3)), np.ones((3, 5)))
>>> y.shape, [dx.shape for dx in matmul_backward(y, cache)]
((4, 2, 5), [(4, 2, 3), (3, 5)])
"""

import numpy as np

from ..cuda import matmul as kernels
from ..device.arrays import on_gpu
from ..errors import ShapeError
from .elementwise import fitted, place_of

__all__ = ["matmul", "matmul_forward", "matmul_backward"]


def matmul(A, B, out=None):
    """``numpy.matmul`` of arrays wherever they are; a graph can hold it."""
    return (kernels.matmul if on_gpu(A) else np.matmul)(A, B, out=out)


def matmul_forward(a, b):
    """Matrices (..., M, D) times (..., D, U), as ``numpy.matmul``.

    Parameters
    ----------
    a, b : arrays
        What stands before their last two axes is stretched as in arithmetic. One of a
        single axis is a row, or a column.

    Returns
    -------
    y : array, shape (..., M, U)
    cache : tuple
    """
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(f"matmul: expected (..., M, D) and (..., D, U), got {a.shape} "
                         f"and {b.shape}.")
    return matmul(a, b), (a, b)


def matmul_backward(dy, cache):
    """``da = dy bᵀ, db = aᵀ dy``, summed where one was stretched."""
    a, b = cache
    rows, columns = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    if b.ndim == 1:
        dy = dy[..., None]
    if a.ndim == 1:
        dy = dy[..., None, :]
    da = fitted(matmul(dy, columns.swapaxes(-1, -2)), place_of(rows))
    db = fitted(matmul(rows.swapaxes(-1, -2), dy), place_of(columns))
    return da.reshape(a.shape), db.reshape(b.shape)
