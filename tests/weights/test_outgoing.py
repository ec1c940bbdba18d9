"""Weights that leave: under other names, in other layouts, and back again unchanged."""

import json

import numpy as np
import pytest

from helpers import reference, runs
from minifer import config, init, models
from minifer.errors import WeightsError
from minifer.layers import (BatchNormLayer, BiasLayer, Conv1DLayer, Conv2DLayer,
                            Conv3DLayer, DenseLayer, DilatedConv2DLayer,
                            DropoutLayer, EmbeddingLayer, InputLayer, LSTMLayer,
                            LocallyConnected2DLayer, MaxPool2DLayer, NINLayer,
                            NonlinearityLayer, ParametricRectifierLayer,
                            TransposedConv2DLayer, count_params, get_all_layers,
                            get_all_param_values, get_all_params, get_output)
from minifer.weights.foreign import (blueprint, keras_arrays, load_keras_params,
                                     load_torch_params, read_keras, read_safetensors,
                                     torch_arrays, write_keras, write_safetensors)
from minifer.weights.model_file import save_model


def shaken(network, seed=0):
    """The network with values that no layer starts with."""
    rng = np.random.default_rng(seed)
    for param in get_all_params(network):
        kind = param.name.rpartition(".")[2]
        positive = kind in ("gamma", "inv_std")
        param.set_value((rng.uniform(.5, 2, param.shape) if positive else
                         rng.standard_normal(param.shape)).astype(param.dtype))
    return network


def image(*shape):
    return InputLayer((None, *shape), name="input")


def mixed(flip=True, num_classes=3):
    """Convolutions, batch norms before and behind a flattened image, dense layers."""
    network = Conv2DLayer(image(2, 6, 5), 4, 3, pad=1, flip_filters=flip, name="conv")
    network = BatchNormLayer(network, epsilon=1e-3, name="bn")
    network = MaxPool2DLayer(network, 2, name="pool")
    network = DenseLayer(DropoutLayer(network, name="drop"), 6, b=None, name="fc")
    network = BatchNormLayer(network, epsilon=1e-3, name="bn2")
    return shaken(DenseLayer(network, num_classes, name="output"))


@pytest.mark.parametrize("arrays_of, load", [(torch_arrays, load_torch_params),
                                             (keras_arrays, load_keras_params)])
@pytest.mark.parametrize("flip", [True, False])
def test_what_goes_out_comes_back(arrays_of, load, flip):
    network, other = mixed(flip), shaken(mixed(flip), seed=1)
    load(arrays_of(network), other)
    for mine, found in zip(get_all_param_values(network), get_all_param_values(other)):
        np.testing.assert_allclose(found, mine, rtol=2e-6)


@pytest.mark.parametrize("write, read, arrays_of", [
    (write_safetensors, read_safetensors, torch_arrays),
    (write_safetensors, read_safetensors, keras_arrays),
    (write_keras, read_keras, keras_arrays)])
def test_files_hold_what_was_given(tmp_path, write, read, arrays_of):
    if write is write_keras:
        pytest.importorskip("h5py", reason="h5py is not installed")
    arrays = arrays_of(mixed())
    write(tmp_path / "weights", arrays)
    found = read(tmp_path / "weights")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape


def test_safetensors_of_every_type_are_read_by_the_library(tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="it is not installed")
    rng = np.random.default_rng(0)
    arrays = {kind: (100 * rng.random((3, 2))).astype(kind) for kind in (
        "f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4")}
    arrays |= {"one": np.array(7), "none": np.zeros((0, 3), "f4")}
    write_safetensors(tmp_path / "all", arrays, {"format": "pt"})
    found = library.load_file(tmp_path / "all")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(WeightsError, match="got 'w' of complex64"):
        write_safetensors(tmp_path / "bad", {"w": np.zeros(2, "c8")})
    assert not (tmp_path / "bad").exists()


def test_filters_are_those_of_a_cross_correlation():
    """As PyTorch and Keras compute it, in loops."""
    for flip in (True, False):
        conv = shaken(Conv2DLayer(image(2, 5, 6), 3, (3, 2), flip_filters=flip,
                                  nonlinearity=None, name="conv"))
        x = np.random.default_rng(0).standard_normal((2, 2, 5, 6))
        there = torch_arrays(conv)
        y = reference.conv2d(x, there["conv.weight"], there["conv.bias"],
                             flip_filters=False)
        np.testing.assert_allclose(get_output(conv, x), y, atol=1e-5)
        np.testing.assert_array_equal(keras_arrays(conv)["conv/kernel"],
                                      there["conv.weight"].transpose(2, 3, 1, 0))


