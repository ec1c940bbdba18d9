"""Nonlinearities ``x g(x)`` on a device; the kernels are in ``gated.cu``.

The pairs have the names, arguments and results of :mod:`minifer.ops.gated`, where their
formulas are. Every cache holds x.
"""

import numpy as np

from .loader import kernel
from .order import alike

__all__ = ["swish_forward", "swish_backward", "hard_swish_forward",
           "hard_swish_backward", "gelu_forward", "gelu_backward",
           "gelu_tanh_forward", "gelu_tanh_backward", "mish_forward", "mish_backward"]


def swish_forward(x):
    """``y = x * sigmoid(x)``."""
    return _forward("swish", x)


def swish_backward(dy, cache):
    """Gradient of :func:`swish_forward`."""
    return _backward("swish", dy, cache)


def hard_swish_forward(x):
    """``y = x * min(max(0, x + 3), 6) / 6``."""
    return _forward("hard_swish", x)


def hard_swish_backward(dy, cache):
    """Gradient of :func:`hard_swish_forward`."""
    return _backward("hard_swish", dy, cache)


def gelu_forward(x):
    """``y = x * (1 + erf(x / √2)) / 2``."""
    return _forward("gelu", x)


def gelu_backward(dy, cache):
    """Gradient of :func:`gelu_forward`."""
    return _backward("gelu", dy, cache)


def gelu_tanh_forward(x):
    """``y = x * (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2``."""
    return _forward("gelu_tanh", x)


def gelu_tanh_backward(dy, cache):
    """Gradient of :func:`gelu_tanh_forward`."""
    return _backward("gelu_tanh", dy, cache)


def mish_forward(x):
    """``y = x * tanh(log(1 + exp(x)))``."""
    return _forward("mish", x)


def mish_backward(dy, cache):
    """Gradient of :func:`mish_forward`."""
    return _backward("mish", dy, cache)


def _forward(name, x):
    (x,), shaped = alike(x)
    y = np.empty_like(x)
    kernel("gated.cu", f"{name}_forward", y)(x, y, y.size, threads=y.size)
    return shaped(y), (shaped(x),)


def _backward(name, dy, cache):
    (dy, x), shaped = alike(dy, *cache)
    dx = np.empty_like(dy)
    kernel("gated.cu", f"{name}_backward", dx)(dy, x, dx, dx.size, threads=dx.size)
    return shaped(dx)
