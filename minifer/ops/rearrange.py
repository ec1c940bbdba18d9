"""Elements in another order or shape, parts of arrays, arrays put together.

>>> y, cache = dimshuffle_forward(np.ones((2, 3)), (1, "x", 0))
>>> y.shape, dimshuffle_backward(y, cache).shape
((3, 1, 2), (2, 3))
"""

import math

import numpy as np

from ..device.arrays import on_gpu
from ..errors import SettingError, ShapeError
from .elementwise import fitted, multiply_backward, place_of
from .products import matmul

__all__ = ["reshape_forward", "reshape_backward", "flatten_forward",
           "dimshuffle_forward", "dimshuffle_backward", "part_forward",
           "part_backward", "changed_part_forward", "changed_part_backward",
           "concatenate_forward", "concatenate_backward", "stack_forward",
           "stack_backward", "repeat_forward", "repeat_backward", "tile_forward",
           "tile_backward", "dot_forward", "dot_backward"]


def reshape_forward(x, *shape):
    """``x`` in another shape, one of its axes perhaps -1."""
    shape = [int(n) for n in shape]
    try:
        return x.reshape(shape), (x.shape,)
    except ValueError:
        raise ShapeError(f"reshape: expected as many elements as {x.shape} has, got "
                         f"shape {tuple(shape)}.") from None


def reshape_backward(dy, cache):
    """``dy`` in x's shape."""
    (shape,) = cache
    return dy.reshape(shape)


def flatten_forward(x, ndim=1):
    """``x`` with the first ``ndim - 1`` axes as they are, and one for all others."""
    if not 1 <= ndim <= max(1, x.ndim):
        raise ShapeError(f"flatten: expected 1 to {x.ndim} axes to keep, got {ndim}.")
    kept, others = x.shape[:ndim - 1], x.shape[ndim - 1:]
    return x.reshape(*kept, math.prod(others)), (x.shape,)


def dimshuffle_forward(x, pattern):
    """The axes in another order; ``'x'`` is a new one of length 1.

    An axis of length 1 may be left out.
    """
    kept = [axis for axis in pattern if axis != "x"]
    kept = [axis + x.ndim if axis < 0 else axis for axis in kept]
    dropped = [axis for axis in range(x.ndim) if axis not in kept]
    if len(set(kept)) < len(kept) or any(not 0 <= a < x.ndim for a in kept) or any(
            x.shape[a] != 1 for a in dropped):
        raise ShapeError(
            f"dimshuffle: expected axes of {x.shape}, each once, and 'x'; only axes of "
            f"length 1 may be left out, got {tuple(pattern)}.")
    order = kept + dropped
    turned = x.transpose(order)
    shape = iter(turned.shape)
    return turned.reshape([1 if axis == "x" else next(shape) for axis in pattern]), (
        order, turned.shape)


def dimshuffle_backward(dy, cache):
    """The axes back in their order."""
    order, shape = cache
    return dy.reshape(shape).transpose([int(i) for i in np.argsort(order)])


def part_forward(x, *keys):
    """``x[key]``; the key comes in pieces, for what of it is known only now.

    Parameters
    ----------
    *keys
        What stands in the brackets, a slice as a tuple of its three numbers before a
        :data:`slice`: all is put together by the last, a function.
    """
    *pieces, together = keys
    key = together(pieces)
    try:
        return x[key], (x, key)
    except IndexError as error:
        raise ShapeError(f"index: expected one that fits an array of shape {x.shape}, "
                         f"got another: {error}.") from None


def part_backward(dy, cache):
    """``dy`` where it was taken from, added where that was more than once; else 0."""
    x, key = cache
    dx = np.zeros_like(x, dtype=dy.dtype, order="C")
    if _is_plain(key):
        dx[key] = dy
    else:
        _add_at(dx, key, dy)
    return dx


def _add_at(y, key, value):
    """``y[key] += value``, for each time that the key takes an element.

    y is contiguous.
    """
    if not on_gpu(y):
        return np.add.at(y, key, value)
    # CuPy adds at whole numbers only, not at a tuple of them.
    places = np.cumsum(np.ones_like(y, dtype=np.int64)).reshape(y.shape) - 1
    np.add.at(y.reshape(-1), places[key], value)


def _is_plain(key):
    """Whether a key takes no element twice: of numbers, slices, None, Ellipsis."""
    return all(one is None or one is Ellipsis or isinstance(one, slice)
               or isinstance(one, (int, np.integer))
               for one in (key if isinstance(key, tuple) else (key,)))


