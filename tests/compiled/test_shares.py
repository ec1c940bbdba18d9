"""Ranks that hold parameters in common: each moves its share, once."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from helpers.steps import OPTIONS
from minifer import updates
from minifer.compiled.exchange import Exchange
from minifer.compiled.shares import Shares, in_common
from minifer.errors import BackendUnavailable, SettingError
from minifer.layers import InputLayer
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProduct
from minifer.ranks import Part, Ranks
from minifer.training.together import agree_on_weights
from minifer.updates.update import run_alone

SHAPES = [(7, 5), (5,), (4, 3, 2), (1,), ()]


class Thread(Ranks):
    """One of some ranks, a thread each."""

    def __init__(self, rank, room):
        self.rank, self.size, self.room = rank, room["barrier"].parties, room

    def gather(self, value):
        self.room[self.rank] = value
        self.room["barrier"].wait(10)
        found = [self.room[rank] for rank in range(self.size)]
        self.room["barrier"].wait(10)
        return found

    def sum(self, array):
        array[...] = np.sum(self.gather(array.copy()), axis=0)
        return array

    def start_sum(self, array):
        self.sum(array)
        return super().start_sum(array)

    def common_memory(self, nbytes):
        return self.gather(np.zeros(nbytes, np.uint8))[0]


def on_ranks(size, work):
    """What ``work(ranks)`` returns on each of some ranks."""
    room = {"barrier": threading.Barrier(size)}

    def one(rank):
        try:
            return work(Thread(rank, room))
        except BaseException:
            room["barrier"].abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


def made(rule, **options):
    rng = np.random.default_rng(0)
    params = [Param(rng.normal(size=shape), f"p{shape}") for shape in SHAPES]
    return getattr(updates, rule)(params, **options)


def batches(images):
    """Factors of the first parameter's gradient, and the others'; of two batches."""
    rng = np.random.default_rng(1)
    for N in images, images + 1:
        yield (rng.normal(size=(N, 7)), rng.normal(size=(N, 5)),
               [rng.normal(size=(N, *shape)) for shape in SHAPES[1:]])


def take(exchange, x, dz, others):
    """A step of the exchange's rule with the mean gradient of a batch."""
    part, params = exchange.part, exchange.update.params
    mine = part.take(len(x))
    exchange.begin(1.0, Counter(), run_alone)
    exchange.add(params[0], OuterProduct(x[mine], dz[mine] / len(x)))
    for param, one in zip(params[1:], others):
        exchange.add(param, one[mine].sum(axis=0) / len(x))
    loss, found = exchange.finish()
    assert loss == pytest.approx(1)
    exchange.update(found)
    exchange.end()


@pytest.mark.parametrize("size, images", [(2, 3), (3, 1), (3, 90)])
@pytest.mark.parametrize("rule", OPTIONS)
def test_shares_make_the_step_that_one_rank_takes(rule, size, images):
    def work(ranks):
        update = made(rule, **OPTIONS[rule])
        own = [p.value for p in update.params]
        shares = Shares(Part(ranks), update)
        shares.enter()
        for batch in batches(images):
            take(shares, *batch)
        shares.leave()
        assert all(p.value is value for p, value in zip(update.params, own))
        return own + [one for name in update.slots for one in update.state[name]]

    alone = made(rule, **OPTIONS[rule])
    for x, dz, others in batches(images):
        alone([x.T @ dz / len(x)] + [one.mean(axis=0) for one in others])
    expected = [p.value for p in alone.params] + [
        one for name in alone.slots for one in alone.state[name]]
    first, *others = on_ranks(size, work)
    for one, value in zip(first, expected):
        np.testing.assert_allclose(one, value, 1e-12, 1e-12)
    for other in others:  # bit for bit
        assert all(np.array_equal(a, b) for a, b in zip(first, other))


def test_values_that_were_set_meanwhile_count():
    def work(ranks):
        update = made("sgd", learning_rate=0.0)
        with in_common(Exchange(Part(ranks), update.params), update) as shares:
            update.params[0].set_value(np.ones(SHAPES[0]))
            take(shares, *next(batches(3)))
            assert update.params[0].value is shares.homes[update.params[0]]
        return update.params[0].value

    for value in on_ranks(2, work):
        assert np.array_equal(value, np.ones(SHAPES[0]))


