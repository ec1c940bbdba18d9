"""The order in which images lie in memory: channels first, as in their shape, or last.

Plans keep them channels last, as the tensor cores read them, though their arrays are
shaped (N, C, H, W). Whoever launches a kernel that does not mind, or that knows both
orders, leaves them as they are: to copy a batch costs as much as most layers do.

>>> import numpy as np
>>> from minifer.device.arrays import to_device
>>> x = to_device(np.zeros((2, 3, 4, 5)), "emu")
>>> channels_last(x), channels_last(images(np.empty_like(x, shape=(2, 4, 5, 3)))).shape
(None, (2, 4, 5, 3))
"""

from ..device.arrays import contiguous

__all__ = ["channels_last", "images", "alike"]


def channels_last(x):
    """Images (N, C, H, W) as they lie, (N, H, W, C); None if they lie otherwise."""
    if x.ndim != 4 or x.flags.c_contiguous:
        return None
    x = x.transpose(0, 2, 3, 1)
    return x if x.flags.c_contiguous else None


def images(x):
    """Images that lie as (N, H, W, C) in the shape that layers see, (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def alike(*arrays):
    """Arrays of one shape in one order, and the way back to that shape.

    Parameters
    ----------
    *arrays : device arrays
        The last says which order.

    Returns
    -------
    list of contiguous device arrays
        Copies only of those that lie in another order.
    function
        ``shaped(y)`` of a result that lies as these do.
    """
    if channels_last(arrays[-1]) is None:
        return [contiguous(one) for one in arrays], lambda y: y
    return [contiguous(one.transpose(0, 2, 3, 1)) for one in arrays], images
