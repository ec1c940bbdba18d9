"""Model files: complete, by position, never a pickle, and damaged ones say so."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer import layers, models, nonlinearities
from minifer.errors import OutputError, WeightsError
from minifer.weights.model_file import (Model, load_model, load_params, read_arrays,
                                        save_model, write_arrays)


class TimesLayer(layers.Layer):
    """A layer of the user's own, with an option and a parameter."""

    def __init__(self, incoming, factor=1.0, W=minifer.init.Constant(1.0), name=None):
        super().__init__(incoming, name)
        self.factor = factor
        self.W = self.add_param(W, self.input_shape[1:], "W")

    def forward(self, x):
        return self.factor * x * self.W.value, (x,)

    def backward(self, dy, cache):
        x, = cache
        return (self.factor * dy * self.W.value,
                {self.W: (self.factor * dy * x).sum(axis=0)})


class MakesAFile:
    """What an attacker puts into a pickle: loading it writes the marker."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def deep(seed=0):
    """A network of 12 arrays, so that arr_10 sorts before arr_2."""
    net = layers.InputLayer((None, 5))
    for _ in range(5):
        net = layers.DenseLayer(net, 5, W=minifer.init.Normal(), name="d",
                                b=minifer.init.Normal())
    net = layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax,
                            b=minifer.init.Normal())
    rng = np.random.default_rng(seed)
    layers.set_all_param_values(net, [rng.normal(size=p.shape).astype(np.float32)
                                      for p in layers.get_all_params(net)])
    return net


@pytest.fixture
def path(tmp_path):
    """A model file of the tiny network."""
    save_model(tmp_path / "model.npz", runs.model(runs.network(norm=True)))
    return tmp_path / "model.npz"


# --- there and back ----------------------------------------------------------

@pytest.mark.parametrize("net", [runs.network(4), runs.network(4, norm=True), deep()],
                         ids=["plain", "batch norm", "12 arrays"])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, net):
    save_model(tmp_path / "m.npz", runs.model(net, protocol="by subject"))
    back = load_model(tmp_path / "m.npz")
    pairs = zip(layers.get_all_param_values(back.network),
                layers.get_all_param_values(net), strict=True)
    for ours, theirs in pairs:
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    assert (back.classes, back.preprocessing, back.notes) == (
        runs.CLASSES, runs.STEPS.to_dict(), {"protocol": "by subject"})
    x = np.random.default_rng(0).normal(size=(4, *net_shape(net))).astype(np.float32)
    outputs = [layers.get_output(one, x, deterministic=True)
               for one in (back.network, net)]
    assert np.array_equal(*outputs)


def net_shape(net):
    return layers.get_all_layers(net)[0].shape[1:]


def test_the_file_says_everything_that_prediction_needs(path):
    with np.load(path) as archive:
        assert archive.files[-1] == "minifer.json"
        assert archive.files[:-1] == [f"arr_{i}" for i in range(len(archive.files) - 1)]
        meta = json.loads(archive["minifer.json"].tobytes())
    assert meta["format"] == "minifer-model-1"
    assert meta["minifer"] == minifer.__version__
    assert meta["classes"] == list(runs.CLASSES)
    assert meta["preprocessing"] == {"crop": runs.STEPS.crop.to_dict(),
                                     "scale": 1 / 255, "shift": -0.5}
    kinds = [(layer["type"], layer["name"]) for layer in meta["architecture"]["layers"]]
    assert kinds == [
        ("InputLayer", "input"), ("Conv2DLayer", "conv"), ("MaxPool2DLayer", "pool"),
        ("DropoutLayer", "drop"), ("DenseLayer", "hidden"),
        ("BatchNormLayer", "hidden_bn"), ("NonlinearityLayer", "hidden_bn_nonlin"),
        ("DenseLayer", "output")]


def test_the_same_model_is_the_same_file(tmp_path):
    for name in "ab":
        save_model(tmp_path / name, runs.model(runs.network()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_weights_of_lasagne_scripts_load_by_position(tmp_path, save):
    net, other = deep(1), deep(2)
    save(tmp_path / "w.npz", *layers.get_all_param_values(net))
    with np.load(tmp_path / "w.npz") as archive:
        assert len(archive.files) == 12
    load_params(tmp_path / "w.npz", other)
    assert np.array_equal(runs.values(other), runs.values(net))


def test_float64_weights_take_the_networks_type(tmp_path):
    net, other = deep(1), deep(2)
    np.savez(tmp_path / "w.npz", *[v.astype(float)
                                   for v in layers.get_all_param_values(net)])
    load_params(tmp_path / "w.npz", other)
    assert {v.dtype for v in layers.get_all_param_values(other)} == {
        np.dtype(np.float32)}
    assert np.array_equal(runs.values(other), runs.values(net))


def test_load_params_takes_a_model_file_too(path):
    net = runs.network(7, norm=True)
    load_params(path, net)
    assert np.array_equal(runs.values(net), runs.values(load_model(path).network))


def test_the_headline_network_comes_back(tmp_path):
    net = models.ck96()
    save_model(tmp_path / "m.npz", Model(net, tuple("abcdefg")))
    back = load_model(tmp_path / "m.npz").network
    assert layers.count_params(back) == 3641191
    assert np.array_equal(runs.values(back), runs.values(net))


# --- layers of one's own -----------------------------------------------------

def custom():
    net = TimesLayer((layers.InputLayer((None, 5))), factor=2.0, name="scale")
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def test_a_custom_layer_comes_back_when_its_class_is_given(tmp_path):
    net = custom()
    save_model(tmp_path / "m.npz", runs.model(net))
    back = load_model(tmp_path / "m.npz", custom_layers={"TimesLayer": TimesLayer})
    assert isinstance(back.network.input_layer, TimesLayer)
    assert back.network.input_layer.factor == 2.0
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    assert np.array_equal(layers.get_output(back.network, x), layers.get_output(net, x))


def test_an_unknown_layer_says_how_to_give_it(tmp_path):
    save_model(tmp_path / "m.npz", runs.model(custom()))
    with pytest.raises(WeightsError, match="custom_layers={'TimesLayer': TimesLayer}"):
        load_model(tmp_path / "m.npz")


def test_a_file_cannot_name_any_object_as_a_layer(path):
    change_meta(path, lambda meta: meta["architecture"]["layers"][1].update(
        type="get_output"))
    with pytest.raises(WeightsError):
        load_model(path)


# --- foreign files -----------------------------------------------------------

def loaders():
    return [load_model, lambda path: load_params(path, deep()), read_arrays]


@pytest.mark.parametrize("load", loaders(), ids=["model", "params", "arrays"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(tmp_path, load, protocol):
    path, marker = tmp_path / "model.pkl", tmp_path / "marker"
    path.write_bytes(pickle.dumps([MakesAFile(marker)], protocol))
    with pytest.raises(WeightsError, match="Only .npz is read: a pickle can run code"):
        load(path)
    assert not marker.exists()


@pytest.mark.parametrize("load", loaders(), ids=["model", "params", "arrays"])
def test_a_single_array_is_no_npz(tmp_path, load):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(WeightsError, match="expected an .npz file"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize("load", loaders(), ids=["model", "params", "arrays"])
@pytest.mark.parametrize("name", ["arr_0", "minifer.json"])
def test_an_array_of_objects_is_never_opened(tmp_path, load, name):
    path, marker = tmp_path / "model.npz", tmp_path / "marker"
    bomb = np.array([MakesAFile(marker)], dtype=object)
    np.savez(path, **{name: bomb}, arr_1=np.zeros(3))
    with pytest.raises(WeightsError, match="model.npz"):
        load(path)
    assert not marker.exists()


def test_the_bombs_of_these_tests_would_go_off(tmp_path):
    pickle.loads(pickle.dumps(MakesAFile(tmp_path / "marker"))).close()
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [
    b"", b"P", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n",
    b"\x93NUMPY\x01\x00", b"hello"])
def test_what_is_no_npz_is_one_error(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(WeightsError, match="model.npz"):
        load_model(tmp_path / "model.npz")


def test_every_cut_of_a_model_is_found(path):
    whole = path.read_bytes()
    cuts = np.random.default_rng(0).integers(0, len(whole), 150)
    for length in {0, 1, 2, 3, 4, 30, len(whole) - 1, *map(int, cuts)}:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="model.npz"):
            load_model(path)


def test_a_changed_byte_is_found_or_harmless(path):
    """Never another exception, and never other numbers."""
    whole = bytearray(path.read_bytes())
    expected = runs.values(load_model(path).network)
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 400):
        changed = whole.copy()
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            model = load_model(path)
        except WeightsError:
            continue
        assert np.array_equal(runs.values(model.network), expected), place


@pytest.mark.parametrize("load", loaders(), ids=["model", "params", "arrays"])
def test_a_missing_file_is_one_error(tmp_path, load):
    with pytest.raises(WeightsError, match="none.npz.*No such file"):
        load(tmp_path / "none.npz")
    with pytest.raises(WeightsError, match="directory"):
        load(tmp_path)


def test_bare_weights_are_no_model(tmp_path):
    np.savez(tmp_path / "w.npz", *layers.get_all_param_values(deep()))
    with pytest.raises(WeightsError, match=r"bare weights.*load_params\(path, network"):
        load_model(tmp_path / "w.npz")


def test_a_checkpoint_is_no_model(tmp_path):
    runs.train(tmp_path, 1)
    with pytest.raises(WeightsError, match="minifer-checkpoint-1"):
        load_model(tmp_path / "checkpoint.npz")


# --- another network ---------------------------------------------------------

@pytest.mark.parametrize("arrays, message", [
    (lambda values: values[:-1], "expected 12 arrays, got 11"),
    (lambda values: [*values, values[0]], "expected 12 arrays, got 13"),
    (lambda values: [], "expected 12 arrays, got 0"),
    (lambda values: [v.T for v in values[:-2]] + [values[-2].T, values[-1]],
     r"expected shape \(5, 3\) for array 10"),
    (lambda values: [v[None] for v in values], "expected shape")],
    ids=["fewer", "more", "none", "turned", "one axis more"])
def test_weights_of_another_network_change_nothing(tmp_path, arrays, message):
    net = deep()
    before = runs.values(net)
    np.savez(tmp_path / "w.npz", *arrays(layers.get_all_param_values(net)))
    with pytest.raises(WeightsError, match=rf"w.npz.*{message}"):
        load_params(tmp_path / "w.npz", net)
    assert np.array_equal(runs.values(net), before)


@pytest.mark.parametrize("convert", [
    lambda v: v.astype(str), lambda v: v.astype(complex), lambda v: v.astype("S9"),
    lambda v: np.zeros(v.shape, "M8[s]")], ids=["text", "complex", "bytes", "dates"])
def test_arrays_that_are_no_real_numbers_are_refused(tmp_path, convert):
    net = deep()
    before = runs.values(net)
    np.savez(tmp_path / "w.npz", *map(convert, layers.get_all_param_values(net)))
    with pytest.raises(WeightsError, match="w.npz"):
        load_params(tmp_path / "w.npz", net)
    assert np.array_equal(runs.values(net), before)


def test_arrays_of_other_names_say_how_to_save(tmp_path):
    np.savez(tmp_path / "w.npz", W=np.zeros(3), b=np.zeros(3))
    with pytest.raises(WeightsError, match=r"got W, b. Save with np.savez"):
        load_params(tmp_path / "w.npz", deep())


@pytest.mark.parametrize("classes", [(), ("a", "b"), tuple("abcd")])
def test_as_many_classes_as_outputs_are_saved(tmp_path, classes):
    with pytest.raises(WeightsError, match="expected 3 class names"):
        save_model(tmp_path / "m.npz", Model(runs.network(), classes))
    assert not os.listdir(tmp_path)


def change_meta(path, change):
    """Rewrite a model file with another JSON entry."""
    arrays, meta = read_arrays(path)
    write_arrays(path, arrays, change(meta) or meta)


@pytest.mark.parametrize("change", [
    lambda meta: meta.update(classes=["a", "b"]),
    lambda meta: meta.update(classes=3),
    lambda meta: meta.pop("classes") and None,
    lambda meta: meta.pop("architecture") and None,
    lambda meta: meta.pop("preprocessing") and None,
    lambda meta: meta.update(architecture={"layers": []}),
    lambda meta: meta.update(architecture=7),
    lambda meta: meta["architecture"]["layers"].pop(),
    lambda meta: meta["architecture"]["layers"][1].update(num_filters=5) and None,
    lambda meta: meta["architecture"]["layers"][1].update(incoming=[9]) and None,
    lambda meta: meta["architecture"]["layers"][1].pop("name") and None,
    lambda meta: [1], lambda meta: "text"],
    ids=["2 classes", "classes a number", "no classes", "no architecture",
         "no preprocessing", "no layers", "layers a number", "a layer missing",
         "another layer", "a layer from nowhere", "no name", "a list", "a text"])
def test_a_wrong_description_is_one_error(path, change):
    change_meta(path, change)
    with pytest.raises(WeightsError):
        load_model(path)


def test_a_json_entry_that_is_no_json_is_one_error(tmp_path):
    np.savez(tmp_path / "m.npz", **{"arr_0": np.zeros(3),
                                    "minifer.json": np.frombuffer(b"{no", np.uint8)})
    with pytest.raises(WeightsError, match="m.npz"):
        load_model(tmp_path / "m.npz")


def test_a_zip_of_something_else_is_one_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("letter.txt", "Dear reader")
    with pytest.raises(WeightsError, match="m.npz"):
        load_model(tmp_path / "m.npz")


# --- writing -----------------------------------------------------------------

def test_a_failed_save_leaves_the_old_model(path, monkeypatch):
    before = path.read_bytes()

    def full(file, array):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model(path, runs.model(runs.network()))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]


def test_a_missing_folder_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        save_model(tmp_path / "none" / "m.npz", runs.model(runs.network()))


def test_arrays_and_meta_of_any_kind_come_back(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.array(2.5),
              "c": np.zeros((0, 3))}
    meta = {"name": "Łukasz", "numbers": [1, 0.1 + 0.2, None, True]}
    write_arrays(tmp_path / "x.npz", arrays, meta)
    back, meta_back = read_arrays(tmp_path / "x.npz")
    assert meta_back == meta
    assert list(back) == list(arrays)
    for name, value in arrays.items():
        assert back[name].dtype == value.dtype and np.array_equal(back[name], value)


def test_reading_takes_a_path_of_any_kind(path):
    assert read_arrays(str(path))[1] == read_arrays(path)[1]
