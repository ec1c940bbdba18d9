"""The nonlinearities against loops, at their kinks and far out."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal, off_zero
from minifer.ops import activation, gated

SELU = {"scale": 1.0507009873554805, "scale_neg": 1.6732632423543772}
OPTIONS = [("rectify", {}), ("leaky_rectify", {"leakiness": 0.01}),
           ("leaky_rectify", {"leakiness": 0}), ("leaky_rectify", {"leakiness": 1 / 3}),
           ("elu", {}), ("selu", SELU), ("selu", {"scale": 2.0, "scale_neg": 0.5}),
           ("tanh", {}), ("scaled_tanh", {"scale_in": 2 / 3, "scale_out": 1.7159}),
           ("scaled_tanh", {"scale_in": 2.0, "scale_out": 0.5}),
           ("sigmoid", {}), ("softplus", {}), ("clipped_rectify", {"ceiling": 1.5}),
           ("hard_sigmoid", {"slope": 0.3, "shift": 0.4}), ("softsign", {}),
           ("swish", {}), ("hard_swish", {}), ("gelu", {}), ("gelu_tanh", {}),
           ("mish", {})]


def pair(name):
    ops = gated if hasattr(gated, name + "_forward") else activation
    return getattr(ops, name + "_forward"), getattr(ops, name + "_backward")


def check_activation(name, x, **options):
    check_op(*pair(name), [x], getattr(reference, name), **options)


def slope(name, x, **options):
    """Values and slopes at the points ``x``."""
    forward, backward = pair(name)
    y, cache = forward(np.array(x), **options)
    return y, backward(np.ones(len(x)), cache)


# --- element by element -----------------------------------------------------

@pytest.mark.parametrize("name, options", OPTIONS)
@pytest.mark.parametrize("shape", [(1,), (3, 4), (2, 3, 4, 5), (4, 3, 5, 6)])
def test_activation(name, options, shape):
    check_activation(name, off_zero(shape), **options)


@pytest.mark.parametrize("name, options", OPTIONS)
def test_views(name, options):
    check_activation(name, off_zero((4, 3, 4)).transpose(2, 0, 1)[:, ::2], **options)


@RANDOM_SHAPES
@given(case=st.sampled_from(OPTIONS),
       shape=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_random_shapes(case, shape):
    name, options = case
    check_activation(name, off_zero(tuple(shape)), **options)


@pytest.mark.parametrize("name, options", OPTIONS)
def test_far_out_nothing_overflows(name, options):
    far = np.array([-1000.0, -100.0, -30.0, -0.5, 0.5, 30.0, 100.0, 1000.0])
    check_activation(name, far, **options)


@pytest.mark.parametrize("name, options", OPTIONS)
def test_nan_stays_visible(name, options):
    with np.errstate(invalid="ignore"):  # a warning is fine too
        y, _ = slope(name, [np.nan, 1.0], **options)
    assert np.isnan(y[0]) and not np.isnan(y[1])


@pytest.mark.parametrize("name, options", [case for case in OPTIONS if case[1]])
def test_numpy_numbers_as_options_do_not_widen_float32(name, options):
    forward, backward = pair(name)
    y, cache = forward(off_zero((3,)).astype(np.float32),
                       **{key: np.float64(value) for key, value in options.items()})
    assert y.dtype == np.float32
    assert backward(y, cache).dtype == np.float32


# --- at zero ----------------------------------------------------------------

def test_the_slope_of_rectify_at_zero_is_zero():
    y, dx = slope("rectify", [0.0, -0.0, 1e-300, -1e-300])
    np.testing.assert_array_equal(y, [0, 0, 1e-300, 0])
    np.testing.assert_array_equal(dx, [0, 0, 1, 0])


def test_leaky_rectify_at_zero():
    y, dx = slope("leaky_rectify", [0.0, -0.0], leakiness=0.25)
    np.testing.assert_array_equal(y, [0, 0])
    np.testing.assert_array_equal(dx, [0.25, 0.25])


def test_smooth_ones_at_zero():
    for name in ("tanh", "elu"):
        y, dx = slope(name, [0.0])
        assert (y, dx) == (0, 1)
    y, dx = slope("sigmoid", [0.0])
    assert (y, dx) == (0.5, 0.25)
    y, dx = slope("softplus", [0.0])
    np.testing.assert_allclose([y, dx], [[np.log(2)], [0.5]])


def test_clipped_ones_have_no_slope_at_their_ends():
    _, dx = slope("clipped_rectify", [0.0, 6.0, 3.0], ceiling=6.0)
    np.testing.assert_array_equal(dx, [0, 0, 1])
    _, dx = slope("hard_swish", [-3.0, 3.0, 0.0])
    np.testing.assert_array_equal(dx, [0, 1, 0.5])


def test_gelu_is_exact_far_below_zero():
    y, _ = slope("gelu", [-10.0])
    np.testing.assert_allclose(y, -10 * 7.61985302416052e-24, rtol=1e-9)


def test_elu_and_selu_are_exact_near_zero():
    tiny = np.array([-1e-12])  # exp(x) - 1 computed as written is off by 1e-4
    y, _ = slope("elu", tiny)
    np.testing.assert_allclose(y, tiny, rtol=1e-11)


# --- softmax ----------------------------------------------------------------

@pytest.mark.parametrize("shape", [(3, 4), (1, 7), (4, 1), (1, 1), (40, 7)])
def test_softmax(shape):
    check_activation("softmax", normal(shape))


def test_softmax_far_out():
    check_activation("softmax", np.array([[1000.0, -1000.0, 0.0],
                                          [-1000.0, -1000.0, -1001.0],
                                          [1000.0, 999.0, 1000.0]]))


def test_softmax_of_equal_numbers_is_uniform():
    y, _ = activation.softmax_forward(np.zeros((2, 4)))
    np.testing.assert_array_equal(y, np.full((2, 4), 0.25))


@RANDOM_SHAPES
@given(N=st.integers(1, 6), K=st.integers(1, 9), scale=st.floats(0.1, 100))
def test_softmax_of_random_shapes(N, K, scale):
    x = scale * normal((N, K))
    y, _ = activation.softmax_forward(x)
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1)
    np.testing.assert_allclose(activation.softmax_forward(x + 50)[0], y, rtol=1e-10)
