r"""Nonlinearities that let x through by a gate of its own: ``y = x g(x)``.

The gate is 0 far below zero and 1 far above. The slope is ``g(x) + x g'(x)``, and where
that product would be infinity times zero, x is first brought to where the gate is as
open or shut as it gets.
"""

import math

import numpy as np

from ..cuda import gated as gated_kernels
from . import activation
from .dispatch import on_device

__all__ = ["swish_forward", "swish_backward", "hard_swish_forward",
           "hard_swish_backward", "gelu_forward", "gelu_backward",
           "gelu_tanh_forward", "gelu_tanh_backward", "mish_forward", "mish_backward"]

#: √(2/π) and the cube's weight: what tanh is given in GELU's approximation.
SQRT, CUBE = math.sqrt(2 / math.pi), 0.044715
#: Beyond it a gate is 0 or 1 in float64.
FAR = 40.0


@on_device(gated_kernels)
def swish_forward(x):
    """``y = x * sigmoid(x)``, also called SiLU.

    Ramachandran et al. (2017), arXiv:1710.05941.
    """
    gate, _ = activation.sigmoid_forward(x)
    return x * gate, (x, gate)


@on_device(gated_kernels)
def swish_backward(dy, cache):
    """``dx = dy * g * (1 + x * (1 - g))``."""
    x, gate = cache
    return dy * (gate * (1 + x * (1 - gate)))


@on_device(gated_kernels)
def hard_swish_forward(x):
    """``y = x * min(max(0, x + 3), 6) / 6``.

    Howard et al. (2019), "Searching for MobileNetV3", arXiv:1905.02244.
    """
    return x * (np.minimum(np.maximum(x + 3, 0), 6) / 6), (x,)


@on_device(gated_kernels)
def hard_swish_backward(dy, cache):
    """``dx = dy * (2x + 3) / 6`` where ``-3 < x < 3``, else 0 below and dy above."""
    (x,) = cache
    near = np.minimum(np.maximum(x, -3), 3)
    return dy * np.where(x <= -3, 0 * near, np.where(x >= 3, 1, (2 * near + 3) / 6))


@on_device(gated_kernels)
def gelu_forward(x):
    r"""``y = x * Φ(x)``, Φ the normal distribution: ``Φ(x) = (1 + erf(x / √2)) / 2``.

    Hendrycks & Gimpel (2016), arXiv:1606.08415.
    """
    from scipy.special import ndtr
    gate = ndtr(x)
    return x * gate, (x, gate)


@on_device(gated_kernels)
def gelu_backward(dy, cache):
    r"""``dx = dy * (Φ(x) + x exp(-x²/2) / √(2π))``."""
    x, gate = cache
    near = np.minimum(np.maximum(x, -FAR), FAR)
    density = np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
    return dy * (gate + near * density)


@on_device(gated_kernels)
def gelu_tanh_forward(x):
    """``y = x * (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2``: nearly gelu."""
    near = np.minimum(np.maximum(x, -FAR), FAR)
    t = np.tanh(SQRT * (near + CUBE * near ** 3))
    return x * ((1 + t) / 2), (near, t)


@on_device(gated_kernels)
def gelu_tanh_backward(dy, cache):
    """``dx = dy * (g + x g')``; ``g' = (1 - t²) √(2/π) (1 + 3 · 0.044715 x²) / 2``."""
    x, t = cache
    return dy * ((1 + t) / 2 + x * (1 - t * t) * (SQRT / 2) * (1 + 3 * CUBE * x * x))


@on_device(gated_kernels)
def mish_forward(x):
    """``y = x * tanh(log(1 + exp(x)))``. Misra (2019), arXiv:1908.08681."""
    gate = np.tanh(np.logaddexp(0, x, dtype=x.dtype))
    return x * gate, (x, gate)


@on_device(gated_kernels)
def mish_backward(dy, cache):
    """``dx = dy * (g + x * (1 - g²) * sigmoid(x))``."""
    x, gate = cache
    return dy * (gate + x * ((1 - gate * gate) * activation.sigmoid_forward(x)[0]))
