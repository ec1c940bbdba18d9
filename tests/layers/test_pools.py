"""Pooling layers of other axes, across channels, of a pyramid; upscaling."""

import inspect

import numpy as np
import pytest

from helpers import reference_windows as reference
from helpers.layers import check_layer, numbers, refused
from minifer import tensor
from minifer.errors import SettingError
from minifer.layers import (FeaturePoolLayer, FeatureWTALayer, GlobalPoolLayer,
                            InputLayer, MaxPool1DLayer, MaxPool3DLayer, Pool1DLayer,
                            Pool3DLayer, SpatialPyramidPoolingLayer, Upscale1DLayer,
                            Upscale2DLayer, Upscale3DLayer)
from minifer.layers.pool import pool_output_length

LINE, IMAGE, VOLUME = (2, 4, 7), (2, 4, 8, 6), (2, 2, 4, 3, 5)


def below(shape):
    return InputLayer((None, *shape[1:]))


@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("Pool, shape, size, stride, pad, ignore_border", [
    (Pool1DLayer, LINE, 3, None, 0, True), (Pool1DLayer, LINE, (3,), (2,), 1, True),
    (Pool1DLayer, LINE, 2, None, 0, False), (Pool3DLayer, VOLUME, 2, 1, 1, True),
    (Pool3DLayer, VOLUME, (2, 3, 2), None, 0, False)])
def test_pool(Pool, shape, size, stride, pad, ignore_border, mode):
    layer = Pool(below(shape), size, stride, pad, ignore_border, mode)
    x = numbers(shape)
    check_layer(layer, x, reference.pool_nd(x, size, stride, pad, ignore_border, mode))


@pytest.mark.parametrize("Pool, shape", [(MaxPool1DLayer, LINE),
                                         (MaxPool3DLayer, VOLUME)])
def test_max_pool(Pool, shape):
    x = numbers(shape)
    check_layer(Pool(below(shape), 3, 2, 1, True, name="pool"), x,
                reference.pool_nd(x, 3, 2, 1))


@pytest.mark.parametrize("mode", ["repeat", "dilate"])
@pytest.mark.parametrize("Upscale, shape, factor", [
    (Upscale1DLayer, LINE, 3), (Upscale2DLayer, IMAGE, (1, 3)),
    (Upscale3DLayer, VOLUME, 2)])
def test_upscale(Upscale, shape, factor, mode):
    layer, x = Upscale(below(shape), factor, mode), numbers(shape)
    check_layer(layer, x, reference.upscale(x, layer.scale_factor, mode))
    assert Upscale((None, 2) + (None,) * (len(shape) - 2), 2).output_shape == (
        (None, 2) + (None,) * (len(shape) - 2))


@pytest.mark.parametrize("Upscale, shape, factor", [
    (Upscale1DLayer, LINE, 3), (Upscale2DLayer, IMAGE, (2, 3)),
    (Upscale2DLayer, (2, 3, 1, 2), (4, 1)), (Upscale3DLayer, VOLUME, 2)])
def test_upscale_by_lines(Upscale, shape, factor):
    layer, x = Upscale(below(shape), factor, "linear"), numbers(shape)
    check_layer(layer, x, reference.joined(x, layer.scale_factor))


@pytest.mark.parametrize("shape, axis", [((3, 8), 1), (IMAGE, 1), (IMAGE, 2),
                                         (IMAGE, -1)])
def test_across_channels(shape, axis):
    x = numbers(shape)
    for function in ("max", "mean", "sum"):
        layer = FeaturePoolLayer(below(shape), 2, axis, function)
        check_layer(layer, x, reference.feature_pool(x, 2, axis % x.ndim, function))
    check_layer(FeatureWTALayer(below(shape), 2, axis), x,
                reference.winner(x, 2, axis % x.ndim))
    assert FeaturePoolLayer(shape, 2).pool_function == "max"


@pytest.mark.parametrize("given, name", [
    (tensor.mean, "mean"), (tensor.sum, "sum"), (np.max, "max"), ("max", "max")])
def test_a_function_stands_for_its_name(given, name):
    assert GlobalPoolLayer(IMAGE, given).pool_function == name
    assert FeaturePoolLayer(IMAGE, 2, pool_function=given).pool_function == name


@pytest.mark.parametrize("implementation, pool_dims", [
    ("fast", [2, 1]), ("kaiming", (4, 3)), ("kaiming", [9, 1])])
