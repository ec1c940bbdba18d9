"""Learnt biases and factors, and rectifiers with slopes of their own."""

import numpy as np
import pytest

from helpers import reference_images as reference
from helpers.layers import check_layer, numbers, refused
from minifer import layers, nonlinearities
from minifer.layers import (BiasLayer, DenseLayer, InputLayer, ParametricRectifierLayer,
                            RandomizedRectifierLayer, ScaleLayer, get_output)
from minifer.layers.param import Param
from minifer.random import Stream

SHAPE = (5, 2, 3, 4)


def image():
    return InputLayer((None, *SHAPE[1:]))


each = pytest.mark.parametrize("shared_axes, kept", [
    ("auto", (1, 2, 1, 1)), (0, (1, 2, 3, 4)), ((0, 3), (1, 2, 3, 1)),
    ((-1, 0, 1), (1, 1, 3, 1))])


@each
def test_bias_and_scale(shared_axes, kept):
    value, x = numbers(kept, 1), numbers(SHAPE)
    inner = value.reshape([n for n in kept if n > 1])
    check_layer(BiasLayer(image(), inner, shared_axes), x, x + value)
    check_layer(ScaleLayer(image(), inner, shared_axes), x, x * value)
    check_layer(ParametricRectifierLayer(image(), inner, shared_axes), x,
                reference.sloped_rectify(x, value))


def test_they_begin_by_doing_nothing_and_are_not_regularised():
    x = numbers(SHAPE)
    bias, scale, prelu = (build(image(), name="it") for build in
                          (BiasLayer, ScaleLayer, ParametricRectifierLayer))
    np.testing.assert_array_equal(get_output(bias, x), x)
    np.testing.assert_array_equal(get_output(scale, x), x)
    np.testing.assert_allclose(get_output(prelu, x), np.where(x > 0, x, 0.25 * x))
    assert [p.name for one in (bias, scale, prelu) for p in one.get_params()] == [
        "it.b", "it.scales", "it.alpha"]
    for one in (bias, scale, prelu):
        assert one.shared_axes == (0, 2, 3) and one.get_params(trainable=True)
        assert not one.get_params(regularizable=True)


def test_no_bias_and_one_alpha():
    x = numbers(SHAPE)
    layer = BiasLayer(image(), None)
    assert layer.b is None and not layer.params
    np.testing.assert_array_equal(get_output(layer, x), x)
    alpha = ParametricRectifierLayer(image(), shared_axes="all").alpha
    assert alpha.shape == ()


@pytest.mark.parametrize("build", [BiasLayer, ScaleLayer, ParametricRectifierLayer])
def test_scaling_refuses(build):
    refused(lambda: build((None, 2, None), shared_axes=0, name="here"),
            "known lengths of all axes that are not shared", "(None, 2, None)")
    refused(lambda: build((None, 2), shared_axes=2, name="here"), "among the 2 axes")
    refused(lambda: build((None, 2), shared_axes="some", name="here"), "'some'")
    refused(lambda: build((None, 2), np.ones(3), name="here"), "(2,)", "(3,)")
    layer = build((None, 2, 3), name="here")
    refused(lambda: layer.get_output_shape_for((None, 3, 3)), "(None, 2, 3)")
    assert layer.get_output_shape_for((7, 2, 9)) == (7, 2, 9)


def test_standardize_subtracts_and_divides_and_does_not_learn():
    x = numbers((50, 3)) * [1, 2, 3] + 5
    layer = layers.standardize(InputLayer((None, 3)), x.mean(axis=0), x.std(axis=0),
                               shared_axes=0)
    y = get_output(layer, x)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-6)
    shared = layers.standardize(InputLayer((None, 3)), Param(x.mean(axis=0)),
                                list(x.std(axis=0)), 0)
    np.testing.assert_allclose(get_output(shared, x), y)
    assert len(layers.get_all_params(layer)) == 2
    assert not layers.get_all_params(layer, trainable=True)


# --- prelu, rrelu -----------------------------------------------------------

@pytest.mark.parametrize("build, kind", [
    (layers.prelu, ParametricRectifierLayer), (layers.rrelu, RandomizedRectifierLayer)])
def test_they_take_the_place_of_a_nonlinearity(build, kind):
    dense = DenseLayer(InputLayer((None, 3)), 4)
    top = build(dense, name="top", shared_axes="all")
    assert type(top) is kind and top.name == "top" and top.shared_axes == (0, 1)
    assert dense.nonlinearity is nonlinearities.identity
    assert type(build(InputLayer((None, 3)))) is kind


@pytest.mark.parametrize("shared_axes, kept", [
    ("auto", (1, 2, 1, 1)), ("all", (1, 1, 1, 1)), ((2, 3), (5, 2, 1, 1)), ((), SHAPE)])
def test_rrelu_draws_its_slopes(shared_axes, kept):
    x = numbers(SHAPE)
    layer = RandomizedRectifierLayer(image(), 0.1, 0.9, shared_axes, rng=3)
    slopes = Stream(3, "noise").noise_part("uniform", 0, np.prod(kept)).reshape(kept)
    np.testing.assert_allclose(get_output(layer, x), reference.sloped_rectify(
        x, 0.1 + 0.8 * slopes), rtol=1e-12)
    assert layer.stream.step == 1
    check_layer(layer, x, np.where(x > 0, x, x / 2), deterministic=True)


def test_rrelu_of_one_slope_draws_nothing():
    layer, x = RandomizedRectifierLayer(image(), 0.25, 0.25), numbers(SHAPE)
    check_layer(layer, x, np.where(x > 0, x, x / 4))
    assert layer.stream.step == 0


@pytest.mark.parametrize("options, fragments", [
    ({"lower": 0.9}, ["lower <= upper", "lower=0.9"]), ({"upper": "1"}, ["upper"]),
    ({"lower": float("nan")}, ["lower as a finite number"]),
    ({"shared_axes": 7}, ["among the 2 axes"])])
def test_rrelu_refuses(options, fragments):
    refused(lambda: RandomizedRectifierLayer((None, 3), name="here", **options),
            *fragments)
