"""Shapes, parts, and arrays put together, under Theano's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import SettingError
from ..expressions import Apply, Expression, as_expression
from ..expressions import functions as f
from ..ops import rearrange

__all__ = [
    "addbroadcast", "arange", "as_tensor_variable", "batched_dot", "concatenate",
    "constant", "diag", "dot", "eye", "fill", "flatten", "horizontal_stack",
    "identity_like", "inc_subtensor", "ones", "ones_like", "outer", "repeat", "reshape",
    "set_subtensor", "shape", "shape_padaxis", "shape_padleft", "shape_padright",
    "squeeze", "stack", "swapaxes", "take", "tensordot", "tile", "transpose",
    "unbroadcast", "vertical_stack", "zeros", "zeros_like"]


# --- arrays -------------------------------------------------------------------

def as_tensor_variable(x: Any, name: str | None = None, ndim: Any = None) -> Expression:
    """An expression as it is; numbers, arrays and lists as a constant.

    Of fewer than ``ndim`` axes, it gets axes of length 1 before the others.
    """
    x = as_expression(x)
    return x if ndim is None else shape_padleft(x, ndim - _axes(x, "ndim"))


def constant(x: Any, name: str | None = None, ndim: Any = None,
             dtype: Any = None) -> Expression:
    """A constant; ``ndim`` as for :func:`as_tensor_variable`."""
    return as_tensor_variable(x if dtype is None else np.asarray(x, dtype), name, ndim)


def zeros(shape: Any, dtype: Any = None) -> Expression:
    """Zeros of a shape, whose lengths may be expressions."""
    return _full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = None) -> Expression:
    """Ones of a shape, whose lengths may be expressions."""
    return _full(shape, 1, dtype)


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> Expression:
    """Zeros of the shape of another."""
    return fill(model, 0, dtype)


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> Expression:
    """Ones of the shape of another."""
    return fill(model, 1, dtype)


def fill(a: Any, b: Any, dtype: Any = None) -> Expression:
    """The number ``b``, in the shape of ``a``."""
    a = as_expression(a)
    if isinstance(b, Expression):
        return zeros_like(a, dtype) + b
    return Apply(_filled_like, None, a, constants=(b, f.as_dtype(dtype)), ndim=a.ndim)


def eye(n: Any, m: Any = None, k: int = 0, dtype: Any = None) -> Expression:
    """A matrix with ones on a diagonal, the k-th above the main one."""
    return Apply(_eye, None, as_expression(n), as_expression(n if m is None else m),
                 constants=(k, f.as_dtype(dtype or "floatX")), ndim=2)


def identity_like(x: Any) -> Expression:
    """:func:`eye` of the shape of another."""
    lengths = f.shape_of(x)
    return eye(lengths[0], lengths[1])


def arange(start: Any, stop: Any = None, step: Any = 1,
           dtype: Any = None) -> Expression:
    """Numbers from ``start`` on and below ``stop``; of one number, from 0 up to it."""
    start, stop = (0, start) if stop is None else (start, stop)
    ends = [as_expression(one) for one in (start, stop, step)]
    return Apply(_arange, None, *ends, constants=(f.as_dtype(dtype),), ndim=1)


# --- other shapes -----------------------------------------------------------------

def shape(x: Any) -> Expression:
    """The shape, whole numbers."""
    return f.shape_of(x)


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Expression:
    """The elements in another shape, whose lengths may be expressions."""
    return f.reshape(x, newshape, ndim)


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Expression:
    """The first ``ndim - 1`` axes as they are, and one for all others."""
    return f.flatten(x, ndim if outdim is None else outdim)


def transpose(x: Any, axes: Any = None) -> Expression:
    """The axes in another order; by default in the reverse one."""
    return f.transpose(x) if axes is None else f.dimshuffle(x, *axes)


def swapaxes(y: Any, axis1: int, axis2: int) -> Expression:
    """Two axes in each other's place."""
    y = as_expression(y)
    order = list(range(_axes(y, "swapaxes")))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return f.dimshuffle(y, *order)


