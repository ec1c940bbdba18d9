"""A network planned on a GPU gives what the CPU gives, at once and captured."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import layers, models, nonlinearities, objectives, regularization, updates
from minifer.device.arrays import to_host
from minifer.device.emuarray import EmuArray
from minifer.errors import MiniferError, NotFiniteError
from minifer.expressions import Variable
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            InputLayer, MaxPool2DLayer, NonlinearityLayer,
                            batch_norm, get_all_layers, get_all_param_values,
                            get_all_params)

on_devices = pytest.mark.parametrize("device", DEVICES)
TOLERANCE = {"fp32": 2e-5, "tf32": 2e-2}


def made(build, device, rule=updates.nesterov_momentum, penalty=0.0, weights=None,
         outputs=lambda loss, prediction: loss, soft=False, **options):
    """A network and a training function on a device, the same at each call."""
    minifer.random.set_rng(3)
    network = build()
    layers.seed_noise(network, 5)
    source, targets = get_all_layers(network)[0], Variable("y", 2 if soft else 1)
    prediction = layers.get_output(network)
    loss = objectives.categorical_crossentropy(prediction, targets, weights).mean()
    if penalty:
        loss = loss + penalty * regularization.regularize_network_params(
            network, regularization.l2)
    params = get_all_params(network, trainable=True)
    update = rule(loss, params, learning_rate=0.05)
    function = minifer.function([source.input_var, targets], outputs(loss, prediction),
                                update, device=device, **options)
    return network, function


def batches(network, sizes, classes, soft=False):
    rng = np.random.default_rng(0)
    shape = network if isinstance(network, tuple) else (
        get_all_layers(network)[0].shape[1:])
    for n in sizes:
        y = rng.dirichlet(np.ones(classes), n).astype("f") if soft else (
            rng.integers(0, classes, n))
        yield rng.standard_normal((n, *shape)).astype(np.float32) / 2, y


def same_steps(build, device, sizes=(4, 4, 4, 4), classes=3, precision="fp32", **how):
    """Steps on the CPU and on a device: the same losses, the same parameters."""
    soft = how.get("soft", False)
    there, train = made(build, device, precision=precision, **how)
    here, slow = made(build, "cpu", mode="eager", **how)
    for x, y in batches(there, sizes, classes, soft):
        found, expected = train(x, y), slow(x, y)
        for a, b in zip(np.atleast_1d(found), np.atleast_1d(expected)):
            np.testing.assert_allclose(a, b, rtol=TOLERANCE[precision])
    for a, b, p in zip(get_all_param_values(there), get_all_param_values(here),
                       get_all_params(there)):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=TOLERANCE[precision] * max(1, np.abs(b).max()),
            err_msg=p.name)
    return train


# --- networks -----------------------------------------------------------------

def headline():
    return models.ck96(size=24, num_classes=3)


def with_batch_norm():
    net = InputLayer((None, 8, 10, 12))
    for filters in (16, 8):
        net = batch_norm(Conv2DLayer(net, filters, 3, pad=1, name="conv"))
    net = MaxPool2DLayer(net, 2)
    net = DropoutLayer(net, .3)
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def odds_and_ends():
    """What has no fused form stands between what has."""
    net = InputLayer((None, 3, 13, 11))
    net = Conv2DLayer(net, 8, (3, 2), flip_filters=False, b=None)
    net = Conv2DLayer(net, 16, 3, pad="same", nonlinearity=nonlinearities.tanh)
    net = Conv2DLayer(net, 8, 3, stride=2)
    net = DropoutLayer(net, .2, shared_axes=(2, 3))
    net = layers.concat([net, NonlinearityLayer(net, nonlinearities.elu)])
    net = Conv2DLayer(net, 8, 1, nonlinearity=None)
    net = layers.GlobalPoolLayer(net)
    net = DenseLayer(net, 10, nonlinearity=nonlinearities.tanh)
    return DenseLayer(DropoutLayer(net), 3, nonlinearity=nonlinearities.softmax)


def perceptron():
    net = InputLayer((None, 9))
    net = DropoutLayer(DenseLayer(net, 17), .5)
    net = DenseLayer(net, 6, b=None, nonlinearity=None)
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def pooled_in_many_ways():
    net = Conv2DLayer(InputLayer((None, 1, 10, 12)), 8, 3)
    net = layers.FeatureWTALayer(layers.FeaturePoolLayer(net, 2), 2)
    line = layers.MaxPool1DLayer(layers.ReshapeLayer(net, ([0], 4, -1)), 3, 2)
    line = layers.Upscale1DLayer(layers.Pool1DLayer(line, 2, mode="average_inc_pad"), 2)
    volume = layers.ReshapeLayer(layers.Upscale2DLayer(net, (1, 2)), ([0], 1, 4, 8, -1))
    volume = layers.MaxPool3DLayer(layers.Pool3DLayer(
        volume, 2, 1, mode="average_exc_pad"), (1, 2, 3))
    volume = layers.Upscale3DLayer(volume, 2, "dilate")
    pyramid = layers.SpatialPyramidPoolingLayer(net, [2, 1], "average_exc_pad")
    net = layers.concat([layers.FlattenLayer(one) for one in (line, volume, pyramid)])
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def of_many_convolutions():
    net = Conv2DLayer(InputLayer((None, 2, 9, 8)), 6, 3, num_groups=2)
    net = Conv2DLayer(net, 6, 3, pad=1, num_groups=6)
    net = layers.DilatedConv2DLayer(net, 4, (2, 3), (2, 1))
    net = layers.TransposedConv2DLayer(net, 3, 2, 2)
    net = layers.LocallyConnected2DLayer(layers.NINLayer(net, 2), 2, 3)
    net = layers.Conv1DLayer(layers.ReshapeLayer(net, ([0], 4, -1)), 2, 3, 1, 1)
    net = layers.Conv3DLayer(layers.ReshapeLayer(net, ([0], 2, 2, 2, -1)), 2, 2)
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


def step_by_step():
    net = DenseLayer(InputLayer((None, 5, 4)), 6, num_leading_axes=2)
    net = DenseLayer(net, 7, num_leading_axes=-1, nonlinearity=nonlinearities.tanh)
    return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)


NETWORKS = [headline, with_batch_norm, odds_and_ends, perceptron, pooled_in_many_ways,
            of_many_convolutions, step_by_step]


@on_devices
@pytest.mark.parametrize("build", NETWORKS)
def test_steps_are_those_of_the_cpu(build, device):
    """The last batch is smaller, and small again: each size is captured for itself."""
    train = same_steps(build, device, sizes=(4, 4, 4, 3, 4, 3, 3))
    assert train.captured and "tf32" not in str(train.plan)


@on_devices
def test_the_headline_network_at_its_size(device):
    """Two images at 96×96, dropout on, as it runs and captured."""
    train = same_steps(models.ck96, device, sizes=(2, 2), classes=7)
    assert train.captured and train.launches < 60
    assert "fused fp32" in str(train.plan) and "fused head" in str(train.plan)


@on_devices
def test_tf32_is_less_exact_but_near(device):
    train = same_steps(headline, device, precision="tf32")
    assert "tf32" in str(train.plan)


@on_devices
@pytest.mark.parametrize("build", NETWORKS)
def test_captured_steps_are_the_same_bits(build, device):
    def values(**how):
        network, train = made(build, device, **how)
        losses = [train(x, y) for x, y in batches(network, (4,) * 5, 3)]
        return losses, get_all_param_values(network)

    (losses, ours), (expected, theirs) = values(), values(graph=False)
    if build in (odds_and_ends, of_many_convolutions):
        # Their products are cuBLAS's where nothing is captured.
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        return
    assert losses == expected
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)


@on_devices
@pytest.mark.parametrize("how", [
    {"penalty": 1e-2}, {"weights": np.array([1, .5, 2], "f")}, {"soft": True},
    {"outputs": lambda loss, prediction: [loss, prediction.mean()]},
    {"outputs": lambda loss, prediction: []},
    {"rule": updates.adam}, {"rule": updates.sgd},
    {"rule": lambda *a, **k: updates.apply_momentum(updates.sgd(*a, **k))}],
    ids=["penalty", "class weights", "soft targets", "prediction too", "no outputs",
         "adam", "sgd", "momentum around sgd"])
def test_what_a_training_function_may_be(how, device):
    train = same_steps(perceptron, device, **how)
    assert train.captured


@on_devices
def test_gradients_may_be_limited_in_norm(device):
    def rule(loss, params, learning_rate):
        update = updates.nesterov_momentum(loss, params, learning_rate)
        update.max_total_norm = 0.1
        return update

    same_steps(perceptron, device, rule=rule)


@on_devices
def test_the_rate_may_change_between_steps(device):
    (there, train), (here, slow) = (
        made(headline, d, rule=updates.adam, **how)
        for d, how in ((device, {}), ("cpu", {"mode": "eager"})))
    for i, (x, y) in enumerate(batches(there, (4,) * 5, 3)):
        for function in train, slow:
            function.updates.learning_rate = 0.01 * (i + 1)
        np.testing.assert_allclose(train(x, y), slow(x, y), rtol=1e-4)
    assert train.captured


@on_devices
def test_captured_steps_see_new_weights_and_larger_batches(device):
    network, train = made(headline, device)
    other, slow = made(headline, "cpu", mode="eager")
    data = batches(network, (2, 2, 2, 3, 3, 3, 2), 3)
    for step, (x, y) in enumerate(data):
        if step == 3:
            for net in network, other:
                for p in get_all_params(net, trainable=True):
                    p.set_value(p.get_value() * 0.9)
        np.testing.assert_allclose(train(x, y), slow(x, y), rtol=1e-4)
    assert train.captured


@on_devices
def test_predictions_are_those_of_the_cpu(device):
    def probabilities(device):
        minifer.random.set_rng(3)
        network = with_batch_norm()
        prediction = layers.get_output(network, deterministic=True)
        predict = minifer.function([get_all_layers(network)[0].input_var], prediction,
                                   device=device)
        return predict, [predict(x) for x, _ in batches(network, (4, 4, 3, 4), 3)]

    (_, here), (predict, there) = probabilities("cpu"), probabilities(device)
    for a, b in zip(here, there):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert predict.captured


@on_devices
def test_graphs_are_kept_for_a_few_shapes_only(device):
    network, train = made(perceptron, device)
    other, slow = made(perceptron, device, graph=False)
    for x, y in batches(network, [n for n in range(11, 0, -1) for _ in range(3)], 3):
        assert train(x, y) == slow(x, y)
    assert len(train.driver.replay.steps) == 8
    x, y = next(batches(network, [12], 3))  # a new plan: the old graphs are of no use
    assert train(x, y) == slow(x, y) and len(train.driver.replay.steps) == 1


@on_devices
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_what_is_not_finite_stops_everything(steps, device):
    network, train = made(headline, device)
    for x, y in batches(network, (4,) * steps, 3):
        train(x, y)
    before, t = get_all_param_values(network), train.updates.state["t"]
    x, y = next(batches(network, (4,), 3))
    x[2, 0, 5, 5] = np.nan
    with pytest.raises(NotFiniteError, match="input of layer"):
        train(x, y)
    assert train.updates.state["t"] == t
    for a, b in zip(before, get_all_param_values(network)):
        np.testing.assert_array_equal(a, b)


@on_devices
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("rule", [updates.adam, lambda *a, **k: updates.apply_momentum(
    updates.sgd(*a, **k))], ids=["adam", "momentum around sgd"])
def test_a_batch_that_does_not_fit_is_no_step(steps, rule, device):
    network, train = made(perceptron, device, rule=rule)
    for x, y in batches(network, (4,) * steps, 3):
        train(x, y)
    x, y = next(batches(network, (4,), 3))
    for bad in ((x, y[:3]), (x[:, :8], y)):
        with pytest.raises(MiniferError):
            train(*bad)
    update = train.updates
    assert update.state["t"] == steps
    assert getattr(update, "inner", update).state["t"] == steps
    assert np.isfinite(train(x, y))


@on_devices
def test_queued_results_stay_valid(device):
    network, train = made(with_batch_norm, device)
    losses = [train.queue(x, y) for x, y in batches(network, (4,) * 5, 3)]
    again, slow = made(with_batch_norm, device, graph=False)
    expected = [slow(x, y) for x, y in batches(again, (4,) * 5, 3)]
    assert [float(to_host(loss)) for loss in losses] == expected


@on_devices
def test_the_table_says_what_has_no_fused_form(device):
    network, train = made(odds_and_ends, device)
    for x, y in batches(network, (4, 4, 4), 3):
        train(x, y)
    text = str(train.plan)
    assert "fused direct" in text and "plain" in text
    assert "captured, as a graph" in text and train.launches
    assert "ms/image" in train.profile(x, y, repeat=1)


@on_devices
def test_the_table_says_what_keeps_a_step_from_being_captured(device):
    def of_a_users_own():
        net = layers.ExpressionLayer(InputLayer((None, 4)), lambda x: x * 2)
        return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)

    network, train = made(of_a_users_own, device)
    for x, y in batches(network, (4, 4, 4), 3):
        train(x, y)
    assert "has no kernel that a graph can hold" in str(train.plan)
    assert train.launches is None


@on_devices
def test_frozen_and_shared_layers(device):
    def build():
        net = InputLayer((None, 8, 9, 9))
        low = Conv2DLayer(net, 8, 3, pad=1)
        low.params[low.W].discard("trainable")
        low.params[low.b].discard("trainable")
        net = Conv2DLayer(low, 8, 3, pad=1)
        net = Conv2DLayer(net, 8, 3, pad=1, W=net.W, b=net.b)
        net = BatchNormLayer(MaxPool2DLayer(net, 2))
        return DenseLayer(net, 3, nonlinearity=nonlinearities.softmax)

    same_steps(build, device)


def test_the_emulators_arrays_are_not_mixed_with_numpys():
    network, train = made(headline, "emu")
    x, y = next(batches(network, (4,), 3))
    assert isinstance(train.queue(x, y), EmuArray)
