"""Update rules against published numbers, scalar loops and each other."""

import math

import numpy as np
import pytest

from minifer import tensor, updates
from minifer.compiled.functions import function
from minifer.errors import SettingError, ShapeError
from minifer.expressions import Expression
from minifer.layers.param import Param

RULES = ["sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta",
         "adam", "adamax", "amsgrad", "adamw"]

# Ten steps on f(A) + f(B) with f(X) = sum of (0.1, 0.2, 0.3) X² from ones: the
# numbers Lasagne tests itself with, computed by torch.optim (lasagne/tests/
# test_updates.py). Of amsgrad they have none: on this problem v only grows, so
# it must equal adam; `test_amsgrad_remembers_the_largest` tells them apart.
# adamw is from PyTorch 2.13, torch.optim.AdamW, in float64.
TORCH = {
    "sgd": ({"learning_rate": 0.1},
            [0.81707280688755, 0.6648326359915, 0.5386151140949]),
    "momentum": ({"learning_rate": 0.1, "momentum": 0.5},
                 [0.6848486952183, 0.44803321781003, 0.27431190123502]),
    "nesterov_momentum": ({"learning_rate": 0.1, "momentum": 0.5},
                          [0.67466543592725, 0.44108468114241, 0.2769002108997]),
    "adagrad": ({"learning_rate": 0.1},
                [0.55373120047759, 0.55373120041518, 0.55373120039438]),
    "rmsprop": ({"learning_rate": 0.01},
                [0.83205403985348, 0.83205322744821, 0.83205295664444]),
    "adadelta": ({}, [0.95453237704725, 0.9545237471374, 0.95452214847397]),
    "adam": ({"learning_rate": 0.01},
             [0.90034972009036, 0.90034967993061, 0.90034966654402]),
    "adamax": ({"learning_rate": 0.01},
               [0.90211749000754, 0.90211748762402, 0.90211748682951]),
    "amsgrad": ({"learning_rate": 0.01},
                [0.90034972009036, 0.90034967993061, 0.90034966654402]),
    "adamw": ({"learning_rate": 0.01, "weight_decay": 0.5},
              [0.8538629437311912, 0.8538629412252553, 0.8538629403899431])}

CURVES = np.array([0.1, 0.2, 0.3])


def two_params(dtype="float64"):
    return [Param(np.ones(3, dtype), name) for name in "AB"]


def slopes(params):
    """Gradients of the toy problem."""
    return [(2 * CURVES * p.value).astype(p.dtype) for p in params]


class ToyLoss(Expression):
    """The toy problem as a loss expression."""

    def __init__(self, params):
        self.params = params

    def forward(self):
        return sum(float((CURVES * p.value ** 2).sum()) for p in self.params), ()

    def backward(self, dvalue, cache):
        return (), {p: float(dvalue) * g for p, g in zip(self.params,
                                                         slopes(self.params))}


def rule(name, params, **options):
    if name in ("sgd", "momentum", "nesterov_momentum"):
        options.setdefault("learning_rate", 0.1)
    return getattr(updates, name)(params, **options)


def run(step, gradients):
    """Values of a one-number parameter after each gradient."""
    (param,) = step.params
    values = []
    for g in gradients:
        step([np.array([g])])
        values.append(param.value[0])
    return values


def number():
    return [Param(np.array([1.0]), "w")]


# --- against published numbers ----------------------------------------------

@pytest.mark.parametrize("name", RULES)
def test_ten_steps_of_lasagnes_toy_problem(name):
    options, expected = TORCH[name]
    params = two_params()
    step = getattr(updates, name)(params, **options)
    for _ in range(10):
        step(slopes(params))
    assert np.allclose(params[0].value, params[1].value)
    assert np.allclose(params[0].value, expected)


@pytest.mark.parametrize("name", RULES)
def test_the_same_with_the_loss_first_as_in_lasagne(name):
    options, expected = TORCH[name]
    params = two_params()
    loss = ToyLoss(params)
    train = function([], loss, updates=getattr(updates, name)(loss, params, **options))
    losses = [train() for _ in range(10)]
    assert np.allclose(params[0].value, expected)
    assert np.allclose(params[1].value, expected)
    assert losses == sorted(losses, reverse=True)


def test_the_loss_may_be_named():
    params = two_params()
    loss = ToyLoss(params)
    step = updates.sgd(loss_or_grads=loss, params=params, learning_rate=0.1)
    assert step.loss is loss and step.params == params
    assert updates.sgd(params, 0.1).loss is None


# --- against scalar loops ---------------------------------------------------

GRADIENTS = [1.0, -2.0, 0.5, 0.0, 0.0, 0.1, -0.1, 3.0]  # v of adam falls in between


