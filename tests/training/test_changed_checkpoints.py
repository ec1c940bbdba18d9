"""A checkpoint that was changed is refused in one line, or gives the exact same run."""

import copy
import shutil

import numpy as np
import pytest

from helpers import runs
from minifer import layers, updates
from minifer.errors import SettingError, WeightsError
from minifer.training.checkpoint import load_checkpoint
from minifer.training.position import beginning, check_position
from minifer.weights.model_file import read_arrays, write_arrays

CHANGES = {
    "missing": None, "turned": lambda a: a.T, "flat": lambda a: a.reshape(-1),
    "an axis more": lambda a: a[None], "one number": lambda a: a.reshape(-1)[0],
    "shorter": lambda a: a[:-1], "float64": lambda a: a.astype(float),
    "float16": lambda a: a.astype(np.float16), "int": lambda a: a.astype(np.int32),
    "complex": lambda a: a.astype(complex), "bool": lambda a: a.astype(bool),
    "the other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "text": lambda a: a.astype("U4"), "NaN": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.full_like(a, np.inf)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run of one epoch, by Adam, with batch norm and dropout."""
    folder = tmp_path_factory.mktemp("run")
    train(folder, 1)
    return folder / "checkpoint.npz"


def train(folder, epochs):
    return runs.train(folder, epochs, update=updates.adam)


def changed(saved, folder, change):
    """A folder with the checkpoint, its arrays and description changed in place."""
    shutil.copy(saved, folder)
    arrays, meta = read_arrays(saved)
    change(arrays, meta)
    write_arrays(folder / "checkpoint.npz", arrays, meta)
    return folder


def state(net, update):
    slots = [slot.copy() for name in update.slots for slot in update.state[name]]
    return [*layers.get_all_param_values(net), *slots, update.state["t"]]


@pytest.mark.parametrize("change", CHANGES)
def test_every_array_is_compared_with_what_it_would_replace(saved, tmp_path, change):
    arrays, meta = read_arrays(saved)
    for name in arrays:
        def spoil(arrays, meta):
            if CHANGES[change] is None:
                del arrays[name]
            else:
                arrays[name] = CHANGES[change](arrays[name])

        value = arrays[name]
        if change in ("turned", "flat") and value.ndim == 1:
            continue
        path = changed(saved, tmp_path, spoil) / "checkpoint.npz"
        net = runs.network(5, norm=True)
        update = updates.adam(layers.get_all_params(net, trainable=True))
        before = state(net, update)
        with pytest.raises(WeightsError, match=rf"^[^\n]*checkpoint\.npz: [^\n]*{name}"
                           r"\b[^\n]*$"):
            load_checkpoint(path, net, update, meta["settings"])
        for ours, theirs in zip(state(net, update), before, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def put(place, value):
    """Set or, with no value, remove an entry of the description, by its path."""
    def change(arrays, meta):
        *above, last = place.split("/")
        for name in above:
            meta = meta[int(name) if isinstance(meta, list) else name]
        if isinstance(meta, list):
            last = int(last)
        if value is ...:
            del meta[last]
        else:
            meta[last] = copy.deepcopy(value)
    return change


NUMBERS = [..., None, True, "1", -1, 1.5, float("nan"), 10 ** 400, [1], {}]
PLACES = {
    **dict.fromkeys(["position/epoch", "position/batch"], NUMBERS + [8]),
    "position/loss_sum": [..., None, "1", True, float("inf"), [0.0]],
    "position/seconds": [..., None, "1", -1.0, float("nan")],
    "position/finished": [..., None, 0, "false"],
    "position/best": [..., None, {}, {"epoch": 1}, 3],
    "position/history": [..., None, {}, [], [1], [{}], [{"epoch": 1}]],
    **dict.fromkeys(["position/history/0/" + name for name in (
        "epoch", "train_loss", "valid_loss", "valid_accuracy", "seconds",
        "learning_rate")], [..., None, "1", float("nan"), True, []]),
    "update/t": NUMBERS, "update": [..., None, [], {}, {"t": 1, "more": 2}],
    "streams/0": NUMBERS, "streams": [..., None, {}, [], [1, 1]],
    "settings": [..., None, [], {}], "settings/seed": [..., None, 4, "3"],
    "settings/batch_size": [..., 16], "settings/last_batch": [None, 3, "other", [1]],
    "surroundings": [None, 3, [1]], "position": [..., None, [], {}],
    "format": [..., None, "minifer-model-1", 3]}


@pytest.mark.parametrize("place", PLACES)
def test_every_entry_is_checked_before_training_goes_on(saved, tmp_path, place):
    for value in PLACES[place]:
        folder = changed(saved, tmp_path, put(place, value))
        before = (folder / "checkpoint.npz").read_bytes()
        with pytest.raises((WeightsError, SettingError),
                           match=r"^[^\n]*checkpoint\.npz: [^\n]*$"):
            train(folder, 2)
        assert (folder / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("name", ["param_99", "update_mean_99", "arr_0", "x"])
def test_arrays_of_no_use_are_told(saved, tmp_path, name):
    folder = changed(saved, tmp_path, lambda arrays, meta: arrays.update(
        {name: np.ones(3)}))
    with pytest.raises(WeightsError, match=f"{name} is of no use"):
        train(folder, 2)


def test_an_unchanged_checkpoint_goes_on(saved, tmp_path):
    folder = changed(saved, tmp_path, lambda arrays, meta: None)
    straight = train(tmp_path / "straight", 2)
    resumed = train(folder, 2)
    assert np.array_equal(runs.values(resumed[1]), runs.values(straight[1]))


@pytest.mark.parametrize("last, batches", [("keep", 4), ("deal", 4), ("drop", 3)])
def test_a_batch_lies_within_its_epoch(last, batches):
    settings = {"samples": 10, "batch_size": 3, "last_batch": last, "validation": None}
    check_position("c.npz", beginning() | {"batch": batches - 1}, settings)
    with pytest.raises(WeightsError, match=r"^c\.npz: expected where training stands"):
        check_position("c.npz", beginning() | {"batch": batches}, settings)
