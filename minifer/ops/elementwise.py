"""Arithmetic, element by element, with NumPy's broadcasting.

An op of two arrays stretches axes of length 1, as NumPy does; going back, the gradient
is summed over the axes that were stretched. A plain Python number has no gradient.

>>> y, cache = multiply_forward(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]]))
>>> multiply_backward(np.ones((2, 2)), cache)
(array([[7.],
       [7.]]), array([[3., 3.]]))
"""

import warnings

import numpy as np

from ..device.arrays import device_of, on_gpu, to_device, to_host
from ..errors import ShapeError

__all__ = [
    "add_forward", "add_backward", "subtract_forward", "subtract_backward",
    "multiply_forward", "multiply_backward", "divide_forward", "divide_backward",
    "power_forward", "power_backward", "maximum_forward", "maximum_backward",
    "minimum_forward", "minimum_backward", "where_forward", "where_backward",
    "clip_forward", "clip_backward", "modulo_forward", "modulo_backward",
    "cast_forward", "cast_backward", "widen_forward", "narrow_forward", "SLOPES",
    "unary_forward", "unary_backward", "plain_forward", "fitted", "place_of", "erf"]


def place_of(value):
    """What a gradient has to fit: (shape, dtype), or None of a plain number."""
    if type(value) in (bool, int, float):  # np.float64 is a float, too
        return None
    return np.shape(value), value.dtype


def fitted(gradient, place):
    """A gradient summed over stretched axes, in its input's shape and float type."""
    if place is None:
        return None
    whole, dtype = place
    shape = whole[max(0, len(whole) - gradient.ndim):]  # one more has length 1
    more = gradient.ndim - len(shape)
    axes = tuple(range(more)) + tuple(
        more + i for i, n in enumerate(shape) if n == 1 != gradient.shape[more + i])
    if axes:
        gradient = gradient.sum(axis=axes, keepdims=True)
    if gradient.shape != whole:
        gradient = gradient.reshape(whole)
    return gradient.astype(dtype, copy=False) if dtype.kind == "f" else gradient


def _places(*values):
    shapes = [np.shape(value) for value in values]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            "expressions: expected shapes that are equal where neither is 1, got "
            f"{' and '.join(map(str, shapes))}.") from None
    if len(shapes) == 2:
        _warn_of_tables(*shapes)
        _warn_of_tables(*reversed(shapes))
    return tuple(map(place_of, values))


def _warn_of_tables(column, row):
    """Warn where (N, 1) meets (N,), perhaps by mistake."""
    if len(column) == 2 and column[1] == 1 < column[0] and row == column[:1]:
        n = column[0]
        warnings.warn(
            f"expressions: {column} and {row} are stretched to {(n, n)}, each element "
            "of one with all of the other. If element by element was meant, write "
            "y.dimshuffle(0, 'x') or x.flatten().", stacklevel=2)


# --- two arrays ---------------------------------------------------------------

def add_forward(a, b):
    """``a + b``."""
    places = _places(a, b)
    return a + b, places


def add_backward(dy, cache):
    """``da = db = dy``."""
    return tuple(fitted(dy, place) for place in cache)


def subtract_forward(a, b):
    """``a - b``."""
    places = _places(a, b)
    return a - b, places


def subtract_backward(dy, cache):
    """``da = dy, db = -dy``."""
    return fitted(dy, cache[0]), fitted(-dy, cache[1])


def multiply_forward(a, b):
    """``a b``."""
    places = _places(a, b)
    return a * b, (a, b, places)


def multiply_backward(dy, cache):
    """``da = dy b, db = dy a``."""
    a, b, (of_a, of_b) = cache
    return of_a and fitted(dy * b, of_a), of_b and fitted(dy * a, of_b)


def divide_forward(a, b):
    """``a / b``."""
    places = _places(a, b)
    y = a / b
    return y, (y, b, places)


def divide_backward(dy, cache):
    """``da = dy / b, db = -dy y / b``."""
    y, b, (of_a, of_b) = cache
    return of_a and fitted(dy / b, of_a), of_b and fitted(-dy * y / b, of_b)


def power_forward(a, b):
    """``a`` to the power of ``b``."""
    places = _places(a, b)
    y = a ** b
    return y, (a, b, y, places)


def power_backward(dy, cache):
    """``da = dy b a^(b - 1), db = dy y log a``; of an a of 0, ``db = 0``, below NaN.

    Where b is 0, ``da = 0`` for every a: a^(-1), which is infinite at 0, is left out.
    """
    a, b, y, (of_a, of_b) = cache
    da = of_a and fitted(dy * (b * a ** (b - 1 + (b == 0))), of_a)
    if of_b is None:
        return da, None
    base = np.where(a < 0, np.nan, np.where(a == 0, 1, a))
    return da, fitted(dy * y * np.log(base), of_b)


def maximum_forward(a, b):
    """The larger of both."""
    places = _places(a, b)
    return np.maximum(a, b), (np.greater_equal(a, b), places)


