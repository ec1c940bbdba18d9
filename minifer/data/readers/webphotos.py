"""Photos collected by search queries: one folder a query, filtered, one-hot.

Several queries ask for one emotion ("neutral human face", "neutral
expression"), so folders are merged. What a search returns needs filtering: a
photo stays if its file is small enough, both its sides are long enough, exactly
one face is on it, and it has not been seen before, neither here nor in another
data set. That its face shows what was asked for, only a person can check.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, ImageError
from ...faces.cropping import CropSettings, extract
from ...faces.headers import read_header
from ...faces.images import SMALLEST_SIDE, decode, read_bytes, read_image
from ..copies import THRESHOLD, near_groups, thumbnail
from ..split_dataset import SplitDataset
from .folders import scan_folders
from .softlabels import SOFT_CLASSES

__all__ = ["load_web", "QUERIES"]

#: Query -> class. A folder may also be named by its class.
QUERIES = {
    "sad human face": "sadness",
    "neutral human face": "neutral", "neutral expression": "neutral",
    "angry human face": "anger", "angry expression": "anger",
    "contempt": "contempt",
    "fear human face": "fear", "fear expression": "fear",
    "surprise human face": "surprise", "surprise expression": "surprise",
    "disgusted human face": "disgust", "disgust expression": "disgust",
    "happy": "happiness",
}

#: Files from this many bytes (20 MB) are left out.
LARGEST_FILE = 20_000_000


def load_web(root: FilePath, merge: dict[str, str] = QUERIES,
             known: Sequence[FilePath] = (), size: int = 224,
             threshold: float = THRESHOLD,
             progress: OnProgress | None = None) -> SplitDataset:
    """Load one face crop from each web photo that passes the filters.

    Parameters
    ----------
    root : str or path-like
        Holds a folder for each query.
    merge : dict of str to str
        Query -> one of the eight classes.
    known : sequence of str or path-like
        Image files of another data set, such as ``scan_ck(...).paths``, none of
        which may be among the photos.
    size : int
        Side of the crops in pixels.
    threshold : float
        Likeness from which a photo counts as seen before; see
        :func:`~minifer.data.copies.near_copies`. Whole photos are compared.
    progress : callable or None
        Called as ``progress(done, total)`` after each photo.

    Returns
    -------
    SplitDataset
        A data set with one-hot ``targets`` (N, 8). ``notes`` list what was left out,
        each photo under the first filter it failed: ``too_large``, ``unreadable``,
        ``too_small`` (a side below 24 pixels, what the face detector needs),
        ``no_face``, ``several_faces``, ``known``, ``duplicate`` (the first of
        several stays, in the order of classes, folders and names).

    Raises
    ------
    DatasetError
        If a folder is no class or query, or no photo is left.
    ImageError
        If one of ``known`` is unreadable.
    SettingError
        If ``size`` or ``threshold`` is out of range.
    BackendUnavailable
        If OpenCV or its face cascade is missing.
    """
    settings = CropSettings(size=size)
    near_groups([], threshold)  # refuse a wrong threshold before the long search
    scan = scan_folders(root, merge=merge)
    unknown = sorted(set(scan.classes) - set(SOFT_CLASSES))
    if unknown:
        raise DatasetError(
            f"{root}: expected folders named by a query or a class "
            f"({', '.join(SOFT_CLASSES)}), got {unknown[0]!r}. Add it to merge.")
    notes = {**scan.notes, **{reason: [] for reason in (
        "too_large", "unreadable", "too_small", "no_face", "several_faces", "known",
        "duplicate")}}
    rows, crops, thumbnails = [], [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            before = list(pool.map(lambda path: thumbnail(read_image(path)), known))
            looks = pool.map(lambda path: _look_at(path, settings), scan.paths)
            for row, (reason, crop, small) in enumerate(looks):
                if reason:
                    notes[reason].append(scan.paths[row])
                else:
                    rows.append(row)
                    crops.append(crop)
                    thumbnails.append(small)
                if progress:
                    progress(row + 1, len(scan.paths))
        finally:
            pool.shutdown(cancel_futures=True)
    keep = _unseen(before, thumbnails, threshold, [scan.paths[row] for row in rows],
                   notes)
    if not keep:
        left_out = ", ".join(f"{reason.replace('_', ' ')} {len(paths)}"
                             for reason, paths in notes.items() if paths)
        raise DatasetError(f"{root}: expected photos of one face, all "
                           f"{len(scan.paths)} were left out ({left_out}).")
    rows = [rows[index] for index in keep]
    paths = [scan.paths[row] for row in rows]
    names = [os.path.relpath(path, root) for path in paths]
    labels = [SOFT_CLASSES.index(scan.classes[scan.labels[row]]) for row in rows]
    return SplitDataset(np.stack([crops[index] for index in keep]), labels,
                        SOFT_CLASSES, names, names, paths, notes,
                        [scan.usage[row] for row in rows])


def _look_at(path, settings):
    """Return (why the photo is left out or None, its crop, its thumbnail)."""
    try:
        if os.path.getsize(path) >= LARGEST_FILE:
            return "too_large", None, None
        data = read_bytes(path)
    except (ImageError, OSError):
        return "unreadable", None, None
    try:
        grey = decode(data, path)
    except ImageError:
        return ("too_small" if _is_tiny(data) else "unreadable"), None, None
    crops, _ = extract(grey, settings, "all")
    if len(crops) != 1:
        return ("several_faces" if len(crops) else "no_face"), None, None
    return None, crops, thumbnail(grey)


def _is_tiny(data):
    """Whether these bytes are an image, only one too small for a face."""
    header = read_header(data)
    return (header is not None and not header.trouble
            and min(header.width, header.height) < SMALLEST_SIDE)


def _unseen(before, thumbnails, threshold, paths, notes):
    """Indices of the photos seen for the first time; the others go to the notes."""
    first = near_groups([*before, *thumbnails], threshold) - len(before)
    keep = []
    for index, (original, path) in enumerate(zip(first[len(before):], paths)):
        if original < 0:
            notes["known"].append(path)
        elif original < index:
            notes["duplicate"].append(path)
        else:
            keep.append(index)
    return keep
