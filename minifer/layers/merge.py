"""Layers with several inputs."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Shape
from .base import Layer, MergeLayer
from .cropping import BEGINS, autocrop_array_shapes, crop_slices
from .pairs import as_pair

__all__ = ["ConcatLayer", "concat", "ElemwiseMergeLayer", "ElemwiseSumLayer"]


class _CroppingLayer(MergeLayer):
    """Base of merging layers that may cut their inputs to one size first."""

    cropping: list[str | None] | None = None

    def cropped_shapes(self, input_shapes):
        """The shapes that the inputs have once they are cut."""
        if len({len(shape) for shape in input_shapes}) > 1:
            self.fail("inputs of one shape", ", ".join(map(str, input_shapes)))
        return autocrop_array_shapes(input_shapes, self.cropping)

    def crop(self, xs):
        """The inputs as they are merged."""
        if self.cropping is None:
            return xs
        return [x[place] for x, place
                in zip(xs, crop_slices([x.shape for x in xs], self.cropping))]

    def uncrop(self, dxs, shapes):
        """Gradients of the whole inputs: 0 where they were cut off."""
        if self.cropping is None:
            return dxs
        return [_placed(dx, shape, place) for dx, shape, place
                in zip(dxs, shapes, crop_slices(shapes, self.cropping))]


class ConcatLayer(_CroppingLayer):
    """Put the inputs one behind the other along an axis.

    Parameters
    ----------
    incomings : list of Layer or tuple
        Shapes that agree in every other axis, once they are cut.
    axis : int, default 1
    cropping : list, optional
        How each axis is cut to that of the shortest input, see
        :func:`minifer.layers.autocrop`; never along ``axis``.
    name : str, optional
    """

    def __init__(self, incomings: Sequence[Layer | Shape], axis: int = 1,
                 cropping: Sequence[str | None] | None = None, *,
                 name: str | None = None):
        super().__init__(incomings, name)
        ndim = len(self.input_shapes[0])
        if not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim:
            self.fail(f"axis among the {ndim} of the inputs", repr(axis))
        self.axis = int(axis) % ndim
        self.cropping = _cropping(self, cropping, uncut=self.axis)
        self.get_output_shape_for(self.input_shapes)

    def get_output_shape_for(self, input_shapes):
        input_shapes = self.cropped_shapes(input_shapes)
        _check_equal(self, input_shapes, skip=self.axis)
        lengths = [shape[self.axis] for shape in input_shapes]
        shape = _common_shape(input_shapes)
        shape[self.axis] = None if None in lengths else sum(lengths)
        return tuple(shape)

    def forward(self, xs):
        self.get_output_shape_for([x.shape for x in xs])
        shapes, xs = [x.shape for x in xs], self.crop(xs)
        ends = list(itertools.accumulate(x.shape[self.axis] for x in xs))
        return np.concatenate(xs, axis=self.axis), (ends, shapes)

    def backward(self, dy, cache):
        ends, shapes = cache
        return self.uncrop(np.split(dy, ends[:-1], axis=self.axis), shapes), {}


class ElemwiseMergeLayer(_CroppingLayer):
    """Merge the inputs by a function of two, from the first to the last.

    Parameters
    ----------
    incomings : list of Layer or tuple
        All of one shape, once they are cut. An axis of length 1 counts as often as that
        of the others is long.
    merge_function : function or pair
        ``numpy.add``, ``subtract``, ``multiply``, ``divide``, ``maximum`` or
        ``minimum``; a function of two of minifer's expressions; or what has a forward
        and a backward: ``forward(a, b)`` returns ``y, cache`` and
        ``backward(dy, cache)`` returns ``da, db``.
    cropping : list, optional
        See :func:`minifer.layers.autocrop`.
    name : str, optional

    Notes
    -----
    Where both are equal, the first of them learns from a maximum or minimum.
    """

    def __init__(self, incomings: Sequence[Layer | Shape], merge_function: Any,
                 cropping: Sequence[str | None] | None = None, *,
                 name: str | None = None):
        super().__init__(incomings, name)
        self.cropping = _cropping(self, cropping)
        self.merge_function = merge_function
        self.pair: Any = as_pair(self, "merge_function", merge_function,
                                 [len(self.input_shapes[0])] * 2)
        self.get_output_shape_for(self.input_shapes)

    def get_output_shape_for(self, input_shapes):
        input_shapes = self.cropped_shapes(input_shapes)
        shape = []
        for lengths in zip(*input_shapes):
            longer = {n for n in lengths if n != 1} or {1}  # 1 takes the others' length
            known = longer - {None}
            if len(known) > 1:
                self.fail("inputs of one shape", ", ".join(map(str, input_shapes)))
            shape.append(known.pop() if known else None)
        return tuple(shape)

    def forward(self, xs):
        self.get_output_shape_for([x.shape for x in xs])
        shapes, xs = [x.shape for x in xs], self.crop(xs)
        y, caches = xs[0], []
        for x in xs[1:]:
            y, cache = self.pair.forward(*_of_one_shape(y, x))
            caches.append(cache)
        if len(xs) == 1:
            y = y.copy()
        return y, (caches, shapes, [x.shape for x in xs])

    def backward(self, dy, cache):
        caches, shapes, cropped = cache
        dxs, gradients = [], {}
        for one in reversed(caches):
            (dy, dx), found = self.pair.backward(dy, one)
            dxs.append(dx)
            for param, gradient in found.items():
                gradients[param] = gradients.get(param, 0) + gradient
        dxs = [_summed(dx, to) for dx, to in zip([dy, *reversed(dxs)], cropped)]
        return self.uncrop(dxs, shapes), gradients


class ElemwiseSumLayer(ElemwiseMergeLayer):
    """Add the inputs, each times its coefficient.

    Parameters
    ----------
    incomings : list of Layer or tuple
        As for :class:`ElemwiseMergeLayer`.
    coeffs : number or list of numbers, default 1
    cropping : list, optional
        See :func:`minifer.layers.autocrop`.
    name : str, optional
    """

    def __init__(self, incomings: Sequence[Layer | Shape],
                 coeffs: float | Sequence[float] = 1,
                 cropping: Sequence[str | None] | None = None, *,
                 name: str | None = None):
        super().__init__(incomings, np.add, cropping, name=name)
        many = isinstance(coeffs, (list, tuple))
        n = len(self.input_shapes)
        coeffs = list(coeffs) if many else [coeffs] * n  # type: ignore
        if not all(isinstance(c, numbers.Real) for c in coeffs):
            self.fail("coefficients as numbers", repr(coeffs))
        self.coeffs = [float(c) for c in coeffs]  # NumPy's would widen float32
        if len(self.coeffs) != len(self.input_shapes):
            self.fail(f"one coefficient for each of the {len(self.input_shapes)} "
                      "inputs", repr(coeffs))

    def forward(self, xs):
        shape = self.get_output_shape_for([x.shape for x in xs])
        shapes, xs = [x.shape for x in xs], self.crop(xs)
        y = np.broadcast_to(xs[0], shape) * self.coeffs[0]
        for x, coeff in zip(xs[1:], self.coeffs[1:]):
            y += x * coeff
        return y, (shapes, [x.shape for x in xs])

    def backward(self, dy, cache):
        shapes, cropped = cache
        return self.uncrop([_summed(dy, shape) * coeff for shape, coeff
                            in zip(cropped, self.coeffs)], shapes), {}


concat = ConcatLayer


def _cropping(layer, cropping, uncut=None):
    """A list of what happens to each axis, or None if nothing does."""
    if cropping is None:
        return None
    ndim = len(layer.input_shapes[0])
    if not isinstance(cropping, (list, tuple)) or len(cropping) > ndim or any(
            how is not None and how not in BEGINS for how in cropping):
        layer.fail(f"cropping as a list of None, 'lower', 'center' and 'upper' for up "
                   f"to {ndim} axes", repr(cropping))
    each = list(cropping) + [None] * (ndim - len(cropping))
    if uncut is not None:
        each[uncut] = None
    return each


def _of_one_shape(*xs):
    """Arrays as long as the longest along axes of 1."""
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    return [x if x.shape == shape else np.broadcast_to(x, shape) for x in xs]


def _summed(dy, shape):
    """The gradient of an array that had another shape, with axes of 1."""
    axes = tuple(axis for axis, (n, of) in enumerate(zip(shape, dy.shape)) if n != of)
    return dy.sum(axis=axes, keepdims=True) if axes else dy


def _placed(dx, shape, place):
    whole = np.zeros_like(dx, shape=shape)
    whole[place] = dx
    return whole


def _check_equal(layer, shapes, skip=None):
    """Fail unless the shapes agree wherever both are known, but for axis ``skip``."""
    for shape in shapes[1:]:
        differ = len(shape) != len(shapes[0]) or any(
            a is not None and b is not None and a != b
            for axis, (a, b) in enumerate(zip(shapes[0], shape)) if axis != skip)
        if differ:
            layer.fail("inputs of one shape" + ("" if skip is None else
                                                f" but for axis {skip}"),
                       ", ".join(map(str, shapes)))


def _common_shape(shapes):
    """Axis by axis, the first length that is known."""
    return [next((n for n in lengths if n is not None), None)
            for lengths in zip(*shapes)]
