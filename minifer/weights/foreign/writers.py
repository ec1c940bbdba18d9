"""Named arrays into the files of other libraries: safetensors, and Keras's ``.h5``."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np

from ..._types import FilePath
from ...errors import BackendUnavailable, WeightsError
from ...files import atomic_write, write_bytes

__all__ = ["write_safetensors", "write_keras"]

#: NumPy's types by their letters -> safetensors' names.
TYPES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16",
         "i1": "I8", "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL"}


def write_safetensors(path: FilePath, arrays: Mapping[str, np.ndarray],
                      notes: Mapping[str, str] | None = None) -> None:
    """Write a ``.safetensors`` file, whole or not at all.

    Eight bytes with the length of a header, the header in JSON, and the numbers one
    behind the other, lowest bytes first.

    Parameters
    ----------
    path : str or path-like
    arrays : dict of str -> array
    notes : dict of str -> str, optional
        Texts for the header's ``__metadata__``.

    Raises
    ------
    WeightsError
        If an array's type is none of the format's, or its name is ``__metadata__``.
    OutputError
        If it cannot be written.
    """
    header: dict = {"__metadata__": dict(notes)} if notes else {}
    place, parts = 0, []
    # The widest first, as the library does: all lie where their type may.
    for name, array in sorted(arrays.items(), key=lambda one: -one[1].itemsize):
        kind = TYPES.get(array.dtype.str[1:])
        if kind is None or name == "__metadata__":
            raise WeightsError(f"{path}: expected arrays of numbers, got {name!r} of "
                               f"{array.dtype}.")
        # ascontiguousarray would give a single number an axis.
        part = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [place, place + len(part)]}
        place += len(part)
        parts.append(part)
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for part in parts:
            file.write(part)


def write_keras(path: FilePath, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.h5`` file that ``model.load_weights(path, by_name=True)`` reads.

    Parameters
    ----------
    path : str or path-like
    arrays : dict of str -> array
        ``"layer/kernel"``, as :func:`keras_arrays` gives them: in each layer in the
        order in which Keras has them.

    Raises
    ------
    BackendUnavailable
        If h5py is not installed.
    OutputError
        If it cannot be written.
    """
    try:
        import h5py
    except ImportError as error:
        raise BackendUnavailable(
            f"{path}: expected h5py, which writes HDF5 files, got none. Install it: "
            "pip install minifer[keras].") from error
    by_layer: dict = {}
    for name, array in arrays.items():
        layer, _, own = name.rpartition("/")
        by_layer.setdefault(layer, {})[f"{layer}/{own}:0"] = array
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["layer_names"] = [name.encode("utf-8") for name in by_layer]
        file.attrs["backend"], file.attrs["keras_version"] = b"minifer", b"3"
        for layer, own in by_layer.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode("utf-8") for name in own]
            for name, array in own.items():
                group[name] = array
    write_bytes(path, content.getvalue())
