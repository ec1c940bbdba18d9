"""Layers that add a learnt number to each channel, or multiply by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init
from .._types import Shape
from .base import Layer
from .options import shared
from .param import Param, Spec

__all__ = ["BiasLayer", "ScaleLayer", "standardize"]


class SharingLayer(Layer):
    """Base of layers with a number for each channel, shared along all other axes.

    Parameters
    ----------
    incoming : Layer or tuple
    shared_axes : 'auto', 'all', int or tuple of int
        Axes along which a number is the same.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, shared_axes: Any,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.shared_axes = shared(self, shared_axes)

    def add_shared(self, spec, name, **tags):
        """Create a parameter of the input's shape without the shared axes."""
        shape = tuple(n for axis, n in enumerate(self.input_shape)
                      if axis not in self.shared_axes)
        if None in shape:
            self.fail("known lengths of all axes that are not shared",
                      f"input_shape={self.input_shape}, "
                      f"shared_axes={self.shared_axes}")
        return self.add_param(spec, shape, name, **tags)

    def get_output_shape_for(self, input_shape):
        mine = self.input_shape
        if len(input_shape) != len(mine) or any(
                None not in (a, b) and a != b for axis, (a, b)
                in enumerate(zip(input_shape, mine)) if axis not in self.shared_axes):
            self.fail(f"an input of shape {mine}", str(tuple(input_shape)))
        return tuple(input_shape)

    def spread(self, param, x):
        """A parameter with axes of length 1 where it is shared, of x's type."""
        self.get_output_shape_for(x.shape)
        return np.expand_dims(param.value.astype(x.dtype, copy=False),
                              self.shared_axes)


class BiasLayer(SharingLayer):
    """Add a learnt bias.

    Parameters
    ----------
    incoming : Layer or tuple
    b : Param, array, initialiser or None, default Constant(0)
        Values of the input's shape without ``shared_axes``. None adds nothing.
    shared_axes : 'auto', int or tuple of int, default 'auto'
        Axes along which the bias is the same; 'auto' is all but the second.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, b: Spec | None = init.Constant(0),
                 shared_axes: str | int | Sequence[int] = "auto", *,
                 name: str | None = None):
        super().__init__(incoming, shared_axes, name)
        self.b = None if b is None else self.add_shared(b, "b", regularizable=False)

    def forward(self, x):
        return (x if self.b is None else x + self.spread(self.b, x)), ()

    def backward(self, dy, cache):
        if self.b is None:
            return dy, {}
        return dy, {self.b: dy.sum(axis=self.shared_axes)}


class ScaleLayer(SharingLayer):
    """Multiply by learnt factors.

    Parameters
    ----------
    incoming : Layer or tuple
    scales : Param, array or initialiser, default Constant(1)
        Values of the input's shape without ``shared_axes``.
    shared_axes : 'auto', int or tuple of int, default 'auto'
        Axes along which the factor is the same; 'auto' is all but the second.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, scales: Spec = init.Constant(1),
                 shared_axes: str | int | Sequence[int] = "auto", *,
                 name: str | None = None):
        super().__init__(incoming, shared_axes, name)
        self.scales = self.add_shared(scales, "scales", regularizable=False)

    def forward(self, x):
        scales = self.spread(self.scales, x)
        return x * scales, (x, scales)

    def backward(self, dy, cache):
        x, scales = cache
        return dy * scales, {self.scales: (dy * x).sum(axis=self.shared_axes)}


def standardize(layer: Any, offset: Any, scale: Any,
                shared_axes: str | int | Sequence[int] = "auto") -> Layer:
    """Subtract a fixed offset and divide by a fixed scale: those of the training data.

    Parameters
    ----------
    layer : Layer or tuple
    offset, scale : array or Param
        Values of the layer's shape without ``shared_axes``. They are not trained.
    shared_axes : 'auto', int or tuple of int, default 'auto'
        As for :class:`BiasLayer`.

    Returns
    -------
    ScaleLayer
        On top of a :class:`BiasLayer`.
    """
    offset, scale = (one.get_value() if isinstance(one, Param) else np.asarray(one)
                     for one in (offset, scale))
    shifted = BiasLayer(layer, -offset, shared_axes)
    scaled = ScaleLayer(shifted, 1 / scale, shared_axes)
    for one in (shifted, scaled):
        for tags in one.params.values():
            tags.discard("trainable")
    return scaled
