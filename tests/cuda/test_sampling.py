"""Sampling and local response normalisation on a device, against loops."""

import numpy as np
import pytest

from helpers import reference_images as reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, on_device
from minifer.ops.response import response_norm_backward, response_norm_forward
from minifer.ops.sampling import BORDERS, bilinear_backward, bilinear_forward

on_devices = pytest.mark.parametrize("device", DEVICES)


@on_devices
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("N, C, H, W, P", [
    (2, 2, 3, 4, 7), (1, 3, 5, 2, 300), (3, 1, 1, 4, 2), (2, 3, 4, 1, 1)])
def test_bilinear(device, border, N, C, H, W, P):
    points = np.random.default_rng(P).uniform(-2.9, 2.9, (N, 2, P))
    check_op(*on_device(bilinear_forward, bilinear_backward, device),
             [normal((N, C, H, W), 1), points], reference.bilinear, border=border)


@on_devices
@pytest.mark.parametrize("border", BORDERS)
def test_a_place_that_is_none_gives_no_number(device, border):
    points = np.array([[[np.nan, 0, np.inf], [0, -np.inf, 0]]])
    forward, _ = on_device(bilinear_forward, None, device)
    assert np.isnan(forward(normal((1, 2, 3, 3)), points, border=border)[0]).all()


@on_devices
@pytest.mark.parametrize("n", [1, 3, 9])
@pytest.mark.parametrize("shape", [(2, 7, 3, 2), (1, 1, 2, 2), (3, 4, 1, 1),
                                   (2, 5, 11, 13)])
def test_response_norm(device, shape, n):
    check_op(*on_device(response_norm_forward, response_norm_backward, device),
             [normal(shape)], reference.response_norm, alpha=0.3, k=1.5, beta=0.75, n=n)
