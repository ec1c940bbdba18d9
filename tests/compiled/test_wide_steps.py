"""Whole training steps in tf32 on Hopper: the wide kernels, within a captured graph."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import layers, objectives, random, updates
from minifer.cuda import loader, wide_conv, wide_gemm
from minifer.device.arrays import compute_capability
from minifer.tensor import ivector


def train(device):
    """Losses of four steps on noise, and whether they were captured."""
    random.set_rng(0)
    network = layers.InputLayer((None, 1, 14, 14))
    for size in (3, 3):
        network = layers.Conv2DLayer(network, 32, size)
        network = layers.MaxPool2DLayer(network, 2)
    network = layers.DenseLayer(network, 64)
    network = layers.DenseLayer(network, 5, nonlinearity=minifer.nonlinearities.softmax)
    targets = ivector("targets")
    loss = objectives.categorical_crossentropy(
        layers.get_output(network), targets).mean()
    source = layers.get_all_layers(network)[0].input_var
    step = minifer.function(
        [source, targets], loss, updates.nesterov_momentum(
            loss, layers.get_all_params(network), learning_rate=0.01),
        device=device, precision="tf32")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 1, 14, 14)).astype(np.float32)
    return [float(step(images, np.arange(64, dtype=np.int32) % 5))
            for _ in range(4)], step.captured


@pytest.mark.parametrize("device", DEVICES)
def test_steps_with_the_wide_kernels_are_those_without(device, monkeypatch):
    if compute_capability(device) != 90:
        pytest.skip("needs a GPU of compute capability 9.0")
    names, real = set(), loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda self, *args, **how: (
        names.add(self.name), real(self, *args, **how))[1])
    losses, captured = train(device)
    assert captured and {"wide_conv_forward", "wide_forward", "wide_input_gradient",
                         "wide_turn", "wide_weight_update"} <= names
    names.clear()
    for module in (wide_conv, wide_gemm):
        monkeypatch.setattr(module, "compute_capability", lambda device: 80)
    others, _ = train(device)
    assert not [name for name in names if name.startswith("wide")]
    np.testing.assert_allclose(losses, others, rtol=1e-4)
    assert losses[-1] < losses[0]
