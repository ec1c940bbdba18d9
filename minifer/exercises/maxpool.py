"""Max-pooling: of each window only the largest element stays.

    y[n, c, i, j] = max over u, v of x[n, c, size*i + u, size*j + v]

x is (N, C, H, W), and the windows of size x size pixels lie side by side. Rows and
columns that fill no whole window are left out: y is (N, C, H // size, W // size).

Given dy, each window passes its dy to the place of its maximum, all else gets 0. If
several are equally large, the first in reading order gets it all.
"""

import numpy as np

from ..ops.pool import pool2d_backward, pool2d_forward
from .pairs import Case, Pair

__all__ = ["EXERCISE"]


def _forward(x, size):
    return pool2d_forward(x, (size, size))


def _windows(x, size):
    """Windows as rows, (N, C, Ho, Wo, size*size), as a copy."""
    N, C, H, W = x.shape
    x = x[:, :, :H // size * size, :W // size * size]
    x = x.reshape(N, C, H // size, size, W // size, size)
    return x.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H // size, W // size, -1)


def _spread(shares, shape, size):
    """dx of the shares that each element of a window receives: _windows undone."""
    N, C, Ho, Wo, _ = shares.shape
    dx = np.zeros(shape)
    dx[:, :, :Ho * size, :Wo * size] = shares.reshape(
        N, C, Ho, Wo, size, size).transpose(0, 1, 2, 4, 3, 5).reshape(
            N, C, Ho * size, Wo * size)
    return dx


def _to(place):
    """The mistake of passing dy to ``place(windows, size)`` of each window."""
    def gradient(dy, x, size):
        windows = _windows(x, size)
        shares = np.zeros_like(windows)
        index = np.broadcast_to(place(windows, size), windows.shape[:-1])
        np.put_along_axis(shares, index[..., None], dy[..., None], axis=-1)
        return _spread(shares, x.shape, size)
    return gradient


def _all_ties(dy, x, size, shared=False):
    windows = _windows(x, size)
    largest = windows == windows.max(axis=-1, keepdims=True)
    if shared:
        largest = largest / largest.sum(axis=-1, keepdims=True)
    return _spread(largest * dy[..., None], x.shape, size)


def _transposed(windows, size):
    first = windows.argmax(axis=-1)
    return first % size * size + first // size


MISTAKES = {
    "y": {
        "the mean of each window: take the maximum":
            lambda x, size: _windows(x, size).mean(axis=-1),
        "the smallest of each window": lambda x, size: _windows(x, size).min(axis=-1),
        "the largest of 0 and each window: begin with -infinity, not 0":
            lambda x, size: np.maximum(_windows(x, size).max(axis=-1), 0),
        "the largest absolute value of each window":
            lambda x, size: np.abs(_windows(x, size)).max(axis=-1),
        "that of windows that overlap: step by size, not by 1":
            lambda x, size: pool2d_forward(x, (size, size), (1, 1))[0],
        "that of windows that hang over the border too: leave those out":
            lambda x, size: pool2d_forward(x, (size, size), ignore_border=False)[0],
    },
    "dx": {
        "given to all maxima of a window: among equals the first alone gets it":
            _all_ties,
        "shared among the maxima of a window: the first of them gets it all":
            lambda dy, x, size: _all_ties(dy, x, size, shared=True),
        "given to the last maximum of a window: among equals it is the first": _to(
            lambda w, size: w.shape[-1] - 1 - w[..., ::-1].argmax(axis=-1)),
        "that of the mean: the whole dy goes to the maximum":
            lambda dy, x, size: _spread(
                np.repeat(dy[..., None] / size ** 2, size ** 2, -1), x.shape, size),
        "given to the whole window: only the maximum gets dy":
            lambda dy, x, size: _spread(
                np.repeat(dy[..., None], size ** 2, -1), x.shape, size),
        "in the wrong place: rows and columns of the maximum are exchanged":
            _to(_transposed),
        "in the wrong place: the first corner of each window, not its maximum":
            _to(lambda w, size: np.zeros((), int)),
        "in the wrong place: that of the smallest element":
            _to(lambda w, size: w.argmin(axis=-1)),
    },
}


def _inputs(N, C, H, W, size):
    """Different numbers, so that a small step changes no maximum; most are negative."""
    x = np.random.default_rng(H).permutation(N * C * H * W) / 10.0
    return (x - 0.7 * x.max()).reshape(N, C, H, W), size


def _ties():
    return np.random.default_rng(0).integers(-2, 0, (2, 2, 4, 6)).astype(float), 2


EXERCISE = Pair(
    __name__, __doc__, "x, size", "dx", (_forward, pool2d_backward),
    [Case("windows 2x2", _inputs(2, 3, 4, 6, 2)),
     Case("windows 3x3, pixels left over", _inputs(2, 1, 7, 5, 3)),
     Case("equal numbers", _ties(), smooth=False)],
    _inputs(8, 8, 24, 24, 2), MISTAKES)
