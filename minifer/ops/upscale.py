"""Upscaling by whole factors: pixels repeated, or set apart by zeros."""

import itertools

import numpy as np

from ..errors import ShapeError

__all__ = ["upscale_forward", "upscale_backward", "UPSCALE_MODES"]

UPSCALE_MODES = ("repeat", "dilate")


def upscale_forward(x, factor, mode="repeat"):
    r"""Make images larger by whole factors.

    .. math:: y_{n,c,i} = x_{n,c,\lfloor i / f \rfloor}

    along each axis, or, with ``mode='dilate'``, that where f divides i and else 0.

    Parameters
    ----------
    x : array, shape (N, C, ...)
    factor : tuple of int >= 1
        A number for each axis behind the channels.
    mode : {'repeat', 'dilate'}

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
    shape = (*x.shape[:2], *(k * f for k, f in zip(x.shape[2:], factor)))
    new = np.empty_like if mode == "repeat" else np.zeros_like
    y = new(x, shape=shape, order="C")
    for part in _parts(factor, mode):
        y[part] = x
    return y, (factor, mode)


def upscale_backward(dy, cache):
    """Gradient of :func:`upscale_forward`: what came from a pixel is summed."""
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
