"""Layers that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._types import Shape
from .base import Layer
from .options import count

__all__ = ["FlattenLayer", "flatten", "ReshapeLayer", "reshape"]


class FlattenLayer(Layer):
    """Merge the trailing axes, so that ``outdim`` are left.

    Parameters
    ----------
    incoming : Layer or tuple
    outdim : int >= 1, default 2
        (N, C, H, W) becomes (N, C*H*W).
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, outdim: int = 2,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.outdim = count(self, "outdim", outdim)
        if self.outdim > len(self.input_shape):
            self.fail(f"an input of at least outdim={self.outdim} axes",
                      f"input_shape={self.input_shape}")

    def get_output_shape_for(self, input_shape):
        kept, merged = input_shape[:self.outdim - 1], input_shape[self.outdim - 1:]
        return tuple(kept) + (None if None in merged else math.prod(merged),)

    def forward(self, x):
        kept = x.shape[:self.outdim - 1]
        return x.reshape(kept + (math.prod(x.shape[self.outdim - 1:]),)), (x.shape,)

    def backward(self, dy, cache):
        (shape,) = cache
        return dy.reshape(shape), {}


class ReshapeLayer(Layer):
    """Give the array another shape with as many elements.

    Parameters
    ----------
    incoming : Layer or tuple
    shape : tuple
        An int is a length, ``[i]`` copies the length of the input's axis i,
        and -1 (at most once) takes what is left: ``([0], -1)`` flattens.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, shape: Sequence[Any],
                 name: str | None = None):
        super().__init__(incoming, name)
        ndim = len(self.input_shape)
        if not isinstance(shape, (tuple, list)):
            self.fail("shape as a tuple", repr(shape))
        for part in shape:
            copies = (isinstance(part, list) and len(part) == 1
                      and isinstance(part[0], int) and 0 <= part[0] < ndim)
            if not copies and not (isinstance(part, int) and (part > 0 or part == -1)):
                self.fail("shape parts > 0, -1, or [i] with i an axis of the input",
                          repr(part))
        if list(shape).count(-1) > 1:
            self.fail("at most one -1 in shape", repr(shape))
        self.shape = tuple(shape)
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        shape = [input_shape[part[0]] if isinstance(part, list) else part
                 for part in self.shape]
        if -1 not in shape:
            known = None not in input_shape and None not in shape
            if known and math.prod(shape) != math.prod(input_shape):
                self.fail(f"a shape of {math.prod(input_shape)} elements", repr(shape))
            return tuple(shape)
        return tuple(self._rest(input_shape, shape) if n == -1 else n for n in shape)

    def _rest(self, input_shape, shape):
        """The length that -1 stands for; axes copied with [i] cancel out."""
        source, target = list(input_shape), [n for n in shape if n != -1]
        for part in self.shape:
            if isinstance(part, list) and input_shape[part[0]] in source:
                source.remove(input_shape[part[0]])
                target.remove(input_shape[part[0]])
        if None in source or None in target:
            return None
        if math.prod(source) % math.prod(target):
            self.fail(f"a shape that {math.prod(source)} elements fill",
                      repr(self.shape))
        return math.prod(source) // math.prod(target)

    def forward(self, x):
        return x.reshape(self.get_output_shape_for(x.shape)), (x.shape,)

    def backward(self, dy, cache):
        (shape,) = cache
        return dy.reshape(shape), {}


flatten = FlattenLayer
reshape = ReshapeLayer
