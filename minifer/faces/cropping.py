"""Find faces and crop them: one code for training and for prediction.

A network sees what the crop shows. If prediction cropped a little wider than
training, every test number would still look right and every photo would be
judged worse. So both call :func:`extract`, and the :class:`CropSettings` used
in training are stored in the model file.

Faces and eyes are found by cascades of Haar features that come with OpenCV 4
(:mod:`minifer.faces.cascades`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._types import Array, FilePath, OnProgress
from ..errors import ImageError, SettingError, ShapeError
from . import cascades, images
from .boxes import outermost
from .cache import CropCache, cache_folder
from .images import to_grey

__all__ = ["CropSettings", "find_faces", "find_eyes", "crop", "extract", "prepare",
           "to_grey", "cache_folder"]

#: Raise it when :func:`extract` or ``images.decode`` changes, so that no old crop is
#: taken for new.
CROP_VERSION = 2

#: Eyes lie in so much of a face, from its top; below, nostrils look like eyes.
EYES_ABOVE = 0.6
#: Wider faces are searched for eyes in a copy scaled down to this.
EYES_SIDE = 400


@dataclasses.dataclass(frozen=True)
class CropSettings:
    """How a photo becomes a face crop.

    Parameters
    ----------
    size : int
        Side of the crop in pixels.
    mode : str
        ``"haar"`` finds the face; ``"whole"`` takes the image as the crop it
        already is, resized; ``"either"`` does that with square images of up to
        ``size`` × ``size`` pixels, and finds the face on others.
    scale_factor : float
        The cascade looks at sizes growing by this factor, above 1.
    neighbours : int
        A face counts when so many overlapping windows agree; more means fewer
        false alarms and more missed faces.
    smallest : float
        Smallest face, as a fraction (0 to 1) of the photo's shorter side.
    search_side : int
        Photos whose longer side has more pixels are searched in a copy scaled
        down to this; the crop is cut from the photo itself.

    Raises
    ------
    SettingError
        If a value is out of its range.

    Examples
    --------
    >>> CropSettings(size=48).to_dict()["mode"]
    'haar'
    >>> CropSettings.from_dict(CropSettings(size=48).to_dict())
    CropSettings(size=48, mode='haar', scale_factor=1.1, neighbours=5,
                 smallest=0.05, search_side=1000)
    """

    size: int = 96
    mode: str = "haar"
    scale_factor: float = 1.1
    neighbours: int = 5
    smallest: float = 0.05
    search_side: int = 1000

    def __post_init__(self):
        if self.mode not in ("haar", "whole", "either"):
            raise SettingError(
                f"faces: expected 'haar', 'whole' or 'either', got {self.mode!r}.")
        for name, low, high in [("size", 8, 1024), ("scale_factor", 1.01, 2),
                                ("neighbours", 0, 100), ("smallest", 0, 1),
                                ("search_side", 100, 10000)]:
            value = getattr(self, name)
            kind = type(getattr(CropSettings, name))
            if (isinstance(value, bool) or not isinstance(value, (int, kind))
                    or not low <= value <= high):
                raise SettingError(
                    f"crop setting {name}: expected {kind.__name__} from {low} "
                    f"to {high}, got {value!r}.")

    def is_crop(self, grey: np.ndarray) -> bool:
        """Whether an image (H, W) is a face crop already."""
        small = grey.shape[0] == grey.shape[1] <= self.size
        return self.mode == "whole" or (self.mode == "either" and small)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CropSettings:
        """Build the settings from :meth:`to_dict`'s dict.

        Raises
        ------
        SettingError
            If a name is unknown, as in a file of a newer minifer.
        """
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise SettingError(
                f"crop settings: expected only {list(cls().to_dict())}, got also "
                f"{sorted(unknown)}. Use the minifer version that wrote them.")
        return cls(**values)


def find_faces(grey: np.ndarray, settings: CropSettings = CropSettings(),
               which: str = "largest") -> np.ndarray:
    """Find the faces on a photo.

    Parameters
    ----------
    grey : ndarray (H, W), uint8
        Grey values of the upright photo.
    settings : CropSettings
    which : str
        ``"largest"`` returns at most one face, ``"all"`` all of them.

    Returns
    -------
    ndarray (K, 4), int64
        x, y, width, height of each face in pixels of ``grey``, the largest
        first, equal ones from top to bottom and left to right. K may be 0. What
        lies by more than half of its area in a larger one is a part of that face (an
        eye behind glasses, say), and left out.

    Raises
    ------
    ShapeError
        If ``grey`` is not (H, W) uint8.
    SettingError
        If ``which`` is neither word.
    BackendUnavailable
        If OpenCV or its cascade is missing.
    """
    if which not in ("largest", "all"):
        raise SettingError(f"which: expected 'largest' or 'all', got {which!r}.")
    _check_grey(grey)
    height, width = grey.shape
    if settings.is_crop(grey):
        return np.array([[0, 0, width, height]])
    cascade = cascades.load(cascades.FACE)
    shrink = min(1.0, settings.search_side / max(height, width))
    small = grey if shrink == 1.0 else _resize(
        grey, max(1, round(width * shrink)), max(1, round(height * shrink)))
    least = max(images.SMALLEST_SIDE, round(settings.smallest * min(small.shape)))
    found = cascade.detectMultiScale(
        small, scaleFactor=settings.scale_factor,
        minNeighbors=settings.neighbours, minSize=(least, least))
    boxes = np.array(found, dtype=np.int64).reshape(-1, 4)
    boxes = np.rint(boxes / shrink).astype(np.int64)
    x, y, w, h = boxes.T
    boxes = boxes[np.lexsort((x, y, -w * h))]  # OpenCV's threads give no order
    return boxes[:1] if which == "largest" else outermost(boxes)


def find_eyes(grey: np.ndarray, box: Array) -> np.ndarray:
    """Find the eyes of a face, to tell it from what only looks like one.

    Parameters
    ----------
    grey : ndarray (H, W), uint8
    box : sequence of 4 int
        x, y, width, height of the face in pixels of ``grey``.

    Returns
    -------
    ndarray (K, 4), int64
        x, y, width, height of each eye in pixels of ``grey``, from left to right.
        K is 2 at best: glasses, shadows and closed lids hide eyes, brows add some.

    Raises
    ------
    ShapeError
        If ``grey`` is not (H, W) uint8, or the box lies outside of it.
    BackendUnavailable
        If OpenCV or its cascade is missing.
    """
    left, top, side = _square(grey, box)
    upper = grey[top:top + max(1, round(EYES_ABOVE * side)), left:left + side]
    shrink = min(1.0, EYES_SIDE / side)
    small = _resize(upper, max(1, round(shrink * side)),
                    max(1, round(shrink * len(upper))))
    least = round(shrink * side / 10)
    found = cascades.load(cascades.EYE).detectMultiScale(
        small, scaleFactor=1.1, minNeighbors=5, minSize=(least, least))
    boxes = np.array(found, dtype=np.int64).reshape(-1, 4)
    boxes = np.rint(boxes / shrink).astype(np.int64) + (left, top, 0, 0)
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


def crop(grey: np.ndarray, box: Array, size: int) -> np.ndarray:
    """Cut a square face out of a photo and scale it.

    The square has the box's centre and its longer side. Where it would reach
    over the edge it is moved, and if need be made smaller, so that every pixel
    of the crop is a pixel of the photo and nothing is stretched.

    Parameters
    ----------
    grey : ndarray (H, W), uint8
    box : sequence of 4 int
        x, y, width, height in pixels of ``grey``.
    size : int
        Side of the result in pixels.

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
    """
    left, top, side = _square(grey, box)
    return _resize(grey[top:top + side, left:left + side], size, size)


def extract(grey: np.ndarray, settings: CropSettings = CropSettings(),
            which: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """Find the faces on a photo and crop each.

    Parameters
    ----------
    grey : ndarray (H, W), uint8
    settings : CropSettings
    which : str
        ``"largest"`` or ``"all"``.

    Returns
    -------
    crops : ndarray (K, size, size), uint8
    boxes : ndarray (K, 4), int64
        As :func:`find_faces` returns them. K is 0 when there is no face; it is
        1 and the box is the whole photo where that is a crop already.

    Raises
    ------
    ShapeError, SettingError, BackendUnavailable
        As :func:`find_faces`.
    """
    boxes = find_faces(grey, settings, which)
    if settings.is_crop(grey):
        return _resize(grey, settings.size, settings.size)[None], boxes
    crops = np.empty((len(boxes), settings.size, settings.size), np.uint8)
    for face, box in zip(crops, boxes):
        face[:] = crop(grey, box, settings.size)
    return crops, boxes


def prepare(
        paths: Sequence[FilePath], settings: CropSettings = CropSettings(),
        cache: FilePath | bool | None = None, progress: OnProgress | None = None,
        workers: int | None = None) -> tuple[np.ndarray, np.ndarray, list[ImageError]]:
    """Crop the largest face of each image file, on all cores, and remember it.

    Finished crops are kept on disk, each under the SHA-256 of its image file's
    content, the settings and the version of this code. So a second call is
    fast, an interrupted one continues, and a changed file is cropped again.

    Parameters
    ----------
    paths : sequence of str or path-like, length N
        Image files.
    settings : CropSettings
    cache : None, str, path-like or False
        Folder of the crops; None means :func:`cache_folder`, False none at all.
    progress : callable or None
        Called as ``progress(done, total)`` after each image.
    workers : int or None
        Threads; None means one a core. The result does not depend on it.

    Returns
    -------
    crops : ndarray (N, 1, size, size), uint8
        Zeros where no face was found.
    found : ndarray (N,), bool
    errors : list of ImageError
        One for each file that could not be read, in the order of ``paths``.

    Raises
    ------
    BackendUnavailable
        If OpenCV or its cascade is missing.

    Warns
    -----
    UserWarning
        Once, if the cache cannot be written. The result is complete all the same.
    """
    paths = list(paths)
    store = None
    if cache is not False:
        folder: Any = cache_folder() if cache is None else cache
        store = CropCache(os.path.join(folder, "crops"), settings.size)
    crops = np.zeros((len(paths), 1, settings.size, settings.size), np.uint8)
    found = np.zeros(len(paths), bool)
    errors = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        results = pool.map(lambda path: _face_of(path, settings, store), paths)
        try:
            for index, faces in enumerate(results):
                if isinstance(faces, ImageError):
                    errors.append(faces)
                elif len(faces):
                    crops[index], found[index] = faces, True
                if progress:
                    progress(index + 1, len(paths))
        finally:
            pool.shutdown(cancel_futures=True)  # at Ctrl-C, start no further photo
    if store and store.problem:
        warnings.warn(f"Face crops are not kept for the next time: {store.problem} "
                      "The environment variable MINIFER_CACHE names another folder.",
                      stacklevel=2)
    return crops, found, errors


def _face_of(path, settings, store):
    """Return the (0 or 1, size, size) crop of one file, or its ImageError."""
    try:
        data = images.read_bytes(path)
        key = store and _key(data, settings)
        faces = store.get(key) if store else None
        if faces is None:
            faces, _ = extract(images.decode(data, path), settings, "largest")
            if store:
                store.put(key, faces)
    except ImageError as error:
        return error  # one bad file does not stop the others
    return faces


def _key(data, settings):
    """Name a crop by everything that decides its pixels."""
    recipe = [images.content_hash(data), settings.to_dict(), CROP_VERSION,
              images.load_cv2().__version__]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _square(grey, box):
    """Left, top and side of the square that :func:`crop` cuts out."""
    _check_grey(grey)
    x, y, width, height = (int(value) for value in box)
    rows, columns = grey.shape
    if (width < 1 or height < 1 or x >= columns or y >= rows
            or x + width <= 0 or y + height <= 0):
        raise ShapeError(
            f"crop: expected a box x, y, width, height on a photo of {columns}x"
            f"{rows} pixels, got {(x, y, width, height)}.")
    side = min(max(width, height), rows, columns)
    left = min(max(x + (width - side) // 2, 0), columns - side)
    top = min(max(y + (height - side) // 2, 0), rows - side)
    return left, top, side


def _check_grey(grey):
    if (not isinstance(grey, np.ndarray) or grey.dtype != np.uint8
            or grey.ndim != 2 or grey.size == 0):
        raise ShapeError(
            "faces: expected a photo (H, W) of uint8 grey values, got "
            f"{getattr(grey, 'dtype', type(grey).__name__)} of shape "
            f"{np.shape(grey)}. read_image and to_grey give such photos.")


def _resize(grey, width, height):
    """Scale: averaging areas when shrinking, else between neighbours."""
    cv2 = images.load_cv2()
    shrinks = grey.shape[0] >= height and grey.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(grey, (width, height), interpolation=how)
