"""``.npz`` and ``.npy``: what their headers say, compared before it is believed.

An ``.npy`` begins with its type and its shape in some hundred bytes, which may promise
anything. An ``.npz`` is a zip archive of them. Here the headers are read first, all of
them, and compared with the bytes that are there and with what the caller wants; only
then are arrays made. Nothing is unpickled.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import contextlib
import json
import math
import os
import re
from dataclasses import dataclass

import numpy as np

from ..errors import quoted
from .parsing import open_zip, parse_json, reading

__all__ = ["Header", "read_header", "ArrayFile", "open_arrays"]

#: NumPy's own limit for a header, in bytes.
LONGEST_HEADER = 10_000
#: Arrays of which the caller does not know the shapes may have so many bytes together,
#: or so many times the file's own.
UNASKED, TIMES = 1 << 26, 16
#: The same for the text in a file; and how much is unpacked at a time.
TEXT, CHUNK = 1 << 20, 1 << 20


@dataclass(frozen=True)
class Header:
    """What an ``.npy`` says of itself."""

    dtype: np.dtype
    fortran_order: bool
    shape: tuple

    @property
    def count(self):
        return math.prod(self.shape)

    @property
    def nbytes(self):
        return self.count * self.dtype.itemsize

    def __str__(self):
        return f"{self.dtype} {self.shape}"


def read_header(file):
    """Read the header of an ``.npy``; the file is left behind it.

    Returns
    -------
    Header

    Raises
    ------
    ValueError
        If it is none, or one of Python objects.
    """
    magic = file.read(8)
    width = {b"\x93NUMPY\1\0": 2, b"\x93NUMPY\2\0": 4, b"\x93NUMPY\3\0": 4}.get(magic)
    if width is None:
        raise ValueError("no .npy array")
    length = int.from_bytes(file.read(width), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    return _header(file.read(length).decode("latin1" if width == 2 else "utf-8"))


def _header(text):
    """A Python dict of strings, numbers and tuples: nearly JSON, and read as such."""
    text = text.translate({ord("'"): '"', ord("("): "[", ord(")"): "]"})
    text = re.sub(r",\s*([]}])", r"\1", text)
    text = re.sub(r":\s*(True|False)\b", lambda found: found[0].lower(), text)
    text = re.sub(r"(?<=\d)L(?=[],])", "", text)  # long numbers of Python 2
    found = parse_json(text)
    if not isinstance(found, dict) or sorted(found) != [
            "descr", "fortran_order", "shape"]:
        raise ValueError("an .npy header without descr, fortran_order and shape")
    shape, order = found["shape"], found["fortran_order"]
    if type(order) is not bool or not _is_shape(shape):
        raise ValueError(f"an .npy header of shape {quoted(json.dumps(shape))}")
    dtype = _dtype(found["descr"])
    if dtype.hasobject:
        raise ValueError("pickled objects, which could run a program")
    if dtype.itemsize == 0:
        raise ValueError(f"an array of {dtype}, which has no bytes")
    return Header(dtype, order, tuple(shape))


def _is_shape(shape):
    return isinstance(shape, list) and len(shape) <= 32 and all(
        type(n) is int and 0 <= n < 2 ** 63 for n in shape)


def _dtype(descr):
    """A plain type such as ``"<f4"``, or a record of such: [name, type, shape] each."""
    if isinstance(descr, str):
        if not re.fullmatch(r"[<>|=]?[b-zA-Z]\d*(\[\w+\])?", descr):
            raise ValueError(f"an array of {quoted(descr)}")
        return np.dtype(descr)
    if not all(_is_shape(shape) for _, _, *more in descr for shape in more):
        raise ValueError("a record of fields without whole shapes")
    return np.dtype([(name, _dtype(kind), *map(tuple, more))
                     for name, kind, *more in descr])


class ArrayFile:
    """An ``.npz`` that is open: headers are known, arrays are read when asked for.

    Attributes
    ----------
    headers : dict of str -> Header
        One for each array, in the file's order.
    """

    def __init__(self, archive, size):
        self._archive = archive
        self._most = max(UNASKED, TIMES * size)
        self.headers = {}
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename:
                raise ValueError(f"{quoted(name)}, which is no array")
            with archive.open(entry) as member:
                header = read_header(member)
                if member.tell() + header.nbytes != entry.file_size:
                    raise ValueError(f"{quoted(name)} of {header} in "
                                     f"{entry.file_size:,} bytes")
            self.headers[name] = header

    def text(self, name):
        """What the JSON in an array of bytes says; None if there is no such array."""
        header = self.headers.pop(name, None)
        if header is None:
            return None
        packed = self._archive.getinfo(f"{name}.npy").compress_size
        if header.dtype != np.uint8 or header.nbytes > max(TEXT, TIMES * packed):
            raise ValueError(f"{quoted(name)} of {header}, expected text")
        return parse_json(self._read(name, header).tobytes())

    def check_size(self):
        """Refuse what would unpack to far more than the file has.

        For callers that do not know what they want; the others compare ``headers``.
        """
        total = sum(header.nbytes for header in self.headers.values())
        if total > self._most:
            raise ValueError(f"arrays of {total:,} bytes, which is more than a file of "
                             "its size should hold")

    def read_all(self):
        """All arrays by name."""
        return {name: self._read(name, header)
                for name, header in self.headers.items()}

    def _read(self, name, header):
        content = np.empty(header.nbytes, np.uint8)
        with self._archive.open(f"{name}.npy") as member:
            read_header(member)
            for start in range(0, header.nbytes, CHUNK):
                piece = content[start:start + CHUNK]
                part = member.read(len(piece))
                if len(part) != len(piece):
                    raise ValueError(f"{quoted(name)} ends early")
                piece[:] = np.frombuffer(part, np.uint8)
            member.read(1)  # at the end the archive's own sum is checked
        order = "F" if header.fortran_order else "C"
        return content.view(header.dtype).reshape(header.shape, order=order)


@contextlib.contextmanager
def open_arrays(path, error):
    """Open an ``.npz`` for a block that reads it.

    Parameters
    ----------
    path : str or path-like
    error : class
        The MiniferError to raise if it, or the block, fails: see :func:`reading`.

    Yields
    ------
    ArrayFile
    """
    with reading(path, "a whole .npz of plain arrays", error) as file:
        if file.read(2) != b"PK":
            raise error(f"{path}: expected an .npz file, got something else (a pickle, "
                        "or a damaged file). Only .npz is read: a pickle can run code. "
                        "minifer.weights.foreign.read_lasagne reads the numbers out of "
                        "one.")
        with open_zip(file) as archive:
            yield ArrayFile(archive, file.seek(0, os.SEEK_END))
