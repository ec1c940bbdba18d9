"""Pooling: the largest or the mean of each window."""

import math

import numpy as np

from ..cuda import pool as pool_kernels
from ..device.arrays import on_gpu
from ..errors import ShapeError
from .windows import check_windows, pad_hw, window_count, window_slices

__all__ = ["pool2d_forward", "pool2d_backward", "pool_length",
           "global_pool_forward", "global_pool_backward", "POOL_MODES",
           "GLOBAL_MODES"]

POOL_MODES = ("max", "average_inc_pad", "average_exc_pad")
GLOBAL_MODES = ("mean", "max", "sum")


def pool_length(length, size, stride, pad, ignore_border):
    """Number of pooling windows along one axis, as Theano counts them.

    Parameters
    ----------
    length, size, stride, pad : int
        As in :func:`~minifer.ops.windows.window_count`.
    ignore_border : bool
        True: only whole windows. False (``pad`` must be 0): a window that
        hangs over the end counts too, so that every pixel is covered.
    """
    if length is None or ignore_border:
        return window_count(length, size, stride, pad)
    if stride >= size:
        return (length - 1) // stride + 1
    return max(0, (length - size + stride - 1) // stride) + 1


def pool2d_forward(x, pool_size, stride=None, pad=(0, 0), ignore_border=True,
                   mode="max"):
    r"""Pool each channel over windows.

    .. math:: y_{n,c,i,j} = \max_{u,v} p_{n,c,s_h i+u,s_w j+v}

    or the mean over the window, where :math:`p` is ``x`` padded.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    pool_size, stride, pad : (int, int)
        Window (kh, kw), step (sh, sw; default: the window) and padding
        (ph, pw). Padding is minus infinity for the maximum, zero for the mean.
    ignore_border : bool, default True
        Leave out windows that hang over the end.
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}
        Whether the mean counts padded zeros or only real pixels.

    Returns
    -------
    y : array, shape (N, C, Ho, Wo)
    cache : tuple

    Raises
    ------
    ShapeError
        If there is no such mode, windows are empty or stand still, the padding is
        as large as a window, or a window larger than the padded image.
    """
    if mode not in POOL_MODES:
        raise ShapeError(
            f"pool2d: expected mode {' or '.join(POOL_MODES)}, got {mode!r}.")
    if x.ndim != 4:
        raise ShapeError(f"pool2d: expected x (N, C, H, W), got {x.shape}.")
    stride = pool_size if stride is None else stride
    check_windows("pool2d", pool_size, stride, pad)
    if any(p >= k for p, k in zip(pad, pool_size)):
        raise ShapeError(f"pool2d: expected padding smaller than the window "
                         f"{pool_size}, got {pad}.")
    out_size = tuple(pool_length(*axis, ignore_border)
                     for axis in zip(x.shape[2:], pool_size, stride, pad))
    if min(x.shape[2:]) < 1 or min(out_size) < 1:
        raise ShapeError(
            f"pool2d: expected images of at least {pool_size} pixels once "
            f"padded by {pad}, got {x.shape}.")
    windows = (pool_size, stride, pad, out_size)
    pool = pool_kernels.pool if on_gpu(x) else _pool
    y, kept = pool(x, *windows, mode)
    return y, (kept, x.shape, windows, mode)


def pool2d_backward(dy, cache):
    """Gradient of :func:`pool2d_forward`.

    A maximum passes its gradient to the place it came from; among equals that
    is the first in reading order. A mean gives every pixel an equal share.

    Parameters
    ----------
    dy : array, shape (N, C, Ho, Wo)

    Returns
    -------
    dx : array, shape (N, C, H, W)
    """
    kept, shape, windows, mode = cache
    pool_backward = pool_kernels.pool_backward if on_gpu(dy) else _pool_backward
    return pool_backward(dy, kept, shape, *windows, mode)


def _pool(x, size, stride, pad, out_size, mode):
    """y, and what its gradient needs, on a CPU: all windows at once, one of their
    elements after the other."""
    extra = tuple(max(0, (n - 1) * s + k - length - 2 * p) for n, s, k, length, p
                  in zip(out_size, stride, size, x.shape[2:], pad))
    padded = pad_hw(x, pad, -np.inf if mode == "max" else 0.0, extra)
    y = None
    for _, _, rows, cols in window_slices(size, stride, out_size):
        element = padded[:, :, rows, cols]
        if y is None:
            y = element.copy()
        elif mode == "max":
            np.maximum(y, element, out=y)  # NaN stays visible
        else:
            y += element
    if mode == "max":
        return y, (padded, y)
    count = _window_sizes(x, pad, extra, (size, stride, out_size), mode)
    y /= count
    return y, (padded, count)


def _pool_backward(dy, kept, shape, size, stride, pad, out_size, mode):
    """Gradient of :func:`_pool`."""
    (padded, y_or_count), (ph, pw) = kept, pad
    dpadded = np.zeros(padded.shape, dy.dtype)
    if mode == "max":
        open_ = np.ones(dy.shape, bool)  # windows whose maximum is not yet found
        for _, _, rows, cols in window_slices(size, stride, out_size):
            here = (padded[:, :, rows, cols] == y_or_count) & open_
            dpadded[:, :, rows, cols] += dy * here
            open_ &= ~here
    else:
        share = dy / y_or_count
        for _, _, rows, cols in window_slices(size, stride, out_size):
            dpadded[:, :, rows, cols] += share
    return np.ascontiguousarray(
        dpadded[:, :, ph:ph + shape[2], pw:pw + shape[3]])


def _window_sizes(x, pad, extra, geometry, mode):
    """Elements that the mean of each window counts, (Ho, Wo)."""
    real = np.ones((1, 1) + x.shape[2:], x.dtype)
    # Beyond the padded image there is nothing to count in either mode.
    padding_counts = 1.0 if mode == "average_inc_pad" else 0.0
    real = pad_hw(pad_hw(real, pad, padding_counts), (0, 0), 0.0, extra)
    return sum(real[0, 0, rows, cols] for _, _, rows, cols in window_slices(*geometry))


def global_pool_forward(x, mode="mean"):
    """Pool each channel over all its pixels.

    Parameters
    ----------
    x : array, shape (N, C, ...)
    mode : {'mean', 'max', 'sum'}

    Returns
    -------
    y : array, shape (N, C)
    cache : tuple

    Raises
    ------
    ShapeError
        If there is no such mode, or no pixel.
    """
    if mode not in GLOBAL_MODES:
        raise ShapeError(
            f"global_pool: expected mode {' or '.join(GLOBAL_MODES)}, got {mode!r}.")
    if x.ndim < 2 or 0 in x.shape[2:]:
        raise ShapeError(
            "global_pool: expected x (N, C, ...) of at least one pixel, got "
            f"{x.shape}.")
    pool = pool_kernels.global_pool if on_gpu(x) else _global_pool
    y, kept = pool(x, mode)
    return y, (kept, x.shape, mode)


def global_pool_backward(dy, cache):
    """Gradient of :func:`global_pool_forward`, shape (N, C, ...).

    Among equals the first in reading order is the maximum.
    """
    kept, shape, mode = cache
    if mode == "max":
        backward = pool_kernels.global_max_backward if on_gpu(dy) else _max_backward
        return backward(dy, kept, shape)
    pixels = math.prod(shape[2:])
    share = dy / pixels if mode == "mean" else dy
    if on_gpu(dy):
        return pool_kernels.global_sum_backward(share, kept, shape)
    dx = np.broadcast_to(share[:, :, None], dy.shape + (pixels,))
    return dx.reshape(shape).copy()


def _global_pool(x, mode):
    """y, and for a maximum x with its pixels in a row, on a CPU."""
    flat = x.reshape(x.shape[:2] + (math.prod(x.shape[2:]),))
    return getattr(flat, mode)(axis=2), flat if mode == "max" else None


def _max_backward(dy, flat, shape):
    """Gradient of :func:`_global_pool` with mode 'max'."""
    dx = np.zeros(flat.shape, dy.dtype)
    winner = flat.argmax(axis=2)[:, :, None]
    np.put_along_axis(dx, winner, dy[:, :, None], axis=2)
    return dx.reshape(shape)
