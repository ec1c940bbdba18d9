"""Models on disk.

A model file is an ``.npz``: the parameters as ``arr_0``, ``arr_1``, … in the
order of :func:`minifer.layers.get_all_params`, exactly as Lasagne's users
saved theirs, and one more entry, ``minifer.json``, that says what they are: the
architecture, how images were prepared, and the names of the classes. The file
alone is enough to predict. Loading never unpickles.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import layers
from .._types import Array, FilePath
from .._version import __version__
from ..errors import WeightsError, one_line
from ..files import atomic_write, open_file
from ..files.arrays import open_arrays
from . import architecture

__all__ = ["Model", "save_model", "load_model", "load_params", "check_readable",
           "check_classes", "read_arrays", "write_arrays"]

FORMAT = "minifer-model-1"
META = "minifer.json"
#: What must be in it, and as what.
PARTS = {"architecture": dict, "classes": list, "preprocessing": dict, "notes": dict}


@dataclass
class Model:
    """A network with what is needed to use it.

    Attributes
    ----------
    network : Layer
        The output layer.
    classes : tuple of str
        Name of each output, in order.
    preprocessing : dict
        How an image becomes an input: :class:`minifer.faces.CropSettings` and
        the scale of the pixels.
    notes : dict
        Anything else worth keeping: protocol, results, command.
    """

    network: layers.Layer
    classes: tuple
    preprocessing: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)


def save_model(path: FilePath, model: Model, dtype: Any = None) -> None:
    """Write a :class:`Model` to ``path``, whole or not at all.

    Parameters
    ----------
    path : str
    model : Model
    dtype : type, optional
        How parameters are written; ``np.float16`` halves the file, and each is then off
        by up to 1/2048 of itself. Default: as they are.

    Raises
    ------
    WeightsError
        If the classes are not as many different names as the network has outputs, or
        a parameter is too large for ``dtype``.
    OutputError
        If it cannot be written.
    """
    check_classes("save_model", model)
    meta = {"format": FORMAT, "minifer": __version__,
            "classes": list(model.classes), "preprocessing": model.preprocessing,
            "notes": model.notes, "architecture": architecture.to_dict(model.network)}
    params = layers.get_all_params(model.network)
    if dtype is not None:
        for param in params:
            check_finite(path, str(param.name), param.get_value(), dtype)
    write_arrays(path, {f"arr_{i}": one.get_value().astype(dtype or one.dtype)
                        for i, one in enumerate(params)}, meta)


def load_model(path: FilePath, custom_layers: dict[str, type] | None = None) -> Model:
    """Read a file that :func:`save_model` wrote.

    Parameters
    ----------
    path : str
    custom_layers : dict of str -> class, optional
        Layer classes of your own that the network uses.

    Returns
    -------
    Model

    Raises
    ------
    WeightsError
        If the file is missing, damaged, a pickle, or only bare weights; if a
        parameter is not finite, or the classes are no different names.
    """
    with open_arrays(path, WeightsError) as file:
        meta = _meta(file)
        if meta is None or meta.get("format") != FORMAT:
            raise WeightsError(
                f"{path}: expected a minifer model, got "
                f"{'bare weights' if meta is None else one_line(meta.get('format'))}. "
                "Build the network yourself and use load_params(path, network).")
        check_parts(path, meta, PARTS, "model file", "Get or write it again.")
        file.check_size()
        # What a network of the file's own wish needs is in the file.
        room = sum(math.prod(header.shape) for header in file.headers.values())
        network = architecture.from_dict(meta["architecture"], custom_layers, room)
        _set(path, network, file)
    model = Model(network, tuple(meta["classes"]), meta["preprocessing"], meta["notes"])
    check_classes(path, model)
    return model


def check_parts(path, meta, parts, kind, remedy):
    """Raise WeightsError unless a file's meta entry has these parts, each of its type.

    Parameters
    ----------
    path : str
    meta : dict
    parts : dict of str -> type
    kind : str
        The file's, as ``"model file"``.
    remedy : str
        What to do, as a sentence.
    """
    for name, expected in parts.items():
        if not isinstance(meta.get(name), expected):
            raise WeightsError(
                f"{path}: expected {', '.join(parts)} in the {kind}, got "
                f"{one_line(repr(meta.get(name)))} as {name}. {remedy}")


def check_classes(where, model):
    """Raise WeightsError unless each output has a name of its own."""
    outputs = model.network.output_shape[1]
    if len(model.classes) != outputs:
        raise WeightsError(
            f"{where}: expected {outputs} class names, one for each output, got "
            f"{len(model.classes)}.")
    for name in model.classes:
        if not isinstance(name, str) or not name.strip() or not _is_text(name):
            raise WeightsError(f"{where}: expected class names as text, got {name!r}.")
    if len(set(model.classes)) < outputs:
        raise WeightsError(f"{where}: expected class names that differ, got "
                           f"{', '.join(model.classes)}.")


def _is_text(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def load_params(path: FilePath, network: layers.Layer) -> None:
    """Load weights by position, as Lasagne scripts did.

    Parameters
    ----------
    path : str
        Written by ``np.savez(path, *get_all_param_values(network))`` in Lasagne
        or minifer, or a minifer model (its architecture is not looked at).
    network : Layer
        A network of the same architecture; its parameters are set.

    Notes
    -----
    Filters of Lasagne's ``Conv2DLayer`` are for true convolution, minifer's
    default. Those of its GPU layers (``Conv2DDNNLayer``, ``Conv2DMMLayer``) are
    not: the file cannot tell, so build the network with ``flip_filters=False``.

    Raises
    ------
    WeightsError
        If the file is not an .npz of plain arrays, or their number or shapes
        are not the network's, or a number is not finite. The network is unchanged
        then.
    """
    with open_arrays(path, WeightsError) as file:
        _meta(file)
        _set(path, network, file)


def _set(path, network, file):
    """Set parameters from ``arr_0``, ``arr_1`` … by number, not by sorted name."""
    params, headers = layers.get_all_params(network), file.headers
    names = [f"arr_{i}" for i in range(len(headers))]
    if set(names) != set(headers):
        raise WeightsError(
            f"{path}: expected arrays arr_0 … arr_{len(names) - 1}, got "
            f"{one_line(', '.join(sorted(headers)[:5]))}. Save with "
            "np.savez(path, *values).")
    if len(params) != len(names):
        raise WeightsError(f"{path}: expected {len(params)} arrays, got {len(names)}. "
                           "Are the weights of another network?")
    for place, (param, name) in enumerate(zip(params, names)):
        header = headers[name]
        if header.dtype.kind not in "fiu":
            raise WeightsError(f"{path}: expected real numbers as {name}, got "
                               f"{header.dtype}.")
        if header.shape != param.shape:
            raise WeightsError(
                f"{path}: expected shape {param.shape} for array {place} "
                f"('{param.name}'), got {header.shape}. Are the weights of another "
                "network?")
    arrays = file.read_all()
    values = [arrays[name] for name in names]
    for param, value in zip(params, values):
        check_finite(path, param.name, value, param.dtype)
    layers.set_all_param_values(network, values)


def check_finite(path: FilePath, name: str, value: Array, dtype: Any) -> None:
    """Raise WeightsError if a number is NaN or infinite once it is of ``dtype``."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(value.astype(dtype, copy=False))
    if not finite.all():
        raise WeightsError(
            f"{path}: expected finite numbers of {np.dtype(dtype)} for '{name}', got "
            f"{value[~finite][0]}. The training that wrote them has failed: use "
            "weights from before that.")


