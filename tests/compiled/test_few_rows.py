"""Dense layers of a few images, and how a changed parameter is noticed."""

import copy
import pickle

import numpy as np
import pytest

import minifer
from minifer import layers, tensor
from minifer.compiled.cpu import few_rows
from minifer.compiled.cpu.folding import Kept
from minifer.compiled.cpu.plan import CpuPlan
from minifer.expressions import DerivedParam, Param
from minifer.layers import DenseLayer, InputLayer


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense(monkeypatch, D=90, U=20, **options):
    """A network whose weights count as large."""
    monkeypatch.setattr(few_rows, "LARGE", 1000)
    return DenseLayer(InputLayer((None, D)), U, W=normal((D, U)), **options)


def check(net, plan, x):
    source = layers.get_all_layers(net)[0]
    found, = plan.run({source: x})
    expected = layers.get_output(net, x, deterministic=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5 * np.abs(expected
                                                                           ).max())
    return found


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("options", [{}, {"b": None}, {"num_leading_axes": -1}])
def test_few_rows_are_as_layer_by_layer(monkeypatch, batch, options):
    net = dense(monkeypatch, **options)
    plan = CpuPlan([net], {"deterministic": True}, (), batch, False, 2)
    for count in range(batch, 0, -1):
        check(net, plan, normal((count, 90), count))
    step, = plan.steps
    assert (step.few.turned is not None) == (batch <= few_rows.FEW)


def in_place(param):
    param.get_value(borrow=True)[1] += 1


def by_value(param):
    param.set_value(param.get_value() + 1)


def another(param):
    param.value = param.value * 2


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("change", [in_place, by_value, another])
def test_changed_weights_are_seen(monkeypatch, change, held):
    net = dense(monkeypatch)
    plan = CpuPlan([net], {"deterministic": True}, (), 1, False, 2)
    x = normal((1, 90))
    before = check(net, plan, x)
    array = net.W.value if held else None
    for _ in range(3):
        change(net.W)
        after = check(net, plan, x)
        assert np.abs(after - before).max() > .01
        before = after
        np.testing.assert_array_equal(check(net, plan, x), before)
    del array


def test_an_array_that_was_borrowed_before_is_watched(monkeypatch):
    net = dense(monkeypatch)
    array, x = net.W.get_value(borrow=True)[:, 3:], normal((1, 90))
    plan = CpuPlan([net], {"deterministic": True}, (), 1, False, 2)
    for value in (0, 1, 2):
        array[...] = value
        check(net, plan, x)
    array[...] = 3
    del array
    check(net, plan, x)


def test_a_step_of_training_is_seen(monkeypatch):
    net = dense(monkeypatch)
    x = tensor.matrix("x")
    loss = layers.get_output(net, x).mean()
    train = minifer.function([x], loss, minifer.updates.sgd(loss, [net.W], 1.0))
    predict = minifer.function([x], layers.get_output(net, x, deterministic=True))
    value = normal((1, 90))
    for _ in range(3):
        expected = layers.get_output(net, value, deterministic=True)
        np.testing.assert_allclose(predict(value), expected, rtol=0, atol=1e-4)
        train(value)


def test_weights_are_turned_once_until_they_change(monkeypatch):
    net = dense(monkeypatch)
    plan = CpuPlan([net], {"deterministic": True}, (), 1, False, 2)
    x, (step,) = normal((1, 90)), plan.steps
    check(net, plan, x)
    check(net, plan, x)  # layer by layer in between: the weights were read
    source = layers.get_all_layers(net)[0]
    step.few.turned[...] = 0
    plan.run({source: x})
    found, = plan.run({source: x})
    np.testing.assert_array_equal(found, np.zeros_like(found))
    assert plan.nbytes > step.few.turned.nbytes


def test_tied_weights_are_seen(monkeypatch):
    W = Param(normal((20, 90)), "W")
    net = dense(monkeypatch)
    net = DenseLayer(net.input_layer, 20, W=W.T)
    assert isinstance(net.W, DerivedParam)
    plan = CpuPlan([net], {"deterministic": True}, (), 1, False, 2)
    for _ in range(3):
        check(net, plan, normal((1, 90)))
        W.value[...] += 1


def test_what_nobody_can_have_changed_is_not_compared(monkeypatch):
    param = Param(normal((3, 4)))
    kept = Kept([param])
    assert kept.changed() and kept.copies is None
    monkeypatch.setattr(np, "array_equal", None)
    assert not kept.changed() and not kept.changed()


@pytest.mark.parametrize("read", [lambda param: param.value,
                                  lambda param: param.get_value(borrow=True),
                                  lambda param: param.forward()[0]])
def test_whoever_has_the_array_may_change_it(read):
    param = Param(normal((3, 4)))
    before = param.mark()
    assert before is not None and param.mark() is before
    param.get_value(), param.peek(), param.shape, param.dtype, param.device
    assert param.mark() is before
    array = read(param)
    assert param.mark() is None
    view = array[1:]
    del array
    assert param.mark() is None
    del view
    assert param.mark() not in (None, before)
    before = param.mark()
    read(param)[0] = 1
    assert param.mark() not in (None, before)


def test_memory_of_others_is_never_ones_own():
    whole = normal((6, 4))
    assert Param(whole).mark() is None  # it is still known here
    assert Param(normal((6, 4))[2:]).mark() is None
    assert DerivedParam(Param(whole).T).mark() is None


def test_copies_of_a_parameter_are_their_own():
    param = Param(normal((3, 4)), "W")
    for other in (copy.deepcopy(param), pickle.loads(pickle.dumps(param))):
        other.value[...] = 0
        assert other.name == "W" and param.peek().any() and not other.peek().any()
    old = Param.__new__(Param)
    old.__setstate__({"value": np.ones(2), "name": "old"})
    assert old.name == "old" and old.value.tolist() == [1, 1]