def adam_loop(largest=False, decay=0.0, rate=0.01, b1=0.8, b2=0.6, epsilon=1e-3):
    """Kingma & Ba's Adam as Lasagne writes it, one number at a time."""
    p, m, v, used, values = 1.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        p *= 1 - rate * decay
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g ** 2
        used = max(used, v) if largest else v
        a = rate * math.sqrt(1 - b2 ** t) / (1 - b1 ** t)
        p -= a * m / (math.sqrt(used) + epsilon)
        values.append(p)
    return values


ADAM = {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.6, "epsilon": 1e-3}


def test_adam_with_all_its_options():
    np.testing.assert_allclose(run(updates.adam(number(), **ADAM), GRADIENTS),
                               adam_loop())


def test_amsgrad_remembers_the_largest():
    found = run(updates.amsgrad(number(), **ADAM), GRADIENTS)
    np.testing.assert_allclose(found, adam_loop(largest=True))
    assert not np.allclose(found, adam_loop())


def test_adamw_decays_beside_the_gradient():
    step = updates.adamw(number(), weight_decay=0.5, **ADAM)
    np.testing.assert_allclose(run(step, GRADIENTS), adam_loop(decay=0.5))
    # Without a gradient only the decay is left: no moment sees it.
    step = updates.adamw(number(), learning_rate=0.1, weight_decay=0.5)
    np.testing.assert_allclose(run(step, [0.0, 0.0]), [0.95, 0.95 ** 2])


def test_adamw_of_weights_leaves_biases_alone():
    w, b = Param(np.ones((2, 3)), "W"), Param(np.ones(3), "b")
    step = updates.adamw([w, b], learning_rate=0.1, weight_decay=0.5, weights_only=True)
    step([np.zeros((2, 3)), np.zeros(3)])
    np.testing.assert_allclose(w.value, 0.95)
    assert b.value.tolist() == [1, 1, 1]


def test_adamax_keeps_the_largest_slope():
    p, m, u, expected = 1.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        m = 0.8 * m + 0.2 * g
        u = max(0.6 * u, abs(g))
        p -= 0.01 / (1 - 0.8 ** t) * m / (u + 1e-3)
        expected.append(p)
    np.testing.assert_allclose(run(updates.adamax(number(), **ADAM), GRADIENTS),
                               expected)


@pytest.mark.parametrize("name", ["momentum", "nesterov_momentum"])
def test_momentum_step_by_step(name):
    p, v, expected = 1.0, 0.0, []
    for g in GRADIENTS:
        v = 0.7 * v - 0.1 * g
        p = p + 0.7 * v - 0.1 * g if name.startswith("nesterov") else p + v
        expected.append(p)
    step = getattr(updates, name)(number(), learning_rate=0.1, momentum=0.7)
    np.testing.assert_allclose(run(step, GRADIENTS), expected)


