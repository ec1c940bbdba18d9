"""Expressions as options of layers: tied weights, lengths, states of the data."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from helpers.layers import numbers
from minifer import config, gradcheck, init, layers, objectives, tensor as T, updates
from minifer.errors import SettingError, ShapeError, WeightsError
from minifer.expressions import DerivedParam
from minifer.weights.architecture import to_dict

DEVICES = ["cpu", *DEVICES]


def tied(nonlinearity=minifer.nonlinearities.tanh):
    """An autoencoder whose decoder has the encoder's weights, turned and scaled."""
    code = layers.DenseLayer(layers.InputLayer((None, 5)), 3, nonlinearity=nonlinearity)
    return code, layers.DenseLayer(code, 5, W=2 * code.W.T, nonlinearity=None)


def test_tied_weights_are_the_others_at_any_time():
    code, net = tied()
    assert isinstance(net.W, DerivedParam) and net.W.shape == (3, 5)
    code.W.set_value(code.W.get_value() + 1)
    np.testing.assert_array_equal(net.W.get_value(), 2 * code.W.get_value().T)
    assert layers.get_all_params(net) == [code.W, code.b, net.b]
    assert layers.get_all_params(net, unwrap_shared=False) == [
        code.W, code.b, net.W, net.b]
    assert layers.count_params(net, regularizable=True) == 15


def test_they_pass_the_gradient_check():
    with config.use_floatX("float64"):
        code, net = tied()
        conv = layers.Conv2DLayer(layers.InputLayer((None, 2, 4, 4)), 3, 3)
        back = layers.TransposedConv2DLayer(conv, 2, 3, W=T.exp(conv.W))
        lengths = of_sequences()[-1]
    for network in net, back:
        report = gradcheck.check(network)
        assert report.ok, str(report)
    report = gradcheck.check(lengths, numbers((2, 3, 3)))
    assert report.ok, str(report)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_tied_weights_learn_as_the_formula_says(mode, device):
    """The gradient of both places, added."""
    code, net = tied(nonlinearity=None)
    x = numbers((4, 5)).astype("float32")
    W = code.W.get_value()
    dy = 2 * (2 * x @ W @ W.T - x) / x.size
    expected = x.T @ dy @ (2 * W) + (dy.T @ (x @ W)) * 2
    y = T.matrix("y")
    loss = objectives.squared_error(layers.get_output(net), y).mean()
    step = minifer.function([code.input_layer.input_var, y], loss,
                            updates.sgd(loss, [code.W], 0.01), mode=mode, device=device)
    step(x, x)
    np.testing.assert_allclose(100 * (W - code.W.get_value()), expected,
                               rtol=1e-3, atol=1e-4)
    first = step(x, x)
    assert [step(x, x) for _ in range(4)][-1] < first


def test_what_tied_weights_cannot_do_is_said():
    code, net = tied()
    with pytest.raises(SettingError, match="'W': expected a value for what it is made"):
        net.W.set_value(np.zeros((3, 5)))
    with pytest.raises(SettingError, match="got one of the variable 'v'"):
        layers.DenseLayer((None, 3), 5, W=T.matrix("v"))
    with pytest.raises(ShapeError, match="got an expression that gives"):
        layers.DenseLayer(code, 5, W=code.W + 0)
    with pytest.raises(WeightsError, match="expression of others"):
        to_dict(net)


def test_an_initialiser_may_give_an_expression():
    W = minifer.shared(np.ones((3, 5)))
    net = layers.DenseLayer((None, 5), 3, W=lambda shape: W.T)
    assert layers.get_all_params(net) == [W, net.b]


