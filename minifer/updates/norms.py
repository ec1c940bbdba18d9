"""Limits for the norms of weights and of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array
from ..errors import ShapeError, check_number
from ..layers.param import Param, unit_axes

__all__ = ["norm_constraint", "total_norm_constraint"]


def norm_constraint(value: Array | Param, max_norm: float,
                    norm_axes: Sequence[int] | None = None,
                    epsilon: float = 1e-7) -> Array:
    """Scale weight vectors that are longer than ``max_norm`` down to it.

    ``p · clip(‖p‖, 0, max_norm) / (ε + ‖p‖)``

    Parameters
    ----------
    value : array or Param
        Its value is not changed.
    max_norm : float
    norm_axes : tuple of int, optional
        Axes of one vector. Default: (0,) of a dense weight, and all but the
        first of filters (3 to 5 axes).

    Returns
    -------
    array of value's shape and dtype
    """
    value = value.value if isinstance(value, Param) else as_array(value)
    max_norm = float(check_number("max_norm", max_norm))
    if norm_axes is None:
        norm_axes = unit_axes(value.ndim)
        if norm_axes is None:
            raise ShapeError(
                f"norm_constraint: expected 2 to 5 axes, got {value.ndim}. "
                "Unsupported tensor dimensionality: give norm_axes.")
    norms = np.sqrt((value * value).sum(axis=tuple(norm_axes), keepdims=True))
    return value * (np.clip(norms, 0, max_norm) / (norms + epsilon))


def total_norm_constraint(tensor_vars: Sequence[Array], max_norm: float,
                          epsilon: float = 1e-7, return_norm: bool = False) -> Any:
    """Scale arrays down together so that their joint norm is at most ``max_norm``.

    Parameters
    ----------
    tensor_vars : list of arrays
        Gradients, usually.
    max_norm : float
    return_norm : bool, default False
        Also return the norm before.

    Returns
    -------
    list of arrays, or (list, float)
    """
    check_number("max_norm", max_norm)
    norm = float(np.sqrt(sum(float((as_array(g) ** 2).sum()) for g in tensor_vars)))
    factor = min(norm, float(max_norm)) / (epsilon + norm)
    scaled = [as_array(g) * factor for g in tensor_vars]
    return (scaled, norm) if return_norm else scaled
