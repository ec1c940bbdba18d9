"""Checks of options that layers share."""

import numbers

__all__ = ["count", "pair"]


def count(layer, option, value):
    """``value`` as an int >= 1, or a ShapeError in the layer's name."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        layer.fail(f"{option} as a whole number >= 1", repr(value))
    return int(value)


def pair(layer, option, value, least=1):
    """``value`` as two ints >= ``least``: ``3`` and ``(3, 3)`` mean the same."""
    items = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(items) != 2 or any(
            not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < least
            for n in items):
        layer.fail(f"{option} as a whole number >= {least} or a pair of them",
                   repr(value))
    return tuple(int(n) for n in items)
