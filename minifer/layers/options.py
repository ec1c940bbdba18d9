"""Checks of options that layers share."""

import math
import numbers

__all__ = ["axes", "count", "number", "pair", "several", "shaped", "shared"]


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
    return several(layer, option, value, 2, least)


def several(layer, option, value, n, least=1):
    """``value`` as n ints >= ``least``: one stands for all of them."""
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(items) != n or any(
            not isinstance(k, numbers.Integral) or isinstance(k, bool) or k < least
            for k in items):
        layer.fail(f"{option} as a whole number >= {least} or {n} of them in a tuple",
                   repr(value))
    return tuple(int(k) for k in items)


def shaped(layer, n):
    """Refuse an input that is not (N, C) and ``n`` axes."""
    if len(layer.input_shape) != n + 2:
        letters = ", ".join(("N", "C", *("D", "H", "W")[-n:])) if n > 1 else "N, C, L"
        layer.fail(f"a {n + 2}D input ({letters})", f"input_shape={layer.input_shape}",
                   "Put it before the FlattenLayer, or use DenseLayer.")
