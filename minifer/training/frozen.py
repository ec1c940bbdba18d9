"""Features of a frozen body, computed once.

Where the lower part of a network no longer learns, it gives the same numbers for the
same image in every epoch. So they are computed once and kept on disk, and only what
learns on top of them, the head, is trained: a network of its own, whose parameters are
those of the whole network.

>>> from minifer import layers, nonlinearities
>>> body = layers.DenseLayer(layers.InputLayer((None, 2)), 3, name="body")
>>> network = layers.DenseLayer(body, 2, nonlinearity=nonlinearities.softmax)
>>> layers.freeze(body)
>>> images = np.eye(2, dtype=np.float32)
>>> features, head = frozen_features(network, images), trainable_head(network)
>>> features.shape, head.W is network.W
((2, 3), True)
>>> np.allclose(layers.get_output(head, features), layers.get_output(network, images))
True
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import layers
from .._types import Array, FilePath, OnProgress
from ..compiled.functions import function
from ..errors import DatasetError, OutputError, SettingError
from ..files import atomic_write, make_folder, reading, remove_leftovers
from ..files.arrays import read_header
from ..layers import Layer
from ..layers.tape import that_learn
from ..weights import architecture
from .batches import Batches

__all__ = ["frozen_features", "trainable_head"]

#: Raise it when features of the same body, images and preprocessing change.
VERSION = 1

_SUM = hashlib.sha256().digest_size


def frozen_features(network: Layer, images: Array,
                    prepare: Callable[..., Any] | None = None,
                    folder: FilePath | None = None, batch_size: int = 16,
                    device: str = "cpu", progress: OnProgress | None = None) -> Any:
    """What the frozen part of a network makes of images.

    Parameters
    ----------
    network : Layer
        The output layer; a part of its network is frozen, see
        :func:`minifer.layers.freeze`.
    images : array, shape (N, ...)
        As for :class:`minifer.training.batches.Batches`.
    prepare : function, optional
        Turns a batch of images into the network's input. With ``folder`` a
        :class:`minifer.faces.Preprocessing`, whose settings can be compared.
    folder : str or path-like, optional
        Where features are kept for the next time: a file for each body, its weights,
        the images and the preprocessing. A file that was cut or changed is written
        again. Default: nowhere.
    batch_size : int, default 16
        Images at a time.
    device : {'cpu', 'cuda', 'emu', 'auto'}, default 'cpu'
        Where to work; the frozen part is moved there. Devices differ by rounding, and
        a file does not say which of them wrote it.
    progress : function, optional
        Called as ``progress(done, N)`` after each batch.

    Returns
    -------
    float32 array, shape (N, ...), or a list of them
        The output of the frozen layer that the learning ones read; a list where they
        read several. Read-only and memory-mapped if it is kept in a folder.

    Raises
    ------
    SettingError
        If nothing is frozen or nothing learns, if a layer such as dropout lies
        inside the frozen part, or if ``folder`` and a ``prepare`` without
        ``to_dict`` are given together.
    OutputError
        If the features cannot be written.
    """
    tops, _ = _split(network)
    device = layers.move_to(tops, device)
    if folder is None:
        batches = _batches(tops, images, prepare, batch_size, device, progress)
        found = [np.concatenate(parts) for parts in zip(*batches)]
    else:
        key = _key(tops, images, prepare)
        paths = [os.path.join(make_folder(folder), f"{key}-{place}.npy")
                 for place in range(len(tops))]
        found = [_read(path, len(images), top) for path, top in zip(paths, tops)]
        if any(one is None for one in found):
            batches = _batches(tops, images, prepare, batch_size, device, progress)
            _write(paths, batches, len(images))
            found = [_map(path) for path in paths]
    return found if len(found) > 1 else found[0]


def trainable_head(network: Layer) -> Layer:
    """What stands above the frozen part, as a network that takes its features.

    Parameters
    ----------
    network : Layer
        As for :func:`frozen_features`.

    Returns
    -------
    Layer
        The output layer of a network with the same parameters (the same objects):
        whoever trains it trains ``network``. It has an InputLayer for each array of
        features, in their order.

    Raises
    ------
    SettingError
        As :func:`frozen_features`.
    """
    tops, above = _split(network)
    twins = {top: layers.InputLayer((None, *top.output_shape[1:]), name="features")
             for top in tops}
    for layer in above:
        twin = twins[layer] = copy.copy(layer)
        twin.params = {param: set(tags) for param, tags in layer.params.items()}
        if isinstance(layer, layers.MergeLayer):
            twin.input_layers = [twins[one] for one in layer.input_layers]
        else:
            twin.input_layer = twins[layer.input_layer]
    return twins[network]


def _split(network):
    """The frozen layers that others read, and those others, each after its inputs.

    Above are all layers that learn, or that do in training something else than in
    prediction, such as dropout, and all that stand on them.
    """
    order, varying = layers.get_all_layers(network), set()
    learning = that_learn(order, lambda one: one.get_params(trainable=True))
    for layer in order:
        if layer in learning:
            continue
        if varying.intersection(layer.incomings):
            if layer.params:
                raise SettingError(
                    f"features: expected a frozen part without dropout and the like, "
                    f"got one below {layer!r}. Take it out, or train the network "
                    "whole.")
            varying.add(layer)
        elif _varies(layer):
            varying.add(layer)
    above = [layer for layer in order if layer in learning | varying]
    read = {below for layer in above for below in layer.incomings}
    tops = [layer for layer in order if layer in read.difference(above)]
    if not learning or not layers.get_all_params(tops):
        raise SettingError(
            "features: expected a network whose lower part is frozen and whose upper "
            f"part learns, got {network!r}, of which "
            f"{'nothing is frozen' if learning else 'nothing learns'}. Call "
            "layers.freeze(body) with the last layer that is to stay.")
    return tops, above


def _varies(layer):
    """Whether a layer does in training something else than in prediction."""
    return ("deterministic" in type(layer).forward_options
            and not getattr(layer, "frozen", False))


def _batches(tops, images, prepare, batch_size, device, progress):
    """Yield the features of each batch: a list of arrays, one a top."""
    sources = [one for one in layers.get_all_layers(tops)
               if isinstance(one, layers.InputLayer)]
    if len(sources) != 1:
        raise SettingError("features: expected one InputLayer below the frozen part, "
                           f"got {len(sources)}.")
    batches = Batches(images, np.zeros(len(images), int), device, batch_size, prepare)
    outputs = layers.get_output(tops, deterministic=True)
    compute = function([sources[0].input_var], outputs,
                       batch=min(batch_size, len(images)))
    done = 0
    for x, _ in batches.in_order():
        yield compute(x)
        done += len(x)
        if progress:
            progress(done, len(images))


# --- on disk ----------------------------------------------------------------------

def _key(tops, images, prepare):
    """Name features by everything that decides them."""
    if prepare is not None and not hasattr(prepare, "to_dict"):
        raise SettingError(
            f"features: expected a Preprocessing as prepare, got {prepare!r}, of which "
            "a folder cannot know whether it changed. Leave out the folder.")
    order = layers.get_all_layers(tops)
    recipe = [VERSION, architecture.to_dict(tops), [order.index(top) for top in tops],
              None if prepare is None else prepare.to_dict(),
              images.dtype.str, images.shape]
    digest = hashlib.sha256(json.dumps(recipe).encode())
    for param in layers.get_all_params(tops):
        digest.update(np.ascontiguousarray(param.get_value()))
    digest.update(np.ascontiguousarray(images))
    return digest.hexdigest()[:32]


class _Summed:
    """A file that is written, and the SHA-256 of what was."""

    def __init__(self, file):
        self.file, self.sum = file, hashlib.sha256()

    def write(self, data):
        self.sum.update(data)
        self.file.write(data)


def _write(paths, batches, N):
    """Write features as they come, whole files or none; their SHA-256 stands last."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            remove_leftovers(path)
        files = [_Summed(stack.enter_context(atomic_write(path))) for path in paths]
        for number, parts in enumerate(batches):
            for file, part in zip(files, parts):
                if number == 0:
                    _check_space(os.path.dirname(paths[0]), N * part[0].nbytes)
                    np.lib.format.write_array_header_1_0(file, {
                        "descr": part.dtype.str, "fortran_order": False,
                        "shape": (N, *part.shape[1:])})
                file.write(np.ascontiguousarray(part))
        for file in files:
            file.file.write(file.sum.digest())


def _check_space(folder, nbytes):
    """Find out before the work whether there is room for its result."""
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise OutputError(
            f"{folder}: expected {nbytes / 1e9:.1f} GB free for features, got "
            f"{free / 1e9:.1f} GB. Choose another folder, or work them out anew in "
            "each epoch.")


def _read(path, N, top):
    """The features of N images in a file; None if there are none, or if they changed.

    Whoever may write into the folder may put there what has a sum of its own.
    """
    if not os.path.isfile(path):
        return None
    try:
        raw = np.memmap(path, np.uint8, "r")
        if hashlib.sha256(raw[:-_SUM]).digest() != raw[-_SUM:].tobytes():
            return None
        found = _map(path)
    except (OSError, ValueError, DatasetError):  # empty, or no features
        return None
    wanted = (N, *top.output_shape[1:])
    fits = len(wanted) == found.ndim and all(
        n in (None, length) for n, length in zip(wanted, found.shape))
    return found if fits and found.dtype.kind == "f" else None


def _map(path):
    """Features as an array that is read as it is needed."""
    with reading(path, "features", DatasetError) as file:
        header = read_header(file)
        return np.asarray(np.memmap(path, header.dtype, "r", file.tell(), header.shape))
