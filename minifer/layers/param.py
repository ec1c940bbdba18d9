"""Parameters: named arrays that training changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from .. import config
from .._types import Array
from ..device.arrays import as_array, device_of, to_device, to_host
from ..errors import ShapeError

__all__ = ["Param", "create_param", "device_of_params"]


class Param:
    """An array with a name, whose shape never changes.

    Parameters
    ----------
    value : array
        Kept as is, without a copy.
    name : str, optional
        Such as ``"conv1.W"``.

    Attributes
    ----------
    value : array
        The current value, on its device; updates change it in place.
    """

    def __init__(self, value: Array, name: str | None = None):
        self.value = as_array(value)
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def device(self) -> str:
        """Where the value lives: 'cpu', 'cuda' or 'emu'."""
        return device_of(self.value)

    def to_device(self, device: str) -> None:
        """Move the value to a device, if it is not there."""
        self.value = to_device(self.value, device)

    def get_value(self) -> np.ndarray:
        """Return a copy of the value, as a NumPy array."""
        value = to_host(self.value)
        return value.copy() if value is self.value else value

    def set_value(self, value: Array) -> None:
        """Set the value, cast to the parameter's dtype; it stays on its device.

        Raises
        ------
        ShapeError
            If ``value`` has another shape.
        """
        value = to_host(value)
        if value.shape != self.shape:
            raise ShapeError(
                f"parameter '{self.name}': expected shape {self.shape}, got "
                f"{value.shape}. Values are never reshaped.")
        if self.device == "cpu":
            self.value = value.astype(self.dtype)
        else:  # into its place: it may be a part of a buffer
            self.value[...] = to_device(value.astype(self.dtype), self.device)

    def __repr__(self):
        return f"Param({self.name!r}, shape={self.shape}, {self.dtype})"


#: What a parameter may be made of; see :func:`create_param`.
Spec = Union[Param, Array, Callable[..., Any]]


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
    spec : Param, array or callable
        A parameter to share, a value to copy, or an initialiser that is
        called with the shape, and gives one or the other.
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
    if isinstance(spec, Param):
        param, came = spec, "a shared parameter"
    elif callable(spec):
        value, came = spec(shape), "an initialiser"
        param = (value if isinstance(value, Param)
                 else Param(np.array(value, config.floatX), name))
    else:
        param, came = Param(np.array(spec, config.floatX), name), "an array"
    if param.shape != shape:
        raise ShapeError(
            f"parameter '{name}': expected shape {shape}, got {came} that gives "
            f"{param.shape}.")
    if param.name is None:
        param.name = name
    return param
