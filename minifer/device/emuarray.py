"""Arrays in the emulator's memory.

An :class:`EmuArray` is to the emulator what CuPy's array is to a GPU, and keeps
the same distance from NumPy's: functions of NumPy that are given one work on it
and return one, nothing turns it into a NumPy array in passing, and the two do not
mix. Code that runs on the emulator does not fail on a GPU for a forgotten copy.

While a graph is captured every call is noted, to be made again, and what CuPy would
not capture is refused: to wait for the device, or to call cuBLAS.

>>> x = EmuArray(np.array([1.0, -2.0]))
>>> np.maximum(x, 0) + 1
EmuArray([2., 1.])
>>> x.sum().get()
array(-1.)
>>> x + np.array([1.0, 1.0])
Traceback (most recent call last):
    ...
TypeError: an EmuArray and a NumPy array do not mix: move one with minifer.device.arrays
"""

import functools
import operator

import numpy as np

from .recording import active, arrays_in, refuse, settled
from .refusals import ATTRIBUTES, HOST_NUMBERS, Flags, refuse_as_cupy

__all__ = ["EmuArray"]

#: Functions and methods that give another view of an array where they can.
VIEWS = {"reshape", "ravel", "transpose", "swapaxes", "moveaxis", "rollaxis",
         "squeeze", "expand_dims", "broadcast_to", "broadcast_arrays", "split",
         "array_split", "hsplit", "vsplit", "dsplit", "atleast_1d", "atleast_2d",
         "atleast_3d", "diagonal", "flip", "fliplr", "flipud", "rot90", "view",
         "astype", "permute_dims", "matrix_transpose", "getitem"}

#: Those for which CuPy has to wait: for numbers, or to know how many there are.
WAITS = {"get", "item", "tolist", "tobytes", "tofile", "dump", "dumps", "flat", "data",
         "ctypes", "array_equal", "array_equiv", "allclose", "nonzero", "flatnonzero",
         "argwhere", "unique", "compress", "extract", "sort", "argsort", "lexsort",
         "partition", "argpartition", "median", "percentile", "quantile"}

CUBLAS = {"matmul", "dot", "vdot", "inner", "tensordot", "einsum"}


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
        _refuse_wait("get()")
        return self._data.copy()

    @property
    def memory(self):
        """The NumPy array itself: what a kernel's pointer points to."""
        return self._data

    def __array__(self, *args, **kwargs):
        raise TypeError("an EmuArray does not become a NumPy array by itself: use "
                        "minifer.device.arrays.to_host")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        refuse_as_cupy(ufunc.__name__, method, inputs, kwargs)
        if method == "__call__":  # CuPy's results are so, however its inputs lie
            kwargs["order"] = "C"
        return _call(getattr(ufunc, method), ufunc.__name__, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        refuse_as_cupy(function.__name__, None, args, kwargs)
        return _call(function, function.__name__, args, kwargs)

    def __getattr__(self, name):
        """Everything else that an array has: shape, dtype, reshape, sum, …"""
        if name.startswith("__") or name in ATTRIBUTES:
            raise AttributeError(f"{name}: CuPy's arrays have none")
        if name in WAITS:
            _refuse_wait(f".{name}")
        found = getattr(self._data, name)
        if not callable(found):
            return _wrap(settled(found), [self])
        return functools.partial(self._method, found, name)

    def _method(self, function, name, *args, **kwargs):
        refuse_as_cupy(name, None, args, kwargs)
        return _call(function, name, args, kwargs, of=self)

    @property
    def flags(self):
        """How it lies in memory: ``flags.c_contiguous`` and the like."""
        return Flags(self._data.flags)

    def __getitem__(self, key):
        return _call(_element_or_part, "getitem", (self, key), {})

    def __setitem__(self, key, value):
        _call(operator.setitem, "setitem", (self, key, value), {})

    def __len__(self):
        return len(self._data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        _refuse_wait("bool()")
        return bool(self._data)

    def __int__(self):
        return int(self._number("int()"))

    def __float__(self):
        return float(self._number("float()"))

    def _number(self, what):
        _refuse_wait(what)
        if self._data.ndim:
            raise TypeError(f"{what}: expected an array of no axes, got one of shape "
                            f"{self._data.shape}")
        return self._data

    def __repr__(self):
        return f"Emu{self._data!r}".replace("Emuarray", "EmuArray")


def _call(function, name, args, kwargs, of=None):
    """Call a function of NumPy with the memory of these arrays; note it if asked to."""
    given = _emu_arrays((of, args, kwargs))
    args, kwargs = (_unwrap(one, name in HOST_NUMBERS) for one in (args, kwargs))
    recording = active()
    if recording is None:
        return _wrap(settled(function(*args, **kwargs)), given)
    _check_capture(function, name, args, of)
    memory = [array.memory for array in given]
    return _wrap(recording.call(
        function, args, kwargs, given=memory, writes=memory,
        is_node=lambda result, made: _is_node(name, result, made)), given)


def _is_node(name, result, made):
    """Whether a GPU would have something to do."""
    if name == "empty_like" or result is not None and not arrays_in(result):
        return False
    return bool(made) or name not in VIEWS


def _check_capture(function, name, args, of):
    """Refuse what CuPy could not capture, or would capture wrongly."""
    operands = ([] if of is None else [of.memory]) + list(args)
    if name in WAITS or name == "where" and len(args) == 1:
        _refuse_wait(name)
    module = getattr(function, "__module__", None) or ""
    vectors = name != "einsum" and all(  # which CuPy multiplies and sums by itself
        isinstance(one, np.ndarray) and one.ndim == 1 for one in operands[:2])
    if name in CUBLAS and not vectors or (
            module.startswith("numpy.linalg") and name != "norm"):
        refuse(f"{name}, which is cuBLAS's: use a kernel")
    if name in ("getitem", "setitem"):
        for one in args[1] if isinstance(args[1], tuple) else args[1:2]:
            if isinstance(one, list):
                refuse("a list as an index, which is copied from the host")
            if isinstance(one, np.ndarray) and one.dtype == bool:
                _refuse_wait("the elements of a mask")
    if name == "fill" and isinstance(args[0], np.ndarray):
        _refuse_wait("fill with an array")


def _refuse_wait(what):
    refuse(f"{what}, which waits for the device")


def _element_or_part(array, key):
    """``array[key]``; a single element is a view too, as CuPy's is."""
    found = array[key]
    if isinstance(found, np.generic):
        return array[(*key, ...) if isinstance(key, tuple) else (key, ...)]
    return found


def _emu_arrays(value):
    """All EmuArrays in a value, also inside tuples, lists and dicts."""
    if isinstance(value, EmuArray):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [array for one in value for array in _emu_arrays(one)]


def _unwrap(value, numbers):
    """The NumPy arrays inside; a NumPy array that was there before is a mistake, but
    for one of no axes where those are taken."""
    if isinstance(value, EmuArray):
        return value.memory
    if isinstance(value, np.ndarray) and not (numbers and value.ndim == 0):
        raise TypeError("an EmuArray and a NumPy array do not mix: move one with "
                        "minifer.device.arrays")
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrap(one, numbers) for one in value)
    if isinstance(value, dict):
        return {key: _unwrap(one, numbers) for key, one in value.items()}
    return value


def _wrap(value, given=()):
    """Arrays come back as arrays of the device; those that were given, as they are."""
    if isinstance(value, np.ndarray):
        same = [array for array in given if array.memory is value]
        return same[0] if same else EmuArray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_wrap(one, given) for one in value)
    return value
