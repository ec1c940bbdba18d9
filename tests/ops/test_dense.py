"""The dense layer against loops and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.errors import ShapeError
from minifer.ops.dense import dense_backward, dense_forward


def check_dense(x, W, b):
    check_op(dense_forward, dense_backward, [x, W, b], reference.dense)


@pytest.mark.parametrize("N, D, U", [
    pytest.param(4, 3, 2, id="plain"), pytest.param(3, 3, 3, id="square"),
    pytest.param(1, 5, 3, id="N=1"), pytest.param(4, 1, 3, id="D=1"),
    pytest.param(4, 5, 1, id="U=1"), pytest.param(1, 1, 1, id="one number"),
    pytest.param(7, 61, 31, id="many")])
@pytest.mark.parametrize("bias", [True, False])
def test_dense(N, D, U, bias):
    check_dense(normal((N, D), 1), normal((D, U), 2), normal((U,), 3) if bias else None)


def test_views():
    check_dense(normal((8, 5), 1)[::2], normal((3, 5), 2).T, normal((6,), 3)[::2])


@RANDOM_SHAPES
@given(N=st.integers(1, 9), D=st.integers(1, 9), U=st.integers(1, 9))
def test_random_shapes(N, D, U):
    check_dense(normal((N, D), 1), normal((D, U), 2), normal((U,), 3))


def test_need_dx_false_changes_nothing_else():
    y, cache = dense_forward(normal((4, 3), 1), normal((3, 2), 2), normal((2,), 3))
    dx, dW, db = dense_backward(y, cache, need_dx=False)
    assert dx is None
    _, dW_too, db_too = dense_backward(y, cache)
    np.testing.assert_array_equal(dW, dW_too)
    np.testing.assert_array_equal(db, db_too)


def test_float64_weights_do_not_widen_float32_inputs():
    x = normal((4, 3), 1).astype(np.float32)
    y, cache = dense_forward(x, normal((3, 2), 2), normal((2,), 3))
    assert y.dtype == np.float32
    for gradient in dense_backward(y, cache):
        assert gradient.dtype == np.float32


@pytest.mark.parametrize("x_shape", [(4, 2), (4, 3, 1), (3,)])
def test_inputs_that_do_not_fit_are_refused(x_shape):
    with pytest.raises(ShapeError, match=r"x \(N, D\) with D = 3, got"):
        dense_forward(normal(x_shape), normal((3, 2)))
