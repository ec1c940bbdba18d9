r"""Convolution of one to three dimensions: in groups, dilated, and transposed.

Letters: n axes behind the channels; k, s, p, d the filter's size, stride, padding and
dilation along each; G groups. The plain case of two dimensions, to be read first, is
:mod:`minifer.ops.conv`.
"""

import math

import numpy as np

from ..cuda import reduce as reduce_kernels
from ..device.arrays import contiguous, on_gpu
from ..errors import ShapeError
from .by_columns import correlate, correlate_backward, spread, spread_backward
from .products import matmul
from .unfold import Geometry

__all__ = ["conv_forward", "conv_backward", "transposed_conv_forward",
           "transposed_conv_backward", "bias_gradient"]


def conv_forward(x, W, b=None, stride=None, pad=None, dilation=None, groups=1,
                 flip_filters=True):
    r"""Convolve with a bank of filters, each of which sees one group of channels.

    .. math:: y_{n,f,i} = b_f + \sum_{c,u} W_{f,c,k-1-u}\,
              p_{n,\,gC/G+c,\,s\,i+d\,u}, \qquad g = \lfloor f G / F \rfloor

    where i and u have n entries, and :math:`p` is ``x`` padded with zeros. With
    ``flip_filters=False`` it is :math:`W_{f,c,u}` (cross-correlation).

    Parameters
    ----------
    x : array, shape (N, C, ...)
        One to three axes behind the channels.
    W : array, shape (F, C / groups, k...)
    b : array, shape (F,) or (F, out...), or None
    stride, pad, dilation : tuple of int, optional
        A number for each axis; 1, 0 and 1 by default.
    groups : int, default 1
        A divisor of C and of F. With C groups each channel has filters of its own.
    flip_filters : bool, default True

    Returns
    -------
    y : array, shape (N, F, out...)
        ``out = (length + 2 p - d (k - 1) - 1) // s + 1`` along each axis.
    cache : tuple
        For :func:`conv_backward`.

    Raises
    ------
    ShapeError
        If shapes and options do not fit together, or a filter is larger than the
        padded image.
    """
    geometry = _geometry("conv", x, W, stride, pad, dilation, groups)
    (_, C, *lengths), F = x.shape, len(W)
    counts = geometry.counts(lengths)
    if C != W.shape[1] * groups or F % groups:
        raise ShapeError(f"conv: expected W (F, C / groups, ...) for x {x.shape} in "
                         f"{groups} groups, with F a multiple of it, got {W.shape}.")
    if min(lengths) < 1 or min(counts) < 1:
        raise ShapeError(
            f"conv: expected images of at least {geometry.reach} once padded by "
            f"{geometry.pad}, got {x.shape}.")
    b, b_ndim = _bias("conv", b, F, counts, x.dtype)
    W = _facing(W.astype(x.dtype, copy=False), flip_filters)
    product = _pointwise if _is_pointwise(geometry) else correlate
    y = product(x, W, geometry, groups, counts)
    if b is not None:
        y += b
    return y, (x, W, b_ndim, geometry, groups, flip_filters)


def conv_backward(dy, cache, need_dx=True):
    """Gradients of :func:`conv_forward`.

    Parameters
    ----------
    dy : array, shape (N, F, out...)
    cache : tuple
    need_dx : bool, default True

    Returns
    -------
    dx : array, shape (N, C, ...), or None
    dW : array, shape (F, C / groups, k...)
    db : array of b's shape, or None if there was no bias
    """
    x, W, b_ndim, geometry, groups, flip_filters = cache
    backward = (_pointwise_backward if _is_pointwise(geometry) else correlate_backward)
    dx, dW = backward(dy, x, W, geometry, groups, need_dx)
    return dx, contiguous(_facing(dW, flip_filters)), bias_gradient(dy, b_ndim)


def transposed_conv_forward(x, W, b=None, stride=None, crop=None, dilation=None,
                            groups=1, flip_filters=False, output_size=None):
    r"""Let each pixel add its filters to the output: a convolution's input gradient.

    .. math:: y_{n,f,\,s\,i+d\,u-p} = b_f + \sum_{c,i,u} x_{n,c,i}\, W_{c,f,k-1-u}

    Parameters
    ----------
    x : array, shape (N, C, ...)
        One to three axes behind the channels.
    W : array, shape (C, F / groups, k...)
    b : array, shape (F,) or (F, out...), or None
    stride, crop, dilation : tuple of int, optional
        Step in the output from one pixel to the next, what is left out of it on each
        side (p), and steps between the elements of a filter; 1, 0 and 1 by default.
    groups : int, default 1
    flip_filters : bool, default False
        As Lasagne has it: False means that the output is what a cross-correlation of
        the spread image with W is, and True puts :math:`W_{c,f,u}` there.
    output_size : tuple of int, optional
        Shape of the output behind its channels, up to s - 1 more than the least along
        each axis.

    Returns
    -------
    y : array, shape (N, F, out...)
        ``out = (length - 1) s + d (k - 1) + 1 - 2 p`` along each axis, by default.
    cache : tuple
        For :func:`transposed_conv_backward`.

    Raises
    ------
    ShapeError
        If shapes and options do not fit together, or nothing is left of the output.
    """
    geometry = _geometry("transposed_conv", x, W, stride, crop, dilation, groups)
    counts, C = x.shape[2:], x.shape[1]
    if C != len(W) or C % groups:
        raise ShapeError(
            f"transposed_conv: expected W (C, F / groups, ...) for x {x.shape}, with C "
            f"a multiple of {groups} groups, got {W.shape}.")
    least = tuple((count - 1) * s + r - 2 * p for count, s, r, p
                  in zip(counts, geometry.stride, geometry.reach, geometry.pad))
    lengths = least if output_size is None else tuple(output_size)
    if len(lengths) != len(least) or min(counts) < 1 or min(lengths) < 1 or (
            geometry.counts(lengths) != tuple(counts)):
        raise ShapeError(
            f"transposed_conv: expected an output of at least one pixel, {least} or up "
            f"to a step less one more, got {lengths} for x {x.shape}.")
    b, b_ndim = _bias("transposed_conv", b, W.shape[1] * groups, lengths, x.dtype)
    W = _facing(W.astype(x.dtype, copy=False), not flip_filters)
    y = spread(x, W, geometry, groups, lengths)
    if b is not None:
        y += b
    return y, (x, W, b_ndim, geometry, groups, flip_filters)


