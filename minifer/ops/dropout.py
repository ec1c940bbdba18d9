"""Dropout: switch units off at random while training.

Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks
from overfitting", JMLR 15.
"""

import math

from ..cuda import dropout as kernels
from ..device.arrays import on_gpu
from .dispatch import on_device

__all__ = ["keep_mask", "dropout_forward", "dropout_drawn_forward", "dropout_backward"]


def keep_mask(stream, shape, p, like, start=None):
    """The next mask of a stream, on the device of ``like``; the same on all devices.

    Parameters
    ----------
    stream : minifer.random.Stream
        Goes to its next step.
    shape : tuple of int
    p : float in [0, 1)
        The probability of False.
    like : array
    start : int, optional
        As for :meth:`minifer.random.Stream.keep_mask`.
    """
    if not on_gpu(like):
        return stream.keep_mask(shape, p, start)
    start = stream.start(shape) if start is None else start
    mask = kernels.keep_mask(like, start, start + math.prod(shape),
                             stream.threshold(p), stream.key, stream.step)
    stream.step += 1
    return mask.reshape(shape)


def dropout_forward(x, mask, p, rescale=True):
    """Keep ``x`` where ``mask`` is true, and make up for what is missing.

    ``y = x * mask / (1 - p)``, or ``y = x * mask`` without ``rescale``. The
    factor keeps each unit's mean, so that prediction needs no correction.

    Parameters
    ----------
    x : array, any shape
    mask : bool array that broadcasts to x's shape
        True where a unit stays; :func:`keep_mask` draws one.
    p : float in [0, 1)
        The probability with which a unit was dropped.
    rescale : bool, default True

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    scale = x.dtype.type(1 / (1 - p) if rescale else 1)
    if on_gpu(x):
        return kernels.dropout_forward(x, mask, scale)
    factor = mask * scale
    return x * factor, (factor,)


@on_device(kernels)
def dropout_drawn_forward(x, stream, p, rescale=True):
    """:func:`dropout_forward` with the next mask of a stream.

    On a GPU the mask is drawn where it is used, and drawn again on the way back.

    Parameters
    ----------
    x, p, rescale
        As for :func:`dropout_forward`.
    stream : minifer.random.Stream
        Goes to its next step.

    Returns
    -------
    y : array of x's shape
    cache : tuple
    """
    return dropout_forward(x, stream.keep_mask(x.shape, p), p, rescale)


@on_device(kernels)
def dropout_backward(dy, cache):
    """``dx = dy`` times the same factors: a dropped unit learns nothing."""
    (factor,) = cache
    return dy * factor
