"""New views of training images: mirrored, turned, shifted, zoomed, lit, half hidden.

A face turned by five degrees shows the same expression, and a network that has
seen it turned need not learn that by itself. Every image has its own draw, known
by epoch and number of the image alone: a run that is resumed, another size of the
batches or another number of threads sees the very same pictures. For training
images only, and after the split, never before.

>>> images = np.random.default_rng(0).integers(0, 256, (4, 1, 48, 48), np.uint8)
>>> augment = Augmentation(flip=True, rotation=15, shift=0.1)
>>> today = augment(images, [0, 1, 2, 3], epoch=1)
>>> np.array_equal(today[2:], augment(images[2:], [2, 3], epoch=1))
True
>>> np.array_equal(today, augment(images, [0, 1, 2, 3], epoch=2))
False
"""

from __future__ import annotations

import dataclasses
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..._types import Array
from ...errors import SettingError, ShapeError, check_seed
from ...faces.images import load_cv2
from ...random import Stream

__all__ = ["Augmentation", "warp", "brighten", "erase"]

#: Numbers drawn for each image. Always all of them, in one order, so that turning
#: one setting on leaves the draws of the others as they were.
DRAWS = 11


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training images are changed; the default settings change nothing.

    Parameters
    ----------
    flip : bool
        Mirror every second image, left to right.
    rotation : float, 0 to 180
        Turn about the middle by up to so many degrees, either way.
    shift : float, 0 to 1
        Move by up to this share of width and of height, either way.
    zoom : (float, float), above 0
        Least and largest magnification; above 1 the face grows.
    brightness : float, 0 to 1
        Grey values are multiplied by 1 - brightness to 1 + brightness.
    erase : float, 0 to 1
        Share of the images of which a rectangle is replaced by noise; see
        :func:`erase`.
    seed : int

    Raises
    ------
    SettingError
        If a setting is out of range.

    Notes
    -----
    Angles, shifts, magnifications and brightness are drawn evenly from their
    ranges. The order is: mirror; turn, zoom and shift in one step, for each
    interpolation blurs; brightness; erasing.
    """

    flip: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    zoom: tuple = (1.0, 1.0)
    brightness: float = 0.0
    erase: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if not isinstance(self.flip, (bool, np.bool_)):
            raise SettingError(f"flip: expected True or False, got {self.flip!r}.")
        for name, most in (("rotation", 180), ("shift", 1), ("brightness", 1),
                           ("erase", 1)):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= most:
                raise SettingError(
                    f"{name}: expected a number from 0 to {most}, got {value!r}.")
        try:
            low, high = self.zoom
        except (TypeError, ValueError):
            low = high = None
        if not (_is_number(low) and _is_number(high) and 0 < low <= high < math.inf):
            raise SettingError("zoom: expected two magnifications, 0 < least <= "
                               f"largest, such as (0.9, 1.1), got {self.zoom!r}.")
        check_seed(self.seed)

    def __call__(self, images: np.ndarray, numbers: Array, epoch: int,
                 workers: int | None = None) -> np.ndarray:
        """Change every image in its own way.

        Parameters
        ----------
        images : ndarray (N, C, H, W), uint8
            Left as they are.
        numbers : sequence of N int >= 0
            Which images of the data set these are. An image that comes twice
            under one number looks the same twice.
        epoch : int >= 0
        workers : int, optional
            Threads; default: one for each million pixels, at most one a core, for
            small batches are done before threads have started. The result does not
            depend on it.

        Returns
        -------
        ndarray (N, C, H, W), uint8
            New memory, in the order of ``images``; so their labels still fit.

        Raises
        ------
        ShapeError
            If ``images`` are not uint8 (N, C, H, W), or not as many as numbers.
        SettingError
            If ``numbers``, ``epoch`` or ``workers`` are no such whole numbers.
        """
        images, numbers = _check(images, numbers)
        stream = Stream(self.seed, "augment", check_whole("epoch", epoch))
        if workers is None:
            workers = min(count_workers(), 1 + images.size // 2 ** 20)
        workers = count_workers(workers)
        views = np.empty(images.shape, np.uint8)

        def change(rows):
            for row, rng in zip(rows, stream.generators(numbers[rows].tolist())):
                views[row] = self._change(images[row], rng)

        parts = np.array_split(np.arange(len(images)), workers)
        if workers == 1:
            change(*parts)
        else:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(change, parts))
        return views

    def _change(self, image, rng):
        """Change one image (C, H, W) by numbers from its own ``rng``."""
        draw = rng.random(DRAWS).tolist()
        either_way = [2 * one - 1 for one in draw]
        if self.flip and draw[0] < 0.5:
            image = image[..., ::-1]
        low, high = self.zoom
        image = warp(image, degrees=self.rotation * either_way[1],
                     right=self.shift * either_way[2], down=self.shift * either_way[3],
                     zoom=low + (high - low) * draw[4])
        image = brighten(image, 1 + self.brightness * either_way[5])
        return erase(image, *draw[7:], rng) if draw[6] < self.erase else image


def warp(image, degrees=0.0, right=0.0, down=0.0, zoom=1.0):
    """Turn, zoom and shift an image in one step.

    Parameters
    ----------
    image : ndarray (C, H, W), uint8
    degrees : float
        Anticlockwise about the middle.
    right, down : float
        Shares of width and height.
    zoom : float
        Magnification, above 0.

    Returns
    -------
    ndarray (C, H, W), uint8
        ``image`` itself if there is nothing to do.

    Notes
    -----
    What comes in from beyond the edge is the image reflected there. Black corners
    occur in no photo of the test set; a network would learn them, and means and
    batch norms would be of darker images than those it is used on. A reflection
    has the brightness and texture of the photo it continues.

    Interpolation is cubic: the linear one takes a quarter of the sharpness of
    48x48 photos, so that training would see blurred faces and the test sharp ones.
    """
    if (degrees, right, down, zoom) == (0, 0, 0, 1):
        return image
    cv2 = load_cv2()
    H, W = image.shape[1:]
    matrix = cv2.getRotationMatrix2D(((W - 1) / 2, (H - 1) / 2), degrees, zoom)
    matrix[0, 2] += right * W
    matrix[1, 2] += down * H
    warped = np.empty(image.shape, np.uint8)
    for channel, place in zip(np.ascontiguousarray(image), warped):
        cv2.warpAffine(channel, matrix, (W, H), place, flags=cv2.INTER_CUBIC,
                       borderMode=cv2.BORDER_REFLECT_101)
    return warped


def brighten(image, factor):
    """Multiply grey values by ``factor``; what leaves 0 to 255 is cut off.

    Parameters
    ----------
    image : ndarray, uint8
    factor : float >= 0

    Returns
    -------
    ndarray, uint8
        ``image`` itself if there is nothing to do.
    """
    if factor == 1:
        return image
    table = np.rint(np.arange(256) * factor).clip(0, 255).astype(np.uint8)
    return table[image]


def erase(image, area, shape, top, left, rng):
    """Replace a rectangle by noise, so that no single part of a face decides.

    Parameters
    ----------
    image : ndarray (C, H, W), uint8
    area, shape, top, left : float, 0 to 1
        Drawn numbers. The rectangle covers 2 to 33 % of the image, is 0.3 to 3.3
        times as high as wide (even odds for either), and lies inside.
    rng : numpy.random.Generator
        Draws the noise: grey values, each as likely.

    Returns
    -------
    ndarray (C, H, W), uint8
        Another array; ``image`` is left as it is.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang (2020): Random Erasing Data
    Augmentation. AAAI. arXiv:1708.04896.
    """
    C, H, W = image.shape
    pixels = (0.02 + 0.31 * area) * H * W
    ratio = math.exp((2 * shape - 1) * math.log(1 / 0.3))
    h = min(H, max(1, round(math.sqrt(pixels * ratio))))
    w = min(W, max(1, round(math.sqrt(pixels / ratio))))
    y, x = int(top * (H - h + 1)), int(left * (W - w + 1))
    image = image.copy()
    image[:, y:y + h, x:x + w] = rng.integers(0, 256, (C, h, w), np.uint8)
    return image


def check_whole(name, value, least=0):
    """Return ``value`` as an int, or raise SettingError."""
    if (not isinstance(value, (int, np.integer)) or isinstance(value, bool)
            or value < least):
        raise SettingError(
            f"{name}: expected a whole number >= {least}, got {value!r}.")
    return int(value)


def count_workers(workers=None):
    """Threads to work with: so many, or one a core."""
    return check_whole("workers", os.cpu_count() if workers is None else workers,
                       least=1)


def _is_number(value):
    return (isinstance(value, (int, float, np.number))
            and not isinstance(value, bool) and math.isfinite(value))


def _check(images, numbers):
    images, numbers = np.asarray(images), np.asarray(numbers)
    if images.ndim != 4 or images.dtype != np.uint8 or numbers.shape != (len(images),):
        raise ShapeError(
            "augmentation: expected uint8 images (N, C, H, W) and N numbers, got "
            f"{images.dtype} {images.shape} and numbers {numbers.shape}. Augment "
            "pixels before they are scaled.")
    if len(numbers) and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        raise SettingError("numbers: expected the numbers of the images, whole and "
                           f">= 0, got {numbers.dtype} from {numbers.min()}.")
    return images, numbers
