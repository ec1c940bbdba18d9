"""From CUDA text to a call: read, specialise, compile at first use, check, launch.

A kernel's signature says all that is needed to check a call. Each pointer names its
number of elements in terms of the scalars::

    extern "C" __global__ void scale(const real* x /*[n]*/, real* y /*[n]*/,
                                     real factor, index_t n)

so ``kernel("demo.cu", "scale", x)(x, y, 2.0, n, threads=n)`` can refuse an array of
another length or type before a GPU writes where it should not. ``[n]?`` marks a
pointer that may be None. A size may also name a macro that the kernel was compiled
with, ``kernel(file, name, x, C=32)``. A ``TENSOR_MAP`` is a
:class:`~minifer.cuda.tensor_map.TensorMap`.
"""

import ast
import functools
import hashlib
import operator
import re

import numpy as np

from ..device.arrays import (current_gpu, device_of, explained, raw_module,
                             shared_memory)
from ..errors import KernelError
from .folder import FOLDER
from .tensor_map import TensorMap

__all__ = ["FOLDER", "Kernel", "kernel", "only", "source_of", "signatures"]

BLOCK = 256
ALLOWED = 48 * 1024  # bytes of shared memory that a block gets without asking

TYPES = {"float": np.float32, "double": np.float64, "int": np.int32,
         "index_t": np.int64, "long long": np.int64, "unsigned char": np.uint8,
         "unsigned int": np.uint32, "unsigned long long": np.uint64}

ONLY = re.compile(r"^// only (sm_\d+a)$", re.MULTILINE)
SIGNATURE = re.compile(r'extern\s+"C"\s+__global__\s+void\s+'
                       r'(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\((.*?)\)\s*\{',
                       re.DOTALL)
PARAMETER = re.compile(r'(const\s+)?([\w ]+?)\s*(\*)?\s*(?:__restrict__\s*)?(\w+)\s*'
                       r'(?:/\*\[(.*?)\](\??)\*/)?$', re.DOTALL)


class Parameter:
    """One parameter of a kernel: its type, its name and, for a pointer, its size.

    Parameters
    ----------
    text : str
        Its text in the source, such as ``const real* x /*[n]*/``.
    """

    def __init__(self, text):
        match = PARAMETER.match(text.strip())
        if not match or match[2] not in (*TYPES, "real", "TENSOR_MAP"):
            raise KernelError("kernel parameter: expected a type of kernels/common.cuh "
                              f"and a name, got {text.strip()!r}.")
        _, self.type, star, self.name, self.size, optional = match.groups()
        self.pointer, self.optional = bool(star), bool(optional)
        self.is_map = self.type == "TENSOR_MAP"
        if self.pointer and not self.size:
            raise KernelError(f"kernel parameter {self.name!r}: expected its number of "
                              "elements behind it, /*[n]*/, got none.")

    def dtype(self, real):
        """The NumPy type, where ``real`` is the one the file was compiled for."""
        return np.dtype(real if self.type == "real" else TYPES[self.type])


@functools.lru_cache(maxsize=None)
def source_of(file):
    """The text of a ``.cu`` file: a name in ``kernels/``, or a path of your own."""
    try:
        return (FOLDER / file).read_text("utf-8")
    except OSError as error:
        raise KernelError(f"{file}: expected a CUDA source in {FOLDER}, got "
                          f"{error.strerror}.") from error


