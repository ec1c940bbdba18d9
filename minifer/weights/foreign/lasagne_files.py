"""Weights that Lasagne's users pickled: lists of arrays, or dicts with them.

Lasagne's model zoo and many scripts kept ``get_all_param_values(network)`` by
``pickle.dump``. Such a file is a program. Here it is run by
:mod:`minifer.weights.foreign.pickles`, which knows how to put numbers, strings, lists,
dicts and NumPy's arrays together, and nothing else.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from ..._types import FilePath
from ...errors import WeightsError, quoted
from ...files import reading
from .pickles import Refused, run_pickle

__all__ = ["read_lasagne"]


def read_lasagne(path: FilePath) -> Any:
    """Read a pickle of weights, such as ``vgg16.pkl`` of Lasagne's model zoo.

    Parameters
    ----------
    path : str
        A pickle, written by Python 2 or 3. Arrays that Python 2 wrote in protocol 0,
        as text, are not read.

    Returns
    -------
    list, dict, tuple or array
        What was pickled; text of Python 2 is read as Latin-1. The zoo's files are dicts
        whose ``"param values"`` is the list that :func:`set_all_param_values
        <minifer.layers.set_all_param_values>` takes.

    Raises
    ------
    WeightsError
        If it is no pickle, is damaged, or wants anything but numbers, text, lists,
        dicts and arrays of numbers.

    Examples
    --------
    Convert a file once, and load the copy by :func:`minifer.weights.load_params`::

        values = read_lasagne("vgg16.pkl")["param values"]
        np.savez("vgg16.npz", *values)
    """
    with reading(path, "a pickle of arrays", WeightsError) as file:
        content = file.read()
        try:
            return _finished(run_pickle(io.BytesIO(content), _names()))
        except Refused as refused:
            raise WeightsError(
                f"{path}: expected a pickle of numbers, got one that wants {refused}. "
                "It may be a program. If you trust it, load it with pickle, and save "
                "the values with np.savez.") from None


class _Dtype:
    """A type of numbers, which a pickle makes in two steps: its letters, its order."""

    def __init__(self, letters, align=False, copy=True):
        if not isinstance(letters, str):
            raise TypeError("expected letters of a type")
        self.letters, self.order = letters, "<"

    def set_state(self, state):
        """(version, order of bytes, and what only other types have)."""
        if state[1] not in ("<", ">", "|", "=") or any(
                part not in (None, -1, 0) for part in state[2:]):
            raise Refused("a type of other things than numbers")
        self.order = state[1]

    def made(self):
        """It as NumPy's."""
        dtype = np.dtype(self.letters).newbyteorder(self.order)
        if dtype.kind not in "fiub":
            raise Refused(f"an array of {quoted(self.letters)}")
        return dtype


class _Array:
    """An array, which a pickle makes empty and then fills."""

    def __init__(self, kind, shape, letter):
        self.state = None

    def set_state(self, state):
        """(version, shape, type, whether columns come first, bytes)."""
        _, self.shape, self.dtype, self.columns_first, self.content = state
        self.state = state

    def made(self):
        """It as NumPy's."""
        if self.state is None or not isinstance(self.dtype, _Dtype):
            raise ValueError("an array without numbers")
        if not all(type(n) is int and n >= 0 for n in self.shape):
            raise ValueError("an array of no shape")
        return _numbers(self.content, self.dtype, self.shape,
                        "F" if self.columns_first else "C")


def _from_buffer(content, dtype, shape, order):
    """An array in one step, as protocol 5 has it."""
    array = _Array(None, None, None)
    array.set_state((1, shape, dtype, order == "F", bytes(content)))
    return array


class _Scalar:
    """A number of NumPy's."""

    def __init__(self, dtype, content):
        self.dtype, self.content = dtype, content

    def made(self):
        """It as Python's."""
        return _numbers(self.content, self.dtype, (), "C").item()


def _numbers(content, dtype, shape, order):
    dtype = dtype.made()
    data = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} with other bytes than it needs")
    array = np.frombuffer(data, dtype).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="))


def _encode(text, encoding="latin1"):
    """How Python 3 writes bytes where it must write text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("an encoding")
    return text.encode("latin-1")


def _names():
    """All that a pickle of arrays may name."""
    names = {"numpy.ndarray": object(), "numpy.dtype": _Dtype,
             "_codecs.encode": _encode, "__builtin__.bytes": lambda: b""}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names |= {f"{module}._reconstruct": _Array, f"{module}.scalar": _Scalar}
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        names[f"{module}._frombuffer"] = _from_buffer
    return names


def _finished(value):
    """The same with NumPy's arrays."""
    if isinstance(value, (_Array, _Scalar)):
        return value.made()
    if isinstance(value, dict):
        return {name: _finished(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(one) for one in value)
    if isinstance(value, (str, bytes, int, float, type(None))):
        return value
    raise Refused(f"a {type(value).__name__}")
