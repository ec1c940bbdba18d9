"""Initialisers: distributions by Lasagne's formulas, and where numbers come from."""

import numpy as np
import pytest

from minifer import init, random
from minifer.errors import MiniferError, SettingError, ShapeError
from minifer.layers import DenseLayer

SHAPES = [(300, 200), (64, 32, 5, 3), (40, 30, 50)]


@pytest.fixture(autouse=True)
def same_rng_afterwards(monkeypatch):
    monkeypatch.setattr(random, "_rng", None)


def glorot_std(shape):
    n1, n2, r = shape[0], shape[1], np.prod(shape[2:])
    return np.sqrt(2 / ((n1 + n2) * r))


def he_std(shape):
    return np.sqrt(1 / (shape[0] if len(shape) == 2 else np.prod(shape[1:])))


STDS = {"Glorot": glorot_std, "He": he_std}


def assert_spread(values, std, limit):
    """Mean 0 and deviation ``std`` within 5 sigma; all within ``limit``."""
    assert abs(values.mean()) < 5 * std / np.sqrt(values.size)
    # the deviation of n draws is known to about std / sqrt(2 n)
    assert abs(values.std() - std) < 5 * std / np.sqrt(2 * values.size)
    assert np.abs(values).max() <= limit


@pytest.mark.parametrize("gain, factor", [(1.0, 1.0), (2.5, 2.5), ("relu", np.sqrt(2))])
@pytest.mark.parametrize("family", STDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_glorot_and_he(shape, family, gain, factor):
    std = STDS[family](shape) * factor
    normal = getattr(init, family + "Normal")(gain, rng=0)(shape)
    uniform = getattr(init, family + "Uniform")(gain, rng=0)(shape)
    assert normal.shape == uniform.shape == shape
    assert_spread(normal, std, np.inf)
    assert np.abs(normal).max() > 2 * std  # a uniform ends at 1.73
    assert_spread(uniform, std, np.sqrt(3) * std * (1 + 1e-12))
    assert np.abs(uniform).max() > 1.7 * std


def test_limits_of_the_headline_network():
    # first convolution: sqrt(6 / ((32 + 1) 25)); last layer: sqrt(6 / (256 + 7))
    for shape, limit in [((32, 1, 5, 5), 0.0852803), ((256, 7), 0.1510421)]:
        class Ends:
            def uniform(self, low, high, size):
                return np.array([low, high])
        ends = init.GlorotUniform(rng=Ends())(shape)
        np.testing.assert_allclose(ends, [-limit, limit], rtol=1e-6)


def test_constant():
    np.testing.assert_array_equal(init.Constant(3)((2, 2)), [[3.0, 3.0], [3.0, 3.0]])
    assert init.Constant()((1,)) == 0 and init.Constant(1)((1,)).dtype == "float64"


def test_normal():
    values = init.Normal(std=0.5, mean=3.0, rng=0)((200, 200))
    assert_spread(values - 3.0, 0.5, np.inf)
    assert_spread(init.Normal(rng=0)((200, 200)), 0.01, np.inf)


@pytest.mark.parametrize("options, low, high", [
    ({}, -0.01, 0.01), ({"range": 2.0}, -2, 2), ({"range": (1.0, 3.0)}, 1, 3),
    ({"std": 1.0}, -np.sqrt(3), np.sqrt(3)),
    ({"std": 1.0, "mean": 5.0}, 5 - np.sqrt(3), 5 + np.sqrt(3))])
def test_uniform(options, low, high):
    values = init.Uniform(rng=0, **options)((200, 200))
    middle, std = (low + high) / 2, (high - low) / np.sqrt(12)
    assert_spread(values - middle, std, (high - low) / 2 * (1 + 1e-12))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (4, 3, 2, 2)])
@pytest.mark.parametrize("gain, factor", [(1.0, 1.0), (3.0, 3.0), ("relu", np.sqrt(2))])
def test_orthogonal(shape, gain, factor):
    values = init.Orthogonal(gain, rng=0)(shape)
    assert values.shape == shape
    q = values.reshape(shape[0], -1)
    short = q if q.shape[0] <= q.shape[1] else q.T
    np.testing.assert_allclose(short @ short.T, factor ** 2 * np.eye(len(short)),
                               atol=1e-12)


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_fan_in_uniform(shape, gain):
    limit = gain * he_std(shape)
    values = init.FanInUniform(gain=gain, rng=0)(shape)
    assert_spread(values, limit / np.sqrt(3), limit)
    bias = init.FanInUniform(100, gain, rng=0)((5000,))
    assert_spread(bias, gain / np.sqrt(300), gain / 10)


