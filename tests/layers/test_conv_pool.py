"""Convolution and pooling layers: options, shapes, values, refusals."""

import numpy as np
import pytest

from helpers import reference
from helpers.layers import check_layer, numbers, refused
from minifer import nonlinearities
from minifer.layers import (Conv2DLayer, GlobalPoolLayer, InputLayer, MaxPool2DLayer,
                            Pool2DLayer)

SHAPE = (2, 3, 7, 6)
MODES = ["max", "average_inc_pad", "average_exc_pad"]


def images():
    return InputLayer((None,) + SHAPE[1:])


# --- convolution ------------------------------------------------------------

@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("filter_size, stride, pad, numeric_pad", [
    ((3, 2), (1, 1), 0, (0, 0)), ((3, 2), (2, 3), 0, (0, 0)),
    ((3, 2), 1, 2, (2, 2)), ((3, 2), 1, (0, 2), (0, 2)), (3, 2, (1, 0), (1, 0)),
    ((3, 2), 1, "valid", (0, 0)), ((3, 2), 1, "full", (2, 1)),
    ((3, 5), 1, "same", (1, 2)), ((3, 5), (2, 3), "same", (1, 2)),
    ((7, 6), 1, 0, (0, 0)), (1, 1, 0, (0, 0))])
def test_conv(filter_size, stride, pad, numeric_pad, flip_filters):
    layer = Conv2DLayer(images(), 4, filter_size, stride, pad, b=numbers((4,), 1),
                        nonlinearity=None, flip_filters=flip_filters)
    x = numbers(SHAPE)
    check_layer(layer, x, reference.conv2d(
        x, layer.W.value, layer.b.value, layer.stride, numeric_pad, flip_filters))


@pytest.mark.parametrize("stride", [1, (2, 3)])
def test_conv_with_a_bias_for_each_place(stride):
    Ho, Wo = Conv2DLayer(images(), 2, (3, 2), stride).output_shape[2:]
    b = numbers((2, Ho, Wo), 1)
    layer = Conv2DLayer(images(), 2, (3, 2), stride, untie_biases=True, b=b,
                        nonlinearity=None)
    assert layer.b.shape == b.shape
    x = numbers(SHAPE)
    check_layer(layer, x, reference.conv2d(x, layer.W.value, b, layer.stride))


def test_conv_without_bias():
    layer = Conv2DLayer(images(), 2, 3, b=None, nonlinearity=None)
    assert layer.b is None and layer.get_params() == [layer.W]
    x = numbers(SHAPE)
    check_layer(layer, x, reference.conv2d(x, layer.W.value))


def test_conv_defaults_are_lasagnes():
    layer = Conv2DLayer(images(), 4, (5, 3), name="conv")
    assert layer.nonlinearity is nonlinearities.rectify
    assert layer.flip_filters and layer.stride == (1, 1) and layer.pad == (0, 0)
    assert layer.W.shape == (4, 3, 5, 3) and layer.b.shape == (4,)
    assert not layer.b.value.any()
    assert layer.get_params(regularizable=True) == [layer.W]
    x = numbers(SHAPE)
    check_layer(layer, x, reference.rectify(reference.conv2d(x, layer.W.value)))


def test_conv_takes_lasagnes_positional_arguments():
    W, b = numbers((2, 3, 3, 3)), numbers((2,))
    layer = Conv2DLayer(images(), 2, 3, 2, 1, False, W, b, nonlinearities.tanh, False)
    assert (layer.stride, layer.pad, layer.flip_filters) == ((2, 2), (1, 1), False)
    x = numbers(SHAPE)
    check_layer(layer, x, reference.tanh(
        reference.conv2d(x, W, b, (2, 2), (1, 1), flip_filters=False)))


@pytest.mark.parametrize("length, stride, expected", [
    (48, 1, 48), (48, 2, 24), (7, 2, 4), (7, 3, 3), (1, 1, 1)])
def test_same_padding_gives_the_length_over_the_stride_rounded_up(
        length, stride, expected):
    layer = Conv2DLayer((None, 1, length, 9), 1, 5, stride, pad="same")
    assert layer.output_shape[2] == expected


def test_conv_of_unknown_size_learns_it_from_the_image():
    layer = Conv2DLayer(InputLayer((None, 3, None, None)), 2, 3, nonlinearity=None)
    assert layer.output_shape == (None, 2, None, None)
    assert layer.get_output_shape_for((2, 3, 7, 6)) == (2, 2, 5, 4)
    x = numbers(SHAPE)
    np.testing.assert_allclose(
        layer.get_output_for(x), reference.conv2d(x, layer.W.value), rtol=1e-10)


@pytest.mark.parametrize("incoming, options, fragments", [
    ((None, 6), {}, ["4D input (N, C, H, W)", "(None, 6)", "DenseLayer"]),
    ((None, 1, 7), {}, ["4D input", "(None, 1, 7)"]),
    ((None, 1, 4, 9), {"filter_size": 5},
     ["at least (5, 5) pixels", "(None, 1, 4, 9)"]),
    ((None, 1, 9, 4), {"filter_size": (3, 7), "pad": 1},
     ["at least (3, 7) pixels once padded by (1, 1)", "(None, 1, 9, 4)"]),
    ((None, None, 9, 9), {}, ["known number of channels", "(None, None, 9, 9)"]),
    ((None, 1, 9, 9), {"num_filters": 0}, ["num_filters", "got 0"]),
    ((None, 1, 9, 9), {"filter_size": 0}, ["filter_size", "got 0"]),
    ((None, 1, 9, 9), {"filter_size": (3, 3, 3)}, ["filter_size", "(3, 3, 3)"]),
    ((None, 1, 9, 9), {"stride": 0}, ["stride", "got 0"]),
    ((None, 1, 9, 9), {"stride": (1, 1.5)}, ["stride", "(1, 1.5)"]),
    ((None, 1, 9, 9), {"pad": -1}, ["pad", "got -1"]),
    ((None, 1, 9, 9), {"pad": "half"}, ["'valid', 'same' or 'full'", "'half'"]),
    ((None, 1, 9, 9), {"pad": "same", "filter_size": (3, 4)},
     ["odd filter sizes", "(3, 4)"]),
    ((None, 2, 9, 9), {"W": np.ones((4, 3, 3, 3))}, ["(4, 2, 3, 3)", "(4, 3, 3, 3)"]),
    ((None, 2, 9, 9), {"b": np.ones(3)}, ["(4,)", "(3,)"]),
    ((None, 2, None, 9), {"untie_biases": True}, ["(4, None, 7)"])])
