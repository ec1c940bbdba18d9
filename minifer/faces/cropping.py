"""Find faces and crop them: one code for training and for prediction.

A network sees what the crop shows. If prediction cropped a little wider than
training, every test number would still look right and every photo would be
judged worse. So both call :func:`extract`, and the :class:`CropSettings` used
in training are stored in the model file.

Faces and eyes are found by cascades of Haar features that come with OpenCV 4
(:mod:`minifer.faces.cascades`).
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._types import Array, FilePath, OnProgress
from ..errors import ImageError, SettingError
from . import cascades, images
from .boxes import outermost
from .cache import CropCache, cache_folder
from .cutting import check_grey, crop, resize, square
from .images import to_grey
from .settings import CropSettings

__all__ = ["CropSettings", "find_faces", "find_eyes", "crop", "extract", "prepare",
           "to_grey", "cache_folder"]

#: Raise it when :func:`extract` or ``images.decode`` changes, so that no old crop is
#: taken for new.
CROP_VERSION = 2

#: Eyes lie in so much of a face, from its top; below, nostrils look like eyes.
EYES_ABOVE = 0.6
#: Wider faces are searched for eyes in a copy scaled down to this.
EYES_SIDE = 400


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
    check_grey(grey)
    height, width = grey.shape
    if settings.is_crop(grey):
        return np.array([[0, 0, width, height]])
    cascade = cascades.load(cascades.FACE)
    shrink = min(1.0, settings.search_side / max(height, width))
    small = grey if shrink == 1.0 else resize(
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
    left, top, side = square(grey, box)
    upper = grey[top:top + max(1, round(EYES_ABOVE * side)), left:left + side]
    shrink = min(1.0, EYES_SIDE / side)
    small = resize(upper, max(1, round(shrink * side)),
                    max(1, round(shrink * len(upper))))
    least = round(shrink * side / 10)
    found = cascades.load(cascades.EYE).detectMultiScale(
        small, scaleFactor=1.1, minNeighbors=5, minSize=(least, least))
    boxes = np.array(found, dtype=np.int64).reshape(-1, 4)
    boxes = np.rint(boxes / shrink).astype(np.int64) + (left, top, 0, 0)
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


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
        return resize(grey, settings.size, settings.size, settings.scaling)[None], boxes
    crops = np.empty((len(boxes), settings.size, settings.size), np.uint8)
    for face, box in zip(crops, boxes):
        face[:] = crop(grey, box, settings.size, settings)
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
