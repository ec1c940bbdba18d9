"""Batch normalisation on a device, against loops and numerical gradients."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, moved, on_device
from helpers.orders import in_every_order, on_emulator
from helpers.tolerances import assert_close
from minifer.cuda import kernel
from minifer.cuda.norm import takes
from minifer.device.arrays import to_device, to_host
from minifer.ops.norm import (batch_norm_backward, batch_norm_fixed_backward,
                              batch_norm_fixed_forward, batch_norm_forward)

on_each_device = pytest.mark.parametrize("device", DEVICES)
EPSILON = 1e-4


def kept_shape(shape, axes):
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def forward(x, gamma, beta, axes, epsilon):
    """y and cache alone; mean and inv_std have a test of their own."""
    y, _, _, cache = batch_norm_forward(x, gamma, beta, axes, epsilon)
    return y, cache


def check_batch_norm(device, x, gamma, beta, axes):
    check_op(*on_device(forward, batch_norm_backward, device), [x, gamma, beta],
             lambda *args, **options: reference.batch_norm(*args, **options)[0],
             axes=axes, epsilon=EPSILON)


def check_fixed(device, x, gamma, beta, axes):
    kept = kept_shape(x.shape, axes)
    check_op(*on_device(batch_norm_fixed_forward, batch_norm_fixed_backward, device),
             [x, gamma, beta], reference.batch_norm_fixed, mean=normal(kept, 8),
             inv_std=np.exp(normal(kept, 9)), axes=axes)


KERNEL_CASES = [
    pytest.param((6, 3), (0,), id="dense"), pytest.param((33, 1), (0,), id="D=1"),
    pytest.param((1000, 2), (0,), id="N=1000"),
    pytest.param((3, 2, 4, 3), (0, 2, 3), id="convolution"),
    pytest.param((1, 2, 4, 3), (0, 2, 3), id="N=1"),
    pytest.param((3, 1, 4, 3), (0, 2, 3), id="C=1"),
    pytest.param((5, 2, 1, 1), (0, 2, 3), id="one pixel"),
    pytest.param((2, 3, 7), (0, 2), id="a signal"),
    pytest.param((3, 2, 11, 13), (0, 2, 3), id="many")]
SYNTAX_CASES = [
    pytest.param((4, 2, 3), (0,), id="each place by itself"),
    pytest.param((3, 5), (1,), id="within each example"),
    pytest.param((2, 4, 3), (1, 2), id="C and length")]
each_case = pytest.mark.parametrize("shape, axes", KERNEL_CASES + SYNTAX_CASES)


@on_each_device
@each_case
@pytest.mark.parametrize("check", [check_batch_norm, check_fixed])
def test_batch_norm(device, check, shape, axes):
    kept = kept_shape(shape, axes)
    check(device, 2 * normal(shape, 1) + 3, normal(kept, 2), normal(kept, 3), axes)


@on_each_device
@pytest.mark.parametrize("gamma, beta", [(None, None), (None, True), (True, None)])
@pytest.mark.parametrize("check", [check_batch_norm, check_fixed])
def test_without_scale_or_shift(device, check, gamma, beta):
    check(device, normal((4, 2, 3, 2), 1), gamma and normal((2,), 2),
          beta and normal((2,), 3), (0, 2, 3))


@on_each_device
@each_case
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_statistics_of_the_batch(device, shape, axes, dtype):
    x = (2 * normal(shape, 1) + 3).astype(dtype)
    _, mean, inv_std, _ = batch_norm_forward(to_device(x, device), None, None, axes,
                                             EPSILON)
    _, expected_mean, expected_inv_std = reference.batch_norm(
        x, None, None, axes, EPSILON)
    for actual, expected, what in [(mean, expected_mean, "mean"),
                                   (inv_std, expected_inv_std, "inv_std")]:
        assert actual.shape == kept_shape(shape, axes) and actual.dtype == dtype
        assert_close(to_host(actual), expected, "reference", dtype, what)


def test_kernels_take_channels():
    assert takes((0,), 2) and takes((0, 2, 3), 4) and takes([0, 2], 3)
    assert not any([takes((0,), 3), takes((1,), 2), takes((0, 1), 2), takes((0,), 1)])


@on_each_device
def test_a_large_mean_does_not_eat_the_variance(device):
    x = np.array([[4096.0], [4097.0]], "float32")  # mean of squares: 24 bits and more
    _, mean, inv_std, _ = batch_norm_forward(to_device(x, device), None, None, (0,),
                                             1e-12)
    assert to_host(mean) == 4096.5
    np.testing.assert_allclose(to_host(inv_std), [2], rtol=1e-6)


@on_each_device
def test_a_constant_channel_becomes_beta(device):
    x, gamma, beta, dy = moved(
        [np.full((4, 1, 3, 3), 7.0), np.array([5.0]), np.array([0.25]),
         normal((4, 1, 3, 3))], device)
    y, mean, inv_std, cache = batch_norm_forward(x, gamma, beta, (0, 2, 3), EPSILON)
    np.testing.assert_array_equal(to_host(y), np.full(x.shape, 0.25))
    np.testing.assert_allclose(to_host(inv_std), [100])
    dx, dgamma, _ = batch_norm_backward(dy, cache)
    assert np.isfinite(to_host(dx)).all() and to_host(dgamma) == 0


@on_each_device
def test_nan_stays_in_its_channel_and_is_all_of_it(device):
    x = normal((3, 4, 5), 1)
    x[1, 2, 3] = np.nan
    y, _, _, cache = batch_norm_forward(to_device(x, device), None, None, (0, 2),
                                        EPSILON)
    dx, _, _ = batch_norm_backward(to_device(normal(x.shape), device), cache)
    for array in (y, dx):
        np.testing.assert_array_equal(np.isnan(to_host(array)),
                                      np.broadcast_to([[[0], [0], [1], [0]]], x.shape))


@on_each_device
def test_views_and_parameters_of_another_type(device):
    x, dy = (normal((5, 4, 3, 6), seed).astype("float32") for seed in (1, 2))
    gamma, beta = normal((6,), 3), normal((6,), 4)

    def run(x, gamma, beta, dy):
        x, dy = (a.transpose(0, 3, 1, 2)[:, ::2] for a in (x, dy))
        y, mean, inv_std, cache = batch_norm_forward(
            x, gamma[::2], beta[::2], (0, 2, 3), np.float64(EPSILON))
        fixed, fixed_cache = batch_norm_fixed_forward(
            x, gamma[::2], beta[::2], mean, inv_std, (0, 2, 3))
        return [y, mean, inv_std, fixed, *batch_norm_backward(dy, cache),
                *batch_norm_fixed_backward(dy, fixed_cache)]
    found = run(*moved([x, gamma, beta, dy], device))
    for actual, expected in zip(found, run(x, gamma, beta, dy)):
        assert actual.dtype == "float32"
        assert_close(to_host(actual), expected, "reference", "float32", "as on the CPU")


@on_each_device
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("N, C, S", [(3, 2, 100), (300, 5, 1)])
def test_naive_and_better_agree(device, dtype, N, C, S):
    x = to_device((normal((N, C, S), 1) + 3).astype(dtype), device)
    mean, inv_std = (np.empty_like(x, shape=(C,)) for _ in range(2))
    kernel("norm.cu", "batch_statistics_naive", x)(
        x, mean, inv_std, EPSILON, N, C, S, threads=C)
    _, better_mean, better_inv_std, _ = batch_norm_forward(x, None, None, (0, 2),
                                                           EPSILON)
    for naive, better in [(mean, better_mean), (inv_std, better_inv_std)]:
        assert_close(to_host(naive), to_host(better), "reference", dtype, "naive")


@on_emulator
def test_the_order_of_threads_changes_no_bit(device):
    shape = (3, 2, 11, 13)
    x, gamma, beta, dy = moved([normal(s, i).astype("float32") for i, s in
                                enumerate([shape, (2,), (2,), shape])], device)

    def run():
        y, mean, inv_std, cache = batch_norm_forward(x, gamma, beta, (0, 2, 3), EPSILON)
        return [y, mean, inv_std, *batch_norm_backward(dy, cache)]
    in_every_order(run)
