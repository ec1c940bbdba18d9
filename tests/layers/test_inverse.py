"""Layers backwards."""

import numpy as np
import pytest

import minifer
from helpers.layers import numbers, refused
from minifer import gradcheck, nonlinearities as f, objectives, tensor, updates
from minifer.layers import (DilatedConv2DLayer, LocallyConnected2DLayer,
                            MaxPool1DLayer, MaxPool3DLayer, NINLayer, Pool3DLayer,
                            TransposedConv2DLayer, Upscale2DLayer)
from minifer.layers import (BatchNormLayer, BiasLayer, ConcatLayer, Conv2DLayer,
                            DenseLayer, DimshuffleLayer, DropoutLayer, FlattenLayer,
                            GlobalPoolLayer, InputLayer, InverseLayer, Layer,
                            MaxPool2DLayer, NonlinearityLayer, PadLayer, Pool2DLayer,
                            ReshapeLayer, ScaleLayer, SliceLayer, get_all_layers,
                            get_all_params, get_output)
from minifer.weights.architecture import from_dict, to_dict

SHAPE = (3, 2, 6, 5)


def image():
    return InputLayer((None, *SHAPE[1:]), tensor.tensor4("x"))


LAYERS = {
    "dense": lambda x: DenseLayer(x, 4, nonlinearity=f.tanh),
    "dense linear": lambda x: DenseLayer(x, 4, b=None, nonlinearity=None),
    "dense scaled": lambda x: DenseLayer(x, 4, nonlinearity=f.ScaledTanH(0.5, 2.0)),
    "dense leaky": lambda x: DenseLayer(x, 4, nonlinearity=f.leaky_rectify),
    "selu": lambda x: NonlinearityLayer(x, f.selu),
    "conv": lambda x: Conv2DLayer(x, 3, 3, stride=2, pad=1, nonlinearity=f.elu),
    "conv untied": lambda x: Conv2DLayer(x, 3, 2, untie_biases=True,
                                         nonlinearity=f.softplus),
    "max": lambda x: MaxPool2DLayer(x, 2), "mean": lambda x: Pool2DLayer(
        x, (3, 2), 2, 1, mode="average_inc_pad"),
    "max overlapping": lambda x: MaxPool2DLayer(x, 3, 1, 1),
    "max border": lambda x: MaxPool2DLayer(x, 4, 3, ignore_border=False),
    "mean border": lambda x: Pool2DLayer(x, 4, 3, ignore_border=False,
                                         mode="average_exc_pad"),
    "global max": lambda x: GlobalPoolLayer(x, "max"),
    "global mean": lambda x: GlobalPoolLayer(x), "flatten": FlattenLayer,
    "reshape": lambda x: ReshapeLayer(x, ([0], -1, 3)),
    "dimshuffle": lambda x: DimshuffleLayer(x, (0, 3, 1, 2)),
    "pad": lambda x: PadLayer(x, 1, val=3), "slice": lambda x: SliceLayer(x, 0, 2),
    "max of a row": lambda x: MaxPool1DLayer(FlattenLayer(x, 3), 3, 2, 1),
    "max of a box": lambda x: MaxPool3DLayer(DimshuffleLayer(x, (0, "x", 1, 2, 3)), 2),
    "mean of a box": lambda x: Pool3DLayer(DimshuffleLayer(x, (0, "x", 1, 2, 3)), 2,
                                           mode="average_inc_pad"),
    "upscale": lambda x: Upscale2DLayer(x, 2, mode="dilate"),
    "transposed": lambda x: TransposedConv2DLayer(x, 3, 3, 2, nonlinearity=f.tanh),
    "dilated": lambda x: DilatedConv2DLayer(x, 3, 2, 2),
    "local": lambda x: LocallyConnected2DLayer(x, 2, 3, nonlinearity=f.elu),
    "in groups": lambda x: Conv2DLayer(x, 4, 3, num_groups=2),
    "leading axes": lambda x: DenseLayer(x, 3, nonlinearity=f.tanh,
                                         num_leading_axes=2),
    "nin": lambda x: NINLayer(x, 3), "bias": lambda x: BiasLayer(x, np.ones(2)),
    "scale": lambda x: ScaleLayer(x)}
