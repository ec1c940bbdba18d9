"""The state of a training run on disk, so that nothing is lost.

A checkpoint holds everything that the rest of the run depends on: parameters,
the update rule's state, how far the random streams are, the epoch and the
batch, and the history. Going on from it gives the same weights, bit for bit,
as never having stopped.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import layers
from .._types import FilePath
from ..device.arrays import device_of, to_device, to_host
from ..errors import SettingError, WeightsError, one_line
from ..files.arrays import open_arrays
from ..layers import Layer
from ..updates import Update
from ..weights.model_file import META, check_finite, check_parts, write_arrays
from .fingerprint import same
from .position import is_count, is_number

__all__ = ["save_checkpoint", "load_checkpoint", "begun_with", "peek", "pack",
           "unpack"]

FORMAT = "minifer-checkpoint-1"
#: What must be in it beside arrays, and as what.
PARTS = {"position": dict, "settings": dict, "update": dict, "streams": list}

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
        Or anything else whose ``state`` is one, such as
        :class:`minifer.training.averaging.RuleAndAverage`.
    position : dict
        Where training stands; JSON-ready.
    settings : dict
        What must be the same when it continues; JSON-ready.
    surroundings : dict, optional
        What the last bits depend on besides; JSON-ready.
    """
    arrays, state = pack(network, update)
    write_arrays(path, arrays, {
        "format": FORMAT, "position": position, "settings": settings,
        "surroundings": surroundings or {}, **state})


def load_checkpoint(path: FilePath, network: Layer, update: Update,
                    settings: dict[str, Any],
                    check: Callable[..., None] | None = None
                    ) -> dict[str, Any]:
    """Put network and update rule into the state that was saved.

    Parameters
    ----------
    path : str
    network : Layer
    update : minifer.updates.Update
    settings : dict
        As they were given when it was saved.
    check : function, optional
        Called as ``check(path, position, settings)`` before anything is set; it raises
        if training cannot go on from there.

    Returns
    -------
    dict
        The position.

    Raises
    ------
    WeightsError
        If the file is no checkpoint, damaged, or of another network or update rule:
        every array's shape and type is compared with what it would replace. Network
        and rule are as before then.
    SettingError
        If it was made with other settings: the run could not continue exactly.
    """
    with open_arrays(path, WeightsError) as file:
        meta = _meta(path, file)
        then = _settings(meta)
        for name in sorted(set(settings) | set(meta["settings"])):
            was, now = then.get(name), settings.get(name)
            known = name in then or name not in NOT_NOTED
            if known and not same(was, now, "surroundings" in meta):
                raise SettingError(
                    f"{path}: expected to continue with {one_line(name)} = "
                    f"{one_line(was)}, got {one_line(now)}. Use the settings of the "
                    "first start, or begin anew in another folder.")
        ours, slots = _split(update.state)
        wanted = _params(network) | slots
        _compare(path, meta, file.headers, ours, wanted, _streams(network))
        if check is not None:
            check(path, meta["position"], settings)
        arrays = file.read_all()
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            check_finite(path, name, array, array.dtype)
    unpack(network, update, arrays, meta)
    return meta["position"]


def pack(network, update):
    """The state of network and update rule: arrays by name, and what is JSON-ready."""
    arrays = {name: param.get_value() for name, param in _params(network).items()}
    numbers_of_rule, slots = _split(update.state)
    return arrays | slots, {"update": numbers_of_rule,
                            "streams": [s.step for s in _streams(network)]}


def unpack(network, update, arrays, meta):
    """Put network and update rule into the state that :func:`pack` returned."""
    layers.set_all_param_values(network, [arrays[name] for name in _params(network)])
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
    with open_arrays(path, WeightsError) as file:
        meta = _meta(path, file)
    return _settings(meta), meta.get("surroundings", {})


def _settings(meta):
    """What was noted, and what is known of what was not noted yet."""
    known = {name: value for name, value in NOT_NOTED.items() if value is not None}
    return known | meta["settings"]


def peek(path: FilePath) -> dict[str, Any]:
    """The position stored in a checkpoint, without its arrays."""
    with open_arrays(path, WeightsError) as file:
        return _meta(path, file)["position"]


def _meta(path, file):
    """What a checkpoint says beside its arrays, each part of its kind."""
    meta = file.text(META)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise WeightsError(f"{path}: expected a checkpoint, got another .npz file.")
    parts = {**PARTS, "surroundings": dict} if "surroundings" in meta else PARTS
    check_parts(path, meta, parts, "checkpoint",
                "It is damaged: begin anew in another folder.")
    return meta


def _compare(path, meta, headers, ours, wanted, streams):
    """Raise unless everything in the file is of the kind that it will replace."""
    problems = [f"{name} is missing" for name in wanted if name not in headers]
    problems += [f"{one_line(name)} is of no use" for name in headers
                 if name not in wanted]
    problems += [f"{name} is {there}, expected {one.dtype} {one.shape}"
                 for name, one in wanted.items() if (there := headers.get(name))
                 and (there.dtype, there.shape) != (one.dtype, one.shape)]
    if not _alike(meta["update"], ours):
        problems.append(f"its numbers are {one_line(meta['update'])}, expected some "
                        f"like {ours}")
    if len(meta["streams"]) != len(streams) or not all(
            map(is_count, meta["streams"])):
        problems.append(f"its streams are {one_line(meta['streams'])}, expected "
                        f"{len(streams)} whole numbers")
    if problems:
        raise WeightsError(f"{path}: the checkpoint is of another network or update "
                           f"rule, or damaged ({problems[0]}).")


def _alike(found, ours):
    """Whether numbers have the names and types of ours, and can be such."""
    if isinstance(ours, dict):
        return (isinstance(found, dict) and found.keys() == ours.keys()
                and all(_alike(found[name], ours[name]) for name in ours)
                and is_count(found.get("t", 0)))
    if isinstance(ours, bool) or not isinstance(ours, numbers.Real):
        return True
    return is_number(found) and (type(found) is int) == isinstance(
        ours, numbers.Integral)


def _params(network):
    """A network's parameters by their names in the file."""
    return {f"param_{i}": param
            for i, param in enumerate(layers.get_all_params(network))}


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
