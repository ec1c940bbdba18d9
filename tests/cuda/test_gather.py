"""Batches picked on a device are those that NumPy picks, bit for bit."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda.emulator import schedule
from minifer.cuda.gather import gather, gather_classes
from minifer.device import arrays
from minifer.errors import KernelError
from minifer.faces.preprocessing import Preprocessing

on_devices = pytest.mark.parametrize("device", DEVICES)
SHAPES = [(1, 1), (1, 5, 7), (3, 2, 33), (17, 19), (300,)]


def images_of(shape, dtype, N=11):
    rng = np.random.default_rng(0)
    if dtype == "uint8":
        return rng.integers(0, 256, (N, *shape)).astype(np.uint8)
    images = rng.normal(size=(N, *shape)).astype(dtype)
    images[2], images[3].flat[0] = np.inf, np.nan
    return images


def picked(images, order, first, n, mirrored=None):
    """What the kernel should give, before numbers are changed."""
    x = images[order[first:first + n]]
    if mirrored is not None:
        flipped = mirrored[first:first + n]
        x[flipped] = x[flipped][..., ::-1]
    return x


def bits(x):
    """Its bytes, with one kind of NaN: there are many, of which devices choose."""
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), x.dtype.type(np.nan), x)
    return x.tobytes()


@on_devices
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("prepare", [None, Preprocessing(),
                                     Preprocessing(scale=0.1, shift=1 / 3)])
def test_a_batch(device, dtype, shape, mirror, prepare):
    images, rng = images_of(shape, dtype), np.random.default_rng(1)
    order = rng.integers(0, len(images), 25)  # some of them more than once
    mirrored = rng.random(25) < 0.5 if mirror else None
    there = [a if a is None else arrays.to_device(a, device)
             for a in (images, order, mirrored)]
    for first, n in [(0, 25), (3, 7), (24, 1), (5, 0)]:
        expected = picked(images, order, first, n, mirrored)
        if prepare is not None:
            expected = prepare(expected)
        x = arrays.to_device(np.zeros(expected.shape, expected.dtype), device)
        with schedule(races=True):
            gather(there[0], there[1], x, first, there[2],
                   prepare and (prepare.scale, prepare.shift))
        found = arrays.to_host(x)
        assert found.dtype == expected.dtype and bits(found) == bits(expected)


@on_devices
def test_images_that_have_been_picked_are_only_turned(device):
    images, mirrored = images_of((2, 3), "uint8"), np.arange(30) % 3 == 0
    x = arrays.to_device(np.zeros((4, 2, 3), np.uint8), device)
    gather(arrays.to_device(images, device), None, x, 9,
           arrays.to_device(mirrored, device))
    expected = picked(images, np.arange(-9, 21), 9, 4, mirrored)
    np.testing.assert_array_equal(arrays.to_host(x), expected)


@on_devices
def test_more_images_than_a_grid_has_columns(device, monkeypatch):
    monkeypatch.setattr("minifer.cuda.gather.COLUMNS", 3)
    images = images_of((3, 4), "float32")
    order = np.random.default_rng(0).permutation(11)
    x = arrays.to_device(np.zeros_like(images), device)
    gather(*(arrays.to_device(a, device) for a in (images, order)), x)
    np.testing.assert_array_equal(arrays.to_host(x), images[order])


@on_devices
@pytest.mark.parametrize("first, n", [(0, 300), (17, 100), (299, 1), (3, 0)])
def test_classes(device, first, n):
    rng = np.random.default_rng(2)
    classes, order = rng.integers(0, 7, 50).astype(np.int32), rng.integers(0, 50, 300)
    y = arrays.to_device(np.full(n, -1, np.int32), device)
    gather_classes(arrays.to_device(classes, device), arrays.to_device(order, device),
                   y, first)
    np.testing.assert_array_equal(arrays.to_host(y), classes[order[first:first + n]])


@on_devices
def test_what_does_not_fit_is_refused(device):
    images, order, x = (arrays.to_device(a, device) for a in (
        np.zeros((5, 2, 3), np.uint8), np.arange(4), np.zeros((3, 2, 3), np.uint8)))
    for args, said in [((images, order, x, 2), "3 images from number 2 on, got 4"),
                       ((images, order, x, -1), "from number -1"),
                       ((images[:2], None, x), "got 3 in the order, 2 images"),
                       ((images, order, x.reshape(3, 3, 2)), r"images \(2, 3\), got"),
                       ((images, order, x, 0, order > 9, (1, 0)), "x of float32"),
                       ((images, order, x.astype(np.float32)), "x of uint8")]:
        with pytest.raises(KernelError, match=said):
            gather(*args)
    with pytest.raises(KernelError, match="3 classes from number 2 on, got 4"):
        gather_classes(order.astype(np.int32), order, x[:, 0, 0].astype(np.int32), 2)


@pytest.mark.parametrize("device", DEVICES[:1])
def test_an_image_that_is_not_there_is_found_by_the_emulator(device):
    images, order, x = (arrays.to_device(a, device) for a in (
        np.zeros((5, 2, 3), np.uint8), np.array([0, 5, 1]),
        np.zeros((3, 2, 3), np.uint8)))
    with pytest.raises(KernelError, match="gather_bytes, block .* images"):
        gather(images, order, x)
