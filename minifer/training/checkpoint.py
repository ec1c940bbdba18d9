"""The state of a training run on disk, so that nothing is lost.

A checkpoint holds everything that the rest of the run depends on: parameters,
the update rule's state, how far the random streams are, the epoch and the
batch, and the history. Going on from it gives the same weights, bit for bit,
as never having stopped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import layers
from .._types import FilePath
from ..device.arrays import device_of, to_device, to_host
from ..errors import SettingError, WeightsError
from ..layers import Layer
from ..updates import Update
from ..weights.model_file import read_arrays, write_arrays
from .fingerprint import same

__all__ = ["save_checkpoint", "load_checkpoint", "begun_with", "peek", "pack",
           "unpack"]

FORMAT = "minifer-checkpoint-1"

#: Settings that were not noted at first. Those without a value cannot be compared.
NOT_NOTED = {"last_batch": "keep", "prepare": None, "arrays": None,
             "constraints": None, "penalised": None}


def save_checkpoint(path: FilePath, network: Layer, update: Update,
                    position: dict[str, Any], settings: dict[str, Any],
                    surroundings: dict[str, Any] | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : str
    network : Layer
    update : minifer.updates.Update
    position : dict
        Where training stands; JSON-ready.
    settings : dict
        What must be the same when it continues; JSON-ready.
    surroundings : dict, optional
        What the last bits depend on besides; JSON-ready.
    """
    arrays, meta = pack(network, update)
    write_arrays(path, arrays, {
        "format": FORMAT, "position": position, "settings": settings,
        "surroundings": surroundings or {}, **meta})


def load_checkpoint(path: FilePath, network: Layer, update: Update,
                    settings: dict[str, Any]) -> dict[str, Any]:
    """Put network and update rule into the state that was saved.

    Returns
    -------
    dict
        The position.

    Raises
    ------
    WeightsError
        If the file is no checkpoint, or of another network.
    SettingError
        If it was made with other settings: the run could not continue exactly.
    """
    arrays, meta = _read(path)
    then = _settings(meta)
    for name in sorted(set(settings) | set(meta["settings"])):
        was, now = then.get(name), settings.get(name)
        known = name in then or name not in NOT_NOTED
        if known and not same(was, now, "surroundings" in meta):
            raise SettingError(
                f"{path}: expected to continue with {name} = {was}, got {now}. Use "
                "the settings of the first start, or begin anew in another folder.")
    try:
        unpack(network, update, arrays, meta)
    except (KeyError, WeightsError) as error:
        raise WeightsError(
            f"{path}: the checkpoint is of another network or update rule ({error})."
        ) from None
    return meta["position"]


def pack(network, update):
    """The state of network and update rule: arrays by name, and what is JSON-ready."""
    arrays = {f"param_{i}": v
              for i, v in enumerate(layers.get_all_param_values(network))}
    numbers, slots = _split(update.state)
    return arrays | slots, {"update": numbers,
                            "streams": [s.step for s in _streams(network)]}


def unpack(network, update, arrays, meta):
    """Put network and update rule into the state that :func:`pack` returned."""
    values = [arrays[f"param_{i}"]
              for i in range(len(layers.get_all_params(network)))]
    layers.set_all_param_values(network, values)
    _restore(update.state, meta["update"], arrays)
    for stream, step in zip(_streams(network), meta["streams"]):
        stream.step = step


def begun_with(path: FilePath) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and the surroundings with which a run began.

    Raises
    ------
    WeightsError
        If the file is no checkpoint.
    """
    meta = _read(path)[1]
    return _settings(meta), meta.get("surroundings", {})


def _read(path):
    arrays, meta = read_arrays(path)
    if meta is None or meta.get("format") != FORMAT:
        raise WeightsError(f"{path}: expected a checkpoint, got another .npz file.")
    return arrays, meta


def _settings(meta):
    """What was noted, and what is known of what was not noted yet."""
    known = {name: value for name, value in NOT_NOTED.items() if value is not None}
    return known | meta["settings"]


def peek(path):
    """The position stored in a checkpoint, without loading it."""
    return (read_arrays(path)[1] or {}).get("position", {})


def _streams(network):
    return [layer.stream for layer in layers.get_all_layers(network)
            if hasattr(layer, "stream")]


def _split(state, prefix="update"):
    """An update's state as JSON-ready numbers and named arrays."""
    numbers, arrays = {}, {}
    for name, value in state.items():
        key = f"{prefix}_{name}"
        if isinstance(value, dict):  # a rule around another rule
            numbers[name], inner = _split(value, key)
            arrays.update(inner)
        elif isinstance(value, list):
            arrays.update({f"{key}_{i}": to_host(a) for i, a in enumerate(value)})
        else:
            numbers[name] = value
    return numbers, arrays


def _restore(state, numbers, arrays, prefix="update"):
    for name, value in state.items():
        key = f"{prefix}_{name}"
        if isinstance(value, dict):
            _restore(value, numbers[name], arrays, key)
        elif isinstance(value, list):
            for i, slot in enumerate(value):
                np.copyto(slot, to_device(arrays[f"{key}_{i}"], device_of(slot)))
        else:
            state[name] = numbers[name]
