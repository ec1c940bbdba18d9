"""Gradients on their way to other ranks."""

from collections import Counter

import numpy as np
import pytest

import minifer
from minifer import layers, objectives, tensor, updates
from minifer.compiled import exchange
from minifer.compiled.exchange import Cost, Exchange
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProduct
from minifer.ranks import Part, Ranks
from minifer.updates.update import run_alone


class Both(Ranks):
    """The first of two ranks; the other computes exactly the same."""

    def __init__(self, gbits=None):
        self.rank, self.size, self.gbits, self.sums = 0, 2, gbits, []

    def start_sum(self, array):
        self.sums.append(array.size)
        array *= 2
        return super().start_sum(array)

    def sum(self, array):
        array *= 2
        return array

    def start_rows(self, array):
        array[len(array) // 2:] = array[:len(array) // 2]
        return super().start_rows(array)


@pytest.fixture
def params():
    return [Param(np.zeros(shape, np.float32), str(shape))
            for shape in [(3, 2), (4,), (5, 6)]]


def begun(params, ranks=None, expected=None):
    part = Part(ranks or Both())
    part.take(4)
    one = Exchange(part, params)
    one.begin(3.0, Counter(params) if expected is None else expected, run_alone)
    return one


def test_gradients_are_summed_in_pieces_as_they_come(params, monkeypatch):
    monkeypatch.setattr(exchange, "PIECE_BYTES", 4 * 10)
    one = begun(params)
    for param in params:
        one.add(param, np.ones(param.shape, np.float32))
    assert one.part.ranks.sums == [10, 30]  # the first two together, before the end
    loss, found = one.finish()
    assert loss == 3.0  # half of it from each
    assert all(np.array_equal(found[p], np.full(p.shape, 2)) for p in params)


def test_a_gradient_waits_for_all_its_contributions(params):
    one = begun(params, expected=Counter({params[0]: 2, params[1]: 1, params[2]: 1}))
    one.add(params[0], np.ones((3, 2), np.float32))
    assert params[0] not in one.done
    one.add(params[0], OuterProduct(np.ones((1, 3), "f"), np.ones((1, 2), "f")))
    assert params[0] in one.done
    assert np.array_equal(one.finish()[1][params[0]], np.full((3, 2), 4))


def test_more_contributions_than_expected_are_not_lost(params):
    one = begun(params)
    for _ in range(3):
        one.add(params[1], np.ones(4, np.float32))
    assert np.array_equal(one.finish()[1][params[1]], np.full(4, 6))


def test_fewer_than_expected_are_sent_at_the_end(params):
    one = begun(params, expected=Counter({params[1]: 7}))
    one.add(params[1], np.ones(4, np.float32))
    assert np.array_equal(one.finish()[1][params[1]], np.full(4, 2))


def test_the_flag_of_any_rank_is_told(params):
    one = begun(params)
    one.finish()
    assert not one.part.flag
    one.part.flag = True
    one.begin(3.0, Counter(), run_alone)
    one.finish()
    assert one.part.flag


@pytest.mark.parametrize("gbits, as_factors", [
    (None, False), (1e3, False), (1e-3, True)])
def test_a_slow_network_gets_factors(gbits, as_factors):
    weights = Param(np.zeros((300, 200), np.float32), "W")
    one = begun([weights], Both(gbits))
    x, dz = np.ones((2, 300), np.float32), np.ones((2, 200), np.float32)
    one.add(weights, OuterProduct(x, dz))
    found = one.finish()[1][weights]
    assert isinstance(found, OuterProduct) == as_factors
    assert np.array_equal(np.asarray(found), np.full((300, 200), 4))


def test_factors_pay_for_small_batches_of_large_layers():
    assert Cost.of((14112, 256), 128, 8, 4).prefers_factors(0.1)
    assert not Cost.of((14112, 256), 4096, 8, 4).prefers_factors(0.1)
    assert not Cost.of((14112, 256), 128, 8, 4).prefers_factors(200)


def test_a_step_is_that_of_the_whole_batch_and_the_plan_says_how():
    def trained(ranks, x, y):
        minifer.random.set_rng(0)
        inputs, targets = tensor.matrix("x"), tensor.ivector("y")
        net = layers.DenseLayer(layers.InputLayer((None, 3), inputs), 2, name="out",
                                nonlinearity=minifer.nonlinearities.softmax)
        loss = objectives.categorical_crossentropy(layers.get_output(net), targets)
        params = layers.get_all_params(net, trainable=True)
        part = ranks and Part(ranks)
        step = minifer.function(
            [inputs, targets], loss.mean(),
            updates.sgd(loss.mean(), params, learning_rate=1.0), part=part)
        if part:
            part.take(4)
        return step(x, y), net.W.get_value(), step

    x, y = np.eye(3, dtype=np.float32)[:2], np.array([0, 1])
    expected, weights, _ = trained(None, np.concatenate([x, x]), np.array([0, 1, 0, 1]))
    found, same, step = trained(Both(1e-9), x, y)
    assert found == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(same, weights, 1e-6)
    assert "2 ranks sum gradients of 0.0 MB" in str(step.plan)
    assert "network: 1e-09 Gbit/s" in str(step.plan) and "W: " in str(step.plan)


def test_gradients_that_are_returned_are_no_step_of_the_ranks():
    """Those of a part of the batch, call after call; they go to no other rank."""
    x, y = tensor.matrix("x"), tensor.ivector("y")
    net = layers.DenseLayer(layers.InputLayer((None, 3), x), 2,
                            nonlinearity=minifer.nonlinearities.softmax)
    loss = objectives.categorical_crossentropy(layers.get_output(net), y).mean()
    part = Part(Both())
    step = minifer.function([x, y], tensor.grad(loss, net.W),
                            updates.sgd(loss, [net.W], learning_rate=0.0), part=part)
    part.take(4)
    images, classes = np.eye(3, dtype=np.float32)[:2], np.array([0, 1], "int32")
    first, second = step(images, classes), step(images, classes)
    assert np.abs(first).max() > 0.1
    np.testing.assert_array_equal(first, second)
