"""The products of a convolution in groups, with windows as columns.

With the windows of a group as columns X, a convolution is ``Y = W X``, and its
gradients are ``dW = dY X^T`` and ``dX = W^T dY``. A transposed convolution has the
same products in other places. A part of the batch and of the groups is worked on at
a time, so that columns stay in the cache.
"""

import math
from typing import NamedTuple

import numpy as np

from ..cuda import depthwise
from ..device.arrays import contiguous, on_gpu
from .products import matmul
from .unfold import fold, unfold

__all__ = ["correlate", "correlate_backward", "spread", "spread_backward"]

# Columns of a part: on a CPU about the cache of a core, on a device a share of memory.
CPU_BYTES, DEVICE_BYTES = 3 * 2 ** 20, 2 ** 30

# Rows of the output that share their columns where each group has a single channel.
# Nine numbers of a filter are too few for a product of matrices; four rows at once, as
# a sparse filter, want 18 columns and not 36.
ROWS = 4

# OpenBLAS has fast products of small matrices, of up to a million multiplications: so
# long as the filters are small, it gets the columns in pieces of that size.
SMALL_PRODUCT, SMALL_FILTERS = 10 ** 6, 4096

# Filters a channel, up to which that pays. A device has kernels for them.
FEW = 4


def correlate(x, W, geometry, groups, counts):
    """Slide filters over images, group by group.

    Parameters
    ----------
    x : array, shape (N, C, ...)
    W : array, shape (F, C / groups, size...)
    geometry : Geometry
    groups : int
        Group g of the filters sees group g of the channels.
    counts : tuple of int
        Shape of the output behind its channels.

    Returns
    -------
    array, shape (N, F, counts...)
    """
    if on_gpu(x) and _alone(W, groups):
        return depthwise.forward(x, W, geometry, counts)
    job = _Job(x, W, geometry, groups, counts)
    y = np.empty_like(x, shape=(len(x), len(W), *counts), order="C")
    for part in job.parts():
        job.write(y, part, _product(job.W[part.groups], job.columns(x, part)))
    return y


def correlate_backward(dy, x, W, geometry, groups, need_dx=True):
    """Gradients of :func:`correlate`.

    Returns
    -------
    dx : array, shape (N, C, ...), or None
    dW : array, shape (F, C / groups, size...)
    """
    if on_gpu(x) and _alone(W, groups):
        dW = depthwise.filter_gradient(dy, x, W.shape, geometry)
        dx = depthwise.input_gradient(dy, W, geometry, x.shape) if need_dx else None
        return dx, dW
    job = _Job(x, W, geometry, groups, dy.shape[2:])
    gathers = _gathers(geometry, dy, x)
    dx = np.empty_like(x, order="C") if need_dx and not gathers else None
    dW = np.zeros_like(job.W)
    for part in job.parts():
        dY = job.read(dy, part)
        _add_outer(dW[part.groups], dY, job.columns(x, part))
        if dx is not None:
            job.fold(_product(job.W[part.groups].swapaxes(1, 2), dY), dx, part)
    if need_dx and gathers:
        dx = _gather(dy, W, geometry, groups, x.shape[2:])
    return dx, job.filters(dW)


def spread(x, W, geometry, groups, lengths):
    """The transposed convolution: each pixel of ``x`` adds its filters to the output.

    It is ``dx`` of :func:`correlate_backward` where ``x`` stands for ``dy``.

    Parameters
    ----------
    x : array, shape (N, C, counts...)
    W : array, shape (C, F / groups, size...)
    geometry, groups
        As in :func:`correlate`.
    lengths : tuple of int
        Shape of the output behind its channels.

    Returns
    -------
    array, shape (N, F, lengths...)
    """
    shape = (len(x), W.shape[1] * groups, *lengths)
    if on_gpu(x) and _alone(W, groups):
        return depthwise.input_gradient(x, W, geometry, shape)
    y = np.empty_like(x, shape=shape, order="C")
    if _gathers(geometry, x, y):
        return _gather(x, W, geometry, groups, lengths)
    job = _Job(y, W, geometry, groups, x.shape[2:])
    for part in job.parts():
        X = job.read(x, part)
        job.fold(_product(job.W[part.groups].swapaxes(1, 2), X), y, part)
    return y


