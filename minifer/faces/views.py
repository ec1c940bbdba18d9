"""A face seen several times: mirrored and moved a little, judged, and averaged.

A crop is never in exactly the place where a network would like it; the mean of what it
says of ten views is right more often than what it says of one (test-time augmentation:
Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional
neural networks", section 4.1).

>>> crops = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
>>> [view[0, 0].tolist() for view in views(crops, shift=1 / 3)][1:3]
[[[2, 1, 0], [5, 4, 3], [8, 7, 6]], [[0, 1, 2], [0, 1, 2], [3, 4, 5]]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["views", "mean_of_views"]


def views(crops: np.ndarray, shift: float = 1 / 24) -> Iterator[np.ndarray]:
    """The crops as they are and moved down, up, right and left; each also mirrored.

    Parameters
    ----------
    crops : array (N, C, H, W)
    shift : float >= 0, default 1/24
        Share of the side; 2 of 48 pixels, at least 1. The border's pixels are repeated
        where nothing was.

    Yields
    ------
    array (N, C, H, W)
        Ten, the crops themselves first.
    """
    H, W = crops.shape[-2:]
    y, x = max(1, round(shift * H)), max(1, round(shift * W))
    rows, columns = np.arange(H), np.arange(W)
    for down, right in (0, 0), (y, 0), (-y, 0), (0, x), (0, -x):
        moved = np.ascontiguousarray(crops[
            ..., np.clip(rows - down, 0, H - 1)[:, None],
            np.clip(columns - right, 0, W - 1)])
        yield moved
        yield np.ascontiguousarray(moved[..., ::-1])


def mean_of_views(judge: Callable[[np.ndarray], np.ndarray], crops: np.ndarray,
                  shift: float = 1 / 24) -> np.ndarray:
    """What is said of crops, on average over their :func:`views`.

    Parameters
    ----------
    judge : function
        ``judge(crops)`` returns probabilities (N, K).
    crops, shift
        As for :func:`views`.

    Returns
    -------
    array (N, K)
    """
    said = [judge(view) for view in views(crops, shift)]
    return sum(said[1:], start=said[0]) / said[0].dtype.type(len(said))
