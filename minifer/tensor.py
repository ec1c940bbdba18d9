"""The few names of ``theano.tensor`` that Lasagne's training scripts use.

With ``import minifer.tensor as T`` such a script runs as it is; see the table
"coming from Lasagne" in the README.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .expressions import Apply, Expression, Variable, as_expression

__all__ = ["vector", "matrix", "tensor3", "tensor4", "ivector", "lvector",
           "mean", "sum", "eq", "argmax"]


def vector(name: str | None = None) -> Variable:
    """A variable for a float array (N,)."""
    return Variable(name, 1)


def matrix(name: str | None = None) -> Variable:
    """A variable for a float array (N, K)."""
    return Variable(name, 2)


def tensor3(name: str | None = None) -> Variable:
    """A variable for a float array of 3 axes."""
    return Variable(name, 3)


def tensor4(name: str | None = None) -> Variable:
    """A variable for images, a float array (N, C, H, W)."""
    return Variable(name, 4)


def ivector(name: str | None = None) -> Variable:
    """A variable for class numbers, an int array (N,)."""
    return Variable(name, 1)


lvector = ivector


def mean(x: Any, dtype: Any = None) -> Any:
    """The mean of ``x`` over all elements; ``dtype`` casts it first."""
    if dtype is None:
        return x.mean()
    return Apply(_cast, None, x, constants=(dtype,)).mean()


def sum(x: Any) -> Any:
    """The sum of ``x`` over all elements."""
    return x.sum()


def eq(a: Any, b: Any) -> Expression:
    """Where ``a`` equals ``b``, as bool."""
    return Apply(_eq, None, as_expression(a), as_expression(b))


def argmax(x: Any, axis: int) -> Expression:
    """The place of the largest element along ``axis``."""
    return Apply(_argmax, None, as_expression(x), constants=(axis,))


def _cast(x, dtype):
    return x.astype(dtype), ()


def _eq(a, b):
    return np.equal(a, b), ()


def _argmax(x, axis):
    return x.argmax(axis=axis), ()
