"""Every layer compiled is the layer as it is; on a GPU those that can are captured."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from helpers.layers import example_input, input_of, refused
from minifer import config, nonlinearities, objectives, updates
from minifer.commands.gradcheck import layers as example_layers
from minifer.device.arrays import to_host
from minifer.ranks import Part, Ranks
from minifer.layers import (BiasLayer, ConcatLayer, Conv2DLayer, DenseLayer,
                            DimshuffleLayer, FlattenLayer, GaussianNoiseLayer,
                            InputLayer, LocalResponseNormalization2DLayer, PadLayer,
                            RandomizedRectifierLayer, ScaleLayer, SliceLayer,
                            TransformerLayer, forward, get_all_layers,
                            get_all_param_values, get_all_params, get_output,
                            instance_norm, prelu, seed_noise, set_all_param_values,
                            sharing)

EVERY_LAYER = [pytest.param(layer, id=title) for title, layer in example_layers()]


def of_a_pass(network, mode):
    """The output and, where there is something to learn, parameters after a step."""
    start = get_all_param_values(network)
    seed_noise(network, 3)
    source = input_of(network)
    x = example_input(network, 4).astype("float32")
    y = get_output(network)
    params, update = get_all_params(network, trainable=True), None
    if params:
        loss = objectives.squared_error(y, 0.0).mean()
        update = updates.sgd(loss, params, learning_rate=0.1)
    run = minifer.function([source.input_var], y, update, mode=mode)
    try:
        return [run(x), *get_all_param_values(network)] if params else [run(x)]
    finally:
        set_all_param_values(network, start)


@pytest.mark.parametrize("network", EVERY_LAYER)
def test_compiled_is_eager(network):
    expected, found = (of_a_pass(network, mode) for mode in ("eager", "compiled"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4,
                                   atol=1e-5 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("network", EVERY_LAYER)
def test_without_an_image_there_is_an_empty_output(network, mode):
    source = input_of(network)
    x = example_input(network, 4).astype("float32")
    before = get_all_param_values(network)
    try:
        for deterministic in (True, False):
            y = get_output(network, deterministic=deterministic)
            run = minifer.function([source.input_var], y, mode=mode)
            if deterministic:  # a plan is there, or none yet
                expected = run(x)
            found = run(x[:0])
            assert found.shape == (0, *network.output_shape[1:])
            assert found.dtype == "float32" and expected.shape[0] == 4
        for old, new in zip(before, get_all_param_values(network), strict=True):
            np.testing.assert_array_equal(new, old)
    finally:
        set_all_param_values(network, before)


@pytest.mark.parametrize("device", DEVICES)
def test_without_an_image_on_a_device(device):
    net = DenseLayer(Conv2DLayer(InputLayer((None, 8, 5, 5)), 8, 3), 3)
    for network in (net, net.input_layer, FlattenLayer(InputLayer((None, 2, 3)))):
        source, y = input_of(network), get_output(network)
        run = minifer.function([source.input_var], y, device=device)
        x = np.ones((4, *source.shape[1:]), "float32")
        for n in (4, 4, 0, 4):
            assert run(x[:n]).shape == (n, *network.output_shape[1:])
        assert to_host(get_output(network, x[:0])).shape == run(x[:0]).shape


def test_without_an_image_all_gradients_are_0():
    net = DenseLayer(Conv2DLayer(InputLayer((None, 2, 5, 5)), 3, 3), 3)
    y, tape = forward(net, np.zeros((0, 2, 5, 5), "float32"))
    found = tape.backward(y, wrt_inputs=True)
    assert set(found) == set(get_all_params(net)) and not any(
        g.any() or g.shape != p.shape for p, g in found.items())
    assert found.inputs[input_of(net)].shape == (0, 2, 5, 5)
    refused(lambda: forward(InputLayer((None, 2), name="here"), np.zeros((0, 3))),
            "(None, 2)", "(0, 3)")


def all_that_can_be_captured():
    image = InputLayer((None, 8, 7, 6))
    place = DenseLayer(image, 6, nonlinearity=None, b=np.eye(3)[:2].ravel())
    net = PadLayer(TransformerLayer(image, place), 1)
    net = LocalResponseNormalization2DLayer(Conv2DLayer(net, 8, 3))
    net = prelu(instance_norm(Conv2DLayer(net, 8, 3, nonlinearity=None)))
    net = ConcatLayer([net, SliceLayer(net, slice(2, 4), 2)],
                      cropping=[None, None, "center", None])
    net = ScaleLayer(BiasLayer(GaussianNoiseLayer(net, 0.3), shared_axes=(0, 1)))
    net = DimshuffleLayer(RandomizedRectifierLayer(net, shared_axes=()), (0, 2, 3, 1))
    return DenseLayer(FlattenLayer(net), 3, nonlinearity=nonlinearities.softmax)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shared_axes", [(), (0, 2)])
def test_a_part_of_a_batch_draws_the_noise_of_its_place(device, shared_axes):
    net = RandomizedRectifierLayer(GaussianNoiseLayer(InputLayer((None, 2, 3))),
                                   shared_axes=shared_axes)
    x, y = -np.ones((6, 2, 3), "float32"), get_output(net)
    found = []
    for start, stop in ((0, 6), (2, 5)):
        part = Part(Ranks())
        part.total, part.start, part.stop = len(x), start, stop
        run = minifer.function([input_of(net).input_var], y, device=device, part=part)
        seed_noise(net, 3)
        with sharing(net, part):
            found.append([run(x[start:stop]) for _ in range(3)])
    seed_noise(net, 3)
    whole = [get_output(net, x) for _ in range(3)]
    for a, b, expected in zip(*found, whole):
        np.testing.assert_allclose(a, expected, rtol=1e-5)
        np.testing.assert_allclose(b, expected[2:5], rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_what_can_be_captured_is_and_gives_the_same(device):
    losses = []
    for where in ("cpu", device):
        minifer.random.set_rng(0)
        with config.use_floatX("float32"):
            net = all_that_can_be_captured()
        seed_noise(net, 5)
        target = minifer.tensor.ivector("y")
        source = get_all_layers(net)[0]
        loss = objectives.categorical_crossentropy(get_output(net), target).mean()
        update = updates.sgd(loss, get_all_params(net, trainable=True), 0.002)
        step = minifer.function([source.input_var, target], loss, update, device=where)
        rng = np.random.default_rng(0)
        losses.append([step(rng.standard_normal((n, 8, 7, 6)).astype("float32"),
                            rng.integers(0, 3, n)) for n in (4, 4, 4, 3, 4, 3)])
        params = [to_host(p.value) for p in get_all_params(net)]
    assert step.captured and len(params) > 10
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
