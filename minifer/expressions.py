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

import math
import numbers

import numpy as np

from . import nonlinearities
from .device.arrays import as_array, device_of, on_gpu, to_device
from .errors import SettingError
from .layers.base import Layer
from .layers.helper import forward, get_all_layers
from .layers.input import InputLayer
from .ops import activation
from .ops.outer_product import added

__all__ = ["Expression", "Variable", "Apply", "output_of", "evaluate", "gradients",
           "mean_of"]


class Expression:
    """Something that can be computed once its variables are known.

    A subclass has ``inputs``, a tuple of expressions, and the pair
    ``forward(*values) -> (value, cache)`` and ``backward(dvalue, cache) ->
    (gradients of the inputs, {Param: gradient})``.
    """

    inputs = ()

    def mean(self):
        """The mean over all elements."""
        return Apply(_mean, _mean_backward, self)

    def sum(self):
        """The sum over all elements."""
        return Apply(_sum, _sum_backward, self)

    def __add__(self, other):
        return Apply(_add, _add_backward, self, as_expression(other))

    def __mul__(self, factor):
        if not isinstance(factor, numbers.Real):
            raise SettingError(
                f"expression * factor: expected a number, got {factor!r}.")
        return Apply(_scale, _scale_backward, self, constants=(float(factor),))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + as_expression(other) * -1

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, divisor):
        return self * (1 / divisor)

    def __float__(self):
        return float(evaluate([self], {})[self][0])


class Variable(Expression):
    """A place for data, filled when the function is called.

    Parameters
    ----------
    name : str or None
    ndim : int
        Number of axes.
    """

    def __init__(self, name=None, ndim=None):
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


class NetworkRun(Expression):
    """A pass through a network; its value is the list of outputs."""

    def __init__(self, outputs, options, logits, variables):
        self.outputs, self.options, self.logits = outputs, options, logits
        self.sources = [layer for layer in get_all_layers(outputs)
                        if isinstance(layer, InputLayer)]
        for layer in self.sources:
            if layer.input_var is None and layer not in variables:
                layer.input_var = Variable(layer.name, len(layer.shape))
        self.inputs = tuple(variables.get(layer, layer.input_var)
                            for layer in self.sources)

    def forward(self, *values):
        return forward(self.outputs, dict(zip(self.sources, values)),
                       logits=self.logits, **self.options)

    def backward(self, dvalues, tape):
        dys = [np.zeros_like(tape.values[layer]) if i not in dvalues else dvalues[i]
               for i, layer in enumerate(self.outputs)]
        return (), tape.backward(dys)


class Output(Expression):
    """One output of a :class:`NetworkRun`."""

    def __init__(self, network_run, index):
        self.inputs, self.index = (network_run,), index

    def forward(self, values):
        return values[self.index], ()

    def backward(self, dvalue, cache):
        return ({self.index: dvalue},), {}


def output_of(layer_or_layers, variables, **options):
    """The output of a network as an expression; see ``layers.get_output``.

    A network that ends in softmax is run up to its logits, so that a
    cross-entropy that follows can fuse with the softmax.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    variables : dict of InputLayer -> Variable
        Those that take the place of the layers' own.
    **options
        Of the layers.

    Returns
    -------
    Expression, or a list of them for a list of layers

    Raises
    ------
    SettingError
        If it is anything but variables, or for another kind of layer.
    """
    for layer, variable in variables.items():
        if not isinstance(layer, InputLayer) or not isinstance(variable, Variable):
            raise SettingError(
                "get_output: expected arrays for any layers, or variables for "
                f"InputLayers, got {type(variable).__name__} for {layer!r}.")
    outputs = ([layer_or_layers] if isinstance(layer_or_layers, Layer)
               else list(layer_or_layers))
    ends = [getattr(layer, "nonlinearity", None) for layer in outputs]
    fuse = (len(outputs) == 1 and ends[0] is nonlinearities.softmax
            and "logits" in outputs[0].forward_options)
    network_run = NetworkRun(outputs, options, fuse, variables)
    results = [Output(network_run, i) for i in range(len(outputs))]
    if fuse:
        results = [Apply(activation.softmax_forward, activation.softmax_backward, r)
                   for r in results]
    return results[0] if isinstance(layer_or_layers, Layer) else results


def as_expression(value):
    """``value`` itself if it is an expression, else a constant."""
    return value if isinstance(value, Expression) else Constant(value)


def evaluate(outputs, values, runners={}):
    """Compute expressions.

    Parameters
    ----------
    outputs : list of Expression
    values : dict of Variable -> array
    runners : dict of Expression -> object, optional
        Stand-ins whose ``forward`` and ``backward`` are called in place of the
        expression's own: a compiled network.

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
            runner = runners.get(node, node)
            done[node] = runner.forward(*(done[i][0] for i in node.inputs))

    for output in outputs:
        visit(output)
    return done


def gradients(loss, done, runners={}):
    """Gradients of a scalar expression with respect to all parameters.

    Parameters
    ----------
    loss : Expression
    done : dict
        What :func:`evaluate` returned.
    runners : dict of Expression -> object, optional
        The same as were given there.

    Returns
    -------
    dict of Param -> array
    """
    value = as_array(done[loss][0])
    if value.size != 1:
        raise SettingError(
            f"updates: expected a scalar loss, got shape {value.shape}. "
            "Take its .mean().")
    arrived, result = {loss: np.ones_like(value)}, {}
    for node in reversed(list(done)):
        if node not in arrived or isinstance(node, Variable):
            continue
        of_inputs, of_params = runners.get(node, node).backward(
            arrived.pop(node), done[node][1])
        for i, gradient in zip(node.inputs, of_inputs):
            arrived[i] = (_sum_gradients(arrived[i], gradient) if i in arrived
                          else gradient)
        for param, gradient in of_params.items():
            result[param] = (added(result[param], gradient) if param in result
                             else gradient)
    return result


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


def _sum_gradients(a, b):
    """Add gradients; those of a NetworkRun are dicts by output."""
    if isinstance(a, dict):
        return {i: a[i] + b[i] if i in a and i in b else a.get(i, b.get(i))
                for i in {**a, **b}}
    return a + b


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
