"""Pooling: the largest or the mean of each window."""

import math

import numpy as np

from ..errors import ShapeError
from .windows import pad_hw, window_count, window_slices

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

    .. math:: y_{n,c,i,j} = \max_{u,v} \tilde x_{n,c,s_h i+u,s_w j+v}

    or the mean over the window.

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
    """
    if mode not in POOL_MODES:
        raise ShapeError(
            f"pool2d: expected mode {' or '.join(POOL_MODES)}, got {mode!r}.")
    stride = pool_size if stride is None else stride
    H, Wd = x.shape[2:]
    Ho = pool_length(H, pool_size[0], stride[0], pad[0], ignore_border)
    Wo = pool_length(Wd, pool_size[1], stride[1], pad[1], ignore_border)
    if Ho < 1 or Wo < 1:
        raise ShapeError(
            f"pool2d: expected images of at least {pool_size} pixels once "
            f"padded by {pad}, got {x.shape}.")
    geometry = (pool_size, stride, (Ho, Wo))
    extra = (max(0, (Ho - 1) * stride[0] + pool_size[0] - H - 2 * pad[0]),
             max(0, (Wo - 1) * stride[1] + pool_size[1] - Wd - 2 * pad[1]))

    padded = pad_hw(x, pad, -np.inf if mode == "max" else 0.0, extra)
    y, count = None, None
    for _, _, rows, cols in window_slices(*geometry):
        element = padded[:, :, rows, cols]
        if y is None:
            y = element.copy()
        elif mode == "max":
            np.maximum(y, element, out=y)  # NaN stays visible
        else:
            y += element
    if mode != "max":
        count = _window_sizes(x, pad, extra, geometry, mode)
        y /= count
    cache = (padded, y if mode == "max" else count, x.shape, pad, geometry, mode)
    return y, cache


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
    padded, y_or_count, shape, (ph, pw), geometry, mode = cache
    dpadded = np.zeros(padded.shape, dy.dtype)
    if mode == "max":
        open_ = np.ones(dy.shape, bool)  # windows whose maximum is not yet found
        for _, _, rows, cols in window_slices(*geometry):
            here = (padded[:, :, rows, cols] == y_or_count) & open_
            dpadded[:, :, rows, cols] += dy * here
            open_ &= ~here
    else:
        share = dy / y_or_count
        for _, _, rows, cols in window_slices(*geometry):
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
    """
    if mode not in GLOBAL_MODES:
        raise ShapeError(
            f"global_pool: expected mode {' or '.join(GLOBAL_MODES)}, got {mode!r}.")
    flat = x.reshape(x.shape[:2] + (math.prod(x.shape[2:]),))
    y = getattr(flat, mode)(axis=2)
    return y, (flat, y, x.shape, mode)


def global_pool_backward(dy, cache):
    """Gradient of :func:`global_pool_forward`, shape (N, C, ...)."""
    flat, y, shape, mode = cache
    if mode == "max":
        dx = np.zeros_like(flat)
        first = flat.argmax(axis=2)[:, :, None]
        np.put_along_axis(dx, first, dy[:, :, None], axis=2)
        return dx.reshape(shape)
    share = dy / flat.shape[2] if mode == "mean" else dy
    return np.broadcast_to(share[:, :, None], flat.shape).reshape(shape).copy()
