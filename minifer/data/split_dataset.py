"""A data set that comes with its own split, and with soft labels if it has any.

FER2013 says of each image whether it is for training, validation or test, and
FER+ and the ramps of CK+ say how much of each emotion it shows. Both are
columns beside those of :class:`~minifer.data.dataset.Dataset`; a function that
takes a ``Dataset`` takes this one too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np

from .._types import Array
from ..errors import DatasetError, ShapeError
from .dataset import Dataset

__all__ = ["SplitDataset", "PARTS", "join"]

_Kind = TypeVar("_Kind", bound=Dataset)
#: What ``usage`` may say; an empty word stands for "not split yet".
PARTS = ("train", "validation", "test")

_OF_ALL = "images", "labels", "subjects", "sequences", "paths"
_COLUMNS = *_OF_ALL, "usage", "targets"


@dataclasses.dataclass(frozen=True, eq=False)
class SplitDataset(Dataset):
    """N labelled images, the part each belongs to, and its soft label.

    Parameters
    ----------
    images, labels, classes, subjects, sequences, paths, notes
        As for :class:`~minifer.data.dataset.Dataset`.
    usage : ndarray (N,) of str, optional
        ``"train"``, ``"validation"``, ``"test"``, or ``""`` where the data do
        not say. Default: ``""`` for all.
    targets : ndarray (N, K) float32, optional
        How much of each class an image shows: 0 to 1, with sum 1. ``labels``
        name the largest, the first of equal ones. Default: one-hot.

    Raises
    ------
    ShapeError
        If a column has another length than ``images``.
    DatasetError
        If a word of ``usage`` is unknown, or ``targets`` are no distributions
        or disagree with ``labels``.

    Examples
    --------
    >>> data = SplitDataset(np.zeros((3, 1, 48, 48), np.uint8), [0, 1, 1],
    ...                     ("happy", "sad"), list("abc"), list("abc"), list("abc"),
    ...                     usage=["train", "train", "test"])
    >>> len(data.part("train")), data.targets[0].tolist()
    (2, [1.0, 0.0])
    >>> print(data.summary().splitlines()[-1])
    parts: train 2, test 1
    """

    usage: Array = None
    targets: Array = None

    def __post_init__(self):
        super().__post_init__()
        usage, targets = self.usage, self.targets
        if usage is None:
            usage = np.full(len(self), "")
        if targets is None:
            targets = np.eye(len(self.classes), dtype=np.float32)[self.labels]
        object.__setattr__(self, "usage", np.asarray(usage, dtype=str))
        object.__setattr__(self, "targets", np.asarray(targets, dtype=np.float32))
        self._check_usage()
        self._check_targets()

    def _check_usage(self):
        if self.usage.shape != (len(self),):
            raise ShapeError(f"SplitDataset: expected {len(self)} words of usage, one "
                             f"for each image, got shape {self.usage.shape}.")
        unknown = sorted(set(np.unique(self.usage).tolist()) - {*PARTS, ""})
        if unknown:
            raise DatasetError(f"SplitDataset: expected usage {', '.join(PARTS)} or "
                               f"'', got {unknown[0]!r}. Rename the part.")

    def _check_targets(self):
        shape = (len(self), len(self.classes))
        if self.targets.shape != shape:
            raise ShapeError(f"SplitDataset: expected targets (N, K) = {shape}, got "
                             f"shape {self.targets.shape}.")
        good = ((self.targets >= 0).all(axis=1)  # NaN is not >= 0 either
                & (np.abs(self.targets.sum(axis=1) - 1) < 1e-4))
        if not good.all():
            row = int(np.argmin(good))
            raise DatasetError(
                f"SplitDataset: expected targets from 0 to 1 with sum 1, row {row} is "
                f"{self.targets[row].tolist()}. Divide each row by its sum.")
        differ = self.labels != self.targets.argmax(axis=1)
        if differ.any():
            row = int(np.argmax(differ))
            raise DatasetError(
                f"SplitDataset: expected labels = targets.argmax(axis=1), row {row} "
                f"has label {self.labels[row]} and targets "
                f"{self.targets[row].tolist()}.")

    def subset(self, indices: Array) -> SplitDataset:
        """Return a new SplitDataset with only the images ``indices`` (or a mask)."""
        indices = np.asarray(indices)
        if indices.size == 0:  # an empty list would arrive as floats
            indices = indices.astype(np.int64)
        rows = {name: getattr(self, name)[indices] for name in _COLUMNS}
        return dataclasses.replace(self, **rows)

    def part(self, name: str) -> SplitDataset:
        """Return the images whose usage is ``name``.

        Raises
        ------
        DatasetError
            If there are none.
        """
        here = self.usage == name
        if not here.any():
            raise DatasetError(f"part {name!r}: expected one of those the data have "
                               f"({self._parts() or 'none'}).")
        return self.subset(here)

    def summary(self, names: int = 3) -> str:
        """Describe the data set as ``Dataset.summary``, and its parts in one line."""
        parts = self._parts()
        return super().summary(names) + (f"\nparts: {parts}" if parts else "")

    def _parts(self):
        counts = {name: int((self.usage == name).sum()) for name in PARTS}
        return ", ".join(f"{name} {count:,d}" for name, count in counts.items()
                         if count)


def join(datasets: Sequence[_Kind]) -> _Kind:
    """Put data sets together, one behind the other.

    Parameters
    ----------
    datasets : sequence of Dataset or of SplitDataset
        Data sets of the same classes and the same size of the images.

    Returns
    -------
    Dataset or SplitDataset
        A data set with the notes of all; of equal reasons the last one's. It has parts
        and soft labels if all have them.

    Raises
    ------
    DatasetError
        If there is none, or if classes or sizes differ.
    """
    datasets = list(datasets)
    kinds = {(one.classes, one.images.shape[1:]) for one in datasets}
    if len(kinds) != 1:
        raise DatasetError("join: expected data sets of the same classes and size, got "
                           f"{len(kinds)} kinds. Name and scale them alike.")
    split = all(isinstance(one, SplitDataset) for one in datasets)
    columns: dict = {name: np.concatenate([getattr(one, name) for one in datasets])
                     for name in (_COLUMNS if split else _OF_ALL)}
    notes = {reason: value for one in datasets for reason, value in one.notes.items()}
    made = SplitDataset if split else Dataset
    return cast(_Kind, made(classes=datasets[0].classes, notes=notes, **columns))