def check_readable(path: FilePath) -> None:
    """Raise WeightsError now if there is no file that can be read later."""
    try:
        open_file(path).close()
    except OSError as error:
        raise WeightsError(
            f"{path}: could not be read ({error.strerror or error}).") from error


def write_arrays(path: FilePath, arrays: dict[str, Array], meta: Any) -> None:
    """Write named arrays and a JSON-ready dict into one ``.npz``, atomically."""
    text = np.frombuffer(json.dumps(meta).encode("utf-8"), np.uint8)
    # As np.savez does, which leaves the archive open when the disk is full: Python then
    # prints what went wrong when it closes that.
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in {**arrays, META: text}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array))


def read_arrays(path: FilePath) -> tuple[dict[str, np.ndarray], Any]:
    """Read what :func:`write_arrays` wrote, or any ``.npz`` of plain arrays.

    Returns
    -------
    arrays : dict of str -> array
    meta : dict, or None where there is no JSON entry

    Raises
    ------
    WeightsError
        If it is missing, damaged, a pickle, or holds Python objects.
    """
    with open_arrays(path, WeightsError) as file:
        meta = _meta(file)
        file.check_size()
        return file.read_all(), meta


def _meta(file):
    """The JSON entry of an open file, which is then no array any more; or None."""
    meta = file.text(META)
    if not isinstance(meta, (dict, type(None))):
        raise ValueError(f"{META} is no object")
    return meta
