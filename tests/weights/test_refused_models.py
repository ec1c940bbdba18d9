"""Models that could only predict nonsense are refused when they are opened."""

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from helpers import runs
from minifer import layers
from minifer.errors import WeightsError
from minifer.faces import Preprocessing
from minifer.weights.model_file import (META, load_model, load_params, read_arrays,
                                        save_model, write_arrays)


@pytest.fixture
def path(tmp_path):
    save_model(tmp_path / "model.npz", runs.model(runs.network(norm=True)))
    return tmp_path / "model.npz"


def changed(path, change):
    """The same file with its arrays or its description changed in place."""
    arrays, meta = read_arrays(path)
    change(arrays, meta)
    write_arrays(path, arrays, meta)


@pytest.mark.parametrize("load", [load_model, lambda path: load_params(
    path, runs.network(norm=True))], ids=["model", "params"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("place", range(6))
def test_a_number_that_is_not_finite_is_named(path, load, bad, place):
    def spoil(arrays, meta):
        array = arrays[f"arr_{place}"].astype(float)
        array.reshape(-1)[-1] = bad
        arrays[f"arr_{place}"] = array

    name = layers.get_all_params(runs.network(norm=True))[place].name
    changed(path, spoil)
    with pytest.raises(WeightsError, match=f"model.npz: expected finite .*'{name}'"):
        load(path)


def test_a_network_keeps_its_weights_when_others_are_refused(path):
    changed(path, lambda arrays, meta: arrays["arr_0"].fill(np.nan))
    network = runs.network(norm=True)
    before = layers.get_all_param_values(network)
    with pytest.raises(WeightsError):
        load_params(path, network)
    for one, other in zip(layers.get_all_param_values(network), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [
    ["left", "left", "top"], [1, 2, 3], [["left"], "right", "top"], ["left", "", "top"],
    ["left", " ", "top"], ["left", None, "top"], ["left", "\udcff", "top"]])
def test_classes_that_are_no_different_names_are_refused(path, classes):
    changed(path, lambda arrays, meta: meta.update(classes=classes))
    with pytest.raises(WeightsError, match="model.npz: expected class names"):
        load_model(path)


@pytest.mark.parametrize("key", ["scale", "shift"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_scale_that_is_not_finite_is_refused(key, value):
    with pytest.raises(WeightsError, match="expected its preprocessing"):
        Preprocessing.from_dict(Preprocessing().to_dict() | {key: value})


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(strategies.lists(strategies.one_of(
    strategies.text(max_size=4), strategies.integers(), strategies.none()),
    min_size=3, max_size=3))
def test_any_names_are_kept_or_refused(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("any") / "model.npz"
    save_model(path, runs.model(runs.network()))
    changed(path, lambda arrays, meta: meta.update(classes=names))
    good = all(isinstance(name, str) and name.strip() for name in names) and (
        len(set(names)) == 3)
    try:
        assert list(load_model(path).classes) == names and good
    except WeightsError:
        assert not good
    assert json.loads(np.load(path)[META].tobytes())["classes"] == names
