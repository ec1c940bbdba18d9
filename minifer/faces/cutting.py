"""Cut a face out of a photo, and scale it."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..errors import ShapeError
from . import images
from .settings import CropSettings

__all__ = ["crop", "check_grey", "resize", "square"]


def crop(grey: np.ndarray, box: Array, size: int,
         settings: CropSettings = CropSettings()) -> np.ndarray:
    """Cut a square face out of a photo and scale it.

    The square has the box's centre and its longer side, and the margin around it. Where
    it would reach over the edge it is moved, and if need be made smaller, so that every
    pixel of the crop is a pixel of the photo and nothing is stretched; or it is filled
    up, as the settings say.

    Parameters
    ----------
    grey : ndarray (H, W), uint8
    box : sequence of 4 int
        x, y, width, height in pixels of ``grey``.
    size : int
        Side of the result in pixels.
    settings : CropSettings
        Their margin, scaling and edge.

    Returns
    -------
    ndarray (size, size), uint8

    Raises
    ------
    ShapeError
        If ``grey`` is not (H, W) uint8, or the box lies outside of it.

    Examples
    --------
    >>> photo = np.tile(np.arange(100, dtype=np.uint8), (50, 1))
    >>> crop(photo, (60, 10, 16, 16), size=4)[0].tolist()
    [62, 66, 70, 74]
    >>> crop(photo, (60, 10, 16, 16), 4, CropSettings(margin=8))[0].tolist()
    [56, 64, 72, 80]
    """
    left, top, side = square(grey, box, settings)
    cut = (_filled(grey, left, top, side) if settings.edge == "fill"
           else grey[top:top + side, left:left + side])
    return resize(cut, size, size, settings.scaling)


def square(grey, box, settings=CropSettings()):
    """Left, top and side of the square that :func:`crop` cuts out."""
    check_grey(grey)
    x, y, width, height = (int(value) for value in box)
    rows, columns = grey.shape
    if (width < 1 or height < 1 or x >= columns or y >= rows
            or x + width <= 0 or y + height <= 0):
        raise ShapeError(
            f"crop: expected a box x, y, width, height on a photo of {columns}x"
            f"{rows} pixels, got {(x, y, width, height)}.")
    side = min(max(width, height), max(rows, columns))
    side += 2 * settings.pixels_beyond(side)
    moves = settings.edge == "move"
    if moves:
        side = min(side, rows, columns)
    left, top = x + (width - side) // 2, y + (height - side) // 2
    if moves:
        left = min(max(left, 0), columns - side)
        top = min(max(top, 0), rows - side)
    return left, top, side


def _filled(grey, left, top, side):
    """A square of the photo, and beyond its edge the grey of its two lowest rows."""
    rows, columns = grey.shape
    cut = np.full((side, side), round(float(grey[-2:].mean())), np.uint8)
    x, y = max(left, 0), max(top, 0)
    seen = grey[y:min(top + side, rows), x:min(left + side, columns)]
    cut[y - top:y - top + seen.shape[0], x - left:x - left + seen.shape[1]] = seen
    return cut


def check_grey(grey):
    """Refuse what is no grey photo."""
    if (not isinstance(grey, np.ndarray) or grey.dtype != np.uint8
            or grey.ndim != 2 or grey.size == 0):
        raise ShapeError(
            "faces: expected a photo (H, W) of uint8 grey values, got "
            f"{getattr(grey, 'dtype', type(grey).__name__)} of shape "
            f"{np.shape(grey)}. read_image and to_grey give such photos.")


def resize(grey, width, height, scaling="area"):
    """Scale: averaging areas when shrinking, else between neighbours."""
    cv2 = images.load_cv2()
    shrinks = grey.shape[0] >= height and grey.shape[1] >= width
    how = cv2.INTER_AREA if shrinks and scaling == "area" else cv2.INTER_LINEAR
    return cv2.resize(grey, (width, height), interpolation=how)
