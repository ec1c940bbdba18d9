"""Networks out of ONNX graphs: the same numbers, trainable, and no file is trusted."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="it is not installed: pip install minifer"
                           "[onnx]")

import minifer  # noqa: E402
from helpers import onnx_cases, runs  # noqa: E402
from helpers.layers import example_input  # noqa: E402
from minifer import layers, objectives, updates  # noqa: E402
from minifer.commands.gradcheck import layers as example_layers  # noqa: E402
from minifer.errors import WeightsError  # noqa: E402
from minifer.foreign import read_onnx, read_onnx_model, write_onnx  # noqa: E402
from minifer.foreign.onnx.reading.model import network_of  # noqa: E402
from minifer.foreign.onnx.writing.model import to_onnx  # noqa: E402
from minifer.weights import load_model, save_model  # noqa: E402

#: What is written with operators that minifer has no layers for.
ONE_WAY = ("LocallyConnected2DLayer", "FeatureWTALayer", "TransformerLayer",
           "TPSTransformerLayer", "InverseLayer", "RecurrentLayer, all options",
           "LSTMLayer, all options", "LSTMLayer, other gates", "GRULayer, all options",
           "GRULayer, other gates", "GRULayer, reset first", "CustomRecurrentLayer")
BOTH_WAYS = [pytest.param(layer, id=title) for title, layer in example_layers()
             if not title.startswith(ONE_WAY)]


def graph_of(nodes, shape=(None, 4), out=(None, 4), version=17, **weights):
    """A model of nodes between ``x`` and ``y``."""
    h, kind = onnx.helper, onnx.TensorProto.FLOAT
    return h.make_model(h.make_graph(
        nodes, "test", [h.make_tensor_value_info("x", kind, shape)],
        [h.make_tensor_value_info("y", kind, out)],
        [onnx.numpy_helper.from_array(np.asarray(value, np.float32), name)
         for name, value in weights.items()]),
        opset_imports=[h.make_opsetid("", version)], ir_version=8)


def node(kind, *inputs, out="y", **attributes):
    return onnx.helper.make_node(kind, inputs, [out], name=f"the {kind}", **attributes)


# --- what is read --------------------------------------------------------------------

@pytest.mark.parametrize("network", BOTH_WAYS)
def test_there_and_back(network):
    rng = np.random.default_rng(0)
    for param in layers.get_all_params(network):
        value = rng.normal(size=param.shape) / 8
        if (param.name or "").endswith("inv_std"):
            value = np.abs(value) + 0.1
        param.set_value(value.astype(np.float32))
    x = example_input(network, 3).astype(np.float32)
    found = layers.get_output(network_of(to_onnx(network)), x, deterministic=True)
    np.testing.assert_allclose(found, layers.get_output(network, x, deterministic=True),
                               rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ["same_upper", "same_lower"])
@pytest.mark.parametrize("size", [(None, None), (9, 8)])
def test_layers_pad_by_themselves(rule, size):
    x = layers.InputLayer((None, 2, *size))
    y = layers.Conv2DLayer(x, 3, (2, 3), 2, rule, flip_filters=False)
    y = layers.Pool2DLayer(y, 2, 1, rule, mode="average_exc_pad")
    y = layers.MaxPool2DLayer(y, 3, 2, rule)
    batch = np.random.default_rng(0).normal(size=(2, 2, 9, 8)).astype(np.float32)
    found = network_of(to_onnx(y))
    assert [type(one) for one in layers.get_all_layers(found)] == [
        type(one) for one in layers.get_all_layers(y)]
    np.testing.assert_allclose(layers.get_output(found, batch),
                               layers.get_output(y, batch), rtol=1e-5, atol=1e-6)


def test_no_case_of_onnx_itself_is_wrong():
    verdicts = [onnx_cases.outcome(case)[0] for case in onnx_cases.cases()]
    assert verdicts.count("wrong") == 0 and verdicts.count("passed") >= 320


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -2, 3])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Hardmax"])
def test_before_version_13_all_axes_from_one_on_are_one(kind, axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    rows = x.reshape(int(np.prod(x.shape[:1 if axis is None else axis])), -1)
    e = np.exp(rows)
    expected = {"Softmax": e / e.sum(1, keepdims=True),
                "LogSoftmax": rows - np.log(e.sum(1, keepdims=True)),
                "Hardmax": rows == rows.max(1, keepdims=True)}[kind].reshape(x.shape)
    for batch in (None, 2):
        network = network_of(graph_of(
            [node(kind, "x", **({} if axis is None else {"axis": axis}))],
            (batch, 3, 4, 5), (batch, 3, 4, 5), version=11))
        assert network.output_shape == (batch, 3, 4, 5)
        np.testing.assert_allclose(layers.get_output(network, x), expected, atol=1e-6)


def test_lengths_must_be_known_before_version_13():
    with pytest.raises(WeightsError, match="known lengths, or version 13 or later"):
        network_of(graph_of([node("Softmax", "x")], (None, 3, None), (None, 3, None),
                            version=11))


@pytest.mark.parametrize("version", [18, 21])
def test_scales_of_groups_became_scales_of_channels(version):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 4, 5)).astype(np.float32)
    scale, bias = rng.normal(size=(2, 2 if version == 18 else 6)).astype(np.float32)
    rows = x.reshape(2, 2, -1)
    unit = (rows - rows.mean(2, keepdims=True)) / np.sqrt(
        rows.var(2, keepdims=True) + 1e-5)
    each = 6 // len(scale)
    expected = (unit.reshape(x.shape) * scale.repeat(each)[:, None, None]
                + bias.repeat(each)[:, None, None])
    network = network_of(graph_of(
        [node("GroupNormalization", "x", "scale", "bias", num_groups=2)],
        (None, 6, 4, 5), (None, 6, 4, 5), version, scale=scale, bias=bias))
    np.testing.assert_allclose(layers.get_output(network, x), expected, atol=1e-5)


def test_a_scale_that_is_computed_is_one_for_each_channel():
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 4)).astype(np.float32)
    mean, variance = (f(x, axis=(2, 3), keepdims=True) for f in (np.mean, np.var))
    scale = x.mean(axis=(0, 2, 3))[:, None, None]
    network = network_of(graph_of(
        [node("ReduceMean", "x", axes=[0, 2, 3], keepdims=0, out="s"),
         node("InstanceNormalization", "x", "s", "b")],
        (None, 4, 3, 4), (None, 4, 3, 4), b=np.arange(4)))
    np.testing.assert_allclose(
        layers.get_output(network, x), scale * (x - mean) / np.sqrt(variance + 1e-5)
        + np.arange(4)[:, None, None], atol=1e-5)


def test_a_nonlinearity_ends_the_layer_below():
    network = network_of(graph_of([node("MatMul", "x", "W", out="z"),
                                   node("Relu", "z")], out=(None, 3),
                                  W=np.ones((4, 3))))
    assert isinstance(network, layers.DenseLayer)
    assert network.nonlinearity is minifer.nonlinearities.rectify


def test_fine_tuning_starts_from_it_and_fixed_numbers_stay(tmp_path):
    """Weights move; a constant of the graph does not; and model files hold it all."""
    half = onnx.helper.make_node("Constant", [], ["half"], value_float=0.5)
    network = network_of(graph_of(
        [half, node("Mul", "x", "half", out="a"), node("Gemm", "a", "W", "b", out="c"),
         node("Add", "c", "more", out="d"), node("Tanh", "d", out="e"),
         node("Softmax", "e")],
        out=(None, 3), W=np.eye(4)[:, :3], b=np.zeros(3), more=np.zeros((1, 3))))
    learnt = layers.get_all_params(network, trainable=True)
    assert {one.name for one in learnt} == {"c.W", "c.b", "d.b"}
    x, t = np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0])
    source = layers.get_all_layers(network)[0]
    targets = minifer.tensor.ivector("t")
    loss = objectives.categorical_crossentropy(layers.get_output(network),
                                               targets).mean()
    train = minifer.function([source.input_var, targets], loss,
                             updates=updates.sgd(loss, learnt, 0.5))
    losses = [float(train(x, t)) for _ in range(20)]
    assert losses[-1] < losses[0] - 0.1
    save_model(tmp_path / "model.npz", runs.model(network))
    back = load_model(tmp_path / "model.npz").network
    np.testing.assert_array_equal(layers.get_output(back, x),
                                  layers.get_output(network, x))


def test_a_model_of_minifers_comes_back_whole(tmp_path):
    model = runs.model(runs.network(norm=True), protocol="as told")
    write_onnx(tmp_path / "model.onnx", model)
    back = read_onnx_model(tmp_path / "model.onnx")
    assert (back.classes, back.preprocessing, back.notes) == (
        model.classes, model.preprocessing, model.notes)
    write_onnx(tmp_path / "pixels.onnx", model, preprocessing=True)
    with pytest.raises(WeightsError, match="pixels.onnx: expected a network that takes "
                                           "numbers"):
        read_onnx_model(tmp_path / "pixels.onnx")
    write_onnx(tmp_path / "bare.onnx", model.network)
    with pytest.raises(WeightsError, match="bare.onnx: expected a model that minifer"):
        read_onnx_model(tmp_path / "bare.onnx")


def test_several_outputs_and_inputs():
    h, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [h.make_tensor_value_info(name, kind, (None, 2)) for name in "abcd"]
    model = h.make_model(h.make_graph(
        [node("Add", "a", "b", out="c"), node("Mul", "a", "c", out="d")], "test",
        values[:2], values[2:]), opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    c, d = network_of(model)
    a, b = (one for one in layers.get_all_layers([c, d])
            if isinstance(one, layers.InputLayer))
    x = np.array([[1.0, 2.0]])
    found = layers.get_output([c, d], {a: x, b: 2 * x})
    np.testing.assert_array_equal(found, [3 * x, 3 * x * x])


# --- what is refused -----------------------------------------------------------------

def refused(model, *says, folder=None):
    with pytest.raises(WeightsError) as caught:
        network_of(model, folder)
    assert "\n" not in str(caught.value)
    for words in says:
        assert words in str(caught.value)


def test_the_first_unknown_operator_is_named():
    refused(graph_of([node("Relu", "x", out="z"), node("Det", "z", out="a"),
                      node("NonZero", "a")]),
            "operators that minifer has, got Det in node 'the Det'")
    custom = onnx.helper.make_node("Relu", ["x"], ["y"], name="odd", domain="com.me")
    refused(graph_of([custom]), "com.me.Relu in node 'odd'")


@pytest.mark.parametrize("nodes, weights, says", [
    ([node("Gemm", "x", "W")], {"W": np.ones((5, 3))}, "rows of 5 numbers"),
    ([node("Gemm", "x", "no")], {}, "values that come before it, got 'no'"),
    ([node("Conv", "x", "W")], {"W": np.ones((2, 1, 3, 3))}, "axes behind the chan"),
    ([node("Dropout", "x", "r", "t")], {"r": 0.5, "t": 1}, "a network as it predicts"),
    ([node("Tile", "x", "r")], {"r": [1, 1 << 40]}, "numbers"),
    ([node("Add", "x", "W")], {"W": [np.inf, 0, 0, 0]}, "the Add"),
    ([node("Softmax", "x", axis=7)], {}, "the Softmax"),
    ([node("Reshape", "x", "s")], {"s": [0, 5]}, "the Reshape")])
def test_a_node_that_cannot_be_is_named(nodes, weights, says):
    refused(graph_of(nodes, **weights), says)


def test_sizes_are_compared():
    model = graph_of([node("Gemm", "x", "W")], W=np.ones((4, 4)))
    model.graph.initializer[0].raw_data = b"short"
    refused(model, "tensor 'W': expected numbers of shape (4, 4)")
    model.graph.initializer[0].dims[0] = -1
    refused(model, "tensor 'W': expected lengths >= 0")


@pytest.mark.parametrize("place, says", [
    ("../secret", "lies outside"), ("/etc/hostname", "lies outside"),
    ("link", "lies outside"), ("gone", "could not be read"),
    ("short", "expected 64 bytes")])
def test_numbers_beside_the_file(tmp_path, place, says):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 64)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(b"\0" * 8)
    (folder / "good").write_bytes(np.eye(4, dtype=np.float32).tobytes())
    model = graph_of([node("Gemm", "x", "W")], W=np.ones((4, 4)))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "good"
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    x = np.ones((1, 4))
    np.testing.assert_array_equal(layers.get_output(read_onnx(folder / "m.onnx"), x), x)
    refused(model, "the name 'good' of another")
    entry.value = place
    refused(model, says, folder=str(folder))


@pytest.mark.parametrize("damage", [b"", b"PK\3\4", b"\x08\x08" * 40])
def test_damaged_files_give_one_line(tmp_path, damage):
    path = tmp_path / "m.onnx"
    path.write_bytes(damage)
    with pytest.raises(WeightsError, match="m.onnx: expected a whole ONNX file"):
        read_onnx(path)
    whole = graph_of([node("Relu", "x")]).SerializeToString()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError):
            read_onnx(path)
    with pytest.raises(WeightsError, match="gone.onnx: could not be read"):
        read_onnx(tmp_path / "gone.onnx")
