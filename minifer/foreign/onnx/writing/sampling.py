"""Spatial transformers."""

from __future__ import annotations

import numpy as np

from ....layers import TPSTransformerLayer, TransformerLayer
from ....ops.sampling import sampling_grid
from .graph import known

__all__ = ["LAYERS"]

#: Our border -> ONNX's padding mode; "wrap" is written out.
BORDERS = {"nearest": "border", "mirror": "reflection", "wrap": "border"}


def affine(graph, layer, xs):
    """The image under an affine map."""
    image, theta = xs
    size = known("an image", layer.output_shape[2:])
    places = np.concatenate([sampling_grid(*size), np.ones((1, size[0] * size[1]))])
    theta = graph.add("Reshape", theta, [0, 2, 3])
    points = graph.add("MatMul", theta, graph.constant(places))  # (N, 2, P)
    return sampled(graph, layer, image, points, size)


def thin_plate(graph, layer, xs):
    """The image bent by a thin plate spline."""
    image, theta = xs
    size, K = known("an image", layer.output_shape[2:]), layer.control_points
    moved = graph.add("Add", theta, layer.source_points.reshape(1, -1))
    moved = graph.add("Reshape", moved, [0, 2, K])
    points = graph.add("MatMul", moved, graph.constant(layer.bending(*size)))
    return sampled(graph, layer, image, points, size)


def sampled(graph, layer, image, points, size):
    """The image at places (N, 2, P) in -1 … 1."""
    grid = graph.add("Transpose", points, perm=[0, 2, 1])
    if layer.border_mode == "wrap":
        # Once more its first row and column behind its last; places modulo its size.
        H, W = known("an image", layer.input_shapes[0][2:])
        for axis in (2, 3):
            image = graph.add("Concat", image, graph.part(image, axis, 0, 1), axis=axis)
        lengths = np.array([W, H], np.float32)
        at = graph.add("Mul", graph.add("Add", grid, 1.0), (lengths - 1) / 2)
        turns = graph.add("Floor", graph.add("Div", at, lengths))
        at = graph.add("Sub", at, graph.add("Mul", turns, lengths))
        grid = graph.add("Sub", graph.add("Mul", at, 2 / lengths), 1.0)
    grid = graph.add("Reshape", grid, [0, *size, 2])
    return graph.add("GridSample", image, grid, mode="bilinear", align_corners=1,
                     padding_mode=BORDERS[layer.border_mode], wish=layer.name)


LAYERS = {TransformerLayer: affine, TPSTransformerLayer: thin_plate}
