"""Look a data set over before a network is trained on it.

A number measured on a test set that shares people or photos with training is no
number, and nothing in training or testing shows it. So this looks for what is
known to go wrong: people, recordings and photos on both sides; copies made before
the split; equal images with different labels; blank images; classes that are
absent, rare or otherwise distributed; and parts that differ in brightness,
contrast or sharpness (a copy of FER2013 with a blurred training part is passed
around). And it says what copying the label of the most alike training image would
score, which is what a network has to beat.

>>> from minifer.data import Dataset
>>> images = np.random.default_rng(0).integers(0, 256, (8, 1, 48, 48), np.uint8)
>>> names = [f"p{i}" for i in range(8)]
>>> data = Dataset(images, [0, 1] * 4, ("happy", "sad"), names, names, names)
>>> print(audit(data, [range(0, 4), range(4, 8)]))
part             images   happy     sad
train                 4       2       2
test                  4       2       2
nearest neighbour   test 25.0 %, strangers only 25.0 %, commonest class 50.0 %
nothing found
>>> print(audit(data, [range(0, 4), range(3, 8)]).findings[0])
severe   overlap: 1 image stands in both train and test.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ...errors import DatasetError, SettingError
from ..dataset import Dataset
from ..split_dataset import PARTS
from .checks import CHECKS, SEVERITIES, Finding, View, neighbours, percent

__all__ = ["audit", "Audit", "Finding", "parts_of"]

#: Points of accuracy that copying from the same people and photos may be worth.
MEMORY = 0.01


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of :func:`audit`, to be printed.

    Parameters
    ----------
    findings : tuple of Finding
        The severe ones first; empty if all is well.
    classes : tuple of K str
    counts : dict of str to ndarray (K,)
        Part -> images of each class.
    neighbour : dict of str to (float, float, float)
        Part -> accuracy, 0 to 1, of copying the label of the most alike image of
        the first part; the same without images of the same subject, sequence or
        photo; and of always naming the commonest class.
    """

    findings: tuple
    classes: tuple
    counts: dict
    neighbour: dict

    @property
    def severe(self):
        """Whether a number measured on this split could not be trusted."""
        return any(finding.severity == "severe" for finding in self.findings)

    def to_dict(self):
        """Return it as plain data, for JSON."""
        return {"severe": self.severe, "classes": list(self.classes),
                "counts": {part: counts.tolist()
                           for part, counts in self.counts.items()},
                "neighbour": {part: dict(zip(("accuracy", "strangers_only",
                                              "commonest_class"), map(float, scores)))
                              for part, scores in self.neighbour.items()},
                "findings": [{"kind": finding.kind, "severity": finding.severity,
                              "text": finding.text, "rows": finding.rows.tolist()}
                             for finding in self.findings]}

    def __str__(self):
        columns = ["images", *self.classes]
        widths = [max(8, len(name) + 2) for name in columns]
        lines = [f"{'part':<15}" + "".join(
            f"{name:>{width}}" for name, width in zip(columns, widths))]
        for part, counts in self.counts.items():
            lines.append(f"{part:<15}" + "".join(
                f"{number:{width},d}"
                for number, width in zip([counts.sum(), *counts], widths)))
        for part, scores in self.neighbour.items():
            free, honest, common = (percent(score, 1) for score in scores)
            lines.append(f"nearest neighbour   {part} {free}, strangers only {honest}, "
                         f"commonest class {common}")
        lines += map(str, self.findings)
        return "\n".join(lines if self.findings else lines + ["nothing found"])


