"""Embeddings: a number picks a row of a table."""

import numpy as np

from ..cuda import embedding as embedding_kernels
from ..errors import ShapeError
from .dispatch import on_device

__all__ = ["embedding_forward", "embedding_backward"]


@on_device(embedding_kernels)
def embedding_forward(x, W):
    """Pick rows: ``y[n] = W[x[n]]``.

    Parameters
    ----------
    x : array of any shape
        Whole numbers from 0 to V - 1, also as floats.
    W : array, shape (V, D)

    Returns
    -------
    y : array, shape x.shape + (D,)
        Its type is x's, or W's if x's type is one of whole numbers.
    cache : tuple

    Raises
    ------
    ShapeError
        If a number is none of a row. On a device its y is NaN: to look first, the CPU
        would have to wait for the device.
    """
    if x.dtype.kind == "f":
        W = W.astype(x.dtype, copy=False)
    with np.errstate(invalid="ignore"):  # what is no number is refused below
        rows = x.astype(np.intp)
    right = (rows == x) & (rows >= 0) & (rows < len(W))
    if not right.all():
        raise ShapeError(
            f"embedding: expected whole numbers from 0 to {len(W) - 1}, one for each "
            f"row of W, got {x[~right].flat[0]}.")
    return W[rows], (rows, W.shape)


@on_device(embedding_kernels)
def embedding_backward(dy, cache):
    """``dW[v] = sum of dy[n] over all n with x[n] = v``; x has no gradient.

    Parameters
    ----------
    dy : array, shape x.shape + (D,)
    cache : tuple

    Returns
    -------
    dW : array, shape (V, D)
    """
    rows, shape = cache
    dW = np.zeros(shape, dy.dtype)
    order = rows.ravel().argsort(kind="stable")  # equal numbers side by side
    if order.size:
        picked, starts = np.unique(rows.ravel()[order], return_index=True)
        dW[picked] = np.add.reduceat(dy.reshape(-1, shape[1])[order], starts, axis=0)
    return dW
