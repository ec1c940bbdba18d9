"""Checks of options that layers share."""

import math
import numbers

__all__ = ["axes", "count", "number", "pair", "shared"]


def count(layer, option, value):
    """``value`` as an int >= 1, or a ShapeError in the layer's name."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        layer.fail(f"{option} as a whole number >= 1", repr(value))
    return int(value)


def axes(layer, option, value):
    """``value``, an axis of the input or several, as a tuple of them in order."""
    ndim = len(layer.input_shape)
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if any(not isinstance(axis, numbers.Integral) or isinstance(axis, bool)
           or not -ndim <= axis < ndim for axis in value):
        layer.fail(f"{option} among the {ndim} axes of the input", repr(value))
    return tuple(sorted({int(axis) % ndim for axis in value}))


def number(layer, option, value, least=-math.inf, above=-math.inf):
    """``value`` as a finite float >= ``least`` and > ``above``."""
    if (not isinstance(value, numbers.Real) or isinstance(value, bool)
            or not max(least, above) <= value < math.inf or value == above):
        bound = f" >= {least:g}" if least > -math.inf else (
            f" > {above:g}" if above > -math.inf else "")
        layer.fail(f"{option} as a finite number{bound}", repr(value))
    return float(value)  # NumPy's would widen float32


def shared(layer, value):
    """``shared_axes`` as a tuple: 'auto' is all but the second, 'all' is all."""
    ndim = len(layer.input_shape)
    if isinstance(value, str) and value in ("auto", "all"):
        return tuple(axis for axis in range(ndim) if value == "all" or axis != 1)
    return axes(layer, "shared_axes", value)


def pair(layer, option, value, least=1):
    """``value`` as two ints >= ``least``: ``3`` and ``(3, 3)`` mean the same."""
    items = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(items) != 2 or any(
            not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < least
            for n in items):
        layer.fail(f"{option} as a whole number >= {least} or a pair of them",
                   repr(value))
    return tuple(int(n) for n in items)
