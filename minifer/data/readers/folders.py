"""Images sorted into one folder a class, as FER2013 is passed around in JPEG.

::

    train/happy/Training_10019449.jpg …     test/happy/PublicTest_58895662.jpg …

Two traps. Folders in alphabetical order are not the codes of FER2013 (neutral
is 4 there and 6 here), so classes go by name and ``classes`` sets their order.
And ``test/`` holds two sets, the public one, meant for validation, and the
private one: the beginning of the file's name tells which.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..._types import FilePath, OnProgress
from ...errors import DatasetError
from ...faces.cropping import CropSettings, prepare
from ...faces.formats import is_image
from ...faces.images import raise_unreadable, write_png
from ...files import make_folder, new_folder
from ..copies import exact_copies
from ..split_dataset import PARTS, SplitDataset
from .fer2013 import USAGES
from .listing import files, folders
from .people import people
from .words import SPLIT_WORDS, alike, spelled_as

__all__ = ["load_folders", "save_folders", "scan_folders", "FolderScan"]

#: Names of the folders above the classes.
SPLIT_FOLDERS = SPLIT_WORDS

#: What a folder's files may say of themselves: its own part, or, in ``test``,
#: the public test set, which the keepers of these copies put there too.
ALLOWED = {"train": ("train",), "validation": ("validation",),
           "test": ("test", "validation"), "": PARTS}

#: Where an image goes: part -> folder, and how its name begins.
_PLACES = {usage: ("test" if usage == "validation" else usage, prefix)
           for prefix, usage in USAGES.items()}

_NAME = re.compile(rf"({'|'.join(USAGES)})_([0-9]+)\.\w+")


@dataclasses.dataclass(frozen=True)
class FolderScan:
    """The files to be read, before any is. Lists of equal length.

    ``paths``, ``labels`` (class indices) and ``usage`` have an entry an image;
    ``classes`` and ``notes`` are those of a data set.
    """

    paths: list
    labels: list
    usage: list
    classes: tuple
    notes: dict


def load_folders(root: FilePath, classes: Sequence[str] | None = None,
                 faces: str | CropSettings = "whole", size: int = 48,
                 merge: dict[str, str] | None = None, strict: bool = False,
                 cache: FilePath | bool | None = False,
                 progress: OnProgress | None = None, merge_alike: bool = False,
                 absent: bool = False) -> SplitDataset:
    """Load images from a folder for each class.

    Parameters
    ----------
    root : str or path-like
        Holds folders ``train``, ``test`` and the like, which hold the class
        folders; or holds the class folders itself.
    classes : sequence of K str, optional
        The class folders in the order of the labels. Default: those found, in
        alphabetical order. For FER2013's own order give ``FER2013_CLASSES``.
    faces : str or CropSettings
        ``"whole"`` takes each image whole, ``"haar"`` finds and crops the face. Whole
        settings, such as those of a model, hold also the size.
    size : int
        Side of the result in pixels; other images are scaled.
    merge : dict of str to str, optional
        Folder -> class, where several folders make one class.
    strict : bool
        Refuse the set if an image is unreadable. Otherwise such images are left
        out and listed in the notes.
    cache, progress
        As for :func:`~minifer.data.load_ck`; the cache is off by default.
    merge_alike : bool
        Make one class of folders whose names mean the same: they differ by capitals,
        or are words for one emotion, such as ``angry`` and ``anger``. Otherwise a note
        tells of them.
    absent : bool
        Whether some of the ``classes`` given may have no folder; a note names them.

    Returns
    -------
    SplitDataset
        Sorted by part, class and file name. Subjects and sequences are those that the
        files' names tell of, as :func:`~minifer.data.readers.people.person_of` knows
        them. Images with the same pixels have one subject; where no name tells, it is
        the name of the first of them.

    Raises
    ------
    DatasetError
        If a folder is missing or unknown, a class of one part is absent from
        training, a file's name contradicts its folder, or nothing is left.
    ImageError
        With ``strict``, if images are unreadable; one message for all.
    SettingError, BackendUnavailable
        As for ``load_ck``.
    """
    settings = CropSettings.of(faces, size)
    scan = scan_folders(root, classes, merge, merge_alike, absent)
    crops, found, errors = prepare(scan.paths, settings, cache, progress)
    if strict or len(errors) == len(scan.paths):
        raise_unreadable(errors, len(scan.paths))
    if not found.any():
        raise DatasetError(f"{root}: no face found on any of {len(found)} images. If "
                           "they show nothing but the face, use faces='whole'.")
    paths = np.array(scan.paths)
    notes = {**scan.notes, **_explain(paths[~found].tolist(), errors)}
    crops = crops if found.all() else crops[found]
    names = np.array([os.path.relpath(path, root) for path in paths[found]])
    subjects, sequences, note = people(names, exact_copies(crops))
    if note:
        notes["subjects"] = note
    return SplitDataset(crops, np.array(scan.labels)[found], scan.classes, subjects,
                        sequences, paths[found], notes, np.array(scan.usage)[found])


def save_folders(data: SplitDataset, root: FilePath,
                 progress: OnProgress | None = None) -> list[str]:
    """Write a data set as one folder a class, as :func:`load_folders` reads it.

    Parameters
    ----------
    data : SplitDataset
        A data set with a part for each image, as ``load_fer2013`` returns it.
    root : str or path-like
        Absent or an empty folder; it appears when all is written, or not at all.
    progress : callable, optional
        Called as ``progress(done, total)`` after each image.

    Returns
    -------
    list of str
        The PNG file of each image, relative to ``root``:
        ``train/happy/Training_0000007.png``, where the number is that in the name of
        the image's file, for FER2013 its row in the table, counted from 0.

    Raises
    ------
    DatasetError
        If an image is in no part, two would get one name, a class is no name of a
        folder, or ``root`` is in use.
    OutputError
        If a file cannot be written.
    """
    names = _names(data)
    with new_folder(root) as new:
        for part in {name.split(os.sep)[0] for name in names}:
            for one in data.classes:  # those without an image, too: it is a class
                make_folder(os.path.join(new, part, one))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # most of it waits for disks
            written = pool.map(lambda name, image: write_png(
                os.path.join(new, name), image[0]), names, data.images)
            try:
                for done, _ in enumerate(written, start=1):
                    if progress:
                        progress(done, len(names))
            finally:
                pool.shutdown(cancel_futures=True)
    return names


def _names(data):
    """Where each image goes."""
    bad = [name for name in data.classes if name != os.path.basename(name) or not name]
    if bad or "" in data.usage:
        raise DatasetError("class folders: expected a part for each image and classes "
                           "that can name folders, got "
                           f"{repr(bad[0]) if bad else 'images in no part'}.")
    names = []
    for label, usage, path in zip(data.labels, data.usage.tolist(), data.paths):
        folder, prefix = _PLACES[usage]
        number = re.sub(r"\D", "", os.path.basename(path))
        names.append(os.path.join(folder, data.classes[label],
                                  f"{prefix}_{number}.png"))
    if len(set(names)) < len(names):
        raise DatasetError("class folders: expected images with a number each in their "
                           "file's name, got two with the same.")
    return names


def scan_folders(root: FilePath, classes: Sequence[str] | None = None,
                 merge: dict[str, str] | None = None, merge_alike: bool = False,
                 absent: bool = False) -> FolderScan:
    """List the images of :func:`load_folders` without reading them.

    Parameters
    ----------
    root, classes, merge, merge_alike, absent
        As for :func:`load_folders`.

    Returns
    -------
    FolderScan

    Raises
    ------
    DatasetError
        As :func:`load_folders`.
    """
    root, merge = os.fspath(root), dict(merge or {})
    parts = _find_parts(root)
    found = {part: _class_folders(folder, merge) for part, folder in parts}
    found, remarks = _put_together(found, classes, merge_alike)
    classes = _choose_classes(root, found, classes, absent)
    scan = FolderScan([], [], [], classes, {"not_an_image": [], "empty_folder": [],
                                            **remarks})
    odd_names: list = []
    for part, _ in parts:
        for label, name in enumerate(classes):
            for folder in found[part].get(name, []):
                _list_images(scan, folder, part, label, odd_names)
    if not scan.paths:
        raise DatasetError(f"{root}: expected images (.jpg, .png, ...) in CLASS "
                           "folders, found none. Give the folder above them.")
    nothing = [classes[k] for k in sorted(set(range(len(classes))) - set(scan.labels))]
    if nothing and absent:
        scan.notes["classes without an image"] = ", ".join(nothing)
    if odd_names:
        scan.notes["possible augmented copies"] = (
            f"{len(odd_names)} files are named like {odd_names[0]}")
    return scan


def _find_parts(root):
    """List (part, folder): the split folders in ``root``, or ``root`` itself."""
    inside = folders(root)
    parts = [(SPLIT_FOLDERS[name.lower()], os.path.join(root, name))
             for name in inside if name.lower() in SPLIT_FOLDERS]
    if not parts:
        return [("", root)]
    if len(parts) < len(inside):
        other = next(name for name in inside if name.lower() not in SPLIT_FOLDERS)
        raise DatasetError(f"{os.path.join(root, other)}: expected only folders like "
                           f"train and test beside {os.path.basename(parts[0][1])}, "
                           f"got {other!r}. Move it away.")
    if len({part for part, _ in parts}) < len(parts):
        raise DatasetError(f"{root}: expected one folder for each part, got "
                           f"{', '.join(inside)}. Keep one of those that mean "
                           "the same.")
    return sorted(parts, key=lambda part: PARTS.index(part[0]))


def _class_folders(folder, merge):
    """Map class -> its folders inside ``folder``."""
    classes = {}
    for name in folders(folder):
        classes.setdefault(merge.get(name, name), []).append(os.path.join(folder, name))
    return classes


def _put_together(found, classes, merge):
    """Merge folders of classes whose names mean the same, or remark on them."""
    first = next(iter(found.values()))
    names = sorted({name for here in found.values() for name in here})
    into = {}
    for group in alike([*(classes or ()), *names]):
        given = [name for name in group if name in (classes or ())]
        best = min(given or group, key=lambda name: (name not in first,
                                                     name != name.lower(), name))
        if len(given) < 2:  # or else whoever named the classes wants them apart
            into.update({name: best for name in group if name != best})
    if not into:
        return found, {}
    if not merge:
        return found, {"classes that may be one": "; ".join(
            f"{name} and {best}" for name, best in into.items())
            + " (merge_alike, --merge-alike, makes one of each)"}
    merged = {}
    for part, here in found.items():
        merged[part] = {}
        for name, paths in here.items():
            merged[part].setdefault(into.get(name, name), []).extend(paths)
    return merged, {"merged classes": "; ".join(
        f"{name} into {best}" for name, best in into.items())}


def _choose_classes(root, found, classes, absent):
    """Return the classes in order; all must be in the first part, none unknown."""
    first = next(iter(found))
    if classes is None:
        classes = sorted(found[first])
    classes = tuple(classes)
    where = f"{root}, part {first}" if first else root
    missing = [name for name in classes if name not in found[first]]
    if absent and any(name in here for here in found.values() for name in classes):
        missing = []
    if missing or not classes:
        raise DatasetError(
            f"{where}: expected a folder for each class, found none for "
            f"{', '.join(missing) or 'any'} (there are "
            f"{', '.join(sorted(found[first])) or 'no folders'}). Check the names.")
    for part, here in found.items():
        unknown = sorted(set(here) - set(classes))
        if unknown:
            raise DatasetError(
                f"{here[unknown[0]][0]}: expected only the classes "
                f"{', '.join(classes)}, got {unknown[0]!r}. Rename or move the folder, "
                "or name all classes" + _hint(unknown[0], classes))
    return classes


def _hint(name, classes):
    """The end of a message: what an unknown class may be."""
    known = spelled_as(name, classes)
    return "." if known is None else (
        f"; merge_alike, --merge-alike, takes it for {known!r}.")


def _list_images(scan, folder, part, label, odd_names):
    """Append the images of one folder to the scan."""
    before = len(scan.paths)
    for name in files(folder):
        path = os.path.join(folder, name)
        if not is_image(name):
            scan.notes["not_an_image"].append(path)
            continue
        says = part
        prefix = name.split("_")[0]
        if prefix in USAGES:
            says = USAGES[prefix]
            if says not in ALLOWED[part]:
                raise DatasetError(
                    f"{path}: expected a file for {part}, by its name it is for "
                    f"{says}. Move it where it belongs, or the test set leaks.")
            if not _NAME.fullmatch(name):
                odd_names.append(path)
        scan.paths.append(path)
        scan.labels.append(label)
        scan.usage.append(says)
    if len(scan.paths) == before:
        scan.notes["empty_folder"].append(folder)


def _explain(paths, errors):
    """Notes on images without a crop; ``errors`` are in the order of ``paths``."""
    messages = [str(error) for error in errors]
    notes = {"unreadable": [], "no_face": []}
    for path in paths:
        if messages and messages[0].startswith(f"{path}:"):
            notes["unreadable"].append(messages.pop(0))
        else:
            notes["no_face"].append(path)
    return notes
