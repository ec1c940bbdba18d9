"""Filters that differ from place to place: a convolution that shares nothing."""

import math

import numpy as np

from ..device.arrays import contiguous
from ..errors import ShapeError
from .products import matmul
from .unfold import Geometry, fold, unfold

__all__ = ["local_forward", "local_backward"]


def local_forward(x, W, stride=None, pad=None, flip_filters=True):
    r"""Apply to each window a bank of filters of its own.

    .. math:: y_{n,f,i} = \sum_{c,u} W_{f,c,k-1-u,i}\, p_{n,c,s\,i+u}

    where i and u have an entry for each axis, and :math:`p` is ``x`` padded with
    zeros. With ``flip_filters=False`` it is :math:`W_{f,c,u,i}`.

    Parameters
    ----------
    x : array, shape (N, C, ...)
        One to three axes behind the channels.
    W : array, shape (F, C, k..., out...), or (C, k..., out...)
        In the second form channel by channel: filter c sees channel c alone.
    stride, pad : tuple of int, optional
        1 and 0 by default.
    flip_filters : bool, default True

    Returns
    -------
    y : array, shape (N, F, out...), or (N, C, out...)
    cache : tuple
        For :func:`local_backward`.

    Raises
    ------
    ShapeError
        If W does not fit the windows of x.
    """
    n = x.ndim - 2
    alone = W.ndim == x.ndim + n - 1
    size, out = W.shape[-2 * n:-n], W.shape[-n:]
    if not 1 <= n <= 3 or W.ndim not in (x.ndim + n - 1, x.ndim + n) or (
            W.shape[0 if alone else 1] != x.shape[1]):
        raise ShapeError("local: expected x (N, C, ...) and W (F, C, *k, *out) or (C, "
                         f"*k, *out), got {x.shape} and {W.shape}.")
    geometry = Geometry(size, *((value,) * n if option is None else tuple(option)
                                for option, value in ((stride, 1), (pad, 0))), (1,) * n)
    if geometry.counts(x.shape[2:]) != out:
        raise ShapeError(f"local: expected filters for {geometry.counts(x.shape[2:])} "
                         f"windows of {x.shape}, got {W.shape}.")
    W = W.astype(x.dtype, copy=False)
    columns = unfold(x, geometry, out)  # (C, *k, N, *out)
    if alone:
        K, P, C = math.prod(size), math.prod(out), x.shape[1]
        columns = columns.reshape(C, K, len(x), P)
        filters = _turned(W, n, flip_filters).reshape(C, K, 1, P)
        y = (columns * filters).sum(axis=1)  # (C, N, P)
        y = contiguous(y.swapaxes(0, 1)).reshape(len(x), C, *out)
    else:
        columns, filters = _columns(columns, n), _filters(W, n, flip_filters)
        y = matmul(columns, filters).transpose(1, 2, 0)  # (N, F, P)
        y = contiguous(y).reshape(len(x), len(W), *out)
    return y, (columns, filters, x.shape, W.shape, geometry, flip_filters)


def local_backward(dy, cache, need_dx=True):
    """Gradients of :func:`local_forward`.

    Parameters
    ----------
    dy : array of y's shape
    cache : tuple
    need_dx : bool, default True

    Returns
    -------
    dx : array of x's shape, or None
    dW : array of W's shape
    """
    columns, filters, x_shape, W_shape, geometry, flip_filters = cache
    n, (N, C) = len(geometry.size), x_shape[:2]
    P = math.prod(W_shape[-n:])
    d = contiguous(dy).reshape(N, dy.shape[1], P)
    if len(W_shape) == 2 * n + 1:
        d = d.swapaxes(0, 1)[:, None]  # (C, 1, N, P)
        dW = (columns * d).sum(axis=2).reshape(W_shape)
        dcolumns = filters * d if need_dx else None  # (C, K, N, P)
    else:
        d = d.transpose(2, 0, 1)  # (P, N, F)
        dW = matmul(columns.swapaxes(1, 2), d).transpose(2, 1, 0).reshape(W_shape)
        dcolumns = (matmul(d, filters.swapaxes(1, 2)).transpose(2, 1, 0)
                    if need_dx else None)  # (C*K, N, P)
    dW = contiguous(_turned(dW, n, flip_filters))
    if dcolumns is None:
        return None, dW
    dx = np.empty_like(dcolumns, shape=x_shape, order="C")
    fold(dcolumns.reshape(C, *geometry.size, N, *W_shape[-n:]), geometry, dx)
    return dx, dW


def _columns(columns, n):
    """Columns place by place, (P, N, C*K)."""
    C, size = columns.shape[0], columns.shape[1:1 + n]
    N, out = columns.shape[1 + n], columns.shape[2 + n:]
    columns = columns.reshape(C * math.prod(size), N, math.prod(out))
    return contiguous(columns.transpose(2, 1, 0))


def _filters(W, n, flipped):
    """Filters place by place, (P, C*K, F)."""
    F, P = len(W), math.prod(W.shape[-n:])
    W = _turned(W, n, flipped).reshape(F, math.prod(W.shape[1:-n]), P)
    return contiguous(W.transpose(2, 1, 0))


def _turned(W, n, flipped):
    """Filters turned round, or as they are; their places stay."""
    if not flipped:
        return W
    turned = (..., *(slice(None, None, -1),) * n, *(slice(None),) * n)
    return W[turned]
