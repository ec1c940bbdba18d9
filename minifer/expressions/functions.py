"""What can be done with expressions: arithmetic, reductions, other shapes.

Each function applies one op of :mod:`minifer.ops`. The methods and operators of every
expression lead here, and :mod:`minifer.tensor` has them under Theano's names.
"""

from __future__ import annotations

import functools
import math
import numbers
import operator
from typing import Any

import numpy as np

from .. import config
from ..errors import SettingError
from ..ops import elementwise, rearrange, reduction
from .base import Apply, Constant, Expression, as_expression

__all__ = ["function_of_arrays", "elementwise_op", "unary", "plain", "compare",
           "logic", "modulo",
           "reduce_with", "cast", "mean", "sum_of", "product", "variance", "part_of",
           "changed_part", "reshape",
           "flatten", "dimshuffle", "transpose", "dot", "clip", "norm", "argument",
           "shape_of", "stack", "as_dtype",
           "Comparison"]


class Comparison(Apply):
    """A comparison, which is neither true nor false before its data are known."""

    dtype = "bool"

    def __bool__(self):
        raise TypeError("a comparison of expressions is neither true nor false before "
                        "its data are known. Use minifer.tensor.switch.")


def function_of_arrays(build):
    """Let a function of expressions take arrays and numbers, too, and work at once.

    Parameters
    ----------
    build : function
        ``build(*args, **kwargs)`` returns an expression.
    """
    @functools.wraps(build)
    def built(*args, **kwargs):
        given = [*args, *kwargs.values()]
        given += [one for some in given if isinstance(some, (list, tuple))
                  for one in some]
        result = build(*args, **kwargs)
        if any(isinstance(one, Expression) for one in given):
            return result
        return result.eval()

    return built


# --- element by element -----------------------------------------------------------

def elementwise_op(name: str, *values: Any) -> Apply:
    """An op of :mod:`minifer.ops.elementwise`, by name, of expressions or numbers."""
    inputs = [as_expression(value) for value in values]
    return Apply(getattr(elementwise, f"{name}_forward"),
                 getattr(elementwise, f"{name}_backward"), *inputs,
                 ndim=_most_axes(inputs))


def _most_axes(inputs):
    known = [one.ndim for one in inputs]
    return None if None in known else max(known)


def unary(function: Any, x: Any) -> Apply:
    """``function(x)``, one of :data:`minifer.ops.elementwise.SLOPES`."""
    x = as_expression(x)
    return Apply(elementwise.unary_forward, elementwise.unary_backward, x,
                 constants=(function,), ndim=x.ndim)


def modulo(function: Any, a: Any, b: Any) -> Apply:
    """What division leaves, ``numpy.mod`` or ``numpy.fmod``."""
    inputs = [as_expression(a), as_expression(b)]
    return Apply(elementwise.modulo_forward, elementwise.modulo_backward, *inputs,
                 constants=(function,), ndim=_most_axes(inputs))


def compare(function: Any, *values: Any) -> Apply:
    """A comparison, ``numpy.less`` and the like; no gradient."""
    return plain(function, *values, kind=Comparison)


def logic(function: Any, *values: Any) -> Apply:
    """And, or, not: of truths a truth, of whole numbers bit by bit; no gradient."""
    made = compare(function, *values)
    if not all(map(_is_truth, made.inputs)):
        made.dtype = "int64"
    return made


def _is_truth(x):
    """Whether an expression's values are known to be true or false."""
    if isinstance(x, Constant):
        return np.result_type(x.value).kind == "b"
    return str(x.dtype) == "bool"


def plain(function: Any, *values: Any, kind: type[Apply] = Apply) -> Apply:
    """A function without a gradient, such as rounding."""
    inputs = [as_expression(value) for value in values]
    return kind(elementwise.plain_forward, None, *inputs, constants=(function,),
                ndim=_most_axes(inputs))


def cast(x: Any, dtype: Any) -> Expression:
    """``x`` in another dtype."""
    x, dtype = as_expression(x), as_dtype(dtype)
    made = Apply(elementwise.cast_forward, elementwise.cast_backward, x,
                 constants=(np.dtype(dtype),), ndim=x.ndim)
    made.dtype = dtype
    return made


def as_dtype(dtype: Any) -> Any:
    """A dtype as it is; what ``'floatX'`` stands for now."""
    return config.floatX if isinstance(dtype, str) and dtype == "floatX" else dtype


def clip(x: Any, low: Any, high: Any) -> Apply:
    """``x`` within ``[low, high]``."""
    return elementwise_op("clip", x, low, high)


