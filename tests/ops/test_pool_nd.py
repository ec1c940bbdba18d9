"""Pooling of other axes, across channels, of a pyramid; upscaling: against loops."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference_windows as reference
from helpers.checking import RANDOM_SHAPES, check_op, distinct, normal
from helpers.devices import DEVICES, on_device
from minifer.errors import ShapeError
from minifer.ops.feature_pool import (feature_pool_backward, feature_pool_forward,
                                      winner_backward, winner_forward)
from minifer.ops.pool import POOL_MODES
from minifer.ops.pool_nd import pool_backward, pool_forward
from minifer.ops.pyramid import pyramid_backward, pyramid_bins, pyramid_forward
from minifer.ops.upscale import upscale_backward, upscale_forward

#: Both here and on a device.
EVERYWHERE = pytest.mark.parametrize("device", ["cpu", *DEVICES])


def check(forward, backward, x, expected, device="cpu", **options):
    if device != "cpu":
        forward, backward = on_device(forward, backward, device)
    check_op(forward, backward, [x], expected, **options)


@pytest.mark.parametrize("mode", POOL_MODES)
@pytest.mark.parametrize("shape, options", [
    ((2, 3, 7), dict(pool_size=(3,))),
    ((2, 3, 7), dict(pool_size=(3,), stride=(2,), pad=(1,))),
    ((2, 3, 8), dict(pool_size=(3,), stride=(2,), ignore_border=False)),
    ((2, 2, 5, 4), dict(pool_size=(3, 2), stride=(1, 2), pad=(1, 1))),
    ((1, 2, 4, 5, 3), dict(pool_size=(2, 3, 2), stride=(1, 1, 1), pad=(1, 2, 0))),
    ((2, 1, 5, 3, 4), dict(pool_size=(2, 3, 2), ignore_border=False)),
    ((1, 2, 3, 4, 4), dict(pool_size=(3, 1, 2)))])
@EVERYWHERE
def test_pool(shape, options, mode, device):
    check(pool_forward, pool_backward, distinct(shape), reference.pool_nd, device,
          mode=mode, **options)


@RANDOM_SHAPES
@given(data=st.data())
def test_pool_of_random_shapes(data):
    n, mode = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(POOL_MODES))
    border = data.draw(st.booleans())
    size, stride, more = (data.draw(st.tuples(*[st.integers(least, 3)] * n))
                          for least in (1, 1, 0))
    pad = tuple(k - 1 if border else 0 for k in size)
    lengths = [k + m for k, m in zip(size, more)]
    check(pool_forward, pool_backward, distinct((2, 2, *lengths)), reference.pool_nd,
          pool_size=size, stride=stride, pad=pad, ignore_border=border, mode=mode)


def test_of_equals_the_first_in_reading_order_gets_the_gradient():
    y, cache = pool_forward(np.ones((1, 1, 3, 2, 2)), (3, 2, 2))
    dx = pool_backward(np.full(y.shape, 5.0), cache)
    assert dx[0, 0, 0, 0, 0] == 5 == dx.sum()


@pytest.mark.parametrize("shape, factor", [
    ((2, 3, 4), (3,)), ((2, 2, 3, 2), (2, 3)), ((1, 1, 1, 1), (2, 2)),
    ((1, 2, 2, 3, 1), (2, 1, 3)), ((2, 2, 3), (1,))])
@pytest.mark.parametrize("mode", ["repeat", "dilate"])
@EVERYWHERE
def test_upscale(shape, factor, mode, device):
    check(upscale_forward, upscale_backward, normal(shape), reference.upscale, device,
          factor=factor, mode=mode)


@pytest.mark.parametrize("shape, pool_size, axis", [
    ((3, 6), 3, 1), ((2, 4, 3), 2, 1), ((2, 3, 4), 2, 2), ((2, 4, 3, 2), 4, 1),
    ((2, 3), 1, 1), ((4, 3), 2, 0)])
@EVERYWHERE
def test_across_channels(shape, pool_size, axis, device):
    for mode in ("max", "mean", "sum"):
        check(feature_pool_forward, feature_pool_backward, distinct(shape),
              reference.feature_pool, device, pool_size=pool_size, axis=axis, mode=mode)
    check(winner_forward, winner_backward, distinct(shape), reference.winner, device,
          pool_size=pool_size, axis=axis)


def test_the_first_of_equals_wins_and_nan_stays_visible():
    x = np.array([[1.0, 1.0, 0.0, np.nan]])
    y, cache = winner_forward(x, 2)
    np.testing.assert_array_equal(y, [[1, 0, 0, np.nan]])
    np.testing.assert_array_equal(winner_backward(np.full_like(x, 7), cache),
                                  [[7, 0, 0, 7]])
    y, cache = feature_pool_forward(x, 2)
    np.testing.assert_array_equal(y, [[1, np.nan]])
    np.testing.assert_array_equal(feature_pool_backward(np.array([[5., 6.]]), cache),
                                  [[5, 0, 0, 6]])


@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("shape, pool_dims, implementation", [
    ((2, 2, 5, 4), [4, 2, 1], "fast"), ((1, 2, 8, 6), [2], "fast"),
    ((1, 2, 7, 3), [4, 2, 1], "kaiming"), ((2, 1, 2, 5), [3], "kaiming")])
@EVERYWHERE
def test_pyramid(shape, pool_dims, implementation, mode, device):
    check(pyramid_forward, pyramid_backward, distinct(shape), reference.pyramid, device,
          pool_dims=pool_dims, implementation=implementation, mode=mode)


def test_bins_cover_the_image_and_fast_ones_may_be_too_many():
    for length in range(1, 20):
        for n in range(1, 6):
            bins = pyramid_bins(length, n, "kaiming")
            assert len(bins) == n and bins[0].start == 0 and bins[-1].stop == length
            assert all(a.stop >= b.start > a.start - 1 for a, b in zip(bins, bins[1:]))
    assert len(pyramid_bins(7, 4)) == 6 and not pyramid_bins(3, 4)


@pytest.mark.parametrize("call, said", [
    (lambda x: pool_forward(x, (2,)), "pool: expected .* one to three axes"),
    (lambda x: pool_forward(x[0], (2, 2)), "pool: expected .* one to three axes"),
    (lambda x: pool_forward(x, (2, 2), mode="min"), "expected mode max or"),
    (lambda x: upscale_forward(x, (2,)), "upscale: expected a factor >= 1 for each"),
    (lambda x: upscale_forward(x, (2, 0)), r"got \(2, 0\)"),
    (lambda x: upscale_forward(x, (2, 2), "zoom"), "expected mode repeat or dilate"),
    (lambda x: feature_pool_forward(x, 2), r"whose length 2 divides, got 1"),
    (lambda x: feature_pool_forward(x, 3, 1, "min"), "expected mode mean or max"),
    (lambda x: winner_forward(x, 3, 4), "winner: expected an axis"),
    (lambda x: pyramid_forward(x[0], [1]), r"expected x \(N, C, H, W\)"),
    (lambda x: pyramid_forward(x, [4]), "4 by 4 windows .* Use implementation")])
def test_refused(call, said):
    with pytest.raises(ShapeError, match=said):
        call(np.ones((2, 3, 7, 6)))
