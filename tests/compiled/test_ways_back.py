"""One way there may have several ways back: each gives what it would alone."""

import numpy as np
import pytest
import minifer
from helpers.residuals import NETWORKS, SIZE, conv, normal, stages
from minifer import layers, tensor, updates
from minifer.device.arrays import to_host
from minifer.expressions import Param
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            DimshuffleLayer, ElemwiseSumLayer, GlobalPoolLayer,
                            GRULayer, InputLayer, LSTMLayer, MaxPool2DLayer,
                            NonlinearityLayer, ReshapeLayer)


def chain(top):
    top = MaxPool2DLayer(conv(top, 9, relu=True), 2)
    top = BatchNormLayer(Conv2DLayer(top, 9, 3, pad=1))
    return conv(Conv2DLayer(top, 9, 3, pad=1), 9, relu=True)


def grouped(top):
    return Conv2DLayer(DropoutLayer(top), 8, 3, pad=1, num_groups=8)


def dilated(top):
    top = layers.DilatedConv2DLayer(top, 8, 3, dilation=2)
    return layers.TransposedConv2DLayer(top, 6, 3)


def pooled(top):
    return NonlinearityLayer(MaxPool2DLayer(MaxPool2DLayer(top, 3, 2, 1), 2))


def recurrent(Layer):
    def network(top):
        return Layer(ReshapeLayer(top, ([0], SIZE[0], -1)), 5)
    network.__name__ = Layer.__name__
    return network


ALL = [*NETWORKS, chain, grouped, dilated, pooled, recurrent(LSTMLayer),
       recurrent(GRULayer)]


def body(network):
    minifer.random.set_rng(1)
    x = tensor.tensor4("x")
    return x, network(conv(InputLayer((None, 8, *SIZE), x), 8, relu=True))


def gradients(losses, x, top, mode, device=None):
    """Gradients of each of some losses, in one call, of parameters and of x."""
    wanted = [*layers.get_all_params(top, trainable=True), x]
    of = [one for loss in losses for one in tensor.grad(loss, wanted)]
    layers.seed_noise(top, 5)
    return minifer.function([x], of, mode=mode, threads=2, device=device)(
        normal((5, 8, *SIZE)))


@pytest.mark.parametrize("network, mode, device", [
    *((network, mode, "cpu") for network in ALL for mode in ("compiled", "eager")),
    (stages, "compiled", "emu"), (chain, "compiled", "emu")])
