"""The images and labels of a batch, out of a data set on a device."""

import math

import numpy as np

from ..errors import KernelError
from .loader import kernel

__all__ = ["gather", "gather_classes"]

COLUMNS = 65535  # blocks in a grid's second direction, at most


def gather(images, order, x, first=0, mirrored=None, scaling=None):
    """Pick images by their numbers: ``x[i] = images[order[first + i]]``.

    Parameters
    ----------
    images : uint8, float32 or float64 device array, shape (N, ..., W)
    order : int64 device array, shape (M,), or None
        Numbers of images, 0 … N-1. None: they have been picked, ``x[i]`` is
        ``images[i]``.
    x : device array, shape (n, ..., W)
        Filled. float32 with ``scaling``, else of the type of ``images``.
    first : int, default 0
        Place in the order where the batch begins; ``first + n`` <= M.
    mirrored : bool device array, shape (M,), optional
        Image i is turned left to right where ``mirrored[first + i]`` is true.
    scaling : (scale, shift), optional
        What is written is ``image * scale + shift`` in float32, rounded as NumPy
        rounds.
    """
    if images.shape[1:] != x.shape[1:]:
        raise KernelError(f"gather: expected x of images {images.shape[1:]}, got "
                          f"{x.shape[1:]}.")
    n, N = len(x), len(images)
    M = next((a.size for a in (order, mirrored) if a is not None), first + n)
    if not 0 <= first <= M - n or order is None and n > N:
        raise KernelError(f"gather: expected {n} images from number {first} on, got "
                          f"{M} in the order, {N} images.")
    name = ("gather" if scaling is None else "prepare") + (
        "_bytes" if images.dtype == np.uint8 else "_reals")
    D = math.prod(images.shape[1:])
    block = min(256, -(-D // 32) * 32)
    kernel("gather.cu", name, images)(
        images, order, mirrored, x, N, M, first, n, D, images.shape[-1],
        *(scaling or ()), grid=(-(-D // block), min(n, COLUMNS)), block=block)


def gather_classes(classes, order, y, first=0):
    """Pick class numbers: ``y[i] = classes[order[first + i]]``.

    Parameters
    ----------
    classes : int32 device array, shape (N,)
    order : int64 device array, shape (M,)
    y : int32 device array, shape (n,)
        Filled.
    first : int, default 0
    """
    if not 0 <= first <= order.size - y.size:
        raise KernelError(f"gather: expected {y.size} classes from number {first} on, "
                          f"got {order.size} in the order.")
    kernel("gather.cu", "gather_classes", classes)(
        classes, order, y, classes.size, order.size, first, y.size, threads=y.size)