# --- reductions ---------------------------------------------------------------

def reduce_with(name: str, x: Any, axis: Any = None, keepdims: bool = False,
                backward: str | None = None) -> Apply:
    """A reduction of :mod:`minifer.ops.reduction`, by its name."""
    x = as_expression(x)
    return Apply(getattr(reduction, f"{name}_forward"),
                 getattr(reduction, f"{backward or name}_backward"), x,
                 constants=(axis, keepdims), ndim=_axes_left(x, axis, keepdims))


def _axes_left(x, axis, keepdims):
    if keepdims or x.ndim is None:
        return x.ndim
    if axis is None:
        return 0
    return x.ndim - (len(axis) if isinstance(axis, (tuple, list)) else 1)


def mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Apply:
    """The mean; ``dtype`` casts first."""
    x = as_expression(x)
    return reduce_with("mean", x if dtype is None else cast(x, dtype), axis, keepdims)


def sum_of(x: Any, axis: Any = None, dtype: Any = None,
           keepdims: bool = False) -> Apply:
    """The sum; ``dtype`` casts first."""
    x = as_expression(x)
    return reduce_with("sum", x if dtype is None else cast(x, dtype), axis, keepdims)


def product(x: Any, axis: Any = None, dtype: Any = None,
            keepdims: bool = False) -> Apply:
    """The product; ``dtype`` casts first."""
    x = as_expression(x)
    return reduce_with("product", x if dtype is None else cast(x, dtype), axis,
                       keepdims)


