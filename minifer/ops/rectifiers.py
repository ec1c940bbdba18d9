"""Rectifiers whose slope below 0 is an array."""

import numpy as np

__all__ = ["sloped_rectify_forward", "sloped_rectify_backward"]


def sloped_rectify_forward(x, slope):
    """``y = x`` where ``x > 0``, else ``slope * x``.

    Parameters
    ----------
    x : array, any shape
    slope : array of as many axes
        Its length is 1 along axes where the slope is the same.

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    return np.where(x > 0, x, x * slope), (x, slope)


def sloped_rectify_backward(dy, cache, need_dslope=True):
    """Gradients of :func:`sloped_rectify_forward`.

    ``dx = dy`` where ``x > 0``, else ``slope * dy``; ``dslope`` is the sum of
    ``dy * x`` over all x <= 0 that share the slope.

    Returns
    -------
    dx : array of x's shape
    dslope : array of slope's shape, or None
    """
    x, slope = cache
    dx = np.where(x > 0, dy, dy * slope)
    if not need_dslope:
        return dx, None
    axes = tuple(axis for axis, n in enumerate(slope.shape) if n == 1)
    return dx, (dy * np.minimum(x, 0)).sum(axis=axes, keepdims=True)
