"""Images read at places between their pixels; the kernels are in ``sampling.cu``."""

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel

__all__ = ["bilinear_forward", "bilinear_backward"]

CODES = {"nearest": 0, "mirror": 1, "wrap": 2}


def bilinear_forward(x, points, border="nearest"):
    """What :func:`minifer.ops.sampling.bilinear_forward` computes, on a device."""
    x, points = contiguous(x), contiguous(points)
    (N, C, H, W), P = x.shape, points.shape[2]
    y = np.empty_like(x, shape=(N, C, P))
    kernel("sampling.cu", "bilinear_forward", x)(
        x, points, y, N, C, H, W, P, CODES[border], threads=y.size)
    return y, (x, points, border)


def bilinear_backward(dy, cache):
    """Gradients of :func:`bilinear_forward`, in an order that is always the same."""
    x, points, border = cache
    dy, (N, C, H, W), P = contiguous(dy), x.shape, points.shape[2]
    dx, dpoints = np.empty_like(x), np.empty_like(points)
    sizes = (N, C, H, W, P, CODES[border])
    kernel("sampling.cu", "bilinear_backward_pixels", x)(
        dy, points, dx, *sizes, threads=N * C * H)
    kernel("sampling.cu", "bilinear_backward_points", x)(
        dy, x, points, dpoints, *sizes, threads=N * P)
    return dx, dpoints
