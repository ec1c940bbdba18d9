"""Functions of expressions by their names, so that files can say which is meant.

>>> from minifer.expressions import Variable
>>> x = Variable("x", ndim=2)
>>> y = FUNCTIONS["log_sum_exp"](x, axis=[1])
>>> y.eval({x: np.zeros((1, 2))})
array([0.69314718])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SettingError
from ..ops import elementwise, label_loss as label_loss_, products
from ..ops import rearrange, reduction, softmax
from . import functions as f
from .base import Apply, Expression, as_expression
from .composed import (activation_of, celu, clip, gelu, hard_sigmoid, hard_swish, isinf,
                       mish, modulo, shrink, softsign, swish, thresholded, where)

__all__ = ["FUNCTIONS"]

#: Those of one array with a slope, and those without.
SMOOTH = {"abs": np.abs, "arccos": np.arccos, "arccosh": np.arccosh,
          "arcsin": np.arcsin, "arcsinh": np.arcsinh, "arctan": np.arctan,
          "arctanh": np.arctanh, "cos": np.cos, "cosh": np.cosh, "erf": elementwise.erf,
          "exp": np.exp, "log": np.log, "negative": np.negative,
          "reciprocal": np.reciprocal, "sin": np.sin, "sinh": np.sinh,
          "sqrt": np.sqrt, "square": np.square, "tan": np.tan}
STEPS = {"ceil": np.ceil, "floor": np.floor, "round": np.rint, "sign": np.sign,
         "isnan": np.isnan, "not": np.logical_not}
#: Those of two arrays.
BINARY = ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum")
COMPARING = {"less": np.less, "less_equal": np.less_equal, "greater": np.greater,
             "greater_equal": np.greater_equal, "equal": np.equal,
             "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}
ACTIVATIONS = ("rectify", "elu", "tanh", "sigmoid", "softplus")


def _axis(axis):
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _smooth(function):
    return lambda x: f.unary(function, x)


def _plain(function):
    return lambda *xs: f.plain(function, *xs)


def _binary(name):
    return lambda a, b: f.elementwise_op(name, a, b)


# --- over axes -----------------------------------------------------------------------

def _reduced(name, backward=None):
    return lambda x, axis=None, keepdims=False: f.reduce_with(
        name, x, _axis(axis), keepdims, backward)


def norm(x: Any, order: int = 2, axis: Any = None, keepdims: bool = False
         ) -> Expression:
    """The sum of sizes (order 1), the root of the sum of squares (2), or a mean."""
    return f.norm(x, order, _axis(axis), keepdims)


def variance(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The mean of squared distances from the mean."""
    return f.variance(x, _axis(axis), 0, keepdims)


def log_sum(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The logarithm of the sum."""
    return f.unary(np.log, f.sum_of(x, _axis(axis), None, keepdims))


def log_sum_exp(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The logarithm of the sum of e to the power of x, without overflow."""
    x, axis = as_expression(x), _axis(axis)
    largest = f.reduce_with("max", x, axis, True)
    top = f.reduce_with("max", x, axis, keepdims)
    return top + f.unary(np.log, f.sum_of(f.unary(np.exp, x - largest), axis, None,
                                          keepdims))


def sum_square(x: Any, axis: Any = None, keepdims: bool = False) -> Expression:
    """The sum of squares."""
    return f.sum_of(f.unary(np.square, x), _axis(axis), None, keepdims)


def normalized(x: Any, order: int = 2, axis: int = -1) -> Expression:
    """``x`` divided by its norm along an axis; 0 where that is 0."""
    x = as_expression(x)
    size = f.norm(x, order, axis, True)
    return x / f.elementwise_op("where", f.plain(np.equal, size, 0.0), 1.0, size)


def rms_normalized(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Expression:
    """``x`` divided by the root of the mean of its squares over axes."""
    x = as_expression(x)
    mean = f.mean(f.unary(np.square, x), _axis(axis), None, True)
    return x / f.unary(np.sqrt, mean + epsilon)


def hardmax(x: Any, axis: int = -1) -> Expression:
    """1 at the first of the largest along an axis, else 0."""
    return Apply(_hardmax, None, as_expression(x), constants=(axis,),
                 ndim=as_expression(x).ndim)


def _hardmax(x, axis):
    best = x.argmax(axis=axis)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    places = np.arange(x.shape[axis], like=best).reshape(shape)
    return (np.expand_dims(best, axis) == places).astype(x.dtype), ()


def argument(name: str) -> Any:
    """The place of an extreme: the first, or the last of several."""
    def build(x, axis=0, keepdims=False, last=False):
        return Apply(_argument, None, as_expression(x),
                     constants=(name, axis, keepdims, last))

    return build


def _argument(x, name, axis, keepdims, last):
    turned = np.flip(x, axis) if last else x
    y = getattr(turned, f"arg{name}")(axis=axis)
    y = x.shape[axis] - 1 - y if last else y
    return (np.expand_dims(y, axis) if keepdims else y), ()


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False
           ) -> Expression:
    """Sums of the elements so far along an axis, or from the end; without its own."""
    x = as_expression(x)
    turned = _flipped(x, axis) if reverse else x
    total = Apply(reduction.cumsum_forward, reduction.cumsum_backward, turned,
                  constants=(axis,), ndim=x.ndim)
    y = total - turned if exclusive else total
    return _flipped(y, axis) if reverse else y


def _flipped(x, axis):
    key = [slice(None)] * x.ndim
    key[axis] = slice(None, None, -1)
    return f.part_of(x, tuple(key))


# --- shapes --------------------------------------------------------------------------

def reshape(x: Any, shape: Any) -> Expression:
    """The elements in another shape: 0 keeps a length, -1 takes what is left."""
    return Apply(_reshape, rearrange.reshape_backward, as_expression(x),
                 constants=(list(shape),), ndim=len(shape))


def _reshape(x, shape):
    shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return rearrange.reshape_forward(x, *shape)


def expand(x: Any, shape: Any) -> Expression:
    """``x`` stretched along axes of length 1, and with new ones before."""
    return Apply(_expand, elementwise.add_backward, as_expression(x),
                 as_expression(0.0), constants=(tuple(shape),))


def _expand(x, nothing, shape):
    y = np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))
    return y + 0, (elementwise.place_of(x), None)