def test_two_losses_of_one_pass(network, mode, device):
    x, top = body(network)
    if network in NETWORKS:
        top = GlobalPoolLayer(top)
    top = DenseLayer(top, 3)
    y = layers.get_output(top)
    losses = (y ** 2).mean(), ((y - 1) ** 2).sum()
    expected = [g for one in losses for g in gradients([one], x, top, "eager")]
    found = gradients(losses, x, top, mode, device)
    largest = max(np.abs(g).max() for g in expected)
    for one, right in zip(map(to_host, found), expected):
        scale = max(np.abs(right).max(), 1e-2 * largest)
        np.testing.assert_allclose(one, right, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize("given", ["two rules", "a rule and a gradient", "one by one"])
def test_rules_and_gradients_of_one_pass(given):
    """Whatever walks back, a second walk finds what the first has found."""
    def trained(mode):
        x, top = body(stages)
        top = DenseLayer(GlobalPoolLayer(top), 3)
        y, data = layers.get_output(top), normal((5, 8, *SIZE))
        params = layers.get_all_params(top, trainable=True)
        loss, outputs = (y ** 2).mean(), []
        if given == "two rules":
            half = len(params) // 2
            changes = {**updates.sgd(loss, params[:half], 0.1),
                       **updates.sgd(loss + y.sum(), params[half:], 0.01)}
        elif given == "one by one":
            changes = [(p, p - 0.1 * tensor.grad(loss, p)) for p in params]
        else:
            changes = updates.sgd(loss, params, 0.1)
            outputs = [tensor.grad(y.sum(), x)]
        train = minifer.function([x], outputs, changes, mode=mode, threads=2)
        found = [one for _ in range(2) for one in train(data)]
        return found + [p.get_value() for p in params]

    for one, right in zip(trained("compiled"), trained("eager")):
        np.testing.assert_allclose(one, right, rtol=0,
                                   atol=2e-4 * max(1, np.abs(right).max()))


@pytest.mark.parametrize("device", ["cpu", "emu"])
def test_a_gradient_beside_the_rule_has_a_scale_of_its_own(device):
    """A cross-entropy that is computed with the last layer takes what comes down."""
    x, y = tensor.matrix("x"), tensor.ivector("y")
    top = DenseLayer(InputLayer((None, 40), x), 10,
                     nonlinearity=minifer.nonlinearities.softmax)
    loss = minifer.objectives.categorical_crossentropy(layers.get_output(top), y).mean()
    params = layers.get_all_params(top)
    outputs = [tensor.grad(scale * loss, params[0]) for scale in (1, 3)]
    train = minifer.function([x, y], outputs, updates.sgd(loss, params, 0.1),
                             device=device)
    one, other = map(to_host, train(normal((6, 40)), np.arange(6, dtype="int32")))
    np.testing.assert_allclose(other, 3 * one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shared", ["W", "b", "b and gamma"])
def test_convolutions_of_one_chain_share_a_parameter(shared):
    """Gradients add, wherever a parameter is used."""
    def found(mode):
        minifer.random.set_rng(1)
        x = tensor.tensor4("x")
        W, b = (Param(normal(shape, 3), name)
                for shape, name in (((8, 8, 3, 3), "W"), ((8,), "b")))
        top = InputLayer((None, 8, *SIZE), x)
        for _ in range(3):
            top = Conv2DLayer(top, 8, 3, pad=1, **{
                name: param for name, param in (("W", W), ("b", b)) if name in shared})
        if "gamma" in shared:
            top = BatchNormLayer(top, gamma=b)
            top = Conv2DLayer(top, 8, 3, pad=1, b=b)
        return gradients([(layers.get_output(DenseLayer(top, 2)) ** 2).mean()], x, top,
                         mode)

    for one, right in zip(found("compiled"), found("eager")):
        np.testing.assert_allclose(one, right, rtol=0, atol=1e-4 * np.abs(right).max())


@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
@pytest.mark.parametrize("between", ["nothing", "Dimshuffle"])
def test_a_dense_layer_keeps_what_it_reads_of_a_sum(size, between):
    """Its weights' gradient is computed later, when the sum's own has been written."""
    def found(mode):
        minifer.random.set_rng(1)
        x, options = tensor.tensor4("x"), {}
        top = conv(InputLayer((None, 8, *size), x), 8, 1)
        top = ElemwiseSumLayer([conv(top, 8, 1), top])
        if between == "Dimshuffle":
            top, options = DimshuffleLayer(top, (0, 2, 3, 1)), {"num_leading_axes": 3}
        top = DenseLayer(top, 3, **options)
        params = layers.get_all_params(top, trainable=True)
        loss = (layers.get_output(top) ** 2).mean()
        minifer.function([x], loss, updates.sgd(loss, params, 0.5), mode=mode)(
            normal((5, 8, *size)))
        return [p.get_value() for p in params]

    for one, right in zip(found("compiled"), found("eager")):
        np.testing.assert_allclose(one, right, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch, threads", [(4, 3), (5, 4), (9, 4)])
def test_threads_of_which_some_have_no_images(batch, threads):
    """Of many filters, the lower convolution shares out fewer groups than the upper."""
    def found(mode):
        minifer.random.set_rng(1)
        x = tensor.tensor4("x")
        top = conv(InputLayer((None, 8, 3, 3), x), 512, relu=True)
        top = conv(conv(top, 512, relu=True), 8, relu=True)
        loss = (layers.get_output(DenseLayer(top, 2)) ** 2).mean()
        params = layers.get_all_params(top, trainable=True)
        of = tensor.grad(loss, params)
        return minifer.function([x], of, mode=mode, threads=threads)(
            normal((batch, 8, 3, 3)))

    for one, right in zip(found("compiled"), found("eager")):
        np.testing.assert_allclose(one, right, rtol=0, atol=1e-3 * np.abs(right).max())
