"""Weights that Keras saved: ``.h5`` and ``.weights.h5``, read with h5py.

Both are HDF5, a file of folders ("groups") that hold arrays. Up to Keras 2, and in
the downloads of ``keras.applications``, an array lies at
``conv1_conv/conv1_conv/kernel:0``, in a whole model below ``model_weights``. Keras 3
writes ``layers/conv2d/vars/0``, with the layer's name as an attribute of ``vars``
and its arrays by number.
"""

from __future__ import annotations

import math
import os

import numpy as np

from ..._types import FilePath
from ...errors import BackendUnavailable, WeightsError, one_line, quoted
from ...files import open_file

__all__ = ["read_keras"]

OPTIMIZER = ("optimizer", "optimizer_weights")


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
        ``"conv1_conv/0"``; :func:`load_keras_params` takes both.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another kind, points at other files,
        or has two layers of one name.
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
    try:
        open_file(path).close()  # HDF5 would wait for a pipe
        size = os.path.getsize(path)
    except OSError as error:
        raise WeightsError(f"{path}: could not be read ({error.strerror}).") from error
    try:
        with h5py.File(path, "r") as file:
            return _arrays(file, size)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path}: expected a whole HDF5 file of Keras, got a damaged file or one "
            f"of another kind ({one_line(error)}). Get or write it again.") from error


def _arrays(file, size):
    datasets = {}

    def visit(place, item):  # links to other files are not followed
        if hasattr(item, "shape") and place.split("/")[0] not in OPTIMIZER:
            name = _name(place, item)
            if name in datasets:
                raise ValueError(f"two arrays named {quoted(name)}")
            datasets[name] = item

    file.visititems(visit)
    if not datasets:
        raise ValueError("no arrays")
    for name, item in datasets.items():
        _check(name, item)
    # A header can promise more than the file holds.
    total = sum(_nbytes(item) for item in datasets.values())
    if total > size:
        raise ValueError(f"{total} bytes of arrays in a file of {size} bytes")
    return {name: item[()] for name, item in datasets.items()}


def _name(place, item):
    """``layer/array``, of ``…/layer/array:0`` or ``…/layer/vars/number``."""
    parts = place.split("/")
    if len(parts) < 2:
        raise ValueError(f"{quoted(place)} outside of any layer")
    layer, array = parts[-2], parts[-1].split(":")[0]
    if layer == "vars":
        layer = item.parent.attrs.get("name", parts[-3] if len(parts) > 2 else "")
    if not isinstance(layer, str):
        raise ValueError(f"{quoted(place)} of a layer without a name")
    return f"{layer}/{array}"


def _check(name, item):
    """Refuse all but plain arrays of numbers in this file, as Keras writes them."""
    if item.dtype.kind not in "fiu":
        raise ValueError(f"{quoted(name)} of type {item.dtype}")
    if item.shape is None or item.chunks or item.external or item.is_virtual:
        raise ValueError(f"{quoted(name)} compressed, in chunks, or in another file")


def _nbytes(item):
    return math.prod(item.shape) * item.dtype.itemsize
