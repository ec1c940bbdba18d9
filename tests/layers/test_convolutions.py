"""Convolutions of other axes, in groups, dilated, transposed, local: against loops."""

import inspect

import numpy as np
import pytest

from helpers import reference_windows as reference
from helpers.layers import check_layer, numbers, refused
from minifer import layers, nonlinearities
from minifer.errors import SettingError
from minifer.layers import (Conv1DLayer, Conv2DLayer, Conv3DLayer, DilatedConv2DLayer,
                            InputLayer, LocallyConnected2DLayer, NINLayer,
                            TransposedConv2DLayer, TransposedConv3DLayer)
from minifer.layers.conv import conv_input_length, conv_output_length

LINE, IMAGE, VOLUME = (2, 4, 7), (2, 4, 7, 6), (2, 2, 4, 3, 5)


def below(shape):
    return InputLayer((None, *shape[1:]))


def check(layer, shape, conv=reference.conv_nd, W=lambda W: W, **options):
    x = numbers(shape)
    b = None if layer.b is None else layer.b.value
    check_layer(layer, x, conv(x, W(layer.W.value), b,
                               flip_filters=layer.flip_filters, **options))


# --- of one to three axes, in groups --------------------------------------------

@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("Conv, shape, size, stride, pad, zeros", [
    (Conv1DLayer, LINE, 3, 2, "same", 1), (Conv1DLayer, LINE, (2,), (1,), (2,), 2),
    (Conv3DLayer, VOLUME, (3, 2, 1), (1, 2, 3), "full", (2, 1, 0)),
    (Conv3DLayer, VOLUME, 2, 1, 0, 0),
    (Conv3DLayer, VOLUME, 3, 2, (1, 0, 2), (1, 0, 2))])
def test_conv(Conv, shape, size, stride, pad, zeros, flip_filters):
    layer = Conv(below(shape), 3, size, stride, pad, b=numbers((3,), 1),
                 nonlinearity=None, flip_filters=flip_filters)
    check(layer, shape, stride=layer.stride, pad=zeros)


@pytest.mark.parametrize("Conv, shape, groups", [
    (Conv1DLayer, LINE, 2), (Conv1DLayer, LINE, 4), (Conv2DLayer, IMAGE, 2),
    (Conv2DLayer, IMAGE, 4), (Conv3DLayer, VOLUME, 2)])
