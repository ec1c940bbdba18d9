"""Whole networks train as one captured graph a step, with the CPU's losses.

Only where CuPy is: for the emulator's own device they would take too long.
"""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import layers, models, objectives, random, updates
from minifer.nonlinearities import softmax
from minifer.tensor import ivector


def headless(body):
    return layers.DenseLayer(layers.GlobalPoolLayer(body), 5, nonlinearity=softmax)


MODELS = {
    "ck96": lambda: models.ck96(num_classes=5, size=24),
    "mlp": lambda: models.mlp(num_classes=5, size=12),
    "resnet": lambda: models.resnet((1, 1), bottleneck=False, num_classes=5, size=32),
    "bottleneck": lambda: models.resnet((1, 1), num_classes=5, size=32),
    "keras_resnet": lambda: headless(models.keras_resnet((1, 1), size=32)),
    "densenet": lambda: models.densenet(num_classes=5, size=16, depth=10)}


def trained(make, device, steps=5):
    """The losses, and the function that made them."""
    random.set_rng(0)
    network = make()
    layers.seed_noise(network, 0)
    targets = ivector("targets")
    loss = objectives.categorical_crossentropy(
        layers.get_output(network), targets).mean()
    update = updates.nesterov_momentum(
        loss, layers.get_all_params(network, trainable=True), learning_rate=0.001)
    source = layers.get_all_layers(network)[0]
    train = minifer.function([source.input_var, targets], loss, update, device=device)
    rng = np.random.default_rng(0)
    return [float(train(rng.normal(size=(3, *source.shape[1:])).astype("float32"),
                        rng.integers(0, 5, 3))) for _ in range(steps)], train


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_one_graph_and_the_losses_are_the_cpus(name, device):
    expected, _ = trained(MODELS[name], "cpu")
    losses, train = trained(MODELS[name], device)
    assert train.captured and train.launches > 20
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
