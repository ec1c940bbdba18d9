"""Noise drawn on a device: the same as on the CPU, but for rounding."""

import numpy as np

from .loader import kernel

__all__ = ["noise", "draw_noise"]


def noise(like, distribution, start, stop, key, step):
    """Elements ``start`` to ``stop`` of a stream's noise.

    Parameters
    ----------
    like : device array
        The noise has its type, and is made on its device.
    distribution : {'uniform', 'normal'}
    start, stop : int
    key : pair of numpy.uint64
        The stream's key.
    step : int

    Returns
    -------
    device array, shape (stop - start,)
    """
    array = np.empty_like(like, shape=(stop - start,))
    kernel("noise.cu", "draw_noise", like)(
        array, array.size, start, *key, step, distribution == "normal",
        threads=-(-stop // 8) - start // 8)
    return array


def draw_noise(array, distribution, key, numbers, index):
    """Fill an array with noise, at the step that is in the device's memory.

    Parameters
    ----------
    array : device array, any shape
        Filled.
    distribution : {'uniform', 'normal'}
    key : pair of numpy.uint64
        The stream's key.
    numbers : float64 device array
    index : int
        ``numbers[index]`` is the step, 0 … 2**53.
    """
    kernel("noise.cu", "draw_recorded_noise", array)(
        array, array.size, *key, distribution == "normal", numbers, numbers.size, index,
        threads=-(-array.size // 8))
