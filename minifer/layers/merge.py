"""Layers with several inputs."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence

import numpy as np

from .._types import Shape
from .base import Layer, MergeLayer

__all__ = ["ConcatLayer", "concat", "ElemwiseSumLayer"]


class ConcatLayer(MergeLayer):
    """Put the inputs one behind the other along an axis.

    Parameters
    ----------
    incomings : list of Layer or tuple
        Shapes that agree in every other axis.
    axis : int, default 1
    name : str, optional
    """

    def __init__(self, incomings: Sequence[Layer | Shape], axis: int = 1,
                 name: str | None = None):
        super().__init__(incomings, name)
        ndim = len(self.input_shapes[0])
        if not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim:
            self.fail(f"axis among the {ndim} of the inputs", repr(axis))
        self.axis = axis % ndim
        _check_equal(self, self.input_shapes, skip=self.axis)

    def get_output_shape_for(self, input_shapes):
        lengths = [shape[self.axis] for shape in input_shapes]
        shape = _common_shape(input_shapes)
        shape[self.axis] = None if None in lengths else sum(lengths)
        return tuple(shape)

    def forward(self, xs):
        ends = list(itertools.accumulate(x.shape[self.axis] for x in xs))
        return np.concatenate(xs, axis=self.axis), (ends,)

    def backward(self, dy, cache):
        (ends,) = cache
        return np.split(dy, ends[:-1], axis=self.axis), {}


class ElemwiseSumLayer(MergeLayer):
    """Add the inputs, each times its coefficient.

    Parameters
    ----------
    incomings : list of Layer or tuple
        All of one shape.
    coeffs : number or list of numbers, default 1
    name : str, optional
    """

    def __init__(self, incomings: Sequence[Layer | Shape],
                 coeffs: float | Sequence[float] = 1, name: str | None = None):
        super().__init__(incomings, name)
        many = isinstance(coeffs, (list, tuple))
        n = len(self.input_shapes)
        coeffs = list(coeffs) if many else [coeffs] * n  # type: ignore
        if not all(isinstance(c, numbers.Real) for c in coeffs):
            self.fail("coefficients as numbers", repr(coeffs))
        self.coeffs = [float(c) for c in coeffs]  # NumPy's would widen float32
        if len(self.coeffs) != len(self.input_shapes):
            self.fail(f"one coefficient for each of the {len(self.input_shapes)} "
                      "inputs", repr(coeffs))
        _check_equal(self, self.input_shapes)

    def get_output_shape_for(self, input_shapes):
        return tuple(_common_shape(input_shapes))

    def forward(self, xs):
        y = xs[0] * self.coeffs[0]
        for x, coeff in zip(xs[1:], self.coeffs[1:]):
            y += x * coeff
        return y, ()

    def backward(self, dy, cache):
        return [dy * coeff for coeff in self.coeffs], {}


concat = ConcatLayer


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
