"""Find images that occur twice, exactly or nearly.

A copy in training of an image in the test set is an answer given away, and
FER2013 has hundreds. Two measures: *exact*, the same pixels; and *near*, the
correlation of small thumbnails, which sees through another size, brightness,
contrast or compression, and through a faint watermark, but not through a mirror
or a crop. Neighbouring frames of a video are near copies too.

>>> images = np.random.default_rng(0).integers(0, 200, (3, 1, 48, 48), np.uint8)
>>> images[2] = images[0]
>>> exact_copies(images).tolist()
[0, 1, 0]
>>> images[2] += 20
>>> exact_copies(images).tolist(), near_copies(images).tolist()
([0, 1, 2], [0, 1, 0])
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..errors import SettingError, ShapeError
from ..faces.images import load_cv2

__all__ = ["exact_copies", "near_copies", "thumbnail", "near_groups"]

#: Side of a thumbnail in pixels: it has 256 values.
SIDE = 16

#: Correlation from which two thumbnails count as one picture. Of FER2013's pairs
#: from 0.97 to 0.98 looked at, 24 of 24 are one photo; at 0.95 first others occur.
THRESHOLD = 0.97

#: Images compared with all others at a time: 512 x 32,000 floats are 64 MB.
BLOCK = 512


def exact_copies(images: np.ndarray) -> np.ndarray:
    """Number each image by the first that has exactly the same pixels.

    Parameters
    ----------
    images : ndarray (N, C, H, W), any dtype

    Returns
    -------
    ndarray (N,), int64
        ``first[i]`` is the smallest j whose image equals image i; it is i for
        the first of its kind, so ``first != arange(N)`` marks the surplus.
    """
    images = _check(images)
    seen: dict = {}
    return np.array([seen.setdefault(hashlib.sha256(image.tobytes()).digest(), index)
                     for index, image in enumerate(images)], dtype=np.int64)


def near_copies(images: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """Number each image by the first that looks nearly the same.

    Parameters
    ----------
    images : ndarray (N, 1, H, W), uint8
    threshold : float
        Correlation of the :func:`thumbnail` of two images, above 0, up to 1,
        from which they belong together.

    Returns
    -------
    ndarray (N,), int64
        As :func:`exact_copies`; groups are joined: when a is near b and b near
        c, all three have the number of a. Exact copies are always together.

    Raises
    ------
    SettingError
        If ``threshold`` is out of range.
    ShapeError
        If ``images`` is not (N, 1, H, W) uint8.
    """
    images = _check(images)
    if images.dtype != np.uint8 or images.shape[1] != 1:
        raise ShapeError("near_copies: expected images (N, 1, H, W) of uint8, got "
                         f"{images.dtype} of shape {images.shape}.")
    thumbnails = [thumbnail(image[0]) for image in images]
    return near_groups(thumbnails, threshold, exact_copies(images))


def thumbnail(image):
    """Shrink an image to 16x16 values with mean 0 and length 1.

    The dot product of two thumbnails is then their correlation.

    Parameters
    ----------
    image : ndarray (H, W), uint8

    Returns
    -------
    ndarray (256,), float32
        Zeros for an image of one grey value, which resembles nothing.
    """
    cv2 = load_cv2()
    small = cv2.resize(image.astype(np.float32), (SIDE, SIDE),
                       interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean()
    length = np.linalg.norm(small)
    return small / length if length > 1e-3 else np.zeros_like(small)


def near_groups(thumbnails, threshold=THRESHOLD, first=None):
    """Join thumbnails that correlate; see :func:`near_copies`.

    Parameters
    ----------
    thumbnails : sequence of N ndarray (256,)
    threshold : float
    first : ndarray (N,) of int, optional
        Groups that are known already, such as those of exact copies.

    Returns
    -------
    ndarray (N,), int64
        The smallest index of each one's group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not 0 < threshold <= 1:
        raise SettingError("threshold: expected a correlation above 0, up to 1, such "
                           f"as {THRESHOLD}, got {threshold!r}.")
    n = len(thumbnails)
    thumbnails = np.asarray(thumbnails, np.float32).reshape(n, SIDE * SIDE)
    rows = [np.arange(n)]
    columns = [np.arange(n) if first is None else first]
    for start in range(0, n, BLOCK):
        likeness = thumbnails[start:start + BLOCK] @ thumbnails[start:].T
        row, column = np.nonzero(likeness >= threshold - 1e-6)
        rows.append(row + start)
        columns.append(column + start)
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    edges = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    group = connected_components(edges, directed=False)[1]
    smallest = np.full(n, n, dtype=np.int64)
    np.minimum.at(smallest, group, np.arange(n))
    return smallest[group]


def _check(images):
    images = np.asarray(images)
    if images.ndim != 4:
        raise ShapeError("copies: expected images (N, C, H, W), got shape "
                         f"{images.shape}.")
    return images
