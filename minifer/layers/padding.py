"""Padding whose two sides differ, as that of Keras, TensorFlow and ONNX may.

Along an axis padding is one number for both sides, or a pair: what stands at its
beginning and at its end. It may also be a rule, which looks at the input's length:
``'same_upper'`` and ``'same_lower'`` give ⌈length / stride⌉ outputs, and where the
zeros for that do not halve, the odd one stands at the end or at the beginning.

>>> same_sides(60, 3, 2, "same_upper"), same_sides(61, 3, 2, "same_upper")
((0, 1), (1, 1))
"""

from __future__ import annotations

import numbers

import numpy as np

__all__ = ["RULES", "add_border", "cut_border", "is_even", "pad_option", "same_sides",
           "sides_of", "total"]

#: Keras's and TensorFlow's 'same' is the first, ONNX has both.
RULES = ("same_upper", "same_lower")


def same_sides(length, reach, stride, rule):
    """Zeros at the beginning and at the end for ⌈length / stride⌉ windows.

    Parameters
    ----------
    length : int
    reach : int
        Pixels from a window's first element to its last, both counted.
    stride : int
    rule : {'same_upper', 'same_lower'}

    Returns
    -------
    (int, int)
    """
    zeros = max(0, (-(-length // stride) - 1) * stride + reach - length)
    less, more = zeros // 2, zeros - zeros // 2
    return (less, more) if rule == "same_upper" else (more, less)


def pad_option(layer, option, value, lengths, reach, stride):
    """A layer's padding, in its simplest form.

    Parameters
    ----------
    layer : Layer
        In whose name a value is refused.
    option : str
    value : int, tuple of int or (int, int), or a rule
    lengths : tuple of int or None
        Lengths of the input's axes behind its channels.
    reach, stride : tuple of int

    Returns
    -------
    tuple or str
        Whole numbers where all sides are even; else numbers and pairs; the rule itself
        where a length is not known.
    """
    n = len(lengths)
    if isinstance(value, str) and value in RULES:
        if None in lengths:
            return value
        value = [same_sides(*axis, value) for axis in zip(lengths, reach, stride)]
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(items) != n or not all(map(_is_side, items)):
        layer.fail(f"{option} as a whole number >= 0, {n} of them or of pairs (at the "
                   f"beginning, at the end) in a tuple, or {' or '.join(RULES)}",
                   repr(value))
    pairs = [tuple(map(int, one)) if isinstance(one, (tuple, list)) else
             (int(one), int(one)) for one in items]
    return tuple(begin if begin == end else (begin, end) for begin, end in pairs)


def _is_side(item):
    numbers_ = item if isinstance(item, (tuple, list)) else (item, item)
    return len(numbers_) == 2 and all(
        isinstance(n, numbers.Integral) and not isinstance(n, bool) and n >= 0
        for n in numbers_)


def is_even(pad):
    """Whether padding is a number for each axis, the same on both sides."""
    return not isinstance(pad, str) and all(isinstance(one, int) for one in pad)


def sides_of(pad, lengths, reach, stride):
    """A pair for each axis, for an input of these lengths."""
    if isinstance(pad, str):
        return tuple(same_sides(*axis, pad) for axis in zip(lengths, reach, stride))
    return tuple((one, one) if isinstance(one, int) else one for one in pad)


def total(one):
    """Padding of one axis on both sides together."""
    return 2 * one if isinstance(one, int) else sum(one)


def add_border(x, sides, value=0.0):
    """Put a border around images.

    Parameters
    ----------
    x : array, shape (N, C, ...)
    sides : tuple of (int, int)
        A pair for each axis behind the channels.
    value : float

    Returns
    -------
    array
    """
    return np.pad(x, ((0, 0), (0, 0), *sides), constant_values=value)


def cut_border(y, sides):
    """Take it off again: the gradient of :func:`add_border`."""
    place = tuple(slice(begin, n - end) for n, (begin, end) in zip(y.shape[2:], sides))
    return y[(slice(None), slice(None)) + place]
