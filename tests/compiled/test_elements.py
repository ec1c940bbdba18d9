"""A product for each element of the filters, of the pixels that it meets alone."""

import itertools

import numpy as np
import pytest

from helpers import reference
from helpers.checking import normal
from minifer.compiled.cpu import CpuPlan
from minifer.compiled.cpu.geometry import Geometry, meetings, pairs
from minifer.layers import Conv2DLayer, InputLayer, get_all_layers

CASES = [case for case in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2, 4),
                                            (1, 2, 3, 6))
         if case[3] + 2 * case[2] >= case[0]]


@pytest.mark.parametrize("k, s, p, length", CASES)
def test_an_element_meets_the_pixels_below_it(k, s, p, length):
    count = (length + 2 * p - k) // s + 1
    found = [{*zip(outputs, pixels)} for outputs, pixels in
             meetings(k, s, p, length, count)]
    assert found == [{(i, i * s + u - p) for i in range(count)
                      if 0 <= i * s + u - p < length} for u in range(k)]


def test_pairs_are_counted():
    # Of the 36 places in four windows of 3×3, 20 are padding.
    assert pairs(Geometry(2, 2, 1, 1, 3, 3, 1, 1, 1, 1, False, 1).axes) == 16


def back(x, W, dy, s, p):
    """Gradients of x and of W of a correlation, pair by pair."""
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    _, _, kh, kw = W.shape
    for i, j, u, v in np.ndindex(*dy.shape[2:], kh, kw):
        row, column = i * s + u - p, j * s + v - p
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            d, pixel = dy[:, :, i, j], x[:, :, row, column]  # (N, F), (N, C)
            dx[:, :, row, column] += d @ W[:, :, u, v]
            dW[:, :, u, v] += d.T @ pixel
    return dx, dW


@pytest.mark.parametrize("flip_filters", [False, True])
@pytest.mark.parametrize("k, s, p, H, W", [(3, 1, 1, 2, 2), (3, 2, 1, 3, 5),
                                           (3, 1, 1, 1, 4), (5, 1, 2, 3, 2),
                                           (1, 2, 0, 5, 4), (3, 3, 2, 4, 2)])
def test_it_is_a_convolution(k, s, p, H, W, flip_filters):
    """Outputs and all gradients, against slow loops in float64."""
    x, weights = normal((5, 9, H, W)), normal((8, 9, k, k), 1)
    layer = Conv2DLayer(InputLayer((None, 9, H, W)), 8, k, s, p, W=weights,
                        b=normal(8, 2), nonlinearity=None, flip_filters=flip_filters)
    plan = CpuPlan([layer], {}, (), len(x), True, 2, "elements", feeds_back=True)
    source = get_all_layers(layer)[0]
    assert plan.steps[0].convs[0].algorithm == "elements"
    kernel = weights[:, :, ::-1, ::-1] if flip_filters else weights
    for some in (x, x[:3]):
        y, = plan.run({source: some})
        dy = normal(y.shape, 3)
        gradients = plan.backward({0: dy})
        dx, dW = back(*(a.astype(np.float64) for a in (some, kernel, dy)), s, p)
        for found, exact in (
                (y, reference.conv2d(some, weights, layer.b.value, (s, s), (p, p),
                                     flip_filters)),
                (gradients[layer.W], dW[:, :, ::-1, ::-1] if flip_filters else dW),
                (gradients[layer.b], dy.sum(axis=(0, 2, 3))),
                (plan.input_gradients[source], dx)):
            np.testing.assert_allclose(found, exact, rtol=0,
                                       atol=1e-6 * np.abs(exact).max())


def test_large_filters_are_read_for_many_images_at_a_time():
    """Few images at a time would be fewer numbers than the filters."""
    groups = []
    for C in (8, 512):
        layer = Conv2DLayer(InputLayer((None, C, 2, 2)), C, 3, pad=1)
        plan = CpuPlan([layer], {}, (), 128, True, 2)
        groups.append(plan.steps[0].group)
    assert groups == [32, 64]