def changed_part_forward(x, value, *keys):
    """``x`` with ``value`` in the place of, or added to, ``x[key]``.

    Parameters
    ----------
    *keys
        As for :func:`part_forward`, and before its last whether to add.
    """
    *pieces, add, together = keys
    key = together(pieces)
    if np.result_type(value).kind == "f" != x.dtype.kind:
        raise SettingError("set_subtensor: expected whole numbers for a part of "
                           f"{x.dtype}, got {np.result_type(value)}. Cast one of them.")
    y = x.copy()
    if not add:
        y[key] = value
    elif _is_plain(key):
        y[key] = y[key] + value
    else:
        _add_at(y, key, value)
    return y, (key, add, place_of(value))


def changed_part_backward(dy, cache):
    """``dx`` is 0 where another value was put; ``dvalue = dy[key]``.

    Of several values put in one place, the last one that stays has its gradient.
    """
    key, add, place = cache
    dvalue = dy[key]
    if not (add or _is_plain(key)):
        turns = np.arange(dvalue.size, like=dy).reshape(dvalue.shape)
        last = np.zeros_like(dy, dtype=turns.dtype)
        last[key] = turns
        dvalue = dvalue * (last[key] == turns)
    dvalue = fitted(dvalue, place)
    if add:
        return dy, dvalue
    dx = dy.copy()
    dx[key] = 0
    return dx, dvalue


def concatenate_forward(*arrays):
    """Arrays one behind the other along an axis, which comes last."""
    *arrays, axis = arrays
    try:
        return np.concatenate(arrays, axis), ([a.shape[axis] for a in arrays], axis)
    except ValueError:
        raise ShapeError("concatenate: expected equal shapes but for the axis "
                         f"{axis}, got {[a.shape for a in arrays]}.") from None


def concatenate_backward(dy, cache):
    """To each its part."""
    lengths, axis = cache
    ends = np.cumsum(lengths)[:-1].tolist()
    return tuple(np.split(dy, ends, axis))


def stack_forward(*arrays):
    """Arrays side by side along a new axis, which comes last."""
    *arrays, axis = arrays
    if len({np.shape(a) for a in arrays}) > 1:
        raise ShapeError("stack: expected equal shapes, got "
                         f"{[np.shape(a) for a in arrays]}.")
    return np.stack(arrays, axis), (len(arrays), axis)


def stack_backward(dy, cache):
    """To each its part."""
    n, axis = cache
    dy = np.moveaxis(dy, axis, 0)
    return tuple(dy[i] for i in range(n))


def repeat_forward(x, repeats, axis=None):
    """Each element ``repeats`` times, one after the other."""
    return np.repeat(x, repeats, axis), (x.shape, repeats, axis)


def repeat_backward(dy, cache):
    """The sum over the repetitions."""
    shape, repeats, axis = cache
    if axis is None:
        return dy.reshape(-1, repeats).sum(axis=1).reshape(shape)
    axis = axis % len(shape)
    return dy.reshape(*shape[:axis + 1], repeats, *shape[axis + 1:]).sum(axis=axis + 1)


def tile_forward(x, reps):
    """The whole of ``x`` again and again, along each axis."""
    reps = tuple(reps) if isinstance(reps, (tuple, list)) else (reps,)
    return np.tile(x, reps), (x.shape, reps)


def tile_backward(dy, cache):
    """The sum over the repetitions."""
    shape, reps = cache
    n = max(len(shape), len(reps))
    reps = (1,) * (n - len(reps)) + reps
    long = (1,) * (n - len(shape)) + tuple(shape)
    pairs = [length for pair in zip(reps, long) for length in pair]
    return dy.reshape(pairs).sum(axis=tuple(range(0, 2 * n, 2))).reshape(shape)


def dot_forward(a, b):
    """The last axis of a against the last but one of b, as ``numpy.dot``."""
    if not np.ndim(a) or not np.ndim(b):
        return a * b, (a, b)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(f"dot: expected (..., D) and (D, U), got {a.shape} and "
                         f"{b.shape}.")
    return (matmul if b.ndim <= 2 else np.dot)(a, b), (a, b)


def dot_backward(dy, cache):
    """``da = dy bᵀ, db = aᵀ dy``."""
    a, b = cache
    if not np.ndim(a) or not np.ndim(b):
        return multiply_backward(dy, (a, b, (place_of(a), place_of(b))))
    D, rows = a.shape[-1], a.reshape(-1, a.shape[-1])  # (M, D)
    columns = b if b.ndim == 1 else np.moveaxis(b, -2, 0)
    rest = columns.shape[1:]
    columns = columns.reshape(D, -1)  # (D, U)
    dy = dy.reshape(len(rows), -1)  # (M, U)
    da = matmul(dy, columns.T).reshape(a.shape)
    db = matmul(rows.T, dy).reshape(D, *rest)
    return da, (db if b.ndim == 1 else np.moveaxis(db, 0, -2))