def squeeze(x: Any, axis: Any) -> Expression:
    """``x`` without axes of length 1."""
    x = as_expression(x)
    gone = {a % x.ndim for a in axis}
    return f.dimshuffle(x, *(a for a in range(x.ndim) if a not in gone))


def unsqueeze(x: Any, axis: Any) -> Expression:
    """``x`` with new axes of length 1, at places of the result."""
    x = as_expression(x)
    new = {a % (x.ndim + len(axis)) for a in axis}
    old = iter(range(x.ndim))
    return f.dimshuffle(x, *("x" if a in new else next(old)
                             for a in range(x.ndim + len(new))))


def part(x: Any, starts: Any, stops: Any, axes: Any, steps: Any) -> Expression:
    """``x`` from start to stop along each axis; None is the end."""
    x = as_expression(x)
    key = [slice(None)] * x.ndim
    for start, stop, axis, step in zip(starts, stops, axes, steps):
        key[axis] = slice(start, stop, step)
    return f.part_of(x, tuple(key))


def take(x: Any, indices: Any, axis: int = 0) -> Expression:
    """What stands at places along an axis; places in an array of any shape."""
    x = as_expression(x)
    at = np.asarray(indices, np.int64)
    return f.part_of(x, (*[slice(None)] * (axis % x.ndim),
                         int(at) if at.ndim == 0 else at))


def concatenate(*xs: Any, axis: int = 0) -> Expression:
    """Arrays one behind the other."""
    inputs = [as_expression(x) for x in xs]
    return Apply(rearrange.concatenate_forward, rearrange.concatenate_backward, *inputs,
                 constants=(axis,), ndim=inputs[0].ndim)


def tile(x: Any, reps: Any) -> Expression:
    """``x`` again and again along each axis."""
    return Apply(rearrange.tile_forward, rearrange.tile_backward, as_expression(x),
                 constants=(tuple(reps),), ndim=as_expression(x).ndim)


def pad(x: Any, widths: Any, mode: str = "constant", value: float = 0.0) -> Expression:
    """``x`` with a border: of one value, or of what is near it.

    Parameters
    ----------
    widths : list of (int, int)
        Before and behind each axis; what is negative cuts off.
    mode : {'constant', 'edge', 'reflect', 'wrap'}
    value : float
    """
    return Apply(_pad, _pad_backward, as_expression(x), constants=(
        [tuple(one) for one in widths], mode, value), ndim=as_expression(x).ndim)


def _pad(x, widths, mode, value):
    cut = tuple(slice(max(0, -left), n - max(0, -right))
                for n, (left, right) in zip(x.shape, widths))
    wide = [(max(0, left), max(0, right)) for left, right in widths]
    options = {"constant_values": value} if mode == "constant" else {}
    y = np.pad(x[cut], wide, mode=mode, **options)
    places = None
    if mode != "constant":  # where each element comes from, along each axis
        places = [np.pad(np.arange(n)[c], w, mode=mode).tolist()
                  for n, c, w in zip(x.shape, cut, wide)]
    return y, (x.shape, cut, wide, places)


