"""Sliding windows: the geometry that convolution and pooling share."""

import numpy as np

from ..errors import ShapeError

__all__ = ["check_windows", "window_count", "pad_hw", "window_slices"]


def check_windows(op, size, stride, pad):
    """Refuse windows that are empty, stand still, or begin inside the image.

    Parameters
    ----------
    op : str
        Name of the op, for the error message.
    size, stride, pad : (int, int)

    Raises
    ------
    ShapeError
    """
    if min(size) < 1 or min(stride) < 1 or min(pad) < 0:
        raise ShapeError(
            f"{op}: expected a window and a stride of at least 1 and padding of at "
            f"least 0, got {tuple(size)}, {stride} and {pad}.")


def window_count(length, size, stride, pad):
    """Number of windows that fit: ``(length + 2*pad - size) // stride + 1``.

    Parameters
    ----------
    length, size, stride, pad : int
        Input length, window length, step and zero-padding on each side, in
        pixels along one axis. ``length`` may be None (unknown), then the
        result is None.
    """
    if length is None:
        return None
    return (length + 2 * pad - size) // stride + 1


def pad_hw(x, pad, value=0.0, extra=(0, 0)):
    """Pad the last two axes of ``x`` by ``pad = (ph, pw)`` on each side.

    ``extra`` adds rows and columns at the bottom and right only. Without any
    padding ``x`` itself comes back.
    """
    (ph, pw), (eh, ew) = pad, extra
    if not (ph or pw or eh or ew):
        return x
    widths = [(0, 0)] * (x.ndim - 2) + [(ph, ph + eh), (pw, pw + ew)]
    return np.pad(x, widths, constant_values=value)


def window_slices(size, stride, out_size):
    """Yield ``(u, v, rows, columns)`` for each position (u, v) in a window.

    ``x[..., rows, columns]`` is then, for all (Ho, Wo) windows at once, the
    element that stands at row u and column v of its window.
    """
    (kh, kw), (sh, sw), (Ho, Wo) = size, stride, out_size
    for u in range(kh):
        for v in range(kw):
            yield (u, v, slice(u, u + sh * (Ho - 1) + 1, sh),
                   slice(v, v + sw * (Wo - 1) + 1, sw))