each_layer = pytest.mark.parametrize("build", list(LAYERS.values()), ids=list(LAYERS))


def inverse_of(build):
    """The inverse of a layer, above something that depends on it."""
    layer = build(image())
    return layer, InverseLayer(NonlinearityLayer(layer, f.tanh), layer)


@each_layer
def test_it_is_the_derivative(build):
    layer, inverse = inverse_of(build)
    assert inverse.output_shape == layer.input_shape
    x = numbers(SHAPE)
    y, cache = layer.forward(get_output(layer.input_layer, x))
    expected = layer.backward(np.tanh(y), cache)[0]
    np.testing.assert_allclose(get_output(inverse, x), expected, rtol=1e-12)
    assert get_output(inverse, x.astype("float32")).dtype == "float32"


@each_layer
def test_its_own_derivative(build):
    report = gradcheck.check(inverse_of(build)[1], batch=(2, 1), tolerance=1e-6)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("build", [
    LAYERS[name] for name in ("dense", "conv", "max", "max border", "mean border",
                              "global max", "pad")])
def test_on_the_emulator(build):
    report = gradcheck.check(inverse_of(build)[1], batch=2, tolerance=1e-6,
                             device="emu", directions=1, elements=1,
                             elementwise_up_to=8)
    assert report.ok, f"\n{report}"


@each_layer
def test_it_comes_back_from_a_file(build):
    _, inverse = inverse_of(build)
    order = get_all_layers(from_dict(to_dict(inverse)))
    assert [repr(one) for one in order] == [repr(one) for one in
                                            get_all_layers(inverse)]
    top = order[-1]
    assert top.input_layers[1:] == [top.layer, top.layer.input_layer]


def test_an_autoencoder_with_tied_weights_learns():
    losses = []
    for mode in ("eager", "compiled"):
        minifer.random.set_rng(0)
        conv = Conv2DLayer(image(), 4, 3, nonlinearity=f.tanh)
        pool = MaxPool2DLayer(conv, 2)
        dense = DenseLayer(pool, 8)
        net = dense
        for one in (dense, pool, conv):
            net = InverseLayer(net, one)
        params = get_all_params(net, trainable=True)
        assert params == [conv.W, conv.b, dense.W, dense.b]
        loss = objectives.squared_error(get_output(net), conv.input_layer.input_var)
        step = updates.adam(loss.mean(), params, learning_rate=0.01)
        train = minifer.function([conv.input_layer.input_var], loss.mean(), step,
                                 mode=mode)
        x = numbers(SHAPE).astype("float32")
        losses.append([train(x) for _ in range(12)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[0][-1] < 0.95 * losses[0][0]


class Mine(Layer):
    """A layer of a user's own."""

    def forward(self, x):
        return x, ()

    def backward(self, dy, cache):
        return dy, {}


@pytest.mark.parametrize("build", [
    Mine, DropoutLayer, BatchNormLayer,
    lambda x: DenseLayer(x, 3, nonlinearity=f.softmax)])
def test_a_layer_without_a_known_inverse_is_refused(build):
    layer = build(image())
    refused(lambda: InverseLayer(layer, layer, name="here"), "whose inverse is known",
            type(layer).__name__)


def test_what_does_not_fit_is_refused():
    x = image()
    dense = DenseLayer(x, 3)
    refused(lambda: InverseLayer(DenseLayer(x, 4), dense, name="here"),
            "incoming layer of shape (None, 3)", "(None, 4)")
    refused(lambda: InverseLayer(dense, x, name="here"), "one layer below it")
    refused(lambda: InverseLayer(dense, DenseLayer((None, 3), 3), name="here"),
            "one layer below it")
    both = ConcatLayer([x, x])
    refused(lambda: InverseLayer(both, both, name="here"), "one layer below")
