"""Layers of a function, and layers that say in expressions what they compute."""

import numpy as np
import pytest

import minifer
from helpers.layers import check_layer, numbers, refused
from minifer import gradcheck, nonlinearities, objectives, tensor, updates
from minifer.errors import WeightsError
from minifer.layers import (DenseLayer, DropoutLayer, ElemwiseSumLayer, ExpressionLayer,
                            InputLayer, Layer, MaxPool2DLayer, MergeLayer,
                            NonlinearityLayer, forward, get_all_params, get_output)
from minifer.weights.architecture import from_dict, to_dict


def vector(n=4):
    return InputLayer((None, n), tensor.matrix("x"))


CUBE = (lambda x: (x ** 3, (x,)), lambda dy, cache: 3 * cache[0] ** 2 * dy)


class Cube:
    """A function and its gradient, as one object."""

    forward, backward = map(staticmethod, CUBE)


# --- ExpressionLayer --------------------------------------------------------

@pytest.mark.parametrize("function, value", [
    (lambda x: x * 2 - 1, lambda x: 2 * x - 1), (CUBE, lambda x: x ** 3),
    (Cube(), lambda x: x ** 3), (nonlinearities.tanh, np.tanh)])
def test_functions(function, value):
    layer, x = ExpressionLayer(vector(), function), numbers((5, 4))
    assert layer.output_shape == (None, 4)
    check_layer(layer, x, value(x))
    assert gradcheck.check(layer, tolerance=1e-6).ok


MEAN = (lambda x: (x.mean(axis=1), x.shape),
        lambda dy, shape: np.broadcast_to(dy[:, None] / shape[1], shape).copy())
TAIL = (lambda x: (x[:, 1:], x.shape), lambda dy, shape: np.pad(dy, [(0, 0), (1, 0)]))


@pytest.mark.parametrize("function, output_shape, expected", [
    (MEAN, "auto", (None,)), (MEAN, (None,), (None,)),
    (MEAN, lambda shape: shape[:1], (None,)), (TAIL, "auto", (None, 3)),
    (TAIL, (None, 3), (None, 3)), (TAIL, lambda s: (s[0], s[1] - 1), (None, 3))])
def test_output_shapes(function, output_shape, expected):
    layer, x = ExpressionLayer(vector(), function, output_shape), numbers((5, 4))
    assert layer.output_shape == expected
    np.testing.assert_array_equal(get_output(layer, x), function[0](x)[0])
    assert gradcheck.check(layer).ok
    if output_shape == "auto":
        assert layer.get_output_shape_for((7, 4)) == (7, *expected[1:])


def test_a_shape_that_is_not_so_is_refused():
    layer = ExpressionLayer(vector(), TAIL, name="here")
    refused(lambda: get_output(layer, numbers((5, 4))), "output of shape (5, 4)",
            "got (5, 3)", "'auto'")
    refused(lambda: ExpressionLayer((None, 4), TAIL, "any", name="here"), "'any'")


@pytest.mark.parametrize("function, fragments", [
    (np.exp, ["fails on minifer's expressions"]), (lambda x: 3, ["makes int"]),
    (None, ["got None"]), ("add", ["got 'add'"]), ((np.exp,), ["got ("])])
def test_a_function_without_a_gradient_is_refused(function, fragments):
    refused(lambda: ExpressionLayer((None, 4), function, name="here"),
            "function as a function with a gradient", "backward(dy, cache)", *fragments)


def test_functions_cannot_be_stored_and_nonlinearities_can():
    for function, output_shape in ((CUBE, None), (lambda x: x * 2, "auto"),
                                   (nonlinearities.tanh, lambda shape: shape)):
        network = ExpressionLayer(vector(), function, output_shape, name="mine")
        with pytest.raises(WeightsError, match="plain data in <ExpressionLayer 'mine'"):
            to_dict(network)
    copy = from_dict(to_dict(ExpressionLayer(vector(), nonlinearities.elu, "auto")))
    assert copy.function is nonlinearities.elu and copy.given_shape == "auto"


# --- get_output_for alone ---------------------------------------------------

class Doubled(Layer):
    """As Lasagne's guide begins."""

    def get_output_for(self, input, **kwargs):
        return input * 2


class OnlyWhileTraining(Layer):
    """One with an option."""

    def get_output_for(self, input, deterministic=False, **kwargs):
        return input * 1 if deterministic else input * 3 + 1


class TwiceDense(DenseLayer):
    """One that changes what a layer of minifer computes."""

    def get_output_for(self, input, **kwargs):
        return super().get_output_for(input, **kwargs) * 2


class Mixed(MergeLayer):
    """One with several inputs and another shape."""

    def get_output_shape_for(self, input_shapes):
        return input_shapes[0]

    def get_output_for(self, inputs, **kwargs):
        return inputs[0] * 2 - inputs[1]


@pytest.mark.parametrize("build, value", [
    (lambda x: Doubled(x), lambda x: 2 * x),
    (lambda x: Doubled(Doubled(x)), lambda x: 4 * x),
    (lambda x: OnlyWhileTraining(x), lambda x: 3 * x + 1),
    (lambda x: Mixed([x, Doubled(x)]), lambda x: 0 * x)])
