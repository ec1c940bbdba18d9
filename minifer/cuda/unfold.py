"""Windows of one to three dimensions as columns on a device; see ``unfold.cu``."""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel

__all__ = ["unfold", "fold", "three_axes"]


def unfold(x, geometry, counts):
    """What :func:`minifer.ops.unfold.unfold` computes, on a device.

    Parameters
    ----------
    x : device array, shape (N, C, ...)
    geometry : minifer.ops.unfold.Geometry
    counts : tuple of int

    Returns
    -------
    device array, shape (C, size..., N, counts...)
    """
    x, (N, C) = contiguous(x), x.shape[:2]
    columns = np.empty_like(x, shape=(C, *geometry.size, N, *counts))
    kernel("unfold.cu", "unfold", x)(
        x, columns, N, C, *three_axes(x.shape[2:], geometry, counts),
        threads=C * N * math.prod(counts))
    return columns


def fold(columns, geometry, dx):
    """Gradient of :func:`unfold`.

    Parameters
    ----------
    columns : device array, shape (C, size..., N, counts...)
    geometry : minifer.ops.unfold.Geometry
    dx : device array, shape (N, C, ...)
        Contiguous; is overwritten.
    """
    counts = columns.shape[2 - dx.ndim:]
    kernel("unfold.cu", "fold", columns)(
        contiguous(columns), dx, *dx.shape[:2],
        *three_axes(dx.shape[2:], geometry, counts), threads=dx.size)


def three_axes(lengths, geometry, counts):
    """What kernels take of a geometry, with axes of length 1 in front, up to three.

    Returns
    -------
    list of int
        Three each: lengths, size, stride, pad, dilation, counts.
    """
    size, stride, pad, dilation = geometry
    more = 3 - len(size)
    return [n for numbers, one in zip((lengths, size, stride, pad, dilation, counts),
                                      (1, 1, 1, 0, 1, 1))
            for n in (*(one,) * more, *numbers)]
