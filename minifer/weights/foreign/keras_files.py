"""Weights that Keras saved: ``.h5``, ``.weights.h5`` and ``.keras``, read with h5py.

The first two are HDF5, a file of folders ("groups") that hold arrays; which layer each
is of, :mod:`minifer.weights.foreign.keras_names` tells. A ``.keras`` file is a zip
archive of such a file and the network's description. Weights in several files are
listed in a ``.weights.json``.
"""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import os
import struct

import numpy as np

from ..._types import FilePath
from ...errors import BackendUnavailable, WeightsError, quoted
from ...files import open_zip, parse_json, read_bytes, reading
from .keras_names import attribute, named_arrays
from .shards import beside

__all__ = ["read_keras", "description_of"]

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
#: How a heap begins: its name, version 1, and three bytes of nothing.
HEAP = b"GCOL\1\0\0\0"
#: Bytes of a description: that of ResNet-152 has some 400,000.
LONGEST_CONFIG = 1 << 26


def read_keras(path: FilePath) -> dict[str, np.ndarray]:
    """Read the weights in a file of Keras.

    Parameters
    ----------
    path : str or path-like
        ``.h5`` or ``.weights.h5`` of ``model.save_weights``, a whole model in ``.h5``,
        ``.hdf5`` or ``.keras``, or the ``.weights.json`` of weights in several files,
        which lie beside it.

    Returns
    -------
    dict of str -> array
        ``"conv1_conv/kernel"`` or, from a ``.weights.h5`` of Keras 3,
        ``"conv1_conv/0"``; :func:`load_keras_params` takes both. Layers of inner models
        stand beside the others. bfloat16 becomes float32.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another kind, points at other files,
        or has two layers of one name, or numbers in the place of names where two
        layers of a kind have the same shapes.
    BackendUnavailable
        If h5py is not installed.

    Notes
    -----
    Keras 3.0 to 3.5 and TensorFlow 2.15 write counters in the place of names into
    ``.weights.h5``. In a ``.keras`` file the description beside the weights tells which
    layer is meant.
    """
    h5py = _h5py(path)
    with reading(path, "a whole HDF5 file of Keras", WeightsError) as file:
        start = file.read(4)
        if start.lstrip()[:1] == b"{":
            file.seek(0)
            found: dict = {}
            for part in beside(path, file, endings=(".weights.h5",)):
                _add(found, read_keras(part))
            return found
        if start != b"PK\3\4":
            return _arrays_of(h5py, path, file)
        description, weights = _unpacked(file)
        return _arrays_of(h5py, io.BytesIO(weights), io.BytesIO(weights), description)


def description_of(path: FilePath) -> dict | None:
    """What a file says of its network: None if it has weights alone.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict
        ``class_name`` and ``config`` as Keras writes them, and ``keras_version``.

    Raises
    ------
    WeightsError, BackendUnavailable
        As :func:`read_keras`.
    """
    h5py = _h5py(path)
    with reading(path, "a whole file of Keras", WeightsError) as file:
        if file.read(4) == b"PK\3\4":
            return _unpacked(file)[0]
        _check_heaps(file)
        with h5py.File(path, "r") as opened:
            text = _text(opened, "model_config")
            if text is None:
                return None
            return _described(parse_json(text), _text(opened, "keras_version"))


def _described(config, version):
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ValueError("a description that is none of Keras")
    return {**config, "keras_version": version if isinstance(version, str) else "?"}


def _text(opened, name):
    """A long text of the whole file; it may lie in bytes."""
    try:
        found = attribute(opened, name, LONGEST_CONFIG)
    except ValueError:
        return None
    return found.decode("utf-8") if isinstance(found, bytes) else found


def _h5py(path):
    try:
        import h5py
    except ImportError as error:
        raise BackendUnavailable(
            f"{path}: expected h5py, which reads HDF5 files, got none. Install it: "
            "pip install minifer[keras].") from error
    return h5py


