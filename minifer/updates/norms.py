"""Gradients of a loss, and limits for the norms of weights and of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device.arrays import as_array
from ..errors import SettingError, ShapeError, check_number
from ..expressions import Expression, GradientsOf, Part, as_expression
from ..expressions.functions import clip, narrowed, unary, widened
from ..layers.param import Param, unit_axes
from ..ops import elementwise

__all__ = ["get_or_compute_grads", "norm_constraint", "total_norm_constraint"]


def get_or_compute_grads(loss_or_grads: Any, params: Sequence[Param]) -> list[Any]:
    """Gradients as expressions: of a loss, or those that are given.

    Parameters
    ----------
    loss_or_grads : Expression, or list of Expression
        A scalar loss, or a gradient for each parameter.
    params : list of Param

    Raises
    ------
    SettingError
        If a parameter is none, or their number differs.
    """
    for param in params:
        if not isinstance(param, Param):
            raise SettingError(f"updates: expected a list of Param, got {param!r}. Use "
                               "layers.get_all_params(network, trainable=True).")
    if isinstance(loss_or_grads, (list, tuple)):
        if len(loss_or_grads) != len(params):
            raise SettingError(
                f"updates: expected {len(params)} gradients, one for each parameter, "
                f"got {len(loss_or_grads)}.")
        return [as_expression(one) for one in loss_or_grads]
    all_of_them = GradientsOf(as_expression(loss_or_grads), params)
    return [Part(all_of_them, i, p.ndim) for i, p in enumerate(params)]


def norm_constraint(tensor_var: Any, max_norm: Any,
                    norm_axes: Sequence[int] | None = None,
                    epsilon: float = 1e-7) -> Any:
    """Scale weight vectors that are longer than ``max_norm`` down to it.

    ``p · clip(‖p‖, 0, max_norm) / (ε + ‖p‖)``; of float16, computed in float32.

    Parameters
    ----------
    tensor_var : array, Param or expression
        Its value is not changed.
    max_norm : float
    norm_axes : tuple of int, optional
        Axes of one vector. Default: (0,) of a dense weight, and all but the
        first of filters (3 to 5 axes).

    Returns
    -------
    array of tensor_var's shape and dtype, or an expression of one
    """
    symbolic = isinstance(tensor_var, Expression) and not isinstance(tensor_var, Param)
    value: Any = (tensor_var if symbolic else tensor_var.value
                  if isinstance(tensor_var, Param) else as_array(tensor_var))
    max_norm = _limit(max_norm)
    if norm_axes is None:
        norm_axes = None if value.ndim is None else unit_axes(value.ndim)
        if norm_axes is None:
            raise ShapeError(
                f"norm_constraint: expected 2 to 5 axes, got {value.ndim}. "
                "Unsupported tensor dimensionality: give norm_axes.")
    wide = _widened(value)
    squares = (wide * wide).sum(axis=tuple(norm_axes), keepdims=True)
    if symbolic or isinstance(max_norm, Expression):
        norms = unary(np.sqrt, squares)
        return _narrowed(wide * (clip(norms, 0, max_norm) / (norms + epsilon)), value)
    norms = np.sqrt(squares)
    return _narrowed(wide * (np.clip(norms, 0, max_norm) / (norms + epsilon)), value)


def total_norm_constraint(tensor_vars: Sequence[Any], max_norm: Any,
                          epsilon: float = 1e-7, return_norm: bool = False) -> Any:
    """Scale arrays down together so that their joint norm is at most ``max_norm``.

    Of float16 arrays it is computed in float32.

    Parameters
    ----------
    tensor_vars : list of arrays or expressions
        Gradients, usually.
    max_norm : float
    return_norm : bool, default False
        Also return the norm before.

    Returns
    -------
    list of arrays or expressions, or (list, norm)
    """
    max_norm = _limit(max_norm)
    if any(isinstance(one, Expression) for one in (*tensor_vars, max_norm)):
        wide = [_widened(as_expression(one)) for one in tensor_vars]
        squares = [unary(np.square, one).sum() for one in wide]
        total: Any = unary(np.sqrt, sum(squares[1:], squares[0]))
        share = clip(total, 0, max_norm) / (total + epsilon)
        limited = [_narrowed(one * share, given)
                   for one, given in zip(wide, tensor_vars)]
        return (limited, total) if return_norm else limited
    arrays = [as_array(one) for one in tensor_vars]
    wide = [_widened(one) for one in arrays]
    norm = float(np.sqrt(sum(float((one ** 2).sum()) for one in wide)))
    factor = min(norm, float(max_norm)) / (epsilon + norm)
    scaled = [_narrowed(one * factor, given) for one, given in zip(wide, arrays)]
    return (scaled, norm) if return_norm else scaled


def _widened(value):
    """An array or an expression, in which float16 has room for its squares."""
    if isinstance(value, Expression):
        return widened(value)
    return elementwise.widen_forward(value)[0]


def _narrowed(value, given):
    """What was computed of ``given`` widened, in the type of ``given``."""
    if isinstance(value, Expression):
        return narrowed(value, given)
    return elementwise.narrow_forward(value, given)[0]


def _limit(max_norm):
    """A largest norm: a number of 0 or more, or an expression of one."""
    return max_norm if isinstance(max_norm, Expression) else float(
        check_number("max_norm", max_norm))
