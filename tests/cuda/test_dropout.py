"""Dropout on a device: the CPU's masks bit for bit, and the same numbers."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, on_device
from minifer.cuda import dropout as kernels
from minifer.cuda.emulator import schedule
from minifer.device import arrays
from minifer.errors import KernelError
from minifer.layers import DropoutLayer
from minifer.ops.dropout import dropout_backward, dropout_forward, keep_mask
from minifer.random import Stream

on_devices = pytest.mark.parametrize("device", DEVICES)


def stream_at(step, seed=5):
    stream = Stream(seed, "dropout", "layer 3")
    stream.step = step
    return stream


def on(device, dtype="float32", shape=(1,)):
    return arrays.to_device(np.zeros(shape, dtype), device)


# --- masks ------------------------------------------------------------------

@on_devices
@pytest.mark.parametrize("name", ["keep_mask", "keep_mask_naive"])
@pytest.mark.parametrize("step", [0, 7, 2 ** 40 + 1])
@pytest.mark.parametrize("start, stop", [
    pytest.param(0, 0, id="nothing"), pytest.param(0, 1, id="one"),
    pytest.param(0, 16, id="a draw"), pytest.param(5, 6, id="inside a draw"),
    pytest.param(3, 18, id="across two"), pytest.param(32, 47, id="most of a draw"),
    pytest.param(4095, 8193, id="across blocks"),
    pytest.param(15, 4111, id="one draw more than a block's"),
    pytest.param(2 ** 40 + 9, 2 ** 40 + 101, id="far away")])
def test_masks_are_the_cpus(device, name, step, start, stop):
    stream = stream_at(step)
    for p in (0.0, 0.1, 0.5, 2 / 3, 0.999999):
        found = kernels.keep_mask(on(device), start, stop, stream.threshold(p),
                                  stream.key, step, name)
        expected = stream.keep_part(start, stop, p)
        assert found.dtype == bool and found.shape == expected.shape
        np.testing.assert_array_equal(arrays.to_host(found), expected)


@on_devices
@pytest.mark.parametrize("name", ["keep_mask", "keep_mask_naive"])
def test_an_element_at_the_threshold_is_kept(device, name):
    stream = stream_at(0)
    first = stream.generator().integers(2 ** 64 - 1, dtype=np.uint64, endpoint=True)
    word = int(first) >> 48  # that of element 3
    for threshold, kept in [(word, True), (word + 1, False)]:
        mask = kernels.keep_mask(on(device), 3, 4, threshold, stream.key, 0, name)
        assert bool(arrays.to_host(mask)[0]) is kept


@on_devices
@pytest.mark.parametrize("seed", [0, 1, 2 ** 63])
def test_masks_of_every_seed(device, seed):
    np.testing.assert_array_equal(
        arrays.to_host(keep_mask(stream_at(2, seed), (199,), 0.5, on(device))),
        stream_at(2, seed).keep_mask((199,), 0.5))


@on_devices
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_keep_mask_draws_where_the_array_is_and_goes_on(device, dtype):
    here, there = stream_at(0), stream_at(0)
    like = on(device, dtype, (4, 3)).T  # whose memory is in another order
    for step in range(1, 3):
        mask = keep_mask(there, (3, 7), 0.4, like)
        assert arrays.device_of(mask) == device and mask.shape == (3, 7)
        np.testing.assert_array_equal(arrays.to_host(mask),
                                      keep_mask(here, (3, 7), 0.4, np.zeros(2)))
        assert there.step == here.step == step


@on_devices
@pytest.mark.parametrize("dtype", [bool, np.uint8])
@pytest.mark.parametrize("shape", [(0,), (1,), (5, 3), (4096,), (3, 7, 13, 17)])
@pytest.mark.parametrize("step", [0, 7, 2 ** 40 + 1])
def test_a_mask_is_drawn_at_the_step_in_memory(device, dtype, shape, step):
    stream = stream_at(step)
    numbers = arrays.to_device(np.array([-1.0, step, 5.0]), device)
    for p in (0.0, 0.3, 0.999999):
        mask = arrays.to_device(np.full(shape, 1, dtype), device)
        with schedule(3, races=True):
            kernels.draw_mask(mask, stream.threshold(p), stream.key, numbers, 1)
        stream.step = step
        np.testing.assert_array_equal(arrays.to_host(mask),
                                      stream.keep_mask(shape, p))


@on_devices
@pytest.mark.parametrize("start, size", [(0, 5), (3, 5), (16, 40), (4093, 4100),
                                         (5000, 1)])
def test_a_part_of_a_mask_is_drawn(device, start, size):
    stream = stream_at(7)
    numbers = arrays.to_device(np.array([7.0]), device)
    mask = arrays.to_device(np.full(size, 1, bool), device)
    with schedule(3, races=True):
        kernels.draw_mask(mask, stream.threshold(0.3), stream.key, numbers, 0, start)
    np.testing.assert_array_equal(arrays.to_host(mask),
                                  stream.keep_part(start, start + size, 0.3))


@on_devices
def test_a_mask_needs_a_number_that_is_there(device):
    numbers = arrays.to_device(np.zeros(3), device)
    for index in (-1, 3):
        with pytest.raises(KernelError, match=f"index into 3 numbers, got {index}"):
            kernels.draw_mask(on(device, bool), 5, stream_at(0).key, numbers, index)


# --- the op -----------------------------------------------------------------

@on_devices
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("shape, mask_shape", [
    pytest.param((1, 1), (1, 1), id="one number"),
    pytest.param((7, 53), (7, 53), id="dense"),
    pytest.param((2, 3, 5, 5), (2, 3, 1, 1), id="whole channels"),
    pytest.param((2, 3, 4, 5), (4, 5), id="one mask for all")])
def test_dropout(device, shape, mask_shape, rescale):
    mask = stream_at(1).keep_mask(mask_shape, 0.3)
    check_op(*on_device(dropout_forward, dropout_backward, device), [normal(shape, 1)],
             reference.dropout, mask=mask, p=0.3, rescale=rescale)


def wild(dtype):
    """Numbers, with those among them that are none."""
    x = normal((37, 150), 1).astype(dtype)
    x[::3, ::5], x[1::3, ::7], x[2::3, ::4] = np.nan, np.inf, -0.0
    return x


def assert_same(found, expected):
    """The same numbers; every place that is not a number shows in both."""
    found = arrays.to_host(found)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[numbers],
                                  np.signbit(expected)[numbers])


@on_devices
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_the_cpus_bit_for_bit(device, dtype):
    x, dy = wild(dtype), wild(dtype)[::-1].copy()
    mask = stream_at(4).keep_mask(x.shape, 0.3)
    y, cache = dropout_forward(x, mask, 0.3)
    there, cache_there = dropout_forward(
        *(arrays.to_device(a, device) for a in (x, mask)), 0.3)
    assert_same(there, y)
    assert_same(dropout_backward(arrays.to_device(dy, device), cache_there),
                dropout_backward(dy, cache))


@pytest.mark.parametrize("device", DEVICES[:1])
@pytest.mark.parametrize("order", ["forward", "reverse", "fair", 1])
def test_any_order_of_threads_gives_the_same_bits(device, order):
    x, mask = normal((9, 500), 1), stream_at(4).keep_mask((9, 500), 0.3)
    y, _ = dropout_forward(x, mask, 0.3)
    there = arrays.to_device(x, device)
    with schedule(order, races=True):
        drawn = keep_mask(stream_at(4), x.shape, 0.3, there)
        for found, _ in (kernels.dropout_drawn_forward(there, stream_at(4), 0.3),
                         dropout_forward(there, drawn, 0.3)):
            assert_same(found, y)


@on_devices
def test_dropout_of_arrays_with_gaps(device):
    x, mask = normal((6, 10), 1), stream_at(4).keep_mask((10, 6), 0.3)
    there = arrays.to_device(x, device)
    y, cache = dropout_forward(there.T, arrays.to_device(mask, device), 0.3)
    assert_same(y, dropout_forward(x.T, mask, 0.3)[0])
    assert_same(dropout_backward(there.T, cache), arrays.to_host(y))


@on_devices
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rescale", [True, False])
def test_drawing_and_multiplying_in_one(device, dtype, rescale):
    x, dy = wild(dtype), wild(dtype)[::-1].copy()
    here, there = stream_at(4), stream_at(4)
    for _ in range(2):
        y, cache = dropout_forward(x, here.keep_mask(x.shape, 0.3), 0.3, rescale)
        found, cache_there = kernels.dropout_drawn_forward(
            arrays.to_device(x, device), there, 0.3, rescale)
        assert_same(found, y)
        assert there.step == here.step
        # The next forward pass does not change the mask that this one goes back by.
        kernels.dropout_drawn_forward(on(device), stream_at(0), 0.9)
        assert_same(kernels.dropout_backward(
            arrays.to_device(dy, device), cache_there), dropout_backward(dy, cache))


@on_devices
@pytest.mark.parametrize("shape", [(1,), (17,), (3, 5, 7), (4096,), (4097,)])
def test_drawn_shapes_and_gaps(device, shape):
    x = normal(shape, 2)
    expected, _ = dropout_forward(x.T, stream_at(1).keep_mask(x.T.shape, 0.5), 0.5)
    found, _ = kernels.dropout_drawn_forward(
        arrays.to_device(x, device).T, stream_at(1), 0.5)
    assert_same(found, expected)


@on_devices
@pytest.mark.parametrize("shared_axes", [(), (2, 3)])
def test_the_layer_drops_the_same_units_on_every_device(device, shared_axes):
    x = normal((2, 3, 4, 5), 1).astype("float32")
    here, there = (DropoutLayer((None, 3, 4, 5), 0.5, shared_axes=shared_axes, rng=3)
                   for _ in range(2))
    for _ in range(2):
        y, cache = here.forward(x)
        found, cache_there = there.forward(arrays.to_device(x, device))
        assert_same(found, y)
        assert_same(there.backward(arrays.to_device(x, device), cache_there)[0],
                    here.backward(x, cache)[0])
