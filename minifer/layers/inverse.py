"""A layer backwards: what turns its output into something like its input."""

from __future__ import annotations

import copy
import functools
from typing import Any

from .._types import Shape
from ..nonlinearities import Nonlinearity, identity
from ..ops.curvature import CURVATURES
from ..ops.outer_product import add_gradients
from ..ops.pool import global_pool_backward, global_pool_forward
from ..ops.pool_nd import pool_backward, pool_forward
from ..ops.unpooling import global_pool_tangent, pool_tangent
from .base import Layer, MergeLayer
from .border import PadLayer, SliceLayer
from .padding import is_even
from .pool import GlobalPoolLayer, Pool1DLayer, Pool2DLayer, Pool3DLayer
from .scaling import BiasLayer, ScaleLayer
from .shape import DimshuffleLayer, FlattenLayer, ReshapeLayer
from .special import ActivatedLayer
from .upscale import Upscale1DLayer, Upscale2DLayer, Upscale3DLayer

__all__ = ["InverseLayer"]


class InverseLayer(MergeLayer):
    """The way back through a layer, as a layer.

    It applies the derivative of ``layer`` with respect to its input: the transposed
    weights of a dense layer, the transposed convolution of a convolution, and of
    max-pooling the numbers put back where the maxima came from. Autoencoders with tied
    weights are made of it.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape as that of ``layer``.
    layer : Layer
        A dense or convolutional layer or another with a nonlinearity of minifer but
        softmax and those with a gate (swish, gelu, …), pooling, or one that reshapes,
        pads, cuts, shifts or scales. Its nonlinearity counts, too: the derivative is
        taken where the layer works.
    name : str, optional

    Notes
    -----
    ``layer`` is computed once more here, at its input.
    """

    def __init__(self, incoming: Layer | Shape, layer: Layer, *,
                 name: str | None = None):
        below = layer.input_layer if (isinstance(layer, Layer) and
                                      not isinstance(layer, MergeLayer)) else None
        super().__init__([incoming, *([] if below is None else [layer, below])], name)
        if below is None:
            self.fail("a layer with one layer below it to be inverted", repr(layer))
        self.layer = layer
        self.way_back: Any = way_back_of(layer)
        if self.way_back is None:
            self.fail("a layer whose inverse is known: dense, convolution, pooling, "
                      "reshaping, padding, cutting, bias or scale, without softmax",
                      repr(layer))
        self.get_output_shape_for(self.input_shapes)

    def get_output_shape_for(self, input_shapes):
        shape, output, below = input_shapes
        if len(shape) != len(output) or any(
                None not in (a, b) and a != b for a, b in zip(shape, output)):
            self.fail(f"an incoming layer of shape {tuple(output)}, that of "
                      f"{self.layer!r}", str(tuple(shape)))
        return tuple(below)

    def forward(self, xs):
        x, output, below = xs
        self.get_output_shape_for([x.shape, output.shape, below.shape])
        return self.way_back.forward(x, below)

    def backward(self, dy, cache):
        dx, dbelow, gradients = self.way_back.backward(dy, cache)
        return [dx, None, dbelow], gradients


class _Pooling:
    """The inverse x Mᵀ of a layer y = M(u) u, where M changes only at kinks.

    Parameters
    ----------
    forward : function
        ``forward(u)`` returns y and a cache.
    backward, tangent : functions
        Functions of an array and that cache.
    """

    def __init__(self, forward, backward, tangent):
        self.pool, self.pool_backward, self.tangent = forward, backward, tangent

    def forward(self, x, below):
        _, cache = self.pool(below)
        return self.pool_backward(x, cache), cache

    def backward(self, dy, cache):
        return self.tangent(dy, cache), None, {}