def _pad_backward(dy, cache):
    shape, cut, wide, places = cache
    if places is None:
        dx = np.zeros_like(dy, shape=shape)
        dx[cut] = dy[tuple(slice(left, n - right) for n, (left, right)
                           in zip(dy.shape, wide))]
        return dx
    for axis, (n, sources) in enumerate(zip(shape, places)):
        if sources == list(range(n)):
            continue
        whole = (slice(None),) * axis
        dx = np.zeros_like(dy, shape=(*dy.shape[:axis], n, *dy.shape[axis + 1:]))
        for place, source in enumerate(sources):
            dx[whole + (source,)] += dy[whole + (place,)]
        dy = dx
    return dy


def matmul(a: Any, b: Any) -> Expression:
    """The product of matrices, or of stacks of them."""
    a, b = as_expression(a), as_expression(b)
    ndim = None
    if a.ndim is not None and b.ndim is not None:
        ndim = max(a.ndim, b.ndim) - (1 in (a.ndim, b.ndim)) * (
            1 if min(a.ndim, b.ndim) == 1 and max(a.ndim, b.ndim) > 1 else 2)
        ndim = max(0, ndim)
    return Apply(products.matmul_forward, products.matmul_backward, a, b, ndim=ndim)


def mean_of(*xs: Any) -> Expression:
    """The mean of arrays, element by element."""
    return sum_of(*xs) / float(len(xs))


def sum_of(*xs: Any) -> Expression:
    """The sum of arrays, element by element."""
    total = as_expression(xs[0])
    for x in xs[1:]:
        total = total + x
    return total


def log_softmax(x: Any, axis: int = 1) -> Apply:
    """The logarithm of softmax along an axis."""
    x = as_expression(x)
    return Apply(softmax.log_softmax_forward, softmax.log_softmax_backward, x,
                 constants=(axis,), ndim=x.ndim)


def label_loss(log_p: Any, labels: Any, weights: Any = None, ignore: int | None = None,
               reduction: str = "mean") -> Expression:
    """The negative logarithm of the right class's probability, over maps as well.

    Parameters
    ----------
    log_p : expression, (N, C, ...)
    labels : expression, (N, ...)
    weights : expression, (C,), optional
        How much each class counts.
    ignore : int, optional
        The label of what does not count.
    reduction : {'none', 'mean', 'sum'}
        The mean is over what counts, by how much it counts.
    """
    inputs = [as_expression(one) for one in (log_p, labels, weights) if one is not None]
    ndim = inputs[1].ndim
    loss = Apply(_label_loss, label_loss_.label_loss_backward, *inputs,
                 constants=(ignore,), ndim=ndim)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction != "mean":
        raise SettingError("label_loss: expected a reduction 'none', 'mean' or 'sum', "
                           f"got {reduction!r}.")
    return loss.sum() / Apply(_counts, None, *inputs, constants=(ignore,), ndim=0)


def _label_loss(log_p, labels, *more):
    *weights, ignore = more
    return label_loss_.label_loss_forward(log_p, labels, *(weights or [None]), ignore)


def _counts(log_p, labels, *more):
    *weights, ignore = more
    counts, _ = label_loss_.label_weights(labels, *(weights or [None]), ignore,
                                          log_p.shape[1])
    return counts.sum(dtype=log_p.dtype), ()


#: Name -> ``build(*expressions, **options)``, whose options are plain data.
FUNCTIONS: dict[str, Any] = {
    **{name: _smooth(function) for name, function in SMOOTH.items()},
    **{name: _plain(function) for name, function in {**STEPS, **COMPARING}.items()},
    **{name: _binary(name) for name in BINARY}, "log_softmax": log_softmax,
    **{name: activation_of(name) for name in ACTIVATIONS},
    **{name: _reduced(name) for name in ("mean", "sum", "product", "max")},
    "min": _reduced("min", "max"), "argmax": argument("max"),
    "argmin": argument("min"),
    **{one.__name__: one for one in (
        gelu, hard_sigmoid, swish, hard_swish, mish, softsign, celu, shrink,
        thresholded, clip, modulo, where, isinf, norm, variance, log_sum, log_sum_exp,
        sum_square, normalized, rms_normalized, hardmax, cumsum, label_loss, reshape,
        expand, squeeze, unsqueeze, part, take, concatenate, tile, pad, matmul,
        mean_of, sum_of)}}
