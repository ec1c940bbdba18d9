"""Sums over axes on a device; the kernels and their order are in ``reduce.cu``."""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .order import channels_last

__all__ = ["sum_over", "column_sums", "channel_shape", "block_for", "pieces"]

PIECE = 2048  # so many numbers are worth a block of their own
PIECES = 64   # at most, so that one more block can sum what they found


def sum_over(x, axes):
    """``x.sum(axis=axes)``, in an order that depends on the shape alone.

    Parameters
    ----------
    x : device array of floats
    axes : tuple of int, not negative
        Axes to sum over.

    Returns
    -------
    device array of x's shape without ``axes``
    """
    last = channels_last(x)
    if last is not None and tuple(axes) == (0, 2, 3):
        return sum_over(last.reshape(-1, x.shape[1]), (0,))
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in kept)
    if kept and kept != list(range(kept[0], kept[-1] + 1)):
        x, kept = x.transpose(*kept, *sorted(axes)), range(len(kept))
    x = contiguous(x)
    first = kept[0] if kept else 0
    N, C = math.prod(x.shape[:first]), math.prod(shape)
    return _sum(x, N, C, math.prod(x.shape[first + len(kept):])).reshape(shape)


def column_sums(x):
    """Sums over the rows of a matrix: (N, D) to (D,)."""
    return sum_over(x, (0,))


def channel_shape(x):
    """``N, C, S`` of an array (N, C, ...): all axes behind the second as one."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def block_for(length):
    """Threads of a block that sums ``length`` numbers: a few numbers for each."""
    return 32 if length <= 256 else 256 if length <= 16384 else 1024


def pieces(length):
    """Into how many pieces a sum of ``length`` numbers is cut."""
    return min(PIECES, max(1, -(-length // PIECE)))


def _sum(x, N, C, S):
    """Sums of x, (N, C, S), over N and S: one piece each, then over the pieces."""
    P = pieces(N * S)
    partial = np.empty_like(x, shape=(P, C))
    if S == 1:
        kernel("reduce.cu", "sum_columns", x)(
            x, partial, N, C, P, grid=(-(-C // 32), P), block=(32, 8))
    else:
        kernel("reduce.cu", "sum_channels", x)(
            x, partial, N, C, S, P, grid=(C, P), block=block_for(-(-N * S // P)))
    return partial if P == 1 else _sum(partial, P, C, 1)