def transposed_conv_backward(dy, cache, need_dx=True):
    """Gradients of :func:`transposed_conv_forward`.

    Parameters
    ----------
    dy : array, shape (N, F, out...)
    cache : tuple
    need_dx : bool, default True

    Returns
    -------
    dx : array, shape (N, C, ...), or None
    dW : array, shape (C, F / groups, k...)
    db : array of b's shape, or None if there was no bias
    """
    x, W, b_ndim, geometry, groups, flip_filters = cache
    dx, dW = spread_backward(dy, x, W, geometry, groups, need_dx)
    return dx, contiguous(_facing(dW, not flip_filters)), bias_gradient(dy, b_ndim)


def _geometry(op, x, W, stride, pad, dilation, groups):
    n = x.ndim - 2
    if not 1 <= n <= 3 or W.ndim != x.ndim:
        raise ShapeError(
            f"{op}: expected x (N, C, ...) of one to three axes behind the channels, "
            f"and W of as many, got {x.shape} and {W.shape}.")
    geometry = Geometry(tuple(W.shape[2:]), *(
        (value,) * n if option is None else tuple(option)
        for option, value in ((stride, 1), (pad, 0), (dilation, 1))))
    if any(len(option) != n for option in geometry) or groups < 1 or (
            min(W.shape) < 1 or min(geometry.stride + geometry.dilation) < 1
            or min(geometry.pad) < 0):
        raise ShapeError(
            f"{op}: expected {n} numbers each, of filters, strides, dilations and "
            f"groups >= 1, of padding >= 0, got {tuple(geometry)} and {groups} groups.")
    return geometry


def _bias(op, b, F, counts, dtype):
    """The bias, shaped to be added to y, and how many axes it had."""
    if b is None:
        return None, None
    if b.shape not in ((F,), (F, *counts)):
        raise ShapeError(
            f"{op}: expected a bias ({F},) or {(F, *counts)}, got {b.shape}.")
    shape = (F, *(1,) * len(counts)) if b.ndim == 1 else b.shape
    return b.astype(dtype, copy=False).reshape(shape), b.ndim


def bias_gradient(dy, b_ndim):
    """Gradient of a bias (F,) or (F, out...), by its number of axes; None for None."""
    if b_ndim is None:
        return None
    total = reduce_kernels.sum_over if on_gpu(dy) else np.sum
    return total(dy, (0, *range(2, dy.ndim)) if b_ndim == 1 else (0,))


def _facing(W, flipped):
    """Filters turned round along all their axes, or as they are."""
    turned = (..., *(slice(None, None, -1),) * (W.ndim - 2))
    return W[turned] if flipped else W


# --- filters of one pixel: windows are the image itself ----------------------

def _is_pointwise(geometry):
    n = len(geometry.size)
    return geometry[:3] == ((1,) * n, (1,) * n, (0,) * n)


def _pointwise(x, W, geometry, groups, counts):
    """:func:`correlate`, with a product for each image, of its channels in place."""
    y = matmul(_by_group(W, 0, groups), _by_group(x, 1, groups))
    return y.reshape(len(x), len(W), *counts)


def _pointwise_backward(dy, x, W, geometry, groups, need_dx=True):
    """:func:`correlate_backward`, likewise."""
    dY, X = _by_group(dy, 1, groups), _by_group(x, 1, groups)  # (N, G, ., P)
    dW = matmul(dY, X.swapaxes(-1, -2)).sum(axis=0).reshape(W.shape)
    if not need_dx:
        return None, dW
    W = _by_group(W, 0, groups)
    return matmul(W.swapaxes(-1, -2), dY).reshape(x.shape), dW


def _by_group(x, axis, groups):
    """Channels at ``axis`` by group, (..., G, C / G, P): what follows as one axis."""
    *before, C = x.shape[:axis + 1]
    return contiguous(x).reshape(*before, groups, C // groups,
                                 math.prod(x.shape[axis + 1:]))
