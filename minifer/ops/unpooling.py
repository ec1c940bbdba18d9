"""How the outcome of pooling changes with its input.

The gradient of pooling puts numbers back at the places they came from; this is its
other direction, and the gradient of that gradient.
"""

import math

import numpy as np

from ..device.arrays import on_gpu
from .pool import global_pool_forward, pool2d_forward
from .windows import pad_hw, window_slices

__all__ = ["pool_tangent", "pool2d_tangent", "global_pool_tangent"]


def pool2d_tangent(change, cache):
    """The change of the output of :func:`minifer.ops.pool.pool2d_forward`.

    Parameters
    ----------
    change : array, shape (N, C, H, W)
        The change of x.
    cache : tuple
        That of the pass.

    Returns
    -------
    array, shape (N, C, Ho, Wo)
        The mean for a mean; for a maximum what stands where x was largest.
    """
    kept, shape, windows, mode = cache
    size, stride, pad, out_size = windows
    if mode != "max":
        _, _, rows, columns = change.shape
        covered = [(n - 1) * s + k - 2 * p for n, s, k, p
                   in zip(out_size, stride, size, pad)]
        ignore_border = covered[0] <= rows and covered[1] <= columns
        return pool2d_forward(change, size, stride, pad, ignore_border, mode)[0]
    if on_gpu(change):
        return _at_winners(change, kept, *windows)
    padded, y = kept
    extra = [have - n - 2 * p for have, n, p in zip(padded.shape[2:], shape[2:], pad)]
    changes = pad_hw(change, pad, 0.0, extra)
    found, open_ = np.zeros(y.shape, change.dtype), np.ones(y.shape, bool)
    for _, _, rows, columns in window_slices(size, stride, out_size):
        here = (padded[:, :, rows, columns] == y) & open_
        found += changes[:, :, rows, columns] * here
        open_ &= ~here
    return found


def pool_tangent(change, cache):
    """The change of the output of :func:`minifer.ops.pool_nd.pool_forward`."""
    sheets, across, shape = cache
    N, C, *lengths = shape
    n = len(lengths)
    rows = (lengths if n > 1 else [1, *lengths])[-2:]
    y = pool2d_tangent(change.reshape(N, C * (lengths[0] if n == 3 else 1), *rows),
                       sheets)
    out = y.shape[2:]
    if across is not None:
        y = pool2d_tangent(y.reshape(N, C, lengths[0], math.prod(out)), across)
        out = (y.shape[2], *out)
    return y.reshape(N, C, *out[-n:])


def _at_winners(change, winner, size, stride, pad, out_size):
    """What stands at the places of the maxima, which a device keeps as numbers."""
    (N, C, H, W), kw = change.shape, size[1]
    steps = [np.cumsum(np.ones_like(winner[:1, :1]), axis=axis) - 1 for axis in (2, 3)]
    row = steps[0] * stride[0] - pad[0] + winner // kw
    column = steps[1] * stride[1] - pad[1] + winner % kw
    places = (row * W + column).reshape(N, C, math.prod(out_size))
    found = np.take_along_axis(change.reshape(N, C, H * W), places, axis=2)
    return found.reshape(winner.shape)


def global_pool_tangent(change, cache):
    """The change of the output of :func:`minifer.ops.pool.global_pool_forward`, (N, C).
    """
    kept, shape, mode = cache
    if mode != "max":
        return global_pool_forward(change, mode)[0]
    winner = kept if on_gpu(change) else kept.argmax(axis=2)
    flat = change.reshape(*shape[:2], math.prod(shape[2:]))
    return np.take_along_axis(flat, winner[:, :, None], axis=2)[:, :, 0]
