"""What a reader is, and how what was read is split in two."""

import pathlib
from typing import Any, Callable, NamedTuple

import numpy as np

from minifer import layers

__all__ = ["Reader", "Wrong", "numbers", "shapes", "finite"]


class Wrong(Exception):
    """What was read is what no file may give, whatever stands in it."""


class Reader(NamedTuple):
    """A reader of files.

    Attributes
    ----------
    name : str
    kind : str
        Of ``formats.FORMATS``, or another name for a format that nothing there knows.
    make : function
        ``make(folder)`` writes a valid file, and what it needs around it, and returns
        the file's path.
    read : function
        ``read(path)`` returns ``(structure, numbers)``, or raises.
    outside : str
        Other people's library that decodes the file in this process, if there is one:
        where the process dies, that is counted apart.
    """

    name: str
    kind: str
    make: Callable[[pathlib.Path], pathlib.Path]
    read: Callable[[pathlib.Path], tuple[Any, bytes]]
    outside: str = ""


def numbers(arrays):
    """Bytes of arrays, one behind the other."""
    return b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)


def shapes(arrays):
    """Names, types and shapes."""
    return [(name, str(one.dtype), one.shape) for name, one in arrays.items()]


def finite(network):
    """The parameters; wrong if one is not finite."""
    values = layers.get_all_param_values(network)
    if not all(np.isfinite(one).all() for one in values):
        raise Wrong("parameters that are not finite")
    return [one.shape for one in values], numbers(values)