def shape_padleft(t: Any, n_ones: int = 1) -> Expression:
    """New axes of length 1 before the others."""
    t = as_expression(t)
    return f.dimshuffle(t, *"x" * n_ones, *range(_axes(t, "shape_padleft")))


def shape_padright(t: Any, n_ones: int = 1) -> Expression:
    """New axes of length 1 behind the others."""
    t = as_expression(t)
    return f.dimshuffle(t, *range(_axes(t, "shape_padright")), *"x" * n_ones)


def shape_padaxis(t: Any, axis: int) -> Expression:
    """A new axis of length 1 at a place."""
    t = as_expression(t)
    pattern: list[Any] = list(range(_axes(t, "shape_padaxis")))
    pattern.insert(axis % (len(pattern) + 1), "x")
    return f.dimshuffle(t, *pattern)


def squeeze(x: Any) -> Expression:
    """Without the axes of length 1."""
    return Apply(_squeeze, rearrange.reshape_backward, as_expression(x))


def addbroadcast(x: Any, *axes: int) -> Expression:
    """``x``: every axis of length 1 may be stretched here."""
    return as_expression(x)


unbroadcast = addbroadcast


# --- parts and copies ----------------------------------------------------------------

def set_subtensor(x: Any, y: Any, inplace: bool = False,
                  tolerate_inplace_aliasing: bool = False) -> Expression:
    """The whole of which the part ``x``, such as ``z[0]``, was taken, with y there."""
    return f.changed_part(x, y, add=False)


def inc_subtensor(x: Any, y: Any, inplace: bool = False,
                  tolerate_inplace_aliasing: bool = False) -> Expression:
    """The whole of which the part ``x``, such as ``z[0]``, was taken, y added there."""
    return f.changed_part(x, y, add=True)


def take(a: Any, indices: Any, axis: int | None = None,
         mode: str = "raise") -> Expression:
    """Elements by their numbers, along an axis or of the flattened array.

    Parameters
    ----------
    mode : {'raise', 'wrap', 'clip'}
        What becomes of a number that is too large or too small: an error, or one taken
        round and round, or the nearest one there is.
    """
    a = as_expression(a)
    a, axis = (f.flatten(a), 0) if axis is None else (a, axis % _axes(a, "take"))
    if mode not in ("raise", "wrap", "clip"):
        raise SettingError("take: expected mode 'raise', 'wrap' or 'clip', got "
                           f"{mode!r}.")
    if mode != "raise":
        indices, n = as_expression(indices), f.shape_of(a)[axis]
        indices = indices % n if mode == "wrap" else f.clip(indices, 0, n - 1)
    return f.part_of(a, (*[slice(None)] * axis, indices))


def diag(v: Any, k: int = 0) -> Expression:
    """A matrix with a vector on its diagonal, or the diagonal of a matrix."""
    v = as_expression(v)
    return Apply(_diag, _diag_backward, v, constants=(k,),
                 ndim=None if v.ndim is None else 3 - v.ndim)


def repeat(x: Any, repeats: int, axis: int | None = None) -> Expression:
    """Each element again and again, along an axis or of the flattened array."""
    x = as_expression(x)
    return Apply(rearrange.repeat_forward, rearrange.repeat_backward, x,
                 constants=(repeats, axis), ndim=1 if axis is None else x.ndim)


def tile(x: Any, reps: Any, ndim: int | None = None) -> Expression:
    """The whole again and again, along each axis."""
    return Apply(rearrange.tile_forward, rearrange.tile_backward, as_expression(x),
                 constants=(reps,), ndim=ndim)


# --- put together -----------------------------------------------------------------

def concatenate(tensor_list: Sequence[Any], axis: int = 0) -> Expression:
    """One behind the other, along an axis."""
    inputs = [as_expression(one) for one in tensor_list]
    return Apply(rearrange.concatenate_forward, rearrange.concatenate_backward, *inputs,
                 constants=(axis,), ndim=inputs[0].ndim)


