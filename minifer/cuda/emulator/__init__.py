"""CUDA kernels without a GPU: the same text, compiled by g++ and run on the CPU.

Slow, but exact about the rules. Every thread of a kernel runs on its own, barriers
and shuffles included, each load and store is checked, and a fault becomes a
:class:`~minifer.errors.KernelError` that names kernel, block, thread and line.
"""

import contextlib
import contextvars
import ctypes
import functools
import os
import re

import numpy as np

from ...device.recording import active
from ...errors import KernelError, SettingError
from . import build
from .build import available

__all__ = ["EmuModule", "schedule", "available"]

ORDERS = {"forward": -1, "reverse": -2, "fair": -3}

_conditions = contextvars.ContextVar("conditions", default=(ORDERS["forward"], False))


@contextlib.contextmanager
def schedule(order="forward", races=False):
    """Choose in which order the emulator runs threads, and whether it seeks races.

    A sound kernel gives the same bits in every order.

    Parameters
    ----------
    order : {'forward', 'reverse', 'fair'} or int
        Threads run until they wait for others. Then comes the first that can run
        ('forward': one warp gets far ahead), the last, each in turn, or one drawn
        with this seed (0 … 2**31 - 2).
    races : bool, default False
        Whether it is a fault, too, if two threads touch the same memory, one of them
        writes, and the kernel does not say which comes first. Takes longer, and 192
        bytes for each element that the kernel touches.
    """
    if order not in ORDERS and not (isinstance(order, int) and 0 <= order < 2**31 - 1):
        raise SettingError(f"schedule: expected one of {', '.join(ORDERS)} or a seed "
                           f"from 0 to 2**31 - 2, got {order!r}.")
    token = _conditions.set((ORDERS.get(order, order), bool(races)))
    try:
        yield
    finally:
        _conditions.reset(token)


class Index(ctypes.Structure):
    """CUDA's uint3."""

    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]


class Place(ctypes.Structure):
    """The struct Place of internals.h."""

    _fields_ = [("code", ctypes.c_ulong), ("where", ctypes.c_char * 512)]


class Fault(ctypes.Structure):
    """The struct Fault of internals.h."""

    _fields_ = [("found", ctypes.c_int), ("block", Index), ("thread", Index),
                ("place", Place), ("other", Place), ("text", ctypes.c_char * 1024)]


class Array(ctypes.Structure):
    """The struct Array of internals.h."""

    _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_ulong),
                ("item", ctypes.c_int), ("constant", ctypes.c_int),
                ("number", ctypes.c_int)]


@functools.lru_cache(maxsize=None)
def _launch(path):
    launch = ctypes.CDLL(str(path)).emu_launch
    launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                       ctypes.c_void_p, ctypes.c_int, Index, Index, ctypes.c_ulong,
                       ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return launch


class EmuModule:
    """The kernels of a ``.cu`` file, to be run on the CPU.

    Parameters
    ----------
    path : path-like
        The CUDA source.
    defines : dict, optional
        Macros, such as ``{"REAL": "double"}``.
    sanitize : {None, 'thread'}
        With 'thread', races are always sought: see :func:`schedule`.

    Raises
    ------
    BackendUnavailable
        Without g++.
    KernelError
        If g++ does not accept the source.
    """

    def __init__(self, path, defines=None, sanitize=None):
        if sanitize not in (None, "thread"):
            raise SettingError("sanitize: expected None or 'thread', got "
                               f"{sanitize!r}.")
        self.path, self.races = os.fspath(path), sanitize == "thread"
        self.library_path = build.kernel_library(path, defines or {})
        self.library = ctypes.CDLL(str(self.library_path))
        self.launch = _launch(build.runtime_library())

    def get_function(self, name):
        """The kernel of this name: see :class:`EmuFunction`."""
        if not hasattr(self.library, f"emu_call_{name}"):
            raise KernelError(f"{self.path}: expected a kernel {name!r}, found none.")
        return EmuFunction(self, name)


