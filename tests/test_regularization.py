"""Penalties: which parameters count, how much, and with which gradient."""

import numpy as np
import pytest

import minifer
from minifer import config, gradcheck, layers, tensor
from minifer.compiled.functions import function
from minifer.expressions import evaluate, gradients
from minifer.layers import DenseLayer, InputLayer, batch_norm, get_all_params
from minifer.layers.param import Param
from minifer.regularization import (apply_penalty, l1, l2, regularize_layer_params,
                                    regularize_layer_params_weighted,
                                    regularize_network_params)
from minifer.updates import sgd


def network():
    """Two layers; W is regularised, b, beta and the averages are not, gamma is."""
    h = DenseLayer(InputLayer((None, 2)), 2, W=np.array([[1.0, -2.0], [0.0, 3.0]]),
                   b=np.array([9.0, 9.0]), name="h")
    return DenseLayer(h, 1, W=np.array([[4.0], [-5.0]]), b=np.array([9.0]), name="top")


def found_by(penalty):
    return {p.name: g for p, g in gradients(
        penalty, evaluate([penalty], {})).items()}


def test_l1_and_l2_have_no_half():
    x = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert l1(x) == 6 and l2(x) == 14


@pytest.mark.parametrize("penalty", [l1, l2])
def test_their_gradients(penalty):
    x = np.array([0.5, -1.5, 2.0])
    assert gradcheck.compare(lambda: float(penalty(x)),
                             {"x": (x, penalty.gradient(x))}).ok
    assert penalty.gradient(np.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize("penalty, h, top", [(l1, 6, 9), (l2, 14, 41)])
def test_only_weights_are_penalised(penalty, h, top):
    net = network()
    assert float(regularize_network_params(net, penalty)) == h + top
    assert float(regularize_layer_params(net, penalty)) == top
    assert float(regularize_layer_params([net.input_layer, net], penalty)) == h + top
    assert float(regularize_layer_params_weighted(
        {net: 2.0, net.input_layer: 0.5}, penalty)) == 2 * top + 0.5 * h
    assert float(regularize_layer_params_weighted(
        {(net, net.input_layer): 0.1}, penalty)) == pytest.approx(0.1 * (h + top))
    assert float(apply_penalty(net.W, penalty)) == top
    assert float(apply_penalty([net.W, net.b], penalty)) == top + penalty(net.b.value)


def test_tags_choose_the_parameters():
    net = network()
    biases = {"regularizable": False}
    assert float(regularize_network_params(net, l2, tags=biases)) == 3 * 81
    assert float(regularize_layer_params(net, l2, tags=biases)) == 81
    assert float(regularize_layer_params_weighted({net: 2.0}, l2, tags=biases)) == 162
    assert float(regularize_network_params(net, l2, tags={})) == 14 + 41 + 3 * 81


def test_gamma_is_penalised_and_the_averages_are_not():
    net = batch_norm(DenseLayer(InputLayer((None, 3)), 4, nonlinearity=None,
                                W=np.zeros((3, 4))))
    assert float(regularize_network_params(net, l2)) == 4  # gamma: four ones


def test_gradients_carry_the_coefficients():
    net = network()
    loss = 0.5 * regularize_layer_params_weighted({net: 2.0, net.input_layer: 10.0}, l2)
    found = found_by(loss)
    assert set(found) == {"h.W", "top.W"}
    np.testing.assert_allclose(found["top.W"], 2 * net.W.value)
    np.testing.assert_allclose(found["h.W"], 10 * net.input_layer.W.value)


def test_a_parameter_named_twice_counts_twice():
    W = Param(np.array([1.0, -2.0]), "W")
    penalty = apply_penalty([W, W], l2)
    assert float(penalty) == 10
    np.testing.assert_allclose(found_by(penalty)["W"], [4, -8])


def test_a_penalty_follows_its_parameters():
    net = network()
    penalty = regularize_layer_params(net, l1)
    net.W.set_value(np.ones((2, 1)))
    assert float(penalty) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_decay_in_training(dtype):
    with config.use_floatX(dtype):
        net = network()
    before = {p.name: p.get_value() for p in get_all_params(net)}
    x = tensor.matrix("x")
    net.input_layer.input_layer.input_var = x
    loss = 0 * layers.get_output(net).mean() + 0.25 * regularize_network_params(net, l2)
    step = function([x], loss, sgd(loss, get_all_params(net), learning_rate=0.1))
    assert step(np.ones((1, 2), dtype)) == 0.25 * 55
    for param in get_all_params(net):
        kept = 0.95 if param.name.endswith("W") else 1.0
        np.testing.assert_allclose(param.value, kept * before[param.name], rtol=1e-6)
        assert param.dtype == dtype


# --- of expressions ----------------------------------------------------------------

def smooth(x, steepness=1.0):
    """A penalty that only says what it is."""
    return minifer.tensor.log(minifer.tensor.cosh(steepness * x)).sum()


@pytest.mark.parametrize("penalty", [l1, l2, smooth])
def test_penalties_of_expressions(penalty):
    net = network()
    x = net.input_layer.input_layer.input_var
    hidden = minifer.layers.get_output(net.input_layer)
    data = np.ones((4, net.input_layer.input_shape[1]), "float32")
    run = minifer.function([x], minifer.regularization.apply_penalty(hidden, penalty))
    value = np.asarray(hidden.eval({x: data}), "float64")
    expected = {l1: np.abs(value).sum(), l2: (value ** 2).sum(),
                smooth: np.log(np.cosh(value)).sum()}[penalty]
    assert run(data) == pytest.approx(expected, rel=1e-5)


def test_a_penalty_of_ones_own_needs_no_gradient_and_takes_options():
    net = network()
    loss = minifer.regularization.regularize_network_params(net, smooth, steepness=0.5)
    W = net.W.value
    found = gradients(loss, evaluate([loss], {}))
    np.testing.assert_allclose(found[net.W], 0.5 * np.tanh(0.5 * W), rtol=1e-6)
