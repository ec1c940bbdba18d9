"""Dropout on a device: masks drawn there, the very same as on the CPU."""

import numpy as np

from ..device.arrays import contiguous
from ..errors import KernelError
from .loader import kernel

__all__ = ["keep_mask", "draw_mask", "dropout_forward", "dropout_drawn_forward",
           "dropout_backward"]

DRAWS = 256


def keep_mask(like, start, stop, threshold, key, step, name="keep_mask"):
    """Elements ``start`` to ``stop`` of a stream's flattened mask.

    Parameters
    ----------
    like : device array
        The mask is made on its device.
    start, stop : int
    threshold : int
        An element is kept if its 16 random bits are not below it.
    key : pair of numpy.uint64
        The stream's key.
    step : int
    name : {'keep_mask', 'keep_mask_naive'}

    Returns
    -------
    bool device array, shape (stop - start,)
    """
    mask = np.empty_like(like, bool, shape=(stop - start,))
    draws = -(-stop // 16) - start // 16
    kernel("dropout.cu", name, like)(
        mask, mask.size, start, *key, step, threshold, block=DRAWS,
        threads=mask.size if name == "keep_mask_naive" else draws)
    return mask


def draw_mask(mask, threshold, key, numbers, index, start=0):
    """Draw a mask, at the step that is in the device's memory.

    The bits are those of :meth:`minifer.random.Stream.keep_mask` at that step.

    Parameters
    ----------
    mask : bool or uint8 device array, any shape
        Filled: 1 where an element is kept.
    threshold : int
        An element is kept if its 16 random bits are not below it.
    key : pair of numpy.uint64
        The stream's key.
    numbers : float64 device array
    index : int
        ``numbers[index]`` is the step, 0 … 2**53.
    start : int, default 0
        Begin with this element of the stream.
    """
    if not 0 <= index < numbers.size:
        raise KernelError(f"draw_mask: expected an index into {numbers.size} numbers, "
                          f"got {index}.")
    kernel("dropout.cu", "draw_mask", mask)(
        mask, mask.size, start, *key, threshold, numbers, numbers.size, index,
        block=DRAWS, threads=-(-(start + mask.size) // 16) - start // 16)


def dropout_forward(x, mask, scale):
    """``x * mask * scale`` in one pass; ``mask`` bool, broadcasts to x's shape."""
    cache = contiguous(np.broadcast_to(mask, x.shape)), scale
    return _masked(x, *cache), cache


def dropout_drawn_forward(x, stream, p, rescale=True):
    """Draw a mask and apply it, without ever storing it; go to the next step.

    Parameters
    ----------
    x : device array, any shape
    stream : minifer.random.Stream
    p : float in [0, 1)
    rescale : bool, default True
        Divide what stays by 1 - p.

    Returns
    -------
    y : array of x's shape
    cache : tuple
        What the mask can be drawn from again.
    """
    cache = (x.dtype.type(1 / (1 - p) if rescale else 1), *stream.key, stream.step,
             stream.threshold(p))
    stream.step += 1
    return _drawn(x, *cache), cache


def dropout_backward(dy, cache):
    """The gradient with respect to x: by the mask that was kept, or drawn again."""
    return (_masked if len(cache) == 2 else _drawn)(dy, *cache)


def _masked(x, mask, scale):
    x = contiguous(x)
    y = np.empty_like(x)
    kernel("dropout.cu", "dropout_masked", x)(x, mask, y, x.size, scale, threads=x.size)
    return y


def _drawn(x, scale, key0, key1, step, threshold):
    x = contiguous(x)
    y = np.empty_like(x)
    kernel("dropout.cu", "dropout_drawn", x)(
        x, y, x.size, scale, key0, key1, step, threshold, threads=-(-x.size // 16),
        block=DRAWS)
    return y
