"""Images whose channels are last stay so, with the numbers of those that lie first."""

import numpy as np
import pytest

from helpers.checking import normal
from helpers.devices import DEVICES
from minifer.cuda.order import channels_last
from minifer.device.arrays import contiguous, to_device, to_host
from minifer.ops import activation, conv, gated, pool
from minifer.ops.outer_product import add_gradients

on_each_device = pytest.mark.parametrize("device", DEVICES)


def last(images):
    """The same images with channels last in memory."""
    return contiguous(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def run(forward, backward, x, dy, order):
    """y, and all gradients, of x and dy in an order; dy as drawn for y's shape."""
    y, cache = forward(order(x))
    dy = to_device(normal(y.shape, 5), dy)
    found = backward(order(dy) if y.ndim == 4 else dy, cache)
    return [y, *(found if isinstance(found, tuple) else (found,))]


POOLS = [((3, 2), (2, 1), (1, 0), True, mode)
         for mode in ("max", "average_inc_pad", "average_exc_pad")]
W, B = normal((4, 3, 3, 2), 7), normal((4,), 8)

PAIRS = {
    **{name: (getattr(activation, f"{name}_forward"),
              getattr(activation, f"{name}_backward"))
       for name in ("rectify", "tanh", "leaky_rectify", "clipped_rectify")},
    "swish": (gated.swish_forward, gated.swish_backward),
    **{how[-1]: (lambda x, how=how: pool.pool2d_forward(x, *how), pool.pool2d_backward)
       for how in POOLS},
    "mean": (pool.global_pool_forward, pool.global_pool_backward),
    "sum": (lambda x: pool.global_pool_forward(x, "sum"), pool.global_pool_backward)}


@on_each_device
@pytest.mark.parametrize("name", PAIRS)
def test_the_order_stays(name, device):
    x = to_device(normal((2, 3, 7, 6), 1), device)
    first = run(*PAIRS[name], x, device, lambda images: images)
    found = run(*PAIRS[name], x, device, last)
    for one, other in zip(found, first):
        np.testing.assert_allclose(to_host(one), to_host(other), rtol=1e-12, atol=1e-14)
        assert one.ndim < 4 or channels_last(one) is not None
        assert other.flags.c_contiguous


@on_each_device
@pytest.mark.parametrize("stride, pad, flip, bias", [
    ((1, 1), (0, 0), True, None), ((2, 1), (1, 2), False, B),
    ((2, 3), (0, 1), True, normal((4, 3, 3), 9))], ids=["plain", "bias", "biases"])
def test_a_convolution_leaves_channels_last(device, stride, pad, flip, bias):
    x = to_device(normal((5, 3, 7, 6), 1), device)
    filters, bias = (None if one is None else to_device(one, device)
                     for one in (W, bias))

    def forward(x):
        return conv.conv2d_forward(x, filters, bias, stride, pad, flip)

    def gradients(dy, cache):
        return tuple(g for g in conv.conv2d_backward(dy, cache) if g is not None)

    first = run(forward, gradients, x, device, lambda images: images)
    found = run(forward, gradients, x, device, last)
    for one, other in zip(found, first):
        np.testing.assert_allclose(to_host(one), to_host(other), rtol=1e-11, atol=1e-12)
    assert all(channels_last(one) is not None for one in found[:2])  # y, dx


@on_each_device
def test_a_convolution_of_a_part_of_the_batch_at_a_time(device, monkeypatch):
    from minifer.cuda import conv as kernels

    monkeypatch.setattr(kernels, "COLUMN_BYTES", 2000)
    test_a_convolution_leaves_channels_last(device, (2, 1), (1, 2), False, B)


@on_each_device
def test_gradients_that_come_in_another_order_are_turned(device):
    x = to_device(normal((2, 3, 4, 5), 1), device)
    y, cache = activation.rectify_forward(last(x))
    dy = to_device(normal(y.shape, 2), device)
    dx = activation.rectify_backward(dy, cache)
    np.testing.assert_array_equal(to_host(dx), to_host(dy) * (to_host(x) > 0))
    assert channels_last(dx) is not None


@on_each_device
def test_arithmetic_puts_channels_first_and_sums_of_gradients_do_not(device):
    """CuPy does so, and the emulator, whose NumPy would not."""
    x = last(to_device(normal((2, 3, 4, 5), 1), device))
    for y in (x + x, x * 2, -x, np.maximum(x, 0)):
        assert y.flags.c_contiguous
    both = add_gradients(x, x)
    assert channels_last(both) is not None
    np.testing.assert_array_equal(to_host(both), 2 * to_host(x))
