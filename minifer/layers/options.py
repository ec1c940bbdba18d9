"""Checks of options that layers share."""

import numbers

__all__ = ["count", "pair", "several", "shaped"]


def count(layer, option, value):
    """``value`` as an int >= 1, or a ShapeError in the layer's name."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        layer.fail(f"{option} as a whole number >= 1", repr(value))
    return int(value)


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
