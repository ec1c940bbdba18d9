"""Parameters: named arrays that training changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from .. import config
from .._types import Array
from ..errors import ShapeError
from ..expressions import DerivedParam, Expression, Param

__all__ = ["Param", "DerivedParam", "create_param", "device_of_params"]


#: What a parameter may be made of; see :func:`create_param`.
Spec = Union[Expression, Array, Callable[..., Any]]


def device_of_params(params):
    """Where parameters are, by the first of them; the CPU if there are none."""
    return next((param.device for param in params), "cpu")


def unit_axes(ndim):
    """Axes of one unit's incoming weights, of a parameter with so many axes.

    Returns
    -------
    tuple of int, or None
        (0,) of a matrix (D, U), all but the first of filters (3 to 5 axes); None where
        there is no default.
    """
    if ndim == 2:
        return (0,)
    return tuple(range(1, ndim)) if 3 <= ndim <= 5 else None


def create_param(spec: Spec, shape: Sequence[int], name: str | None = None) -> Param:
    """Make a :class:`Param` of ``shape`` from whatever the user passed.

    Parameters
    ----------
    spec : Param, Expression, array or callable
        A parameter to share, an expression of parameters (such as ``other.W.T``), a
        value to copy, or an initialiser that is called with the shape, and gives one of
        these.
    shape : tuple of int
    name : str, optional

    Raises
    ------
    ShapeError
        If the shape is not positive or ``spec`` gives another one.
    """
    shape = tuple(shape)
    if any(not isinstance(n, (int, np.integer)) or n < 1 for n in shape):
        raise ShapeError(
            f"parameter '{name}': expected a shape of whole numbers >= 1, got "
            f"{shape}. An axis that is None in the input shape cannot size a "
            "parameter: give its length.")
    came = "an array"
    if isinstance(spec, Expression):
        came = "a shared parameter" if isinstance(spec, Param) else "an expression"
    elif callable(spec):
        spec, came = spec(shape), "an initialiser"
    if isinstance(spec, Param):
        param = spec
    elif isinstance(spec, Expression):
        param = DerivedParam(spec, name)
    else:
        param = Param(np.array(spec, config.floatX), name)
    if param.shape != shape:
        raise ShapeError(
            f"parameter '{name}': expected shape {shape}, got {came} that gives "
            f"{param.shape}.")
    if param.name is None:
        param.name = name
    return param
