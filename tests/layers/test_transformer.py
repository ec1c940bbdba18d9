"""Spatial transformers against loops."""

import numpy as np
import pytest

from helpers import reference_images as reference
from helpers.layers import numbers, refused
from helpers.tolerances import assert_close
from minifer.layers import (InputLayer, TPSTransformerLayer, TransformerLayer,
                            get_output)

IDENTITY = np.array([[1.0, 0, 0, 0, 1, 0]])
each_border = pytest.mark.parametrize("border", ["nearest", "mirror", "wrap"])


def check(layer, x, theta, expected):
    given = dict(zip(layer.input_layers, (x, theta)))
    for dtype in ("float64", "float32"):
        y = get_output(layer, {k: v.astype(dtype) for k, v in given.items()})
        assert y.dtype == dtype and y.shape[1:] == layer.output_shape[1:]
        if dtype == "float64":  # at a pixel's edge float32 reads its neighbour
            assert_close(y, expected, "reference", dtype, repr(layer))


def inputs(numbers_, H=5, W=6):
    return InputLayer((None, 2, H, W)), InputLayer((None, numbers_))


@each_border
@pytest.mark.parametrize("factor, size", [
    (1, (5, 6)), (2, (2, 3)), ((1, 1.5), (5, 4)), ((0.5, 6), (10, 1))])
def test_transformer(factor, size, border):
    layer = TransformerLayer(*inputs(6), factor, border)
    assert layer.output_shape == (None, 2, *size)
    x, theta = numbers((3, 2, 5, 6)), IDENTITY + 0.7 * numbers((3, 6), 1)
    check(layer, x, theta, reference.affine(x, theta, *size, border))


def test_the_identity_changes_nothing_and_a_turn_turns():
    layer, x = TransformerLayer(*inputs(6, 5, 5)), numbers((2, 2, 5, 5))
    check(layer, x, np.repeat(IDENTITY, 2, 0), x)
    quarter = np.array([[0.0, 1, 0, -1, 0, 0]] * 2)
    check(layer, x, quarter, np.rot90(x, -1, (2, 3)))


@each_border
@pytest.mark.parametrize("precompute", ["auto", True, False])
def test_thin_plate_splines(precompute, border):
    layer = TPSTransformerLayer(*inputs(18), (1, 1.5), 9, precompute, border)
    x, offsets = numbers((2, 2, 5, 6)), 0.4 * numbers((2, 18), 1)
    check(layer, x, offsets, reference.thin_plate(x, offsets, 3, 5, 4, border))


def test_unmoved_points_change_nothing():
    x = numbers((2, 2, 5, 6))
    check(TPSTransformerLayer(*inputs(32)), x, np.zeros((2, 32)), x)


def test_sizes_that_are_not_known_in_advance():
    x, theta = numbers((3, 2, 5, 6)), IDENTITY + 0.3 * numbers((3, 6), 1)
    layer = TransformerLayer(*inputs(6, None, None), 2)
    assert layer.output_shape == (None, 2, None, None)
    y = get_output(layer, dict(zip(layer.input_layers, (x, theta))))
    np.testing.assert_allclose(y, reference.affine(x, theta, 2, 3), rtol=1e-10)
    offsets = 0.3 * numbers((3, 8), 1)
    layer = TPSTransformerLayer(*inputs(8, None, None), control_points=4)
    y = get_output(layer, dict(zip(layer.input_layers, (x, offsets))))
    np.testing.assert_allclose(y, reference.thin_plate(x, offsets, 2, 5, 6), rtol=1e-9,
                               atol=1e-12)


@pytest.mark.parametrize("build, fragments", [
    (lambda: TransformerLayer((None, 3), (None, 6), name="here"), ["4D input"]),
    (lambda: TransformerLayer((None, 1, 4, 4), (None, 5), name="here"),
     ["(N, 6)", "(None, 5)"]),
    (lambda: TransformerLayer((3, 1, 4, 4), (2, 6), name="here"), ["3 and 2"]),
    (lambda: TransformerLayer((None, 1, 4, 4), (None, 6), 0, name="here"),
     ["downsample_factor", "got 0"]),
    (lambda: TransformerLayer((None, 1, 4, 4), (None, 6), 5, name="here"),
     ["leaves at least a pixel"]),
    (lambda: TransformerLayer((None, 1, 4, 4), (None, 6), 1, "zero", name="here"),
     ["border_mode as one of nearest", "'zero'"]),
    (lambda: TPSTransformerLayer((None, 1, 4, 4), (None, 10), control_points=5,
                                 name="here"), ["square number", "got 5"]),
    (lambda: TPSTransformerLayer((None, 1, 4, 4), (None, 32), 2**-14, name="here"),
     ["134,217,728 pairs", "16 × (65536, 65536)"]),
    (lambda: TPSTransformerLayer((None, 1, 4, 4), (None, 10), name="here"),
     ["(N, 32)", "(None, 10)"]),
    (lambda: TPSTransformerLayer((None, 1, None, 4), (None, 32), precompute_grid=True,
                                 name="here"), ["known H and W"])])
def test_transformers_refuse(build, fragments):
    refused(build, *fragments)
