"""A gradient kept as factors is, to all who ask, the array it stands for."""

import numpy as np
import pytest

from helpers.checking import normal
from minifer import updates
from minifer.compiled.finite import all_finite
from minifer.device.threads import Workers
from minifer.errors import NotFiniteError
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProduct
from minifer.updates.update import PIECE

D, U, N = 700, 500, 3  # more than two pieces of an update, the last one shorter


@pytest.fixture
def factors():
    return normal((N, D), 1), normal((N, U), 2)


def test_it_is_the_product(factors):
    x, dz = factors
    g, expected = OuterProduct(x, dz), np.zeros((D, U))
    for n in range(N):
        expected += x[n][:, None] * dz[n][None, :]
    assert g.shape == (D, U) and D * U > 2 * PIECE and D * U % PIECE
    np.testing.assert_allclose(np.asarray(g), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(g.rows(11, 50), expected[11:50], rtol=1e-12, atol=1e-12)
    ones = np.ones((D, U))
    again = OuterProduct(np.ones((1, D)), np.ones((1, U)))
    for total in (g + ones, ones + g, g + again):
        np.testing.assert_allclose(total, expected + 1, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["sgd", "nesterov_momentum", "adam", "amsgrad"])
@pytest.mark.parametrize("run", [None, Workers(3).run], ids=["alone", "threads"])
def test_an_update_with_factors_is_an_update_with_their_product(factors, rule, run):
    x, dz = factors
    start = normal((D, U), 3)
    moved = []
    for gradient in (OuterProduct(x, dz), x.T @ dz):
        w = Param(start.copy(), "w")
        step = getattr(updates, rule)([w], learning_rate=0.1)
        for _ in range(3):
            step([gradient], run)
        moved.append(w.value)
    np.testing.assert_allclose(*moved, rtol=1e-9, atol=1e-12)
    assert not np.allclose(moved[0], start)


def test_norms_and_constraints_see_the_array(factors):
    x, dz = factors
    moved = []
    for gradient in (OuterProduct(x, dz), x.T @ dz):
        w = Param(np.zeros((D, U)), "w")
        step = updates.sgd([w], learning_rate=1.0).constrain(w, 0.01)
        step.max_total_norm = 0.5
        step([gradient])
        moved.append(w.value)
    np.testing.assert_allclose(*moved, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_what_is_not_finite_is_found(factors, bad, which):
    assert OuterProduct(*factors).surely_finite()
    factors[which][1, 7] = bad
    g = OuterProduct(*factors)
    with np.errstate(invalid="ignore"):
        assert not g.surely_finite() and not all_finite(g)


def test_large_factors_are_looked_at_closely():
    """The bound fails, the elements decide."""
    large, small = np.float32([[1e30, 0]]), np.float32([[0, 1e30]])
    fine = OuterProduct(np.vstack([large, small]), np.vstack([small, large]) * 0)
    apart = OuterProduct(np.float32([[1e30], [0]]), np.float32([[0], [1e30]]))
    with np.errstate(over="ignore", invalid="ignore"):
        over = OuterProduct(large, small)
        assert not over.surely_finite() and not all_finite(over)
    assert all_finite(fine)
    assert not apart.surely_finite() and all_finite(apart)


def test_a_step_that_overflows_in_the_dense_gradient_changes_nothing():
    import minifer
    from minifer import layers
    x = minifer.tensor.matrix("x")
    net = layers.DenseLayer(layers.InputLayer((None, 2), x), 2, nonlinearity=None,
                            W=np.full((2, 2), 1e-30, np.float32))
    params = layers.get_all_params(net, trainable=True)
    loss = layers.get_output(net).sum() * 1e10
    train = minifer.function([x], loss, updates.sgd(loss, params, learning_rate=1.0))
    before = [p.get_value() for p in params]
    with pytest.raises(NotFiniteError, match="gradient of 'W'"):
        train(np.full((1, 2), 1e30, np.float32))
    for param, value in zip(params, before):
        assert np.array_equal(param.value, value)