def test_in_groups(Conv, shape, groups):
    layer = Conv(below(shape), 8, 2, pad=1, num_groups=groups, nonlinearity=None)
    n = len(shape) - 2
    assert layer.W.shape == (8, shape[1] // groups, *(2,) * n)
    check(layer, shape, pad=1, groups=groups)


def test_a_bias_for_each_place():
    b = numbers((2, 4, 3), 1)
    layer = Conv2DLayer(below(IMAGE), 2, 3, 2, 1, True, b=b, num_groups=2,
                        nonlinearity=None)
    check(layer, IMAGE, stride=2, pad=1, groups=2)


@pytest.mark.parametrize("Conv, names", [
    (Conv1DLayer, "stride pad"), (Conv2DLayer, "stride pad"),
    (Conv3DLayer, "stride pad"), (DilatedConv2DLayer, "dilation pad"),
    (TransposedConv2DLayer, "stride crop"), (TransposedConv3DLayer, "stride crop"),
    (LocallyConnected2DLayer, "stride pad")])
def test_arguments_are_in_lasagnes_order(Conv, names):
    parameters = inspect.signature(Conv).parameters
    order = [name for name, one in parameters.items()
             if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert order[:10] == ["incoming", "num_filters", "filter_size", *names.split(),
                          "untie_biases", "W", "b", "nonlinearity", "flip_filters"]
    last = {Conv1DLayer: "convolution", Conv2DLayer: "convolution",
            Conv3DLayer: "convolution", LocallyConnected2DLayer: "channelwise",
            TransposedConv2DLayer: "output_size", TransposedConv3DLayer: "output_size"}
    assert order[10:] == ([last[Conv]] if Conv in last else [])
    turned = Conv in (Conv1DLayer, Conv2DLayer, Conv3DLayer, LocallyConnected2DLayer)
    assert parameters["flip_filters"].default is turned


def test_defaults():
    for layer in (Conv1DLayer(LINE, 2, 3), Conv3DLayer(VOLUME, 2, 3),
                  TransposedConv2DLayer(IMAGE, 2, 3), NINLayer(IMAGE, 3),
                  DilatedConv2DLayer(IMAGE, 2, 3),
                  LocallyConnected2DLayer(IMAGE, 2, 3)):
        assert layer.nonlinearity is nonlinearities.rectify
        assert layer.get_params() == [layer.W, layer.b] and not layer.b.value.any()
        assert layer.get_params(regularizable=True) == [layer.W]


def test_no_other_implementation_can_be_asked_for():
    refused(lambda: Conv1DLayer(LINE, 2, 3, convolution=np.convolve, name="here"),
            "no choice of a convolution", "Leave the argument out")


def test_deconvolution_is_another_name():
    assert layers.Deconv2DLayer is TransposedConv2DLayer
    assert layers.Deconv3DLayer is TransposedConv3DLayer


# --- dilated, transposed, local, one by one ---------------------------------------

@pytest.mark.parametrize("dilation, pad, zeros", [
    (1, 0, 0), ((2, 1), "valid", 0), ((2, 3), (1, 2), (1, 2)), (2, "same", 2)])
def test_dilated(dilation, pad, zeros):
    layer = DilatedConv2DLayer(below(IMAGE), 3, (3, 2) if pad != "same" else 3,
                               dilation, pad, nonlinearity=None, b=numbers((3,)))
    assert layer.W.shape[:2] == (4, 3)  # channels first
    check(layer, IMAGE, W=lambda W: W.swapaxes(0, 1), dilation=layer.dilation,
          pad=zeros)


@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("Conv, shape, size, stride, crop, zeros, output_size", [
    (TransposedConv2DLayer, IMAGE, (3, 2), 1, 0, 0, None),
    (TransposedConv2DLayer, IMAGE, (3, 4), (2, 3), (1, 2), (1, 2), None),
    (TransposedConv2DLayer, IMAGE, (3, 5), 1, "same", (1, 2), None),
    (TransposedConv2DLayer, IMAGE, (3, 2), 1, "full", (2, 1), None),
    (TransposedConv2DLayer, IMAGE, 3, (3, 2), 1, 1, (21, 11)),
    (TransposedConv3DLayer, VOLUME, 2, (2, 1, 3), 0, 0, None)])
def test_transposed(Conv, shape, size, stride, crop, zeros, output_size, flip_filters):
    layer = Conv(below(shape), 3, size, stride, crop, False, nonlinearity=None,
                 flip_filters=flip_filters, output_size=output_size, b=numbers((3,)))
    assert layer.W.shape == (shape[1], 3, *layer.filter_size)
    check(layer, shape, reference.transposed_conv_nd, stride=layer.stride, crop=zeros,
          output_size=output_size)


def test_transposed_in_groups():
    layer = TransposedConv2DLayer(below(IMAGE), 6, 3, num_groups=2, nonlinearity=None)
    assert layer.W.shape == (4, 3, 3, 3)
    check(layer, IMAGE, reference.transposed_conv_nd, groups=2)


def test_it_undoes_a_convolutions_shape():
    conv = Conv2DLayer(IMAGE, 2, (3, 4), (2, 1), (1, 2))
    layer = TransposedConv2DLayer(conv.output_shape, 4, (3, 4), (2, 1), (1, 2))
    assert layer.output_shape == IMAGE


def test_unknown_lengths_stay_unknown():
    layer = TransposedConv2DLayer((None, 2, None, 5), 3, 2, 2)
    assert layer.output_shape == (None, 3, None, 10)
    assert TransposedConv2DLayer((None, 2, None, None), 3, 2, 2, output_size=8
                                 ).output_shape == (None, 3, 8, 8)
    assert Conv1DLayer((None, 2, None), 3, 2).output_shape == (None, 3, None)
    assert layer.get_output_for(numbers((1, 2, 3, 5))).shape == (1, 3, 6, 10)


@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("channelwise", [True, False])
@pytest.mark.parametrize("size, stride, pad, zeros", [
    (3, 1, "same", (1, 1)), ((3, 2), (2, 1), (0, 1), (0, 1))])
def test_local(size, stride, pad, zeros, channelwise, flip_filters):
    """At each place it is the convolution with the filters of that place."""
    F = 4 if channelwise else 2
    layer = LocallyConnected2DLayer(below(IMAGE), F, size, stride, pad,
                                    b=numbers((F,), 1), nonlinearity=None,
                                    flip_filters=flip_filters, channelwise=channelwise)
    x, W = numbers(IMAGE), layer.W.value
    expected = np.zeros((2, *layer.output_shape[1:]))
    assert W.shape == (F, *(() if channelwise else (4,)), *layer.filter_size,
                       *expected.shape[2:])
    for i, j in np.ndindex(*expected.shape[2:]):
        there = W[..., i, j][:, None] if channelwise else W[..., i, j]
        expected[..., i, j] = reference.conv_nd(
            x, there, layer.b.value, layer.stride, zeros,
            groups=4 if channelwise else 1, flip_filters=flip_filters)[..., i, j]
    check_layer(layer, x, expected)


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), IMAGE, (2, 4, 3, 2, 2, 3)])
@pytest.mark.parametrize("untie_biases", [True, False])
def test_nin(shape, untie_biases):
    b = numbers((3, *shape[2:]) if untie_biases else (3,), 1)
    layer = NINLayer(below(shape), 3, untie_biases, b=b, nonlinearity=None)
    assert layer.W.shape == (4, 3)
    x = numbers(shape)
    expected = np.moveaxis(np.tensordot(x, layer.W.value, (1, 0)), -1, 1)
    check_layer(layer, x, expected + b.reshape(b.shape + (1,) * (
        len(shape) - 1 - b.ndim)))