def of_sequences():
    """A dense layer at every step, put together again by the lengths of the data."""
    x = T.tensor3("x")
    batch, steps, _ = x.shape
    l_in = layers.InputLayer((None, None, 3), x)
    rows = layers.ReshapeLayer(layers.LSTMLayer(l_in, 4), (batch * steps, 4))
    dense = layers.DenseLayer(rows, 2, nonlinearity=None)
    return l_in, dense, layers.ReshapeLayer(dense, (batch, steps, 2))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_lengths_come_with_the_data(mode, device):
    l_in, dense, net = of_sequences()
    assert net.output_shape == (None, None, 2)
    assert isinstance(net, layers.ReshapeLayer)
    y = layers.get_output(net)
    loss = y.sum()
    step = minifer.function([l_in.input_var], [y, loss], updates.sgd(
        loss, layers.get_all_params(net, trainable=True), 0.1), mode=mode,
        device=device)
    for shape in ((2, 3, 3), (4, 5, 3), (1, 2, 3)):
        x, b = numbers(shape).astype("float32"), dense.b.get_value()
        np.testing.assert_allclose(layers.get_output(net, x), step(x)[0], rtol=1e-4,
                                   atol=1e-5)
        np.testing.assert_allclose(b - dense.b.get_value(), 0.1 * np.prod(shape[:2]),
                                   rtol=1e-5)


def test_lengths_that_do_not_fit_are_refused():
    x = T.tensor3("x")
    l_in = layers.InputLayer((None, None, 3), x)
    net = layers.ReshapeLayer(l_in, (x.shape[0], 5, [2]), name="here")
    assert net.output_shape == (None, 5, 3)
    assert layers.get_output(net, np.ones((2, 5, 3))).shape == (2, 5, 3)
    with pytest.raises(ShapeError, match=r"'here': expected a shape that the elements "
                       r"of \(2, 4, 3\) fill, got \(2, 5, 3\)"):
        layers.get_output(net, np.ones((2, 4, 3)))
    with pytest.raises(ShapeError, match="shape parts > 0"):
        layers.ReshapeLayer(l_in, (x.shape[0], "all"), name="here")
    rest = layers.ReshapeLayer(l_in, (x.shape[1], -1))
    assert layers.get_output(rest, np.ones((2, 4, 3))).shape == (4, 6)


def test_a_shape_is_taken_apart_where_its_axes_are_known():
    x = T.tensor4("x")
    assert len(list(x.shape)) == 4
    with pytest.raises(TypeError, match="cannot be looped over"):
        list(T.squeeze(x).shape)


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("Recurrent", [layers.GRULayer, layers.LSTMLayer,
                                       layers.RecurrentLayer])
def test_a_state_may_be_a_variable(mode, Recurrent):
    """As language models have it, which go on where the last batch ended."""
    x, state = T.tensor3("x"), T.matrix("state")
    minifer.random.set_rng(1)
    whole = Recurrent(layers.InputLayer((None, None, 3), x), 4, hid_init=state)
    assert not any(p.name == "hid_init" for p in layers.get_all_params(whole))
    run = minifer.function([x, state], layers.get_output(whole, x), mode=mode)
    data = numbers((2, 6, 3)).astype("float32")
    start = np.zeros((2, 4), "float32")
    expected = run(data, start)
    if Recurrent is layers.LSTMLayer:  # which has a cell besides
        np.testing.assert_array_equal(run(data[:, :3], start), expected[:, :3])
        assert (run(data, start + 1) != expected).any()
        return
    first = run(data[:, :3], start)
    np.testing.assert_allclose(run(data[:, 3:], first[:, -1]), expected[:, 3:],
                               rtol=1e-5, atol=1e-6)


def test_a_list_of_expressions_is_their_stack():
    x = T.vector("x")
    total = T.sum([x, 2 * x], axis=0)
    np.testing.assert_array_equal(total.eval({x: np.ones(3)}), [3, 3, 3])


def test_updates_are_copied_as_a_dict():
    net = layers.DenseLayer(layers.InputLayer((None, 3)), 2, W=init.Constant(1))
    loss = layers.get_output(net).mean()
    rule = updates.sgd(loss, [net.W], 0.1)
    both = rule.copy()
    both.update({net.b: net.b + 1})
    assert type(both) is dict and list(both) == [net.W, net.b]
    assert list(rule) == [net.W]
