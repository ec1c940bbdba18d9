"""Pooling on a device against loops and the CPU, ties, NaN, kernel against kernel."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, distinct, normal, scattered
from helpers.devices import DEVICES, on_device
from minifer.cuda import pool
from minifer.cuda.emulator import schedule
from minifer.cuda.loader import kernel
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, ShapeError
from minifer.ops.pool import (global_pool_backward, global_pool_forward,
                              pool2d_backward, pool2d_forward)

pytestmark = pytest.mark.parametrize("device", DEVICES)

MODES = ["max", "average_inc_pad", "average_exc_pad"]
GLOBAL_MODES = ["mean", "max", "sum"]

#: x (N, C, H, W), window, stride, pad, ignore_border.
GEOMETRIES = [
    pytest.param((1, 1, 1, 1), (1, 1), None, (0, 0), True, id="one pixel"),
    pytest.param((2, 3, 4, 6), (2, 2), None, (0, 0), True, id="dividing"),
    pytest.param((2, 2, 5, 7), (2, 3), None, (0, 0), True, id="not dividing"),
    pytest.param((2, 1, 5, 7), (2, 3), None, (0, 0), False, id="borders"),
    pytest.param((1, 2, 3, 4), (3, 4), None, (0, 0), True, id="window = image"),
    pytest.param((1, 1, 2, 2), (3, 4), (1, 2), (0, 0), False, id="window > image"),
    pytest.param((1, 2, 7, 6), (3, 3), (2, 2), (0, 0), False, id="overlapping"),
    pytest.param((1, 1, 5, 5), (3, 3), (1, 1), (1, 1), True, id="stride 1, padding"),
    pytest.param((2, 1, 6, 5), (3, 2), (2, 1), (2, 1), True, id="all padding it can"),
    pytest.param((1, 1, 2, 2), (4, 3), (1, 1), (3, 2), True, id="mostly padding"),
    pytest.param((1, 2, 8, 9), (2, 2), (3, 4), (0, 0), False, id="stride > window"),
    pytest.param((3, 3, 13, 11), (3, 2), (2, 1), (1, 1), True, id="several blocks")]


def pair(device):
    return on_device(pool2d_forward, pool2d_backward, device)


def global_pair(device):
    return on_device(global_pool_forward, global_pool_backward, device)


# --- windows ----------------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, pool_size, stride, pad, ignore_border", GEOMETRIES)
def test_pool2d(shape, pool_size, stride, pad, ignore_border, mode, device):
    check_op(*pair(device), [distinct(shape)], reference.pool2d, pool_size=pool_size,
             stride=stride, pad=pad, ignore_border=ignore_border, mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, pool_size, stride, pad, ignore_border", GEOMETRIES)
def test_ties_and_all_else_are_the_cpus(shape, pool_size, stride, pad, ignore_border,
                                        mode, device):
    x = np.random.default_rng(0).integers(-1, 1, shape).astype(np.float32)
    forward, backward = pair(device)
    options = (pool_size, stride, pad, ignore_border, mode)
    y, cache = forward(x, *options)
    cpu_y, cpu_cache = pool2d_forward(x, *options)
    dy = normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(y, cpu_y)
    np.testing.assert_array_equal(backward(dy, cache), pool2d_backward(dy, cpu_cache))


def test_padding_never_wins_against_negative_pixels(device):
    x = distinct((2, 1, 4, 5)) - 100
    assert x.max() < 0
    check_op(*pair(device), [x], reference.pool2d, pool_size=(3, 3), stride=(2, 2),
             pad=(1, 1))


def test_the_winner_is_the_first_in_reading_order(device):
    x = np.array([[1., 1., 7., 0.],
                  [1., 1., 0., 7.],
                  [-2, -3, -5, -4],
                  [-2, -2, -5, -5]])[None, None]
    y, winner = pool.pool(to_device(x, device), (2, 2), (2, 2), (0, 0), (2, 2), "max")
    np.testing.assert_array_equal(to_host(y)[0, 0], [[1, 7], [-2, -4]])
    np.testing.assert_array_equal(to_host(winner)[0, 0], [[0, 0], [0, 1]])
    assert winner.dtype == np.int32


def test_the_gradient_is_neither_lost_nor_doubled_at_ties(device):
    x = np.random.default_rng(0).integers(0, 2, (3, 2, 6, 7)).astype(float)
    forward, backward = pair(device)
    y, cache = forward(x, (3, 3), (2, 2), (1, 1))
    dy = distinct(y.shape)
    assert backward(dy, cache).sum() == dy.sum()


@pytest.mark.parametrize("mode", MODES)
def test_nan_stays_visible_wherever_it_stands(mode, device):
    for place in np.ndindex(2, 2):
        x = np.full((1, 1, 4, 4), np.inf)
        x[(0, 0) + place] = np.nan
        y, _ = pair(device)[0](x, (2, 2), mode=mode)
        np.testing.assert_array_equal(np.isnan(y[0, 0]), [[1, 0], [0, 0]])


def test_the_first_nan_of_a_window_gets_its_gradient(device):
    x = np.array([[5., np.nan, np.nan], [9., np.nan, 1.]])[None, None]
    forward, backward = pair(device)
    _, cache = forward(x, (2, 3))
    dx = backward(np.full((1, 1, 1, 1), 3.0), cache)
    np.testing.assert_array_equal(dx[0, 0], [[0, 3, 0], [0, 0, 0]])


@pytest.mark.parametrize("shape, pool_size, stride, pad, ignore_border", GEOMETRIES)
def test_the_naive_gradient_is_the_better_one(shape, pool_size, stride, pad,
                                              ignore_border, device):
    x = to_device(np.random.default_rng(0).integers(-1, 1, shape).astype(float), device)
    y, cache = pool2d_forward(x, pool_size, stride, pad, ignore_border)
    winner, _, (size, stride, pad, out_size), _ = cache
    dy = to_device(normal(y.shape), device)
    dx, naive = pool2d_backward(dy, cache), np.full_like(x, np.nan)
    kernel("pool.cu", "max_pool_backward_naive", x)(
        dy, winner, naive, shape[0] * shape[1], *shape[2:], *size, *stride, *pad,
        *out_size, threads=naive.size)
    assert to_host(naive).tobytes() == to_host(dx).tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_views_of_device_arrays(mode, device):
    x = to_device(distinct((2, 3, 5, 7)), device).transpose(1, 0, 3, 2)
    y, cache = pool2d_forward(x, (3, 2), mode=mode)
    cpu_y, cpu_cache = pool2d_forward(to_host(x), (3, 2), mode=mode)
    np.testing.assert_array_equal(to_host(y), cpu_y)
    dy = to_device(normal(y.shape[::-1]), device).transpose()
    np.testing.assert_array_equal(to_host(pool2d_backward(dy, cache)),
                                  pool2d_backward(to_host(dy), cpu_cache))


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_batch_has_empty_outputs(mode, device):
    forward, backward = pair(device)
    y, cache = forward(np.zeros((0, 2, 5, 4)), (2, 2), mode=mode)
    assert y.shape == (0, 2, 2, 2)
    assert backward(y, cache).shape == (0, 2, 5, 4)


@pytest.mark.parametrize("mode", MODES)
def test_runs_repeat_bit_for_bit(mode, device):
    forward, backward = pair(device)
    x = normal((2, 3, 13, 11)).astype(np.float32)

    def run():
        y, cache = forward(x, (3, 3), (1, 2), (1, 1), mode=mode)
        dy = normal(y.shape).astype(np.float32)
        return y.tobytes(), backward(dy, cache).tobytes()

    expected = run()
    for order in ("forward", "reverse", "fair", 1):  # on a GPU: four times the same
        with schedule(order, races=True):
            assert run() == expected


# --- whole planes -----------------------------------------------------------

@pytest.mark.parametrize("mode", GLOBAL_MODES)
@pytest.mark.parametrize("shape", [
    (1, 1, 1, 1), (2, 3, 4, 5), (1, 3, 2, 2), (2, 3), (2, 1, 37), (1, 2, 2, 3, 11),
    (3, 7, 31), (1, 1, 4, 8), (1, 2, 3, 11), (3, 1, 13, 17)])
def test_global_pool(shape, mode, device):
    check_op(*global_pair(device), [distinct(shape)], reference.global_pool, mode=mode)


@pytest.mark.parametrize("pixels", [1, 5, 31, 32, 33, 64, 100, 257])
def test_the_naive_winner_is_the_better_one(pixels, device):
    host = np.random.default_rng(pixels).integers(-3, 0, (11, 1, pixels)).astype(float)
    host[9, 0, pixels // 2:] = np.nan
    host[10] = np.nan
    x = to_device(host, device)
    y, winner = pool.global_pool(x, "max")
    naive_y, naive = np.zeros_like(y), np.zeros_like(winner)
    kernel("pool.cu", "global_max_naive", x)(x, naive_y, naive, 11, pixels, threads=11)
    np.testing.assert_array_equal(to_host(winner), host.argmax(axis=2))
    np.testing.assert_array_equal(to_host(naive), host.argmax(axis=2))
    np.testing.assert_array_equal(to_host(y), host.max(axis=2))
    np.testing.assert_array_equal(to_host(naive_y), host.max(axis=2))


def test_global_max_gives_the_gradient_of_a_tie_to_the_first(device):
    forward, backward = global_pair(device)
    for x in (np.zeros((2, 1, 2, 3)), scattered(np.zeros((2, 1, 2, 3)))):
        _, cache = forward(x, "max")
        dx = backward(np.array([[2.0], [3.0]]), cache)
        np.testing.assert_array_equal(dx[:, 0, 0, 0], [2, 3])
        assert dx.sum() == 5


@pytest.mark.parametrize("mode", GLOBAL_MODES)
def test_nan_stays_visible_in_a_plane(mode, device):
    x = distinct((1, 3, 5, 7))
    x[0, 1, 4, 6] = np.nan
    y, _ = global_pair(device)[0](x, mode)
    np.testing.assert_array_equal(np.isnan(y), [[False, True, False]])


@pytest.mark.parametrize("mode", GLOBAL_MODES)
def test_views_of_planes(mode, device):
    x = to_device(distinct((2, 3, 5, 7)), device).transpose(1, 0, 3, 2)
    y, cache = global_pool_forward(x, mode)
    cpu_y, cpu_cache = global_pool_forward(to_host(x), mode)
    np.testing.assert_allclose(to_host(y), cpu_y, rtol=1e-12)
    dy = to_device(normal((2, 3)), device).transpose()
    np.testing.assert_array_equal(to_host(global_pool_backward(dy, cache)),
                                  global_pool_backward(to_host(dy), cpu_cache))


@pytest.mark.parametrize("mode", GLOBAL_MODES)
def test_global_runs_repeat_bit_for_bit(mode, device):
    forward, backward = global_pair(device)
    x = normal((2, 3, 23, 19)).astype(np.float32)

    def run():
        y, cache = forward(x, mode)
        return y.tobytes(), backward(y, cache).tobytes()

    expected = run()
    for order in ("forward", "reverse", "fair", 1):  # on a GPU: four times the same
        with schedule(order, races=True):
            assert run() == expected


@pytest.mark.parametrize("mode", GLOBAL_MODES)
def test_an_empty_batch_of_planes_has_empty_outputs(mode, device):
    forward, backward = global_pair(device)
    y, cache = forward(np.zeros((0, 2, 3, 3)), mode)
    assert y.shape == (0, 2) and backward(y, cache).shape == (0, 2, 3, 3)


# --- refusals ---------------------------------------------------------------

@pytest.mark.parametrize("shape, options, said", [
    ((1, 1, 3, 5), {"pool_size": (4, 4)}, r"at least \(4, 4\) pixels"),
    ((1, 1, 0, 5), {"pool_size": (2, 2), "pad": (1, 1)}, "at least"),
    ((1, 3, 5), {"pool_size": (2, 2)}, r"x \(N, C, H, W\)"),
    ((1, 1, 4, 4), {"pool_size": (2, 2), "pad": (0, 2)}, "padding smaller than"),
    ((1, 1, 4, 4), {"pool_size": (2, 2), "stride": (1, 0)}, "a stride of at least 1"),
    ((1, 1, 4, 4), {"pool_size": (2, 2), "pad": (-1, 0)}, "padding of at least 0"),
    ((1, 1, 4, 4), {"pool_size": (2, 2), "mode": "average"}, "average_exc_pad")])
def test_what_makes_no_sense_is_refused(shape, options, said, device):
    with pytest.raises(ShapeError, match=said):
        pair(device)[0](np.zeros(shape), **options)


@pytest.mark.parametrize("shape, mode, said", [
    ((1, 2, 3, 3), "prod", "mean or max or sum"), ((3,), "mean", r"x \(N, C, ...\)"),
    ((1, 2, 0, 3), "max", "at least one pixel")])
def test_global_pooling_of_what_makes_no_sense_is_refused(shape, mode, said, device):
    with pytest.raises(ShapeError, match=said):
        global_pair(device)[0](np.zeros(shape), mode)


@pytest.mark.parametrize("mode", MODES)
def test_arrays_that_no_kernel_takes_are_refused(mode, device):
    forward, backward = pair(device)
    with pytest.raises(KernelError, match="expected x of float32, got int64"):
        forward(np.ones((1, 1, 4, 4), np.int64), (2, 2), mode=mode)
    y, cache = forward(np.ones((1, 1, 4, 4)), (2, 2), mode=mode)
    with pytest.raises(KernelError, match=r"dy of planes\*Ho\*Wo = 4 elements, got 2"):
        backward(y[:, :, :1], cache)
    with pytest.raises(KernelError, match="expected arrays on 'cuda' or 'emu'"):
        pool.pool(np.ones((1, 1, 4, 4)), (2, 2), (2, 2), (0, 0), (2, 2), mode)
