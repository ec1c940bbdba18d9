"""Augmented copies as files, beside the photos they were made from.

Some texts make their training set larger once, on disk. The trap is what comes
after: if a fifth of the training folder is then set aside for validation, a photo
is on one side and its mirror image on the other, and validation measures
memory. So every copy's name says from which photo it comes
(``a.jpg.mirror.png``), :func:`source_of` reads it, and :func:`keep_together`
gives copies the subject of their source, which
:func:`~minifer.data.splits.split_by_subject` never takes apart. The better way is
:class:`~minifer.data.augment.Augmentation`, which draws other views in every epoch.

>>> source_of("train/happy/Training_7.jpg.turn+10.png")
'train/happy/Training_7.jpg'
>>> source_of("train/happy/Training_7.jpg")
'train/happy/Training_7.jpg'
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ... import files
from ..._types import FilePath, OnProgress
from ...errors import DatasetError, ImageError, SettingError
from ...faces.formats import IMAGE_ENDINGS
from ...faces.images import read_image, write_png
from ..dataset import Dataset
from ..readers.folders import SPLIT_FOLDERS, scan_folders
from . import check_whole, count_workers, warp

__all__ = ["augment_offline", "source_of", "keep_together", "OfflineReport"]

#: Written last into the training folder: where it is, copies are complete.
REPORT = "augmentation.json"

_ENDINGS = "|".join(map(re.escape, IMAGE_ENDINGS))
_COPY = re.compile(rf"(?P<source>.+(?:{_ENDINGS}))\.(?P<kind>mirror|turn[+-]\d+)\.png",
                   re.IGNORECASE | re.DOTALL)

#: A copy of FER2013 that is passed around was augmented as ``Training_1.jpg0.jpg``.
_OTHERS_COPY = re.compile(rf".+(?:{_ENDINGS})\d+(?:{_ENDINGS})",
                          re.IGNORECASE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class OfflineReport:
    """The result of :func:`augment_offline`.

    Parameters
    ----------
    folder : str
    kinds : tuple of str
        The copies of each photo, ``"mirror"`` or ``"turn+10"``.
    sources, written : int
        Photos, and copies made of them.
    unreadable : tuple of str
        What is wrong with photos of which no copies were made.
    """

    folder: str
    kinds: tuple
    sources: int
    written: int
    unreadable: tuple = ()

    def __str__(self):
        total = self.sources + self.written
        lines = [f"{self.folder}: {self.written:,d} copies ({', '.join(self.kinds)}) "
                 f"of {self.sources:,d} photos, {total:,d} images in all. Set "
                 "validation images aside by source only (keep_together)."]
        return "\n".join(lines + [f"no copies: {line}" for line in self.unreadable])


def augment_offline(folder: FilePath, mirror: bool = True,
                    angles: Sequence[int] = (-10, 10), workers: int | None = None,
                    progress: OnProgress | None = None) -> OfflineReport:
    """Write mirrored and turned copies of all photos of a training folder into it.

    Parameters
    ----------
    folder : str or path-like
        The training part of a set of class folders, such as ``fer2013/train``.
        Its name must say so.
    mirror : bool
        Make a copy mirrored left to right.
    angles : sequence of int
        Make a copy turned by each of these, -180 to 180 degrees, anticlockwise.
        The corners are filled as by :func:`~minifer.data.augment.warp`.
    workers : int, optional
        Threads; default: one a core.
    progress : callable, optional
        Called as ``progress(done, total)`` after each photo.

    Returns
    -------
    OfflineReport
        Also written to ``augmentation.json`` in the folder. With the default
        settings the set becomes four times as large: FER2013's 28,709 photos
        become 114,836.

    Raises
    ------
    SettingError
        If no copies are asked for, or an angle is none.
    DatasetError
        If the folder is not for training, holds a photo that by its name is for
        validation or test, or has such copies already.
    OutputError
        If a copy cannot be written. Each file is written whole or not at all;
        the same call then goes on.

    Notes
    -----
    Copies are grey PNG files, so nothing is lost to compression a second time.
    """
    kinds = _kinds(mirror, angles)
    folder, paths = _list_photos(folder, kinds)
    workers = count_workers(workers)
    unreadable = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            results = pool.map(lambda path: _copy_photo(path, kinds), paths)
            for done, error in enumerate(results, start=1):
                if error:
                    unreadable.append(str(error))
                if progress:
                    progress(done, len(paths))
        finally:
            pool.shutdown(cancel_futures=True)  # at Ctrl-C, start no further photo
    report = OfflineReport(folder, tuple(kinds), len(paths),
                           len(kinds) * (len(paths) - len(unreadable)),
                           tuple(unreadable))
    files.write_json(os.path.join(folder, REPORT), dataclasses.asdict(report))
    return report


def source_of(path: str) -> str:
    """The photo an augmented copy was made from; any other path is its own.

    Parameters
    ----------
    path : str

    Returns
    -------
    str
    """
    match = _COPY.fullmatch(path)
    return match["source"] if match else path


def keep_together(data: Dataset) -> Dataset:
    """Give augmented copies the subject and the sequence of their source.

    Parameters
    ----------
    data : Dataset
        A data set with the file names of :func:`augment_offline` as ``paths``.

    Returns
    -------
    Dataset
        A data set of the same kind. Splits by subject now keep copies with their
        source.
    """
    own = {path: row for row, path in enumerate(data.paths.tolist())}
    columns: dict = {}
    for name in ("subjects", "sequences"):
        values = getattr(data, name).tolist()
        columns[name] = [_inherit(path, value, own, values)
                         for path, value in zip(data.paths.tolist(), values)]
    return dataclasses.replace(data, **columns)


def _inherit(path, value, own, values):
    """The value of a copy's source; its name, if the source was left out."""
    source = source_of(path)
    if source == path:
        return value
    return values[own[source]] if source in own else source


