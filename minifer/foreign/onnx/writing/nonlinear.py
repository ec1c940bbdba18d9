"""Nonlinearities, and the layers that consist of one."""

from __future__ import annotations

import numpy as np

from ....expressions import named
from ....layers import (NonlinearityLayer, ParametricRectifierLayer,
                        RandomizedRectifierLayer)
from ....layers.special import OfExpressions
from ....nonlinearities import Nonlinearity, OfExpression, identity
from .expressions import write_function
from .graph import NoForm

__all__ = ["LAYERS", "activated", "channels"]

#: Name of a nonlinearity -> ONNX's operator, and its attributes from our options.
PLAIN = {
    "rectify": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}), "elu": ("Elu", {}), "softsign": ("Softsign", {}),
    "leaky_rectify": ("LeakyRelu", {"alpha": "leakiness"}),
    "selu": ("Selu", {"gamma": "scale", "alpha": "scale_neg"}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": "slope", "beta": "shift"}),
    "hard_swish": ("HardSwish", {}),
}


def activated(graph, f, x, ndim, wish=None):
    """The name of ``f(x)`` of a nonlinearity.

    Parameters
    ----------
    graph : Graph
    f : object with forward and backward
    x : str
    ndim : int
        Axes of x.
    wish : str, optional
    """
    if isinstance(f, (OfExpression, OfExpressions)):
        return write_function(graph, f.function, [x], [ndim])
    if f is identity:
        return x
    name = getattr(f, "name", None)
    if not isinstance(f, Nonlinearity) or type(f).forward is not Nonlinearity.forward:
        raise NoForm(f"a nonlinearity of minifer, got {f!r}")
    if name in PLAIN:
        kind, options = PLAIN[name]
        return graph.add(kind, x, wish=wish, **{
            theirs: float(f.options[ours]) for theirs, ours in options.items()})
    if name in OTHERS:
        return OTHERS[name](graph, x, ndim, **f.options)
    raise NoForm(f"a nonlinearity that ONNX knows, got {f!r}")


def softmax(graph, x, ndim, axis=1):
    """Softmax along an axis."""
    return graph.add("Softmax", x, axis=int(axis))


def log_softmax(graph, x, ndim, axis=1):
    """Its logarithm."""
    return graph.add("LogSoftmax", x, axis=int(axis))


def clipped(graph, x, ndim, ceiling=6.0):
    """A rectifier with a ceiling."""
    return graph.add("Clip", x, 0.0, float(ceiling))


def swish(graph, x, ndim):
    """x times its sigmoid."""
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def mish(graph, x, ndim):
    """x times tanh of its softplus."""
    return graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x)))


def gelu(graph, x, ndim):
    """x times the normal distribution, by the error function."""
    return write_function(graph, named.FUNCTIONS["gelu"], [x], [ndim])


def gelu_tanh(graph, x, ndim):
    """The same by tanh."""
    return write_function(graph, lambda x: named.FUNCTIONS["gelu"](x, True), [x],
                          [ndim])


def scaled_tanh(graph, x, ndim, scale_in=1.0, scale_out=1.0):
    """The scaled hyperbolic tangent."""
    inside = graph.add("Mul", x, float(scale_in))
    return graph.add("Mul", graph.add("Tanh", inside), float(scale_out))


OTHERS = {"softmax": softmax, "scaled_tanh": scaled_tanh, "softmax_along": softmax,
          "log_softmax": log_softmax, "clipped_rectify": clipped, "swish": swish,
          "mish": mish, "gelu": gelu, "gelu_tanh": gelu_tanh}


def nonlinearity(graph, layer, x):
    """A nonlinearity as a layer."""
    return activated(graph, layer.nonlinearity, x, len(layer.input_shape), layer.name)


def channels(graph, layer, param, turned=lambda value: value):
    """A parameter of a SharingLayer, shaped to be stretched over the input."""
    axes = tuple(axis for axis in layer.shared_axes)

    def spread(value):
        value = np.expand_dims(turned(value), axes)
        while value.ndim > 1 and value.shape[0] == 1:  # (C, 1, 1), as others write it
            value = value[0]
        return value

    return graph.param(param, spread, f".{len(layer.input_shape)}d")


def parametric_rectifier(graph, layer, x):
    """A rectifier with learnt slopes."""
    return graph.add("PRelu", x, channels(graph, layer, layer.alpha), wish=layer.name)


def randomized_rectifier(graph, layer, x):
    """In prediction the slope is the middle of its range."""
    return graph.add("LeakyRelu", x, wish=layer.name,
                     alpha=(layer.lower + layer.upper) / 2)


LAYERS = {NonlinearityLayer: nonlinearity,
          ParametricRectifierLayer: parametric_rectifier,
          RandomizedRectifierLayer: randomized_rectifier}
