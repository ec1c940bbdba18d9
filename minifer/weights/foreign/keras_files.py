"""Weights that Keras saved: ``.h5`` and ``.weights.h5``, read with h5py.

Both are HDF5, a file of folders ("groups") that hold arrays. Up to Keras 2, and in
the downloads of ``keras.applications``, an array lies at
``conv1_conv/conv1_conv/kernel:0``, in a whole model below ``model_weights``. Keras 3
writes ``layers/conv2d/vars/0``, with the layer's name as an attribute of ``vars``
and its arrays by number.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import struct

import numpy as np

from ..._types import FilePath
from ...errors import BackendUnavailable, WeightsError, quoted
from ...files import reading

__all__ = ["read_keras"]

#: What a compiled model saves beside its layers.
NO_LAYERS = ("optimizer", "optimizer_weights", "metrics")
#: How a heap begins: its name, version 1, and three bytes of nothing.
HEAP = b"GCOL\1\0\0\0"
LONGEST_NAME = 1 << 16
#: Groups within one another, and items in all: ResNet-152 has 3 and some 1,800.
DEEPEST, MOST_ITEMS = 32, 10_000


def read_keras(path: FilePath) -> dict[str, np.ndarray]:
    """Read the weights in an ``.h5`` or ``.weights.h5`` file of Keras.

    Parameters
    ----------
    path : str or path-like
        Written by ``model.save_weights`` or, in HDF5, ``model.save``.

    Returns
    -------
    dict of str -> array
        ``"conv1_conv/kernel"`` or, from a ``.weights.h5`` of Keras 3,
        ``"conv1_conv/0"``; :func:`load_keras_params` takes both. bfloat16 becomes
        float32.

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
    A ``.keras`` file is a zip archive: take ``model.weights.h5`` out of it.
    """
    try:
        import h5py
    except ImportError as error:
        raise BackendUnavailable(
            f"{path}: expected h5py, which reads HDF5 files, got none. Install it: "
            "pip install minifer[keras].") from error
    with reading(path, "a whole HDF5 file of Keras", WeightsError) as file:
        if file.read(4) == b"PK\3\4":
            raise WeightsError(
                "expected a whole HDF5 file of Keras, got a zip archive. Of a .keras "
                "file take model.weights.h5: unzip FILE model.weights.h5.")
        size = file.seek(0, os.SEEK_END)
        _check_heaps(file)
        with h5py.File(path, "r") as opened:
            datasets = _named(opened)
            for name, item in datasets.items():
                _check(name, item)
            # A header can promise more than the file holds.
            total = sum(map(_nbytes, datasets.values()))
            if total > size:
                raise ValueError(f"{total} bytes of arrays in a file of {size} bytes")
            return {name: _array(item) for name, item in datasets.items()}


def _check_heaps(file):
    """Look at the heaps where names lie, before HDF5 does.

    It walks a damaged heap without end, and makes room for a name of any length. A heap
    is ``GCOL``, a version, its length, and objects, each with a number, a count of its
    users and a length; number 0 is the free rest. A name is told by its length, the
    heap's place in the file, and its number there.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
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


def _named(file):
    """All arrays of layers by the names that we give them."""
    datasets, nameless = {}, {}
    for place, item in _walk(file, ""):
        layer, array = _name(place, item)
        name = f"{layer}/{array}"
        if name in datasets:
            raise ValueError(f"two arrays named {quoted(name)}")
        datasets[name] = item
        if "/vars/" in place and "name" not in item.parent.attrs:
            nameless.setdefault(layer, {})[array] = item.shape
    if not datasets:
        raise ValueError("no arrays")
    _check_alike(nameless)
    return datasets


def _walk(group, place, seen=None, depth=0):
    """Yield (place, dataset) of all below a group, each once, in order of names.

    Links to other files are not followed; a group may hold itself.
    """
    seen = set() if seen is None else seen
    if depth > DEEPEST or len(seen) + len(group) > MOST_ITEMS:
        raise ValueError(f"more than {DEEPEST} groups within one another, or "
                         f"{MOST_ITEMS:,} items")
    for name in sorted(group):
        if (not place and name in NO_LAYERS
                or type(group.get(name, getlink=True)).__name__ != "HardLink"):
            continue
        item = group[name]
        where = f"{place}/{name}".lstrip("/")
        if item in seen:
            continue
        seen.add(item)
        if hasattr(item, "shape"):
            yield where, item
        elif hasattr(item, "keys"):
            yield from _walk(item, where, seen, depth + 1)


def _check_alike(nameless):
    """Refuse layers of a file without names that could be taken for one another.

    Keras before 3.4 numbers layers of a kind in the order of ``model.layers``, which
    need not be the order in which they were made and named.
    """
    known = {}
    for layer, shapes in nameless.items():
        kind = re.sub(r"_\d+$", "", layer), tuple(sorted(shapes.items()))
        other = known.setdefault(kind, layer)
        if other != layer:
            raise WeightsError(
                f"expected the names of the layers, got numbers of which {other} and "
                f"{layer} have the same shapes and could be mistaken for one another. "
                "Save it again with a newer Keras, or in the old form: "
                "model.save_weights('weights.h5').")


def _name(place, item):
    """The layer and the array, of ``…/layer/array:0`` or ``…/layer/vars/number``."""
    parts = place.split("/")
    if len(parts) < 2:
        raise ValueError(f"{quoted(place)} outside of any layer")
    layer, array = parts[-2], parts[-1].split(":")[0]
    if layer == "vars":
        layer = _attribute(item.parent, "name") or (
            parts[-3] if len(parts) > 2 else "")
    if not isinstance(layer, str):
        raise ValueError(f"{quoted(place)} of a layer without a name")
    return layer, array


def _check(name, item):
    """Refuse all but plain arrays of numbers in this file, as Keras writes them."""
    if item.dtype.kind not in "fiu" and not _is_bfloat16(item):
        raise ValueError(f"{quoted(name)} of type {item.dtype}")
    if item.shape is None or item.chunks or item.external or item.is_virtual:
        raise ValueError(f"{quoted(name)} compressed, in chunks, or in another file")


def _is_bfloat16(item):
    """Two bytes that neither HDF5 nor NumPy has a type for."""
    return item.dtype == "V2" and _attribute(item, "dtype") == "bfloat16"


def _attribute(item, name):
    """The text that is noted of a group or an array; None if there is none."""
    if name not in item.attrs:
        return None
    import h5py
    found = item.attrs.get_id(name)
    # Damaged types can end the process where they are read.
    if found.shape != () or found.dtype.itemsize > LONGEST_NAME or (
            h5py.check_string_dtype(found.dtype) is None):
        raise ValueError(f"{quoted(name)} of {quoted(item.name)}, expected a text")
    return item.attrs[name]


def _array(item):
    if not _is_bfloat16(item):
        return item[()]
    return (item[()].view("<u2").astype("<u4") << 16).view("<f4")


def _nbytes(item):
    return math.prod(item.shape) * item.dtype.itemsize
