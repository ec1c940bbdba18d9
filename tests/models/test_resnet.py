"""Residual networks in both layouts: names, shapes, counts, numbers of foreign ones.

The foreign networks are written here from their definition, on the loops of
``reference.py``, with weights in the layout of their own library.
"""

import functools

import numpy as np
import pytest

from helpers import reference
from helpers.networks import check_comes_back, check_learns, outputs_of
from minifer import config, gradcheck, models, random, tensor
from minifer.errors import ShapeError
from minifer.layers import (BatchNormLayer, Conv2DLayer, count_params, get_all_layers,
                            get_all_params, get_output)


def by_name(network):
    return {layer.name: layer for layer in get_all_layers(network)}


def has_unique_names(network):
    every = get_all_layers(network)
    return len(by_name(network)) == len(every)


# --- counts and shapes ----------------------------------------------------------

@pytest.mark.parametrize("name, trainable, averages, stage_of_block", [
    ("resnet18", 11689512, 9600, [2, 2, 2, 2]),
    ("resnet50", 25557032, 53120, [3, 4, 6, 3]),
    ("resnet101", 44549160, 105344, [3, 4, 23, 3]),
    ("resnet152", 60192808, 151424, [3, 8, 36, 3])])
def test_counts_and_stages_are_those_of_torchvision(
        name, trainable, averages, stage_of_block):
    network = getattr(models, name)()
    assert count_params(network, trainable=True) == trainable
    assert count_params(network) == trainable + averages
    assert has_unique_names(network)
    k, last = (1, "relu_1") if name == "resnet18" else (4, "relu_2")
    outputs = outputs_of(network)
    assert outputs["conv1"] == outputs["relu"] == (64, 112, 112)
    assert outputs["maxpool"] == (64, 56, 56)
    for stage, depth in enumerate(stage_of_block):
        shape = (k * 64 * 2 ** stage,) + 2 * (56 // 2 ** stage,)
        for place in range(depth):
            assert outputs[f"layer{stage + 1}.{place}.{last}"] == shape
        assert f"layer{stage + 1}.{depth}.add" not in outputs
    assert outputs["avgpool"] == (k * 512,) and network.output_shape == (None, 1000)


@pytest.mark.parametrize("name, in_all, depths", [
    ("keras_resnet50", 23587712, [3, 4, 6, 3]),
    ("keras_resnet101", 42658176, [3, 4, 23, 3]),
    ("keras_resnet152", 58370944, [3, 8, 36, 3])])
def test_counts_and_stages_are_those_of_keras(name, in_all, depths):
    network = getattr(models, name)()
    assert count_params(network) == in_all and has_unique_names(network)
    outputs = outputs_of(network)
    assert outputs["conv1_conv"] == outputs["conv1_relu"] == (64, 112, 112)
    assert outputs["pool1_pool"] == (64, 56, 56)
    for stage, depth in enumerate(depths):
        shape = (256 * 2 ** stage,) + 2 * (56 // 2 ** stage,)
        for place in range(1, depth + 1):
            assert outputs[f"conv{stage + 2}_block{place}_out"] == shape
        assert f"conv{stage + 2}_block{depth + 1}_out" not in outputs
    assert network.name == "conv5_block3_out"
    assert network.output_shape == (None, 2048, 7, 7)


# --- names and settings -------------------------------------------------------------

def test_layers_are_named_as_in_torchvision():
    assert list(by_name(models.resnet((1, 2), width=4, size=32))) == [
        "input", "conv1", "bn1", "relu", "maxpool",
        *("layer1.0." + part for part in (
            "conv1", "bn1", "relu", "conv2", "bn2", "relu_1", "conv3", "bn3",
            "downsample.0", "downsample.1", "add", "relu_2")),
        *("layer2.0." + part for part in (
            "conv1", "bn1", "relu", "conv2", "bn2", "relu_1", "conv3", "bn3",
            "downsample.0", "downsample.1", "add", "relu_2")),
        *("layer2.1." + part for part in (
            "conv1", "bn1", "relu", "conv2", "bn2", "relu_1", "conv3", "bn3",
            "add", "relu_2")), "avgpool", "fc"]
    assert list(by_name(models.resnet((1, 1), False, width=4, size=32))) == [
        "input", "conv1", "bn1", "relu", "maxpool",
        *("layer1.0." + part for part in (
            "conv1", "bn1", "relu", "conv2", "bn2", "add", "relu_1")),
        *("layer2.0." + part for part in (
            "conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1",
            "add", "relu_1")), "avgpool", "fc"]


def test_layers_are_named_as_in_keras():
    assert sorted(by_name(models.keras_resnet((1, 2), width=4, size=32))) == sorted([
        "input", "conv1_conv", "conv1_bn", "conv1_relu", "pool1_pool",
        *(block + part for block in ("conv2_block1_", "conv3_block1_")
          for part in ("0_conv", "0_bn")),
        *(block + part for block in ("conv2_block1_", "conv3_block1_", "conv3_block2_")
          for part in ("1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "2_relu",
                       "3_conv", "3_bn", "add", "out"))])


@pytest.mark.parametrize("build, epsilon, alpha, bias", [
    (functools.partial(models.resnet, (1, 2)), 1e-5, .1, False),
    (functools.partial(models.resnet, (1, 2), False), 1e-5, .1, False),
    (functools.partial(models.keras_resnet, (1, 2)), 1.001e-5, .01, True)])
def test_constants_are_those_of_their_library(build, epsilon, alpha, bias):
    every = get_all_layers(build(width=4, size=32))
    norms = [one for one in every if isinstance(one, BatchNormLayer)]
    assert {(one.epsilon, one.alpha) for one in norms} == {(epsilon, alpha)}
    convs = [one for one in every if isinstance(one, Conv2DLayer)]
    assert {(one.b is not None, one.flip_filters) for one in convs} == {(bias, False)}


def test_strides_are_on_the_3x3_in_torchvision_and_on_the_first_1x1_in_keras():
    def strided(network):
        return {one.name for one in get_all_layers(network)
                if getattr(one, "stride", (1, 1)) == (2, 2)}

    assert strided(models.resnet((1, 2), width=4, size=32)) == {
        "conv1", "maxpool", "layer2.0.conv2", "layer2.0.downsample.0"}
    assert strided(models.resnet((1, 2), False, width=4, size=32)) == {
        "conv1", "maxpool", "layer2.0.conv1", "layer2.0.downsample.0"}
    assert strided(models.keras_resnet((1, 2), width=4, size=32)) == {
        "conv1_conv", "pool1_pool", "conv3_block1_1_conv", "conv3_block1_0_conv"}


def test_options():
    x = tensor.tensor4("x")
    for name in ("resnet18", "resnet50"):
        network = getattr(models, name)(x, num_classes=7, size=48, channels=1)
        assert get_all_layers(network)[0].shape == (None, 1, 48, 48)
        assert get_all_layers(network)[0].input_var is x
        assert network.output_shape == (None, 7)
    body = models.keras_resnet50(x, size=48, channels=1)
    assert get_all_layers(body)[0].shape == (None, 1, 48, 48)
    assert get_all_layers(body)[0].input_var is x
    with pytest.raises(ShapeError, match="'fc': expected num_units"):
        models.resnet((1,), width=4, num_classes=0)
    with pytest.raises(ShapeError, match="'conv1_conv': expected num_filters"):
        models.keras_resnet((1,), width=0)


def test_filters_start_as_he_drew_them():
    random.set_rng(0)
    W = by_name(models.resnet((1,), width=32, size=32))["layer1.0.conv2"].W.value
    assert abs(W.std() / (2 / (32 * 9)) ** 0.5 - 1) < 0.03


# --- the numbers of a foreign network ----------------------------------------------

def conv(x, weights, name, stride=1, pad=0):
    return reference.conv2d(x, weights[name + ".weight"], weights.get(name + ".bias"),
                            (stride, stride), (pad, pad), flip_filters=False)


def norm(x, weights, name, epsilon):
    """Prediction's batch norm, from a running variance."""
    def wide(kind):
        return weights[f"{name}.{kind}"].reshape(1, -1, 1, 1)

    return (wide("weight") * (x - wide("running_mean"))
            / np.sqrt(wide("running_var") + epsilon) + wide("bias"))


def rectify(x):
    return np.maximum(x, 0)


def torch_block(x, w, name, strides, pads):
    """A block of torchvision's, and the maps it hands on."""
    y, last = x, len(strides)
    for i, (stride, pad) in enumerate(zip(strides, pads), 1):
        y = norm(conv(y, w, f"{name}.conv{i}", stride, pad), w, f"{name}.bn{i}", 1e-5)
        y = y if i == last else rectify(y)
    if name + ".downsample.0.weight" in w:
        x = norm(conv(x, w, name + ".downsample.0", max(strides)), w,
                 name + ".downsample.1", 1e-5)
    return rectify(y + x)


def torch_network(x, w, strides, pads):
    """Two stages of one block; ``strides`` and ``pads`` of the second's."""
    y = rectify(norm(conv(x, w, "conv1", 2, 3), w, "bn1", 1e-5))
    y = reference.pool2d(y, (3, 3), (2, 2), (1, 1))
    y = torch_block(y, w, "layer1.0", [1] * len(strides), pads)
    y = torch_block(y, w, "layer2.0", strides, pads)
    logits = y.mean(axis=(2, 3)) @ w["fc.weight"].T + w["fc.bias"]
    return reference.softmax(logits)


def keras_block(x, w, name, stride):
    short = norm(conv(x, w, name + "_0_conv", stride), w, name + "_0_bn", 1.001e-5)
    y = rectify(norm(conv(x, w, name + "_1_conv", stride), w, name + "_1_bn", 1.001e-5))
    y = rectify(norm(conv(y, w, name + "_2_conv", 1, 1), w, name + "_2_bn", 1.001e-5))
    y = norm(conv(y, w, name + "_3_conv"), w, name + "_3_bn", 1.001e-5)
    return rectify(short + y)


def keras_network(x, w):
    """conv1_pad, conv1, pool1_pad with zeros, pool1, two stages of one block."""
    padded = np.pad(x, [(0, 0), (0, 0), (3, 3), (3, 3)])
    y = rectify(norm(conv(padded, w, "conv1_conv", 2), w, "conv1_bn", 1.001e-5))
    y = reference.pool2d(np.pad(y, [(0, 0), (0, 0), (1, 1), (1, 1)]), (3, 3), (2, 2))
    y = keras_block(y, w, "conv2_block1", 1)
    return keras_block(y, w, "conv3_block1", 2)


def foreign_weights(network, seed=0):
    """Random weights under PyTorch's names and in its layout; the network gets them.

    The second is done as the tables in the models' documentation say.
    """
    rng, weights = np.random.default_rng(seed), {}
    for layer in get_all_layers(network):
        for p in layer.params:
            name, kind = p.name.rsplit(".", 1)
            value = rng.normal(size=p.shape)
            if kind == "W":
                value *= 0.5 / np.sqrt(np.prod(p.shape[1:]))
                weights[name + ".weight"] = value.T if p.value.ndim == 2 else value
            elif kind == "inv_std":
                variance = rng.uniform(0.5, 2, p.shape)
                weights[name + ".running_var"] = variance
                value = 1 / np.sqrt(variance + layer.epsilon)
            else:
                weights[name + {"b": ".bias", "beta": ".bias", "gamma": ".weight",
                                "mean": ".running_mean"}[kind]] = value
            p.set_value(value)
    return weights


@pytest.mark.parametrize("bottleneck, strides, pads", [
    (False, [2, 1], [1, 1]), (True, [1, 2, 1], [0, 1, 0])])
def test_predictions_are_those_of_torchvision(bottleneck, strides, pads):
    with config.use_floatX("float64"):
        network = models.resnet((1, 1), bottleneck, width=2, num_classes=3, size=19)
    weights = foreign_weights(network)
    x = np.random.default_rng(1).normal(size=(2, 3, 19, 19))
    np.testing.assert_allclose(get_output(network, x, deterministic=True),
                               torch_network(x, weights, strides, pads), rtol=1e-10)


def test_predictions_are_those_of_keras():
    with config.use_floatX("float64"):
        network = models.keras_resnet((1, 1), width=2, size=19)
    weights = foreign_weights(network)
    x = np.random.default_rng(1).normal(size=(2, 3, 19, 19))
    np.testing.assert_allclose(get_output(network, x, deterministic=True),
                               keras_network(x, weights), rtol=1e-10, atol=1e-12)


# --- gradients and life -------------------------------------------------------------

@pytest.mark.parametrize("build", [
    lambda: models.resnet((1, 1), False, width=2, num_classes=3, size=24),
    lambda: models.resnet((1, 1), width=2, num_classes=3, size=24),
    lambda: models.keras_resnet((1, 1), width=2, size=24)],
    ids=["basic", "bottleneck", "keras"])
def test_gradients_are_those_measured(build):
    random.set_rng(0)
    report = gradcheck.check(build(), batch=3, directions=1, elementwise_up_to=0,
                             elements=0)
    assert report.ok, str(report)


@pytest.mark.parametrize("bottleneck", [False, True], ids=["basic", "bottleneck"])
def test_it_learns_is_saved_and_predicts(tmp_path, bottleneck):
    random.set_rng(0)
    network = models.resnet((1, 2), bottleneck, width=4, num_classes=5, size=32)
    check_learns(network)
    check_comes_back(network, tmp_path / "m.npz")


def test_a_whole_resnet50_runs_at_224():
    network = models.resnet50(num_classes=8)
    x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype("float32")
    shares = get_output(network, x, deterministic=True)
    assert shares.shape == (1, 8) and shares.dtype == "float32"
    assert abs(shares.sum() - 1) < 1e-5
    assert all(p.dtype == "float32" for p in get_all_params(network))