def stack(tensors: Any, *more: Any, axis: int = 0) -> Expression:
    """Side by side along a new axis; a list, or one after the other."""
    if isinstance(tensors, (list, tuple)):
        inputs, axis = list(tensors), more[0] if more else axis
    else:
        inputs = [tensors, *more]
    return f.stack(inputs, axis)


def horizontal_stack(*args: Any) -> Expression:
    """Matrices beside each other."""
    return concatenate(args, axis=1)


def vertical_stack(*args: Any) -> Expression:
    """Matrices below each other."""
    return concatenate(args, axis=0)


# --- products ----------------------------------------------------------------------

def dot(a: Any, b: Any) -> Expression:
    """The product of matrices, as ``numpy.dot``."""
    return f.dot(a, b)


def outer(x: Any, y: Any) -> Expression:
    """Each element of x times each of y."""
    return f.dot(f.reshape(x, (-1, 1)), f.reshape(y, (1, -1)))


def batched_dot(a: Any, b: Any) -> Expression:
    """The product of each pair of matrices (N, I, K) and (N, K, J)."""
    a, b = as_expression(a), as_expression(b)
    if a.ndim != 3 or b.ndim != 3:
        raise SettingError(f"batched_dot: expected expressions of 3 axes, got {a.ndim} "
                           f"and {b.ndim}.")
    return (a.dimshuffle(0, 1, 2, "x") * b.dimshuffle(0, "x", 1, 2)).sum(axis=2)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Expression:
    """The sum of products over axes of both: their number, or two lists of them."""
    a, b = as_expression(a), as_expression(b)
    n_a, n_b = _axes(a, "tensordot"), _axes(b, "tensordot")
    if isinstance(axes, int):
        axes = range(n_a - axes, n_a), range(axes)
    ours, theirs = ([one] if isinstance(one, int) else list(one) for one in axes)
    ours, theirs = [i % n_a for i in ours], [i % n_b for i in theirs]
    rest = [i for i in range(n_a) if i not in ours]
    others = [i for i in range(n_b) if i not in theirs]
    lengths = [f.shape_of(a)[i] for i in rest] + [f.shape_of(b)[i] for i in others]
    products = math.prod(f.shape_of(a)[i] for i in ours)
    left = f.reshape(f.dimshuffle(a, *rest, *ours), [-1, products])
    right = f.reshape(f.dimshuffle(b, *theirs, *others), [products, -1])
    return f.reshape(f.dot(left, right), lengths)


def _axes(x, what):
    if x.ndim is None:
        raise SettingError(f"{what}: expected an expression whose number of axes is "
                           "known, got another. Use dimshuffle.")
    return x.ndim


def _full(shape, value, dtype):
    lengths = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if len(lengths) == 1 and isinstance(shape, Expression) and shape.ndim == 1:
        return Apply(_full_of_shape, None, shape,
                     constants=(value, f.as_dtype(dtype or "floatX")))
    return Apply(_full_of, None, *map(as_expression, lengths),
                 constants=(value, f.as_dtype(dtype or "floatX")), ndim=len(lengths))


def _full_of(*args):
    *lengths, value, dtype = args
    return np.full([int(n) for n in lengths], value, dtype), ()


def _full_of_shape(shape, value, dtype):
    return np.full([int(n) for n in shape], value, dtype), ()


def _filled_like(a, value, dtype):
    return np.full_like(a, value, dtype=dtype), ()


def _eye(n, m, k, dtype):
    return np.eye(int(n), int(m), k, dtype), ()


def _arange(start, stop, step, dtype):
    return np.arange(*(one.item() if hasattr(one, "item") else one
                       for one in (start, stop, step)), dtype=dtype), ()


def _squeeze(x):
    return x.squeeze(), (x.shape,)


def _diag(x, k):
    return np.diag(x, k), (x, k)


def _diag_backward(dy, cache):
    x, k = cache
    if x.ndim == 1:
        return np.diag(dy, k).copy()
    dx = np.zeros_like(x)
    i = np.arange(dy.shape[0], like=dy)
    dx[i + max(0, -k), i + max(0, k)] = dy
    return dx
