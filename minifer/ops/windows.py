"""Sliding windows: the geometry that convolution and pooling share."""

import numpy as np

__all__ = ["window_count", "pad_hw", "window_slices"]


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
