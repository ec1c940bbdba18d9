"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._types import Shape
from ..device.arrays import contiguous
from ..errors import SettingError
from ..ops.pool import (GLOBAL_MODES, POOL_MODES, global_pool_backward,
                        global_pool_forward, pool_length)
from ..ops.pool_nd import pool_backward, pool_forward
from .base import Layer
from .conv import conv_output_length
from .options import several, shaped
from .padding import add_border, cut_border, is_even, pad_option, sides_of

__all__ = ["Pool1DLayer", "Pool2DLayer", "Pool3DLayer", "MaxPool1DLayer",
           "MaxPool2DLayer", "MaxPool3DLayer", "GlobalPoolLayer", "pool_output_length",
           "pool_function_name"]


def pool_output_length(input_length: int | None, pool_size: int | None, stride: int,
                       pad: int, ignore_border: bool) -> int | None:
    """Number of pooling windows along one axis.

    Parameters
    ----------
    input_length, pool_size : int or None
    stride, pad : int
    ignore_border : bool
        False, with pad 0 only, counts a last window that hangs over the end.

    Returns
    -------
    int or None
        None if the length or the window is not known.
    """
    if input_length is None or pool_size is None:
        return None
    if pad and not ignore_border:
        raise SettingError(f"pad: expected 0 with ignore_border=False, got {pad}.")
    return pool_length(input_length, pool_size, stride, pad, ignore_border)


class _PoolLayer(Layer):
    """What pooling of all axes shares."""

    n = 2

    def __init__(self, incoming, pool_size, stride, pad, ignore_border, mode, name):
        super().__init__(incoming, name)
        shaped(self, self.n)
        self.pool_size = several(self, "pool_size", pool_size, self.n)
        self.stride = (self.pool_size if stride is None
                       else several(self, "stride", stride, self.n))
        self.pad = pad_option(self, "pad", pad, self.input_shape[2:], self.pool_size,
                              self.stride)
        self.ignore_border = bool(ignore_border)
        if mode not in POOL_MODES:
            self.fail(f"mode as one of {', '.join(POOL_MODES)}", repr(mode))
        self.mode = mode
        sides = () if isinstance(self.pad, str) else sides_of(self.pad, (), (), ())
        if any(max(p) >= k for p, k in zip(sides, self.pool_size)):
            self.fail(f"pad smaller than pool_size {self.pool_size}", str(self.pad))
        if not ignore_border and (isinstance(self.pad, str) or any(self.pad)):
            self.fail("pad = 0 with ignore_border=False", str(self.pad))
        if any(n is not None and n < 1 for n in self.output_shape[2:]):
            self.fail(f"an image of at least {self.pool_size} pixels once padded by "
                      f"{self.pad}", f"input_shape={self.input_shape}",
                      "Use a smaller window or ignore_border=False.")

    def get_output_shape_for(self, input_shape):
        if not is_even(self.pad):
            pads = (self.pad,) * self.n if isinstance(self.pad, str) else self.pad
            return tuple(input_shape[:2]) + tuple(
                conv_output_length(*axis) for axis in zip(
                    input_shape[2:], self.pool_size, self.stride, pads))
        return tuple(input_shape[:2]) + tuple(
            pool_length(*axis, self.ignore_border) for axis in zip(
                input_shape[2:], self.pool_size, self.stride, self.pad))

    def forward(self, x):
        if not is_even(self.pad):
            return self._forward_in_border(x)
        y, cache = self.pool(x, self.pad)
        return y, (None, None, cache)

    def backward(self, dy, cache):
        sides, share, cache = cache
        dx = pool_backward(dy if share is None else dy / share, cache)
        return (dx if sides is None else contiguous(cut_border(dx, sides))), {}

    def pool(self, x, pad):
        """The pooling alone, and a cache, with a number of pixels for each axis."""
        return pool_forward(x, self.pool_size, self.stride, pad, self.ignore_border,
                            self.mode)

    def _forward_in_border(self, x):
        """Sides that differ stand around the image before it is pooled."""
        sides = sides_of(self.pad, x.shape[2:], self.pool_size, self.stride)
        nothing = (0,) * self.n
        y, cache = self.pool(
            add_border(x, sides, -np.inf if self.mode == "max" else 0.0), nothing)
        if self.mode != "average_exc_pad":
            return y, (sides, None, cache)
        real = add_border(np.ones_like(x, shape=(1, 1, *x.shape[2:])), sides)
        share, _ = self.pool(real, nothing)  # of a window's pixels that are the image's
        return y / share, (sides, share, cache)