def spread_backward(dy, x, W, geometry, groups, need_dx=True):
    """Gradients of :func:`spread`.

    Returns
    -------
    dx : array, shape (N, C, counts...), or None
    dW : array, shape (C, F / groups, size...)
    """
    if on_gpu(x) and _alone(W, groups):
        dW = depthwise.filter_gradient(x, dy, W.shape, geometry)
        dx = depthwise.forward(dy, W, geometry, x.shape[2:]) if need_dx else None
        return dx, dW
    job = _Job(dy, W, geometry, groups, x.shape[2:])
    dx = np.empty_like(x, order="C") if need_dx else None
    dW = np.zeros_like(job.W)
    for part in job.parts():
        columns = job.columns(dy, part)
        _add_outer(dW[part.groups], job.read(x, part), columns)
        if need_dx:
            job.write(dx, part, _product(job.W[part.groups], columns))
    return dx, job.filters(dW)


def _alone(W, groups):
    """Whether each channel has a few filters of its own."""
    return W.shape[1] == 1 and len(W) <= FEW * groups


def _gathers(geometry, narrow, wide):
    """Whether to look at windows of the narrow side, in place of adding up columns.

    That takes steps of 1, and adding costs about twice what copying does.
    """
    return set(geometry.stride) == {1} and narrow.shape[1] <= 2 * wide.shape[1]


