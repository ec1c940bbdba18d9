"""Boxes around faces: x, y, width and height in pixels.

>>> shared_area((0, 0, 4, 4), (2, 1, 9, 9))
6
>>> outermost(np.array([(0, 0, 9, 9), (1, 1, 4, 4), (8, 8, 2, 2)])).tolist()
[[0, 0, 9, 9], [8, 8, 2, 2]]
"""

from __future__ import annotations

import numpy as np

from .._types import Array

__all__ = ["shared_area", "outermost"]

#: A box with a larger share of its area in another is a part of that one.
INSIDE = 0.5


def shared_area(a: Array, b: Array) -> int:
    """Area, in pixels, that two boxes share.

    Parameters
    ----------
    a, b : sequence of 4 int

    Returns
    -------
    int
    """
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(wide, 0) * max(tall, 0)


def outermost(boxes: np.ndarray) -> np.ndarray:
    """Leave out what lies by more than half of its area in a box before it.

    Parameters
    ----------
    boxes : ndarray (K, 4), int64
        The largest first.

    Returns
    -------
    ndarray (at most K, 4), int64
    """
    kept: list = []
    for box in boxes:
        if all(shared_area(box, other) <= INSIDE * box[2] * box[3] for other in kept):
            kept.append(box)
    return np.array(kept, dtype=np.int64).reshape(-1, 4)
