"""Dropout: switch units off at random while training.

Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks
from overfitting", JMLR 15.
"""

from ..cuda import dropout as kernels
from ..device.arrays import on_gpu

__all__ = ["dropout_forward", "dropout_drawn_forward", "dropout_backward"]


def dropout_forward(x, mask, p, rescale=True):
    """Keep ``x`` where ``mask`` is true, and make up for what is missing.

    ``y = x * mask / (1 - p)``, or ``y = x * mask`` without ``rescale``. The
    factor keeps each unit's mean, so that prediction needs no correction.

    Parameters
    ----------
    x : array, any shape
    mask : bool array that broadcasts to x's shape
        True where a unit stays; :meth:`minifer.random.Stream.keep_mask` draws one.
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
    if on_gpu(x):
        return kernels.dropout_drawn_forward(x, stream, p, rescale)
    return dropout_forward(x, stream.keep_mask(x.shape, p), p, rescale)


def dropout_backward(dy, cache):
    """``dx = dy`` times the same factors: a dropped unit learns nothing."""
    if on_gpu(dy):
        return kernels.dropout_backward(dy, cache)
    (factor,) = cache
    return dy * factor
