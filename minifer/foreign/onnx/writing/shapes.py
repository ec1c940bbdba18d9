"""Layers that change the shape, add a border, or take a part; and those that only
work while training."""

from __future__ import annotations

from ....layers import (DimshuffleLayer, DropoutLayer, FlattenLayer, GaussianNoiseLayer,
                        PadLayer, ReshapeLayer, SliceLayer)

__all__ = ["LAYERS"]

#: Beyond the end of any axis.
FAR = (1 << 62)


def same(graph, layer, x):
    """Nothing: dropout and noise are for training."""
    return x


def flatten(graph, layer, x):
    """The last axes as one."""
    if layer.outdim == 2 and len(layer.input_shape) > 1:
        return graph.add("Flatten", x, axis=1, wish=layer.name)
    return graph.reshape(x, layer.input_shape, layer.output_shape, layer.name)


def reshape(graph, layer, x):
    """Another shape."""
    return graph.reshape(x, layer.input_shape, layer.output_shape, layer.name)


def dimshuffle(graph, layer, x):
    """Axes left out, put in another order, added."""
    dropped = [axis for axis in range(len(layer.input_shape))
               if axis not in layer.order]
    if dropped:
        x = graph.add("Squeeze", x, dropped)
    kept = sorted(layer.order)
    order = [kept.index(axis) for axis in layer.order]
    if order != sorted(order):
        x = graph.add("Transpose", x, perm=order)
    new = [place for place, axis in enumerate(layer.pattern) if axis == "x"]
    return graph.add("Unsqueeze", x, new) if new else x


def pad(graph, layer, x):
    """A border of one value."""
    sides = [first for first, _ in layer.widths] + [last for _, last in layer.widths]
    return graph.add("Pad", x, sides, float(layer.val), wish=layer.name)


def part(graph, layer, x):
    """A part of one axis."""
    axis = layer.axis % len(layer.input_shape)
    if not isinstance(layer.indices, slice):
        return graph.add("Gather", x, int(layer.indices), axis=axis, wish=layer.name)
    step = 1 if layer.indices.step is None else layer.indices.step
    ends = (0, FAR) if step > 0 else (FAR, -FAR)
    start, stop = (end if given is None else given for end, given
                   in zip(ends, (layer.indices.start, layer.indices.stop)))
    return graph.part(x, axis, start, stop, step)


LAYERS = {DropoutLayer: same, GaussianNoiseLayer: same, FlattenLayer: flatten,
          ReshapeLayer: reshape, DimshuffleLayer: dimshuffle, PadLayer: pad,
          SliceLayer: part}
