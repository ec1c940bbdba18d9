"""The networks of the seed systems: shapes and counts as in their texts."""

import numpy as np
import pytest

from minifer import models, tensor
from minifer.errors import ShapeError
from minifer.layers import (Conv2DLayer, DenseLayer, DropoutLayer, InputLayer,
                            MaxPool2DLayer, count_params, get_all_layers,
                            get_all_params, get_output)


# --- what every model is asked ------------------------------------------------


# --- the headline network -----------------------------------------------------

CK96 = [  # layer, name, output of one image, parameters
    (InputLayer, "input", (1, 96, 96), 0), (Conv2DLayer, "conv1", (32, 92, 92), 832),
    (MaxPool2DLayer, "pool1", (32, 46, 46), 0),
    (Conv2DLayer, "conv2", (32, 42, 42), 25632),
    (MaxPool2DLayer, "pool2", (32, 21, 21), 0),
    (DropoutLayer, "drop1", (32, 21, 21), 0),
    (DenseLayer, "dense1", (256,), 3612928), (DropoutLayer, "drop2", (256,), 0),
    (DenseLayer, "output", (7,), 1799)]


def test_ck96_is_the_network_of_the_text():
    network = models.ck96()
    found = [(type(layer), layer.name, layer.output_shape[1:],
              sum(p.size for p in layer.params)) for layer in get_all_layers(network)]
    assert found == CK96
    assert count_params(network) == count_params(network, trainable=True) == 3641191
    assert all(layer.output_shape[0] is None for layer in get_all_layers(network))


def test_its_parameters_come_in_lasagnes_order():
    assert [(p.name, p.shape) for p in get_all_params(models.ck96())] == [
        ("conv1.W", (32, 1, 5, 5)), ("conv1.b", (32,)),
        ("conv2.W", (32, 32, 5, 5)), ("conv2.b", (32,)),
        ("dense1.W", (14112, 256)), ("dense1.b", (256,)),
        ("output.W", (256, 7)), ("output.b", (7,))]
    assert [p.name for p in get_all_params(models.ck96(), regularizable=True)] == [
        "conv1.W", "conv2.W", "dense1.W", "output.W"]
    assert {p.dtype.name for p in get_all_params(models.ck96())} == {"float32"}


def test_its_layers_work_as_the_text_says():
    layers = {layer.name: layer for layer in get_all_layers(models.ck96())}
    for name in ("conv1", "conv2"):
        assert (layers[name].stride, layers[name].pad) == ((1, 1), (0, 0))
        assert repr(layers[name].nonlinearity) == "rectify"
        assert layers[name].flip_filters
    for name in ("pool1", "pool2"):
        assert (layers[name].pool_size, layers[name].stride) == ((2, 2), (2, 2))
    assert layers["drop1"].p == layers["drop2"].p == 0.5
    assert repr(layers["dense1"].nonlinearity) == "rectify"
    assert repr(layers["output"].nonlinearity) == "softmax"


def test_it_gives_each_class_a_share_of_one():
    images = np.random.default_rng(0).uniform(size=(2, 1, 96, 96)).astype("float32")
    shares = get_output(models.ck96(), images, deterministic=True)
    assert shares.shape == (2, 7) and shares.dtype == "float32"
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_its_options():
    x = tensor.tensor4("x")
    network = models.ck96(x, num_classes=6, size=48)
    layers = get_all_layers(network)
    assert layers[0].input_var is x
    assert network.output_shape == (None, 6)
    assert layers[0].shape == (None, 1, 48, 48)
    assert layers[4].output_shape == (None, 32, 9, 9)
    assert models.ck96(size=16).output_shape == (None, 7)


@pytest.mark.parametrize("options, message", [
    ({"size": 15}, "MaxPool2DLayer 'pool2'"), ({"size": 0}, "InputLayer 'input'"),
    ({"num_classes": 0}, "DenseLayer 'output': expected num_units .+ got 0")])
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ShapeError, match=message):
        models.ck96(**options)
