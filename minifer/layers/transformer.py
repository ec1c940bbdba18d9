"""Layers that read an image at places which a network says."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Shape
from ..device.arrays import device_of, to_device
from ..ops.products import matmul
from ..ops.sampling import (BORDERS, affine_points_backward, affine_points_forward,
                            bilinear_backward, bilinear_forward, sampling_grid)
from .base import Layer, MergeLayer
from .options import count

__all__ = ["TransformerLayer", "TPSTransformerLayer"]

#: Numbers of a thin plate spline's map: 1 GB in float64.
LARGEST = 1 << 27


class _SamplingLayer(MergeLayer):
    """Base of both: an image, a localisation network, and the output's size."""

    def __init__(self, incoming, localization_network, downsample_factor, border_mode,
                 name):
        super().__init__([incoming, localization_network], name)
        self.localization_network = localization_network
        factors = downsample_factor
        factors = tuple(factors) if isinstance(factors, (tuple, list)) else (factors,
                                                                             factors)
        if len(factors) != 2 or not all(
                isinstance(f, numbers.Real) and 0 < f < math.inf for f in factors):
            self.fail("downsample_factor as a number > 0 or a pair of them",
                      repr(downsample_factor))
        self.downsample_factor = tuple(float(f) for f in factors)
        if border_mode not in BORDERS:
            self.fail(f"border_mode as one of {', '.join(BORDERS)}", repr(border_mode))
        self.border_mode = border_mode
        self._constants = {}  # what has been computed and moved to a device

    def get_output_shape_for(self, input_shapes):
        image, place = input_shapes
        if len(image) != 4:
            self.fail("a 4D input (N, C, H, W)", f"input_shape={tuple(image)}")
        if len(place) != 2 or place[1] != self.numbers:
            self.fail(f"a localization_network of shape (N, {self.numbers})",
                      str(tuple(place)))
        N, M = image[0], place[0]
        if None not in (N, M) and N != M:
            self.fail("as many images as places to look at", f"{N} and {M}")
        size = tuple(None if n is None else int(n // f)
                     for n, f in zip(image[2:], self.downsample_factor))
        if any(n is not None and n < 1 for n in size):
            self.fail("a downsample_factor that leaves at least a pixel",
                      f"{self.downsample_factor} of {tuple(image)}")
        return (M if N is None else N, image[1], *size)

    def forward(self, xs):
        x, theta = xs
        shape = self.get_output_shape_for([x.shape, theta.shape])
        points, cache = self.points_forward(theta, shape[2:])
        y, read = bilinear_forward(x, points, self.border_mode)
        return y.reshape(shape), (cache, read, y.shape)

    def backward(self, dy, cache):
        cache, read, shape = cache
        dx, dpoints = bilinear_backward(dy.reshape(shape), read)
        return [dx, self.points_backward(dpoints, cache)], {}

    def constant(self, make, size, like):
        """What ``make(rows, columns)`` returns, once, as an array like another."""
        key = (make.__name__, *size, device_of(like), like.dtype)
        if key not in self._constants:
            self._constants[key] = to_device(make(*size).astype(like.dtype),
                                             device_of(like))
        return self._constants[key]


class TransformerLayer(_SamplingLayer):
    """Turn, shift and scale each image as a network says: a spatial transformer.

    Each pixel (x, y) of the output, in -1 … 1, is read at (θ1 x + θ2 y + θ3,
    θ4 x + θ5 y + θ6) of the input, between its pixels. Jaderberg et al. (2015),
    arXiv:1506.02025.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    localization_network : Layer or tuple
        Output shape (N, 6), linear. A bias of (1, 0, 0, 0, 1, 0) and weights of 0 begin
        with the image as it is.
    downsample_factor : float or (float, float), default 1
        The output has H // f rows and W // f columns.
    border_mode : {'nearest', 'mirror', 'wrap'}
        What is outside of the image: its border, its mirror image, itself again.
    name : str, optional
    """

    numbers = 6

    def __init__(self, incoming: Layer | Shape, localization_network: Layer | Shape,
                 downsample_factor: float | Sequence[float] = 1,
                 border_mode: str = "nearest", *, name: str | None = None):
        super().__init__(incoming, localization_network, downsample_factor, border_mode,
                         name)
        self.get_output_shape_for(self.input_shapes)

    def points_forward(self, theta, size):
        """Where the pixels of the output are read, (N, 2, P), and a cache."""
        return affine_points_forward(theta, self.constant(sampling_grid, size, theta))

    def points_backward(self, dpoints, cache):
        """The gradient of theta."""
        return affine_points_backward(dpoints, cache)


class TPSTransformerLayer(_SamplingLayer):
    """Bend each image as a network says, by a thin plate spline.

    Control points lie in a square grid over the image. The network says how far each is
    moved, and every pixel between is moved by the smoothest map that does so: a thin
    plate that is bent at these points. Bookstein (1989), "Principal warps".

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    localization_network : Layer or tuple
        Output shape (N, 2 K) for K control points: how far each is moved along x, then
        along y, in the units of an image from -1 to 1. 0 leaves the image as it is.
    downsample_factor : float or (float, float), default 1
        The output has H // f rows and W // f columns.
    control_points : int, default 16
        K, a square number, 4 to 4096.
    precompute_grid : 'auto' or bool, default 'auto'
        Compute the map once, where the layer is made; else when an image of its size
        comes first. The numbers are the same. True needs known H and W.
    border_mode : {'nearest', 'mirror', 'wrap'}
        What is outside of the image: its border, its mirror image, itself again.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, localization_network: Layer | Shape,
                 downsample_factor: float | Sequence[float] = 1,
                 control_points: int = 16, precompute_grid: Any = "auto",
                 border_mode: str = "nearest", *, name: str | None = None):
        super().__init__(incoming, localization_network, downsample_factor, border_mode,
                         name)
        self.control_points = count(self, "control_points", control_points)
        side = math.isqrt(self.control_points)
        if not 2 <= side <= 64 or side ** 2 != self.control_points:
            self.fail("control_points as a square number, 4 to 4096",
                      repr(control_points))
        self.numbers = 2 * self.control_points
        size = self.get_output_shape_for(self.input_shapes)[2:]
        if precompute_grid not in ("auto", True, False):
            self.fail("precompute_grid as 'auto', True or False", repr(precompute_grid))
        self.precompute_grid = precompute_grid
        if None not in size and self.control_points * math.prod(size) > LARGEST:
            self.fail(f"at most {LARGEST:,} pairs of a control point and a pixel",
                      f"{self.control_points} × {size}")
        if precompute_grid is True and None in size:
            self.fail("known H and W with precompute_grid=True",
                      f"input_shape={self.input_shapes[0]}")
        #: The control points, (2, K).
        self.source_points = sampling_grid(side, side)
        self._of_size: dict = {}
        if precompute_grid and None not in size:
            self.bending(*size)

    def bending(self, rows, columns):
        """How far each pixel moves with each control point: (K, P), float64."""
        if (rows, columns) not in self._of_size:
            self._of_size[rows, columns] = _bending(self.source_points,
                                                    sampling_grid(rows, columns))
        return self._of_size[rows, columns]

    def _sources(self, rows, columns):
        return self.source_points.reshape(1, -1)

    def points_forward(self, theta, size):
        """Where the pixels of the output are read, (N, 2, P), and a cache."""
        bending = self.constant(self.bending, size, theta)
        moved = theta + self.constant(self._sources, size, theta)
        points = matmul(moved.reshape(-1, self.control_points), bending)
        return points.reshape(len(theta), 2, bending.shape[1]), (bending,)

    def points_backward(self, dpoints, cache):
        """The gradient of the offsets."""
        (bending,) = cache
        N, _, P = dpoints.shape
        return matmul(dpoints.reshape(2 * N, P), bending.T).reshape(N, self.numbers)


def _bending(sources, places):
    """The thin plate spline through control points, at other places.

    The spline is a + bx + cy and a part U(r²) = r² log r² of the distance to each
    control point. Its coefficients are linear in where these are moved, and so is each
    place's new one.

    Parameters
    ----------
    sources : array, shape (2, K)
    places : array, shape (2, P)

    Returns
    -------
    array, shape (K, P)
        ``moved_x @ this`` is the new x of all places.
    """
    K = sources.shape[1]
    system = np.zeros((K + 3, K + 3))
    system[0, 3:] = system[3:, 0] = 1
    system[1:3, 3:], system[3:, 1:3] = sources, sources.T
    system[3:, 3:] = _bent(sources, sources)
    terms = np.concatenate([np.ones((1, places.shape[1])), places,
                            _bent(sources, places)])
    return np.linalg.solve(system.T, terms)[3:]


def _bent(sources, places):
    """U(r²) of every control point and place, (K, P)."""
    squares = ((sources[:, :, None] - places[:, None]) ** 2).sum(axis=0)
    return squares * np.log(np.where(squares > 0, squares, 1))
