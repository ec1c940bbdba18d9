"""Where a formula would take 0 to a negative power, a whole number, no elements."""

import numpy as np
import pytest

import minifer
from minifer import tensor as T
from minifer.errors import SettingError


def slope(build, value):
    """Of the sum of an expression of a vector."""
    x = T.vector("x")
    return T.grad(build(x).sum(), x).eval({x: np.asarray(value)})


@pytest.mark.parametrize("power", [0, 0.0, np.zeros(3)])
def test_a_power_of_0_has_no_slope_at_0(power):
    np.testing.assert_array_equal(slope(lambda x: x ** power, [0.0, -1, 2]), 0)


def test_powers_of_0_by_all_whole_numbers():
    found = slope(lambda x: x.dimshuffle(0, "x") ** np.arange(4), [0.0, 2])
    np.testing.assert_array_equal(found, [1, 1 + 4 + 12])


def test_one_over_whole_numbers():
    i = T.ivector("i")
    np.testing.assert_array_equal(T.inv(i).eval({i: np.array([1, 2, -4], "i")}),
                                  [1, 0.5, -0.25])


def test_softplus_of_whole_numbers():
    i = T.ivector("i")
    np.testing.assert_allclose(T.nnet.softplus(i).eval({i: np.array([0, 3], "i")}),
                               np.log1p(np.exp([0.0, 3])))


@pytest.mark.parametrize("build, axes", [
    (lambda m: m[m > 0], 1), (lambda m: m[~(m > 0)], 1),
    (lambda m: m[T.and_(m > 0, m < 1)], 1), (lambda m: m[T.isnan(m)], 1),
    (lambda m: m[np.eye(2) > 0], 1), (lambda m: m[m.flatten(1)[:2] > 0], 2),
    (lambda m: m[(m.argmax(axis=1) & 1)], 2), (lambda m: m.dimshuffle(0, 1, "x")[m > 0],
                                               2)])
def test_a_mask_takes_the_axes_it_has(build, axes):
    m = T.matrix("m")
    part = build(m)
    assert part.ndim == part.eval({m: np.array([[1.0, -2], [0, 3]])}).ndim == axes


def test_the_mean_of_more_elements_than_float16_counts():
    x = T.vector("x")
    value = np.ones(70000, "float16")
    value[::2] = 3
    mean, slopes, var = minifer.function([x], [x.mean(), T.grad(x.mean(), x), x.var()],
                                         mode="eager")(value)
    assert mean == 2 and var == 1
    np.testing.assert_array_equal(slopes, np.float16(1 / 70000))


def test_a_variance_of_too_few_elements_is_nan():
    assert np.isnan(slope(lambda x: T.var(x, ddof=1), [2.0])).all()


@pytest.mark.parametrize("build", [
    lambda c: c.flatten(2), lambda c: c.max(axis=2), lambda c: c.min(axis=(1, 2)),
    lambda c: c.prod(axis=1), lambda c: c.argmax(axis=2)])
def test_no_rows(build):
    c, rows = T.tensor3("c"), np.zeros((0, 3, 4))
    y = build(c)
    assert y.eval({c: rows}).shape == build(T.as_tensor_variable(
        np.zeros((1, 3, 4)))).eval()[:0].shape
    if y.op_backward:
        assert T.grad(y.sum(), c).eval({c: rows}).shape == rows.shape


def test_axes_before_the_others():
    assert T.as_tensor_variable(np.ones(3), ndim=3).eval().shape == (1, 1, 3)
    assert T.constant(np.ones(3), ndim=2).eval().shape == (1, 3)


@pytest.mark.parametrize("build", [
    lambda x, i: T.norm(x, 0), lambda x, i: T.take(x, 0, mode="nearest"),
    lambda x, i: T.round(x, "up"), lambda x, i: T.set_subtensor(i[0], 2.5)])
def test_what_would_give_another_number_is_refused(build):
    x, i = T.vector("x"), T.ivector("i")
    with pytest.raises(SettingError, match="expected"):
        build(x, i).eval({x: np.ones(2), i: np.ones(2, "i")})
