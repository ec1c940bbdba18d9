"""Sums on a device: exact, in an order of their own, and the same in every run."""

import numpy as np
import pytest

from helpers.checking import distinct, normal
from helpers.devices import DEVICES
from helpers.orders import in_every_order, on_emulator
from helpers.tolerances import assert_close
from minifer.cuda import kernel
from minifer.cuda.reduce import column_sums, pieces, sum_over
from minifer.device.arrays import device_of, to_device, to_host

on_each_device = pytest.mark.parametrize("device", DEVICES)


both_types = pytest.mark.parametrize("dtype", ["float32", "float64"])

CASES = [
    ((1,), (0,)), ((7,), (0,)), ((5000,), (0,)),
    ((1, 1), (0,)), ((33, 7), (0,)), ((1000, 3), (0,)), ((7, 1000), (0,)),
    ((4100, 33), (0,)),
    ((1, 1), (1,)), ((33, 7), (1,)), ((3, 1000), (1,)), ((1000, 1), (1,)),
    ((2, 3, 5, 7), (0, 2, 3)), ((3, 2, 33, 37), (0, 2, 3)), ((5, 3, 1, 1), (0, 2, 3)),
    ((4, 5, 6), (0,)), ((4, 5, 6), (2,)), ((4, 5, 6), (1, 2)), ((4, 5, 6), (0, 1, 2)),
    ((4, 5, 6), (1,)), ((3, 4, 5, 2), (1, 3)),        # what is kept lies apart
    ((0, 3), (0,)), ((3, 0), (1,)), ((3, 0), (0,))]   # nothing to sum, or to keep


@on_each_device
@both_types
@pytest.mark.parametrize("shape, axes", CASES)
def test_whole_numbers_are_summed_exactly(device, dtype, shape, axes):
    x = distinct(shape).astype(dtype) * 8 % 101  # every float sum of them is exact
    sums = sum_over(to_device(x, device), axes)
    assert device_of(sums) == device and sums.dtype == dtype
    assert sums.shape == x.sum(axis=axes).shape
    np.testing.assert_array_equal(to_host(sums), x.sum(axis=axes))


@on_each_device
@both_types
@pytest.mark.parametrize("shape, axes", [
    ((4100, 33), (0,)), ((3, 2, 33, 37), (0, 2, 3)), ((5000,), (0,))])
def test_sums_of_any_numbers(device, dtype, shape, axes):
    x = normal(shape, 1).astype(dtype)
    expected = x.astype("float64").sum(axis=axes)
    assert_close(to_host(sum_over(to_device(x, device), axes)), expected, "reference",
                 dtype, "sums")


@on_each_device
def test_rows_and_columns(device):
    x = distinct((6, 9))
    there = to_device(x, device)
    np.testing.assert_array_equal(to_host(column_sums(there)), x.sum(axis=0))
    np.testing.assert_array_equal(to_host(sum_over(there, (1,))), x.sum(axis=1))


@on_each_device
def test_views(device):
    x = distinct((6, 4, 10))
    there = to_device(x, device).transpose(2, 0, 1)[::2]
    np.testing.assert_array_equal(to_host(sum_over(there, (0, 2))),
                                  x.transpose(2, 0, 1)[::2].sum(axis=(0, 2)))


@on_each_device
@both_types
def test_naive_and_better_agree(device, dtype):
    N, C, S = 9, 5, 301
    x = to_device(distinct((N, C, S)).astype(dtype) * 8 % 101, device)
    naive = np.empty_like(x, shape=(C,))
    kernel("reduce.cu", "sum_naive", x)(x, naive, N, C, S, threads=C)
    np.testing.assert_array_equal(to_host(naive), to_host(sum_over(x, (0, 2))))
    columns = x.reshape(N * C, S)
    naive = np.empty_like(x, shape=(S,))
    kernel("reduce.cu", "sum_naive", x)(columns, naive, N * C, S, 1, threads=S)
    np.testing.assert_array_equal(to_host(naive), to_host(column_sums(columns)))


@on_each_device
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape, axes", [((40, 35), (0,)), ((40, 35), (1,))])
def test_what_is_not_finite_stays_visible(device, bad, shape, axes):
    x = np.ones(shape)
    x[17, 33] = bad
    np.testing.assert_array_equal(to_host(sum_over(to_device(x, device), axes)),
                                  x.sum(axis=axes))


@on_emulator
@pytest.mark.parametrize("shape, axes", [((4100, 33), (0,)), ((33, 70), (1,)),
                                         ((3, 2, 33, 37), (0, 2, 3))])
def test_the_order_of_threads_changes_no_bit(device, shape, axes):
    x = to_device(normal(shape, 1).astype("float32"), device)
    in_every_order(lambda: [sum_over(x, axes)])


def test_two_stages_suffice():
    assert [pieces(n) for n in (0, 1, 2048, 2049, 10**9)] == [1, 1, 1, 2, 64]
    assert pieces(pieces(10**12)) == 1
