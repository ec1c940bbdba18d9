"""Softmax and cross-entropy on a device; the kernels are in ``loss.cu``.

The pairs have the names, arguments and results of :mod:`minifer.ops.activation` and
:mod:`minifer.ops.loss`, where their formulas are.
"""

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel

__all__ = ["softmax_forward", "softmax_backward", "softmax_crossentropy_forward",
           "softmax_crossentropy_backward", "sigmoid_crossentropy_forward",
           "sigmoid_crossentropy_backward", "class_numbers"]

ROWS = 8  # rows of a block, each of one warp


def softmax_forward(x):
    """Rows (N, K) as probabilities; the cache holds them."""
    x = contiguous(x)
    y = np.empty_like(x)
    _rows("softmax_forward", x, y, *x.shape)
    return y, (y,)


def softmax_backward(dy, cache):
    """``dx = y * (dy - sum over k of dy * y)``, row by row."""
    (y,) = cache
    dx = np.empty_like(y)
    _rows("softmax_backward", contiguous(dy), y, dx, *y.shape)
    return dx


def softmax_crossentropy_forward(logits, targets, class_weights=None):
    """Softmax and cross-entropy in one; a class number out of range gives NaN.

    Parameters
    ----------
    logits : device array, shape (N, K)
    targets : device array
        Class numbers, int (N,), or a distribution, float (N, K).
    class_weights : device array, shape (K,), or None

    Returns
    -------
    losses : device array, shape (N,)
    cache : tuple
    """
    logits, (N, K) = contiguous(logits), logits.shape
    is_soft = targets.ndim == 2
    cache = (logits,
             None if is_soft else contiguous(class_numbers(targets, K)),
             _as(targets, logits) if is_soft else None,
             None if class_weights is None else _as(class_weights, logits))
    losses = np.empty_like(logits, shape=(N,))
    _rows("crossentropy_forward", *cache, losses, N, K)
    return losses, cache


def softmax_crossentropy_backward(dlosses, cache):
    """``dz = dloss * (p * sum over j of t - t)``, t being weighted."""
    logits = cache[0]
    dlogits = np.empty_like(logits)
    _rows("crossentropy_backward", contiguous(dlosses), *cache, dlogits,
          *logits.shape)
    return dlogits


def sigmoid_crossentropy_forward(logits, targets):
    """Sigmoid and binary cross-entropy in one; a target that is NaN gives NaN.

    Parameters
    ----------
    logits, targets : device arrays of one shape

    Returns
    -------
    losses : device array of that shape
    cache : tuple
    """
    cache = contiguous(logits), _as(targets, logits)
    losses = np.empty_like(cache[0])
    _elements("sigmoid_crossentropy_forward", *cache, losses)
    return losses, cache


def sigmoid_crossentropy_backward(dlosses, cache):
    """``dz = dloss * (p - t)``, p being the sigmoid of z."""
    dlogits = np.empty_like(cache[0])
    _elements("sigmoid_crossentropy_backward", contiguous(dlosses), *cache, dlogits)
    return dlogits


def class_numbers(targets, K):
    """Class numbers as int32. What is no class stays none, however large it is.

    Parameters
    ----------
    targets : device array of whole numbers
    K : int
        Number of classes.
    """
    if targets.dtype == np.int32:
        return targets
    return targets.astype(np.int64).clip(-1, K).astype(np.int32)


def _as(array, like):
    return contiguous(array.astype(like.dtype, copy=False))


def _elements(name, *arrays):
    """Launch a kernel of one thread an element."""
    n = arrays[0].size
    kernel("loss.cu", name, arrays[0])(*arrays, n, threads=n)


def _rows(name, *args):
    """Launch a kernel of one warp a row; N and K are its last arguments."""
    N = args[-2]
    kernel("loss.cu", name, args[0])(*args, grid=-(-N // ROWS), block=(32, ROWS))