def maximum_backward(dy, cache):
    """``dy`` goes to the larger; where both are equal, to a."""
    first, (of_a, of_b) = cache
    return fitted(dy * first, of_a), fitted(dy * ~first, of_b)


def minimum_forward(a, b):
    """The smaller of both."""
    places = _places(a, b)
    return np.minimum(a, b), (np.less_equal(a, b), places)


minimum_backward = maximum_backward


def where_forward(condition, a, b):
    """``a`` where the condition holds, else ``b``."""
    places = _places(condition, a, b)
    chosen = condition != 0 if not isinstance(condition, bool) else condition
    return np.where(chosen, a, b), (chosen, places)


def where_backward(dy, cache):
    """``dy`` goes to the one that was chosen; the condition has no gradient."""
    chosen, (_, of_a, of_b) = cache
    nothing = np.zeros_like(dy)
    return (None, of_a and fitted(np.where(chosen, dy, nothing), of_a),
            of_b and fitted(np.where(chosen, nothing, dy), of_b))


def clip_forward(x, low, high):
    """``x`` within ``[low, high]``."""
    places = _places(x, low, high)
    raised = np.maximum(x, low)
    return np.minimum(raised, high), (x < low, raised > high, places)


def clip_backward(dy, cache):
    """``dy`` goes to x within the bounds and on them, else to the bound it met."""
    below, above, (of_x, of_low, of_high) = cache
    return (fitted(dy * ~(below | above), of_x), of_low and fitted(
        dy * (below & ~above), of_low), of_high and fitted(dy * above, of_high))


def modulo_forward(a, b, function):
    """What division leaves: by ``numpy.mod`` of the sign of b, by ``fmod`` of a."""
    places = _places(a, b)
    y = function(a, b)
    return y, (a, b, y, places)


def modulo_backward(dy, cache):
    """``da = dy, db = -dy (a - y) / b``, the number of times that b was taken off."""
    a, b, y, (of_a, of_b) = cache
    return of_a and fitted(dy, of_a), of_b and fitted(-dy * np.rint((a - y) / b), of_b)


# --- one array ------------------------------------------------------------------

def erf(x):
    """The error function, by SciPy."""
    if on_gpu(x):
        return to_device(erf(to_host(x)), device_of(x))
    from scipy import special
    return special.erf(x)


#: Function -> its slope, from x and y.
SLOPES = {
    np.negative: lambda x, y: -1.0, np.exp: lambda x, y: y, np.log: lambda x, y: 1 / x,
    np.expm1: lambda x, y: y + 1, np.log1p: lambda x, y: 1 / (1 + x),
    np.log2: lambda x, y: 1 / (x * float(np.log(2))),
    np.log10: lambda x, y: 1 / (x * float(np.log(10))),
    np.square: lambda x, y: 2 * x, np.sqrt: lambda x, y: 0.5 / y,
    np.reciprocal: lambda x, y: -y * y, np.abs: lambda x, y: np.sign(x),
    np.sin: lambda x, y: np.cos(x), np.cos: lambda x, y: -np.sin(x),
    np.tan: lambda x, y: 1 + y * y, np.sinh: lambda x, y: np.cosh(x),
    np.cosh: lambda x, y: np.sinh(x), np.arctan: lambda x, y: 1 / (1 + x * x),
    np.arcsin: lambda x, y: 1 / np.sqrt(1 - x * x),
    np.arccos: lambda x, y: -1 / np.sqrt(1 - x * x),
    np.arcsinh: lambda x, y: 1 / np.sqrt(x * x + 1),
    np.arccosh: lambda x, y: 1 / np.sqrt(x * x - 1),
    np.arctanh: lambda x, y: 1 / (1 - x * x),
    erf: lambda x, y: float(2 / np.sqrt(np.pi)) * np.exp(-x * x)}


def unary_forward(x, function):
    """``function(x)``, one of :data:`SLOPES`."""
    y = function(x)
    return y, (x, y, function)


def unary_backward(dy, cache):
    """``dx = dy`` times the slope."""
    x, y, function = cache
    return dy * SLOPES[function](x, y)


def cast_forward(x, dtype):
    """``x`` in another dtype; going back, in that of x."""
    return np.asarray(x, dtype)[()] if np.isscalar(x) else x.astype(dtype), (
        place_of(x),)


def cast_backward(dy, cache):
    """``dx = dy``, in x's dtype; none of a whole number."""
    (place,) = cache
    return None if place is None or place[1].kind != "f" else fitted(dy, place)


def widen_forward(x):
    """``x``, in float32 where it is float16: that has no squares from 256 on."""
    wide = x.astype(np.float32) if _is_short(x) else x
    return wide, (place_of(x),)


def narrow_forward(y, x):
    """``y``, in float16 where x is: back from :func:`widen_forward`."""
    return y.astype(np.float16) if _is_short(x) else y, (place_of(y),)


def _is_short(x):
    return getattr(x, "dtype", None) == np.float16


def plain_forward(*values):
    """``function(*values)`` without a gradient; the function comes last."""
    *values, function = values
    _places(*values)
    return function(*values), ()