class Pool1DLayer(_PoolLayer):
    """The largest or the mean of each window, channel by channel.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, L).
    pool_size : int or (int,)
        Window k.
    stride : int, (int,) or None
        Step; None (default) means the window, so that windows do not overlap.
    pad : int or (int,), default 0
        Smaller than the window. Minus infinity for 'max', zeros for the means.
    ignore_border : bool, default True
        False also pools the incomplete windows at the end;
        ``pad`` must then be 0.
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}
        Whether means count padded zeros.
    name : str, optional
    """

    n = 1

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = 0, ignore_border: bool = True,
                 mode: str = "max", *, name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode, name)


class MaxPool1DLayer(Pool1DLayer):
    """:class:`Pool1DLayer` with ``mode='max'``."""

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = 0, ignore_border: bool = True, *,
                 name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, "max",
                         name=name)


class Pool2DLayer(_PoolLayer):
    """The largest or the mean of each window, channel by channel.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    pool_size : int or (int, int)
        Window (kh, kw).
    stride : int, (int, int) or None
        Step; None (default) means the window, so that windows do not overlap.
    pad : int, (int, int), or sides that differ, default (0, 0)
        Smaller than the window. Minus infinity for 'max', zeros for the means. Pairs,
        'same_upper' and 'same_lower' as for :class:`~minifer.layers.Conv2DLayer`; with
        'average_exc_pad' the first is Keras's "same".
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

    n = 2

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0), ignore_border: bool = True,
                 mode: str = "max", *, name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode, name)


class MaxPool2DLayer(Pool2DLayer):
    """:class:`Pool2DLayer` with ``mode='max'``."""

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0), ignore_border: bool = True, *,
                 name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, "max",
                         name=name)


class Pool3DLayer(_PoolLayer):
    """The largest or the mean of each window, channel by channel.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, D, H, W).
    pool_size : int or (int, int, int)
        Window (kd, kh, kw).
    stride : int, (int, int, int) or None
        Step; None (default) means the window, so that windows do not overlap.
    pad : int or (int, int, int), default (0, 0, 0)
        Smaller than the window. Minus infinity for 'max', zeros for the means.
    ignore_border : bool, default True
        False also pools the incomplete windows at the far ends;
        ``pad`` must then be 0.
    mode : {'max', 'average_inc_pad', 'average_exc_pad'}
        Whether means count padded zeros.
    name : str, optional
    """

    n = 3

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0, 0), ignore_border: bool = True,
                 mode: str = "max", *, name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, mode, name)


class MaxPool3DLayer(Pool3DLayer):
    """:class:`Pool3DLayer` with ``mode='max'``."""

    def __init__(self, incoming: Layer | Shape, pool_size: int | Sequence[int],
                 stride: int | Sequence[int] | None = None,
                 pad: int | Sequence[int] = (0, 0, 0), ignore_border: bool = True, *,
                 name: str | None = None):
        super().__init__(incoming, pool_size, stride, pad, ignore_border, "max",
                         name=name)


class GlobalPoolLayer(Layer):
    """Pool each channel over the whole image: (N, C, H, W) becomes (N, C).

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, ...).
    pool_function : {'mean', 'max', 'sum'} or function, default 'mean'
        A function stands for its name: see :func:`pool_function_name`.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, pool_function: str | Callable = "mean",
                 *, name: str | None = None):
        super().__init__(incoming, name)
        if len(self.input_shape) < 3:
            self.fail("an input (N, C, ...) with at least one more axis",
                      f"input_shape={self.input_shape}")
        self.pool_function = pool_function_name(self, pool_function)

    def get_output_shape_for(self, input_shape):
        return tuple(input_shape[:2])

    def forward(self, x):
        return global_pool_forward(x, self.pool_function)

    def backward(self, dy, cache):
        return global_pool_backward(dy, cache), {}


def pool_function_name(layer: Layer, pool_function: str | Callable) -> str:
    """The name of a pooling function, ``'mean'``, ``'max'`` or ``'sum'``.

    Parameters
    ----------
    layer : Layer
        The layer to name in an error.
    pool_function : str or function
        A name, or the function of that name of :mod:`minifer.tensor` (as Lasagne's
        scripts have it, ``T.max``) or NumPy.

    Returns
    -------
    str
    """
    name = pool_function
    if callable(pool_function) and (getattr(pool_function, "__module__", None) or ""
                                    ).partition(".")[0] in ("minifer", "numpy"):
        name = getattr(pool_function, "__name__", "")
    if name not in GLOBAL_MODES:
        layer.fail(f"pool_function as one of {', '.join(GLOBAL_MODES)}",
                   repr(pool_function))
    return str(name)