@pytest.mark.parametrize("mode", ["max", "average_exc_pad"])
def test_pyramid(implementation, pool_dims, mode):
    layer = SpatialPyramidPoolingLayer(below(IMAGE), pool_dims, mode, implementation)
    x = numbers(IMAGE)
    check_layer(layer, x, reference.pyramid(
        x, pool_dims, mode.partition("_")[0], implementation))
    other = SpatialPyramidPoolingLayer((None, 4, None, None), pool_dims, mode,
                                       implementation)
    assert other.output_shape == layer.output_shape
    np.testing.assert_array_equal(other.get_output_for(x), layer.get_output_for(x))


def test_pyramid_defaults():
    layer = SpatialPyramidPoolingLayer((None, 2, 8, 4))
    assert layer.output_shape == (None, 2, 21) and layer.mode == "max"


@pytest.mark.parametrize("Layer, names", [
    (Pool1DLayer, "pool_size stride pad ignore_border mode"),
    (Pool3DLayer, "pool_size stride pad ignore_border mode"),
    (MaxPool1DLayer, "pool_size stride pad ignore_border"),
    (Upscale2DLayer, "scale_factor mode"), (GlobalPoolLayer, "pool_function"),
    (FeaturePoolLayer, "pool_size axis pool_function"),
    (FeatureWTALayer, "pool_size axis"),
    (SpatialPyramidPoolingLayer, "pool_dims mode implementation")])
def test_arguments_are_in_lasagnes_order(Layer, names):
    order = [name for name, one in inspect.signature(Layer).parameters.items()
             if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert order == ["incoming", *names.split()]


def test_lengths():
    assert pool_output_length(7, 2, 2, 0, True) == 3
    assert pool_output_length(7, 2, 2, 0, False) == 4
    assert pool_output_length(7, 3, 1, 1, True) == 7
    assert pool_output_length(None, 2, 2, 0, True) is None
    assert pool_output_length(7, None, 2, 0, True) is None
    with pytest.raises(SettingError, match="expected 0 with ignore_border=False"):
        pool_output_length(7, 2, 2, 1, False)


@pytest.mark.parametrize("build, fragments", [
    (lambda **o: Pool1DLayer(IMAGE, 2, **o), ["a 3D input (N, C, L)"]),
    (lambda **o: MaxPool3DLayer(VOLUME, 4, **o), ["at least (4, 4, 4) pixels"]),
    (lambda **o: Upscale2DLayer(LINE, 2, **o), ["a 4D input (N, C, H, W)"]),
    (lambda **o: Upscale2DLayer(IMAGE, 0, **o), ["scale_factor", "got 0"]),
    (lambda **o: Upscale2DLayer(IMAGE, 2, "zoom", **o), ["repeat, dilate", "'zoom'"]),
    (lambda **o: FeaturePoolLayer(IMAGE, 3, **o), ["of pool_size=3", "axis 1"]),
    (lambda **o: FeaturePoolLayer(IMAGE, 2, 0, **o), ["axis from 1 to 3", "got 0"]),
    (lambda **o: FeatureWTALayer(IMAGE, 2, 4, **o), ["axis from 1 to 3", "got 4"]),
    (lambda **o: FeatureWTALayer(LINE, 2, -3, **o), ["axis from 1 to 2", "got -3"]),
    (lambda **o: FeatureWTALayer((None, None), 2, **o), ["multiple of pool_size=2"]),
    (lambda **o: FeaturePoolLayer(IMAGE, 2, 1, np.median, **o), ["pool_function"]),
    (lambda **o: FeaturePoolLayer(IMAGE, 2, 1, max, **o), ["pool_function"]),
    (lambda **o: SpatialPyramidPoolingLayer(LINE, **o), ["a 4D input"]),
    (lambda **o: SpatialPyramidPoolingLayer(IMAGE, [], **o), ["pool_dims"]),
    (lambda **o: SpatialPyramidPoolingLayer(IMAGE, [2, 0], **o), ["pool_dims"]),
    (lambda **o: SpatialPyramidPoolingLayer(IMAGE, [2], "min", **o), ["mode", "'min'"]),
    (lambda **o: SpatialPyramidPoolingLayer(IMAGE, [2], implementation="slow", **o),
     ["fast, kaiming", "'slow'"]),
    (lambda **o: SpatialPyramidPoolingLayer((None, 2, 7, 8), **o),
     ["4 by 4 windows", "kaiming"])])
def test_refused(build, fragments):
    refused(lambda: build(name="here"), *fragments)
