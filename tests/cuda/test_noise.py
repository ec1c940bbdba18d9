"""Noise on a device is the CPU's."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import noise as kernels
from minifer.device.arrays import to_device, to_host
from minifer.layers import GaussianNoiseLayer, InputLayer, get_output
from minifer.random import Stream

on_devices = pytest.mark.parametrize("device", DEVICES)
each = pytest.mark.parametrize("distribution", ["uniform", "normal"])


@on_devices
@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("start, stop", [
    (0, 0), (0, 1), (0, 8), (5, 6), (7, 20), (2047, 4111),
    pytest.param(2 ** 40 + 3, 2 ** 40 + 30, id="far away")])
def test_noise_is_the_cpus(device, distribution, dtype, start, stop):
    stream = Stream(5, "noise", 3)
    stream.step = 2 ** 40 + 1
    like = to_device(np.zeros(1, dtype), device)
    found = to_host(kernels.noise(like, distribution, start, stop, stream.key,
                                  stream.step))
    expected = stream.noise_part(distribution, start, stop)
    assert found.dtype == dtype and found.shape == expected.shape
    if distribution == "uniform":
        np.testing.assert_array_equal(found, expected)
    else:  # close to 0, cos and sin have the error of their angle
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(found, expected, rtol=1e2 * eps, atol=1e2 * eps)


@on_devices
@each
def test_a_recorded_step_is_read_from_memory(device, distribution):
    stream = Stream(5, "noise")
    numbers = to_device(np.array([0.0, 9.0]), device)
    array = to_device(np.zeros((5, 7), np.float32), device)
    kernels.draw_noise(array, distribution, stream.key, numbers, 1)
    stream.step = 9
    np.testing.assert_allclose(to_host(array).ravel(),
                               stream.noise_part(distribution, 0, 35), rtol=2e-5,
                               atol=2e-5)


@on_devices
def test_a_layer_on_a_device(device):
    layer = GaussianNoiseLayer(InputLayer((None, 3, 5)), 0.5, rng=3)
    x = np.ones((4, 3, 5))
    here = get_output(layer, x)
    layer.stream.step = 0
    there = to_host(get_output(layer, to_device(x, device)))
    np.testing.assert_allclose(there, here, rtol=1e-12)
