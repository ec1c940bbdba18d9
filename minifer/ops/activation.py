"""Nonlinearities, element by element (softmax: row by row).

Each backward multiplies ``dy`` by the slope. Where it can, it computes the
slope from the output ``y``, which must be kept anyway. On a device the kernels of
``kernels/activation.cu`` do the same.
"""

import numpy as np

from ..cuda import activation as activation_kernels, loss as loss_kernels
from ..device.arrays import on_gpu
from ..errors import ShapeError
from .dispatch import on_device
from .softmax import (log_softmax_backward, log_softmax_forward, softmax_along_backward,
                      softmax_along_forward)

__all__ = [
    "softmax_along_forward", "softmax_along_backward", "log_softmax_forward",
    "log_softmax_backward", "rectify_forward", "rectify_backward",
    "leaky_rectify_forward", "leaky_rectify_backward",
    "elu_forward", "elu_backward", "selu_forward", "selu_backward",
    "tanh_forward", "tanh_backward",
    "scaled_tanh_forward", "scaled_tanh_backward",
    "sigmoid_forward", "sigmoid_backward",
    "softplus_forward", "softplus_backward",
    "softmax_forward", "softmax_backward",
    "clipped_rectify_forward", "clipped_rectify_backward",
    "hard_sigmoid_forward", "hard_sigmoid_backward",
    "softsign_forward", "softsign_backward"]


@on_device(activation_kernels)
def rectify_forward(x):
    """``y = max(0, x)``. Any shape; returns ``y, cache``."""
    y = np.maximum(x, 0)
    return y, (y,)


@on_device(activation_kernels)
def rectify_backward(dy, cache):
    """``dx = dy`` where ``x > 0``, else 0 (the slope at exactly 0 is 0)."""
    (y,) = cache
    return dy * (y > 0)


@on_device(activation_kernels)
def leaky_rectify_forward(x, leakiness=0.01):
    """``y = x`` where ``x > 0``, else ``leakiness * x``; leakiness in [0, 1]."""
    leakiness = float(leakiness)  # a NumPy float64 would widen float32 arrays
    return np.where(x > 0, x, x * leakiness), (x, leakiness)


@on_device(activation_kernels)
def leaky_rectify_backward(dy, cache):
    """``dx = dy`` where ``x > 0``, else ``leakiness * dy``."""
    x, leakiness = cache
    return np.where(x > 0, dy, dy * leakiness)


@on_device(activation_kernels)
def elu_forward(x):
    """``y = x`` where ``x > 0``, else ``exp(x) - 1``."""
    y = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return y, (y,)


@on_device(activation_kernels)
def elu_backward(dy, cache):
    """``dx = dy`` where ``x > 0``, else ``dy * exp(x) = dy * (y + 1)``."""
    (y,) = cache
    return np.where(y > 0, dy, dy * (y + 1))


@on_device(activation_kernels)
def selu_forward(x, scale=1.0, scale_neg=1.0):
    """``y = scale * x`` where ``x > 0``, else ``scale * scale_neg * (exp(x) - 1)``."""
    scale, scale_neg = float(scale), float(scale_neg)
    y, elu_cache = elu_forward(x)
    y = np.where(y > 0, y * scale, y * (scale * scale_neg))
    return y, elu_cache + (scale, scale_neg)


@on_device(activation_kernels)
def selu_backward(dy, cache):
    """Gradient of :func:`selu_forward`: the chain rule through elu."""
    elu_y, scale, scale_neg = cache
    dy = np.where(elu_y > 0, dy * scale, dy * (scale * scale_neg))
    return elu_backward(dy, (elu_y,))


@on_device(activation_kernels)
def tanh_forward(x):
    """``y = tanh(x)``, in (-1, 1)."""
    y = np.tanh(x)
    return y, (y,)


@on_device(activation_kernels)
def tanh_backward(dy, cache):
    """``dx = dy * (1 - y²)``."""
    (y,) = cache
    return dy * (1 - y * y)


@on_device(activation_kernels)
def scaled_tanh_forward(x, scale_in=1.0, scale_out=1.0):
    """``y = scale_out * tanh(scale_in * x)``."""
    scale_in, scale_out = float(scale_in), float(scale_out)
    t = np.tanh(x * scale_in)
    return t * scale_out, (t, scale_in, scale_out)


@on_device(activation_kernels)
def scaled_tanh_backward(dy, cache):
    """``dx = dy * scale_in * scale_out * (1 - tanh²)``."""
    t, scale_in, scale_out = cache
    return dy * (1 - t * t) * (scale_in * scale_out)


@on_device(activation_kernels)
def sigmoid_forward(x):
    """``y = 1 / (1 + exp(-x))``, in (0, 1), without overflow for any x."""
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0, 1, e) / (1 + e)
    return y, (y,)


@on_device(activation_kernels)
def sigmoid_backward(dy, cache):
    """``dx = dy * y * (1 - y)``."""
    (y,) = cache
    return dy * y * (1 - y)


@on_device(activation_kernels)
def softplus_forward(x):
    """``y = log(1 + exp(x))``, without overflow for any x."""
    dtype = x.dtype if x.dtype.kind == "f" else None
    return np.logaddexp(0, x, dtype=dtype), (x,)


@on_device(activation_kernels)
def softplus_backward(dy, cache):
    """``dx = dy * sigmoid(x)``."""
    (x,) = cache
    return dy * sigmoid_forward(x)[0]


def softmax_forward(x):
    r"""Turn each row of ``x``, shape (N, K), into K probabilities that sum to 1.

    .. math:: y_{n,k} = e^{x_{n,k} - m_n} / \sum_j e^{x_{n,j} - m_n}

    with the row's maximum m_n taken off, so that nothing overflows.
    """
    if x.ndim != 2 or not x.shape[1]:
        raise ShapeError(
            f"softmax: expected rows (N, K) with K > 0, got shape {x.shape}.")
    if on_gpu(x):
        return loss_kernels.softmax_forward(x)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y = e / e.sum(axis=1, keepdims=True)
    return y, (y,)


@on_device(loss_kernels)
def softmax_backward(dy, cache):
    """``dx = y * (dy - sum over k of dy * y)``, row by row."""
    (y,) = cache
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


@on_device(activation_kernels)
def clipped_rectify_forward(x, ceiling=6.0):
    """``y = min(max(0, x), ceiling)``."""
    ceiling = float(ceiling)
    return np.minimum(np.maximum(x, 0), ceiling), (x, ceiling)


@on_device(activation_kernels)
def clipped_rectify_backward(dy, cache):
    """``dx = dy`` where ``0 < x < ceiling``, else 0."""
    x, ceiling = cache
    return dy * ((x > 0) & (x < ceiling))


@on_device(activation_kernels)
def hard_sigmoid_forward(x, slope=1 / 6, shift=0.5):
    """``y = slope * x + shift``, within [0, 1]."""
    slope, shift = float(slope), float(shift)
    y = np.minimum(np.maximum(x * slope + shift, 0), 1)
    return y, (y, slope)


@on_device(activation_kernels)
def hard_sigmoid_backward(dy, cache):
    """``dx = dy * slope`` where ``0 < y < 1``, else 0."""
    y, slope = cache
    return dy * ((y > 0) & (y < 1)) * slope


@on_device(activation_kernels)
def softsign_forward(x):
    """``y = x / (1 + |x|)``, in (-1, 1)."""
    return x / (1 + np.abs(x)), (x,)


@on_device(activation_kernels)
def softsign_backward(dy, cache):
    """``dx = dy / (1 + |x|)²``."""
    (x,) = cache
    return dy / (1 + np.abs(x)) ** 2
