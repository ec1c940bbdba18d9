"""Lasagne's utilities, those that make sense without Theano.

>>> as_tuple(3, 2), unique([2, 1, 2])
((3, 3), [2, 1])
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from . import config
from ._types import Array
from .errors import SettingError, ShapeError
from .expressions import (Apply, Expression, Param, all_below, as_expression, shared)
from .layers import get_all_params
from .layers.param import create_param, unit_axes
from .layers.symbolic import NetworkPass

__all__ = ["floatX", "shared_empty", "as_theano_expression", "as_expression",
           "collect_shared_vars", "one_hot", "unique", "as_tuple", "inspect_kwargs",
           "compute_norms", "create_param"]


def floatX(arr: Any) -> np.ndarray:
    """The values as an array of the dtype ``minifer.config.floatX``."""
    return np.asarray(arr, dtype=config.floatX)


def shared_empty(dim: int = 2, dtype: Any = None) -> Param:
    """A shared value of ``dim`` axes of length 1, to be filled by ``set_value``."""
    return shared(np.zeros((1,) * dim, dtype or config.floatX))


def as_theano_expression(input: Any) -> Expression:
    """An expression as it is; a number or an array as a constant.

    Raises
    ------
    SettingError
        If it is neither.
    """
    return as_expression(input)


def collect_shared_vars(expressions: Any) -> list[Param]:
    """All parameters and shared values that expressions are made of, each once.

    Parameters
    ----------
    expressions : Expression or list of Expression

    Returns
    -------
    list of Param
        In the order in which they are met, from the left; those of a network where it
        is passed, in the order of its layers.
    """
    some = expressions if isinstance(expressions, (list, tuple)) else [expressions]
    return unique(param for one in all_below(some) for param in (
        get_all_params(one.outputs) if isinstance(one, NetworkPass) else one.params))


def inspect_kwargs(func: Any) -> list[str]:
    """The names of a function's parameters that have a default value."""
    return [name for name, one in inspect.signature(func).parameters.items()
            if one.default is not one.empty]


def as_tuple(x: Any, N: int, t: Any = None) -> tuple[Any, ...]:
    """A tuple of a given length, from one value or from that many.

    Parameters
    ----------
    x : object or iterable
        One value, which is repeated, or an iterable of ``N`` values.
    N : int
    t : type or tuple of types, optional
        What each of them must be.

    Raises
    ------
    SettingError
        If their number or type differs.
    """
    try:
        values = tuple(x)
    except TypeError:
        values = (x,) * N
    if len(values) != N or (
            t is not None and not all(isinstance(one, t) for one in values)):
        of_kind = f" of type {t}" if t is not None else ""
        raise SettingError(f"as_tuple: expected one value or {N} of them{of_kind},"
                           f" got {x!r}.")
    return values


def unique(l: Iterable[Hashable]) -> list[Any]:  # noqa: E741 (Lasagne's name)
    """The items as a list without repetitions, in the order of their first places."""
    return list(dict.fromkeys(l))


def one_hot(x: Any, m: int | None = None) -> Any:
    """Rows with a 1 at the class and 0 elsewhere.

    Parameters
    ----------
    x : int array or expression, shape (N,)
        Class numbers, 0 … m - 1.
    m : int, optional
        Number of classes K; by default the largest class number plus one.

    Returns
    -------
    array or expression, shape (N, m), of dtype ``minifer.config.floatX``

    Raises
    ------
    ShapeError
        If they are no class numbers below m.
    """
    if isinstance(x, Expression):
        return Apply(_one_hot, None, x, constants=(m,), ndim=2)
    classes = np.asarray(x)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise ShapeError("one_hot: expected class numbers, an int array (N,), got "
                         f"{classes.dtype} {classes.shape}.")
    m = int(classes.max(initial=-1)) + 1 if m is None else m
    if len(classes) and not 0 <= classes.min() <= classes.max() < m:
        raise ShapeError(f"one_hot: expected class numbers 0..{m - 1}, got "
                         f"{classes.min()}..{classes.max()}.")
    return floatX(classes[:, None] == np.arange(m))


def _one_hot(classes, m):
    m = int(classes.max()) + 1 if m is None else m
    rows = classes[:, None] == np.arange(m, like=classes)
    return rows.astype(config.floatX), ()


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
    wide = array.astype(np.result_type(array, np.float32), copy=False)  # for squares
    norms = np.sqrt((wide ** 2).sum(axis=tuple(norm_axes)))
    return norms.astype(array.dtype, copy=False) if array.dtype.kind == "f" else norms
