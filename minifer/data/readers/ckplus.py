"""CK+ and everything laid out like it: sequences from neutral to the peak.

::

    cohn-kanade-images/S005/001/S005_001_00000001.png … S005_001_00000011.png
    Emotion/S005/001/S005_001_00000011_emotion.txt     holding "   3.0000000e+00"

The label belongs to the last frame, so only the last part of a sequence shows
the expression. Most sequences have no label: their label folder is empty or
absent, and they are not loaded but listed in the notes.

P. Lucey et al. (2010): The Extended Cohn-Kanade Dataset (CK+): a complete
dataset for action unit and emotion-specified expression. CVPR Workshops.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re

import numpy as np

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, LabelError, SettingError
from ...files import open_file
from ...faces.cropping import CropSettings, prepare
from ...faces.formats import is_image
from ...faces.images import raise_unreadable
from ..dataset import EMOTIONS, Dataset
from .listing import files, folders

__all__ = ["scan_ck", "load_ck", "check_shares", "Scan"]

IMAGE_FOLDERS = ("cohn-kanade-images", "extended-cohn-kanade-images")
LABEL_FOLDERS = ("emotion", "emotion_labels")
IMAGE_TREE = "SUBJECT/SEQUENCE/SUBJECT_SEQUENCE_NUMBER.png (or .jpg, ...)"
LABEL_TREE = "SUBJECT/SEQUENCE/SUBJECT_SEQUENCE_NUMBER_emotion.txt"


@dataclasses.dataclass(frozen=True)
class Scan:
    """The frames to be used, before any image is read. Lists of equal length.

    ``paths``, ``labels`` (class indices), ``subjects`` and ``sequences`` have an
    entry a frame; ``classes`` and ``notes`` are those of
    :class:`~minifer.data.dataset.Dataset`.
    """

    paths: list
    labels: list
    classes: tuple
    subjects: list
    sequences: list
    notes: dict


def load_ck(images: FilePath, labels: FilePath, last: float = 0.3, neutral: float = 0.0,
            faces: str | CropSettings = "haar", size: int = 96,
            cache: FilePath | bool | None = None,
            progress: OnProgress | None = None) -> Dataset:
    """Load a data set laid out like CK+, one face crop a frame.

    Parameters
    ----------
    images, labels : str or path-like
        Image root and label root, whose sub-folders are named alike; or a
        folder that contains ``cohn-kanade-images`` or
        ``extended-cohn-kanade-images``, and ``Emotion`` or ``Emotion_labels``.
    last : float
        Share of each sequence's frames that shows the expression, counted from
        its end: above 0, up to 1. Of n frames ceil(last · n) are used, so never
        less than the share and always at least one.
    neutral : float
        Share, counted from the start, that is used as class ``"neutral"``, 0 to
        1. Above 0 there are 8 classes, neutral first.
    faces : str or CropSettings
        ``"haar"`` finds and crops the face; ``"whole"`` takes each image whole. Whole
        settings, such as those of a model, hold also the size.
    size : int
        Side of the crops in pixels.
    cache : None, str, path-like or False
        Where finished crops are kept; see :func:`minifer.faces.prepare`.
    progress : callable or None
        Called as ``progress(done, total)`` after each image.

    Returns
    -------
    Dataset
        Sorted by subject, sequence and frame number. ``notes`` lists the
        sequences without label, those labelled neutral (when ``neutral`` is 0)
        and the images where no face was found.

    Raises
    ------
    SettingError
        If a share, ``faces`` or ``size`` is out of range.
    DatasetError
        If a root is missing, holds no frames, the two do not match, or nothing
        is left to be loaded.
    LabelError
        If a label file is not one number from 0 to 7.
    ImageError
        If images are unreadable; one message for all of them.
    BackendUnavailable
        If OpenCV or its face cascade is missing.
    """
    settings = CropSettings.of(faces, size)
    scan = scan_ck(images, labels, last, neutral)
    crops, found, errors = prepare(scan.paths, settings, cache, progress)
    raise_unreadable(errors, len(scan.paths))
    if not found.any():
        raise DatasetError(
            f"{images}: no face found on any of {len(found)} images. If they show "
            "nothing but the face already, use faces='whole'.")
    paths = np.array(scan.paths)
    notes = {**scan.notes, "no_face": paths[~found].tolist()}
    return Dataset(crops[found], np.array(scan.labels)[found], scan.classes,
                   np.array(scan.subjects)[found], np.array(scan.sequences)[found],
                   paths[found], notes)


def scan_ck(images: FilePath, labels: FilePath, last: float = 0.3,
            neutral: float = 0.0) -> Scan:
    """Choose the frames of a data set laid out like CK+ without reading images.

    Parameters
    ----------
    images, labels, last, neutral
        As for :func:`load_ck`.

    Returns
    -------
    Scan

    Raises
    ------
    SettingError, DatasetError, LabelError
        As :func:`load_ck`.
    """
    check_shares(last, neutral)
    image_root = _find_root(images, IMAGE_FOLDERS, "image", IMAGE_TREE)
    label_root = _find_root(labels, LABEL_FOLDERS, "label", LABEL_TREE)
    classes = ("neutral",) + EMOTIONS if neutral else EMOTIONS
    calm = f", first {100 * neutral:g} % as neutral" if neutral else ""
    scan = Scan([], [], classes, [], [], {
        "frames": f"last {100 * last:g} % of each sequence{calm}",
        "no_label_folder": [], "empty_label_folder": [], "labelled_neutral": [],
        "label_without_images": [], "wrong_name": []})
    sequences = _find_sequences(image_root, scan.notes["wrong_name"])
    codes = _read_codes(label_root, sequences, scan.notes)
    for (subject, sequence), frames in sequences.items():
        code = codes.get((subject, sequence))
        name = f"{subject}_{sequence}"
        if code == 0 and not neutral:
            scan.notes["labelled_neutral"].append(name)
        elif code is not None:
            for path, frame_code in _choose(frames, code, last, neutral):
                scan.paths.append(path)
                scan.labels.append(frame_code if neutral else frame_code - 1)
                scan.subjects.append(subject)
                scan.sequences.append(name)
    if not scan.paths:
        raise DatasetError(
            f"{label_root}: expected label files {LABEL_TREE}, but none of the "
            f"{len(sequences)} sequences under {image_root} has a label from 1 to "
            "7. Check that the second folder is the one with the labels.")
    return scan


def _choose(frames, code, last, neutral):
    """Return (path, code) of the frames of one sequence that are used.

    The peak comes first: in a sequence too short for both shares, no frame is
    left over to stand for neutral.
    """
    peak = _share(len(frames), last)
    calm = min(_share(len(frames), neutral), len(frames) - peak)
    return ([(path, 0) for path in frames[:calm]]
            + [(path, code) for path in frames[len(frames) - peak:]])


def _share(n, fraction):
    """ceil(n · fraction), not fooled by 25 · 0.28 = 7.000000000000001."""
    return math.ceil(n * fraction - 1e-9)


def check_shares(last, neutral):
    """Raise SettingError unless these are shares of frames that do not overlap."""
    for name, value, least in [("last", last, "above 0"), ("neutral", neutral, "0")]:
        if not (0 <= value <= 1) or (name == "last" and value == 0):
            raise SettingError(f"{name}: expected a share of each sequence's frames "
                               f"from {least} to 1, such as 0.3, got {value!r}.")
    if last + neutral > 1 + 1e-9:
        raise SettingError(
            f"last + neutral: expected at most 1, got {last} + {neutral}: a frame "
            "would be neutral and at its peak at once. Lower one of them.")


def _find_root(path, names, kind, tree):
    """Step into folders called ``names`` (whatever their case) while there are any."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        raise DatasetError(f"{path}: expected the folder of {kind} files {tree}, "
                           f"found {'a file' if os.path.exists(path) else 'nothing'}.")
    inside = {name.lower(): name for name in folders(path)}
    for name in names:
        if name in inside:
            return _find_root(os.path.join(path, inside[name]), names, kind, tree)
    return path


