"""Upscaling by whole factors: pixels repeated, set apart by zeros, or joined by lines.
"""

import itertools

import numpy as np

from ..errors import ShapeError

__all__ = ["upscale_forward", "upscale_backward", "UPSCALE_MODES"]

UPSCALE_MODES = ("repeat", "dilate", "linear")


def upscale_forward(x, factor, mode="repeat"):
    r"""Make images larger by whole factors.

    .. math:: y_{n,c,i} = x_{n,c,\lfloor i / f \rfloor}

    along each axis, or, with ``mode='dilate'``, that where f divides i and else 0. With
    ``mode='linear'`` pixels are joined by straight lines from centre to centre, and
    beyond the outermost centres nothing changes: bilinear interpolation in two
    dimensions, half pixels counted (``align_corners=False``).

    Parameters
    ----------
    x : array, shape (N, C, ...)
    factor : tuple of int >= 1
        A number for each axis behind the channels.
    mode : {'repeat', 'dilate', 'linear'}

    Returns
    -------
    y : array, shape (N, C, ...)
        The lengths times the factors.
    cache : tuple

    Raises
    ------
    ShapeError
        If there is no such mode, or a factor is missing or less than 1.
    """
    if mode not in UPSCALE_MODES:
        raise ShapeError(
            f"upscale: expected mode {' or '.join(UPSCALE_MODES)}, got {mode!r}.")
    if len(factor) != x.ndim - 2 or min(factor, default=0) < 1:
        raise ShapeError("upscale: expected a factor >= 1 for each axis behind the "
                         f"channels of {x.shape}, got {factor}.")
    if mode == "linear":
        for axis, f in enumerate(factor, 2):
            x = _joined(x, axis, f)
        return x, (factor, mode)
    shape = (*x.shape[:2], *(k * f for k, f in zip(x.shape[2:], factor)))
    new = np.empty_like if mode == "repeat" else np.zeros_like
    y = new(x, shape=shape, order="C")
    for part in _parts(factor, mode):
        y[part] = x
    return y, (factor, mode)


def upscale_backward(dy, cache):
    """Gradient of :func:`upscale_forward`: what came from a pixel is summed."""
    factor, mode = cache
    if mode == "linear":
        for axis, f in enumerate(factor, 2):
            dy = _joined_backward(dy, axis, f)
        return dy
    first, *others = _parts(*cache)
    dx = dy[first].copy()
    for part in others:
        dx += dy[part]
    return dx


def _parts(factor, mode):
    """Places of the output that x goes to: one for each place in a pixel's box."""
    starts = [range(f if mode == "repeat" else 1) for f in factor]
    return [(slice(None), slice(None), *(slice(start, None, f) for start, f
                                         in zip(place, factor)))
            for place in itertools.product(*starts)]


def _joined(x, axis, factor):
    """One axis larger, between pixels on straight lines."""
    n = x.shape[axis]
    shape = (*x.shape[:axis], n * factor, *x.shape[axis + 1:])
    y = np.empty_like(x, shape=shape, order="C")
    for start, share, towards in _lines(factor):
        part = y[_along(axis, slice(start, None, factor))]
        part[...] = x * (1 - share)
        for into, out_of in _neighbours(n, towards):
            part[_along(axis, into)] += x[_along(axis, out_of)] * share
    return y


def _joined_backward(dy, axis, factor):
    """Gradient of :func:`_joined`."""
    n, dx = dy.shape[axis] // factor, None
    for start, share, towards in _lines(factor):
        part = dy[_along(axis, slice(start, None, factor))]
        mine = part * (1 - share)
        for into, out_of in _neighbours(n, towards):
            mine[_along(axis, out_of)] += part[_along(axis, into)] * share
        dx = mine if dx is None else dx + mine
    return dx


def _lines(factor):
    """For each place in a pixel's box: it, its neighbour's share, and which that is."""
    for start in range(factor):
        offset = (start + 0.5) / factor - 0.5
        yield start, abs(offset), -1 if offset < 0 else 1


def _neighbours(n, towards):
    """Where the neighbour's share goes, and of which pixels: the last has itself."""
    if towards < 0:
        return [(slice(1, None), slice(0, n - 1)), (slice(0, 1), slice(0, 1))]
    return [(slice(0, n - 1), slice(1, None)), (slice(n - 1, n), slice(n - 1, n))]


def _along(axis, part):
    return (slice(None),) * axis + (part,)
