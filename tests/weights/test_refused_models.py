"""Models that could only predict nonsense are refused when they are opened."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from helpers import runs
from minifer import layers
from minifer.errors import WeightsError
from minifer.faces import Preprocessing
from minifer.predict import Predictor
from minifer.runs.data import open_model
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


def in_layer(number, **options):
    """Change options of a layer: 1 is the convolution, 2 the pooling, 4 is dense."""
    return lambda arrays, meta: meta["architecture"]["layers"][number].update(options)


@pytest.mark.parametrize("change", [
    in_layer(1, num_filters=10 ** 9), in_layer(1, filter_size=[10 ** 6, 10 ** 6]),
    in_layer(1, num_filters=10 ** 30), in_layer(4, num_units=10 ** 12),
    in_layer(0, shape=[None, 1, 10 ** 9, 10 ** 9]), in_layer(1, pad=10 ** 6),
    in_layer(0, shape=[None, 10 ** 400, 8, 8])])
def test_an_architecture_of_impossible_size_is_refused_before_it_is_built(path, change):
    changed(path, change)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"^[^\n]*model\.npz: [^\n]*$"):
        load_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize("change", [
    in_layer(1, name=3), in_layer(1, name=["conv"]), in_layer(1, name=0.5),
    in_layer(1, type=7), in_layer(1, type=["Conv2DLayer"]), in_layer(1, type="x" * 999),
    in_layer(1, incoming=None), in_layer(1, incoming=["0"]), in_layer(1, stride="x"),
    in_layer(1, nonlinearity={"nonlinearity": []}), in_layer(1, W={"param": [1]}),
    lambda arrays, meta: meta.update(notes=[1]),
    lambda arrays, meta: meta.update(notes=None),
    lambda arrays, meta: meta.update(preprocessing=3),
    lambda arrays, meta: meta.update(classes={"a": 1}),
    lambda arrays, meta: meta.update(classes="abc"),
    lambda arrays, meta: meta.update(architecture=[]),
    lambda arrays, meta: meta.update(format=["minifer-model-1"]),
    lambda arrays, meta: arrays.update(more=np.ones(3)),
    lambda arrays, meta: arrays.__delitem__("arr_0"),
    lambda arrays, meta: arrays.update(arr_0=arrays["arr_0"].reshape(-1)),
    lambda arrays, meta: arrays.update(arr_0=arrays["arr_0"] + 1j)])
def test_missing_and_mistyped_entries_are_one_line_with_the_files_name(path, change):
    changed(path, change)
    with pytest.raises(WeightsError, match=r"^[^\n]*model\.npz: [^\n]{,900}$"):
        load_model(path)


@pytest.mark.parametrize("steps", [
    {}, {"crop": 3}, {"crop": {"size": "8"}, "scale": 1, "shift": 0},
    {"crop": {}, "scale": True, "shift": 0}, {"crop": {}, "scale": 1, "shift": "0"},
    {"crop": {}, "scale": 10 ** 400, "shift": 0},
    {"crop": {}, "scale": 1e39, "shift": 0},
    {"crop": {}, "scale": [1, 1, 1e39], "shift": [0, 0, 0], "size": 8}])
def test_preprocessing_that_is_none_is_told_with_the_files_name(path, steps):
    changed(path, lambda arrays, meta: meta.update(preprocessing=steps))
    for load in Predictor.load, open_model:
        with pytest.raises(WeightsError, match=r"^[^\n]*model\.npz: model: expected"):
            load(path)


def test_names_may_be_missing(path):
    changed(path, in_layer(1, name=None))
    assert layers.get_all_layers(load_model(path).network)[1].name is None


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
