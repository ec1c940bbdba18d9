"""Batch normalisation against loops and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from helpers.tolerances import assert_close
from minifer.ops.norm import (batch_norm_backward, batch_norm_fixed_backward,
                              batch_norm_fixed_forward, batch_norm_forward)

EPSILON = 1e-4


def forward(x, gamma, beta, axes, epsilon):
    """y and cache alone; mean and inv_std have a test of their own."""
    y, _, _, cache = batch_norm_forward(x, gamma, beta, axes, epsilon)
    return y, cache


def reference_y(x, gamma, beta, axes, epsilon):
    return reference.batch_norm(x, gamma, beta, axes, epsilon)[0]


def check_batch_norm(x, gamma, beta, axes, epsilon=EPSILON):
    check_op(forward, batch_norm_backward, [x, gamma, beta], reference_y,
             axes=axes, epsilon=epsilon)


def check_fixed(x, gamma, beta, axes):
    shape = kept_shape(x.shape, axes)
    check_op(batch_norm_fixed_forward, batch_norm_fixed_backward, [x, gamma, beta],
             reference.batch_norm_fixed, mean=normal(shape, 8),
             inv_std=np.exp(normal(shape, 9)), axes=axes)


def kept_shape(shape, axes):
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


CASES = [
    pytest.param((6, 3), (0,), id="dense"),
    pytest.param((3, 2, 4, 3), (0, 2, 3), id="convolution"),
    pytest.param((1, 2, 4, 3), (0, 2, 3), id="N=1"),
    pytest.param((3, 1, 4, 3), (0, 2, 3), id="C=1"),
    pytest.param((5, 2, 1, 1), (0, 2, 3), id="one pixel"),
    pytest.param((4, 2, 3), (0,), id="each place by itself"),
    pytest.param((3, 5), (1,), id="within each example"),
    pytest.param((2, 4, 3), (1, 2), id="C and length"),
    pytest.param((3, 4), (0, 1), id="everything"),
    pytest.param((5, 3, 6, 5), (0, 2, 3), id="many")]


@pytest.mark.parametrize("shape, axes", CASES)
@pytest.mark.parametrize("check", [check_batch_norm, check_fixed])
def test_batch_norm(check, shape, axes):
    kept = kept_shape(shape, axes)
    check(2 * normal(shape, 1) + 3, normal(kept, 2), normal(kept, 3), axes)


@pytest.mark.parametrize("gamma, beta", [(None, None), (None, True), (True, None)])
@pytest.mark.parametrize("check", [check_batch_norm, check_fixed])
def test_without_scale_or_shift(check, gamma, beta):
    check(normal((4, 2, 3, 2), 1), gamma and normal((2,), 2), beta and normal((2,), 3),
          (0, 2, 3))


@pytest.mark.parametrize("check", [check_batch_norm, check_fixed])
def test_views(check):
    x = normal((4, 6, 2, 5), 1).transpose(0, 2, 3, 1)[:, :, ::2]
    check(x, normal((4,), 2)[::2], normal((2,), 3)[::-1], (0, 2, 3))


@RANDOM_SHAPES
@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
def test_random_shapes(shape, data):
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    kept = kept_shape(shape, axes)
    # Groups of two or three may lie close together: a larger epsilon keeps the
    # curvature small enough for a central difference.
    check_batch_norm(normal(tuple(shape), 1), normal(kept, 2), normal(kept, 3),
                     tuple(sorted(axes)), epsilon=0.1)


# --- statistics -------------------------------------------------------------

@pytest.mark.parametrize("shape, axes", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_statistics_of_the_batch(shape, axes, dtype):
    x = (2 * normal(shape, 1) + 3).astype(dtype)
    _, mean, inv_std, _ = batch_norm_forward(x, None, None, axes, EPSILON)
    _, expected_mean, expected_inv_std = reference.batch_norm(
        x, None, None, axes, EPSILON)
    for actual, expected, what in [(mean, expected_mean, "mean"),
                                   (inv_std, expected_inv_std, "inv_std")]:
        assert actual.shape == kept_shape(shape, axes)
        assert actual.dtype == dtype
        assert_close(actual, expected, "reference", dtype, what)


def test_a_constant_channel_becomes_beta():
    x = np.full((4, 1, 3, 3), 7.0)
    y, mean, inv_std, cache = batch_norm_forward(
        x, np.array([5.0]), np.array([0.25]), (0, 2, 3), EPSILON)
    np.testing.assert_array_equal(y, np.full(x.shape, 0.25))
    np.testing.assert_array_equal(mean, [7])
    np.testing.assert_allclose(inv_std, [100])
    dx, dgamma, dbeta = batch_norm_backward(normal(x.shape), cache)
    assert np.isfinite(dx).all() and dgamma == 0
    check_batch_norm(x, np.array([5.0]), np.array([0.25]), (0, 2, 3), epsilon=0.1)


def test_moving_or_stretching_the_input_changes_nothing():
    x = normal((8, 2, 3, 3), 1)
    y = batch_norm_forward(x, None, None, (0, 2, 3), 1e-12)[0]
    for moved in (x + 5, 3 * x, 3 * x - 2):
        y_too = batch_norm_forward(moved, None, None, (0, 2, 3), 1e-12)[0]
        np.testing.assert_allclose(y_too, y, rtol=1e-9)


def test_numpy_numbers_as_epsilon_do_not_widen_float32():
    x = normal((4, 2), 1).astype(np.float32)
    y, mean, inv_std, cache = batch_norm_forward(
        x, np.ones(2), np.zeros(2), (0,), np.float64(EPSILON))
    for array in (y, mean, inv_std, *batch_norm_backward(y, cache)):
        assert array.dtype == np.float32
