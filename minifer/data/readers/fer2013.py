"""FER2013 from its table: one row an image, the pixels as text.

``fer2013.csv`` has the columns emotion, pixels (2,304 numbers) and Usage;
``icml_face_data.csv`` the same with blanks in the names and another order;
``train.csv`` lacks Usage. The data are 83 MB, the text is four times that, so
rows are read one by one and only their pixels are kept.

The people on the photos are unknown. But many photos occur more than once, so
images with the same pixels get one subject: ``split_by_subject`` then cannot
put copies of one photo into two parts.

I. Goodfellow et al. (2013): Challenges in representation learning: a report on
three machine learning contests. arXiv:1307.0414.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence

import numpy as np

from ..._types import FilePath
from ...errors import DatasetError
from ...files import open_file
from ..copies import exact_copies
from ..split_dataset import SplitDataset
from .words import COLUMN_WORDS, part_of, spelled_as

__all__ = ["load_fer2013", "open_table", "FER2013_CLASSES", "USAGES"]

#: The classes in the order of FER2013's codes 0 to 6.
FER2013_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

#: FER2013's words in the column Usage, which begin the names of the JPEG copies too.
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}

SIDE = 48

_WHOLE = re.compile(r"\+?[0-9]{1,8}(\.0*)?(e\+?0+)?", re.IGNORECASE)


class _BadRow(Exception):
    """Why a row cannot be used: the kind of fault, and the rest of a message."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def load_fer2013(path: FilePath, strict: bool = False,
                 classes: Sequence[str] = FER2013_CLASSES) -> SplitDataset:
    """Read ``fer2013.csv`` or a table like it.

    Parameters
    ----------
    path : str or path-like
        A CSV file with the columns ``emotion``, ``pixels`` and ``Usage`` in any
        order, or with plain other names for them, such as ``label`` and ``split``. An
        emotion is a code, 3 or 3.0, or a word, ``happy`` or ``Happiness``; Usage is
        FER2013's word for a part or a plain one, such as ``train`` or ``val``. Without
        ``Usage`` all rows are for training, and a note says so.
    strict : bool
        Refuse the file at its first bad row. Otherwise bad rows are left out
        and listed in the notes by kind, the first of each kind with what is wrong.
    classes : sequence of K str
        Names of the codes 0 to K-1.

    Returns
    -------
    SplitDataset
        Images (N, 1, 48, 48) in the order of the file; ``usage`` is ``"train"``
        (Training), ``"validation"`` (PublicTest) or ``"test"`` (PrivateTest).
        ``paths`` and ``sequences`` are names as FER+ gives them, ``fer`` and the
        number of the row counted from 0; ``subjects`` is the name of the first
        image with the same pixels.

    Raises
    ------
    DatasetError
        If the file is missing, is not such a table or has no good row; with
        ``strict``, if any row is bad.
    """
    faults: dict = {"wrong_number_of_fields": [], "bad_label": [], "bad_pixel": [],
                    "wrong_number_of_pixels": [], "unknown_usage": []}
    pixels = bytearray()  # grows in place: no list of arrays, no second copy
    labels, usage, names = [], [], []
    with open_table(path) as table:
        where = _find_columns(path, table.header)
        for number, (line, fields) in enumerate(table):
            try:
                label, part, row = _read_row(fields, where, len(table.header), classes)
            except _BadRow as fault:
                if strict:
                    raise DatasetError(
                        f"{path}, line {line}: {fault}. Mend the row, or load "
                        "without strict, which leaves it out.") from None
                others = faults[fault.kind]
                others.append(f"line {line}" + (f": {fault}" if not others else ""))
                continue
            pixels += row
            labels.append(label)
            usage.append(part)
            names.append(f"fer{number:07d}.png")
    if not labels:
        bad = "; ".join(f"{kind.replace('_', ' ')} {len(lines)}, first {lines[0]}"
                        for kind, lines in faults.items() if lines)
        raise DatasetError(f"{path}: expected rows of 48x48 pixels, found no good one "
                           f"({bad or 'no rows at all'}). Download the file again.")
    if "usage" not in where:
        faults["usage"] = "no such column, so all rows are for training"
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, SIDE, SIDE)
    names = np.array(names)
    return SplitDataset(images, labels, classes,  # type: ignore[arg-type]
                        names[exact_copies(images)], names, names, faults, usage)


