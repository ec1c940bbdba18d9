"""Normalisation to mean 0 and variance 1: of a batch, or of each image by itself.

Ioffe & Szegedy (2015), "Batch normalization: accelerating deep network
training by reducing internal covariate shift", arXiv:1502.03167.
"""

import math

import numpy as np

from ..cuda import norm as norm_kernels
from ..device.arrays import on_gpu

__all__ = ["batch_norm_forward", "batch_norm_backward",
           "batch_norm_fixed_forward", "batch_norm_fixed_backward",
           "standardize_forward", "standardize_backward"]


def batch_norm_forward(x, gamma, beta, axes, epsilon=1e-4, part=None):
    r"""Normalise by the statistics of this batch.

    .. math:: y = \gamma\,(x - \mu)\,/\sqrt{\sigma^2 + \epsilon} + \beta

    Parameters
    ----------
    x : array, for example shape (N, C, H, W)
    gamma, beta : array of x's shape without ``axes`` (e.g. (C,)), or None
        Scale and shift; None leaves them out.
    axes : tuple of int
        Axes to take mean μ and (biased) variance σ² over, e.g. (0, 2, 3).
    epsilon : float > 0
    part : minifer.ranks.Part, optional
        If x is a part of a batch that ranks share: the statistics are then the whole
        batch's, and so are the means on the way back.

    Returns
    -------
    y : array of x's shape
    mean, inv_std : arrays of gamma's shape
        μ and 1/√(σ² + ε) of this batch, for the running averages.
    cache : tuple
    """
    if _has_kernels(x, axes) and part is None:
        y, *statistics, cache = norm_kernels.batch_norm_forward(
            x, gamma, beta, axes, epsilon)
        return y, *statistics, (part, cache)
    mean = _mean(x, axes, part)
    centred = x - np.expand_dims(mean, axes)
    inv_std = 1 / np.sqrt(_mean(centred * centred, axes, part) + float(epsilon))
    normed = centred * np.expand_dims(inv_std, axes)
    y = _scale_shift(normed, gamma, beta, axes)
    cache = normed, inv_std, gamma, beta is not None, axes
    return y, mean, inv_std, (part, cache)


def batch_norm_backward(dy, cache):
    r"""Gradients of :func:`batch_norm_forward`.

    Mean and variance depend on x too. With :math:`\hat x` the normalised input
    and :math:`g = \gamma\,dy`:

    .. math:: dx = \frac{1}{\sigma}\left(g - \overline{g}
              - \hat x\,\overline{g \hat x}\right)

    where the bars are means over ``axes``.

    Returns
    -------
    dx : array of x's shape
    dgamma, dbeta : arrays of gamma's shape, None where there was none
    """
    part, cache = cache
    if _has_kernels(dy, cache[-1]) and part is None:
        return norm_kernels.batch_norm_backward(dy, cache)
    normed, inv_std, gamma, has_beta, axes = cache
    dgamma, dbeta = _scale_shift_gradients(dy, normed, gamma, has_beta, axes)
    g = dy if gamma is None else dy * np.expand_dims(gamma.astype(dy.dtype), axes)
    dx = (g - np.expand_dims(_mean(g, axes, part), axes)
          - normed * np.expand_dims(_mean(g * normed, axes, part), axes))
    return dx * np.expand_dims(inv_std, axes), dgamma, dbeta


def batch_norm_fixed_forward(x, gamma, beta, mean, inv_std, axes):
    """Normalise by given (running) statistics, as prediction does.

    ``y = (x - mean) * inv_std * gamma + beta``; arguments as in
    :func:`batch_norm_forward`.

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    if _has_kernels(x, axes):
        return norm_kernels.batch_norm_fixed_forward(
            x, gamma, beta, mean, inv_std, axes)
    mean, inv_std = mean.astype(x.dtype), inv_std.astype(x.dtype)
    normed = (x - np.expand_dims(mean, axes)) * np.expand_dims(inv_std, axes)
    y = _scale_shift(normed, gamma, beta, axes)
    return y, (normed, inv_std, gamma, beta is not None, axes)


def batch_norm_fixed_backward(dy, cache):
    """Gradients of :func:`batch_norm_fixed_forward`: the statistics are constants.

    Returns
    -------
    dx, dgamma, dbeta : as in :func:`batch_norm_backward`
    """
    if _has_kernels(dy, cache[-1]):
        return norm_kernels.batch_norm_fixed_backward(dy, cache)
    normed, inv_std, gamma, has_beta, axes = cache
    dgamma, dbeta = _scale_shift_gradients(dy, normed, gamma, has_beta, axes)
    slope = inv_std if gamma is None else inv_std * gamma.astype(dy.dtype)
    return dy * np.expand_dims(slope, axes), dgamma, dbeta


def standardize_forward(x, axes, epsilon=1e-4, part=None):
    r"""Normalise over some axes, without parameters.

    .. math:: y = (x - \mu)\,/\sqrt{\sigma^2 + \epsilon}

    Parameters
    ----------
    x : array, any shape
    axes : tuple of int
        Axes of mean μ and (biased) variance σ².
    epsilon : float > 0
    part : minifer.ranks.Part, optional
        As for :func:`batch_norm_forward`; it matters where axis 0 is among the axes.

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    shape, part = x.shape, part if 0 in axes else None
    if not x.size:
        return x.copy(), None
    if part is None and axes == tuple(range(len(shape) - len(axes), len(shape))):
        # The last axes: each row is a channel of one image, which kernels take.
        rows = math.prod(shape[:len(shape) - len(axes)])
        x, axes = x.reshape(1, rows, x.size // rows), (0, 2)
    y, _, _, cache = batch_norm_forward(x, None, None, axes, epsilon, part)
    return y.reshape(shape), (x.shape, cache)


def standardize_backward(dy, cache):
    """Gradient of :func:`standardize_forward`; see :func:`batch_norm_backward`."""
    if cache is None:
        return dy
    shape, cache = cache
    return batch_norm_backward(dy.reshape(shape), cache)[0].reshape(dy.shape)


def _mean(x, axes, part):
    """The mean over axes: of the whole batch, if x is a part of one."""
    if part is None or 0 not in axes:
        return x.mean(axis=axes)
    return part.mean(x, axes)


def _has_kernels(x, axes):
    """Channels on a device have kernels; other axes are NumPy's syntax anywhere."""
    return on_gpu(x) and norm_kernels.takes(axes, x.ndim)


def _scale_shift(normed, gamma, beta, axes):
    y = normed
    if gamma is not None:
        y = y * np.expand_dims(gamma.astype(normed.dtype), axes)
    if beta is not None:
        y = y + np.expand_dims(beta.astype(normed.dtype), axes)
    return y


def _scale_shift_gradients(dy, normed, gamma, has_beta, axes):
    dgamma = None if gamma is None else (dy * normed).sum(axis=axes)
    return dgamma, dy.sum(axis=axes) if has_beta else None
