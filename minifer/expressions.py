"""Expressions: a loss written down before there are data.

Lasagne scripts describe what is to be computed and leave the computing to
Theano. So that they run as they are, ``get_output(network)`` without data
gives an expression, objectives accept it, ``.mean()`` and arithmetic build
on it, and :func:`minifer.function` makes it callable. Each expression is one
step forward and one back, like everything here:

>>> import numpy as np
>>> import minifer
>>> x = minifer.tensor.matrix("x")
>>> loss = (minifer.objectives.squared_error(x, 1.0)).mean()
>>> minifer.function([x], loss)(np.array([[1.0, 3.0]]))
2.0
"""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any

import numpy as np

from .device.arrays import as_array, device_of, on_gpu, to_device
from .errors import SettingError
from .ops.backpropagation import BackwardStep, walk_back

__all__ = ["Expression", "Variable", "Apply", "evaluate", "gradients", "mean_of"]


class Expression:
    """Something that can be computed once its variables are known.

    A subclass has ``inputs``, a tuple of expressions, and the pair
    ``forward(*values) -> (value, cache)`` and ``backward(dvalue, cache) ->
    (gradients of the inputs, {Param: gradient})``.
    """

    inputs = ()

    def mean(self) -> Expression:
        """The mean over all elements."""
        return Apply(_mean, _mean_backward, self)

    def sum(self) -> Expression:
        """The sum over all elements."""
        return Apply(_sum, _sum_backward, self)

    def __add__(self, other: Any) -> Expression:
        return Apply(_add, _add_backward, self, as_expression(other))

    def __mul__(self, factor: float) -> Expression:
        if not isinstance(factor, numbers.Real):
            raise SettingError(
                f"expression * factor: expected a number, got {factor!r}.")
        return Apply(_scale, _scale_backward, self, constants=(float(factor),))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Expression:
        return self * -1

    def __sub__(self, other: Any) -> Expression:
        return self + as_expression(other) * -1

    def __rsub__(self, other: Any) -> Expression:
        return -self + other

    def __truediv__(self, divisor: float) -> Expression:
        return self * (1 / divisor)

    def __float__(self) -> float:
        return float(evaluate([self], {})[self][0])


class Variable(Expression):
    """A place for data, filled when the function is called.

    Parameters
    ----------
    name : str or None
    ndim : int
        Number of axes.
    """

    def __init__(self, name: str | None = None, ndim: int | None = None):
        self.name, self.ndim = name, ndim

    def __repr__(self):
        return f"Variable({self.name!r}, ndim={self.ndim})"


class Constant(Expression):
    """A fixed value."""

    def __init__(self, value):
        self.value = value

    def forward(self):
        return self.value, ()

    def backward(self, dvalue, cache):
        return (), {}


class Apply(Expression):
    """An op, a pair of functions, applied to expressions.

    Parameters
    ----------
    op, op_backward : functions
        ``op(*values, *constants) -> (value, cache)``; ``op_backward(dvalue,
        cache)`` returns the gradient of the first value, or a tuple of one
        for each. None: the op has no gradient (an argmax, say).
    *inputs : Expression
    constants : tuple
    """

    def __init__(self, op, op_backward, *inputs, constants=()):
        self.op, self.op_backward = op, op_backward
        self.inputs, self.constants = inputs, constants
        self.moved = {}  # device -> constants, each moved there once

    def forward(self, *values):
        device = next((device_of(v) for v in values if on_gpu(v)), "cpu")
        if device == "cpu":
            return self.op(*values, *self.constants)
        if device not in self.moved:
            self.moved[device] = _moved(self.constants, device)
        return self.op(*_moved(values, device), *self.moved[device])

    def backward(self, dvalue, cache):
        if self.op_backward is None:
            return (), {}
        gradients_ = self.op_backward(dvalue, cache)
        return gradients_ if isinstance(gradients_, tuple) else (gradients_,), {}


def as_expression(value):
    """``value`` itself if it is an expression, else a constant."""
    return value if isinstance(value, Expression) else Constant(value)


def evaluate(outputs, values, standins={}):
    """Compute expressions.

    Parameters
    ----------
    outputs : list of Expression
    values : dict of Variable -> array
    standins : dict of Expression -> object, optional
        Their ``forward`` and ``backward`` are called in place of the expression's
        own: a compiled network's.

    Returns
    -------
    dict of Expression -> (value, cache)
        Every expression that was needed, in an order in which each stands
        after its inputs.
    """
    done = {}

    def visit(node):
        if node in done:
            return
        for i in node.inputs:
            visit(i)
        if isinstance(node, Variable):
            if node not in values:
                raise SettingError(
                    f"function: expected a value for the variable {node.name!r}. "
                    "List it among the function's inputs.")
            done[node] = values[node], None
        else:
            standin = standins.get(node, node)
            done[node] = standin.forward(*(done[i][0] for i in node.inputs))

    for output in outputs:
        visit(output)
    return done


def gradients(loss, done, standins={}, scale=1, keep=None):
    """Gradients of a scalar expression with respect to all parameters.

    Parameters
    ----------
    loss : Expression
    done : dict
        What :func:`evaluate` returned.
    standins : dict of Expression -> object, optional
        The same as were given there.
    scale : number, default 1
        Gradients are multiplied by it.
    keep : function, optional
        See :func:`minifer.ops.backpropagation.walk_back`.

    Returns
    -------
    dict of Param -> array
    """
    value = as_array(done[loss][0])
    if value.size != 1:
        raise SettingError(
            f"updates: expected a scalar loss, got shape {value.shape}. "
            "Take its .mean().")

    def backward(node, cache, dvalue):
        return standins.get(node, node).backward(dvalue, cache)

    steps = [BackwardStep(node, node.inputs, functools.partial(backward, node, cache))
             for node, (_, cache) in done.items() if not isinstance(node, Variable)]
    return walk_back(steps, {loss: np.full_like(value, scale)}, keep)


def mean_of(expression):
    """What an expression is the mean of, or a sum with the mean of.

    Returns
    -------
    list of Expression
        All whose gradient is 1 over the number of their elements.
    """
    if not isinstance(expression, Apply):
        return []
    if expression.op is _mean:
        return list(expression.inputs)
    if expression.op is _add:
        return [found for one in expression.inputs for found in mean_of(one)]
    return []


def _moved(values, device):
    """Arrays brought to a device; all else as it is."""
    return [to_device(v, device) if isinstance(v, np.ndarray) and v.ndim else v
            for v in values]


# The ops of plain arithmetic; all keep x's dtype.

def _mean(x):
    return x.mean(), (x.shape, x.dtype)


def _mean_backward(dy, cache):
    shape, dtype = cache
    return _filled(shape, dy / max(1, math.prod(shape)), dtype)


def _sum(x):
    return x.sum(), (x.shape, x.dtype)


def _sum_backward(dy, cache):
    shape, dtype = cache
    return _filled(shape, dy, dtype)


def _filled(shape, value, dtype):
    """An array full of one value, where that lives."""
    array = np.empty_like(value, shape=shape, dtype=dtype)
    array[...] = value
    return array


def _add(a, b):
    return a + b, (np.shape(a), np.shape(b))


def _add_backward(dy, cache):
    a_shape, b_shape = cache
    if a_shape != b_shape and a_shape != () and b_shape != ():
        raise SettingError(
            f"expressions: expected equal shapes or a number in a sum, got "
            f"{a_shape} and {b_shape}.")
    return tuple(dy if np.shape(dy) == shape else dy.sum() for shape in cache)


def _scale(x, factor):
    return x * factor, factor


def _scale_backward(dy, factor):
    return dy * factor
