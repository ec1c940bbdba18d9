"""Windows of one to three dimensions as columns, and back: strided, padded, dilated."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from ..cuda import unfold as unfold_kernels
from ..device.arrays import on_gpu

__all__ = ["Geometry", "unfold", "fold"]


class Geometry(NamedTuple):
    """How windows lie in an image; each entry has a number for each of its axes.

    Attributes
    ----------
    size : tuple of int
        Elements of a window.
    stride : tuple of int
        Steps between windows.
    pad : tuple of int
        Zeros around the image.
    dilation : tuple of int
        Steps between the elements of a window.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def reach(self):
        """Pixels from a window's first element to its last, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation))

    def counts(self, lengths):
        """How many windows fit into an image of these side lengths."""
        return tuple((length + 2 * p - r) // s + 1 for length, p, r, s
                     in zip(lengths, self.pad, self.reach, self.stride))


def unfold(x, geometry, counts, out=None):
    """Copy every window of ``x`` into a column.

    Parameters
    ----------
    x : array, shape (N, C, ...)
    geometry : Geometry
    counts : tuple of int
        Number of windows along each axis. Where a window hangs over the padded image
        there are zeros, too.
    out : array, optional
        For the result. On a CPU only what lies in the image is written: it must have
        been zero, or an earlier result of the same geometry.

    Returns
    -------
    array, shape (C, size..., N, counts...)
    """
    if on_gpu(x):
        return unfold_kernels.unfold(x, geometry, counts)
    if out is None:
        out = np.zeros((x.shape[1], *geometry.size, len(x), *counts), x.dtype)
    source = x.swapaxes(0, 1)  # (C, N, ...)
    for column, pixels in _places(geometry, x.shape[2:], counts):
        out[column] = source[pixels]
    return out


def fold(columns, geometry, dx):
    """Add every column back to where its window lay: unfold's gradient.

    Parameters
    ----------
    columns : array, shape (C, size..., N, counts...)
    geometry : Geometry
    dx : array, shape (N, C, ...)
        Is overwritten with the sums.
    """
    if on_gpu(columns):
        unfold_kernels.fold(columns, geometry, dx)
        return
    n = dx.ndim - 2
    target = dx.swapaxes(0, 1)  # (C, N, ...)
    target[...] = 0
    for column, pixels in _places(geometry, dx.shape[2:], columns.shape[-n:]):
        target[pixels] += columns[column]


def _places(geometry, lengths, counts):
    """For each place in a window: where its column is, and where its pixels are."""
    axes = [[_axis(u * d - p, s, length, count) for u in range(k)]
            for k, s, p, d, length, count in zip(*geometry, lengths, counts)]
    for place in itertools.product(*map(range, geometry.size)):
        pixels, windows = zip(*(axis[u] for axis, u in zip(axes, place)))
        column = (slice(None), *place, slice(None), *windows)
        yield column, (slice(None), slice(None), *pixels)


def _axis(first, stride, length, count):
    """Pixels ``first + i*stride`` that lie in the image, and the windows i they are of.
    """
    start = max(0, -(first // stride))
    stop = max(start, min(count, (length - 1 - first) // stride + 1))
    begin = first + start * stride
    return (slice(begin, max(begin, begin + (stop - start - 1) * stride + 1), stride)
            if stop > start else slice(0, 0), slice(start, stop))
