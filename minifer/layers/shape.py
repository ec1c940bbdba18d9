"""Layers that only change the shape, or the order of the axes."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from .._types import Shape
from ..expressions import Expression
from ..expressions.functions import reshape as reshaped
from .base import Layer, MergeLayer
from .input import ValueLayer
from .options import count

__all__ = ["FlattenLayer", "flatten", "ReshapeLayer", "reshape", "DimshuffleLayer",
           "dimshuffle"]


class FlattenLayer(Layer):
    """Merge the trailing axes, so that ``outdim`` are left.

    Parameters
    ----------
    incoming : Layer or tuple
    outdim : int >= 1, default 2
        (N, C, H, W) becomes (N, C*H*W).
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, outdim: int = 2, *,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.outdim = count(self, "outdim", outdim)
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        if self.outdim > len(input_shape):
            self.fail(f"an input of at least outdim={self.outdim} axes",
                      f"input_shape={tuple(input_shape)}")
        kept, merged = input_shape[:self.outdim - 1], input_shape[self.outdim - 1:]
        return tuple(kept) + (None if None in merged else math.prod(merged),)

    def forward(self, x):
        return x.reshape(self.get_output_shape_for(x.shape)), (x.shape,)

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
        and -1 (at most once) takes what is left: ``([0], -1)`` flattens. An expression,
        such as ``l_in.input_var.shape[0]``, is a length that is known with the data.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, shape: Sequence[Any], *,
                 name: str | None = None):
        if type(self) is ReshapeLayer and isinstance(shape, (tuple, list)) and any(
                isinstance(part, Expression) for part in shape):
            self.__class__ = SymbolicReshapeLayer
            self.__init__(incoming, shape, name=name)  # type: ignore[misc]
            return
        super().__init__(incoming, name)
        if not isinstance(shape, (tuple, list)):
            self.fail("shape as a tuple", repr(shape))
        for part in shape:
            copies = (isinstance(part, list) and len(part) == 1
                      and _is_whole(part[0]) and part[0] >= 0)
            if not copies and not (_is_whole(part) and (part > 0 or part == -1)):
                self.fail("shape parts > 0, -1, or [i] with i an axis of the input",
                          repr(part))
        self.shape = tuple([int(part[0])] if isinstance(part, list) else int(part)
                           for part in shape)
        if self.shape.count(-1) > 1:
            self.fail("at most one -1 in shape", repr(shape))
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        # An axis that is copied is a factor of both sizes, known or not: it cancels.
        left, wanted, shape = dict(enumerate(input_shape)), [], []
        for part in self.shape:
            copies = isinstance(part, list)
            shape.append(self._length(input_shape, *part) if copies else part)
            if copies and part[0] in left:
                del left[part[0]]
            elif part != -1:
                wanted.append(shape[-1])
        if None in left.values() or None in wanted:
            return tuple(None if n == -1 else n for n in shape)
        has, wants = math.prod(left.values()), math.prod(wanted)
        if -1 in shape:
            if has % wants if wants else has:
                self.fail(f"a shape that {has} elements fill", repr(self.shape))
            return tuple(has // max(1, wants) if n == -1 else n for n in shape)
        if has != wants:
            size = has if None in input_shape else math.prod(input_shape)
            self.fail(f"a shape of {size} elements", repr(shape))
        return tuple(shape)

    def _length(self, input_shape, axis):
        if axis >= len(input_shape):
            self.fail("[i] with i an axis of the input", repr([axis]))
        return input_shape[axis]

    def forward(self, x):
        return x.reshape(self.get_output_shape_for(x.shape)), (x.shape,)

    def backward(self, dy, cache):
        (shape,) = cache
        return dy.reshape(shape), {}


class SymbolicReshapeLayer(MergeLayer, ReshapeLayer):
    """A :class:`ReshapeLayer` some of whose lengths are expressions.

    They are read as layers below, so that they are computed with the data.
    """

    def __init__(self, incoming, shape, *, name=None):
        lengths = [part for part in shape if isinstance(part, Expression)]
        MergeLayer.__init__(self, [incoming, *(ValueLayer((1,), reshaped(length, (1,)))
                                               for length in lengths)], name)
        for part in shape:
            if not isinstance(part, (Expression, list)) and not _is_whole(part):
                self.fail("shape parts > 0, -1, [i] or expressions", repr(part))
        self.shape = tuple(shape)

    def get_output_shape_for(self, input_shapes):
        def length(part):
            if isinstance(part, list):
                return self._length(input_shapes[0], *part)
            return None if isinstance(part, Expression) or part == -1 else int(part)

        return tuple(map(length, self.shape))

    def filled(self, input_shape, lengths):
        """The output's shape, when the lengths are known."""
        lengths = iter(lengths)
        shape = [int(next(lengths)[0]) if isinstance(part, Expression)
                 else self._length(input_shape, *part) if isinstance(part, list)
                 else int(part) for part in self.shape]
        has, wanted = math.prod(input_shape), math.prod(n for n in shape if n != -1)
        fits = has == wanted if -1 not in shape else not has % (wanted or 1)
        if shape.count(-1) > 1 or not fits:
            self.fail(f"a shape that the elements of {tuple(input_shape)} fill",
                      repr(tuple(shape)))
        return tuple(has // (wanted or 1) if n == -1 else n for n in shape)

    def forward(self, xs):
        return xs[0].reshape(self.filled(xs[0].shape, xs[1:])), (xs[0].shape, len(xs))

    def backward(self, dy, cache):
        shape, count = cache
        return [dy.reshape(shape), *[None] * (count - 1)], {}


class DimshuffleLayer(Layer):
    """Put the axes in another order; add axes of length 1, or leave such out.

    Parameters
    ----------
    incoming : Layer or tuple
    pattern : tuple
        What stands at each place of the output: the number of an axis of the input,
        or ``'x'`` for a new axis of length 1. Axes that do not occur must have
        length 1: ``(0, 2, 3, 1)`` puts channels last.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pattern: Sequence[int | str], *,
                 name: str | None = None):
        super().__init__(incoming, name)
        if not isinstance(pattern, (tuple, list)) or len(pattern) > 32 or not all(
                isinstance(p, str) and p == "x" or _is_whole(p) for p in pattern):
            self.fail("pattern as a tuple of up to 32 axes and 'x'", repr(pattern))
        self.pattern = tuple(p if p == "x" else int(p) for p in pattern)
        self.order = [p for p in self.pattern if p != "x"]
        if len(set(self.order)) < len(self.order):
            self.fail("each axis at most once in pattern", repr(pattern))
        self.get_output_shape_for(self.input_shape)

    def get_output_shape_for(self, input_shape):
        ndim = len(input_shape)
        if any(not 0 <= axis < ndim for axis in self.order):
            self.fail(f"pattern of the {ndim} axes of the input", repr(self.pattern))
        left_out = [n for axis, n in enumerate(input_shape) if axis not in self.order]
        if any(n not in (1, None) for n in left_out):
            self.fail("axes of length 1 where pattern leaves them out",
                      f"input_shape={tuple(input_shape)}, pattern={self.pattern}")
        return tuple(1 if p == "x" else input_shape[p] for p in self.pattern)

    def forward(self, x):
        shape = self.get_output_shape_for(x.shape)
        order = self.order + [i for i in range(x.ndim) if i not in self.order]
        return x.transpose(order).reshape(shape), (x.shape, order)

    def backward(self, dy, cache):
        shape, order = cache
        back = [order.index(axis) for axis in range(len(order))]
        return dy.reshape([shape[axis] for axis in order]).transpose(back), {}


flatten = FlattenLayer
reshape = ReshapeLayer
dimshuffle = DimshuffleLayer


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
