"""Lasagne's utilities, those that make sense without Theano.

>>> as_tuple(3, 2), unique([2, 1, 2])
((3, 3), [2, 1])
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from . import config
from ._types import Array
from .errors import SettingError, ShapeError
from .layers.param import create_param, unit_axes

__all__ = ["floatX", "as_tuple", "unique", "one_hot", "compute_norms", "create_param"]


def floatX(values: Any) -> np.ndarray:
    """The values as an array of the dtype ``minifer.config.floatX``."""
    return np.asarray(values, dtype=config.floatX)


def as_tuple(value: Any, length: int, kind: Any = None) -> tuple[Any, ...]:
    """A tuple of a given length, from one value or from that many.

    Parameters
    ----------
    value : object or iterable
        One value, which is repeated, or an iterable of ``length`` values.
    length : int
    kind : type or tuple of types, optional
        What each of them must be.

    Raises
    ------
    SettingError
        If their number or type differs.
    """
    try:
        values = tuple(value)
    except TypeError:
        values = (value,) * length
    if len(values) != length or (
            kind is not None and not all(isinstance(one, kind) for one in values)):
        of_kind = f" of type {kind}" if kind is not None else ""
        raise SettingError(f"as_tuple: expected one value or {length} of them{of_kind},"
                           f" got {value!r}.")
    return values


def unique(items: Iterable[Hashable]) -> list[Any]:
    """The items as a list without repetitions, in the order of their first places."""
    return list(dict.fromkeys(items))


def one_hot(classes: Array | Sequence[int], m: int | None = None) -> np.ndarray:
    """Rows with a 1 at the class and 0 elsewhere.

    Parameters
    ----------
    classes : int array, shape (N,)
        Class numbers, 0 … m - 1.
    m : int, optional
        Number of classes K; by default the largest class number plus one.

    Returns
    -------
    array, shape (N, m), of dtype ``minifer.config.floatX``

    Raises
    ------
    ShapeError
        If they are no class numbers below m.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ShapeError("one_hot: expected class numbers, an int array (N,), got "
                         f"{classes.dtype} {classes.shape}.")
    m = int(classes.max(initial=-1)) + 1 if m is None else m
    if len(classes) and not 0 <= classes.min() <= classes.max() < m:
        raise ShapeError(f"one_hot: expected class numbers 0..{m - 1}, got "
                         f"{classes.min()}..{classes.max()}.")
    return floatX(classes[:, None] == np.arange(m))


def compute_norms(array: Array, norm_axes: Sequence[int] | None = None) -> np.ndarray:
    """The L2 norm of each unit's incoming weights.

    Parameters
    ----------
    array : array
        A parameter's value: (D, U) of a dense layer, (F, C, kh, kw) of a convolution.
    norm_axes : tuple of int, optional
        Axes to sum over. By default all but the unit's: 0 of a matrix, all but the
        first of filters (3 to 5 axes), none of a vector, whose absolute values result.

    Returns
    -------
    array
        The axes that remain.

    Raises
    ------
    SettingError
        If there is no default for so many axes.
    """
    array = np.asarray(array)
    if norm_axes is None:
        if array.ndim == 1:
            return np.abs(array)
        norm_axes = unit_axes(array.ndim)
        if norm_axes is None:
            raise SettingError(
                f"compute_norms: expected norm_axes for an array of {array.ndim} axes.")
    return np.sqrt((array ** 2).sum(axis=tuple(norm_axes)))
