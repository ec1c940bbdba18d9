"""Layers that add a border, or take a part."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .._types import Shape
from .base import Layer
from .options import number

__all__ = ["PadLayer", "pad", "SliceLayer"]


class PadLayer(Layer):
    """Put a border of one value around the input.

    Parameters
    ----------
    incoming : Layer or tuple
    width : int, or a tuple of int or of (int, int)
        Elements added at the beginning and the end of each axis behind the first
        ``batch_ndim``. A tuple has an entry for each of these axes, and where it is
        shorter, the last ones get no border.
    val : float, default 0
        What stands in the border.
    batch_ndim : int >= 0, default 2
        So many axes have no border: the images and their channels.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, width: Any, val: float = 0,
                 batch_ndim: int = 2, *, name: str | None = None):
        super().__init__(incoming, name)
        ndim = len(self.input_shape)
        if not _is_width(batch_ndim) or batch_ndim > ndim:
            self.fail(f"batch_ndim as a number of axes, 0 to {ndim}", repr(batch_ndim))
        self.batch_ndim, self.val = int(batch_ndim), number(self, "val", val)
        padded = ndim - self.batch_ndim
        each = list(width) if isinstance(width, (tuple, list)) else [width] * padded
        each = [tuple(w) if isinstance(w, (tuple, list)) else (w, w) for w in each]
        if len(each) > padded or any(
                len(w) != 2 or not all(map(_is_width, w)) for w in each):
            self.fail(f"width as a whole number >= 0, or one or a pair for each of "
                      f"{padded} axes", repr(width))
        self.width = width
        rest = ((0, 0),) * (padded - len(each))
        self.widths = ((0, 0),) * self.batch_ndim + tuple(
            (int(left), int(right)) for left, right in each) + rest

    def get_output_shape_for(self, input_shape):
        _check_axes(self, input_shape)
        return tuple(None if n is None else n + left + right
                     for n, (left, right) in zip(input_shape, self.widths))

    def forward(self, x):
        _check_axes(self, x.shape)
        return np.pad(x, self.widths, constant_values=self.val), (x.shape,)

    def backward(self, dy, cache):
        (shape,) = cache
        return dy[tuple(slice(left, left + n)
                        for n, (left, _) in zip(shape, self.widths))], {}


class SliceLayer(Layer):
    """Take a part of one axis.

    Parameters
    ----------
    incoming : Layer or tuple
    indices : int or slice
        ``slice(1, None)`` takes all but the first; an int takes a single element, and
        the axis is gone.
    axis : int, default -1
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, indices: int | slice, axis: int = -1, *,
                 name: str | None = None):
        super().__init__(incoming, name)
        ndim = len(self.input_shape)
        if not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim:
            self.fail(f"axis among the {ndim} of the input", repr(axis))
        bounds = ((indices.start, indices.stop, indices.step)
                  if isinstance(indices, slice) else (indices,))
        if bounds == (None,) or bounds[2:] == (0,) or any(
                n is not None and not isinstance(n, numbers.Integral) for n in bounds):
            self.fail("indices as a whole number or a slice of whole numbers",
                      repr(indices))
        self.indices, self.axis = indices, int(axis)
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        _check_axes(self, input_shape)
        axis, shape = self.axis % len(input_shape), list(input_shape)
        length = shape.pop(axis)
        if not isinstance(self.indices, slice):
            if length is not None and not -length <= self.indices < length:
                self.fail(f"indices within an axis of {length}", repr(self.indices))
            return tuple(shape)
        taken = length and len(range(*self.indices.indices(length)))
        if taken == 0 and length:
            self.fail(f"indices that take something of an axis of {length}",
                      repr(self.indices))
        shape.insert(axis, taken)
        return tuple(shape)

    def forward(self, x):
        self.get_output_shape_for(x.shape)
        place = (slice(None),) * (self.axis % x.ndim) + (self.indices,)
        return x[place], (x.shape, place)

    def backward(self, dy, cache):
        shape, place = cache
        dx = np.zeros_like(dy, shape=shape)
        dx[place] = dy
        return dx, {}


pad = PadLayer


def _is_width(value):
    return (isinstance(value, numbers.Integral) and not isinstance(value, bool)
            and value >= 0)


def _check_axes(layer, shape):
    """Fail unless a shape has as many axes as the layer was made for."""
    if len(shape) != len(layer.input_shape):
        layer.fail(f"an input of {len(layer.input_shape)} axes", str(tuple(shape)))
