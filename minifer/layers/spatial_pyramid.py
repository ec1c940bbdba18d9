"""The layer of spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Shape
from ..ops.pool import POOL_MODES
from ..ops.pyramid import PYRAMIDS, pyramid_backward, pyramid_bins, pyramid_forward
from .base import Layer
from .options import several, shaped

__all__ = ["SpatialPyramidPoolingLayer"]


class SpatialPyramidPoolingLayer(Layer):
    """Pool over grids of bins, one finer than the other: images of any size fit.

    He et al. (2015), "Spatial pyramid pooling in deep convolutional networks for visual
    recognition".

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W); H and W may be None. The output is (N, C, B), with
        B the sum of n² over ``pool_dims``.
    pool_dims : list of int, default [4, 2, 1]
        A grid of n by n bins for each n.
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}, default 'max'
        The means are the same, as nothing is padded.
    implementation : {'fast', 'kaiming'}, default 'fast'
        'fast': windows of ceil(H / n), floor(H / n) apart; where these are not n the
        image is refused. 'kaiming', for any size: bin i from floor(i H / n) to
        ceil((i + 1) H / n).
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pool_dims: Sequence[int] = (4, 2, 1),
                 mode: str = "max", implementation: str = "fast", *,
                 name: str | None = None):
        super().__init__(incoming, name)
        shaped(self, 2)
        if not isinstance(pool_dims, (tuple, list)) or not pool_dims:
            self.fail("pool_dims as a list of whole numbers", repr(pool_dims))
        self.pool_dims = several(self, "pool_dims", pool_dims, len(pool_dims))
        if mode not in POOL_MODES:
            self.fail(f"mode as one of {', '.join(POOL_MODES)}", repr(mode))
        if implementation not in PYRAMIDS:
            self.fail(f"implementation as one of {', '.join(PYRAMIDS)}",
                      repr(implementation))
        self.mode, self.implementation = mode, implementation
        for length in self.input_shape[2:]:
            for n in self.pool_dims:
                if length is not None and n != len(
                        pyramid_bins(length, n, implementation)):
                    self.fail(f"an image that {n} by {n} windows side by side cover",
                              f"input_shape={self.input_shape}",
                              "Use implementation='kaiming'.")

    def get_output_shape_for(self, input_shape):
        return (*input_shape[:2], sum(n * n for n in self.pool_dims))

    def forward(self, x):
        mode = "max" if self.mode == "max" else "mean"
        return pyramid_forward(x, self.pool_dims, mode, self.implementation)

    def backward(self, dy, cache):
        return pyramid_backward(dy, cache), {}