@pytest.mark.parametrize("name, defaults", [
    ("momentum", {"momentum": 0.9}), ("nesterov_momentum", {"momentum": 0.9}),
    ("adagrad", {"learning_rate": 1.0, "epsilon": 1e-6}),
    ("rmsprop", {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}),
    ("adadelta", {"learning_rate": 1.0, "rho": 0.95, "epsilon": 1e-6}),
    ("adam", {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    ("adamax", {"learning_rate": 0.002, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    ("amsgrad", {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999,
                 "epsilon": 1e-8})])
def test_defaults_are_lasagnes(name, defaults):
    step = rule(name, number())
    assert {option: getattr(step, option) for option in defaults} == defaults


# --- momentum around any rule -----------------------------------------------

@pytest.mark.parametrize("wrapper, whole", [
    ("apply_momentum", "momentum"),
    ("apply_nesterov_momentum", "nesterov_momentum")])
def test_momentum_around_sgd_is_sgd_with_momentum(wrapper, whole):
    around = getattr(updates, wrapper)(updates.sgd(number(), 0.1), momentum=0.7)
    direct = getattr(updates, whole)(number(), 0.1, momentum=0.7)
    np.testing.assert_allclose(run(around, GRADIENTS), run(direct, GRADIENTS))


def test_momentum_may_be_applied_to_some():
    a, b = params = two_params()
    step = updates.apply_momentum(updates.sgd(params, 0.1), [a], momentum=0.5)
    for _ in range(2):
        step([np.ones(3), np.ones(3)])
    np.testing.assert_allclose(a.value, 1 - 0.1 - 0.15)
    np.testing.assert_allclose(b.value, 1 - 0.1 - 0.1)


def test_applied_momentum_keeps_the_loss_and_the_rate():
    params = two_params()
    step = updates.apply_momentum(updates.sgd(ToyLoss(params), params, 0.1))
    assert isinstance(step.loss, ToyLoss) and step.learning_rate == 0.1
    step.learning_rate = 0.0
    step(slopes(params))
    np.testing.assert_array_equal(params[0].value, 1)


@pytest.mark.parametrize("wrapper", ["apply_momentum", "apply_nesterov_momentum"])
def test_applied_momentum_heeds_its_constraints(wrapper):
    W = Param(np.full((2, 3), 5.0), "W")
    step = getattr(updates, wrapper)(updates.sgd([W], 0.0)).constrain(W, 1.0)
    step([np.ones((2, 3))])
    np.testing.assert_allclose(np.linalg.norm(W.value, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("wrapper", ["apply_momentum", "apply_nesterov_momentum"])
def test_applied_momentum_heeds_max_total_norm(wrapper):
    step = getattr(updates, wrapper)(updates.sgd(number(), 1.0), momentum=0.0)
    step.max_total_norm = 0.5
    np.testing.assert_allclose(run(step, [100.0]), [0.5], rtol=1e-6)


# --- state ------------------------------------------------------------------

@pytest.mark.parametrize("name", RULES)
def test_the_learning_rate_can_be_changed(name):
    step = rule(name, number(), learning_rate=0.0)
    assert run(step, [1.0, 1.0]) == [1.0, 1.0]
    step.learning_rate = 0.1
    assert run(step, [1.0])[0] < 1


@pytest.mark.parametrize("name", RULES)
def test_the_state_is_a_plain_dict_that_continues_a_run(name):
    whole = run(rule(name, number()), GRADIENTS)
    first = rule(name, number())
    half = run(first, GRADIENTS[:4])
    assert type(first.state) is dict and first.state["t"] == 4
    for slot, value in first.state.items():
        assert isinstance(value, int if slot == "t" else list)
    second = rule(name, [Param(first.params[0].get_value(), "w")])
    for slot, value in first.state.items():
        second.state[slot] = value if slot == "t" else [a.copy() for a in value]
    assert half + run(second, GRADIENTS[4:]) == whole


@pytest.mark.parametrize("name", RULES)
def test_float32_stays_float32(name):
    params = two_params("float32")
    step = rule(name, params, learning_rate=np.float64(0.1))
    step([g.astype("float64") for g in slopes(params)])
    assert all(p.dtype == "float32" and (p.value < 1).all() for p in params)
    for slot, arrays in step.state.items():
        assert slot == "t" or all(a.dtype == "float32" for a in arrays)


def test_gradients_are_left_as_they_were():
    for name in RULES:
        g = np.array([2.0])
        rule(name, number())([g])
        assert g == 2


def test_gradients_by_param():
    a, b = params = two_params()
    updates.sgd(params, 0.5)({b: np.full(3, 2.0), a: np.zeros(3)})
    assert a.value.tolist() == [1, 1, 1] and b.value.tolist() == [0, 0, 0]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", RULES)
def test_large_arrays_move_like_small_ones(name, order):
    rng = np.random.default_rng(0)
    value, gradients = rng.normal(size=(400, 300)), rng.normal(size=(3, 400, 300))
    whole = Param(np.array(value, order=order), "whole")
    rows = [Param(row.copy(), "row") for row in value]
    in_one, in_rows = rule(name, [whole]), rule(name, rows)
    for g in gradients:
        in_one([np.asarray(g, order=order)])
        in_rows(list(g))
    np.testing.assert_array_equal(whole.value, [row.value for row in rows])


# --- norms ------------------------------------------------------------------

def test_constrain_is_applied_after_each_step():
    W = Param(np.full((2, 3), 5.0), "W")
    step = updates.sgd([W], 0.1).constrain(W, 1.0)
    step([np.ones((2, 3))])
    np.testing.assert_allclose(np.linalg.norm(W.value, axis=0), 1, rtol=1e-6)


def test_max_total_norm_scales_all_gradients():
    a, b = params = two_params()
    step = updates.sgd(params, 1.0)
    step.max_total_norm = 1.0
    step([np.array([3.0, 0, 0]), np.array([0, 4.0, 0])])
    np.testing.assert_allclose(a.value, [0.4, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(b.value, [1, 0.2, 1], rtol=1e-6)


# --- refusals ---------------------------------------------------------------

def test_wrong_gradients_are_refused_and_change_nothing():
    params = two_params()
    step = updates.momentum(params, 0.1)
    for gradients, message in [
            ([np.ones(3)], "expected 2 gradients, .+ got 1"),
            ([np.ones(3), np.ones(2)], r"shape \(3,\) for 'B', got \(2,\)"),
            ({params[0]: np.ones(3)}, "'B'")]:
        with pytest.raises((ShapeError, SettingError), match=message):
            step(gradients)
    assert step.state["t"] == 0
    assert all((p.value == 1).all() for p in params)


def test_arrays_are_no_parameters():
    with pytest.raises(SettingError, match="expected a list of Param, got array"):
        updates.sgd([np.ones(3)], 0.1)


def test_a_function_wants_updates_made_from_a_loss():
    x = tensor.vector("x")
    with pytest.raises(SettingError, match="expected updates made from a loss"):
        function([x], x.mean(), updates.sgd(number(), 0.1))
