"""Layers that make images larger by whole factors."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Shape
from ..ops.upscale import UPSCALE_MODES, upscale_backward, upscale_forward
from .base import Layer
from .options import several, shaped

__all__ = ["Upscale1DLayer", "Upscale2DLayer", "Upscale3DLayer"]


class _UpscaleLayer(Layer):
    """What upscaling of all axes shares."""

    n = 2

    def __init__(self, incoming: Layer | Shape, scale_factor: int | Sequence[int],
                 mode: str = "repeat", *, name: str | None = None):
        super().__init__(incoming, name)
        shaped(self, self.n)
        self.scale_factor = several(self, "scale_factor", scale_factor, self.n)
        if mode not in UPSCALE_MODES:
            self.fail(f"mode as one of {', '.join(UPSCALE_MODES)}", repr(mode))
        self.mode = mode

    def get_output_shape_for(self, input_shape):
        return tuple(input_shape[:2]) + tuple(
            None if length is None else length * f
            for length, f in zip(input_shape[2:], self.scale_factor))

    def forward(self, x):
        return upscale_forward(x, self.scale_factor, self.mode)

    def backward(self, dy, cache):
        return upscale_backward(dy, cache), {}


class Upscale1DLayer(_UpscaleLayer):
    """Each pixel several times, or set apart by zeros.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, L).
    scale_factor : int or (int,)
        At least 1.
    mode : {'repeat', 'dilate', 'linear'}, default 'repeat'
        'dilate' puts the pixel in the first place of its box, and zeros elsewhere. With
        a convolution behind it, a transposed one does the same with less work. 'linear'
        joins the pixels' centres by straight lines (bilinear interpolation in 2D).
    name : str, optional
    """

    n = 1


class Upscale2DLayer(_UpscaleLayer):
    """Each pixel as a box of pixels, or set apart by zeros.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    scale_factor : int or (int, int)
        At least 1.
    mode : {'repeat', 'dilate', 'linear'}, default 'repeat'
        'dilate' puts the pixel in the first place of its box, and zeros elsewhere. With
        a convolution behind it, a transposed one does the same with less work. 'linear'
        joins the pixels' centres by straight lines (bilinear interpolation in 2D).
    name : str, optional
    """

    n = 2


class Upscale3DLayer(_UpscaleLayer):
    """Each pixel as a box of pixels, or set apart by zeros.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, D, H, W).
    scale_factor : int or (int, int, int)
        At least 1.
    mode : {'repeat', 'dilate', 'linear'}, default 'repeat'
        'dilate' puts the pixel in the first place of its box, and zeros elsewhere. With
        a convolution behind it, a transposed one does the same with less work. 'linear'
        joins the pixels' centres by straight lines (bilinear interpolation in 2D).
    name : str, optional
    """

    n = 3
