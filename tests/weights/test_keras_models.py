"""Whole models of Keras, built from their descriptions: by files made here."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minifer import layers, models
from minifer.errors import SettingError, WeightsError
from minifer.faces import CropSettings
from minifer.predict.opening import open_model
from minifer.weights.foreign import (load_keras_params, load_torch_params, read_keras,
                                     read_keras_model)
from minifer.weights.foreign.keras_names import counted

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def entry(kind, name, *below, **config):
    return {"class_name": kind, "config": {"name": name, **config}, "name": name,
            "inbound_nodes": [[[one, 0, 0, {}] for one in below]] if below else []}


def graph(entries, output):
    return {"class_name": "Functional", "config": {
        "name": "m", "layers": entries, "input_layers": [[entries[0]["name"], 0, 0]],
        "output_layers": [[output, 0, 0]]}}


def as_h5(path, description, arrays, scope="", version="2.15.0"):
    """As ``model.save("m.h5")``: a group a layer, with a list of its arrays."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(description)
        file.attrs["keras_version"] = version
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, mine in arrays.items():
            group = root.create_group(name)
            places = [f"{name}{scope}/{array}:0" for array in mine]
            group.attrs["weight_names"] = [place.encode() for place in places]
            for place, array in zip(places, mine.values()):
                group[place] = array
    return path


