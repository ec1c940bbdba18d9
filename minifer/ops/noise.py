"""Noise of a stream, on the device where it is wanted."""

import math

from ..cuda import noise as kernels
from ..device.arrays import on_gpu

__all__ = ["noise"]


def noise(stream, distribution, shape, like, start=None):
    """The next noise of a stream; the same on all devices, but for rounding.

    Parameters
    ----------
    stream : minifer.random.Stream
        Goes to its next step.
    distribution : {'uniform', 'normal'}
        Uniform in (0, 1), or standard normal.
    shape : tuple of int
    like : array
        The noise has its type, and is made where it lives.
    start : int, optional
        As for :meth:`minifer.random.Stream.keep_mask`.

    Returns
    -------
    array of ``shape``
    """
    start = stream.start(shape) if start is None else start
    stop = start + math.prod(shape)
    if on_gpu(like):
        drawn = kernels.noise(like, distribution, start, stop, stream.key, stream.step)
    else:
        drawn = stream.noise_part(distribution, start, stop).astype(like.dtype)
    stream.step += 1
    return drawn.reshape(shape)
