"""Arithmetic, element by element, under Theano's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SettingError
from ..expressions import Apply, Expression, as_expression
from ..expressions import functions as f
from ..ops import activation

__all__ = ["abs_", "add", "and_", "arccos", "arcsin", "arctan", "cast", "ceil",
           "clip", "cos", "cosh", "eq", "exp", "expm1", "floor", "ge", "gt",
           "inv", "invert", "isinf", "isnan", "le", "log", "log10", "log1p",
           "log2", "lt", "maximum", "minimum", "mod", "mul", "neg", "neq",
           "or_", "pow", "round", "sgn", "sigmoid", "sin", "sinh", "sqr",
           "sqrt", "square", "sub", "switch", "tan", "tanh", "true_div",
           "where", "xor"]


def exp(x: Any) -> Expression:
    """e to the power of x."""
    return f.unary(np.exp, x)


def expm1(x: Any) -> Expression:
    """exp(x) - 1, exact for small x."""
    return f.unary(np.expm1, x)


def log(x: Any) -> Expression:
    """The natural logarithm."""
    return f.unary(np.log, x)


def log1p(x: Any) -> Expression:
    """log(1 + x), exact for small x."""
    return f.unary(np.log1p, x)


def log2(x: Any) -> Expression:
    """The logarithm to base 2."""
    return f.unary(np.log2, x)


def log10(x: Any) -> Expression:
    """The logarithm to base 10."""
    return f.unary(np.log10, x)


def sqr(x: Any) -> Expression:
    """x²."""
    return f.unary(np.square, x)


def sqrt(x: Any) -> Expression:
    """The square root; its slope at 0 is infinite."""
    return f.unary(np.sqrt, x)


def neg(x: Any) -> Expression:
    """-x."""
    return f.unary(np.negative, x)


def inv(x: Any) -> Expression:
    """1 / x."""
    return 1 / as_expression(x)


def abs_(x: Any) -> Expression:
    """The absolute value; its slope at 0 is taken as 0."""
    return f.unary(np.abs, x)


def sin(x: Any) -> Expression:
    """The sine."""
    return f.unary(np.sin, x)


def cos(x: Any) -> Expression:
    """The cosine."""
    return f.unary(np.cos, x)


def tan(x: Any) -> Expression:
    """The tangent."""
    return f.unary(np.tan, x)


def sinh(x: Any) -> Expression:
    """The hyperbolic sine."""
    return f.unary(np.sinh, x)


def cosh(x: Any) -> Expression:
    """The hyperbolic cosine."""
    return f.unary(np.cosh, x)


def arcsin(x: Any) -> Expression:
    """The inverse of the sine."""
    return f.unary(np.arcsin, x)


def arccos(x: Any) -> Expression:
    """The inverse of the cosine."""
    return f.unary(np.arccos, x)


def arctan(x: Any) -> Expression:
    """The inverse of the tangent."""
    return f.unary(np.arctan, x)


def sgn(x: Any) -> Expression:
    """-1, 0 or 1; no gradient."""
    return f.plain(np.sign, x)


def floor(x: Any) -> Expression:
    """The whole number below; no gradient."""
    return f.plain(np.floor, x)


def ceil(x: Any) -> Expression:
    """The whole number above; no gradient."""
    return f.plain(np.ceil, x)


def isnan(x: Any) -> Expression:
    """Whether it is NaN."""
    return f.compare(np.isnan, x)


def isinf(x: Any) -> Expression:
    """Whether it is infinite."""
    return f.compare(np.isinf, x)


def invert(x: Any) -> Expression:
    """Not x."""
    return f.logic(np.invert, x)


def add(a: Any, b: Any, *more: Any) -> Expression:
    """``a + b``, and so on for more."""
    y = f.elementwise_op("add", a, b)
    return add(y, *more) if more else y


def sub(a: Any, b: Any) -> Expression:
    """a - b."""
    return f.elementwise_op("subtract", a, b)


def mul(a: Any, b: Any, *more: Any) -> Expression:
    """``a b``, and so on for more."""
    y = f.elementwise_op("multiply", a, b)
    return mul(y, *more) if more else y


def true_div(a: Any, b: Any) -> Expression:
    """a / b."""
    return f.elementwise_op("divide", a, b)


def pow(a: Any, b: Any) -> Expression:
    """a to the power of b."""
    return f.elementwise_op("power", a, b)


def maximum(a: Any, b: Any) -> Expression:
    """The larger of both; where they are equal, the gradient goes to a."""
    return f.elementwise_op("maximum", a, b)


def minimum(a: Any, b: Any) -> Expression:
    """The smaller of both; where they are equal, the gradient goes to a."""
    return f.elementwise_op("minimum", a, b)


def eq(a: Any, b: Any) -> Expression:
    """Where ``a`` equals ``b``, as bool."""
    return f.compare(np.equal, a, b)


def neq(a: Any, b: Any) -> Expression:
    """Where ``a`` differs from ``b``, as bool."""
    return f.compare(np.not_equal, a, b)


def lt(a: Any, b: Any) -> Expression:
    """Where ``a`` is less than ``b``, as bool."""
    return f.compare(np.less, a, b)


def le(a: Any, b: Any) -> Expression:
    """Where ``a`` is at most ``b``, as bool."""
    return f.compare(np.less_equal, a, b)


def gt(a: Any, b: Any) -> Expression:
    """Where ``a`` is greater than ``b``, as bool."""
    return f.compare(np.greater, a, b)


def ge(a: Any, b: Any) -> Expression:
    """Where ``a`` is at least ``b``, as bool."""
    return f.compare(np.greater_equal, a, b)


def and_(a: Any, b: Any) -> Expression:
    """a and b."""
    return f.logic(np.bitwise_and, a, b)


def or_(a: Any, b: Any) -> Expression:
    """a or b."""
    return f.logic(np.bitwise_or, a, b)


def xor(a: Any, b: Any) -> Expression:
    """Either a or b."""
    return f.logic(np.bitwise_xor, a, b)


square = sqr


def mod(a: Any, b: Any) -> Expression:
    """What is left of a after division by b, of the sign of b."""
    return f.modulo(np.mod, a, b)


def round(x: Any, mode: str = "half_to_even") -> Expression:
    """The nearest whole number; no gradient.

    Parameters
    ----------
    mode : {'half_to_even', 'half_away_from_zero'}
    """
    if mode == "half_to_even":
        return f.plain(np.rint, x)
    if mode != "half_away_from_zero":
        raise SettingError("round: expected mode 'half_to_even' or "
                           f"'half_away_from_zero', got {mode!r}.")
    return sgn(x) * floor(abs_(x) + 0.5)


def tanh(x: Any) -> Expression:
    """The hyperbolic tangent."""
    x = as_expression(x)
    return Apply(activation.tanh_forward, activation.tanh_backward, x, ndim=x.ndim)


def sigmoid(x: Any) -> Expression:
    """``1 / (1 + exp(-x))``."""
    x = as_expression(x)
    return Apply(activation.sigmoid_forward, activation.sigmoid_backward, x,
                 ndim=x.ndim)


def cast(x: Any, dtype: Any) -> Expression:
    """The values in another dtype; ``'floatX'`` is ``minifer.config.floatX``."""
    return f.cast(x, dtype)


def clip(x: Any, min: Any, max: Any) -> Expression:
    """The values within ``[min, max]``; the gradient goes to x within and on them."""
    return f.clip(x, min, max)


def switch(cond: Any, ift: Any, iff: Any) -> Expression:
    """``ift`` where the condition holds, else ``iff``."""
    return f.elementwise_op("where", cond, ift, iff)


where = switch
