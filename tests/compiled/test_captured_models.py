"""Whole networks train as one captured graph a step, with the CPU's losses.

Most of them only where CuPy is: for the emulator's own device they would take too long.
Networks whose widths are no argument have at most 8 filters a convolution and 16 units
a dense layer here; their shape is that of the models.
"""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import config, layers, models, objectives, random, updates
from minifer.nonlinearities import softmax
from minifer.tensor import ivector

FILTERS, UNITS = 8, 16


def headless(body):
    return layers.DenseLayer(layers.GlobalPoolLayer(body), 5, nonlinearity=softmax)


def scores(network):
    return layers.NonlinearityLayer(network, softmax)


AS_THEY_ARE = {
    "ck96": lambda: models.ck96(num_classes=5, size=24),
    "mlp": lambda: models.mlp(num_classes=5, size=12)}

NARROW = {
    "six_conv": lambda: models.six_conv(num_classes=5, size=8),
    "small_resnet": lambda: models.small_resnet(num_classes=5),
    "r1": lambda: models.r1(num_classes=5, size=8),
    "r2": lambda: models.r2(num_classes=5, size=8),
    "fcn48": lambda: models.fcn48(num_classes=5),
    "fcn48_dense": lambda: models.fcn48_dense(num_classes=5),
    "resnet": lambda: models.resnet((1, 1), bottleneck=False, num_classes=5, size=32),
    "resnet18": lambda: models.resnet18(num_classes=5, size=32),
    "bottleneck": lambda: models.resnet((1, 1), num_classes=5, size=32),
    "keras_resnet": lambda: headless(models.keras_resnet((1, 1), size=32)),
    "densenet": lambda: models.densenet(num_classes=5, size=16, depth=10),
    "mini_xception": lambda: models.mini_xception(num_classes=5, size=24),
    "nin_cifar10": lambda: scores(models.nin_cifar10(num_classes=5, size=12)),
    "googlenet": lambda: models.googlenet(num_classes=5, size=32),
    "caffenet": lambda: models.caffenet(num_classes=5, size=67),
    "vgg_cnn_s": lambda: scores(models.vgg_cnn_s(num_classes=5, size=48)),
    "vgg16": lambda: scores(models.vgg16(num_classes=5, size=32))}

#: Deeper ones, with layers frozen or with larger images, which are trained in float64
#: alone: there a graph has no tensor core's products, which take the emulator long.
MORE = {
    "lasagne_resnet50": lambda: models.lasagne_resnet50(num_classes=5, size=64),
    "mobilenet_v2": lambda: scores(models.mobilenet_v2(num_classes=5, size=64)),
    "inception_v3": lambda: models.inception_v3(num_classes=5, size=107),
    "resnet50": lambda: models.resnet50(num_classes=5, size=64),
    "s_resnet50": lambda: models.s_resnet50(num_classes=5, size=64),
    "keras_resnet50": lambda: headless(models.keras_resnet50(size=64)),
    "r_resnet50": lambda: models.r_resnet50(num_classes=5, size=64),
    "vgg19": lambda: scores(models.vgg19(num_classes=5, size=32)),
    "vgg_face_like": lambda: models.vgg_face_like(num_classes=5, size=193)}


def narrow(make, filters=FILTERS):
    """A model whose convolutions and dense layers are built with few filters."""
    convolution, dense = layers.Conv2DLayer, layers.DenseLayer

    def few_filters(incoming, num_filters, *args, **kwargs):
        if kwargs.get("num_groups", 1) == 1:
            num_filters = min(num_filters, filters)
        return convolution(incoming, num_filters, *args, **kwargs)

    def few_units(incoming, num_units, **kwargs):
        return dense(incoming, min(num_units, UNITS), **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "Conv2DLayer", few_filters)
        patch.setattr(layers, "DenseLayer", few_units)
        return make()


def trained(make, device, rate=0.001):
    """The losses of five steps, and the function that took them."""
    random.set_rng(0)
    network = make()
    layers.seed_noise(network, 0)
    targets = ivector("targets")
    loss = objectives.categorical_crossentropy(
        layers.get_output(network), targets).mean()
    update = updates.nesterov_momentum(
        loss, layers.get_all_params(network, trainable=True), learning_rate=rate)
    source = layers.get_all_layers(network)[0]
    train = minifer.function([source.input_var, targets], loss, update, device=device)
    rng = np.random.default_rng(0)
    return [float(train(rng.normal(size=(3, *source.shape[1:])).astype(config.floatX),
                        rng.integers(0, 5, 3))) for _ in range(5)], train


def same_as_the_cpu(make, device, rtol, **options):
    expected, _ = trained(make, "cpu", **options)
    losses, train = trained(make, device, **options)
    assert train.captured, train.plan.note
    assert train.launches > 20
    np.testing.assert_allclose(losses, expected, rtol=rtol)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_a_step_is_one_graph_and_the_losses_are_the_cpus(name, device):
    same_as_the_cpu(AS_THEY_ARE[name], device, 1e-4)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("name", NARROW)
def test_a_step_of_a_narrow_network_is_one_graph(name, device):
    same_as_the_cpu(lambda: narrow(NARROW[name]), device, 1e-4)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("make", [
    lambda: models.lasagne_resnet50(num_classes=5, size=32),
    lambda: scores(models.mobilenet_v2(num_classes=5, size=32)),
    lambda: models.inception_v3(num_classes=5, size=75)],
    ids=["lasagne_resnet50", "mobilenet_v2", "inception_v3"])
def test_a_step_that_magnifies_rounding_is_one_graph(make, device):
    """In float32 nothing but that can be said: see below for their losses."""
    losses, train = trained(lambda: narrow(make), device)
    assert train.captured, train.plan.note
    assert np.isfinite(losses).all()


def in_float64(make, device):
    """As exact as that allows. The rate is small, since batch norm of three images of
    few pixels magnifies what is rounded in one step up to a thousand times in the next.
    """
    with config.use_floatX("float64"):
        same_as_the_cpu(make, device, 1e-10, rate=1e-5)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_a_step_in_float64_is_one_graph(name, device):
    in_float64(AS_THEY_ARE[name], device)


@pytest.mark.parametrize("device", DEVICES[1:])
@pytest.mark.parametrize("name", [*NARROW, *MORE])
def test_a_step_of_a_narrow_network_in_float64_is_one_graph(name, device):
    filters = 5 if name == "vgg_face_like" else FILTERS  # its classes are filters
    in_float64(lambda: narrow({**NARROW, **MORE}[name], filters), device)


@pytest.mark.parametrize("device", DEVICES[:1])
@pytest.mark.parametrize("name", ["six_conv", "r1", "bottleneck", "mini_xception"])
def test_a_step_in_float64_is_one_graph_on_the_emulator(name, device):
    in_float64(lambda: narrow(NARROW[name]), device)