def _kinds(mirror, angles):
    """Name of a copy -> degrees, None for the mirrored one."""
    kinds = {"mirror": None} if mirror else {}
    for angle in angles:
        angle = check_whole("angles, degrees", angle, least=-180)
        if angle == 0 or angle > 180:
            raise SettingError("angles: expected whole degrees from -180 to 180 "
                               f"other than 0, got {angle}.")
        kinds[f"turn{angle:+d}"] = angle
    if not kinds:
        raise SettingError("augment_offline: expected mirror=True or some angles, got "
                           "neither, so there is nothing to do.")
    return kinds


def _list_photos(folder, kinds):
    """Return the folder's true name and its photos, or say why not to touch it."""
    folder = os.path.realpath(folder)  # a link called train may point to test
    name = os.path.basename(folder)
    if SPLIT_FOLDERS.get(name.lower()) != "train":
        raise DatasetError(
            f"{folder}: expected a training folder, called train or training, got "
            f"{name!r}. Only training images are augmented; name their folder so.")
    scan = scan_folders(folder)
    photos, before = [], set()
    for path, usage in zip(scan.paths, scan.usage):
        if usage not in ("", "train"):
            raise DatasetError(f"{path}: expected photos for training, by its name it "
                               f"is for {usage}. Move it where it belongs.")
        match = _COPY.fullmatch(path)
        if match:
            before.add(match["kind"])
        elif _OTHERS_COPY.fullmatch(path):
            raise DatasetError(f"{path}: expected photos only, this is named like a "
                               "copy of another. Remove the copies made before.")
        else:
            photos.append(path)
    if os.path.exists(os.path.join(folder, REPORT)) or before - set(kinds):
        raise DatasetError(
            f"{folder}: expected photos only, it was augmented before "
            f"({', '.join(sorted(before)) or REPORT}). Copies of copies teach nothing; "
            f"remove the copies and {REPORT} to begin anew.")
    return folder, photos


def _copy_photo(path, kinds):
    """Write the copies of one photo; return its ImageError if it is unreadable."""
    try:
        image = read_image(path)
    except ImageError as error:
        return error  # one bad file does not stop the others
    for kind, degrees in kinds.items():
        copy = image[:, ::-1] if degrees is None else warp(image[None], degrees)[0]
        write_png(f"{path}.{kind}.png", copy)
    return None
