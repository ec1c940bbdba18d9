"""Pooling across channels: maxout, and the winner that takes all."""

import math

import numpy as np

from ..errors import ShapeError
from .pool import GLOBAL_MODES

__all__ = ["feature_pool_forward", "feature_pool_backward", "winner_forward",
           "winner_backward"]


def feature_pool_forward(x, pool_size, axis=1, mode="max"):
    """Pool neighbours along an axis, groups of ``pool_size`` at a time.

    Parameters
    ----------
    x : array
    pool_size : int
        A divisor of the axis's length.
    axis : int, default 1
    mode : {'max', 'mean', 'sum'}

    Returns
    -------
    y : array
        The axis's length divided by ``pool_size``.
    cache : tuple

    Raises
    ------
    ShapeError
        If there is no such mode, or the axis does not divide.
    """
    if mode not in GLOBAL_MODES:
        raise ShapeError(
            f"feature_pool: expected mode {' or '.join(GLOBAL_MODES)}, got {mode!r}.")
    groups, shape = _groups("feature_pool", x, pool_size, axis)  # (A, G, p, B)
    y = groups[:, :, 0].copy()  # (A, G, B)
    for place in range(1, pool_size):
        if mode == "max":
            np.maximum(y, groups[:, :, place], out=y)
        else:
            y += groups[:, :, place]
    if mode == "mean":
        y /= pool_size
    kept = (groups, y) if mode == "max" else None
    return y.reshape(shape), (kept, x.shape, pool_size, axis, mode)


def feature_pool_backward(dy, cache):
    """Gradient of :func:`feature_pool_forward`, of x's shape.

    Among equal maxima the first gets it.
    """
    kept, shape, pool_size, axis, mode = cache
    A, B = math.prod(shape[:axis]), math.prod(shape[axis + 1:])
    dy = dy.reshape(A, shape[axis] // pool_size, 1, B)
    if mode == "max":
        return np.where(_first(*kept), dy, dy.dtype.type(0)).reshape(shape)
    dx = np.empty_like(dy, shape=(*dy.shape[:2], pool_size, B), order="C")
    dx[...] = dy / pool_size if mode == "mean" else dy
    return dx.reshape(shape)


def winner_forward(x, pool_size, axis=1):
    """Set all to 0 but the largest of each group of neighbours along an axis.

    Parameters
    ----------
    x : array
    pool_size : int
        A divisor of the axis's length.
    axis : int, default 1

    Returns
    -------
    y : array of x's shape
    cache : tuple

    Raises
    ------
    ShapeError
        If the axis does not divide.
    """
    groups, _ = _groups("winner", x, pool_size, axis)
    top = groups[:, :, 0].copy()
    for place in range(1, pool_size):
        np.maximum(top, groups[:, :, place], out=top)
    mask = _first(groups, top)
    return np.where(mask, groups, x.dtype.type(0)).reshape(x.shape), (mask,)


def winner_backward(dy, cache):
    """Gradient of :func:`winner_forward`, of x's shape."""
    mask, = cache
    return np.where(mask, dy.reshape(mask.shape), dy.dtype.type(0)).reshape(dy.shape)


def _groups(op, x, pool_size, axis):
    """x with its groups side by side, (A, G, p, B), and the shape of one of each."""
    if not 0 <= axis < x.ndim or pool_size < 1 or x.shape[axis] % pool_size:
        raise ShapeError(f"{op}: expected an axis of {x.shape} whose length "
                         f"{pool_size} divides, got {axis}.")
    before, after = x.shape[:axis], x.shape[axis + 1:]
    G = x.shape[axis] // pool_size
    return (x.reshape(math.prod(before), G, pool_size, math.prod(after)),
            (*before, G, *after))


def _first(groups, top):
    """Where in each group its largest stands first, or NaN does."""
    mask = (groups == top[:, :, None]) | (groups != groups)
    open_ = ~mask[:, :, 0]
    for place in range(1, groups.shape[2]):
        mask[:, :, place] &= open_
        open_ &= ~mask[:, :, place]
    return mask