def test_dense_rows_follow_keras_flattened_image():
    dense = shaken(DenseLayer(image(3, 2, 4), 5, nonlinearity=None, name="fc"))
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 4))
    there = keras_arrays(dense)
    flat = x.transpose(0, 2, 3, 1).reshape(2, -1)  # as Keras's Flatten has it
    np.testing.assert_allclose(flat @ there["fc/kernel"] + there["fc/bias"],
                               get_output(dense, x), atol=1e-5)


def test_the_variance_gives_the_norm_that_minifer_computes():
    norm = shaken(BatchNormLayer(image(3, 2, 2), epsilon=.01, name="bn"))
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 2))
    a = {name.partition(".")[2]: one if one.ndim == 0 else one[:, None, None]
         for name, one in torch_arrays(norm).items()}
    y = (x - a["running_mean"]) / np.sqrt(a["running_var"] + .01) * a["weight"] + (
        a["bias"])
    np.testing.assert_allclose(get_output(norm, x, deterministic=True), y, rtol=1e-5)
    assert a["num_batches_tracked"].dtype == np.int64


def test_rounding_of_a_channel_that_never_varied_is_not_lost():
    """Half precision has no 1 / √1e-5: what it has is more than any variance gives."""
    norm = shaken(BatchNormLayer(image(2, 2, 2), epsilon=1e-5, name="bn"))
    norm.inv_std.set_value(np.array([316.25, 1], "float32"))
    for there, factor in ((torch_arrays(norm), "bn.weight"),
                          (keras_arrays(norm), "bn/gamma")):
        variance = there[list(there)[3]]
        assert variance[0] == 0
        np.testing.assert_allclose(there[factor] / np.sqrt(variance + 1e-5),
                                   norm.gamma.value * norm.inv_std.value, rtol=1e-6)


def test_a_norm_without_factors():
    norm = BatchNormLayer(image(3, 2, 2), gamma=None, beta=None, name="bn")
    assert torch_arrays(norm)["bn.weight"].tolist() == [1, 1, 1]
    assert torch_arrays(norm)["bn.bias"].tolist() == [0, 0, 0]
    assert list(keras_arrays(norm)) == ["bn/moving_mean", "bn/moving_variance"]


@pytest.mark.parametrize("layer, shapes", [
    (lambda: Conv1DLayer(image(2, 9), 4, 3, name="l"), ((4, 2, 3), (3, 2, 4))),
    (lambda: Conv3DLayer(image(2, 4, 4, 4), 5, (1, 2, 3), name="l"),
     ((5, 2, 1, 2, 3), (1, 2, 3, 2, 5))),
    (lambda: Conv2DLayer(image(4, 5, 5), 6, (1, 2), num_groups=2, name="l"),
     ((6, 2, 1, 2), (1, 2, 2, 6))),
    (lambda: DilatedConv2DLayer(image(2, 9, 9), 3, (2, 3), name="l"),
     ((3, 2, 2, 3), (2, 3, 2, 3))),
    (lambda: NINLayer(image(2, 4, 5), 3, name="l"), ((3, 2, 1, 1), (1, 1, 2, 3))),
    (lambda: EmbeddingLayer(InputLayer((None, 4)), 7, 3, name="l"), ((7, 3), (7, 3))),
    (lambda: ParametricRectifierLayer(image(3, 4, 4), name="l"), ((3,), (1, 1, 3)))])
def test_other_layers_have_their_layouts(layer, shapes):
    layer = shaken(layer())
    for arrays, shape in zip((torch_arrays(layer), keras_arrays(layer)), shapes):
        assert next(iter(arrays.values())).shape == shape


def test_filters_of_the_other_convolutions_are_mirrored():
    line = shaken(Conv1DLayer(image(2, 9), 4, 3, name="l"))
    np.testing.assert_array_equal(torch_arrays(line)["l.weight"],
                                  line.W.value[:, :, ::-1])
    gaps = shaken(DilatedConv2DLayer(image(2, 9, 9), 3, 3, name="l"))
    np.testing.assert_array_equal(torch_arrays(gaps)["l.weight"],
                                  gaps.W.value.swapaxes(0, 1))  # not flipped there


@pytest.mark.parametrize("layer", [
    lambda: LSTMLayer(InputLayer((None, 5, 3)), 4),
    lambda: BiasLayer(image(3, 4, 4), name="bias"),
    lambda: TransposedConv2DLayer(image(2, 4, 4), 3, 3),
    lambda: LocallyConnected2DLayer(image(2, 4, 4), 3, 3),
    lambda: Conv2DLayer(image(2, 4, 4), 3, 3, untie_biases=True),
    lambda: NINLayer(image(2, 4, 4), 3, untie_biases=True),
    lambda: BatchNormLayer(image(2, 4, 4), axes=(0,)),
    lambda: ParametricRectifierLayer(image(3, 4, 4), shared_axes=(0,))])
