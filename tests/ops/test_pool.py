"""Pooling against loops, hand-made ties and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, distinct, scattered
from minifer.errors import MiniferError, ShapeError
from minifer.ops.pool import (global_pool_backward, global_pool_forward,
                              pool2d_backward, pool2d_forward, pool_length)

MODES = ["max", "average_inc_pad", "average_exc_pad"]


def check_pool(x, pool_size, **options):
    check_op(pool2d_forward, pool2d_backward, [x], reference.pool2d,
             pool_size=pool_size, **options)


# --- how many windows -------------------------------------------------------

@pytest.mark.parametrize("length, size, stride, ignore_border, expected", [
    (48, 2, 2, True, 24), (48, 2, 2, False, 24),
    (7, 2, 2, True, 3), (7, 2, 2, False, 4),
    (7, 3, 2, True, 3), (7, 3, 2, False, 3),
    (8, 3, 2, True, 3), (8, 3, 2, False, 4),
    (7, 2, 3, True, 2), (7, 2, 3, False, 3),
    (2, 3, 1, False, 1)])
def test_pool_length(length, size, stride, ignore_border, expected):
    assert pool_length(length, size, stride, 0, ignore_border) == expected


def test_pool_length_is_the_references_everywhere():
    for length in range(1, 13):
        for size in range(1, length + 1):
            for stride in range(1, 7):
                for pad, ignore in [(0, False), (0, True), (size - 1, True)]:
                    at = (length, size, stride, pad, ignore)
                    assert pool_length(*at) == reference.pooled_length(*at), at


def test_pool_length_of_unknown_is_unknown():
    assert pool_length(None, 2, 2, 0, True) is None
    assert pool_length(None, 2, 2, 0, False) is None


# --- named cases ------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ignore_border", [True, False])
@pytest.mark.parametrize("shape, pool_size, stride", [
    pytest.param((2, 3, 4, 6), (2, 2), None, id="dividing"),
    pytest.param((2, 2, 5, 7), (2, 2), None, id="not dividing"),
    pytest.param((2, 2, 7, 5), (3, 2), None, id="kh≠kw, H≠W"),
    pytest.param((1, 2, 5, 4), (2, 2), None, id="N=1"),
    pytest.param((2, 1, 5, 4), (2, 2), None, id="C=1"),
    pytest.param((1, 1, 1, 1), (1, 1), None, id="one pixel"),
    pytest.param((2, 2, 3, 4), (3, 4), None, id="window = image"),
    pytest.param((1, 2, 8, 6), (3, 3), (2, 2), id="overlapping"),
    pytest.param((1, 2, 5, 5), (3, 3), (1, 1), id="stride 1"),
    pytest.param((1, 2, 8, 9), (2, 2), (3, 4), id="stride > window"),
    pytest.param((1, 2, 6, 7), (3, 2), (1, 3), id="strides differ")])
def test_pool2d(shape, pool_size, stride, ignore_border, mode):
    check_pool(distinct(shape), pool_size, stride=stride,
               ignore_border=ignore_border, mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, pool_size, stride, pad", [
    pytest.param((2, 2, 4, 5), (2, 2), None, (1, 0), id="rows only"),
    pytest.param((2, 2, 4, 5), (2, 2), None, (0, 1), id="columns only"),
    pytest.param((1, 2, 6, 5), (3, 3), (2, 2), (1, 1), id="both, overlapping"),
    pytest.param((1, 1, 2, 2), (4, 3), (1, 1), (3, 2), id="window > image"),
    pytest.param((1, 1, 6, 6), (2, 2), (5, 5), (1, 1), id="stride > window")])
def test_padding(shape, pool_size, stride, pad, mode):
    check_pool(distinct(shape), pool_size, stride=stride, pad=pad, mode=mode)


def test_padding_never_wins_against_negative_pixels():
    x = distinct((2, 2, 4, 5)) - 100
    assert x.max() < 0
    check_pool(x, (3, 3), stride=(2, 2), pad=(1, 1))


@pytest.mark.parametrize("view", [
    pytest.param(lambda x: x[:, :, ::2], id="every second row"),
    pytest.param(lambda x: x[:, :, ::-1, ::-1], id="turned"),
    pytest.param(lambda x: x.transpose(0, 1, 3, 2), id="rows and columns swapped")])
@pytest.mark.parametrize("mode", MODES)
def test_views(view, mode):
    check_pool(view(distinct((2, 2, 6, 5))), (2, 3), stride=(1, 2), mode=mode)


@RANDOM_SHAPES
@given(data=st.data(), mode=st.sampled_from(MODES), ignore_border=st.booleans(),
       N=st.integers(1, 2), C=st.integers(1, 2),
       size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       more=st.tuples(st.integers(0, 5), st.integers(0, 5)),
       stride=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_random_shapes(data, mode, ignore_border, N, C, size, more, stride):
    (kh, kw), (h, w) = size, more
    pad = (0, 0)
    if ignore_border:
        pad = data.draw(st.tuples(st.integers(0, kh - 1), st.integers(0, kw - 1)))
    check_pool(distinct((N, C, kh + h, kw + w)), size, stride=stride, pad=pad,
               ignore_border=ignore_border, mode=mode)


# --- ties -------------------------------------------------------------------

def gradient_at_ties(x, **options):
    y, cache = pool2d_forward(x, **options)
    dy = 1.0 + np.arange(y.size).reshape(y.shape)
    return pool2d_backward(dy, cache)


@pytest.mark.parametrize("value", [0.0, -3.0, 5.0])
def test_equal_pixels_give_the_gradient_to_the_first(value):
    dx = gradient_at_ties(np.full((1, 1, 4, 4), value), pool_size=(2, 2))
    np.testing.assert_array_equal(dx[0, 0], [[1, 0, 2, 0],
                                             [0, 0, 0, 0],
                                             [3, 0, 4, 0],
                                             [0, 0, 0, 0]])


def test_a_tie_in_two_rows_goes_to_the_upper_row():
    x = np.array([[0., 0., 7.],
                  [7., 0., 0.]])[None, None]
    dx = gradient_at_ties(x, pool_size=(2, 3))
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 1], [0, 0, 0]])


def test_ties_in_overlapping_windows_add_up():
    dx = gradient_at_ties(np.zeros((1, 1, 3, 3)), pool_size=(2, 2), stride=(1, 1))
    np.testing.assert_array_equal(dx[0, 0], [[1, 2, 0], [3, 4, 0], [0, 0, 0]])


def test_ties_beside_padding_go_to_the_first_real_pixel():
    dx = gradient_at_ties(np.full((1, 1, 2, 2), -1.0), pool_size=(2, 2), pad=(1, 1))
    np.testing.assert_array_equal(dx[0, 0], [[1, 2], [3, 4]])


def test_the_gradient_is_neither_lost_nor_doubled_at_ties():
    x = np.random.default_rng(0).integers(0, 2, (3, 2, 6, 7)).astype(float)
    y, cache = pool2d_forward(x, (3, 3), (2, 2), (1, 1))
    dy = distinct(y.shape)
    np.testing.assert_allclose(pool2d_backward(dy, cache).sum(), dy.sum())


def test_nan_stays_visible():
    x = distinct((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.nan
    for mode in MODES:
        y, _ = pool2d_forward(x, (2, 2), mode=mode)
        np.testing.assert_array_equal(np.isnan(y[0, 0]), [[0, 1], [0, 0]])


# --- refusals ---------------------------------------------------------------

def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ShapeError, match=r"at least \(4, 4\) pixels"):
        pool2d_forward(distinct((1, 1, 3, 5)), (4, 4))


def test_an_unknown_mode_is_refused():
    with pytest.raises(MiniferError, match="average_exc_pad"):
        pool2d_forward(distinct((1, 1, 4, 4)), (2, 2), mode="average")


def test_an_unknown_mode_of_global_pooling_is_refused():
    with pytest.raises(MiniferError, match="mean"):
        global_pool_forward(distinct((1, 1, 4, 4)), mode="prod")


# --- global pooling ---------------------------------------------------------

@pytest.mark.parametrize("mode", ["mean", "max", "sum"])
@pytest.mark.parametrize("shape", [
    (2, 3, 4, 5), (1, 3, 2, 2), (2, 1, 3, 2), (1, 1, 1, 1), (2, 3, 6), (2, 3, 2, 3, 2),
    (3, 4, 8, 7)])
def test_global_pool(shape, mode):
    check_op(global_pool_forward, global_pool_backward, [distinct(shape)],
             reference.global_pool, mode=mode)


def test_global_max_gives_the_gradient_of_a_tie_to_the_first():
    for x in (np.zeros((2, 1, 2, 3)), scattered(np.zeros((2, 1, 2, 3)))):
        _, cache = global_pool_forward(x, "max")
        dx = global_pool_backward(np.array([[2.0], [3.0]]), cache)
        np.testing.assert_array_equal(dx[:, 0, 0, 0], [2, 3])
        assert dx.sum() == 5
