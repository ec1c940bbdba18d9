"""Pooling."""

from __future__ import annotations

import math

import numpy as np

from ....layers import (DimshuffleLayer, GlobalPoolLayer, MaxPool1DLayer,
                        MaxPool2DLayer, MaxPool3DLayer, Pool1DLayer, Pool2DLayer,
                        Pool3DLayer)
from .convolutions import options_of, sides

__all__ = ["TABLE"]

MAX = {1: MaxPool1DLayer, 2: MaxPool2DLayer, 3: MaxPool3DLayer}
POOLS = {1: Pool1DLayer, 2: Pool2DLayer, 3: Pool3DLayer}


class Windows:
    """The windows of a pooling node: how they lie, and what they count.

    Attributes
    ----------
    size, stride : tuple of int
    pads : list of (int, int)
        The padding before and behind each axis.
    ends : list of (int, int)
        The same, with what the last windows hang over.
    """

    def __init__(self, node, x):
        self.lengths = x.output_shape[2:]
        self.size = tuple(node.get("kernel_shape") or ())
        n = len(self.size)
        if n not in POOLS or len(x.output_shape) != n + 2:
            node.fail("a kernel_shape for one to three axes behind the channels",
                      f"{self.size} for an input {x.output_shape}")
        self.stride, dilation, _ = options_of(node, self.size)
        if set(dilation) != {1}:
            node.fail("windows without dilation", str(dilation))
        self.pads = sides(node, self.lengths, self.size, self.stride, dilation)
        self.rule = self.pads if isinstance(self.pads, str) else None
        self.ceil = bool(node.get("ceil_mode", 0)) and self.rule is None
        self.ends = list(self.pads)
        if self.ceil and None not in self.lengths:
            for axis, (length, k, s, (first, last)) in enumerate(zip(
                    self.lengths, self.size, self.stride, self.pads)):
                count = -(-(length + first + last - k) // s) + 1
                if (count - 1) * s >= length + first:
                    count -= 1  # a window that begins behind the image
                self.ends[axis] = (first, max(last, (count - 1) * s + k - length
                                              - first))
            self.ceil = False

    @property
    def plain(self):
        """Whether a pooling layer takes the padding: it is smaller than the window."""
        return not self.ceil and all(max(sides) < k for sides, k
                                     in zip(self.ends, self.size))

    def counts(self, beyond):
        """Pixels in each window; ``beyond``: with those of the padding."""
        total = np.ones(())
        for length, k, s, (first, last), (_, end) in zip(
                self.lengths, self.size, self.stride, self.pads, self.ends):
            line = np.zeros(first + length + end)
            line[first:first + length] = 1
            if beyond:
                line[:first + length + last] = 1
            starts = range(0, len(line) - k + 1, s)
            total = np.multiply.outer(total, [line[i:i + k].sum() for i in starts])
        return total


def pool(graph, node, mode):
    """The largest or the mean of each window."""
    x = graph.layer(node, 0)
    windows = Windows(node, x)
    return pooled(graph, node, x, windows, mode, graph.called(node))


def pooled(graph, node, x, windows, mode, name):
    """A pooling layer, on a border where windows hang over it or it is wide."""
    cls = MAX if mode == "max" else POOLS
    cls = cls[len(windows.size)]
    how = {} if mode == "max" else {"mode": mode}
    if windows.rule:  # of an image of no known size, too
        return cls(x, windows.size, windows.stride, windows.rule, name=name, **how)
    if windows.plain and (windows.ends == windows.pads or mode != "average_inc_pad"):
        return cls(x, windows.size, windows.stride, windows.ends, name=name, **how)
    if windows.ceil:  # of an image of no known size
        if any(map(any, windows.pads)):
            node.fail("a known image size with padding and ceil_mode",
                      str(x.output_shape))
        return cls(x, windows.size, windows.stride, 0, False, name=name, **how)
    if None in windows.lengths:
        node.fail("a known image size where sides differ", str(x.output_shape))
    value = -math.inf if mode == "max" else 0.0
    x = graph.function(node, "pad", [x], {
        "widths": [(0, 0), (0, 0), *windows.ends], "value": value})
    if mode == "max":
        return cls(x, windows.size, windows.stride, name=name)
    y = cls(x, windows.size, windows.stride, mode="average_inc_pad", name=name)
    share = math.prod(windows.size) / windows.counts(mode == "average_inc_pad")
    if (share == 1).all():
        return y
    return graph.function(node, "multiply", [y, graph.fixed(None, share)])


def max_pool(graph, node):
    """The largest of each window."""
    if node.get("storage_order", 0):
        node.fail("rows first", "storage_order=1")
    return [pool(graph, node, "max"), None]


def average_pool(graph, node):
    """The mean of each window."""
    counted = bool(node.get("count_include_pad", 0))
    return pool(graph, node, "average_inc_pad" if counted else "average_exc_pad")


def power_pool(graph, node):
    """The p-th root of the sum of powers in each window."""
    x, p = graph.layer(node, 0), node.get("p", 2)
    windows = Windows(node, x)
    powers = graph.function(node, "power", [graph.function(node, "abs", [x]),
                                            graph.fixed(None, np.float32(p))])
    windows.pads = windows.ends  # zeros add nothing, wherever they stand
    mean = pooled(graph, node, powers, windows, "average_inc_pad", None)
    total = graph.function(node, "multiply", [mean, graph.fixed(
        None, np.float32(math.prod(windows.size)))])
    return graph.function(node, "power", [total, graph.fixed(None, np.float32(1 / p))])


def global_pool(graph, node, function):
    """Each channel over all its pixels."""
    x = graph.layer(node, 0)
    y = GlobalPoolLayer(x, function, name=graph.called(node))
    more = len(x.output_shape) - 2
    return DimshuffleLayer(y, (0, 1, *"x" * more))


TABLE = {"MaxPool": max_pool, "AveragePool": average_pool, "LpPool": power_pool,
         "GlobalAveragePool": lambda graph, node: global_pool(graph, node, "mean"),
         "GlobalMaxPool": lambda graph, node: global_pool(graph, node, "max")}
