"""A small data set, and what batches of it must hold."""

import numpy as np

from minifer.device import arrays
from minifer.random import Stream

N = 23


def data(dtype="uint8", shape=(1, 4, 5), soft=False):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N, *shape)).astype(dtype)
    if images.dtype.kind == "f":
        images = images / images.dtype.type(7)
    labels = rng.random((N, 3)) if soft else rng.integers(0, 7, N)
    return images, labels


def augment(step=0):
    stream = Stream(4, "augment")
    stream.step = step
    return stream


def expected(images, labels, order, prepare, mirrored, size):
    """Batch by batch, by the definition."""
    for first in range(0, len(order), size):
        rows = order[first:first + size]
        x = np.stack([images[row][..., ::-1] if mirror else images[row]
                      for row, mirror in zip(rows, mirrored[first:first + size])])
        yield x if prepare is None else prepare(x), labels[rows]


def assert_batch(found, expected, device):
    for there, here in zip(found, expected):
        assert arrays.device_of(there) == device
        there = arrays.to_host(there)
        assert there.shape == here.shape
        np.testing.assert_array_equal(there, here.astype(there.dtype))


def squared(x):
    """A function of one's own; it changes the shape and works on any device."""
    x = x.astype(np.float32).reshape(len(x), -1)
    return x * x
