"""Normalisation of each image by itself."""

import numpy as np
import pytest

from helpers import reference, reference_images
from helpers.layers import check_layer, numbers, refused
from minifer import nonlinearities
from minifer.layers import (BiasLayer, Conv2DLayer, DenseLayer, InputLayer,
                            LocalResponseNormalization2DLayer, NonlinearityLayer,
                            ScaleLayer, StandardizationLayer, get_all_layers,
                            get_output, instance_norm, layer_norm, sharing)
from minifer.ranks import Part, Ranks

SHAPE = (5, 2, 3, 4)


def image():
    return InputLayer((None, *SHAPE[1:]))


@pytest.mark.parametrize("axes, meant", [
    ("auto", (2, 3)), ("spatial", (2, 3)), ("features", (1, 2, 3)), (1, (1,)),
    ((3, -2), (2, 3)), ((1, 3), (1, 3)), ((0, 1), (0, 1))])
def test_standardization(axes, meant):
    layer = StandardizationLayer(image(), axes, epsilon=0.01)
    assert layer.axes == meant and not layer.params
    x = 3 * numbers(SHAPE) + 1
    expected, _, _ = reference.batch_norm(x, None, None, meant, 0.01)
    check_layer(layer, x, expected)
    np.testing.assert_array_equal(get_output(layer, x, deterministic=True),
                                  get_output(layer, x))


def test_over_the_batch_ranks_take_the_statistics_of_the_whole():
    x, layer = numbers(SHAPE), StandardizationLayer(image(), (0, 1))
    asked = []

    class Spy(Part):
        def mean(self, x, axes):
            asked.append(axes)
            return super().mean(x, axes)

    part = Spy(Ranks())
    part.take(len(x))
    with sharing(layer, part):
        shared = get_output(layer, x)
    np.testing.assert_allclose(shared, get_output(layer, x), rtol=1e-12)
    assert asked == [(0, 1)] * 2 and layer.part is None


def test_of_two_axes_auto_is_features():
    assert StandardizationLayer((None, 7)).axes == (1,)
    assert StandardizationLayer((None, 7)).epsilon == 1e-4


@pytest.mark.parametrize("options, fragments", [
    ({"axes": "all"}, ["'all'"]), ({"axes": 4}, ["among the 4 axes"]),
    ({"axes": ()}, ["axes to normalise over"]), ({"epsilon": 0}, ["epsilon", "got 0"]),
    ({"incoming": (None, 3), "axes": "spatial"}, ["axes='features'"])])
def test_standardization_refuses(options, fragments):
    options = {"incoming": (None, 2, 3, 4), "name": "here", **options}
    refused(lambda: StandardizationLayer(**options), *fragments)


@pytest.mark.parametrize("norm, axes, ending", [
    (instance_norm, (2, 3), "_in"), (layer_norm, (1, 2, 3), "_ln")])
def test_norms_go_between_a_layer_and_its_nonlinearity(norm, axes, ending):
    conv = Conv2DLayer(image(), 3, 2, name="conv")
    top = norm(conv, epsilon=0.01)
    kinds = [type(one) for one in get_all_layers(top)]
    assert kinds[1:] == [Conv2DLayer, StandardizationLayer, ScaleLayer, BiasLayer,
                         NonlinearityLayer]
    assert [one.name for one in get_all_layers(top)[1:]] == [
        "conv", "conv" + ending, f"conv{ending}_scale", f"conv{ending}_bias",
        f"conv{ending}_nonlin"]
    assert conv.b is None and conv.nonlinearity is nonlinearities.identity
    x = numbers(SHAPE)
    z = reference.conv2d(x, conv.W.value)
    y, _, _ = reference.batch_norm(z, None, None, axes, 0.01)
    check_layer(top, x, reference.rectify(y))


def test_instance_norm_without_scale_and_bias():
    conv = Conv2DLayer(image(), 3, 2, nonlinearity=None)
    top = instance_norm(conv, learn_scale=False, learn_bias=False, name="mine")
    assert type(top) is StandardizationLayer and top.name == "mine"
    assert type(layer_norm(DenseLayer((None, 3), 2, nonlinearity=None))) is BiasLayer


def test_response_normalization():
    x = numbers(SHAPE)
    check_layer(LocalResponseNormalization2DLayer(image()), x,
                reference_images.response_norm(x, 1e-4, 2, 0.75, 5))
    check_layer(LocalResponseNormalization2DLayer(image(), 0.5, 1, 0.5, 3), x,
                reference_images.response_norm(x, 0.5, 1, 0.5, 3))


@pytest.mark.parametrize("options, fragments", [
    ({"n": 4}, ["n as an odd number", "got 4"]), ({"n": 0}, ["n as a whole number"]),
    ({"k": 0}, ["k as a finite number > 0"]), ({"alpha": -1}, ["alpha"]),
    ({"beta": None}, ["beta"]), ({"incoming": (None, 3)}, ["4D input", "(None, 3)"])])
def test_response_normalization_refuses(options, fragments):
    options = {"incoming": (None, 2, 3, 4), "name": "here", **options}
    refused(lambda: LocalResponseNormalization2DLayer(**options), *fragments)