def _unpacked(file):
    """The description and the HDF5 file in a ``.keras`` archive, as bytes."""
    with open_zip(file) as archive:
        there = {one.filename: one for one in archive.infolist()}
        if not {WEIGHTS, CONFIG} <= set(there):
            raise ValueError(f"a zip archive without {CONFIG} and {WEIGHTS}")
        if there[WEIGHTS].file_size > 64 * there[WEIGHTS].compress_size + 4096:
            raise ValueError(f"{WEIGHTS} of {there[WEIGHTS].file_size:,} bytes, packed "
                             "beyond what numbers can be")

        def json_of(name):
            with archive.open(name) as member:
                return parse_json(read_bytes(member, LONGEST_CONFIG, name))

        metadata = json_of(METADATA) if METADATA in there else {}
        version = metadata.get("keras_version") if isinstance(metadata, dict) else None
        return _described(json_of(CONFIG), version), archive.read(WEIGHTS)


def _arrays_of(h5py, source, file, description=None):
    """All arrays of an HDF5 file; ``file`` are its bytes."""
    size = file.seek(0, os.SEEK_END)
    _check_heaps(file)
    with h5py.File(source, "r") as opened:
        datasets = named_arrays(opened, description)
        for name, item in datasets.items():
            _check(name, item)
        # A header can promise more than the file holds.
        total = sum(map(_nbytes, datasets.values()))
        if total > size:
            raise ValueError(f"{total} bytes of arrays in a file of {size} bytes")
        return {name: _array(item) for name, item in datasets.items()}


def _add(found, more):
    twice = found.keys() & more.keys()
    if twice:
        raise ValueError(f"two arrays named {quoted(min(twice))}")
    found.update(more)


def _check_heaps(file):
    """Look at the heaps where names lie, before HDF5 does.

    It walks a damaged heap without end, and makes room for a name of any length. A heap
    is ``GCOL``, a version, its length, and objects, each with a number, a count of its
    users and a length; number 0 is the free rest. A name is told by its length, the
    heap's place in the file, and its number there.
    """
    with (contextlib.nullcontext(file.getvalue()) if isinstance(file, io.BytesIO)
          else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        for start in _places(content, HEAP):
            (length,) = struct.unpack_from("<Q", content[start:start + 16], 8)
            place, end, numbers = start + 16, start + length, set()
            while place + 16 <= min(end, len(content)):
                number, _, size = struct.unpack("<H6sQ", content[place:place + 16])
                step = size if number == 0 else 16 + -(-size // 8) * 8
                if step < 16 or place + step > end:
                    raise ValueError("a heap of names that has no end")
                place += step
                numbers.add(number)
            for place in _places(content, struct.pack("<Q", start)):
                told = content[max(0, place - 4):place + 12]
                if place % 8 != 4 or len(told) < 16:  # names are told at places of 8
                    continue
                size, _, number = struct.unpack("<IQI", told)
                if number in numbers and size > len(content):
                    raise ValueError(f"a name of {size:,} letters")


def _places(content, wanted):
    place = content.find(wanted)
    while place >= 0:
        yield place
        place = content.find(wanted, place + 1)


def _check(name, item):
    """Refuse all but plain arrays of numbers in this file, as Keras writes them."""
    if item.dtype.kind not in "fiu" and not _is_bfloat16(item):
        raise ValueError(f"{quoted(name)} of type {item.dtype}")
    if item.shape is None or item.chunks or item.external or item.is_virtual:
        raise ValueError(f"{quoted(name)} compressed, in chunks, or in another file")


def _is_bfloat16(item):
    """Two bytes that neither HDF5 nor NumPy has a type for."""
    return item.dtype == "V2" and attribute(item, "dtype") == "bfloat16"


def _array(item):
    if not _is_bfloat16(item):
        return item[()]
    return (item[()].view("<u2").astype("<u4") << 16).view("<f4")


def _nbytes(item):
    return math.prod(item.shape) * item.dtype.itemsize
