"""Images read between their pixels, against loops and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference_images as reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.ops.sampling import (BORDERS, affine_points_backward,
                                  affine_points_forward, bilinear_backward,
                                  bilinear_forward, sampling_grid)

each_border = pytest.mark.parametrize("border", BORDERS)


def places(shape, H, W, seed=0):
    """Places in and around an image, away from the kinks at its pixels."""
    rng = np.random.default_rng(seed)
    points = np.zeros(shape)
    for axis, length in enumerate((W, H)):
        whole = rng.integers(-2 * length - 3, 3 * length + 3, (shape[0], shape[2]))
        at = whole + rng.uniform(0.05, 0.95, whole.shape)
        points[:, axis] = at / max(1, (length - 1) / 2) - 1
    return points


@each_border
@pytest.mark.parametrize("N, C, H, W, P", [
    (2, 2, 3, 4, 7), (1, 1, 5, 2, 3), (3, 1, 1, 4, 2), (2, 3, 4, 1, 1)])
def test_bilinear(N, C, H, W, P, border):
    check_op(bilinear_forward, bilinear_backward,
             [normal((N, C, H, W), 1), places((N, 2, P), H, W)], reference.bilinear,
             border=border)


@RANDOM_SHAPES
@given(sizes=st.tuples(*[st.integers(1, n) for n in (3, 3, 5, 5, 9)]),
       border=st.sampled_from(BORDERS), seed=st.integers(0, 99))
def test_any_shape(sizes, border, seed):
    N, C, H, W, P = sizes
    check_op(bilinear_forward, bilinear_backward,
             [normal((N, C, H, W), seed), places((N, 2, P), H, W, seed)],
             reference.bilinear, border=border)


@each_border
def test_the_grid_gives_the_image(border):
    x = normal((2, 3, 4, 5))
    grid = np.stack([sampling_grid(4, 5)] * 2)
    np.testing.assert_allclose(bilinear_forward(x, grid, border)[0],
                               x.reshape(2, 3, 20), atol=1e-14)
    np.testing.assert_allclose(sampling_grid(4, 5).T, reference.grid(4, 5))


@each_border
def test_a_place_that_is_none_gives_no_number(border):
    points = np.array([[[np.nan, 0, np.inf], [0, -np.inf, 0]]])
    assert np.isnan(bilinear_forward(normal((1, 2, 3, 3)), points, border)[0]).all()


def test_affine_points():
    def slow(theta, grid):
        y = np.zeros((len(theta), 2, grid.shape[1]))
        for n, axis, p in np.ndindex(y.shape):
            a, b, c = theta[n, 3 * axis:3 * axis + 3]
            y[n, axis, p] = a * grid[0, p] + b * grid[1, p] + c
        return y

    grid = normal((2, 5), 1)
    check_op(lambda theta: affine_points_forward(theta, grid.astype(theta.dtype)),
             affine_points_backward, [normal((3, 6))], lambda theta: slow(theta, grid))
