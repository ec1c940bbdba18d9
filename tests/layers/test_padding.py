"""Padding whose sides differ: Keras's 'same', ONNX's pairs, against loops."""

import numpy as np
import pytest

import minifer
from helpers import reference_windows as reference
from helpers.devices import DEVICES
from helpers.layers import check_layer, numbers, refused
from helpers.tolerances import assert_close
from minifer.layers import (Conv1DLayer, Conv2DLayer, Conv3DLayer, DilatedConv2DLayer,
                            InputLayer, LocallyConnected2DLayer, MaxPool2DLayer,
                            Pool1DLayer, Pool2DLayer, Pool3DLayer,
                            TransposedConv2DLayer, get_output)
from minifer.layers.padding import same_sides
from minifer.tensor import tensor4

LINE, IMAGE, VOLUME = (2, 4, 8), (2, 4, 8, 6), (2, 2, 4, 3, 6)


def below(shape):
    return InputLayer((None, *shape[1:]))


def bordered(x, sides, value=0.0):
    return np.pad(x, [(0, 0), (0, 0), *sides], constant_values=value)


# --- how much ------------------------------------------------------------------

def test_sides_as_tensorflow_and_onnx_have_them():
    assert same_sides(6, 3, 2, "same_upper") == (0, 1)
    assert same_sides(6, 3, 2, "same_lower") == (1, 0)
    assert same_sides(7, 3, 2, "same_upper") == (1, 1)
    assert same_sides(5, 2, 1, "same_upper") == (0, 1)
    assert same_sides(5, 1, 3, "same_upper") == (0, 0)  # no window hangs over


@pytest.mark.parametrize("rule, expected", [("same_upper", [123, 345, 560]),
                                            ("same_lower", [12, 234, 456])])
def test_the_numbers_that_tensorflow_gives(rule, expected):
    x = np.arange(1.0, 7).reshape(1, 1, 6)
    layer = Conv1DLayer((None, 1, 6), 1, 3, 2, rule, W=np.array([[[100., 10., 1.]]]),
                        nonlinearity=None, flip_filters=False)
    assert layer.get_output_for(x)[0, 0].tolist() == expected


# --- convolutions ----------------------------------------------------------------

@pytest.mark.parametrize("Conv, shape, size, stride, pad, sides", [
    (Conv1DLayer, LINE, 3, 2, "same_upper", [(0, 1)]),
    (Conv1DLayer, LINE, 2, 1, ((2, 0),), [(2, 0)]),
    (Conv2DLayer, IMAGE, (3, 2), 2, "same_upper", [(0, 1), (0, 0)]),
    (Conv2DLayer, IMAGE, (3, 4), (2, 1), "same_lower", [(1, 0), (2, 1)]),
    (Conv2DLayer, IMAGE, 3, 1, (1, (0, 2)), [(1, 1), (0, 2)]),
    (Conv3DLayer, VOLUME, 3, (1, 1, 2), "same_upper", [(1, 1), (1, 1), (0, 1)])])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(Conv, shape, size, stride, pad, sides, groups):
    layer = Conv(below(shape), 4, size, stride, pad, b=numbers((4,), 1),
                 nonlinearity=None, num_groups=groups)
    x = numbers(shape)
    check_layer(layer, x, reference.conv_nd(
        bordered(x, sides), layer.W.value, layer.b.value, layer.stride, 0,
        groups=groups))


def test_dilated_and_local():
    x = numbers(IMAGE)
    layer = DilatedConv2DLayer(below(IMAGE), 3, 2, (3, 2), "same_upper",
                               nonlinearity=None)
    check_layer(layer, x, reference.conv_nd(
        bordered(x, [(1, 2), (1, 1)]), layer.W.value.swapaxes(0, 1), dilation=(3, 2),
        flip_filters=False))
    even, uneven = (LocallyConnected2DLayer(
        incoming, 2, 2, 2, pad, W=np.arange(384).reshape(2, 4, 2, 2, 4, 3) / 100)
        for incoming, pad in ((IMAGE, ((0, 1), 0)), ((2, 4, 9, 6), 0)))
    np.testing.assert_allclose(
        uneven.get_output_for(bordered(x, [(0, 1), (0, 0)])), even.get_output_for(x))


def test_a_size_that_is_not_known_yet():
    layer = Conv2DLayer((None, 4, None, None), 3, 3, 2, "same_upper", nonlinearity=None)
    assert layer.pad == "same_upper" and layer.output_shape == (None, 3, None, None)
    for shape, sides in (((1, 4, 7, 6), [(1, 1), (0, 1)]),
                         ((1, 4, 8, 5), [(0, 1), (1, 1)])):
        x = numbers(shape)
        assert_close(layer.get_output_for(x), reference.conv_nd(
            bordered(x, sides), layer.W.value, layer.b.value, 2), "reference",
            "float64", str(shape))


