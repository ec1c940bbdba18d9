"""Batch normalisation of channels on a device; the kernels are in ``norm.cu``.

The functions have the names, arguments and results of :mod:`minifer.ops.norm`,
where their formulas are, for x (N, C, ...) and all axes but the second. Their cache
holds x, which is there anyway, in place of the normalised x. The kernels see x as
(N, C, S), with all further axes as one.
"""

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .reduce import block_for, channel_shape

__all__ = ["takes", "batch_norm_forward", "batch_norm_backward",
           "batch_norm_fixed_forward", "batch_norm_fixed_backward"]


def takes(axes, ndim):
    """Whether the kernels can normalise over these axes: all but the second."""
    return ndim >= 2 and tuple(axes) == (0, *range(2, ndim))


def batch_norm_forward(x, gamma, beta, axes, epsilon=1e-4):
    """Normalise by the statistics of this batch.

    Returns
    -------
    y : device array of x's shape
    mean, inv_std : device arrays, shape (C,)
    cache : tuple
    """
    x, (N, C, S) = contiguous(x), channel_shape(x)
    mean, inv_std = (np.empty_like(x, shape=(C,)) for _ in range(2))
    kernel("norm.cu", "batch_statistics", x)(
        x, mean, inv_std, epsilon, N, C, S, grid=C, block=block_for(N * S))
    y, cache = batch_norm_fixed_forward(x, gamma, beta, mean, inv_std, axes)
    return y, mean, inv_std, cache


def batch_norm_backward(dy, cache):
    """Gradients of :func:`batch_norm_forward`.

    Returns
    -------
    dx : device array of x's shape
    dgamma, dbeta : device arrays, shape (C,), None where there was none
    """
    x, mean, inv_std, gamma, has_beta, axes = cache
    dy, (N, C, S) = contiguous(dy), channel_shape(x)
    dgamma, dbeta = _scale_shift_gradients(dy, x, mean, inv_std)
    dx = np.empty_like(x)
    kernel("norm.cu", "batch_norm_backward", x)(
        dy, x, mean, inv_std, gamma, dgamma, dbeta, dx, N, C, S, threads=x.size)
    return dx, None if gamma is None else dgamma, dbeta if has_beta else None


def batch_norm_fixed_forward(x, gamma, beta, mean, inv_std, axes):
    """Normalise by given statistics.

    Returns
    -------
    y : device array of x's shape
    cache : tuple
    """
    x = contiguous(x)
    gamma, beta, mean, inv_std = (
        None if array is None else contiguous(array.astype(x.dtype, copy=False))
        for array in (gamma, beta, mean, inv_std))
    y = np.empty_like(x)
    kernel("norm.cu", "normalise", x)(
        x, mean, inv_std, gamma, beta, y, *channel_shape(x), threads=x.size)
    return y, (x, mean, inv_std, gamma, beta is not None, axes)


def batch_norm_fixed_backward(dy, cache):
    """Gradients of :func:`batch_norm_fixed_forward`: the statistics are constants.

    Returns
    -------
    dx, dgamma, dbeta : as in :func:`batch_norm_backward`
    """
    x, mean, inv_std, gamma, has_beta, axes = cache
    dy, dx = contiguous(dy), np.empty_like(x)
    kernel("norm.cu", "batch_norm_fixed_backward", x)(
        dy, inv_std, gamma, dx, *channel_shape(x), threads=x.size)
    dgamma = dbeta = None
    if gamma is not None or has_beta:
        dgamma, dbeta = _scale_shift_gradients(dy, x, mean, inv_std)
    return dx, None if gamma is None else dgamma, dbeta if has_beta else None


def _scale_shift_gradients(dy, x, mean, inv_std):
    """dgamma and dbeta, shape (C,)."""
    N, C, S = channel_shape(x)
    dgamma, dbeta = (np.empty_like(x, shape=(C,)) for _ in range(2))
    kernel("norm.cu", "scale_shift_gradients", x)(
        dy, x, mean, inv_std, dgamma, dbeta, N, C, S, grid=C, block=block_for(N * S))
    return dgamma, dbeta