def test_conv_refuses(incoming, options, fragments):
    options = {"num_filters": 4, "filter_size": 3, "name": "here", **options}
    refused(lambda: Conv2DLayer(incoming, **options), *fragments)


# --- pooling ----------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pool_size, stride, pad, ignore_border", [
    (2, None, 0, True), ((2, 3), None, (0, 0), False), (3, 2, 1, True),
    (3, (2, 1), 0, False), (2, 3, 0, True), (2, 3, 0, False), ((3, 2), 1, (2, 1), True),
    ((7, 6), None, 0, True)])
def test_pool(pool_size, stride, pad, ignore_border, mode):
    layer = Pool2DLayer(images(), pool_size, stride, pad, ignore_border, mode)
    x = numbers(SHAPE)
    check_layer(layer, x, reference.pool2d(
        x, layer.pool_size, layer.stride, layer.pad, ignore_border, mode))


def test_max_pool_is_pool_with_the_maximum():
    layer = MaxPool2DLayer(images(), (3, 2), (2, 1), (1, 0), True, name="pool")
    assert isinstance(layer, Pool2DLayer) and layer.mode == "max"
    x = numbers(SHAPE)
    check_layer(layer, x, reference.pool2d(x, (3, 2), (2, 1), (1, 0)))


def test_pool_steps_by_its_window_unless_told():
    assert MaxPool2DLayer(images(), (3, 2)).stride == (3, 2)
    assert MaxPool2DLayer(images(), (3, 2), stride=1).stride == (1, 1)


@pytest.mark.parametrize("length, whole, all_", [(48, 24, 24), (7, 3, 4), (92, 46, 46)])
def test_the_border_counts_or_not(length, whole, all_):
    shape = (None, 1, length, length)
    assert MaxPool2DLayer(shape, 2).output_shape == (None, 1, whole, whole)
    assert MaxPool2DLayer(shape, 2, ignore_border=False).output_shape == (
        None, 1, all_, all_)


def test_pool_of_unknown_size():
    layer = MaxPool2DLayer((None, 3, None, 6), 2)
    assert layer.output_shape == (None, 3, None, 3)


def test_pool_has_no_parameters():
    assert not MaxPool2DLayer(images(), 2).params
    assert not GlobalPoolLayer(images()).params


@pytest.mark.parametrize("incoming, options, fragments", [
    ((None, 6), {}, ["4D input", "(None, 6)", "FlattenLayer"]),
    ((None, 1, 7, 7), {"pool_size": 0}, ["pool_size", "got 0"]),
    ((None, 1, 7, 7), {"pool_size": (2, 2, 2)}, ["pool_size", "(2, 2, 2)"]),
    ((None, 1, 7, 7), {"stride": 0}, ["stride", "got 0"]),
    ((None, 1, 7, 7), {"pad": -1}, ["pad", "got -1"]),
    ((None, 1, 7, 7), {"pad": (0, 2)}, ["pad smaller than pool_size (2, 2)", "(0, 2)"]),
    ((None, 1, 7, 7), {"pad": 1, "ignore_border": False}, ["pad = 0", "(1, 1)"]),
    ((None, 1, 1, 7), {}, ["at least (2, 2) pixels", "(None, 1, 1, 7)"]),
    ((None, 1, 7, 7), {"mode": "average"}, ["average_exc_pad", "'average'"])])
def test_pool_refuses(incoming, options, fragments):
    options = {"pool_size": 2, "name": "here", **options}
    refused(lambda: Pool2DLayer(incoming, **options), *fragments)


# --- global pooling ---------------------------------------------------------

@pytest.mark.parametrize("pool_function", ["mean", "max", "sum"])
@pytest.mark.parametrize("shape", [SHAPE, (2, 3, 5), (1, 1, 1, 1)])
def test_global_pool(shape, pool_function):
    layer = GlobalPoolLayer(InputLayer((None,) + shape[1:]), pool_function)
    x = numbers(shape)
    check_layer(layer, x, reference.global_pool(x, pool_function))


def test_global_pool_takes_the_mean_of_any_size_by_default():
    layer = GlobalPoolLayer(InputLayer((None, 3, None, None)))
    assert layer.output_shape == (None, 3)
    x = numbers(SHAPE)
    check_layer(layer, x, reference.global_pool(x))


@pytest.mark.parametrize("incoming, pool_function, fragments", [
    ((None, 6), "mean", ["(N, C, ...)", "(None, 6)"]),
    ((None, 1, 7, 7), "median", ["mean, max, sum", "'median'"])])
def test_global_pool_refuses(incoming, pool_function, fragments):
    refused(lambda: GlobalPoolLayer(incoming, pool_function, name="here"), *fragments)
