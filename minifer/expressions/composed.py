"""Nonlinearities that are made of other functions, element by element.

>>> from minifer.expressions import Variable
>>> x = Variable("x", ndim=1)
>>> celu(x).eval({x: np.array([-1.0, 0.5])}).round(3)
array([-0.632,  0.5  ])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import activation, elementwise
from . import functions as f
from .base import Apply, Expression, as_expression

__all__ = ["activation_of", "gelu", "hard_sigmoid", "swish", "hard_swish", "mish",
           "softsign", "celu", "shrink", "thresholded", "clip", "modulo", "where",
           "isinf"]


def activation_of(name: str) -> Any:
    """A nonlinearity that has an op of its own, as a function of expressions."""
    def build(x):
        x = as_expression(x)
        return Apply(getattr(activation, f"{name}_forward"),
                     getattr(activation, f"{name}_backward"), x, ndim=x.ndim)

    return build


tanh = activation_of("tanh")


def gelu(x: Any, approximate: bool = False) -> Expression:
    """``x Φ(x)``, by the error function or by tanh (Hendrycks & Gimpel 2016)."""
    x = as_expression(x)
    if approximate:
        inner = float(np.sqrt(2 / np.pi)) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + tanh(inner))
    return 0.5 * x * (1 + f.unary(elementwise.erf, x * float(np.sqrt(0.5))))


def hard_sigmoid(x: Any, slope: float = 0.2, shift: float = 0.5) -> Expression:
    """``slope x + shift``, within [0, 1]."""
    return f.clip(slope * as_expression(x) + shift, 0.0, 1.0)


def swish(x: Any, steepness: float = 1.0) -> Expression:
    """``x sigmoid(steepness x)``."""
    x = as_expression(x)
    return x * activation_of("sigmoid")(steepness * x)


def hard_swish(x: Any) -> Expression:
    """``x`` times its hard sigmoid of slope 1/6."""
    return as_expression(x) * hard_sigmoid(x, 1 / 6)


def mish(x: Any) -> Expression:
    """``x tanh(softplus(x))`` (Misra 2019)."""
    return as_expression(x) * tanh(activation_of("softplus")(x))


def softsign(x: Any) -> Expression:
    """``x / (1 + |x|)``."""
    x = as_expression(x)
    return x / (1.0 + abs(x))


def celu(x: Any, alpha: float = 1.0) -> Expression:
    """``x`` where positive, else ``alpha (exp(x / alpha) - 1)`` (Barron 2017)."""
    x = as_expression(x)
    below = alpha * f.unary(np.expm1, f.elementwise_op("minimum", x, 0.0) / alpha)
    return f.elementwise_op("maximum", x, 0.0) + below


def shrink(x: Any, edge: float = 0.5, shift: float = 0.0) -> Expression:
    """0 within ``[-edge, edge]``, else ``x`` moved towards 0 by ``shift``."""
    x = as_expression(x)
    return f.elementwise_op("where", x < -edge, x + shift, f.elementwise_op(
        "where", x > edge, x - shift, 0.0 * x))


def thresholded(x: Any, edge: float = 1.0) -> Expression:
    """``x`` above ``edge``, else 0."""
    x = as_expression(x)
    return f.elementwise_op("where", x > edge, x, 0.0 * x)


def clip(x: Any, low: Any = None, high: Any = None) -> Expression:
    """``x`` within bounds, of which one or both may be missing."""
    x = as_expression(x)
    x = x if low is None else f.elementwise_op("maximum", x, low)
    return x if high is None else f.elementwise_op("minimum", x, high)


def modulo(a: Any, b: Any, truncated: bool = False) -> Expression:
    """What division leaves, of the sign of b, or of a where truncated."""
    return f.modulo(np.fmod if truncated else np.mod, a, b)


def where(condition: Any, a: Any, b: Any) -> Expression:
    """a where the condition holds, else b."""
    return f.elementwise_op("where", condition, a, b)


def isinf(x: Any, negative: bool = True, positive: bool = True) -> Expression:
    """Where x is infinite, of the signs that count."""
    if negative and positive:
        return f.compare(np.isinf, x)
    bound = -np.inf if negative else np.inf if positive else np.nan
    return f.compare(np.equal, x, bound)
