"""The nonlinearities, biases and the dense layer on a device, against loops."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, distinct, normal, off_zero
from helpers.devices import DEVICES, moved, on_device
from helpers.orders import in_every_order, on_emulator
from minifer.cuda.activation import (bias_add, bias_rectify_backward,
                                     bias_rectify_forward)
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError
from minifer.ops import activation, gated
from minifer.ops.dense import dense_backward, dense_forward

on_each_device = pytest.mark.parametrize("device", DEVICES)
SELU = {"scale": 1.0507009873554805, "scale_neg": 1.6732632423543772}
each_nonlinearity = pytest.mark.parametrize("name, options", [
    ("rectify", {}), ("leaky_rectify", {"leakiness": 1 / 3}),
    ("leaky_rectify", {"leakiness": 0}), ("elu", {}), ("selu", SELU), ("tanh", {}),
    ("scaled_tanh", {"scale_in": 2 / 3, "scale_out": 1.7159}), ("sigmoid", {}),
    ("softplus", {}), ("clipped_rectify", {"ceiling": 1.5}),
    ("hard_sigmoid", {"slope": 0.3, "shift": 0.4}), ("softsign", {}), ("swish", {}),
    ("hard_swish", {}), ("gelu", {}), ("gelu_tanh", {}), ("mish", {})])


def ops_of(name):
    ops = gated if hasattr(gated, name + "_forward") else activation
    return getattr(ops, name + "_forward"), getattr(ops, name + "_backward")


def pair(name, device):
    return on_device(*ops_of(name), device)


# --- nonlinearities -----------------------------------------------------------

@on_each_device
@each_nonlinearity
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 11), (1000,), (2, 3, 5, 7)])
def test_activation(device, name, options, shape):
    check_op(*pair(name, device), [off_zero(shape)], getattr(reference, name),
             **options)


@on_each_device
@each_nonlinearity
def test_far_out_nothing_overflows(device, name, options):
    far = np.array([-1000.0, -100.0, -30.0, -0.5, 0.5, 30.0, 100.0, 1000.0])
    check_op(*pair(name, device), [far], getattr(reference, name), **options)


@on_each_device
@each_nonlinearity
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_stays_visible(device, name, options, dtype):
    forward, backward = pair(name, device)
    y, _ = forward(np.array([np.nan, 1.0, -1.0], dtype), **options)
    np.testing.assert_array_equal(np.isnan(y), [True, False, False])
    _, cache = forward(np.array([-1000.0, 1.0, -1.0], dtype), **options)
    dx = backward(np.array([np.nan, 1.0, 1.0], dtype), cache)
    np.testing.assert_array_equal(np.isnan(dx), [True, False, False])


@on_each_device
@each_nonlinearity
def test_views_and_empty_arrays(device, name, options):
    forward, backward = ops_of(name)
    x, dy = off_zero((4, 5, 6)), normal((3, 6, 2))
    y, cache = forward(to_device(x, device).transpose(1, 2, 0)[::2, :, ::2], **options)
    dx = backward(to_device(dy.T, device).transpose(2, 1, 0), cache)
    expected, host_cache = forward(x.transpose(1, 2, 0)[::2, :, ::2], **options)
    np.testing.assert_allclose(to_host(y), expected, rtol=1e-12)
    np.testing.assert_allclose(to_host(dx), backward(dy, host_cache), rtol=1e-12)
    nothing, cache = forward(to_device(np.zeros((0, 3)), device), **options)
    assert nothing.shape == backward(nothing, cache).shape == (0, 3)


@on_each_device
def test_the_slope_of_rectify_at_zero_is_zero(device):
    forward, backward = pair("rectify", device)
    y, cache = forward(np.array([0.0, -0.0, 1e-30, -1e-30]))
    np.testing.assert_array_equal(y, [0, 0, 1e-30, 0])
    np.testing.assert_array_equal(backward(np.ones(4), cache), [0, 0, 1, 0])


@on_each_device
def test_elu_is_exact_near_zero(device):
    tiny = np.array([-1e-12])  # exp(x) - 1 computed as written is off by 1e-4
    y, _ = pair("elu", device)[0](tiny)
    np.testing.assert_allclose(y, tiny, rtol=1e-11)


@on_each_device
def test_a_gradient_of_another_shape_is_refused(device):
    _, cache = activation.rectify_forward(to_device(np.ones((3, 4)), device))
    with pytest.raises(KernelError, match="expected y of n"):
        activation.rectify_backward(to_device(np.ones(11), device), cache)


# --- biases -------------------------------------------------------------------

SHAPES = [(1, 1), (7, 33), (1000, 3), (2, 3, 5, 7), (1, 5, 1, 1), (3, 2, 33, 37)]


def spread(b, x):
    """b (C,) along axis 1 of x."""
    return b.reshape((-1,) + (1,) * (x.ndim - 2))


def inputs(shape):
    """x and b such that no x + b is closer to 0 than 1/16."""
    return [distinct(shape), distinct((shape[1],)) + 1 / 16]


@on_each_device
@pytest.mark.parametrize("shape", SHAPES)
def test_bias_rectify(device, shape):
    check_op(*on_device(bias_rectify_forward, bias_rectify_backward, device),
             inputs(shape), lambda x, b: reference.rectify(
                 x.astype("float64") + spread(b, x)))


@on_each_device
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fused_is_the_same_as_one_after_the_other(device, shape, dtype):
    x, b = (a.astype(dtype) for a in inputs(shape))
    dy = distinct(shape, 1).astype(dtype)
    there, there_b = moved([x, b], device)
    z = bias_add(there, there_b)
    np.testing.assert_array_equal(to_host(z), x + spread(b, x))
    y, cache = activation.rectify_forward(z)
    fused, fused_cache = bias_rectify_forward(there, there_b)
    np.testing.assert_array_equal(to_host(fused), to_host(y))
    dx, db = bias_rectify_backward(to_device(dy, device), fused_cache)
    alone = to_host(activation.rectify_backward(to_device(dy, device), cache))
    np.testing.assert_array_equal(to_host(dx), alone)
    # Multiples of 1/8: these sums are exact in whatever order.
    np.testing.assert_array_equal(
        to_host(db), alone.sum(axis=(0, *range(2, len(shape)))))


@on_each_device
def test_a_bias_in_place(device):
    x, b = moved([np.zeros((2, 3, 4)), np.arange(3.0)], device)
    assert bias_add(x, b, out=x) is x
    assert bias_rectify_forward(x, b, out=x)[0] is x
    np.testing.assert_array_equal(to_host(x), spread(2 * np.arange(3), x)
                                  * np.ones((2, 3, 4)))


@on_each_device
def test_a_nan_is_not_rectified_away(device):
    x = np.array([[[np.nan, -1.0]]])
    y, cache = bias_rectify_forward(*moved([x, np.zeros(1)], device))
    np.testing.assert_array_equal(to_host(y), [[[np.nan, 0]]])
    _, db = bias_rectify_backward(to_device(np.array([[[0.0, np.nan]]]), device), cache)
    np.testing.assert_array_equal(to_host(db), [np.nan])


@on_emulator
def test_the_order_of_threads_changes_no_bit(device):
    shape = (3, 2, 33, 37)
    x, b, dy = moved([a.astype("float32") for a in (*inputs(shape), normal(shape))],
                     device)

    def run():
        y, cache = bias_rectify_forward(x, b)
        return [y, *bias_rectify_backward(dy, cache)]
    in_every_order(run)


# --- the dense layer ----------------------------------------------------------

@on_each_device
@pytest.mark.parametrize("N, D, U", [(4, 3, 2), (1, 1, 1), (7, 33, 5), (33, 7, 40)])
@pytest.mark.parametrize("bias", [True, False])
def test_dense(device, N, D, U, bias):
    check_op(*on_device(dense_forward, dense_backward, device),
             [normal((N, D), 1), normal((D, U), 2), normal((U,), 3) if bias else None],
             reference.dense)


@on_each_device
def test_dense_of_views_and_without_dx(device):
    x, W, b = normal((5, 8), 1), normal((3, 5), 2), normal((6,), 3)
    dy = normal((3, 4), 4)
    there = moved([x, W, b, dy], device)

    def run(x, W, b, dy):
        y, cache = dense_forward(x.T[::2], W.T, b[::2])
        return [y, *dense_backward(dy.T, cache, need_dx=False)]
    for actual, expected in zip(run(*there), run(x, W, b, dy)):
        if expected is None:
            assert actual is None
        else:
            np.testing.assert_allclose(to_host(actual), expected, rtol=1e-12)