class _Linear:
    """The inverse x Aᵀ of a layer y = A u + b."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, below):
        _, cache = self.layer.forward(below)
        return self.layer.backward(x, cache)[0], x

    def backward(self, dy, x):
        # <dy, x Aᵀ> = <A dy, x>: the gradients are those of the layer at dy.
        dx, cache = _without_offset(self.layer).forward(dy)
        return dx, None, _without_offset(self.layer).backward(x, cache)[1]


class _Activated:
    """The inverse (x f'(z)) Aᵀ of a layer y = f(z), z = A u + b."""

    def __init__(self, layer, curvature):
        self.layer, self.curvature = layer, curvature

    def forward(self, x, below):
        f, linear = self.layer.nonlinearity, _linear(self.layer)
        z, linear_cache = linear.forward(below)
        _, f_cache = f.forward(z)
        dz = f.backward(x, f_cache)
        y, _ = linear.backward(dz, linear_cache)
        return y, (f, x, z, dz, linear_cache, f_cache)

    def backward(self, dy, cache):
        f, x, z, dz, linear_cache, f_cache = cache
        linear = _without_offset(_linear(self.layer))
        change, at_dy = linear.forward(dy)
        gradients = linear.backward(dz, at_dy, need_dx=False)[1]
        dx = f.backward(change, f_cache)
        if self.curvature is None:
            return dx, None, gradients
        # f' depends on z, and that on what is below.
        dbelow, of_z = _linear(self.layer).backward(
            self.curvature(z, **f.options) * x * change, linear_cache)
        for param, gradient in of_z.items():
            gradients[param] = (add_gradients(gradients[param], gradient)
                                if param in gradients else gradient)
        return dx, dbelow, gradients


@functools.singledispatch
def way_back_of(layer):
    """The two halves of a layer's inverse, or None where it has none."""
    return None


@way_back_of.register
def _(layer: ActivatedLayer):
    f = layer.nonlinearity
    if not _is_as_written(layer) or getattr(f, "name", None) not in CURVATURES or (
            not isinstance(f, Nonlinearity)):
        return None
    return _Activated(layer, CURVATURES[f.name])


@way_back_of.register(FlattenLayer)
@way_back_of.register(ReshapeLayer)
@way_back_of.register(DimshuffleLayer)
@way_back_of.register(PadLayer)
@way_back_of.register(SliceLayer)
@way_back_of.register(BiasLayer)
@way_back_of.register(ScaleLayer)
@way_back_of.register(Upscale1DLayer)
@way_back_of.register(Upscale2DLayer)
@way_back_of.register(Upscale3DLayer)
def _(layer):
    return _Linear(layer) if _is_as_written(layer) else None


@way_back_of.register(Pool1DLayer)
@way_back_of.register(Pool2DLayer)
@way_back_of.register(Pool3DLayer)
def _(layer):
    pool = functools.partial(
        pool_forward, pool_size=layer.pool_size, stride=layer.stride, pad=layer.pad,
        ignore_border=layer.ignore_border, mode=layer.mode)
    return _Pooling(pool, pool_backward, pool_tangent) if (
        _is_as_written(layer) and is_even(layer.pad)) else None


@way_back_of.register
def _(layer: GlobalPoolLayer):
    pool = functools.partial(global_pool_forward, mode=layer.pool_function)
    return _Pooling(pool, global_pool_backward, global_pool_tangent) if (
        _is_as_written(layer)) else None


def _is_as_written(layer):
    """Whether a layer's mathematics is that of minifer's own class."""
    cls = type(layer)
    methods = [cls.forward, getattr(cls, "linear_forward", cls.forward)]
    return cls.forward is cls.written.forward and all(
        method.__module__.startswith("minifer.") for method in methods)


def _linear(layer):
    """A layer of the same parameters without its nonlinearity."""
    linear = copy.copy(layer)
    linear.nonlinearity = identity
    return linear


def _without_offset(layer):
    """A layer of the same parameters that adds nothing: neither bias nor border."""
    linear = copy.copy(layer)
    for offset, nothing in (("b", None), ("val", 0.0)):
        if hasattr(linear, offset):
            setattr(linear, offset, nothing)
    return linear
