"""Noise of a stream: any part by itself, pinned for good, and of the right kind."""

import numpy as np
import pytest

from minifer.ops.noise import noise
from minifer.random import Stream

each = pytest.mark.parametrize("distribution", ["uniform", "normal"])


@pytest.mark.parametrize("distribution, numbers", [
    ("uniform", [0.08052975, 0.93308288, 0.34378415]),
    ("normal", [2.04911062, -0.91618933, -1.39051841])])
def test_noise_is_pinned(distribution, numbers):
    np.testing.assert_allclose(Stream(7, "noise").noise_part(distribution, 0, 3),
                               numbers, atol=5e-9)


@each
def test_a_part_is_the_part_of_the_whole(distribution):
    stream = Stream(3, "noise")
    whole = stream.noise_part(distribution, 0, 60)
    for start, stop in [(0, 1), (1, 2), (3, 18), (7, 9), (16, 60), (5, 5)]:
        np.testing.assert_array_equal(stream.noise_part(distribution, start, stop),
                                      whole[start:stop])
    assert stream.step == 0


def test_uniform_noise_is_the_streams_words():
    stream = Stream(3, "noise")
    words = stream.generator().bit_generator.random_raw(4).astype("<u8").view("<u4")
    expected = [(2 * (int(word) >> 9) + 1) / 2 ** 24 for word in words]
    assert stream.noise_part("uniform", 0, 8).tolist() == expected
    single = noise(stream, "uniform", (8,), np.zeros(1, np.float32))
    assert single.dtype == "float32" and single.tolist() == expected


def test_normal_noise_is_box_and_mullers():
    stream = Stream(3, "noise")
    u, v = stream.noise_part("uniform", 4, 6)
    np.testing.assert_allclose(
        stream.noise_part("normal", 4, 6),
        np.sqrt(-2 * np.log(u)) * np.array([np.cos(2 * np.pi * v),
                                            np.sin(2 * np.pi * v)]))


def test_moments():
    stream, like = Stream(1, "noise"), np.zeros(1)
    u = noise(stream, "uniform", (100, 1000), like)
    z = noise(stream, "normal", (100, 1000), like)
    assert stream.step == 2 and 0 < u.min() and u.max() < 1
    n = z.size ** 0.5
    assert abs(u.mean() - 1 / 2) < 5 / 12 ** .5 / n
    assert abs(z.mean()) < 5 / n and abs(z.var() - 1) < 5 * 2 ** .5 / n
    assert abs((z ** 3).mean()) < 5 * 15 ** .5 / n
    assert abs((z ** 4).mean() - 3) < 5 * 96 ** .5 / n
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 5 / n
