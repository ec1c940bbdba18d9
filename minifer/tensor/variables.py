"""Variables of all kinds: ``matrix("x")``, ``ivector("t")``, ``TensorType``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..expressions import Expression, Variable

__all__ = [
    "scalar", "vector", "row", "col", "matrix", "tensor3", "tensor4", "tensor5",
    "bscalar", "bvector", "brow", "bcol", "bmatrix", "btensor3", "btensor4", "btensor5",
    "iscalar", "ivector", "irow", "icol", "imatrix", "itensor3", "itensor4", "itensor5",
    "lscalar", "lvector", "lrow", "lcol", "lmatrix", "ltensor3", "ltensor4", "ltensor5",
    "fscalar", "fvector", "frow", "fcol", "fmatrix", "ftensor3", "ftensor4", "ftensor5",
    "dscalar", "dvector", "drow", "dcol", "dmatrix", "dtensor3", "dtensor4", "dtensor5",
    "wscalar", "wvector", "wrow", "wcol", "wmatrix", "wtensor3", "wtensor4", "wtensor5",
    "scalars", "vectors", "matrices", "tensor3s", "tensor4s", "TensorType",
    "TensorVariable"]

#: Theano's class of all expressions, for ``isinstance``.
TensorVariable = Expression

_AXES = {"scalar": 0, "vector": 1, "row": 2, "col": 2, "matrix": 2, "tensor3": 3,
         "tensor4": 4, "tensor5": 5}
_KINDS = {"b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32",
          "d": "float64"}


def scalar(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for a number; ``dtype`` None: of ``minifer.config.floatX``."""
    return Variable(name, 0, dtype or "floatX")


def vector(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for an array (N,); ``dtype`` None: floats."""
    return Variable(name, 1, dtype or "floatX")


def row(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for an array (1, K)."""
    return Variable(name, 2, dtype or "floatX")


def col(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for an array (N, 1)."""
    return Variable(name, 2, dtype or "floatX")


def matrix(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for an array (N, K); ``dtype`` None: floats."""
    return Variable(name, 2, dtype or "floatX")


def tensor3(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for an array of 3 axes, such as (N, T, K)."""
    return Variable(name, 3, dtype or "floatX")


def tensor4(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for images, an array (N, C, H, W)."""
    return Variable(name, 4, dtype or "floatX")


def tensor5(name: str | None = None, dtype: str | None = None) -> Variable:
    """A variable for volumes, an array (N, C, D, H, W)."""
    return Variable(name, 5, dtype or "floatX")


def _of_kind(kind):
    """``ivector`` and its like: constructors whose type is their first letter."""
    def constructor(base):
        def make(name: str | None = None) -> Variable:
            return Variable(name, _AXES[base], _KINDS[kind])

        make.__name__ = make.__qualname__ = kind + base
        make.__doc__ = f"A variable of {_AXES[base]} axes for {_KINDS[kind]}."
        return make

    return [constructor(base) for base in _AXES]


def _several(make):
    """``matrices("x", "y")`` and the like: several variables at once."""
    def makers(*names: Any) -> list[Variable]:
        some = range(names[0]) if names and isinstance(names[0], int) else names
        return [make(name if isinstance(name, str) else None) for name in some]

    makers.__name__ = makers.__qualname__ = f"{make.__name__}s"
    makers.__doc__ = f"Several of :func:`{make.__name__}`, by their names or number."
    return makers


(bscalar, bvector, brow, bcol, bmatrix, btensor3, btensor4,
 btensor5) = _of_kind("b")
(wscalar, wvector, wrow, wcol, wmatrix, wtensor3, wtensor4,
 wtensor5) = _of_kind("w")
(iscalar, ivector, irow, icol, imatrix, itensor3, itensor4,
 itensor5) = _of_kind("i")
(lscalar, lvector, lrow, lcol, lmatrix, ltensor3, ltensor4,
 ltensor5) = _of_kind("l")
(fscalar, fvector, frow, fcol, fmatrix, ftensor3, ftensor4,
 ftensor5) = _of_kind("f")
(dscalar, dvector, drow, dcol, dmatrix, dtensor3, dtensor4,
 dtensor5) = _of_kind("d")
scalars, vectors, matrices = _several(scalar), _several(vector), _several(matrix)
tensor3s, tensor4s = _several(tensor3), _several(tensor4)


class TensorType:
    """A type of variables: ``TensorType("float32", (False,) * 4)("x")``.

    Parameters
    ----------
    dtype : str
    broadcastable : sequence of bool
        One for each axis. Here any axis of length 1 may be stretched.
    """

    def __init__(self, dtype: str, broadcastable: Sequence[bool]):
        self.dtype, self.broadcastable = dtype, tuple(broadcastable)

    def __call__(self, name: str | None = None) -> Variable:
        return Variable(name, len(self.broadcastable), self.dtype)
