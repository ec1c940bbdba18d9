"""Every rule, norm constraints and recurrent layers in a step that is one graph."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import config, layers, nonlinearities, objectives, random, updates
from minifer.layers import (Conv2DLayer, DenseLayer, DropoutLayer, GRULayer, InputLayer,
                            LSTMLayer, batch_norm, get_all_params)
from minifer.tensor import ivector

on_devices = pytest.mark.parametrize("device", DEVICES)

RULES = {name: getattr(updates, name) for name in (
    "sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam",
    "amsgrad", "adamax", "adamw")}


def steps(body, rule, device, change=lambda update, step: None, count=5):
    """Losses and parameters of some steps, and the function that took them."""
    random.set_rng(0)
    net = DenseLayer(body(InputLayer((None, 3, 5))), 4,
                     nonlinearity=nonlinearities.softmax)
    targets = ivector("targets")
    loss = objectives.categorical_crossentropy(
        layers.get_output(net), targets).mean()
    update = rule(loss, get_all_params(net, trainable=True))
    train = minifer.function([layers.get_all_layers(net)[0].input_var, targets], loss,
                             update, device=device)
    rng, losses = np.random.default_rng(0), []
    for step in range(count):
        change(update, step)
        losses.append(float(train(rng.normal(size=(4, 3, 5)).astype("float32"),
                                  rng.integers(0, 4, 4))))
    return losses, layers.get_all_param_values(net), train


def assert_captured_and_the_same(body, rule, device, change=lambda update, step: None):
    losses, params, train = steps(body, rule, device, change)
    expected, theirs, _ = steps(body, rule, "cpu", change)
    assert train.captured, train.plan.note
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for a, b in zip(params, theirs):
        np.testing.assert_allclose(a, b, atol=1e-5)


def flat(below):
    return DenseLayer(below, 6)


@on_devices
@pytest.mark.parametrize("name", RULES)
def test_every_rule(name, device):
    assert_captured_and_the_same(
        flat, lambda loss, params: RULES[name](loss, params, learning_rate=0.05),
        device)


def constrained(loss, params):
    update = updates.nesterov_momentum(loss, params, learning_rate=0.1)
    return update.constrain(params[0], 0.8)


@on_devices
def test_a_norm_constraint(device):
    assert_captured_and_the_same(flat, constrained, device)
    _, params, _ = steps(flat, constrained, device)
    norms = np.sqrt((params[0] ** 2).sum(axis=0))
    assert (norms < 0.8 + 1e-5).all() and (norms > 0.79).any()


@on_devices
def test_a_norm_constraint_around_momentum(device):
    def rule(loss, params):
        update = updates.apply_momentum(updates.sgd(loss, params, 0.1))
        return update.constrain(params[0], 0.8)

    assert_captured_and_the_same(flat, rule, device)


@on_devices
@pytest.mark.parametrize("change", [
    lambda update: update.constrain(update.params[0], 0.5),
    lambda update: update.constraints.clear(),
    lambda update: setattr(update, "max_total_norm", 0.01)],
    ids=["another limit", "no limit", "limited gradients"])
def test_a_graph_does_not_outlive_what_it_has_built_in(device, change):
    assert_captured_and_the_same(
        flat, constrained, device,
        lambda update, step: change(update) if step == 3 else None)


@on_devices
def test_a_constraint_of_a_users_own_is_not_captured(device):
    def rule(loss, params):
        update = updates.sgd(loss, params, 0.1)
        update.constraints[params[0]] = lambda value: np.clip(value, -0.1, 0.1)
        return update

    assert not steps(flat, rule, device)[2].captured


RECURRENT = {
    "lstm": lambda below: LSTMLayer(below, 4),
    "lstm, learnt start, backwards": lambda below: LSTMLayer(
        below, 4, learn_init=True, backwards=True, only_return_final=True),
    "lstm of relus": lambda below: LSTMLayer(
        below, 4, nonlinearity=nonlinearities.rectify),
    "gru": lambda below: GRULayer(below, 4, grad_clipping=0.01),
    "plain": lambda below: layers.RecurrentLayer(below, 4),
    "networks of one's own": lambda below: layers.CustomRecurrentLayer(
        below, batch_norm(DenseLayer(InputLayer((None, 5)), 4)),
        DenseLayer(InputLayer((None, 4)), 4, nonlinearity=nonlinearities.tanh),
        grad_clipping=0.01),
    "step by step, backwards": lambda below: layers.CustomRecurrentLayer(
        below, DenseLayer(InputLayer((None, 5)), 4),
        DenseLayer(InputLayer((None, 4)), 4), learn_init=True, backwards=True,
        precompute_input=False, only_return_final=True),
    "of images": lambda below: layers.CustomRecurrentLayer(
        layers.ReshapeLayer(below, ([0], 3, 1, 1, 5)),
        Conv2DLayer(InputLayer((None, 1, 1, 5)), 2, (1, 3), pad="same"),
        Conv2DLayer(InputLayer((None, 2, 1, 5)), 2, (1, 3), pad="same"))}


@on_devices
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(name, device):
    assert_captured_and_the_same(
        RECURRENT[name], lambda loss, params: updates.adam(loss, params, 0.05), device)


@on_devices
@pytest.mark.parametrize("inner", [
    DropoutLayer, lambda below: layers.ExpressionLayer(below, lambda x: x * 2)],
    ids=["dropout", "a user's function"])
def test_what_draws_or_might_wait_within_a_recurrent_layer_is_not_captured(
        inner, device):
    def body(below):
        return layers.CustomRecurrentLayer(
            below, DenseLayer(inner(InputLayer((None, 5))), 4),
            DenseLayer(InputLayer((None, 4)), 4), name="mine")

    _, _, train = steps(body, lambda loss, params: updates.sgd(loss, params, 0.05),
                        device)
    assert not train.captured
    assert "mine has no kernel that a graph can hold" in train.plan.note


@on_devices
def test_class_weights_in_a_list_are_not_brought_in_a_captured_step(device):
    def losses(device):
        random.set_rng(0)
        net = DenseLayer(InputLayer((None, 5)), 3, nonlinearity=nonlinearities.softmax)
        targets, scores = ivector("targets"), layers.get_output(net)
        loss = objectives.categorical_crossentropy(scores, targets, [1., 2., .5]).mean()
        train = minifer.function([layers.get_all_layers(net)[0].input_var, targets],
                                 [loss, scores.mean()],
                                 updates.sgd(loss, get_all_params(net), 0.1),
                                 device=device)
        x = np.random.default_rng(0).normal(size=(4, 5))
        return train, [train(x, np.arange(4) % 3)[0] for _ in range(4)]

    with config.use_floatX("float64"):
        (train, found), (_, expected) = losses(device), losses("cpu")
    assert train.captured, train.plan.note
    np.testing.assert_allclose(found, expected, rtol=1e-12)