class open_table:
    """Read a CSV file row by row with the line numbers of an editor.

    A context manager and iterator of ``(line, fields)``; empty lines are
    skipped. ``header`` is the first row, without needless blanks, in small letters.

    Raises
    ------
    DatasetError
        If the file is missing, empty, or no CSV.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        try:
            self._file = open_file(path, "r", newline="", encoding="utf-8-sig",
                                   errors="replace")
        except OSError as error:
            raise DatasetError(f"{path}: expected a CSV file, got "
                               f"'{error.strerror}'. Check the path.") from error
        self._rows = csv.reader(self._file)

    def __enter__(self):
        try:
            header = next(self, (0, []))[1]
        except DatasetError:
            self._file.close()
            raise
        self.header = [" ".join(name.split()).lower() for name in header]
        return self

    def __exit__(self, *_):
        self._file.close()

    def __iter__(self):
        return self

    def __next__(self):
        try:
            fields = next(self._rows)
            while not fields:
                fields = next(self._rows)
        except (csv.Error, OSError) as error:
            raise DatasetError(f"{self.path}, line {self._rows.line_num}: expected a "
                               f"row of a CSV file, got '{error}'. Download the file "
                               "again.") from error
        return self._rows.line_num, fields


def _find_columns(path, header):
    """Map the names of the columns to their places."""
    where = {}
    for name, others in COLUMN_WORDS.items():
        found = [one for one in (name, *others) if one in header]
        if found:
            where[name] = header.index(found[0])
    missing = [name for name in ("emotion", "pixels") if name not in where]
    if missing:
        found = ", ".join(name[:20] for name in header[:5]) or "nothing"
        hint = ("This is a test table without labels; icml_face_data.csv has them."
                if header == ["pixels"] else "Is it fer2013.csv?")
        raise DatasetError(f"{path}: expected the columns emotion, pixels and Usage, "
                           f"found {found}. {hint}")
    return where


def _read_row(fields, where, width, classes):
    """Return label, part and pixels (2,304 bytes) of one row, or raise _BadRow."""
    if len(fields) != width:
        raise _BadRow("wrong_number_of_fields",
                      f"expected {width} fields, got {len(fields)}")
    label = _read_label(fields[where["emotion"]].strip(), classes)
    part = "train"
    if "usage" in where:
        word = fields[where["usage"]].strip()
        part = part_of(word)
        if part is None:
            raise _BadRow("unknown_usage", f"expected Usage {', '.join(USAGES)} or the "
                          f"like, got {word[:20]!r}")
    return label, part, _read_pixels(fields[where["pixels"]])


def _read_label(text, classes):
    """Return the index of a class from its code or its name, or raise _BadRow."""
    if _WHOLE.fullmatch(text):
        label = int(float(text))
    else:
        name = spelled_as(text, classes) if text else None
        label = -1 if name is None else list(classes).index(name)
    if not 0 <= label < len(classes):
        raise _BadRow("bad_label", f"expected a label from 0 to {len(classes) - 1} or "
                      f"a word such as {classes[0]}, got {text[:20]!r}")
    return label


def _read_pixels(text):
    """Return 2,304 grey values as bytes, or raise _BadRow."""
    digits = text.replace(" ", "")
    pixels = np.empty(0, int)
    if digits.isascii() and digits.isdecimal():
        pixels = np.fromstring(text, int, sep=" ")  # ten times as fast as int()
    elif digits:
        raise _BadRow("bad_pixel", "expected whole numbers parted by blanks as pixels, "
                      f"got {_odd_one(text)!r}")
    if len(pixels) != SIDE * SIDE:
        raise _BadRow("wrong_number_of_pixels",
                      f"expected {SIDE * SIDE:,d} pixels, got {len(pixels):,d}")
    if pixels.max() > 255:
        raise _BadRow("bad_pixel", "expected pixels from 0 to 255, got "
                      f"{pixels.max()}")
    return pixels.astype(np.uint8).tobytes()


def _odd_one(text):
    """The first word that is no whole number."""
    return next(word[:20] for word in text.split(" ")
                if word and not (word.isascii() and word.isdecimal()))