def _find_sequences(root, wrong_name):
    """Map (subject, sequence) to the paths of its frames, sorted by number."""
    sequences = {}
    for subject, sequence in _pairs(root):
        pattern = re.compile(rf"{re.escape(subject)}_{re.escape(sequence)}_"
                             r"([0-9]+)\.[^.]+", re.IGNORECASE)
        frames = []
        for name in files(os.path.join(root, subject, sequence)):
            path = os.path.join(root, subject, sequence, name)
            match = pattern.fullmatch(name)
            if match and is_image(name):
                frames.append((int(match[1]), path))
            elif is_image(name):
                wrong_name.append(path)
        if frames:
            sequences[subject, sequence] = [path for _, path in sorted(frames)]
    if not sequences:
        other = (f" ({len(wrong_name)} images are named otherwise)" if wrong_name
                 else "")
        raise DatasetError(f"{root}: expected images {IMAGE_TREE}, found none"
                           f"{other}. Give the folder that holds the subjects.")
    return sequences


def _read_codes(root, sequences, notes):
    """Map (subject, sequence) to its label code; note the sequences without."""
    labelled = set(_pairs(root))
    if not labelled.intersection(sequences):
        example = os.path.join(*next(iter(sequences)))
        raise DatasetError(
            f"{root}: expected the sub-folders of the images, such as {example}, with "
            f"files {LABEL_TREE}, but none of {len(sequences)} sequences has one. "
            "Check that the second folder is the one with the labels.")
    codes = {}
    for pair in sequences:
        if pair not in labelled:
            notes["no_label_folder"].append("_".join(pair))
            continue
        path = _label_file(root, *pair)
        if path is None:
            notes["empty_label_folder"].append("_".join(pair))
        else:
            codes[pair] = _read_code(path)
    for pair in sorted(labelled.difference(sequences)):
        if _label_file(root, *pair):
            notes["label_without_images"].append("_".join(pair))
    return codes


def _label_file(root, subject, sequence):
    """Return the path of a sequence's one label file, or None."""
    folder = os.path.join(root, subject, sequence)
    names = [name for name in files(folder) if name.lower().endswith(".txt")]
    if len(names) > 1:
        raise LabelError(f"{folder}: expected one label file, got {len(names)} "
                         f"({', '.join(names[:3])}). Keep the right one.")
    if names and not names[0].startswith(f"{subject}_{sequence}_"):
        raise LabelError(
            f"{os.path.join(folder, names[0])}: expected a name that starts with "
            f"{subject}_{sequence}_, as its folder. Move it where it belongs.")
    return os.path.join(folder, names[0]) if names else None


def _read_code(path):
    """Read one label file: a number 0 to 7, written as a float."""
    try:
        with open_file(path) as file:
            text = file.read(1000).decode("utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise LabelError(f"{path}: could not be read ({error.strerror}). Check its "
                         "permissions.") from error
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value not in range(len(EMOTIONS) + 1):
        held = f"{text[:40]!r}" if text else "nothing"
        raise LabelError(
            f"{path}: expected one number, 0 (neutral) or 1 to 7 ("
            f"{', '.join(EMOTIONS)}), written like 3.0000000e+00; it holds {held}.")
    return int(value)


def _pairs(root):
    """List the (subject, sequence) folders under ``root``, sorted."""
    return [(subject, sequence) for subject in folders(root)
            for sequence in folders(os.path.join(root, subject))]
