"""Normalisation."""

from __future__ import annotations

import numpy as np

from ....layers import (BatchNormLayer, Layer, LocalResponseNormalization2DLayer,
                        ReshapeLayer, StandardizationLayer)

__all__ = ["TABLE"]


def batch_norm(graph, node):
    """By running averages."""
    if node.get("training_mode", 0):
        node.fail("a network as it predicts", "training_mode=1")
    x, epsilon = graph.layer(node, 0), node.get("epsilon", 1e-5)
    scale, b, mean, variance = (graph.weights(node, place) for place in range(1, 5))
    if np.any(variance + epsilon <= 0):
        node.fail("variances that are positive with epsilon", "others")
    inv_std = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    layer = BatchNormLayer(
        x, epsilon=max(epsilon, 1e-12), alpha=min(1.0, max(0.0, 1 - node.get(
            "momentum", 0.9))),
        beta=b, gamma=scale, mean=mean, inv_std=inv_std, name=graph.called(node))
    return [layer, *[None] * 4]


def scaled(graph, node, y, places, shape=None, each=1):
    """Times a scale, and plus a bias where there is one; both fixed or layers."""
    for place, kind in zip(places, ("multiply", "add")):
        if not node.has(place):
            continue
        value = graph.value(node, place)
        if isinstance(value, Layer):
            value = graph.layer(node, place)
            if each != 1:
                node.fail("scales that are fixed, or version 21 or later",
                          str(graph.version))
            if shape is not None:
                value = ReshapeLayer(value, shape)
            y = graph.function(node, kind, [y, value])
        else:
            value = value if shape is None else value.repeat(each).reshape(shape)
            y = graph.spread(node, y, value, kind, node.inputs[place] in graph.learnt)
    return y


def instance_norm(graph, node):
    """Each channel of each image."""
    x = graph.layer(node, 0)
    y = StandardizationLayer(x, "spatial", node.get("epsilon", 1e-5),
                             name=graph.called(node))
    return scaled(graph, node, y, (1, 2), (-1, *(1,) * (len(x.output_shape) - 2)))


def layer_norm(graph, node):
    """Over the last axes."""
    x = graph.layer(node, 0)
    ndim = len(x.output_shape)
    axes = tuple(range(node.axis(ndim, -1), ndim))
    y = StandardizationLayer(x, axes, node.get("epsilon", 1e-5),
                             name=graph.called(node))
    found = [scaled(graph, node, y, (1, 2)), None, None]
    if len(node.outputs) > 1:  # the statistics themselves
        how = {"axis": axes, "keepdims": True}
        found[1] = graph.function(node, "mean", [x], how)
        spread = graph.function(node, "add", [
            graph.function(node, "variance", [x], how),
            graph.fixed(None, np.float32(node.get("epsilon", 1e-5)))])
        found[2] = graph.function(node, "reciprocal", [
            graph.function(node, "sqrt", [spread])])
    return found


def rms_norm(graph, node):
    """By the root of the mean of squares over the last axes."""
    x = graph.layer(node, 0)
    ndim = len(x.output_shape)
    axes = list(range(node.axis(ndim, -1), ndim))
    y = graph.function(node, "rms_normalized", [x], {
        "axis": axes, "epsilon": node.get("epsilon", 1e-5)})
    return scaled(graph, node, y, (1,))


def group_norm(graph, node):
    """Over the pixels of groups of channels."""
    x, groups = graph.layer(node, 0), node.get("num_groups")
    _, C, *lengths = x.output_shape
    if None in (C, *lengths) or C % groups:
        node.fail("known lengths but of the batch, channels that divide",
                  f"{x.output_shape} in {groups} groups")
    y = ReshapeLayer(x, ([0], groups, -1))
    y = StandardizationLayer(y, "spatial", node.get("epsilon", 1e-5))
    y = ReshapeLayer(y, ([0], C, *lengths), name=graph.called(node))
    shape = (-1, *(1,) * len(lengths))
    each = 1 if graph.version >= 21 else C // groups  # then: one scale for each group
    return scaled(graph, node, y, (1, 2), shape, each)


def mean_variance(graph, node):
    """Over axes, without parameters."""
    return StandardizationLayer(graph.layer(node, 0), tuple(node.get(
        "axes") or (0, 2, 3)), 1e-9, name=graph.called(node))


def response(graph, node):
    """By the channels around; ONNX's alpha is of their mean."""
    n = node.get("size")
    return LocalResponseNormalization2DLayer(
        graph.layer(node, 0), node.get("alpha", 1e-4) / n, node.get("bias", 1.0),
        node.get("beta", 0.75), n, name=graph.called(node))


TABLE = {"BatchNormalization": batch_norm, "InstanceNormalization": instance_norm,
         "LayerNormalization": layer_norm, "RMSNormalization": rms_norm,
         "GroupNormalization": group_norm, "LRN": response,
         "MeanVarianceNormalization": mean_variance}