def as_keras(path, description, stored, names=True, version="3.6.0"):
    """As ``model.save("m.keras")``: a zip of description and numbered arrays."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for place, (name, arrays) in stored.items():
            group = file.create_group(f"layers/{place}/vars")
            if names:
                group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group[str(number)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(description))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


INPUT = entry("InputLayer", "i", batch_input_shape=[None, 5, 6, 2])


def conv(x, W, stride=1, same=False, groups=1):
    """Keras's convolution of (N, H, W, C) by loops; W (k, k, C / groups, F)."""
    k, F = W.shape[0], W.shape[3]
    if same:
        zeros = [max(0, (-(-n // stride) - 1) * stride + k - n) for n in x.shape[1:3]]
        x = np.pad(x, [(0, 0), *((z // 2, z - z // 2) for z in zeros), (0, 0)])
    H, Wd = ((n - k) // stride + 1 for n in x.shape[1:3])
    y = np.zeros((len(x), H, Wd, F))
    C = x.shape[3] // groups
    for i in range(H):
        for j in range(Wd):
            part = x[:, i * stride:i * stride + k, j * stride:j * stride + k]
            for f in range(F):
                g = f // (F // groups)
                mine = part[..., g * C:(g + 1) * C]
                y[:, i, j, f] = (mine * W[..., f]).sum((1, 2, 3))
    return y


def output(model, x):
    x = np.moveaxis(x, -1, 1) if x.ndim == 4 else x
    return layers.get_output(model.network, x, deterministic=True)


# --- values ------------------------------------------------------------------------

@pytest.mark.parametrize("scope", ["", "_1"])
def test_strided_same_flattened_as_keras_counts(tmp_path, scope):
    """Scopes may have another number than layers: so has every file of Keras 2.0."""
    description = graph([
        INPUT, entry("Conv2D", "c", "i", filters=3, kernel_size=[3, 3], strides=[2, 2],
                     padding="same", activation="relu", data_format="channels_last"),
        entry("Flatten", "f", "c"), entry("Dense", "d", "f", units=4)], "d")
    W, b, D, c = draw(3, 3, 2, 3), draw(3), draw(27, 4), draw(4)
    path = as_h5(tmp_path / "m.h5", description, {
        "c": {"kernel": W, "bias": b}, "d": {"kernel": D, "bias": c}}, scope)
    x = draw(2, 5, 6, 2)
    expected = np.maximum(conv(x, W, 2, True) + b, 0).reshape(2, -1) @ D + c
    np.testing.assert_allclose(output(read_keras_model(path), x), expected, atol=1e-5)


def test_separable_depthwise_and_squeeze_and_excitation(tmp_path):
    description = graph([
        INPUT, entry("SeparableConv2D", "s", "i", filters=4, kernel_size=[3, 3],
                     padding="same", depth_multiplier=2, use_bias=True),
        entry("DepthwiseConv2D", "w", "s", kernel_size=[3, 3], use_bias=False),
        entry("GlobalAveragePooling2D", "g", "w"),
        entry("Reshape", "r", "g", target_shape=[1, 1, 4]),
        entry("Activation", "a", "r", activation="hard_sigmoid"),
        entry("Multiply", "m", "w", "a"), entry("GlobalMaxPooling2D", "x", "m")], "x")
    D, P, b, W = draw(3, 3, 2, 2), draw(1, 1, 4, 4), draw(4), draw(3, 3, 4, 1)
    path = as_h5(tmp_path / "m.h5", description, {
        "s": {"depthwise_kernel": D, "pointwise_kernel": P, "bias": b},
        "w": {"depthwise_kernel": W}})
    x = draw(2, 5, 6, 2)
    y = conv(x, D.reshape(3, 3, 1, 4), 1, True, groups=2) @ P[0, 0] + b
    y = conv(y, W.transpose(0, 1, 3, 2), groups=4)
    gate = np.clip(0.2 * y.mean((1, 2), keepdims=True) + 0.5, 0, 1)  # Keras 2's
    np.testing.assert_allclose(output(read_keras_model(path), x),
                               (y * gate).max((1, 2)), atol=1e-5)


def chain(kinds):
    return graph([INPUT, *kinds], kinds[-1]["name"])


def residual():
    """Two convolutions of one shape, described in another order than their names."""
    one = {"filters": 2, "kernel_size": [1, 1], "use_bias": False}
    return graph([INPUT, entry("Conv2D", "z", "i", **one),
                  entry("Conv2D", "a", "z", **one), entry("Add", "s", "z", "a"),
                  entry("GlobalAveragePooling2D", "g", "s")], "g")


@pytest.mark.parametrize("names", [True, False])
def test_archives_with_names_and_with_counters(tmp_path, names):
    """Up to Keras 3.5 the description alone says which layer ``conv2d_1`` is."""
    Z, A = draw(1, 1, 2, 2), draw(1, 1, 2, 2)
    path = as_keras(tmp_path / "m.keras", residual(), {
        "conv2d": ("z", [Z]), "conv2d_1": ("a", [A])}, names)
    x = draw(2, 5, 6, 2)
    z = x @ Z[0, 0]
    np.testing.assert_allclose(output(read_keras_model(path), x),
                               (z + z @ A[0, 0]).mean((1, 2)), atol=1e-5)
    assert np.array_equal(read_keras(path)["a/0"], A)


def test_weights_alone_with_counters_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        for place in ("conv2d", "conv2d_1"):
            file[f"layers/{place}/vars/0"] = draw(1, 1, 2, 2)
        file["metrics/mean/vars/0"] = draw(1)
    with pytest.raises(WeightsError, match="numbers of which conv2d and conv2d_1"):
        read_keras(path)
    with pytest.raises(WeightsError, match="weights alone"):
        read_keras_model(path)


def test_names_of_keras_1(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"block1_conv1"]
        group = file.create_group("block1_conv1")
        places = [b"block1_conv1_W_1:0", b"block1_conv1_b_1:0"]
        group.attrs["weight_names"] = places
        for place in places:
            group[place] = draw(3)
    assert set(read_keras(path)) == {"block1_conv1/kernel", "block1_conv1/bias"}


def test_a_layer_that_stands_twice_and_an_inner_model(tmp_path):
    same = {"filters": 2, "kernel_size": [1, 1], "use_bias": False}
    twice = entry("Conv2D", "c", "i", **same)
    twice["inbound_nodes"].append([["c", 0, 0, {}]])
    inner = entry("Sequential", "n", layers=[
        entry("InputLayer", "j", batch_input_shape=[None, 5, 6, 2]),
        entry("Conv2D", "deep", **same)])
    inner["inbound_nodes"] = [[["c", 1, 0, {}]]]
    description = graph([INPUT, twice, inner,
                         entry("GlobalMaxPooling2D", "g")], "g")
    description["config"]["layers"][-1]["inbound_nodes"] = [[["n", 1, 0, {}]]]
    W, D = draw(1, 1, 2, 2), draw(1, 1, 2, 2)
    path = tmp_path / "m.h5"
    as_h5(path, description, {"c": {"kernel": W}})
    with h5py.File(path, "a") as file:
        root = file["model_weights"]
        root.attrs["layer_names"] = [b"c", b"n"]
        root.create_group("n").attrs["weight_names"] = [b"deep/kernel:0"]
        root["n/deep/kernel:0"] = D
    x = draw(2, 5, 6, 2)
    model = read_keras_model(path)
    np.testing.assert_allclose(output(model, x), (
        x @ W[0, 0] @ W[0, 0] @ D[0, 0]).max((1, 2)), atol=1e-5)
    assert len(layers.get_all_params(model.network)) == 2


def test_layers_are_counted_as_keras_does():
    inner = entry("Sequential", "body", layers=[entry("Dense", "x"),
                                                entry("Dense", "y")])
    description = {"config": {"layers": [inner, entry("MaxPooling2D", "p"),
                                         entry("Dense", "head")]}}
    assert counted(description) == {
        "layers/sequential": "body", "layers/sequential/layers/dense": "x",
        "layers/sequential/layers/dense_1": "y", "layers/max_pooling2d": "p",
        "layers/dense": "head"}


# --- refused by name ----------------------------------------------------------

@pytest.mark.parametrize("made, words", [
    (entry("Lambda", "odd", "i"), "'Lambda' 'odd'"),
    (entry("Activation", "odd", "i", activation="sparse"), "'sparse'"),
    (entry("Conv2D", "odd", "i", filters=1, kernel_size=[1, 1],
           data_format="channels_first"), "data_format='channels_first'"),
    (entry("Softmax", "odd", "i"), "softmax of a value of 4 axes"),
    (entry("BatchNormalization", "odd", "i", axis=1), "axis=1"),
    (entry("LSTM", "odd", "i", units=2, go_backwards=True), "go_backwards=True")])
def test_what_minifer_has_not_is_named(tmp_path, made, words):
    path = as_h5(tmp_path / "m.h5", chain([made]), {"c": {"kernel": draw(1)}})
    with pytest.raises(WeightsError) as caught:
        read_keras_model(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [
    lambda d: d["config"].pop("layers"), lambda d: d["config"].update(layers=5),
    lambda d: d["config"].update(output_layers=[["no", 0, 0]]),
    lambda d: d["config"]["layers"][1].update(inbound_nodes=[[["s", 0, 0, {}]]]),
    lambda d: d["config"]["layers"][1]["config"].update(filters=-1)])
def test_a_damaged_description_is_one_line(tmp_path, damage):
    description = residual()
    damage(description)
    path = as_h5(tmp_path / "m.h5", description, {"z": {"kernel": draw(1, 1, 2, 2)}})
    with pytest.raises(WeightsError, match=r"\A[^\n]*m\.h5[^\n]*\Z"):
        read_keras_model(path)


# --- in several files ---------------------------------------------------------

def test_weights_in_several_files(tmp_path):
    listed = {"weight_map": {f"/layers/dense{n}/vars": [f"m_{n}.weights.h5"]
                             for n in range(2)}}
    for n in range(2):
        with h5py.File(tmp_path / f"m_{n}.weights.h5", "w") as file:
            file[f"layers/dense{n}/vars/0"] = draw(2)
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps(listed))
    assert set(read_keras(path)) == {"dense0/0", "dense1/0"}
    (tmp_path / "m_1.weights.h5").unlink()
    with pytest.raises(WeightsError, match="'m_1.weights.h5' beside it"):
        read_keras(path)
    path.write_text(json.dumps({"weight_map": {"a": "../m_0.weights.h5"}}))
    with pytest.raises(WeightsError, match="of its own folder"):
        read_keras(path)


# --- to judge faces with ------------------------------------------------------

def faces(size, classes):
    return graph([entry("InputLayer", "i", batch_input_shape=[None, size, size, 1]),
                  entry("Conv2D", "c", "i", filters=classes, kernel_size=[1, 1]),
                  entry("GlobalAveragePooling2D", "g", "c"),
                  entry("Activation", "p", "g", activation="softmax")], "p")


def faces_file(path, size=64, classes=7):
    return as_h5(path, faces(size, classes), {
        "c": {"kernel": draw(1, 1, 1, classes), "bias": draw(classes)}})


def test_mini_xceptions_preprocessing_is_known(tmp_path):
    model = open_model(faces_file(tmp_path / "m.hdf5"))
    assert model.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise",
                             "neutral")
    assert model.preprocessing["scale"] * 255 + model.preprocessing["shift"] == 1
    assert model.preprocessing["shift"] == -1
    crop = CropSettings.from_dict(model.preprocessing["crop"])
    assert crop == CropSettings(64, margin=10, scaling="linear", edge="fill")
    other = open_model(faces_file(tmp_path / "m.hdf5"), pixels=(0, 1))
    assert CropSettings.from_dict(other.preprocessing["crop"]) == CropSettings(64)


def test_others_say_what_to_give(tmp_path):
    path = faces_file(tmp_path / "m.h5", 48, 3)
    with pytest.raises(SettingError, match="--classes A,B,… and --pixels"):
        open_model(path)
    with pytest.raises(WeightsError, match="expected 3 class names"):
        open_model(path, ["a", "b"], (0, 1))
    model = open_model(path, ["a", "b", "c"], (0, 1))
    assert model.preprocessing["scale"] == 1 / 255 and model.classes == ("a", "b", "c")
    with pytest.raises(SettingError, match="for a model of Keras alone"):
        open_model(models.PRETRAINED, ["a"])


# --- the real libraries, where they are ----------------------------------------

def test_torch_gives_the_same_of_grouped_transposed_and_recurrent_layers():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    nn = torch.nn
    ours = layers.InputLayer((None, 4, 7, 6))
    ours = layers.Conv2DLayer(ours, 8, 3, pad=1, num_groups=2, nonlinearity=None,
                              name="0")
    ours = layers.ParametricRectifierLayer(ours, name="1")
    ours = layers.TransposedConv2DLayer(ours, 6, 3, 2, 1, num_groups=2, name="2",
                                        nonlinearity=None, flip_filters=True)
    ours = layers.ParametricRectifierLayer(ours, shared_axes="all", name="3")
    ours = layers.DilatedConv2DLayer(ours, 3, 3, 2, nonlinearity=None, name="4")
    theirs = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2, padding=1), nn.PReLU(8),
        nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, groups=2), nn.PReLU(),
        nn.Conv2d(6, 3, 3, dilation=2))
    x = draw(2, 4, 7, 6)
    load_torch_params({k: v.numpy() for k, v in theirs.state_dict().items()}, ours)
    np.testing.assert_allclose(layers.get_output(ours, x),
                               theirs(torch.tensor(x)).detach(), atol=1e-5)
    lstm = nn.LSTM(3, 4, batch_first=True)
    mine = layers.LSTMLayer(layers.InputLayer((None, None, 3)), 4, peepholes=False,
                            name="l")
    load_torch_params({f"l.{k}": v.numpy() for k, v in lstm.state_dict().items()}, mine)
    x = draw(2, 5, 3)
    np.testing.assert_allclose(layers.get_output(mine, x),
                               lstm(torch.tensor(x))[0].detach(), atol=1e-5)


CASES = Path(__file__).parents[3] / "shared" / "cases" / "weights"


@pytest.mark.skipif(not (CASES / "k3_dropout.keras").exists(),
                    reason="needs files that Keras wrote")
def test_a_file_that_keras_wrote():
    given = np.load(CASES / "k3_dropout_io.npz")
    model = read_keras_model(CASES / "k3_dropout.keras")
    np.testing.assert_allclose(output(model, given["x"]), given["y"], atol=1e-5)


def test_counts_of_the_networks():
    assert layers.count_params(models.mini_xception()) == 58_423
    network = models.mobilenet_v2(num_classes=1000, size=64)
    assert layers.count_params(network, trainable=True) == 3_504_872
    assert layers.count_params(network) == 3_538_984  # as Keras counts
    keras = models.mobilenet_v2(None, 7, 96, 1, layout="keras")
    names = {one.name for one in layers.get_all_layers(keras)}
    assert {"Conv1", "bn_Conv1", "expanded_conv_depthwise", "block_16_project_BN",
            "Conv_1", "predictions"} <= names and "expanded_conv_expand" not in names
    with pytest.raises(SettingError, match="'torch' or 'keras'"):
        models.mobilenet_v2(layout="tf")


def test_mini_xception_takes_kerass_separable_convolutions():
    network, arrays = models.mini_xception(), {}
    for layer in layers.get_all_layers(network):
        if isinstance(layer, layers.BatchNormLayer):
            for array in ("gamma", "beta", "moving_mean", "moving_variance"):
                arrays[f"{layer.name}/{array}"] = np.ones(layer.gamma.shape)
        elif layer.params:
            F, C, *k = layer.W.shape
            name, mixes, _ = layer.name.partition("_pointwise")
            kind = ("pointwise_kernel" if mixes else "depthwise_kernel"
                    if layer.num_groups > 1 else "kernel")
            shape = (F, 1) if kind == "depthwise_kernel" else (C, F)
            arrays[f"{name}/{kind}"] = draw(*k, *shape)
    arrays["conv2d_7/bias"] = draw(7)
    load_keras_params(arrays, network)
    W = next(one.W for one in layers.get_all_layers(network)
             if one.name == "separable_conv2d_1").get_value()
    kernel = arrays["separable_conv2d_1/depthwise_kernel"]
    np.testing.assert_array_equal(W[:, 0], kernel[..., 0].transpose(2, 0, 1))
