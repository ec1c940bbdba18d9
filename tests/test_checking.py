"""check_op must refuse what is wrong: here ops that are wrong on purpose."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, distinct, normal, numerical_gradient, off_zero
from helpers.tolerances import assert_close


def forward(x, W, b):
    return x @ W + b, (x, W)


def backward(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


def inputs(N=4, D=3, U=3):
    return [normal((N, D), 1), normal((D, U), 2), normal((U,), 3)]


def test_a_right_op_passes():
    check_op(forward, backward, inputs(), reference.dense)


def test_a_right_op_passes_when_checked_along_a_direction():
    check_op(forward, backward, inputs(N=5, D=50, U=4), reference.dense)


# --- the three mistakes everybody makes once --------------------------------

def wrong_sign(dy, cache):
    dx, dW, db = backward(dy, cache)
    return -dx, dW, db


def transposed(dy, cache):
    dx, dW, db = backward(dy, cache)
    return dx, dW.T, db


def missing_batch_sum(dy, cache):
    dx, dW, _ = backward(dy, cache)
    return dx, dW, dy


@pytest.mark.parametrize("wrong, message", [
    (wrong_sign, "gradient of input 0: not the numerical gradient"),
    (transposed, "gradient of input 1: not the numerical gradient"),
    (missing_batch_sum, r"gradient of input 2: shape \(4, 3\), expected \(3,\)")])
def test_three_wrong_gradients_are_refused(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_op(forward, wrong, inputs(), reference.dense)


def test_a_wrong_sign_is_refused_along_a_direction():
    with pytest.raises(AssertionError, match="input 0: not the numerical gradient"):
        check_op(forward, wrong_sign, inputs(N=5, D=50, U=4), reference.dense)


# --- one wrong op for every other assertion ---------------------------------

def forgets_the_bias(x, W, b):
    return x @ W, (x, W)


def keeps_an_extra_axis(x, W, b):
    return (x @ W + b)[None], (x, W)


def turns_into_float64(x, W, b):
    return x @ W + b.astype(np.float64), (x, W)


def adds_in_place(x, W, b):
    x += 1
    return (x - 1) @ W + b, (x, W)


def reads_memory_order(x, W, b):
    return x.ravel(order="K").reshape(x.shape) @ W + b, (x, W)


@pytest.mark.parametrize("wrong, message", [
    (forgets_the_bias, r"output: not the reference \(float64\)"),
    (keeps_an_extra_axis, r"output: shape \(1, 4, 3\), expected \(4, 3\)"),
    (turns_into_float64, "output: dtype float64, expected float32"),
    (adds_in_place, "forward: modified an array"),
    (reads_memory_order, "output from scattered inputs: not the reference")])
def test_wrong_forwards_are_refused(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_op(wrong, backward, inputs(), reference.dense)


def mixes_up_the_batch(dy, cache):
    return backward(dy[::-1], cache)


def scales_dy_in_place(dy, cache):
    gradients = backward(dy, cache)
    dy *= 2
    return gradients


def returns_float64(dy, cache):
    dx, dW, db = backward(dy, cache)
    return dx.astype(np.float64), dW, db


def loses_precision_in_float32(dy, cache):
    dx, dW, db = backward(dy, cache)
    return (dx if dx.dtype == np.float64 else dx * np.float32(1.0001)), dW, db


def forgets_db(dy, cache):
    return backward(dy, cache)[:2]


def reads_dy_in_memory_order(dy, cache):
    return backward(dy.ravel(order="K").reshape(dy.shape), cache)


@pytest.mark.parametrize("wrong, message", [
    (mixes_up_the_batch, "gradient of input 0: not the numerical gradient"),
    (scales_dy_in_place, "backward: modified an array"),
    (returns_float64, "gradient of input 0: dtype float64, expected float32"),
    (loses_precision_in_float32, r"gradient of input 0: not the gradient \(float32\)"),
    (forgets_db, "backward: 2 gradients for 3 inputs"),
    (reads_dy_in_memory_order, "gradient of input 0, all scattered: not the")])
def test_wrong_backwards_are_refused(wrong, message):
    with pytest.raises(AssertionError, match=message):
        check_op(forward, wrong, inputs(), reference.dense)


def test_an_op_that_remembers_its_last_call_is_refused():
    last = {}

    def remembering(x, W, b):
        last["cache"] = x, W
        return forward(x, W, b)

    with pytest.raises(AssertionError, match="gradient of input 0: not the"):
        check_op(remembering, lambda dy, cache: backward(dy, last["cache"]),
                 inputs(), reference.dense)


def test_a_missing_input_has_no_gradient():
    def without_bias(x, W, b):
        return x @ W, (x, W)

    given = inputs()[:2] + [None]
    check_op(without_bias, lambda dy, cache: backward(dy, cache)[:2] + (None,),
             given, reference.dense)
    with pytest.raises(AssertionError, match="input 2: an array, expected None"):
        check_op(without_bias, backward, given, reference.dense)


# --- the parts --------------------------------------------------------------

@pytest.mark.parametrize("shape", [(2, 3), (20, 30)])
def test_numerical_gradient_of_a_cube(shape):
    x, dy = normal(shape, 1), normal(shape, 2)
    direction, slope = numerical_gradient(
        lambda x, power: (x ** power, None), [x], 0, dy, {"power": 3})
    expected = 3 * x ** 2 * dy
    if direction is not None:
        assert np.isclose(np.linalg.norm(direction), 1)
        expected = np.sum(expected * direction)
    assert_close(slope, expected, "numerical gradient", "float64", "cube")


@pytest.mark.parametrize("dtype, error", [("float64", 1e-10), ("float32", 1e-5)])
def test_assert_close_draws_the_line(dtype, error):
    expected = np.array([3.0, -5.0])
    assert_close(expected * (1 + 0.9 * error), expected, "reference", dtype, "y")
    with pytest.raises(AssertionError, match="y: not the reference"):
        assert_close(expected * (1 + 1.2 * error), expected, "reference", dtype, "y")


def test_assert_close_is_not_blinded_by_infinity():
    with pytest.raises(AssertionError, match="y: not the reference"):
        assert_close(np.array([np.inf, 1.1]), np.array([np.inf, 1.0]),
                     "reference", "float32", "y")


def test_inputs_keep_away_from_kinks():
    x = distinct((3, 4, 5))
    assert np.diff(np.sort(x.ravel())).min() == 1 / 8 and x.min() < 0 < x.max()
    x = off_zero((3, 4, 5))
    assert np.abs(x).min() >= 0.1 and x.min() < 0 < x.max()
