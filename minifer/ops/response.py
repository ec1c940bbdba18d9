"""Local response normalisation, across channels.

Krizhevsky, Sutskever & Hinton (2012), "ImageNet classification with deep convolutional
neural networks".
"""

import numpy as np

from ..cuda import response as response_kernels
from .dispatch import on_device

__all__ = ["response_norm_forward", "response_norm_backward"]


@on_device(response_kernels)
def response_norm_forward(x, alpha, k, beta, n):
    r"""Divide by what the channels around amount to.

    .. math:: y_c = x_c\, s_c^{-\beta}, \qquad
              s_c = k + \alpha \sum_{|j-c| \le n/2} x_j^2

    Parameters
    ----------
    x : array, shape (N, C, ...)
    alpha, k, beta : float
    n : int
        Odd number of channels in the sum; those that do not exist count as 0.

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    s = _window_sums(x * x, n)
    s *= alpha
    s += k
    power = _power(s, beta)
    return x * power, (x, s, power, alpha, beta, n)


@on_device(response_kernels)
def response_norm_backward(dy, cache):
    r"""Gradient of :func:`response_norm_forward`.

    x also counts in the sums of its neighbours:

    .. math:: dx_c = dy_c\, s_c^{-\beta} - 2\alpha\beta\, x_c
              \sum_{|j-c| \le n/2} dy_j\, x_j\, s_j^{-\beta-1}
    """
    x, s, power, alpha, beta, n = cache
    sums = _window_sums(dy * x * power / s, n)
    return dy * power - x * sums * (2 * alpha * beta)


def _power(s, beta):
    """``s ** -beta``; for the beta that all use, by roots, which are faster."""
    if beta != 0.75:
        return s ** -beta
    root = np.sqrt(s)
    return 1 / (root * np.sqrt(root))


def _window_sums(x, n):
    """For each channel the sum over those up to n // 2 away."""
    C, sums = x.shape[1], x.copy()
    for away in range(1, min(n // 2, C - 1) + 1):
        sums[:, away:] += x[:, :C - away]
        sums[:, :C - away] += x[:, away:]
    return sums
