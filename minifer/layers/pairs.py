"""A function that a user hands to a layer, with its gradient.

A layer needs two halves, forward and backward. Whoever writes both hands them over as
they are; a function of minifer's expressions brings its own, since each expression
knows both; and NumPy's plain binary functions are known by name.
"""

import functools
import operator

import numpy as np

from ..errors import one_line
from ..expressions import Expression, Variable, evaluate
from ..ops import elementwise
from ..ops.backpropagation import BackwardStep, walk_back

__all__ = ["KNOWN", "Pair", "ExpressionPair", "as_pair", "differentiated",
           "name_of"]

#: Functions that stand for an op, by the op's name, under which model files keep them.
KNOWN = {np.add: "add", operator.add: "add", np.subtract: "subtract",
         operator.sub: "subtract", np.multiply: "multiply", operator.mul: "multiply",
         np.divide: "divide", operator.truediv: "divide", np.maximum: "maximum",
         np.minimum: "minimum"}

HOW = ("Use one of minifer's expressions (x * 2, minifer.tensor), or hand over a pair "
       "of functions: forward(x) returns y and a cache, backward(dy, cache) dx.")


class NoExpression(Exception):
    """What was handed over, in words, in place of a function that has a gradient."""


class Pair:
    """Two halves as they are: functions of arrays.

    Parameters
    ----------
    forward : function
        ``forward(*xs)`` returns ``y, cache``.
    backward : function
        ``backward(dy, cache)`` returns the gradient of x, or a tuple of one for each.
    """

    def __init__(self, forward, backward):
        self.forward, self._backward = forward, backward

    def backward(self, dy, cache):
        """The gradients of all xs, and of parameters: none."""
        dxs = self._backward(dy, cache)
        return (dxs if isinstance(dxs, tuple) else (dxs,)), {}


class ExpressionPair:
    """Both halves of a function that builds an expression.

    Parameters
    ----------
    function : function
        Called once, with variables; returns an expression.
    ndims : list of int
        Axes of each variable.

    Raises
    ------
    NoExpression
        If it returns anything else, or fails.
    """

    def __init__(self, function, ndims):
        self.variables = [Variable(f"x{i}", ndim, "floatX")
                          for i, ndim in enumerate(ndims)]
        self.expression = _built(function, self.variables)

    def forward(self, *xs):
        """The expression's value, and all values below it."""
        done = evaluate([self.expression], dict(zip(self.variables, xs)))
        return done[self.expression][0], done

    def backward(self, dy, cache):
        """The gradients of all xs (zeros where it does not depend on one), and those
        of parameters."""
        arrived, found = differentiated(cache, {self.expression: dy})
        return tuple(arrived[x] if x in arrived else np.zeros_like(cache[x][0])
                     for x in self.variables), found


def differentiated(done, arrived):
    """Walk back through what :func:`minifer.expressions.evaluate` returned.

    Parameters
    ----------
    done : dict of Expression -> (value, cache)
    arrived : dict of Expression -> gradient
        Where the way back begins.

    Returns
    -------
    arrived : dict
        Gradients of the variables.
    of_params : dict of Param -> gradient
    """
    def backward(node, cache, dvalue):
        return node.backward(dvalue, cache)

    steps = [BackwardStep(node, node.inputs, functools.partial(backward, node, cache))
             for node, (_, cache) in done.items() if not isinstance(node, Variable)]
    return arrived, walk_back(steps, arrived)


def as_pair(layer, option, value, ndims):
    """What a user handed to a layer, as an object with ``forward`` and ``backward``.

    Parameters
    ----------
    layer : Layer
        In whose name a value is refused.
    option : str
    value : object with both, pair of functions, function of expressions, or a name
        of :data:`KNOWN`
    ndims : list of int
        Axes of each argument.
    """
    name = name_of(value)
    if name is not None and len(ndims) == 2:
        return Pair(getattr(elementwise, f"{name}_forward"),
                    getattr(elementwise, f"{name}_backward"))
    if isinstance(value, tuple) and len(value) == 2 and all(map(callable, value)):
        return Pair(*value)
    if hasattr(value, "forward") and hasattr(value, "backward"):
        return Pair(value.forward, value.backward)
    try:
        return ExpressionPair(value, ndims)
    except NoExpression as error:
        layer.fail(f"{option} as a function with a gradient", str(error), HOW)


def name_of(value):
    """The name in :data:`KNOWN` of a function, or of a name itself; else None."""
    if isinstance(value, str):
        return value if value in KNOWN.values() else None
    try:
        return KNOWN.get(value)
    except TypeError:  # not hashable
        return None


def _built(function, variables):
    """The expression that a function makes of variables."""
    if not callable(function):
        raise NoExpression(repr(function))
    try:
        expression = function(*variables)
    except Exception as error:  # whatever the function does with what is no array
        raise NoExpression(f"one that fails on minifer's expressions "
                           f"({one_line(error).rstrip('.')})") from error
    if not isinstance(expression, Expression):
        raise NoExpression(f"one that makes {type(expression).__name__} of minifer's "
                           "expressions")
    return expression
