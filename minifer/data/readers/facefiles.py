"""Faces cut out of a folder of photos, one file each, and a table that loses none.

The folders below the photos' folder are kept: photos sorted by class become crops
sorted by class, which :func:`~minifer.data.readers.folders.load_folders` reads.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, ImageError
from ...faces.cropping import CropSettings, extract
from ...faces.formats import is_image
from ...faces.images import raise_unreadable, read_image, write_png
from ...files import csv_writer, make_folder, new_folder
from .listing import tree

__all__ = ["save_faces", "FaceFiles", "TABLE"]

#: The table's name in the folder of the crops.
TABLE = "faces.csv"

COLUMNS = ("photo", "status", "face", "x", "y", "width", "height", "crop", "error")


@dataclasses.dataclass(frozen=True)
class FaceFiles:
    """What was found in one file.

    Parameters
    ----------
    photo : str
        The file, relative to the folder of the photos.
    status : str
        ``"ok"``, ``"no face"``, ``"unreadable"``, or ``"no image"`` by its name.
    boxes : tuple of (int, int, int, int)
        x, y, width and height of each face in pixels of the photo, the largest first.
    crops : tuple of str
        The file of each face, relative to the folder of the crops.
    error : str
        Why it is unreadable, else empty.
    """

    photo: str
    status: str
    boxes: tuple = ()
    crops: tuple = ()
    error: str = ""

    def to_dict(self):
        """Return it as plain data, for JSON."""
        return dataclasses.asdict(self)

    def rows(self):
        """Return its rows of the table, one a face, or one without a face."""
        first = {"photo": self.photo, "status": self.status, "error": self.error}
        if not self.crops:
            yield first
        for face, (box, crop) in enumerate(zip(self.boxes, self.crops), start=1):
            yield {**first, "face": face, "crop": crop,
                   **dict(zip(("x", "y", "width", "height"), box))}


def save_faces(photos: FilePath, folder: FilePath,
               settings: CropSettings = CropSettings(), which: str = "all",
               strict: bool = False,
               progress: OnProgress | None = None) -> list[FaceFiles]:
    """Find the faces on all photos of a folder, and save each as a grey PNG file.

    Parameters
    ----------
    photos : str or path-like
        A folder; photos in folders inside it count, too.
    folder : str or path-like
        Folder for the crops, such as ``anna/party.jpg.face1.png``, and ``faces.csv``.
        Absent or empty; it appears when all is written, or not at all.
    settings : CropSettings
    which : {'all', 'largest'}
        Every face on a photo, or its largest.
    strict : bool
        Refuse the folder if a photo is unreadable; else the table says so.
    progress : callable, optional
        Called as ``progress(done, total)`` after each file.

    Returns
    -------
    list of FaceFiles
        One for each file there is, sorted by folder and name.

    Raises
    ------
    DatasetError
        If ``photos`` is no folder or holds no photos, or ``folder`` is in use or
        inside ``photos``, where the next search would find the crops.
    ImageError
        With ``strict``, if photos are unreadable; one message for all.
    SettingError, BackendUnavailable
        As :func:`~minifer.faces.find_faces`.
    OutputError
        If a file cannot be written.
    """
    names = tree(photos)
    if not any(is_image(name) for name in names):
        raise DatasetError(f"{photos}: expected photos (.jpg, .png, ...), found "
                           f"none among {len(names)} files.")
    if pathlib.Path(folder).resolve().is_relative_to(pathlib.Path(photos).resolve()):
        raise DatasetError(f"{folder}: expected a folder outside {photos}, or the next "
                           "search would find the crops. Choose another.")
    with new_folder(folder) as new, ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            found = []
            for files in pool.map(lambda name: _save(photos, name, new, settings,
                                                     which), names):
                found.append(files)
                if progress:
                    progress(len(found), len(names))
        finally:
            pool.shutdown(cancel_futures=True)  # at Ctrl-C, start no further photo
        if strict:
            raise_unreadable([ImageError(one.error) for one in found if one.error],
                             len(names))
        with csv_writer(os.path.join(new, TABLE)) as table:
            table.writerow(COLUMNS)
            for one in found:
                for row in one.rows():
                    table.writerow([row.get(name) for name in COLUMNS])
    return found


def _save(photos, name, folder, settings, which):
    """Find and save the faces of one file."""
    if not is_image(name):
        return FaceFiles(name, "no image")
    try:
        crops, boxes = extract(read_image(os.path.join(photos, name)), settings, which)
    except ImageError as error:
        return FaceFiles(name, "unreadable", error=str(error))
    if not len(crops):
        return FaceFiles(name, "no face")
    make_folder(os.path.dirname(os.path.join(folder, name)))
    files = tuple(f"{name}.face{number}.png" for number in range(1, len(crops) + 1))
    for file, crop in zip(files, crops):
        write_png(os.path.join(folder, file), crop)
    return FaceFiles(name, "ok", tuple(map(tuple, boxes.tolist())), files)
