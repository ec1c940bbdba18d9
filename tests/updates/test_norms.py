"""Limits for the norms of weights and of gradients."""

import numpy as np
import pytest

from minifer import grad, tensor, updates
from minifer.errors import ShapeError
from minifer.layers.param import Param


@pytest.mark.parametrize("shape, axes, used", [
    ((25, 20), None, (0,)), ((8, 7, 6), None, (1, 2)), ((5, 4, 3, 2), None, (1, 2, 3)),
    ((3, 3, 2, 2, 2), None, (1, 2, 3, 4)), ((10, 5, 3, 4), (0, 2), (0, 2))])
def test_norm_constraint(shape, axes, used):
    value = np.random.default_rng(0).normal(size=shape)
    value[(slice(None), 0)] *= 1e-3  # some are short already
    before = value.copy()
    norms = np.sqrt((value ** 2).sum(axis=used, keepdims=True))
    limit = float(np.median(norms)) if norms.size > 1 else 0.01
    found = updates.norm_constraint(Param(value), limit, axes)
    np.testing.assert_array_equal(value, before)
    # Lasagne: p · clip(‖p‖, 0, max) / (1e-7 + ‖p‖)
    factor = np.where(norms > limit, limit, norms) / (1e-7 + norms)
    np.testing.assert_allclose(found, value * factor)
    assert (np.sqrt((found ** 2).sum(axis=used)) <= limit * (1 + 1e-5)).all()


@pytest.mark.parametrize("max_norm", [0.5, np.float64(0.5)])
def test_norm_constraints_keep_float32(max_norm):
    value = np.ones((2, 3), np.float32)
    assert updates.norm_constraint(value, max_norm).dtype == "float32"
    assert updates.total_norm_constraint([value], max_norm)[0].dtype == "float32"


@pytest.mark.parametrize("ndim", [1, 6])
def test_norm_constraint_refuses_other_numbers_of_axes(ndim):
    with pytest.raises(ShapeError, match="Unsupported tensor dimensionality"):
        updates.norm_constraint(np.ones((2,) * ndim), 1.0)
    updates.norm_constraint(np.ones((2,) * ndim), 1.0, norm_axes=(0,))


def test_total_norm_constraint():
    arrays = [np.array([[3.0]]), np.array([0.0, 4.0])]
    scaled, norm = updates.total_norm_constraint(arrays, 1.0, return_norm=True)
    assert norm == 5
    np.testing.assert_allclose(scaled[0], [[0.6]], rtol=1e-6)
    np.testing.assert_allclose(scaled[1], [0.0, 0.8], rtol=1e-6)
    unchanged = updates.total_norm_constraint(arrays, 50.0)
    np.testing.assert_allclose(unchanged[1], arrays[1], rtol=1e-6)


@pytest.mark.parametrize("size", [200, 20000])
def test_norms_of_float16_have_room_for_squares(size):
    """200² fits float16 and its sum does not; the norm of 20000s does not, either."""
    value = np.full((16, 3), size, np.float16)
    x = tensor.matrix()
    for found, length in (
            (updates.norm_constraint(value, 1.0), 4),
            (updates.norm_constraint(x, 1.0).eval({x: value}), 4),
            (updates.norm_constraint(value, tensor.constant(1.0)).eval(), 4),
            (updates.total_norm_constraint([value], 1.0)[0], 48 ** 0.5),
            (updates.total_norm_constraint([x], 1.0)[0].eval({x: value}), 48 ** 0.5)):
        assert found.dtype == "float16"
        np.testing.assert_allclose(found, 1 / length, rtol=1e-3)
    norm = updates.total_norm_constraint([value], 1.0, return_norm=True)[1]
    norm_of_x = updates.total_norm_constraint([x], 1.0, return_norm=True)[1]
    np.testing.assert_allclose([norm, norm_of_x.eval({x: value})], size * 48 ** 0.5,
                               rtol=1e-6)


def test_the_gradient_of_a_norm_constraint_fits_float16():
    value = np.full((16, 3), 200, np.float16)
    wide = value.astype(np.float64)
    value[0] = wide[0] = 300
    x = tensor.matrix()
    for limit in lambda v: updates.norm_constraint(v, 1.0), lambda v: (
            updates.total_norm_constraint([v], 1.0)[0]):
        # of the first row alone: that of all of them is 0 where all are scaled
        slope = grad(limit(x)[0].sum() * 1e3, x)
        found = slope.eval({x: value})
        assert found.dtype == "float16"
        np.testing.assert_allclose(found, slope.eval({x: wide}), rtol=5e-3, atol=1e-4)
