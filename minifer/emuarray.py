"""Arrays in the emulator's memory.

An :class:`EmuArray` is to the emulator what CuPy's array is to a GPU, and keeps
the same distance from NumPy's: functions of NumPy that are given one work on it
and return one, nothing turns it into a NumPy array in passing, and the two do not
mix. Code that runs on the emulator does not fail on a GPU for a forgotten copy.

>>> x = EmuArray(np.array([1.0, -2.0]))
>>> np.maximum(x, 0) + 1
EmuArray([2., 1.])
>>> x.sum().get()
array(-1.)
>>> x + np.array([1.0, 1.0])
Traceback (most recent call last):
    ...
TypeError: an EmuArray and a NumPy array do not mix: move one with minifer.backend
"""

import numpy as np

__all__ = ["EmuArray"]


class EmuArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of the device ``emu``.

    Parameters
    ----------
    data : numpy.ndarray
        The memory, which is not copied.
    """

    def __init__(self, data):
        self._data = data

    def get(self):
        """A NumPy copy, as CuPy's method of this name returns."""
        return self._data.copy()

    @property
    def memory(self):
        """The NumPy array itself: what a kernel's pointer points to."""
        return self._data

    def __array__(self, *args, **kwargs):
        raise TypeError("an EmuArray does not become a NumPy array by itself: use "
                        "minifer.backend.to_host")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return _wrap(getattr(ufunc, method)(*_unwrap(inputs), **_unwrap(kwargs)))

    def __array_function__(self, function, types, args, kwargs):
        return _wrap(function(*_unwrap(args), **_unwrap(kwargs)))

    def __getattr__(self, name):
        """Everything else that an array has: shape, dtype, reshape, sum, …"""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._data, name)
        if not callable(found):
            return _wrap(found)
        return lambda *args, **kwargs: _wrap(found(*_unwrap(args), **_unwrap(kwargs)))

    def __getitem__(self, key):
        return _wrap(self._data[_unwrap(key)])

    def __setitem__(self, key, value):
        self._data[_unwrap(key)] = _unwrap(value)

    def __len__(self):
        return len(self._data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self._data)

    def __int__(self):
        return int(self._data)

    def __float__(self):
        return float(self._data)

    def __index__(self):
        return self._data.__index__()

    def __repr__(self):
        return f"Emu{self._data!r}".replace("Emuarray", "EmuArray")


def _unwrap(value):
    """The NumPy arrays inside; a NumPy array that was there before is a mistake."""
    if isinstance(value, EmuArray):
        return value.memory
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("an EmuArray and a NumPy array do not mix: move one with "
                        "minifer.backend")
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrap(one) for one in value)
    if isinstance(value, dict):
        return {key: _unwrap(one) for key, one in value.items()}
    return value


def _wrap(value):
    """Arrays and NumPy's scalars come back as arrays of the device, as from CuPy."""
    if isinstance(value, (np.ndarray, np.generic)):
        return EmuArray(np.asarray(value))
    if isinstance(value, (tuple, list)) and any(
            isinstance(one, np.ndarray) for one in value):
        return type(value)(_wrap(one) for one in value)
    return value
