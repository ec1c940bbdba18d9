"""Spatial pyramid pooling: as many numbers from an image of any size."""

import itertools

import numpy as np

from ..device.arrays import contiguous
from ..errors import ShapeError
from .pool import global_pool_backward, global_pool_forward

__all__ = ["pyramid_forward", "pyramid_backward", "pyramid_bins", "PYRAMIDS"]

PYRAMIDS = ("fast", "kaiming")


def pyramid_bins(length, bins, implementation="fast"):
    """Where the bins of one level lie along one axis.

    Parameters
    ----------
    length, bins : int
    implementation : {'fast', 'kaiming'}
        'fast': windows of ``ceil(length / bins)``, ``floor(length / bins)`` apart,
        which for some lengths are not as many as bins. 'kaiming': bin i from
        ``floor(i * length / bins)`` to ``ceil((i + 1) * length / bins)``.

    Returns
    -------
    list of slice
        For 'fast' perhaps more or fewer than ``bins``.
    """
    if implementation == "kaiming":
        return [slice(i * length // bins, -(-(i + 1) * length // bins))
                for i in range(bins)]
    size, stride = -(-length // bins), length // bins
    if not stride:
        return []
    return [slice(start, start + size)
            for start in range(0, length - size + 1, stride)]


def pyramid_forward(x, pool_dims, mode="max", implementation="fast"):
    """Pool each channel over the bins of several grids, one finer than the other.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    pool_dims : sequence of int
        A grid of n by n bins for each n.
    mode : {'max', 'mean'}
    implementation : {'fast', 'kaiming'}
        See :func:`pyramid_bins`.

    Returns
    -------
    y : array, shape (N, C, sum of n*n)
        Grid by grid, in reading order.
    cache : tuple

    Raises
    ------
    ShapeError
        If the image is too small, or for 'fast' of a size that has other bins.
    """
    if x.ndim != 4:
        raise ShapeError(f"pyramid: expected x (N, C, H, W), got {x.shape}.")
    boxes = []
    for n in pool_dims:
        rows, columns = (pyramid_bins(length, n, implementation)
                         for length in x.shape[2:])
        if len(rows) != n or len(columns) != n or 0 in x.shape[2:]:
            raise ShapeError(
                f"pyramid: expected an image that {n} by {n} windows side by side "
                f"cover, got {x.shape}. Use implementation='kaiming'.")
        boxes += itertools.product([...], rows, columns)
    y = np.empty_like(x, shape=(*x.shape[:2], len(boxes)), order="C")
    caches = []
    for place, box in enumerate(boxes):
        y[:, :, place], cache = global_pool_forward(x[box], mode)
        caches.append((box, cache))
    return y, (caches, x.shape)


def pyramid_backward(dy, cache):
    """Gradient of :func:`pyramid_forward`, shape (N, C, H, W)."""
    caches, shape = cache
    dx = np.zeros_like(dy, shape=shape, order="C")
    for place, (box, one) in enumerate(caches):
        dx[box] += global_pool_backward(contiguous(dy[:, :, place]), one)
    return dx