def test_common_memory_is_made_once():
    """A process touches its pages in the first steps, which takes a while."""
    def work(ranks):
        made_of, make = [], ranks.common_memory
        ranks.common_memory = lambda nbytes: made_of.append(nbytes) or make(nbytes)
        update = made("adam", learning_rate=0.1)
        exchange = Exchange(Part(ranks), update.params)
        for batch in batches(3):
            with in_common(exchange, update) as shares:
                take(shares, *batch)
            values = [p.value + 1 for p in update.params]
            for param, value in zip(update.params, values):
                param.set_value(value)
            update.state["t"] += 1
        return len(made_of), values

    alone = made("adam", learning_rate=0.1)
    for x, dz, others in batches(3):
        alone([x.T @ dz / len(x)] + [one.mean(axis=0) for one in others])
        for param in alone.params:
            param.set_value(param.value + 1)
        alone.state["t"] += 1
    for count, values in on_ranks(2, work):
        assert count == 3  # parameters and state; gradients; those of a larger batch
        for value, param in zip(values, alone.params):
            np.testing.assert_allclose(value, param.value, 1e-12, 1e-12)


def test_what_lies_in_one_memory_is_not_compared():
    def work(ranks):
        update = made("sgd", learning_rate=0.0)
        network = InputLayer((None, 2))
        network.params = dict.fromkeys(update.params, frozenset())
        with in_common(Exchange(Part(ranks), update.params), update) as shares:
            assert shares.held == set(update.params)
            agree_on_weights(ranks, network, SimpleNamespace(exchange=shares))
            update.params[1].value = np.full(5, float(ranks.rank))  # its own again
            assert shares.held == set(update.params) - {update.params[1]}
            with pytest.raises(SettingError, match="expected the same weights"):
                agree_on_weights(ranks, network, SimpleNamespace(exchange=shares))

    with mock.patch.object(Param, "get_value", autospec=True,
                           side_effect=lambda param: param.value) as read:
        on_ranks(2, work)
    assert [call.args[0].name for call in read.mock_calls] == [f"p{SHAPES[1]}"] * 2


@pytest.mark.parametrize("which", [0, 1, 3])
def test_what_is_not_finite_on_one_rank_is_known_to_all(which):
    def work(ranks):
        update = made("sgd", learning_rate=1.0)
        shares = Shares(Part(ranks), update)
        shares.enter()
        x, dz, others = next(batches(4))
        if ranks.rank:
            (x, *others)[which][-1] = np.inf
        shares.part.take(4)
        shares.begin(1.0, Counter(), run_alone)
        shares.add(update.params[0], OuterProduct(x, dz))
        for param, one in zip(update.params[1:], others):
            shares.add(param, one.sum(axis=0))
        found = shares.finish()[1]
        bad = [i for i, p in enumerate(update.params)
               if not np.isfinite(np.asarray(found[p].gradient)).all()]
        return shares.is_finite, shares.agree(min(bad, default=None))

    assert on_ranks(2, work) == [(False, which)] * 2


def test_who_cannot_share_says_why():
    def why(ranks, update, **options):
        exchange = Exchange(Part(ranks), update.params)
        with in_common(exchange, update, **options) as one:
            assert one is exchange
        return exchange.describe([], 8)

    def work(ranks):
        limited, alone, apart = (made("sgd", learning_rate=1.0) for _ in range(3))
        limited.max_total_norm = 1.0
        said = [why(ranks, limited), why(ranks, alone, unless="I want it so")]
        ranks.common_memory = refuse
        return said + [why(ranks, apart)]

    def refuse(nbytes):
        raise BackendUnavailable("nothing in common")

    for limited, alone, apart in on_ranks(2, work):
        assert "of its own: the update rule, or a limit of norms, looks at" in limited
        assert "of its own: I want it so" in alone
        assert "of its own: nothing in common" in apart
