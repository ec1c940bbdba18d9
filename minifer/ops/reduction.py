"""Reductions: sums, means, extremes over axes.

An axis is a number, a tuple of them, or None for all. With ``keepdims`` the axes stay,
with length 1.

>>> y, cache = mean_forward(np.array([[1.0, 3.0], [5.0, 7.0]]), axis=0)
>>> y, mean_backward(np.array([1.0, 2.0]), cache)
(array([3., 5.]), array([[0.5, 1. ],
       [0.5, 1. ]]))
"""

import math

import numpy as np

from ..errors import ShapeError

__all__ = ["mean_forward", "mean_backward", "sum_forward", "sum_backward",
           "product_forward", "product_backward", "variance_forward",
           "variance_backward", "max_forward", "max_backward", "min_forward",
           "cumsum_forward", "cumsum_backward", "argument_forward"]


def _axes(x, axis):
    """The axes as a sorted tuple of numbers from 0 on."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(sorted({int(a) + x.ndim * (a < 0) for a in given}))
    if len(axes) < len(given) or any(not 0 <= a < x.ndim for a in axes):
        raise ShapeError(f"axis: expected axes of an array of shape {x.shape}, each "
                         f"once, got {axis}.")
    return axes


def _spread(dy, shape, axes):
    """``dy`` with its reduced axes back, of length 1."""
    return dy.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def _at_the_end(x, axes):
    """x, with one axis for all that are reduced, the last; and the order it took."""
    order = [*(a for a in range(x.ndim) if a not in axes), *axes]
    turned = x.transpose(order)
    kept = turned.shape[:x.ndim - len(axes)]
    return turned.reshape(*kept, math.prod(x.shape[a] for a in axes)), order


def _filled(shape, value, dtype):
    """An array of values stretched to a shape, where they live."""
    array = np.empty_like(value, shape=shape, dtype=dtype)
    array[...] = value
    return array


def mean_forward(x, axis=None, keepdims=False):
    """The mean; of whole numbers, in float64."""
    axes = _axes(x, axis)
    return x.mean(axis=axes, keepdims=keepdims), (x.shape, x.dtype, axes)


def mean_backward(dy, cache):
    """``dx = dy / n``, to each of the n elements."""
    shape, dtype, axes = cache
    n = max(1, math.prod(shape[a] for a in axes))
    wide = np.promote_types(dy.dtype, np.float32)  # n may be too large for float16
    share = np.true_divide(_spread(dy, shape, axes), n, dtype=wide)
    return _filled(shape, share, dtype)


def sum_forward(x, axis=None, keepdims=False):
    """The sum."""
    axes = _axes(x, axis)
    return x.sum(axis=axes, keepdims=keepdims), (x.shape, x.dtype, axes)


def sum_backward(dy, cache):
    """``dx = dy``, to each."""
    shape, dtype, axes = cache
    return _filled(shape, _spread(dy, shape, axes), dtype)


def product_forward(x, axis=None, keepdims=False):
    """The product."""
    axes = _axes(x, axis)
    return x.prod(axis=axes, keepdims=keepdims), (x, axes)


def product_backward(dy, cache):
    """``dx`` is ``dy`` times the product of all others: right where some are 0, too."""
    x, axes = cache
    flat, order = _at_the_end(x, axes)
    ones = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([ones, flat[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, flat[..., :0:-1]], -1), -1)[..., ::-1]
    others = (before * after).reshape([x.shape[a] for a in order])
    return _spread(dy, x.shape, axes) * others.transpose(
        *(int(i) for i in np.argsort(order)))


def variance_forward(x, axis=None, keepdims=False, ddof=0):
    """The mean of squared distances from the mean; ``ddof`` is taken from n.

    NaN where nothing is left of n.
    """
    axes = _axes(x, axis)
    count = math.prod(x.shape[a] for a in axes)
    n = count - ddof if count > ddof else math.nan
    centred = x - x.mean(axis=axes, keepdims=True)
    mean = (centred * centred).mean(axis=axes, keepdims=keepdims)
    return mean * (count / n), (centred, n, axes)


def variance_backward(dy, cache):
    """``dx = 2 (x - mean) dy / n``."""
    centred, n, axes = cache
    return 2 / n * centred * _spread(dy, centred.shape, axes)


def max_forward(x, axis=None, keepdims=False, best=np.argmax):
    """The largest element; the gradient goes to the first of several.

    Parameters
    ----------
    best : function
        ``numpy.argmax``, or ``numpy.argmin`` for the smallest.
    """
    axes = _axes(x, axis)
    flat, order = _at_the_end(x, axes)
    index = best(flat, axis=-1)[..., None]
    y = np.take_along_axis(flat, index, -1)
    y = _spread(y, x.shape, axes) if keepdims else y[..., 0]
    return y, (index, order, x.shape, axes)


def max_backward(dy, cache):
    """``dx = dy`` at the place that was found, else 0."""
    index, order, shape, axes = cache
    dy = _spread(dy, shape, axes).transpose(order).reshape(index.shape)
    n = math.prod(shape[a] for a in axes)
    hit = index == np.arange(n, like=index)
    dx = np.where(hit, dy, np.zeros_like(dy)).reshape([shape[a] for a in order])
    return dx.transpose([int(i) for i in np.argsort(order)])


def min_forward(x, axis=None, keepdims=False):
    """The smallest element; see :func:`max_forward`."""
    return max_forward(x, axis, keepdims, np.argmin)


def cumsum_forward(x, axis=None):
    """Sums of the elements so far, along an axis; None: of the flattened array."""
    return np.cumsum(x, axis=axis), (x.shape, axis)


def cumsum_backward(dy, cache):
    """``dx`` is the sum of ``dy`` from there on."""
    shape, axis = cache
    axis = 0 if axis is None else axis
    return np.flip(np.cumsum(np.flip(dy, axis), axis=axis), axis).reshape(shape)


def argument_forward(x, function, axis=None, keepdims=False):
    """The place of an extreme, ``numpy.argmax`` or ``numpy.argmin``; no gradient.

    Of several axes, the place among all their elements, as if they were one axis.
    """
    axes = _axes(x, axis)
    y = function(_at_the_end(x, axes)[0], axis=-1)
    return (_spread(y, x.shape, axes) if keepdims else y), ()