def audit(data: Dataset, parts: Any = None, near: bool = True) -> Audit:
    """Look for leaks between the parts of a data set, and other faults.

    Parameters
    ----------
    data : Dataset
    parts : dict of str to sequence of int, or sequence of P sequences, optional
        The rows of each part; the one to learn from is called train or comes
        first. What ``split_by_subject`` returned will do: then the parts are train
        and test, or train, validation and test. Default: ``usage`` of a
        ``SplitDataset``. Rows in no part are left aside.
    near : bool
        Also seek near copies. Every image is compared with every other: seconds
        for 10,000, and four times that for twice as many.

    Returns
    -------
    Audit

    Raises
    ------
    SettingError
        If ``parts`` names rows that do not exist, or a part that has none.
    DatasetError
        If there are no images, or no parts where they are needed.

    Notes
    -----
    A difference between parts is reported if chance alone brings it in less than 1 of
    1,000 tests (rank test of Mann and Whitney, one value a subject) and it is large
    enough to matter: one random image beats another in 56 % of pairs or more.
    """
    parts = parts_of(data, parts)
    rows = np.unique(np.concatenate(list(parts.values())))
    data = data.subset(rows)
    view = View(data, {name: np.searchsorted(rows, part)
                       for name, part in parts.items()}, near)
    neighbour = dict(neighbours(view))
    findings = [finding for check in CHECKS for finding in check(view)]
    findings += _memory(neighbour)
    findings = [dataclasses.replace(finding, rows=rows[finding.rows])
                for finding in sorted(findings, key=lambda finding: SEVERITIES.index(
                    finding.severity))]
    return Audit(tuple(findings), data.classes,
                 {name: view.per_class(part) for name, part in view.parts.items()},
                 neighbour)


def parts_of(data, parts=None):
    """The parts of a data set, the one to learn from first.

    Parameters
    ----------
    data, parts
        As for :func:`audit`.

    Returns
    -------
    dict of str to ndarray of int64
        Name -> sorted rows.

    Raises
    ------
    SettingError, DatasetError
        As :func:`audit`.

    Examples
    --------
    >>> from minifer.data import Dataset
    >>> data = Dataset(np.zeros((3, 1, 48, 48), np.uint8), [0, 0, 0], ("happy",),
    ...                list("abc"), list("abc"), list("abc"))
    >>> parts_of(data)
    {'all': array([0, 1, 2])}
    >>> list(parts_of(data, [[0, 1], [2]]))
    ['train', 'test']
    """
    if not isinstance(data, Dataset) or not len(data):
        raise DatasetError("audit: expected a Dataset of one image or more, got "
                           f"{'none' if isinstance(data, Dataset) else type(data)}.")
    if parts is None:
        usage = getattr(data, "usage", np.full(len(data), ""))
        found = {name: np.flatnonzero(usage == name) for name in PARTS}
        found = {name: rows for name, rows in found.items() if len(rows)}
        return found or {"all": np.arange(len(data))}
    if not hasattr(parts, "items"):
        names = PARTS if len(parts) == 3 else ("train", "test")
        if len(parts) not in (2, 3):
            raise SettingError("parts: expected two or three of them, or a dict with "
                               f"their names, got {len(parts)}.")
        parts = dict(zip(names, parts))
    names = sorted(parts, key=lambda name: name != "train")  # else in their order
    return {str(name): _check_rows(name, parts[name], len(data)) for name in names}


def _check_rows(name, rows, n):
    rows = np.array(rows)
    if rows.ndim != 1 or not rows.size or rows.dtype.kind not in "iu":
        raise SettingError(f"parts: expected numbers of images for {name!r}, got "
                           f"{rows.dtype} of shape {rows.shape}.")
    if rows.min() < 0 or rows.max() >= n:
        raise SettingError(f"parts: expected numbers from 0 to {n - 1} for {name!r}, "
                           f"got {rows.min()} to {rows.max()}.")
    return np.unique(rows.astype(np.int64))


def _memory(neighbour):
    """Points that a nearest neighbour owes to people and photos it knows."""
    for part, (free, honest, _) in neighbour.items():
        if free - honest >= MEMORY:
            yield Finding(
                "memory", "severe", f"copying the label of the most alike image scores "
                f"{percent(free, 1)} on {part}, and {percent(honest, 1)} if images of "
                "the same subject, recording or photo are left out: "
                f"{100 * (free - honest):.1f} points measure memory.")