# --- lengths ------------------------------------------------------------------------

def test_lengths_along_an_axis():
    for length, size, stride, pad in np.ndindex(7, 4, 3, 3):
        length, size, stride = length + 6, size + 1, stride + 1
        starts = range(0, length + 2 * pad - size + 1, stride)
        assert conv_output_length(length, size, stride, pad) == len(starts)
        least = conv_input_length(len(starts), size, stride, pad)
        assert least <= length < least + stride
        full = conv_output_length(length, size, stride, size - 1)
        assert conv_output_length(length, size, stride, "full") == full
        assert conv_output_length(length, size, stride, "valid") == (
            conv_output_length(length, size, stride))
        assert conv_output_length(length, size, stride, "same") == -(-length // stride)
    assert conv_input_length(5, 3, 2, "same") == 9
    assert conv_input_length(5, 3, 2, "full") == 7
    assert conv_output_length(None, 3, 1) is None is conv_input_length(None, 3, 1)
    for function in conv_output_length, conv_input_length:
        with pytest.raises(SettingError, match="'valid', 'full' or 'same', got 'half'"):
            function(5, 3, 1, "half")


# --- refusals -------------------------------------------------------------------------

@pytest.mark.parametrize("Conv, incoming, options, fragments", [
    (Conv1DLayer, IMAGE, {}, ["a 3D input (N, C, L)", str(IMAGE)]),
    (Conv3DLayer, IMAGE, {}, ["a 5D input (N, C, D, H, W)"]),
    (Conv1DLayer, LINE, {"filter_size": 8}, ["at least (8,) pixels"]),
    (Conv2DLayer, IMAGE, {"num_groups": 3}, ["a divisor of 4 channels and 6 filters",
                                             "got 3"]),
    (Conv2DLayer, IMAGE, {"num_groups": 4}, ["a divisor", "got 4"]),
    (Conv2DLayer, IMAGE, {"num_groups": 0}, ["num_groups", "got 0"]),
    (Conv2DLayer, IMAGE, {"num_groups": 2, "W": np.ones((6, 4, 3, 3))},
     ["(6, 2, 3, 3)", "(6, 4, 3, 3)"]),
    (DilatedConv2DLayer, IMAGE, {"dilation": 4}, ["at least (9, 9) pixels"]),
    (DilatedConv2DLayer, IMAGE, {"dilation": 0}, ["dilation", "got 0"]),
    (TransposedConv2DLayer, IMAGE, {"crop": 5}, ["something left", "(2, 6, -1, -2)"]),
    (TransposedConv2DLayer, IMAGE, {"output_size": 9}, ["(9, 8)", "got (9, 9)"]),
    (TransposedConv2DLayer, IMAGE, {"output_size": (9,)}, ["output_size", "(9,)"]),
    (LocallyConnected2DLayer, (None, 2, None, 5), {}, ["a known shape"]),
    (LocallyConnected2DLayer, IMAGE, {"channelwise": True}, ["channels, 4,", "=6"])])
def test_refused(Conv, incoming, options, fragments):
    options = {"num_filters": 6, "filter_size": 3, "name": "here", **options}
    refused(lambda: Conv(incoming, **options), *fragments)


def test_nin_refuses():
    refused(lambda: NINLayer((None, None, 3), 2, name="here"), "number of channels")
    refused(lambda: NINLayer(IMAGE, 0, name="here"), "num_units", "got 0")
    refused(lambda: NINLayer((None, 2, None), 2, True, name="here"), "(2, None)")