def _gather(narrow, W, geometry, groups, lengths):
    """The wide side by :func:`correlate`, with filters turned round."""
    F, C, *size = W.shape
    W = W.reshape(groups, F // groups, C, *size).swapaxes(1, 2).reshape(
        groups * C, F // groups, *size)
    turned = (..., *(slice(None, None, -1),) * len(size))
    pad = tuple(r - 1 - p for r, p in zip(geometry.reach, geometry.pad))
    return correlate(narrow, W[turned], geometry._replace(pad=pad), groups, lengths)


def _product(A, B):
    """``A @ B``, (G, M, K) by (G, K, L)."""
    pieces = _pieces(A.shape[1] * A.shape[2], B)
    if len(pieces) == 1:
        return matmul(A, B)
    out = np.empty((*A.shape[:2], B.shape[2]), B.dtype)
    for piece in pieces:
        np.matmul(A, B[..., piece], out=out[..., piece])
    return out


def _add_outer(total, A, B):
    """Add ``A @ B^T``, (G, M, L) by (G, K, L)."""
    for piece in _pieces(A.shape[1] * B.shape[1], B):
        total += matmul(A[..., piece], B[..., piece].swapaxes(1, 2))


def _pieces(filters, B):
    """Columns that make small products, if so many numbers are few."""
    L = B.shape[2]
    if on_gpu(B) or filters > SMALL_FILTERS or filters * L <= SMALL_PRODUCT:
        return [slice(0, L)]
    step = SMALL_PRODUCT // filters
    return [slice(start, start + step) for start in range(0, L, step)]


class _Part(NamedTuple):
    """Some images and some groups, and what the groups have of channels and filters."""

    images: slice
    groups: slice
    channels: slice
    filters: slice


class _Job:
    """One product: its parts, its columns, and filters as matrices.

    The letters are those of a convolution: columns are made of the wide side (N, C,
    ...), whose windows are the pixels of the narrow side (N, F, counts...).

    Attributes
    ----------
    W : array, shape (groups, rows*F/groups, C/groups*K)
        Filters as rows. Where ``rows`` of the output share their columns, a filter
        stands there so many times, each time one step further down.
    """

    def __init__(self, wide, W, geometry, groups, counts):
        self.groups, self.counts = groups, tuple(counts)
        self.shape, self.step = W.shape, geometry.stride[0]
        share = _alone(W, groups) and geometry.size[0] > 1 == geometry.dilation[0]
        self.rows = min(ROWS, counts[0]) if share else 1
        k, *others = geometry.size
        tall = (self.rows - 1) * self.step + k if self.rows > 1 else k
        self.geometry = geometry._replace(
            size=(tall, *others), stride=(self.rows * self.step, *geometry.stride[1:]))
        self.windows = (-(-counts[0] // self.rows), *self.counts[1:])
        filters = W
        if self.rows > 1:  # (F, rows, 1, tall, ...)
            filters = np.zeros((len(W), self.rows, 1, tall, *others), W.dtype)
            for row in range(self.rows):
                filters[:, row, :, row * self.step:row * self.step + k] = W
        self.W = contiguous(filters).reshape(
            groups, len(W) // groups * self.rows, -1)
        self.buffer, self.N, self.C = None, len(wide), wide.shape[1]
        self.memory = DEVICE_BYTES if on_gpu(W) else CPU_BYTES
        self.itemsize = wide.dtype.itemsize

    def parts(self):
        """Parts whose columns fit: first as many images, then as many groups."""
        one = self.W.shape[2] * math.prod(self.windows) * self.itemsize
        images = max(1, min(self.N, self.memory // max(1, one)))
        groups = max(1, min(self.groups, self.memory // max(1, one * images)))
        if on_gpu(self.W):  # a part of the groups would not be contiguous
            images, groups = max(1, self.memory // max(1, one * self.groups)), (
                self.groups)
        C, F = self.C // self.groups, self.shape[0] // self.groups
        for g in range(0, self.groups, groups):
            end = min(self.groups, g + groups)
            for n in range(0, self.N, images):
                yield _Part(slice(n, min(self.N, n + images)), slice(g, end),
                            slice(g * C, end * C), slice(g * F, end * F))

    def columns(self, x, part):
        """Columns of the wide side, (groups, C/groups*K, n*windows)."""
        x = x[part.images, part.channels]
        shape = (x.shape[1], *self.geometry.size, len(x), *self.windows)
        if self.buffer is None or self.buffer.shape != shape:
            self.buffer = None if on_gpu(x) else np.zeros(shape, x.dtype)
        found = unfold(x, self.geometry, self.windows, self.buffer)
        return found.reshape(part.groups.stop - part.groups.start, self.W.shape[2], -1)

    def fold(self, columns, x, part):
        """Add columns to the wide side."""
        x = x[part.images, part.channels]
        fold(columns.reshape(x.shape[1], *self.geometry.size, len(x), *self.windows),
             self.geometry, x)

    def read(self, y, part):
        """The narrow side as a matrix, (groups, rows*F/groups, n*windows)."""
        y = y[part.images, part.filters].swapaxes(0, 1)  # (F, n, *counts)
        groups = part.groups.stop - part.groups.start
        if self.rows == 1:
            return contiguous(y).reshape(groups, self.W.shape[1], -1)
        found = np.zeros((len(y), self.rows, y.shape[1], *self.windows), y.dtype)
        for row in range(self.rows):
            mine = y[:, :, row::self.rows]
            found[:, row, :, :mine.shape[2]] = mine
        return found.reshape(groups, self.W.shape[1], -1)

    def write(self, y, part, product):
        """Put such a matrix into the narrow side."""
        y = y[part.images, part.filters].swapaxes(0, 1)  # (F, n, *counts)
        product = product.reshape(len(y), self.rows, y.shape[1], *self.windows)
        for row in range(self.rows):
            mine = y[:, :, row::self.rows]
            mine[...] = product[:, row, :, :mine.shape[2]]

    def filters(self, dW):
        """Gradients of ``W`` as those of the filters."""
        if self.rows == 1:
            return dW.reshape(self.shape)
        k = self.shape[2]
        dW = dW.reshape(self.shape[0], self.rows, 1, *self.geometry.size)
        return sum(dW[:, row, :, row * self.step:row * self.step + k]
                   for row in range(self.rows))
