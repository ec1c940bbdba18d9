"""Pooling along one to three axes, by that along two."""

import math

from ..errors import ShapeError
from .pool import pool2d_backward, pool2d_forward

__all__ = ["pool_forward", "pool_backward"]


def pool_forward(x, pool_size, stride=None, pad=None, ignore_border=True, mode="max"):
    """Pool each channel over windows.

    The maximum of a box is that of the maxima of its sheets, and so is the mean, since
    each sheet counts as many cells: three axes are pooled in two steps.

    Parameters
    ----------
    x : array, shape (N, C, ...)
        One to three axes behind the channels.
    pool_size, stride, pad : tuple of int
        A number for each axis; stride is the window by default, pad 0.
    ignore_border, mode
        As in :func:`~minifer.ops.pool.pool2d_forward`.

    Returns
    -------
    y : array, shape (N, C, out...)
    cache : tuple

    Raises
    ------
    ShapeError
        As there.
    """
    n, (N, C, *lengths) = x.ndim - 2, x.shape
    stride = pool_size if stride is None else stride
    pad = (0,) * n if pad is None else pad
    if not 1 <= n <= 3 or {len(pool_size), len(stride), len(pad)} != {n}:
        raise ShapeError(f"pool: expected x (N, C, ...) of one to three axes, and so "
                         f"many numbers each, got {x.shape} and {pool_size}, {stride}, "
                         f"{pad}.")
    how = (ignore_border, mode)
    # Sheets of two axes, then the axis across them; a lone axis is a sheet of one row.
    rows = (lengths if n > 1 else [1, *lengths])[-2:]
    sheet = [(tuple(one) if n > 1 else (first, *one))[-2:]
             for one, first in ((pool_size, 1), (stride, 1), (pad, 0))]
    x = x.reshape(N, C * (lengths[0] if n == 3 else 1), *rows)
    y, cache = pool2d_forward(x, *sheet, *how)
    out, across = y.shape[2:], None
    if n == 3:
        y, across = pool2d_forward(
            y.reshape(N, C, lengths[0], math.prod(out)), (pool_size[0], 1),
            (stride[0], 1), (pad[0], 0), *how)
        out = (y.shape[2], *out)
    return y.reshape(N, C, *out[-n:]), (cache, across, (N, C, *lengths))


def pool_backward(dy, cache):
    """Gradient of :func:`pool_forward`, of x's shape.

    Among equal maxima the first in reading order gets it.
    """
    sheets, across, shape = cache
    N, C, *lengths = shape
    n, out = len(lengths), dy.shape[2:]
    if across is not None:
        dy = pool2d_backward(dy.reshape(N, C, out[0], math.prod(out[1:])), across)
    rows = out[1:] if n == 3 else out if n == 2 else (1, *out)
    dy = dy.reshape(N, C * (lengths[0] if n == 3 else 1), *rows)
    return pool2d_backward(dy, sheets).reshape(shape)