@pytest.mark.parametrize("fan_in", [0, -3, .5])
def test_a_unit_has_an_input(fan_in):
    with pytest.raises(SettingError, match="fan_in of 1 or more"):
        init.FanInUniform(fan_in)


def test_truncated_normal():
    values = init.TruncatedNormal(std=.5, mean=3., rng=0)((300, 200))
    # the deviation of a unit Gaussian that is cut at 2, by integration
    assert_spread(values - 3., .5 * 0.87962566, 1.)
    assert np.abs(values - 3.).max() > .99
    again = init.TruncatedNormal(rng=4)
    np.testing.assert_array_equal(again((50,)), init.TruncatedNormal(rng=4)((50,)))


@pytest.mark.parametrize("name", ["GlorotNormal", "GlorotUniform", "HeNormal",
                                  "HeUniform", "FanInUniform", "Orthogonal"])
def test_vectors_have_no_fans(name):
    with pytest.raises(MiniferError, match=rf"{name}: .*at least 2 axes.*\(5,\)"):
        getattr(init, name)()((5,))


def test_the_base_class_samples_nothing():
    with pytest.raises(NotImplementedError):
        init.Initializer()((2, 2))


# --- where the numbers come from --------------------------------------------

def test_a_seed_gives_the_same_numbers_whoever_else_draws():
    one = init.GlorotUniform(rng=3)((4, 5))
    init.GlorotUniform()((4, 5))
    np.testing.assert_array_equal(init.GlorotUniform(rng=3)((4, 5)), one)
    assert (init.GlorotUniform(rng=4)((4, 5)) != one).any()


def test_without_a_seed_the_common_generator_is_used():
    random.set_rng(7)
    one, two = (init.GlorotUniform()((4, 5)) for _ in range(2))
    assert (one != two).any()
    random.set_rng(7)
    np.testing.assert_array_equal(init.GlorotUniform()((4, 5)), one)


def test_a_generator_is_used_as_it_is():
    generator = np.random.default_rng(5)
    one = init.Normal(rng=generator)((3,))
    two = init.Normal(rng=generator)((3,))
    again = np.random.default_rng(5)
    np.testing.assert_array_equal(np.concatenate([one, two]),
                                  again.normal(0.0, 0.01, 6))


def test_two_runs_of_a_script_give_the_same_network():
    one = DenseLayer((None, 3), 2).W.value
    random.set_rng(0)  # what a new process starts with
    np.testing.assert_array_equal(DenseLayer((None, 3), 2).W.value, one)


@pytest.mark.parametrize("rng", [-1, None, "seed", 1.5])
def test_set_rng_refuses_what_is_no_generator(rng):
    with pytest.raises(SettingError):
        random.set_rng(rng)


# --- what Lasagne had besides -----------------------------------------------------

@pytest.mark.parametrize("name", ["GlorotUniform", "GlorotNormal", "HeUniform",
                                  "HeNormal"])
def test_c01b_is_the_same_in_another_order(name):
    make = getattr(init, name)
    mine = make("relu", True, rng=np.random.RandomState(3))((5, 4, 3, 6))
    n1, n2 = (5, 6) if name.startswith("Glorot") else (6, 5)
    usual = make("relu", rng=np.random.RandomState(3))((n1, n2, 4, 3))
    np.testing.assert_allclose(mine.ravel(), usual.ravel())
    with pytest.raises(ShapeError, match="expected 4 axes for c01b"):
        make(c01b=True)((5, 4))


def test_sparse_draws_as_lasagne():
    found = init.Sparse(0.4, 0.5, rng=np.random.RandomState(1))((7, 3))
    rng, expected = np.random.RandomState(1), np.zeros((7, 3))
    for unit in range(3):
        order = np.arange(7)
        rng.shuffle(order)
        expected[order[:2], unit] = rng.normal(0.0, 0.5, size=2)
    np.testing.assert_array_equal(found, expected)


def test_sparse_refuses():
    with pytest.raises(ShapeError, match="shape of a matrix"):
        init.Sparse()((3, 2, 2))
    with pytest.raises(SettingError, match=r"in \[0, 1\], got 3"):
        init.Sparse(3)