def variance(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Apply:
    """The variance."""
    x = as_expression(x)
    return Apply(reduction.variance_forward, reduction.variance_backward, x,
                 constants=(axis, keepdims, ddof), ndim=_axes_left(x, axis, keepdims))


def norm(x: Any, L: Any = 2, axis: Any = None, keepdims: bool = False) -> Expression:
    """The L-norm over axes: the L-th root of the sum of \\|x\\| to the power of L.

    Of an infinite L, the largest \\|x\\|, or of a negative one the smallest.
    """
    x = as_expression(x)
    if L == 0:
        raise SettingError("norm: expected an L other than 0, got 0. Count with "
                           "minifer.tensor.neq(x, 0).sum().")
    if abs(L) == math.inf:
        extreme = "max" if L > 0 else "min"
        return reduce_with(extreme, unary(np.abs, x), axis, keepdims, backward="max")
    wide = widened(x)
    if L == 2:
        total = sum_of(unary(np.square, wide), axis, None, keepdims)
        return narrowed(unary(np.sqrt, total), x)
    powers = elementwise_op("power", unary(np.abs, wide), L)
    total = sum_of(powers, axis, None, keepdims)
    return narrowed(elementwise_op("power", total, 1 / L), x)


def widened(x: Expression) -> Apply:
    """``x``, where it is float16 in float32, in which its squares have room."""
    return Apply(elementwise.widen_forward, elementwise.cast_backward, x, ndim=x.ndim)


def narrowed(found: Any, x: Any) -> Apply:
    """What was computed of ``x`` widened, in the type of ``x``."""
    return Apply(elementwise.narrow_forward, elementwise.cast_backward, found,
                 as_expression(x), ndim=found.ndim)


def argument(function: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Apply:
    """The place of an extreme, ``numpy.argmax`` or ``numpy.argmin``."""
    x = as_expression(x)
    return Apply(reduction.argument_forward, None, x,
                 constants=(function, axis, keepdims),
                 ndim=_axes_left(x, axis, keepdims))


# --- shapes -------------------------------------------------------------------

def shape_of(x: Any) -> Apply:
    """The shape, as whole numbers on the CPU."""
    return Shape(_shape, None, as_expression(x), ndim=1)


class Shape(Apply):
    """A shape, which can be taken apart where the number of its axes is known."""

    dtype = "int64"

    def __iter__(self):
        axes = self.inputs[0].ndim
        if axes is None:
            return super().__iter__()
        return iter([self[i] for i in range(axes)])


def _shape(x):
    return np.array(np.shape(x), np.int64), ()


def reshape(x: Any, shape: Any, ndim: int | None = None) -> Apply:
    """``x`` in another shape, whose lengths may be expressions."""
    if isinstance(shape, Expression):
        if ndim is None:
            raise TypeError("reshape: expected ndim, the number of axes, where the "
                            "shape is an expression.")
        shape = [shape[i] for i in range(ndim)]
    lengths = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    return Apply(rearrange.reshape_forward, rearrange.reshape_backward,
                 as_expression(x), *map(as_expression, lengths), ndim=len(lengths))


def flatten(x: Any, ndim: int = 1) -> Apply:
    """The first ``ndim - 1`` axes as they are, and one for all others."""
    return Apply(rearrange.flatten_forward, rearrange.reshape_backward,
                 as_expression(x), constants=(ndim,), ndim=ndim)


def dimshuffle(x: Any, *pattern: Any) -> Apply:
    """The axes in another order, with ``'x'`` for new ones."""
    if len(pattern) == 1 and isinstance(pattern[0], (tuple, list)):
        pattern = tuple(pattern[0])
    return Apply(rearrange.dimshuffle_forward, rearrange.dimshuffle_backward,
                 as_expression(x), constants=(pattern,), ndim=len(pattern))


def transpose(x: Any, *axes: Any) -> Expression:
    """The axes in another order; by default in the reverse one."""
    x = as_expression(x)
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    if axes:
        return dimshuffle(x, *axes)
    if x.ndim is None:
        raise TypeError("transpose: expected an expression whose number of axes is "
                        "known. Write x.dimshuffle(1, 0).")
    return dimshuffle(x, *range(x.ndim)[::-1])


def dot(a: Any, b: Any) -> Apply:
    """The product of matrices."""
    a, b = as_expression(a), as_expression(b)
    ndim = None
    if a.ndim is not None and b.ndim is not None:
        ndim = a.ndim + b.ndim - 2 if a.ndim and b.ndim else max(a.ndim, b.ndim)
    return Apply(rearrange.dot_forward, rearrange.dot_backward, a, b, ndim=ndim)


def stack(values: Any, axis: int = 0) -> Apply:
    """Expressions of one shape side by side, along a new axis."""
    inputs = [as_expression(one) for one in values]
    ndim = inputs[0].ndim
    return Apply(rearrange.stack_forward, rearrange.stack_backward, *inputs,
                 constants=(axis,), ndim=None if ndim is None else ndim + 1)


# --- parts ---------------------------------------------------------------------

def part_of(x: Any, key: Any) -> Apply:
    """``x[key]``; the key's numbers and arrays may be expressions."""
    x = as_expression(x)
    pieces, together = _taken_apart(key)
    return Apply(rearrange.part_forward, rearrange.part_backward, x, *pieces,
                 constants=(together,), ndim=_axes_of_part(x, key))


def changed_part(part: Any, value: Any, add: bool) -> Apply:
    """The whole of which ``part`` was taken, with ``value`` there, or added there."""
    if not (isinstance(part, Apply) and part.op is rearrange.part_forward):
        raise TypeError(f"set_subtensor: expected a part such as x[0], got {part!r}.")
    x, *pieces = part.inputs
    return Apply(rearrange.changed_part_forward, rearrange.changed_part_backward, x,
                 as_expression(value), *pieces, constants=(add, *part.constants),
                 ndim=x.ndim)


def _taken_apart(key):
    """A key's pieces as expressions, and the function that makes the key of values."""
    single = not isinstance(key, tuple)
    pieces, makers = [], []

    def place(piece):
        if piece is None or isinstance(piece, numbers.Integral):
            return lambda values: piece
        i = len(pieces)
        pieces.append(as_expression(piece))
        return lambda values: _index(values[i])

    for one in (key,) if single else key:
        if one is None or one is Ellipsis:
            makers.append(lambda values, one=one: one)
        elif isinstance(one, slice):
            ends = [place(end) for end in (one.start, one.stop, one.step)]
            makers.append(lambda values, ends=ends: slice(*(e(values) for e in ends)))
        else:
            makers.append(place(one))

    def together(values):
        made = tuple(make(values) for make in makers)
        return made[0] if single else made

    return pieces, together


def _index(value):
    """A number as an int; an array as it is."""
    return operator.index(value) if np.ndim(value) == 0 else value


def _axes_of_part(x, key):
    """The number of axes of ``x[key]``, or None where it depends on more."""
    keys = key if isinstance(key, tuple) else (key,)
    if x.ndim is None:
        return None
    left, taken, arrays = 0, 0, []
    for one in keys:
        if one is None:
            left += 1
        elif isinstance(one, slice):
            taken, left = taken + 1, left + 1
        elif one is not Ellipsis:
            one = as_expression(one)
            if one.ndim is None:
                return None
            mask = _is_truth(one)  # takes as many axes as it has, for a single one
            taken += one.ndim if mask else 1
            arrays.append(1 if mask else one.ndim)
    return x.ndim - taken + left + max(arrays, default=0)
