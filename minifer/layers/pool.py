"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Shape
from ..ops.pool import (GLOBAL_MODES, POOL_MODES, global_pool_backward,
                        global_pool_forward, pool2d_backward, pool2d_forward,
                        pool_length)
from .base import Layer
from .options import pair

__all__ = ["Pool2DLayer", "MaxPool2DLayer", "GlobalPoolLayer"]


class Pool2DLayer(Layer):
    """The largest or the mean of each window, channel by channel.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    pool_size : int or (int, int)
        Window (kh, kw).
    stride : int, (int, int) or None
        Step; None (default) means the window, so that windows do not overlap.
    pad : int or (int, int), default (0, 0)
        Smaller than the window. Minus infinity for 'max', zeros for the means.
    ignore_border : bool, default True
        False also pools the incomplete windows at the bottom and right;
        ``pad`` must then be 0.
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}
        Whether means count padded zeros.
    name : str, optional

    Notes
    -----
    A maximum that stands several times in a window passes its gradient to the
    first of them (Theano's CPU code passes it to each).
    """

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0), ignore_border: bool = True,
                 mode: str = "max", name: str | None = None):
        super().__init__(incoming, name)
        if len(self.input_shape) != 4:
            self.fail("a 4D input (N, C, H, W)", f"input_shape={self.input_shape}",
                      "Put it before the FlattenLayer.")
        self.pool_size = pair(self, "pool_size", pool_size)
        self.stride = self.pool_size if stride is None else pair(self, "stride", stride)
        self.pad = pair(self, "pad", pad, least=0)
        self.ignore_border = bool(ignore_border)
        if mode not in POOL_MODES:
            self.fail(f"mode as one of {', '.join(POOL_MODES)}", repr(mode))
        self.mode = mode
        if any(p >= k for p, k in zip(self.pad, self.pool_size)):
            self.fail(f"pad smaller than pool_size {self.pool_size}", str(self.pad))
        if not ignore_border and self.pad != (0, 0):
            self.fail("pad = 0 with ignore_border=False", str(self.pad))
        if any(n is not None and n < 1 for n in self.output_shape[2:]):
            self.fail(f"an image of at least {self.pool_size} pixels once padded by "
                      f"{self.pad}", f"input_shape={self.input_shape}",
                      "Use a smaller window or ignore_border=False.")

    def get_output_shape_for(self, input_shape):
        return tuple(input_shape[:2]) + tuple(
            pool_length(*axis, self.ignore_border) for axis in zip(
                input_shape[2:], self.pool_size, self.stride, self.pad))

    def forward(self, x):
        return pool2d_forward(x, self.pool_size, self.stride, self.pad,
                              self.ignore_border, self.mode)

    def backward(self, dy, cache):
        return pool2d_backward(dy, cache), {}


class MaxPool2DLayer(Pool2DLayer):
    """:class:`Pool2DLayer` with ``mode='max'``."""

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0), ignore_border: bool = True,
                 name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, "max", name)


class GlobalPoolLayer(Layer):
    """Pool each channel over the whole image: (N, C, H, W) becomes (N, C).

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, ...).
    pool_function : {'mean', 'max', 'sum'}, default 'mean'
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pool_function: str = "mean",
                 name: str | None = None):
        super().__init__(incoming, name)
        if len(self.input_shape) < 3:
            self.fail("an input (N, C, ...) with at least one more axis",
                      f"input_shape={self.input_shape}")
        if pool_function not in GLOBAL_MODES:
            self.fail(f"pool_function as one of {', '.join(GLOBAL_MODES)}",
                      repr(pool_function))
        self.pool_function = pool_function

    def get_output_shape_for(self, input_shape):
        return tuple(input_shape[:2])

    def forward(self, x):
        return global_pool_forward(x, self.pool_function)

    def backward(self, dy, cache):
        return global_pool_backward(dy, cache), {}
