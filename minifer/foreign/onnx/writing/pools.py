"""Pooling over windows, over whole images, across channels; and upscaling."""

from __future__ import annotations

import numpy as np

from ....layers import (FeaturePoolLayer, FeatureWTALayer, GlobalPoolLayer, Pool1DLayer,
                        Pool2DLayer, Pool3DLayer, SpatialPyramidPoolingLayer,
                        Upscale1DLayer, Upscale2DLayer, Upscale3DLayer)
from ....ops.pyramid import pyramid_bins
from .convolutions import padded
from .graph import known

__all__ = ["LAYERS"]


def pool(graph, layer, x):
    """The largest or the mean of each window."""
    sides, lengths, ceil = padded(layer), layer.input_shape[2:], None
    if not layer.ignore_border:
        if None in lengths:
            ceil = 1
        else:  # windows hang over the end: written as padding, which is never misread
            n = len(lengths)
            for axis, (length, out, k, s) in enumerate(zip(
                    lengths, layer.output_shape[2:], layer.pool_size, layer.stride)):
                sides["pads"][n + axis] = max(0, (out - 1) * s + k - length)
    options = dict(kernel_shape=layer.pool_size, strides=layer.stride,
                   ceil_mode=ceil, wish=layer.name, **sides)
    if layer.mode == "max":
        return graph.add("MaxPool", x, **options)
    counted = layer.mode == "average_inc_pad" and layer.ignore_border
    pads, n = options.get("pads"), len(lengths)
    if counted and pads and any(pads):
        # A step of its own: count_include_pad is skipped by some readers.
        x = graph.add("Pad", x, [0, 0, *pads[:n], 0, 0, *pads[n:]], 0.0)
        options["pads"] = [0] * len(pads)
    return graph.add("AveragePool", x, count_include_pad=int(counted), **options)


def global_pool(graph, layer, x):
    """Each channel over all its pixels."""
    if layer.pool_function == "sum":
        return graph.sum(x, range(2, len(layer.input_shape)))
    kind = {"mean": "GlobalAveragePool", "max": "GlobalMaxPool"}[layer.pool_function]
    return graph.add("Flatten", graph.add(kind, x), axis=1, wish=layer.name)


def grouped(graph, layer, x):
    """x with its groups of channels along an axis of their own, behind theirs."""
    shape, axis, p = layer.input_shape, layer.axis, layer.pool_size
    return graph.reshape(x, shape, (*shape[:axis], shape[axis] // p, p,
                                    *shape[axis + 1:]))


def feature_pool(graph, layer, x):
    """The largest, mean or sum of each group of channels."""
    groups, axis = grouped(graph, layer, x), layer.axis + 1
    if layer.pool_function == "max":
        return graph.add("ReduceMax", groups, axes=[axis], keepdims=0, wish=layer.name)
    reduce = graph.sum if layer.pool_function == "sum" else graph.mean
    return reduce(groups, [axis])


def winner(graph, layer, x):
    """0 for all but the first of the largest of each group."""
    groups, axis = grouped(graph, layer, x), layer.axis + 1
    best = graph.add("ArgMax", groups, axis=axis, keepdims=1)
    places = np.arange(layer.pool_size).reshape(
        -1, *(1,) * (len(layer.input_shape) - layer.axis - 1))
    y = graph.add("Where", graph.add("Equal", best, places), groups, 0.0)
    shape, p = layer.input_shape, layer.pool_size
    before = (*shape[:layer.axis], shape[layer.axis] // p, p, *shape[layer.axis + 1:])
    return graph.reshape(y, before, shape)


def pyramid(graph, layer, x):
    """Pools of bins, one finer than the other."""
    H, W = known("an image", layer.input_shape[2:])
    kind = "ReduceMax" if layer.mode == "max" else "ReduceMean"
    found = []
    for n in layer.pool_dims:
        rows, columns = (pyramid_bins(length, n, layer.implementation)
                         for length in (H, W))
        for row in rows:
            band = graph.part(x, 2, row.start, row.stop)
            for column in columns:
                box = graph.part(band, 3, column.start, column.stop)
                one = graph.add(kind, box, axes=[2, 3], keepdims=0)
                found.append(graph.add("Unsqueeze", one, [2]))
    return graph.add("Concat", *found, axis=2, wish=layer.name)


def upscale(graph, layer, x):
    """Pixels repeated, joined by lines, or set apart by zeros."""
    factors, C = layer.scale_factor, layer.input_shape[1]
    if layer.mode == "repeat":
        return graph.add("Resize", x, "", np.array([1, 1, *factors], np.float32),
                         mode="nearest", coordinate_transformation_mode="asymmetric",
                         nearest_mode="floor", wish=layer.name)
    if layer.mode == "linear":
        return graph.add("Resize", x, "", np.array([1, 1, *factors], np.float32),
                         mode="linear", coordinate_transformation_mode="half_pixel",
                         wish=layer.name)
    C, = known("channels", (C,))
    one = np.zeros((C, 1, *factors), np.float32)
    one[(slice(None), 0) + (0,) * len(factors)] = 1
    return graph.add("ConvTranspose", x, graph.constant(one), strides=factors,
                     kernel_shape=factors, group=C, wish=layer.name)


LAYERS: dict = {GlobalPoolLayer: global_pool, FeaturePoolLayer: feature_pool,
          FeatureWTALayer: winner, SpatialPyramidPoolingLayer: pyramid,
          **dict.fromkeys([Pool1DLayer, Pool2DLayer, Pool3DLayer], pool),
          **dict.fromkeys([Upscale1DLayer, Upscale2DLayer, Upscale3DLayer], upscale)}