def test_sides_that_are_even_are_plain_numbers():
    """So that plans still know them."""
    assert Conv2DLayer(IMAGE, 3, 3, pad="same_upper").pad == (1, 1)
    assert Conv2DLayer(IMAGE, 3, 3, pad=((1, 1), (2, 2))).pad == (1, 2)
    assert MaxPool2DLayer(IMAGE, 2, pad="same_lower").pad == (0, 0)


@pytest.mark.parametrize("size, stride, sides, out", [
    (3, 2, [(0, 1), (0, 1)], (16, 12)), (4, 2, [(1, 1), (1, 1)], (16, 12)),
    (2, 3, [(0, 0), (0, 0)], (24, 18))])
def test_transposed_as_large_as_the_stride_makes_it(size, stride, sides, out):
    layer = TransposedConv2DLayer(below(IMAGE), 3, size, stride, "same_upper",
                                  nonlinearity=None, flip_filters=True)
    assert layer.output_shape == (None, 3, *out)
    x = numbers(IMAGE)
    whole = reference.transposed_conv_nd(
        x, layer.W.value, layer.b.value, stride, flip_filters=True,
        output_size=tuple(n + sum(one) for n, one in zip(out, sides)))
    rows, cols = (slice(begin, begin + n) for n, (begin, _) in zip(out, sides))
    check_layer(layer, x, whole[:, :, rows, cols])


# --- pools -----------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("Pool, shape, size, stride, pad, sides", [
    (Pool1DLayer, LINE, 3, 2, "same_upper", [(0, 1)]),
    (Pool2DLayer, IMAGE, 3, 2, "same_upper", [(0, 1), (0, 1)]),
    (Pool2DLayer, IMAGE, (2, 4), (1, 3), "same_lower", [(1, 0), (1, 0)]),
    (Pool2DLayer, IMAGE, 3, 1, ((0, 1), 1), [(0, 1), (1, 1)]),
    (Pool3DLayer, VOLUME, 2, 1, "same_upper", [(0, 1)] * 3)])
def test_pool(Pool, shape, size, stride, pad, sides, mode):
    x = numbers(shape)
    layer = Pool(below(shape), size, stride, pad, mode=mode)
    padded = bordered(x, sides, 0.0 if mode == "average_inc_pad" else np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, layer.pool_size, axis=tuple(range(2, x.ndim)))
    steps = tuple(slice(None, None, s) for s in layer.stride)
    windows = windows[(slice(None), slice(None), *steps)]
    check_layer(layer, x, (np.nanmax if mode == "max" else np.nanmean)(
        windows, axis=tuple(range(-(x.ndim - 2), 0))))


# --- everywhere ------------------------------------------------------------------

@pytest.mark.parametrize("device", [None, *DEVICES])
def test_compiled_and_on_a_device(device):
    images = tensor4("images")
    network = Conv2DLayer(InputLayer((None, *IMAGE[1:]), images), 3, 3, 2, "same_upper")
    network = MaxPool2DLayer(network, 3, 2, "same_upper")
    x = numbers(IMAGE).astype(np.float32)
    predict = minifer.function([images], get_output(network, deterministic=True),
                               device=device)
    assert_close(predict(x), get_output(network, x), "reference", "float32", "compiled")


@pytest.mark.parametrize("make", [
    lambda x: Conv2DLayer(x, 16, 3, 1, ((0, 2), 1), num_groups=16),
    lambda x: Conv2DLayer(x, 32, 4, 1, "same_upper", num_groups=2),
    lambda x: DilatedConv2DLayer(x, 16, 2, 3, "same_upper"),
    lambda x: TransposedConv2DLayer(x, 16, 3, 2, "same_upper")])
def test_plans_leave_the_quick_steps_to_even_sides(make):
    images = tensor4("images")
    network = make(InputLayer((None, 16, 7, 6), images))
    x = numbers((2, 16, 7, 6)).astype(np.float32)
    predict = minifer.function([images], get_output(network, deterministic=True))
    assert_close(predict(x), get_output(network, x), "reference", "float32", "compiled")


@pytest.mark.parametrize("pad", ["same_Upper", ((1, -1), 0), ((1, 2, 3), 0), (1, 1, 1),
                                 ((0.5, 1), 0)])
def test_refused(pad):
    refused(lambda: Conv2DLayer(IMAGE, 2, 3, pad=pad, name="here"), "pad", repr(pad))
    refused(lambda: MaxPool2DLayer(IMAGE, 3, pad=pad, name="here"), "pad", repr(pad))


def test_refused_in_what_has_no_place_for_it():
    refused(lambda: MaxPool2DLayer(IMAGE, 3, 2, "same_upper", False, name="here"),
            "ignore_border")
    refused(lambda: MaxPool2DLayer(IMAGE, 2, pad=((0, 2), 0), name="here"), "pool_size")
    refused(lambda: TransposedConv2DLayer(IMAGE, 2, 3, 2, "same_upper", True,
                                          name="here"), "untie_biases")