@functools.lru_cache(maxsize=None)
def headers_digest():
    """A short fingerprint of everything that kernels include."""
    texts = [path.read_bytes() for path in sorted(FOLDER.glob("*.cuh"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def only(file):
    """The one architecture that a file is meant for, such as ``"sm_90a"``, or None.

    A file says so in a line ``// only sm_90a``. What has an ``a`` in its name is not
    part of the GPUs to come.
    """
    match = ONLY.search(source_of(file))
    return match and match[1]


@functools.lru_cache(maxsize=None)
def signatures(file):
    """All kernels of a file: dict of name -> tuple of Parameter."""
    return {name: tuple(Parameter(part) for part in text.split(","))
            for name, text in SIGNATURE.findall(source_of(file))}


def kernel(file, name, like, **defines):
    """A kernel, compiled for the device and the type of an array.

    Parameters
    ----------
    file : str
        A name in ``kernels/``, such as ``"pool.cu"``, or a path.
    name : str
    like : device array
        A float32 or float64 array gives ``real`` its type; for others it is float.
    **defines : int or str
        Macros to compile it with.

    Returns
    -------
    Kernel
    """
    real = like.dtype.name if like.dtype.kind == "f" else "float32"
    if real not in ("float32", "float64"):
        raise KernelError(f"kernel {name}: expected float32 or float64 arrays, got "
                          f"{real}. Cast them with astype.")
    return _kernel(str(file), name, device_of(like), real,
                   tuple(sorted((k, str(v)) for k, v in defines.items())))


@functools.lru_cache(maxsize=None)
def _kernel(file, name, device, real, defines):
    if name not in signatures(file):
        raise KernelError(f"{file}: expected a kernel {name!r}, got only "
                          f"{', '.join(signatures(file))}.")
    module = _module(file, device, real, defines)
    sizes = {key: int(value) for key, value in defines if value.isdigit()}
    with explained():
        function = module.get_function(name)
    return Kernel(name, signatures(file)[name], function, device, real, sizes)


@functools.lru_cache(maxsize=None)
def _module(file, device, real, defines):
    """The compiled file; on a GPU, NVRTC compiles it when it is first called."""
    defines = {"REAL": "double" if real == "float64" else "float", **dict(defines)}
    if device == "emu":
        from .emulator import EmuModule
        return EmuModule(FOLDER / file, defines)
    if device == "cuda":
        # CuPy keeps what it compiled by text and options, not by what is included.
        defines["HEADERS"] = headers_digest()
        options = [f"-D{key}={value}" for key, value in defines.items()]
        if only(file):
            options.append(f"-arch={only(file)}")
        return raw_module(source_of(file), (*options, f"-I{FOLDER}"))
    raise KernelError(f"{file}: expected arrays on 'cuda' or 'emu', got them on "
                      f"'{device}'. Move them with minifer.device.arrays.to_device.")


class Kernel:
    """A kernel that can be called; see :func:`kernel`.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
    function : callable
        ``function(grid, block, args, shared_mem=...)``.
    device : {'cuda', 'emu'}
    real : str
        The dtype that ``real`` stands for.
    sizes : dict of str -> int
        Macros it was compiled with; the sizes of pointers may name them.
    """

    def __init__(self, name, parameters, function, device, real, sizes={}):
        self.name, self.parameters, self.function = name, parameters, function
        self.device, self.real, self.sizes = device, real, sizes
        self.allowed = {}  # GPU -> bytes of shared memory that it has been asked for

    def __call__(self, *args, threads=None, grid=None, block=BLOCK, shared=0):
        """Check the arguments and launch.

        Parameters
        ----------
        *args : device arrays and numbers
            The arguments, in the order of the signature.
        threads : int, optional
            At least so many threads in one row of blocks; none for 0.
        grid : int or tuple, optional
            Blocks; given in place of ``threads``.
        block : int or tuple, default 256
            Threads of a block.
        shared : int
            Bytes of dynamic shared memory; above 48 KB a GPU must be asked for
            them, and newer ones have more.

        Raises
        ------
        KernelError
            If an argument does not fit the signature.
        """
        ready = self._checked(args)
        block = _three(block)
        if grid is None:
            grid = -(-threads // (block[0] * block[1] * block[2]))
        grid = _three(grid)
        if 0 in grid:
            return
        if shared > ALLOWED:
            self._allow(shared)
        with explained():
            self.function(grid, block, ready, shared_mem=shared)

    def _allow(self, shared):
        """Ask for more shared memory than a block gets by itself; once on each GPU."""
        gpu = current_gpu(self.device)
        if shared <= self.allowed.get(gpu, 0):
            return
        most = shared_memory(self.device)
        if shared > most:
            self._fail(f"at most {most} bytes of shared memory, which is what a block "
                       "can have here", str(shared))
        if self.device == "cuda":
            with explained():
                self.function.max_dynamic_shared_size_bytes = shared
        self.allowed[gpu] = shared

    def _checked(self, args):
        if len(args) != len(self.parameters):
            self._fail(f"{len(self.parameters)} arguments "
                       f"({', '.join(p.name for p in self.parameters)})",
                       str(len(args)))
        ready = [a if p.pointer else self._map(p, a) if p.is_map else self._scalar(p, a)
                 for p, a in zip(self.parameters, args)]
        scalars = self.sizes | {p.name: int(a) for p, a in zip(self.parameters, ready)
                                if not p.pointer and isinstance(a, np.integer)}
        return [self._array(p, a, scalars) if p.pointer else a
                for p, a in zip(self.parameters, ready)]

    def _map(self, parameter, value):
        if not isinstance(value, TensorMap) or value.device != self.device:
            self._fail(f"{parameter.name} as a TensorMap of an array on "
                       f"'{self.device}'", type(value).__name__)
        return value.encoded() if self.device == "cuda" else value

    def _scalar(self, parameter, value):
        dtype = parameter.dtype(self.real)
        if dtype.kind in "iu" and not (
                np.iinfo(dtype).min <= int(value) <= np.iinfo(dtype).max):
            self._fail(f"{parameter.name} as {parameter.type}", str(value))
        return dtype.type(value)

    def _array(self, parameter, array, scalars):
        name = parameter.name
        if array is None and parameter.optional:
            return np.uintp(0) if self.device == "cuda" else None
        if array is None or device_of(array) != self.device:
            self._fail(f"{name} on '{self.device}'",
                       "none" if array is None else f"it on '{device_of(array)}'")
        dtype = parameter.dtype(self.real)
        if array.dtype != dtype and not (array.dtype == bool and dtype == np.uint8):
            self._fail(f"{name} of {dtype}", str(array.dtype))
        if not array.flags.c_contiguous:
            self._fail(f"{name} contiguous", "gaps between its elements")
        if array.size != size_of(parameter.size, scalars):
            self._fail(f"{name} of {parameter.size} = "
                       f"{size_of(parameter.size, scalars)} elements", str(array.size))
        return array if self.device == "cuda" else array.memory

    def _fail(self, expected, got):
        raise KernelError(f"kernel {self.name}: expected {expected}, got {got}.")


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
             ast.Div: operator.floordiv, ast.FloorDiv: operator.floordiv,
             ast.Mod: operator.mod}


def size_of(text, scalars):
    """The value of a size such as ``N*C*(H/2)``, with C's whole-number division."""
    def value(node):
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.Name) and node.id in scalars:
            return scalars[node.id]
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        raise KernelError(f"kernel size [{text}]: expected whole-number parameters and "
                          "+ - * / %, got something else.")
    return value(_parsed(text))


@functools.lru_cache(maxsize=None)
def _parsed(text):
    return ast.parse(text.strip(), mode="eval").body


def _three(size):
    size = size if isinstance(size, tuple) else (size,)
    return tuple(int(n) for n in size) + (1,) * (3 - len(size))
