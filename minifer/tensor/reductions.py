"""Sums, means, extremes over axes, under Theano's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expressions import Apply, Expression, as_expression
from ..expressions import functions as f
from ..ops import reduction

__all__ = ["sum", "mean", "prod", "var", "std", "max", "min", "argmax", "argmin",
           "norm",
           "any", "all", "argsort", "cumsum"]


def sum(input: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False,
        acc_dtype: Any = None) -> Expression:
    """The sum over axes, or all elements; ``dtype`` casts first."""
    return f.sum_of(input, axis, dtype, keepdims)


def mean(input: Any, axis: Any = None, dtype: Any = None, op: bool = False,
         keepdims: bool = False, acc_dtype: Any = None) -> Expression:
    """The mean over axes, or all elements; ``dtype`` casts first."""
    return f.mean(input, axis, dtype, keepdims)


def prod(input: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False,
         acc_dtype: Any = None, no_zeros_in_input: bool = False) -> Expression:
    """The product over axes; its gradient is right where factors are 0, too."""
    return f.product(input, axis, dtype, keepdims)


def var(input: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False,
        corrected: bool = False) -> Expression:
    """The variance over axes, of n - ``ddof`` elements."""
    return f.variance(input, axis, ddof, keepdims)


def std(input: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False,
        corrected: bool = False) -> Expression:
    """The root of :func:`var`."""
    return as_expression(input).std(axis, ddof, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The largest element; the gradient goes to the first of several."""
    return as_expression(x).max(axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The smallest element; the gradient goes to the first of several."""
    return as_expression(x).min(axis, keepdims)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The place of the largest element, the first of several."""
    return as_expression(x).argmax(axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The place of the smallest element, the first of several."""
    return as_expression(x).argmin(axis, keepdims)


def norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Expression:
    """The L-norm over axes, L being ``ord``."""
    return f.norm(x, ord, axis, keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """Whether any element is not 0."""
    return Apply(_quantifier, None, as_expression(x), constants=(np.any, axis,
                                                                 keepdims))


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """Whether no element is 0."""
    return Apply(_quantifier, None, as_expression(x), constants=(np.all, axis,
                                                                 keepdims))


def argsort(x: Any, axis: int = -1) -> Expression:
    """The places of the elements in rising order, along an axis."""
    x = as_expression(x)
    return Apply(_argsort, None, x, constants=(axis,), ndim=x.ndim)


def cumsum(x: Any, axis: int | None = None) -> Expression:
    """Sums of the elements so far, along an axis."""
    x = as_expression(x)
    return Apply(reduction.cumsum_forward, reduction.cumsum_backward, x,
                 constants=(axis,), ndim=1 if axis is None else x.ndim)


def _quantifier(x, function, axis, keepdims):
    return function(x, axis=axis, keepdims=keepdims), ()


def _argsort(x, axis):
    return np.argsort(x, axis=axis), ()
