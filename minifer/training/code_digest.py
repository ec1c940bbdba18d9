"""Digests of functions: of their code, and of the values that they work with.

Neither depends on addresses, on the order of sets, or on where a file lies.
"""

import dis
import functools
import json
import os
import random
import re
import sys
import types

import numpy as np

from ..device.arrays import on_gpu, to_host
from ..files import digest

__all__ = ["Digests", "is_library", "name_of"]

#: Deeper than this, only the types of things count.
DEPTH = 60

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LIBRARIES = re.compile(r"[\\/](site|dist)-packages[\\/]")
_PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes, bytearray)


def is_library(thing):
    """Whether a thing is of minifer, Python or an installed library, and no other's.

    A ``functools.partial``, a bound method and a wrapper are not: they hold others.
    """
    if isinstance(thing, (functools.partial, types.MethodType)) or _wraps(thing):
        return False
    if isinstance(thing, types.FunctionType):  # where its code is, whatever it wraps
        module = thing.__globals__.get("__name__", "")
    else:
        module = getattr(thing if isinstance(thing, (type, types.BuiltinFunctionType))
                         else type(thing), "__module__", None) or "builtins"
    top = module.partition(".")[0]
    if top == "__main__" or top == "builtins" and isinstance(thing, types.FunctionType):
        return False
    if top in sys.stdlib_module_names or top in ("minifer", "numpy"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return bool(_LIBRARIES.search(os.path.normpath(file)))


def name_of(function):
    """What a function, or the class of an object, is called."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _wraps(thing):
    """Whether an object stands for a function, as that of ``functools.lru_cache``."""
    return (not isinstance(thing, (type, types.FunctionType))
            and "__wrapped__" in getattr(thing, "__dict__", ()))


class Digests:
    """Two digests of a function, or of an object that can be called.

    Parameters
    ----------
    function : callable
    without : sequence of objects
        Things whose contents do not count.

    Attributes
    ----------
    values : str
        A digest of all data that it works with.
    code : str
        A digest of the code it runs, as far as it is of no library.
    python : str
        The Python for which that holds.
    """

    python = f"{sys.implementation.cache_tag}-O{sys.flags.optimize}"

    def __init__(self, function, without=()):
        self._codes, self._seen = [], {}
        self._kept = list(without)  # an id belongs to a thing that is still there
        for thing in without:
            self._seen[id(thing)] = len(self._seen)
        values = self._walk(function, 0)
        self.values = digest(json.dumps(values).encode())
        self.code = digest(json.dumps(self._codes).encode())

    def _walk(self, thing, depth):
        """A thing as plain data, the same in every process."""
        if isinstance(thing, _PLAIN) and type(thing) in _PLAIN:
            return [type(thing).__name__, repr(thing)]
        if id(thing) in self._seen:
            return ["again", self._seen[id(thing)]]
        self._seen[id(thing)] = len(self._seen)
        self._kept.append(thing)
        if depth > DEPTH:
            return ["deep", type(thing).__qualname__]
        return self._describe(thing, lambda one: self._walk(one, depth + 1))

    def _describe(self, thing, walk):
        if isinstance(thing, (np.ndarray, np.generic)) or on_gpu(thing):
            return _array(np.asarray(to_host(thing)), walk)
        if isinstance(thing, dict):
            return ["dict", _sorted([walk(k), walk(v)] for k, v in thing.items())]
        if isinstance(thing, (set, frozenset)):
            return ["set", _sorted(map(walk, thing))]
        if isinstance(thing, (list, tuple)):
            return [type(thing).__name__, [walk(one) for one in thing]]
        if isinstance(thing, types.ModuleType):
            return ["module", thing.__name__]
        if isinstance(thing, functools.partial):
            return ["partial", *map(walk, (thing.func, thing.args, thing.keywords))]
        if isinstance(thing, types.MethodType):
            return ["method", walk(thing.__self__), walk(thing.__func__)]
        if isinstance(thing, (staticmethod, classmethod)):
            return ["method", walk(thing.__func__)]
        if isinstance(thing, property):
            return ["property", *map(walk, (thing.fget, thing.fset, thing.fdel))]
        if isinstance(thing, types.FunctionType) and not is_library(thing):
            return self._function(thing, walk)
        if isinstance(thing, type):
            return ["class", f"{thing.__module__}.{thing.__qualname__}"] if is_library(
                thing) else self._class(thing, walk)
        if _wraps(thing):
            return ["wrapped", walk(thing.__wrapped__)]
        return self._object(thing, walk)

    def _function(self, function, walk):
        code = function.__code__
        self._codes.append(_code(code, function.__doc__))
        cells = []
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            try:
                cells.append([name, walk(cell.cell_contents)])
            except ValueError:  # a name that has no value yet
                cells.append([name, None])
        around = function.__globals__
        used = [[name, walk(around[name])] for name in sorted(_globals(code))
                if name in around]
        return ["function", walk(function.__defaults__), walk(function.__kwdefaults__),
                cells, used]

    def _class(self, kind, walk):
        skipped = {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__",
                   "__firstlineno__", "__static_attributes__", "__annotations__",
                   "__annotate__", "__annotate_func__", "__annotations_cache__"}
        members = [[name, walk(value)] for name, value in sorted(vars(kind).items())
                   if name not in skipped and not isinstance(
                       value, (types.MemberDescriptorType,
                               types.GetSetDescriptorType))]
        return ["class", [walk(base) for base in kind.__bases__], members]

    def _object(self, thing, walk):
        kind, told = type(thing), getattr(type(thing), "to_dict", None)
        if told is not None and not is_library(told):
            return ["object", kind.__qualname__, walk(thing.to_dict())]
        if isinstance(thing, np.random.Generator):
            return ["random", walk(thing.bit_generator.state)]
        if isinstance(thing, np.random.RandomState):
            return ["random", walk(thing.get_state(legacy=False))]
        if isinstance(thing, random.Random):
            return ["random", walk(thing.getstate())]
        if is_library(thing) and kind.__module__.partition(".")[0] != "minifer":
            name = getattr(thing, "__qualname__", None) or repr(thing)
            return ["library", kind.__qualname__, _ADDRESS.sub("", name),
                    [[name, walk(one)] for name, one in sorted(getattr(
                        thing, "__dict__", {}).items())
                     if callable(one) and not is_library(one)]]
        held = {**{name: getattr(thing, name) for one in kind.__mro__
                   for name in _slots(one) if hasattr(thing, name)},
                **getattr(thing, "__dict__", {})}
        return ["object", walk(kind), walk(held)]


def _array(array, walk):
    if array.dtype.hasobject:
        return ["array", array.shape, walk(array.tolist())]
    return ["array", array.dtype.str, array.shape,
            digest(np.ascontiguousarray(array).tobytes())]


def _sorted(items):
    return sorted(items, key=json.dumps)


def _slots(kind):
    names = vars(kind).get("__slots__", ())
    return [name for name in ([names] if isinstance(names, str) else names)
            if name not in ("__dict__", "__weakref__")]


def _globals(code):
    """Names of the global variables that code reads, that inside it too."""
    names = {one.argval for one in dis.get_instructions(code)
             if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals(one) for one in code.co_consts
                         if isinstance(one, types.CodeType)))


def _code(code, doc=None):
    """What code does, without its lines, its file and its docstring."""
    constants = list(code.co_consts)
    if constants and doc is not None and constants[0] == doc:
        constants[0] = None
    return [code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars,
            code.co_cellvars, code.co_argcount, code.co_posonlyargcount,
            code.co_kwonlyargcount, list(map(_constant, constants))]


def _constant(value):
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):
        return ["set", _sorted(map(_constant, value))]
    if isinstance(value, tuple):
        return ["tuple", list(map(_constant, value))]
    return [type(value).__name__, repr(value)]