@pytest.mark.parametrize("arrays_of", [torch_arrays, keras_arrays])
def test_what_has_no_place_there_is_named(layer, arrays_of):
    layer = layer()
    with pytest.raises(WeightsError, match=type(layer).__name__):
        arrays_of(layer)


def test_tied_weights_go_out_as_they_are():
    first = shaken(DenseLayer(image(4), 3, name="a"))
    second = DenseLayer(first, 4, W=first.W.T, b=None, name="b")
    np.testing.assert_array_equal(torch_arrays(second)["b.weight"], first.W.value)


def test_every_layer_gets_a_name_of_its_own():
    network = DenseLayer(DenseLayer(DenseLayer(image(4), 3), 3, name="a/b.c"), 3,
                         name="a/b.c")
    assert list(torch_arrays(network)) == [
        "dense_1.weight", "dense_1.bias", "a/b.c.weight", "a/b.c.bias",
        "a/b.c_3.weight", "a/b.c_3.bias"]
    assert [name.partition("/")[0] for name in keras_arrays(network)][::2] == [
        "dense_1", "a_b_c", "a_b_c_3"]


def test_a_failed_training_is_not_handed_on():
    network = mixed()
    network.b.value[0] = np.nan
    with pytest.raises(WeightsError, match="finite numbers for 'output.bias'"):
        torch_arrays(network)


def test_double_precision_stays():
    with config.use_floatX("float64"):
        network = DenseLayer(image(4), 3, W=init.Uniform(), name="fc")
    assert torch_arrays(network)["fc.weight"].dtype == np.float64


def test_a_blueprint_tells_all_that_a_program_needs():
    network = NonlinearityLayer(mixed(), name="relu")
    model = runs.model(network, protocol="as told")
    found = json.loads(json.dumps(blueprint(model, "torch")))
    assert found["classes"] == list(model.classes)
    assert found["notes"] == {"protocol": "as told"}
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert list(by_name) == [one.name for one in get_all_layers(network)]
    conv = by_name["conv"]
    assert (conv["type"], conv["reads"]) == ("Conv2DLayer", ["input"])
    assert (conv["filter_size"], conv["pad"], conv["arrays"]) == (
        [3, 3], [1, 1], ["weight", "bias"])
    assert conv["output_shape"] == [None, 4, 6, 5]
    assert "W" not in conv and by_name["fc"]["arrays"] == ["weight"]
    assert by_name["relu"]["nonlinearity"] == {"nonlinearity": "rectify"}


@pytest.mark.parametrize("target, words, names", [
    ("m.safetensors", [], "torch"), ("m.npz", ["--to", "torch-names"], "torch"),
    ("m.h5", ["--to", "keras-names"], "keras"), ("m.npz", ["--to", "keras-names"],
                                                 "keras"),
    ("m.safetensors", ["--to", "safetensors"], "torch")])
def test_the_command_writes_weights_and_a_blueprint(tmp_path, target, words, names):
    if target.endswith("h5"):
        pytest.importorskip("h5py", reason="h5py is not installed")
    save_model(tmp_path / "model.npz", runs.model(mixed()))
    done = runs.minifer("export", tmp_path / "model.npz", tmp_path / target, *words)
    assert done.code == 0 and "m.json says what the network is" in done.out
    about = json.loads((tmp_path / "m.json").read_text("utf-8"))
    separator = {"torch": ".", "keras": "/"}[names]
    wanted = {f"{layer['name']}{separator}{array}" for layer in about["layers"]
              for array in layer["arrays"]}
    read = {"m.h5": read_keras, "m.safetensors": read_safetensors,
            "m.npz": lambda path: dict(np.load(path))}[target]
    assert about["names"] == names and read(tmp_path / target).keys() == wanted


@pytest.mark.parametrize("target, words, said", [
    ("m.pth", [], "a name that ends in"),
    ("m.npz", ["--to", "safetensors"], "ends in .safetensors for --to safetensors"),
    ("m.safetensors", ["--preprocessing"], "expected an .onnx file"),
    ("model.npz", ["--to", "torch-names"], "another file than the model")])
def test_wrong_targets_get_one_line(tmp_path, target, words, said):
    save_model(tmp_path / "model.npz", runs.model(mixed()))
    before = (tmp_path / "model.npz").read_bytes()
    done = runs.minifer("export", tmp_path / "model.npz", tmp_path / target, *words)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
    assert (tmp_path / "model.npz").read_bytes() == before
    assert not (tmp_path / "m.json").exists()


def test_the_models_of_minifer_go_out():
    network = models.small_resnet()
    arrays = torch_arrays(network)
    counted = sum(array.size for name, array in arrays.items()
                  if not name.endswith("num_batches_tracked"))
    assert counted == count_params(network)
