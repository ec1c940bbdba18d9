"""The networks of the seed systems: shapes and counts as in their texts."""

import numpy as np
import pytest

from minifer import (config, function, gradcheck, models, objectives, random, tensor,
                     updates)
from minifer.errors import ShapeError
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            InputLayer, MaxPool2DLayer, count_params, forward,
                            get_all_layers, get_all_params, get_output, seed_noise)
from minifer.weights import Model, load_model, save_model


# --- what every model is asked ------------------------------------------------

def outputs_of(network):
    """Name -> output of one image, for every layer."""
    return {layer.name: layer.output_shape[1:] for layer in get_all_layers(network)}


def counts_of(network):
    """Name -> number of parameters, for every layer that has any."""
    return {layer.name: sum(p.size for p in layer.params)
            for layer in get_all_layers(network) if layer.params}


def data(network, images, seed=0):
    """Images of which each shows its class's pattern, in noise; and the classes."""
    shape, K = get_all_layers(network)[0].shape[1:], network.output_shape[1]
    patterns = np.random.default_rng(1234).standard_normal((K,) + shape)
    y = np.arange(images) % K
    noise = np.random.default_rng(seed).standard_normal((images,) + shape)
    return (patterns[y] + 0.3 * noise).astype("float32"), y


def check_slope(build, images=3):
    """The loss along one direction through all parameters, against the gradient.

    The direction has the gradient's signs, so that no parameter cancels another, and
    is short: thousands of units have a kink, and few of them may lie along the way.
    """
    random.set_rng(0)
    with config.use_floatX("float64"):
        network = build()
    rng, options = np.random.default_rng(0), {}
    if any(isinstance(one, BatchNormLayer) for one in get_all_layers(network)):
        options = {"batch_norm_update_averages": False}
    x = data(network, images)[0].astype("float64")

    def run():
        seed_noise(network, 0)  # the same mask every time
        return forward(network, x, **options)

    y, tape = run()
    dy = rng.standard_normal(y.shape)
    found = tape.backward(dy)
    params = get_all_params(network, trainable=True)
    start = {p: p.get_value() for p in params}
    direction = {}
    for p in params:
        d = np.abs(rng.standard_normal(p.shape)) * np.sign(found[p])
        direction[p] = 0.01 * d / (np.linalg.norm(d) or 1)
    step = np.zeros(1)

    def loss():
        for p in params:
            p.set_value(start[p] + step[0] * direction[p])
        return float((dy * run()[0]).sum())

    slope = np.array([sum((found[p] * direction[p]).sum() for p in params)])
    report = gradcheck.compare(loss, {"all parameters": (step, slope)})
    assert report.ok and not report.rows[0].kinks, str(report)


def train(network, images=14, steps=25, rate=1e-3, penalty=0):
    """Losses of a few steps of Adam on one batch."""
    seed_noise(network, 0)
    x, y = data(network, images)
    source, target = get_all_layers(network)[0], tensor.ivector("y")
    source.input_var = source.input_var or tensor.tensor4("x")
    loss = objectives.categorical_crossentropy(get_output(network), target).mean()
    loss = loss + penalty if penalty else loss
    params = get_all_params(network, trainable=True)
    step = function([source.input_var, target], loss,
                    updates.adam(loss, params, learning_rate=rate))
    return [step(x, y) for _ in range(steps)]


def check_learns(network, **options):
    """Its loss falls, and it predicts shares of one."""
    losses = train(network, **options)
    assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0], losses
    shares = get_output(network, data(network, 3, seed=1)[0], deterministic=True)
    assert shares.shape == (3, network.output_shape[1]) and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)


def check_comes_back(network, path):
    """From a file it is the same network, and predicts the same."""
    names = [str(k) for k in range(network.output_shape[1])]
    save_model(path, Model(network, tuple(names)))
    back = load_model(path).network
    assert [(type(one), one.name) for one in get_all_layers(back)] == [
        (type(one), one.name) for one in get_all_layers(network)]
    x, _ = data(network, 3, seed=1)
    np.testing.assert_array_equal(get_output(back, x, deterministic=True),
                                  get_output(network, x, deterministic=True))


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