def test_a_layer_of_expressions_works(build, value):
    layer, x = build(vector()), numbers((5, 4))
    check_layer(layer, x, value(x))
    assert gradcheck.check(layer, tolerance=1e-6).ok
    assert layer.get_output_for([x, x] if isinstance(layer, Mixed) else x).shape == (
        5, 4)


@pytest.mark.parametrize("cls", [
    OnlyWhileTraining, type("Heir", (OnlyWhileTraining,), {})])
def test_its_options_reach_it(cls):
    layer, x = cls(vector()), numbers((5, 4))
    np.testing.assert_array_equal(get_output(layer, x, deterministic=True), x)


class Again(OnlyWhileTraining):
    """One that hands its options on, as they came."""

    def __init__(self, incoming, factor=2.0, **kwargs):
        super().__init__(incoming, **kwargs)
        self.factor = factor

    def get_output_for(self, input, **kwargs):
        return super().get_output_for(input, **kwargs) * self.factor


def test_options_are_handed_on_and_a_file_keeps_it():
    layer, x = Again(vector(), 3.0, name="mine"), numbers((5, 4))
    np.testing.assert_array_equal(get_output(layer, x, deterministic=True), 3 * x)
    np.testing.assert_allclose(get_output(layer, x), 9 * x + 3)
    copy = from_dict(to_dict(layer), custom_layers={"Again": Again})
    assert (copy.name, copy.factor) == ("mine", 3.0)


class HalfDropout(DropoutLayer):
    """One of a layer that draws; its options pass through kwargs alone."""

    def get_output_for(self, input, **kwargs):
        return super().get_output_for(input, **kwargs) * 0.5


class NegatedPool(MaxPool2DLayer):
    """One of a layer that has a fast step."""

    def get_output_for(self, input, **kwargs):
        return super().get_output_for(input, **kwargs) * -1


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_layer_of_minifer_may_be_changed(mode):
    net = TwiceDense(HalfDropout(vector(), rng=3), 3,
                     nonlinearity=nonlinearities.sigmoid)
    assert gradcheck.check(net, tolerance=1e-6).ok
    x = numbers((5, 4)).astype("float32")
    for options in ({"deterministic": True}, {}):
        plain = NonlinearityLayer(DenseLayer(
            DropoutLayer(vector(), rng=3), 3, net.W, net.b, None), net.nonlinearity)
        drop = net.input_layer
        drop.stream.step = plain.input_layer.input_layer.stream.step = 0
        expected = 2 * get_output(plain, x / 2, **options)
        run = minifer.function([drop.input_layer.input_var], get_output(net, **options),
                               mode=mode)
        np.testing.assert_allclose(run(x), expected, rtol=1e-6)
    images = InputLayer((None, 1, 4, 4))
    y, x = get_output(NegatedPool(images, 2)), -np.ones((2, 1, 4, 4), "float32")
    assert (minifer.function([images.input_var], y, mode=mode)(x) == 1).all()


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_it_learns(mode):
    minifer.random.set_rng(0)
    net = TwiceDense(Doubled(vector()), 2, nonlinearity=None)
    loss = objectives.squared_error(get_output(net), 1.0).mean()
    step = updates.sgd(loss, get_all_params(net), learning_rate=0.02)
    source = net.input_layer.input_layer.input_var
    train = minifer.function([source], loss, step, mode=mode)
    losses = [train(numbers((6, 4)).astype("float32")) for _ in range(20)]
    assert losses[-1] < 0.6 * losses[0]


class InNumpy(Layer):
    """One that computes what has no gradient."""

    def get_output_for(self, input, **kwargs):
        return np.exp(input)


class OfNothing(Layer):
    """One that forgot to return anything."""

    def get_output_for(self, input, **kwargs):
        input * 2


@pytest.mark.parametrize("cls, got", [
    (InNumpy, "fails on minifer's expressions"), (OfNothing, "makes NoneType of")])
def test_what_else_it_computes_is_refused_with_what_to_write(cls, got):
    layer = cls(vector(), name="here")
    refused(lambda: get_output(layer, numbers((5, 4))), got,
            "Write forward(self, x), which returns y and a cache, and "
            "backward(self, dy, cache)")


def test_both_halves_may_come_from_beside():
    class Halves:
        def forward(self, x):
            return x * 5, ()

        def backward(self, dy, cache):
            return dy * 5, {}

    layer = type("Five", (Halves, Layer), {})(vector())
    x = np.ones((1, 4))
    for y in (layer.get_output_for(x), get_output(layer, x)):
        np.testing.assert_array_equal(y, 5)


def test_forward_by_hand_goes_first():
    class Both(Doubled):
        def forward(self, x):
            return x * 5, ()

        def backward(self, dy, cache):
            return dy * 5, {}

    layer = Both(vector())
    np.testing.assert_array_equal(get_output(layer, np.ones((1, 4))), 5)
    y, _ = forward(ElemwiseSumLayer([layer, Doubled(layer)]),
                   {layer.input_layer: np.ones((1, 4))})
    np.testing.assert_array_equal(y, 15)
