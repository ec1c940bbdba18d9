"""Pooling on a device; the kernels are in ``pool.cu``.

What a forward pass keeps for its gradient, ``winner``, is an int32 array of y's shape:
the place ``u*kw + v`` in the window (or the pixel of the plane) where the maximum
was, or None for a mean.
"""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .order import alike, channels_last, images
from .reduce import sum_over

__all__ = ["pool", "pool_backward", "global_pool", "global_max_backward",
           "global_sum_backward"]


def pool(x, size, stride, pad, out_size, mode):
    """What :func:`minifer.ops.pool.pool2d_forward` computes, on a device.

    Parameters
    ----------
    x : device array, shape (N, C, H, W)
    size, stride, pad, out_size : (int, int)
        Window (kh, kw), step (sh, sw), padding (ph, pw) smaller than the window,
        number of windows (Ho, Wo).
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}

    Returns
    -------
    y : device array, shape (N, C, Ho, Wo)
    winner : device array of int32, shape (N, C, Ho, Wo), or None

    Raises
    ------
    KernelError
        If ``x`` is no float array on a device.
    """
    N, C, H, W = x.shape
    (x,), shaped = alike(x)
    y = _empty(x, shaped, (N, C, *out_size))  # (N, C, Ho, Wo), in its order
    sizes = (N * C, H, W, *size, *stride, *pad, *out_size)
    if mode == "max":
        winner = np.empty_like(y, dtype=np.int32)
        _kernel("max_pool_forward", x, shaped, C)(x, y, winner, *sizes, threads=y.size)
        return shaped(y), shaped(winner)
    _kernel("average_pool_forward", x, shaped, C)(
        x, y, *sizes, *_counted_padding(pad, mode), threads=y.size)
    return shaped(y), None


def pool_backward(dy, winner, shape, size, stride, pad, out_size, mode):
    """Gradient of :func:`pool`.

    Parameters
    ----------
    dy : device array, shape (N, C, Ho, Wo)
    winner
        As :func:`pool` returned it.
    shape : (int, int, int, int)
        Shape of x, (N, C, H, W).
    size, stride, pad, out_size, mode
        As in :func:`pool`.

    Returns
    -------
    device array, shape (N, C, H, W)
    """
    N, C, H, W = shape
    (dy, *winner), shaped = alike(dy) if winner is None else alike(dy, winner)
    dx = _empty(dy, shaped, shape)  # (N, C, H, W), in its order
    sizes = (N * C, H, W, *size, *stride, *pad, *out_size)
    if mode == "max":
        _kernel("max_pool_backward", dy, shaped, C)(
            dy, *winner, dx, *sizes, threads=dx.size)
    else:
        _kernel("average_pool_backward", dy, shaped, C)(
            dy, dx, *sizes, *_counted_padding(pad, mode), threads=dx.size)
    return shaped(dx)


def global_pool(x, mode):
    """What :func:`minifer.ops.pool.global_pool_forward` computes, on a device.

    Parameters
    ----------
    x : device array, shape (N, C, ...)
    mode : {'mean', 'max', 'sum'}

    Returns
    -------
    y : device array, shape (N, C)
    winner : device array of int32, shape (N, C); of a mean or sum, whether channels are
        last in memory
    """
    pixels, last = math.prod(x.shape[2:]), channels_last(x)
    if mode != "max":
        if last is None:
            y = sum_over(x, tuple(range(2, x.ndim)))
        else:
            y = np.empty_like(x, shape=x.shape[:2])  # (N, C)
            kernel("pool.cu", "sum_planes", x)(last, y, len(x), pixels, x.shape[1],
                                               threads=y.size)
        return (y / pixels if mode == "mean" else y), last is not None
    x = contiguous(x)
    y = np.empty_like(x, shape=x.shape[:2])  # (N, C)
    winner = np.empty_like(y, dtype=np.int32)
    kernel("pool.cu", "global_max", x)(
        x, y, winner, y.size, pixels, threads=32 * y.size)
    return y, winner


def global_max_backward(dy, winner, shape):
    """Gradient of :func:`global_pool` with mode 'max', of ``shape`` (N, C, ...)."""
    dy = contiguous(dy)
    dx = np.empty_like(dy, shape=shape)  # (N, C, ...)
    kernel("pool.cu", "global_max_backward", dy)(
        dy, winner, dx, dy.size, math.prod(shape[2:]), threads=dx.size)
    return dx


def global_sum_backward(dy, last, shape):
    """Gradient of :func:`global_pool` with mode 'sum', of ``shape`` (N, C, ...)."""
    axes = (slice(None), *(None,) * (len(shape) - 2), slice(None)) if last else (
        ..., *(None,) * (len(shape) - 2))
    lies = (shape[0], *shape[2:], shape[1]) if last else shape
    dx = contiguous(np.broadcast_to(dy[axes], lies))
    return images(dx) if last else dx


def _empty(like, shaped, shape):
    """A new array for images (N, C, H, W), as it lies in the order of others."""
    lies = (shape[0], *shape[2:], shape[1]) if shaped is images else shape
    return np.empty_like(like, shape=lies)


def _kernel(name, like, shaped, C):
    """A kernel for planes, or for the C channels of an image side by side."""
    return kernel("pool.cu", name, like, **{"CHANNELS": C} if shaped is images else {})


def _counted_padding(pad, mode):
    """Rows and columns of padding that a mean counts as zeros."""
    return pad if mode == "average_inc_pad" else (0, 0)