class EmuFunction:
    """A kernel; call it as CuPy's RawKernel, with NumPy's arrays and scalars.

    ``function(grid, block, args, shared_mem=0)``: blocks (x, y, z), threads of a
    block (x, y, z), arguments in the order of the signature, bytes of dynamic shared
    memory. An array may be None for a null pointer. While a graph is captured the
    launch is noted, to be made again.
    """

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.call = ctypes.cast(getattr(module.library, f"emu_call_{name}"),
                                ctypes.c_void_p)
        self.data = ctypes.addressof(ctypes.c_char.in_dll(module.library, "emu_module"))
        kinds = getattr(module.library, f"emu_kinds_{name}")
        kinds.restype = ctypes.c_char_p
        text = kinds()
        self.kinds = text[:len(text) // 2].decode()
        self.sizes = tuple(text[len(text) // 2:])

    def __call__(self, grid, block, args, shared_mem=0):
        recording = active()
        if recording is None:
            self._run(grid, block, args, shared_mem)
        else:
            recording.call(self._run, (grid, block, tuple(args), shared_mem),
                           writes=[a for a, kind in zip(args, self.kinds)
                                   if kind == "p" and a is not None])

    def _run(self, grid, block, args, shared_mem):
        grid, block = Index(*grid), Index(*block)
        if not 1 <= block.x * block.y * block.z <= 1024:
            self._refuse("1 to 1024 threads in a block", block.x * block.y * block.z)
        if not grid.x * grid.y * grid.z:
            self._refuse("at least one block", "none")
        if len(args) != len(self.kinds):
            self._refuse(f"{len(self.kinds)} arguments", len(args))
        arrays, values = [], []
        for number, (value, kind, size) in enumerate(zip(args, self.kinds, self.sizes)):
            if kind in "fi":
                values.append(self._scalar(value, kind, size, number))
                continue
            if kind == "t":
                values.append((ctypes.c_char * size).from_buffer_copy(value.encoded()))
                arrays.append(self._array(value.array.memory, "c", 4, number))
                continue
            values.append(ctypes.c_void_p())
            if value is not None:
                arrays.append(self._array(value, kind, size, number))
        places = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        order, races = _conditions.get()
        fault = Fault()
        if self.module.launch(self.call, self.data, places,
                              (Array * len(arrays))(*arrays), len(arrays), grid, block,
                              shared_mem, order, races or self.module.races,
                              ctypes.addressof(fault)):
            raise KernelError(self._described(fault))

    def _scalar(self, value, kind, size, number):
        if (not isinstance(value, np.generic) or value.dtype.itemsize != size
                or (value.dtype.kind == "f") != (kind == "f")):
            what = "float" if kind == "f" else "int"
            self._refuse(f"argument {number} as a NumPy {what}"
                         f" of {size} bytes", f"{type(value).__name__} {value!r}")
        return (ctypes.c_char * size).from_buffer_copy(value.tobytes())

    def _array(self, value, kind, size, number):
        if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
            self._refuse(f"argument {number} as a contiguous NumPy array",
                         type(value).__name__)
        if value.size and value.dtype.itemsize != size:
            self._refuse(f"argument {number} with elements of {size} bytes",
                         value.dtype)
        if kind == "p" and not value.flags.writeable:
            self._refuse(f"argument {number} to be writeable", "it read-only")
        return Array(value.__array_interface__["data"][0], value.nbytes,
                     size, kind == "c", number)

    def _refuse(self, expected, got):
        raise KernelError(f"kernel {self.name}: expected {expected}, got {got}.")

    def _described(self, fault):
        """The message of a fault, with names in place of numbers."""
        names = build.parameter_names(self.module.path, self.name)
        library = self.module.library_path
        text = re.sub(r"\{(\d+)\}", lambda match: names[int(match[1])],
                      fault.text.decode())
        text = re.sub(r"\{\+(\d+)\}",
                      lambda match: build.variable_at(library, int(match[1])), text)
        text = text.replace("{@}", _line(fault.other, library))
        block, thread = (f"({at.x}, {at.y}, {at.z})" for at in (fault.block,
                                                                fault.thread))
        return (f"kernel {self.name}, block {block}, thread {thread}, "
                f"{_line(fault.place, library)}: {text}.")


def _line(place, library):
    return os.path.basename(place.where.decode() or
                            build.line_of(library, place.code))
