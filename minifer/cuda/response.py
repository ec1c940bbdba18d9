"""Local response normalisation on a device; the kernels are in ``response.cu``."""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel

__all__ = ["response_norm_forward", "response_norm_backward"]


def response_norm_forward(x, alpha, k, beta, n):
    """What :func:`minifer.ops.response.response_norm_forward` computes; the cache
    holds x and s."""
    x = contiguous(x)
    y, s = np.empty_like(x), np.empty_like(x)
    kernel("response.cu", "response_norm_forward", x)(
        x, y, s, alpha, k, beta, n // 2, *_sizes(x), threads=x.size)
    return y, (x, s, alpha, beta, n)


def response_norm_backward(dy, cache):
    """Gradient of :func:`response_norm_forward`."""
    x, s, alpha, beta, n = cache
    dy, dx = contiguous(dy), np.empty_like(x)
    kernel("response.cu", "response_norm_backward", x)(
        dy, x, s, dx, alpha, beta, n // 2, *_sizes(x), threads=x.size)
    return dx


def _sizes(x):
    return *x.shape[:2], math.prod(x.shape[2:])
