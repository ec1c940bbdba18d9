"""Layers with several inputs, and those that add or multiply by a learnt number."""

from __future__ import annotations

from ....layers import (BiasLayer, ConcatLayer, ElemwiseMergeLayer, ElemwiseSumLayer,
                        ExpressionLayer, FunctionLayer, ParamLayer, ScaleLayer)
from ....layers.cropping import crop_slices
from ....layers.pairs import name_of
from ....nonlinearities import Nonlinearity
from .expressions import write_pair
from .graph import NoForm
from .nonlinear import activated, channels

__all__ = ["LAYERS"]

MERGES = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div",
          "maximum": "Max", "minimum": "Min"}


def cropped(graph, layer, xs):
    """The inputs cut to one size."""
    if layer.cropping is None:
        return xs
    shapes, cut = layer.input_shapes, []
    for axis, how in enumerate(layer.cropping):
        if how is not None and None in [shape[axis] for shape in shapes]:
            raise NoForm(f"inputs of known lengths along axis {axis}, which is cropped")
    known = [[n if n is not None else 1 for n in shape] for shape in shapes]
    for x, shape, place in zip(xs, known, crop_slices(known, layer.cropping)):
        for axis, one in enumerate(place):
            start, stop, _ = one.indices(shape[axis])
            if layer.cropping[axis] is not None and (start, stop) != (0, shape[axis]):
                x = graph.part(x, axis, start, stop)
        cut.append(x)
    return cut


def concatenated(graph, layer, xs):
    """Inputs one behind the other."""
    return graph.add("Concat", *cropped(graph, layer, xs), axis=layer.axis,
                     wish=layer.name)


def summed(graph, layer, xs):
    """The sum, each input times its coefficient."""
    xs = [x if coeff == 1 else graph.add("Mul", x, coeff)
          for x, coeff in zip(cropped(graph, layer, xs), layer.coeffs)]
    total = xs[0]
    for x in xs[1:]:
        total = graph.add("Add", total, x)
    return total


def merged(graph, layer, xs):
    """Inputs merged by a function of two, from the first to the last."""
    xs = cropped(graph, layer, xs)
    y, kind = xs[0], MERGES.get(name_of(layer.merge_function))
    for x in xs[1:]:
        y = graph.add(kind, y, x) if kind else write_pair(
            graph, layer.pair, [y, x])
    return y


def expression(graph, layer, x):
    """A function of expressions."""
    if isinstance(layer.function, Nonlinearity):
        return activated(graph, layer.function, x, len(layer.input_shape), layer.name)
    return write_pair(graph, layer.pair, [x])


def function(graph, layer, xs):
    """A function that is known by name."""
    return write_pair(graph, layer.pair, xs)


def param(graph, layer, xs):
    """A parameter alone."""
    return graph.param(layer.value)


def bias(graph, layer, x):
    """A learnt bias."""
    return x if layer.b is None else graph.add("Add", x, channels(
        graph, layer, layer.b), wish=layer.name)


def scale(graph, layer, x):
    """Learnt factors."""
    return graph.add("Mul", x, channels(graph, layer, layer.scales), wish=layer.name)


LAYERS = {ConcatLayer: concatenated, ElemwiseSumLayer: summed, BiasLayer: bias,
          ElemwiseMergeLayer: merged, ScaleLayer: scale, ExpressionLayer: expression,
          FunctionLayer: function, ParamLayer: param}
