"""Convolution of each channel by filters of its own, on a device; ``depthwise.cu``.

Of M filters a channel, filter f sees channel f // M.
"""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .reduce import block_for
from .unfold import three_axes

__all__ = ["forward", "input_gradient", "filter_gradient"]


def forward(x, W, geometry, counts):
    """``y`` of images and filters.

    Parameters
    ----------
    x : device array, shape (N, C, ...)
    W : device array, shape (C·M, 1, size...)
    geometry : minifer.ops.unfold.Geometry
    counts : tuple of int
        Shape of the output behind its channels.

    Returns
    -------
    device array, shape (N, C·M, counts...)
    """
    y = np.empty_like(x, shape=(len(x), len(W), *counts), order="C")
    kernel("depthwise.cu", "depthwise_forward", x)(
        contiguous(x), contiguous(W), y, *_numbers(x.shape, W, geometry, counts),
        threads=y.size)
    return y


def input_gradient(dy, W, geometry, shape):
    """``dx``, of shape (N, C, ...), of ``dy``, shape (N, C·M, ...)."""
    dx = np.empty_like(dy, shape=shape, order="C")
    kernel("depthwise.cu", "depthwise_input_gradient", dy)(
        contiguous(dy), contiguous(W), dx,
        *_numbers(shape, W, geometry, dy.shape[2:]), threads=dx.size)
    return dx


def filter_gradient(dy, x, W_shape, geometry):
    """``dW``, shape (C·M, 1, size...)."""
    dW = np.empty_like(x, shape=W_shape, order="C")
    kernel("depthwise.cu", "depthwise_filter_gradient", x)(
        contiguous(dy), contiguous(x), dW,
        *_numbers(x.shape, dW, geometry, dy.shape[2:]),
        grid=(math.prod(W_shape[2:]), len(dW)),
        block=block_for(len(x) * math.prod(dy.shape[2:])))
    return dW


def _numbers(shape, W, geometry, counts):
    """What the kernels take behind their arrays."""
    N, C, *lengths = shape
    return N, C, len(W) // C, *three_axes(lengths, geometry, counts)
