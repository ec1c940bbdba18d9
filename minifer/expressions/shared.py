"""Values that stay from call to call: parameters, and what ``theano.shared`` made."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array, device_of, to_device, to_host
from ..errors import ShapeError
from .base import Expression

__all__ = ["Param", "SharedValue", "shared"]


class Param(Expression):
    """An array with a name, whose shape never changes; also an expression of itself.

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
    def value(self) -> Any:
        # Who has the array may write to it.
        self._handed_out = object()
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self._handed_out, self._value = object(), value

    def peek(self) -> Any:
        """The value for those who only read it, and do not keep it."""
        return self._value

    def mark(self) -> object | None:
        """What stays the same for as long as the value cannot have changed.

        Returns
        -------
        object or None
            Another one after each time that ``value`` was read or set; None where
            that says nothing, as the array, or its memory, is held elsewhere, too.
        """
        alone = (type(self._value) is np.ndarray and self._value.base is None
                 and self._holders() <= _ALONE)
        return self._handed_out if alone else None

    def _holders(self):
        """How many have the array, by CPython's count, which has its own additions."""
        return sys.getrefcount(self._value)

    def __setstate__(self, state):
        value = state.pop("value", None)  # as earlier versions pickled it
        self.__dict__.update(state)
        if value is not None:
            self.value = value

    def forward(self):
        return self.value, ()

    def backward(self, dvalue, cache):
        return (), {self: dvalue}

    @property
    def params(self):
        return (self,)

    @property
    def ndim(self) -> int:  # type: ignore[override]
        return self._value.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> np.dtype:
        return self._value.dtype

    @property
    def size(self) -> int:
        return self._value.size

    @property
    def device(self) -> str:
        """Where the value lives: 'cpu', 'cuda' or 'emu'."""
        return device_of(self._value)

    def to_device(self, device: str) -> None:
        """Move the value to a device, if it is not there."""
        self.value = to_device(self.value, device)

    def get_value(self, borrow: bool = False,
                  return_internal_type: bool = False) -> Any:
        """Return a copy of the value, as a NumPy array.

        Parameters
        ----------
        borrow : bool, default False
            Whether the array may be the value itself, where it is on the CPU.
        return_internal_type : bool, default False
            Whether it stays on its device.
        """
        value = self.value if borrow else self._value
        found = value if return_internal_type else to_host(value)
        return found.copy() if found is value and not borrow else found

    def set_value(self, new_value: Array, borrow: bool = False) -> None:
        """Set the value, cast to the parameter's dtype; it stays on its device.

        Parameters
        ----------
        new_value : array
        borrow : bool
            Without effect: the value is always copied.

        Raises
        ------
        ShapeError
            If ``new_value`` has another shape.
        """
        value = to_host(new_value)
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


#: What is counted of an array that is held nowhere else.
_ALONE = Param(np.zeros(0))._holders()


class SharedValue(Param):
    """A :class:`Param` whose shape may change: data, a rate, a state."""

    def set_value(self, new_value: Array, borrow: bool = False) -> None:
        """Set the value, cast to its dtype, of as many axes as before."""
        value = to_host(new_value)
        if value.ndim != self.value.ndim:
            raise ShapeError(f"shared '{self.name}': expected {self.value.ndim} axes, "
                             f"got shape {value.shape}.")
        if value.shape == self.shape:
            super().set_value(value)
        else:
            self.value = to_device(value.astype(self.dtype), self.device)


def shared(value: Any, name: str | None = None, borrow: bool = False,
           strict: bool = False, allow_downcast: bool | None = None,
           broadcastable: Any = None) -> SharedValue:
    """A value that functions share, that updates may change: ``theano.shared``.

    Parameters
    ----------
    value : array or number
        A plain number becomes an array without axes, of float64 or int64.
    name : str, optional
    borrow : bool, default False
        Whether the array itself is kept, in place of a copy.
    strict, allow_downcast, broadcastable
        Taken for Theano's sake: the dtype is that of ``value``, and every axis of
        length 1 may be stretched.

    Returns
    -------
    SharedValue
        Also a parameter, if given to a layer.

    Examples
    --------
    >>> rate = shared(0.1)
    >>> rate.set_value(rate.get_value() * 0.5)
    >>> float(2 * rate)
    0.1
    """
    array = as_array(value)
    return SharedValue(array if borrow and array is value else array.copy(), name)
