"""Softmax along any axis, and its logarithm.

That of rows, which has kernels, is :func:`minifer.ops.activation.softmax_forward`.

>>> softmax_along_forward(np.zeros((2, 4)), axis=0)[0][0]
array([0.5, 0.5, 0.5, 0.5])
"""

import numpy as np

from ..errors import ShapeError

__all__ = ["softmax_along_forward", "softmax_along_backward", "log_softmax_forward",
           "log_softmax_backward"]


def _shifted(name, x, axis):
    """x without its largest value along the axis, so that nothing overflows."""
    axis = int(axis)
    if not -x.ndim <= axis < x.ndim or not x.shape[axis]:
        raise ShapeError(f"{name}: expected something along axis {axis}, got shape "
                         f"{x.shape}.")
    return x - x.max(axis=axis, keepdims=True), axis


def softmax_along_forward(x, axis=1):
    r"""Turn what lies along an axis into probabilities that sum to 1.

    .. math:: y_k = e^{x_k} / \sum_j e^{x_j}

    Parameters
    ----------
    x : array, any shape
    axis : int, default 1

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    shifted, axis = _shifted("softmax", x, axis)
    e = np.exp(shifted)
    y = e / e.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def softmax_along_backward(dy, cache):
    """``dx = y * (dy - sum of dy * y)``, the sum along the axis."""
    y, axis = cache
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax_forward(x, axis=1):
    r"""The logarithm of softmax, exact however small a probability is.

    .. math:: y_k = x_k - \log \sum_j e^{x_j}

    Parameters
    ----------
    x : array, any shape
    axis : int, default 1

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    shifted, axis = _shifted("log_softmax", x, axis)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def log_softmax_backward(dy, cache):
    """``dx = dy - exp(y) * sum of dy``, the sum along the axis."""
    y, axis = cache
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)
