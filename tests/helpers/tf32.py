"""Numbers as the tensor cores read them, and how far a product is from float64's."""

import numpy as np

from minifer.device import arrays

__all__ = ["tf32", "error"]


def tf32(x):
    """float32 rounded to 10 bits after the point, ties away from 0."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xffffe000)).view(np.float32)


def error(found, expected):
    """The relative error of an array, on any device, in the norm of all its numbers."""
    return (np.linalg.norm(arrays.to_host(found) - expected)
            / np.linalg.norm(expected))
