"""FER+: ten people's votes on each image of FER2013, as soft labels.

``fer2013new.csv`` has a row for each row of ``fer2013.csv``, in the same order:
Usage, Image name, then the votes for eight emotions, "unknown" and "NF" (not a
face). The votes of a row, divided by their sum, are its soft label.

E. Barsoum et al. (2016): Training deep networks for facial expression
recognition with crowd-sourced label distribution. arXiv:1608.01041.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._types import FilePath
from ...errors import DatasetError, SettingError
from ..split_dataset import SplitDataset
from .fer2013 import USAGES, load_fer2013, open_table
from .softlabels import SOFT_CLASSES
from .words import part_of

__all__ = ["load_ferplus"]

#: No emotion: the voter could not tell, or saw no face.
NO_EMOTION = ("unknown", "nf")


def load_ferplus(fer2013: FilePath, votes: FilePath, min_votes: int = 2,
                 strict: bool = False) -> SplitDataset:
    """Read FER2013 with the votes of FER+ in place of its labels.

    Parameters
    ----------
    fer2013 : str or path-like
        ``fer2013.csv``; see :func:`~minifer.data.readers.fer2013.load_fer2013`.
    votes : str or path-like
        ``fer2013new.csv``.
    min_votes : int
        Fewer votes for one choice count as none. The authors drop single votes
        as slips; 1 keeps all.
    strict : bool
        As for ``load_fer2013``.

    Returns
    -------
    SplitDataset
        ``classes`` are neutral and the seven emotions of CK+, ``targets``
        (N, 8) the shares of the votes. Left out and noted: images without a
        name (no face), and those where the emotions together have no more than
        half of the votes that count.

    Raises
    ------
    SettingError
        If ``min_votes`` is no whole number from 1.
    DatasetError
        If a file is not as described, or the two do not belong together.
    """
    if not isinstance(min_votes, int) or min_votes < 1:
        raise SettingError(f"min_votes: expected a whole number from 1, such as 2, got "
                           f"{min_votes!r}.")
    counts, others, parts, named = _read_votes(votes)
    faces = load_fer2013(fer2013, strict)
    row = np.array([int(name[3:10]) for name in faces.paths])
    if row[-1] >= len(counts) or (parts[row] != faces.usage).any():
        raise DatasetError(
            f"{votes}: expected a row of the same Usage for each row of {fer2013}, in "
            "the same order; they differ. Use both files unchanged.")
    counts = np.where(counts >= min_votes, counts, 0)[row]
    others = np.where(others >= min_votes, others, 0)[row].sum(axis=1)
    sums = counts.sum(axis=1)
    keep = named[row] & (sums > others)
    notes = {**faces.notes,
             "no_face": faces.paths[~named[row]].tolist(),
             "no_emotion": faces.paths[named[row] & ~keep].tolist()}
    if not keep.any():
        raise DatasetError(f"{votes}: expected votes for emotions, but no image has "
                           f"them with min_votes={min_votes}. Lower it.")
    targets = (counts[keep] / sums[keep, None]).astype(np.float32)
    # labels first: those of FER2013 would contradict the targets
    plain = faces.subset(keep)
    return dataclasses.replace(plain, labels=targets.argmax(axis=1), targets=targets,
                               classes=SOFT_CLASSES, notes=notes)


def _read_votes(path):
    """Return votes (N, 8) and (N, 2), parts (N,), and which rows name an image."""
    votes, parts, named = [], [], []
    with open_table(path) as table:
        columns = _find_columns(path, table.header)
        for number, (line, fields) in enumerate(table):
            row = _row_of(fields, columns, len(table.header), number)
            if isinstance(row, str):
                raise DatasetError(f"{path}, line {line}: {row}. Download "
                                   "fer2013new.csv again.")
            parts.append(row[0])
            named.append(row[1])
            votes.append(row[2])
    if not votes:
        raise DatasetError(f"{path}: expected rows of votes, found none. Download "
                           "fer2013new.csv again.")
    votes = np.array(votes)
    return votes[:, :-2], votes[:, -2:], np.array(parts), np.array(named)


def _row_of(fields, columns, width, number):
    """Return part, whether the row names its image, and votes; or what is wrong."""
    if len(fields) != width:
        return f"expected {width} fields, got {len(fields)}"
    part = part_of(fields[columns[0]])
    if part is None:
        return f"expected Usage {', '.join(USAGES)}, got {fields[columns[0]][:20]!r}"
    name = fields[columns[1]].strip()
    if name not in ("", f"fer{number:07d}.png"):
        return f"expected the image fer{number:07d}.png, got {name[:20]!r}"
    texts = [fields[column].strip() for column in columns[2:]]
    wrong = [text for text in texts if not (text.isdecimal() and len(text) < 4)]
    if wrong:
        return f"expected votes to be whole numbers, got {wrong[0][:20]!r}"
    return part, name != "", [int(text) for text in texts]


def _find_columns(path, header):
    """Places of Usage, name, the eight classes in our order, unknown and NF."""
    names = ("usage", "image name", *SOFT_CLASSES, *NO_EMOTION)
    missing = [name for name in names if name not in header]
    if missing:
        raise DatasetError(f"{path}: expected a column {missing[0]!r}, found "
                           f"{', '.join(header[:12]) or 'nothing'}. Is it "
                           "fer2013new.csv?")
    return [header.index(name) for name in names]
