"""Embeddings on a device; the kernels are in ``embedding.cu``.

The functions have the names, arguments and results of :mod:`minifer.ops.embedding`,
where their formulas are.
"""

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel

__all__ = ["embedding_forward", "embedding_backward"]

COLUMNS = 128  # threads of a block, at most


def embedding_forward(x, W):
    """Rows of W; a number that is none of a row gives NaN."""
    x = contiguous(x.astype(W.dtype, copy=False) if x.dtype.kind != "f" else x)
    W = contiguous(W.astype(x.dtype, copy=False))
    V, D = W.shape
    y = np.empty_like(x, shape=(*x.shape, D))
    kernel("embedding.cu", "embedding_forward", x)(x, W, y, x.size, V, D,
                                                   threads=y.size)
    return y, (x, W.shape)


def embedding_backward(dy, cache):
    """Sums of the rows of dy by their numbers, each in order: the same every time."""
    x, (V, D) = cache
    dW = np.empty_like(dy, shape=(V, D))
    block = min(COLUMNS, -(-D // 32) * 32)
    kernel("embedding.cu", "embedding_backward", x)(
        x, contiguous(dy), dW, x.size, V, D, grid=(V, -(-D // block)), block=block)
    return dW
