"""Layers that pool across channels."""

from __future__ import annotations

from collections.abc import Callable

from .._types import Shape
from ..ops.feature_pool import (feature_pool_backward, feature_pool_forward,
                                winner_backward, winner_forward)
from .base import Layer
from .options import count
from .pool import pool_function_name

__all__ = ["FeaturePoolLayer", "FeatureWTALayer"]


class FeaturePoolLayer(Layer):
    """The largest (or mean, or sum) of each group of neighbouring channels: maxout.

    Goodfellow et al. (2013), "Maxout networks".

    Parameters
    ----------
    incoming : Layer or tuple
    pool_size : int >= 1
        Channels of a group; divides their number.
    axis : int, default 1
        The axis to pool along, not the batch.
    pool_function : {'max', 'mean', 'sum'} or function, default 'max'
        As in :class:`~minifer.layers.pool.GlobalPoolLayer`.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pool_size: int, axis: int = 1,
                 pool_function: str | Callable = "max", *, name: str | None = None):
        super().__init__(incoming, name)
        self.pool_size, self.axis = _groups(self, pool_size, axis)
        self.pool_function = pool_function_name(self, pool_function)

    def get_output_shape_for(self, input_shape):
        shape = list(input_shape)
        if shape[self.axis] is not None:
            shape[self.axis] //= self.pool_size
        return tuple(shape)

    def forward(self, x):
        return feature_pool_forward(x, self.pool_size, self.axis, self.pool_function)

    def backward(self, dy, cache):
        return feature_pool_backward(dy, cache), {}


class FeatureWTALayer(Layer):
    """The winner takes all: 0 for all but the largest of each group of channels.

    Among equals the first wins.

    Parameters
    ----------
    incoming : Layer or tuple
    pool_size : int >= 1
        Channels of a group; divides their number.
    axis : int, default 1
        The axis along which groups lie, not the batch.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pool_size: int, axis: int = 1, *,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.pool_size, self.axis = _groups(self, pool_size, axis)

    def forward(self, x):
        return winner_forward(x, self.pool_size, self.axis)

    def backward(self, dy, cache):
        return winner_backward(dy, cache), {}


def _groups(layer, pool_size, axis):
    """``pool_size`` and the axis, counted from the front, once they are right."""
    pool_size, ndim = count(layer, "pool_size", pool_size), len(layer.input_shape)
    if not isinstance(axis, int) or not 1 <= axis % ndim or not -ndim < axis < ndim:
        layer.fail(f"axis from 1 to {ndim - 1}", repr(axis))
    length = layer.input_shape[axis]
    if length is None or length % pool_size:
        layer.fail(f"a multiple of pool_size={pool_size} along axis {axis}",
                   f"input_shape={layer.input_shape}")
    return pool_size, axis % ndim
