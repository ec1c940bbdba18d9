"""Leave out images that cannot teach: blank, far too dark or bright, repeated.

Cleaning is for training images. Whoever drops the hard images of the test set
has made the test easier and the number incomparable, so images meant for
validation and test stay unless asked otherwise; and of a photo that is in
training and in test, the training copy goes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import DatasetError, SettingError
from ..copies import exact_copies, near_copies
from ..dataset import Dataset

__all__ = ["clean", "CleaningReport", "count_copies"]

_FINDERS = {"exact": exact_copies, "near": near_copies}


@dataclasses.dataclass(frozen=True)
class CleaningReport:
    """How many images of each class were left out, and why.

    Parameters
    ----------
    classes : tuple of K str
    before : ndarray (K,)
        Images of each class before cleaning.
    dropped : dict of str to ndarray (K,)
        Reason -> images of each class. An image counts once.
    conflicts : int
        Groups of copies whose members have different labels.

    Examples
    --------
    >>> print(CleaningReport(("happy", "sad"), np.array([9, 5]),
    ...                      {"blank": np.array([1, 0])}, 2))
    class            before   blank    left
    happy                 9       1       8
    sad                   5       0       5
    all                  14       1      13
    copies with different labels: 2 groups
    """

    classes: tuple
    before: np.ndarray
    dropped: dict
    conflicts: int

    def __str__(self):
        columns = {"before": self.before, **self.dropped,
                   "left": self.before - sum(self.dropped.values())}
        widths = {name: max(8, len(name) + 2) for name in columns}
        lines = [f"{'class':<15}" + "".join(
            f"{name.replace('_', ' '):>{widths[name]}}" for name in columns)]
        for index, title in enumerate([*self.classes, "all"]):
            counts = {name: value[index] if index < len(value) else value.sum()
                      for name, value in columns.items()}
            lines.append(f"{title:<15}" + "".join(
                f"{count:{widths[name]},d}" for name, count in counts.items()))
        if self.conflicts:
            lines.append(f"copies with different labels: {self.conflicts} groups")
        return "\n".join(lines)


def clean(
        data: Dataset, low: float = 0.1, high: float = 0.9, blanks: bool = True,
        copies: str | None = "exact",
        protect: Sequence[str] = ("validation", "test")) -> tuple[Any, CleaningReport]:
    """Return the data set without images that cannot teach, and a report.

    Parameters
    ----------
    data : Dataset
        A :class:`~minifer.data.split_dataset.SplitDataset` says which images
        are for training; in a plain ``Dataset`` all count as such.
    low, high : float
        An image stays if the mean of its grey values, 0 black to 1 white, lies
        between them: low < mean < high.
    blanks : bool
        Leave out images of a single grey value.
    copies : None, "exact" or "near"
        Leave out all but the first of several copies; see
        :mod:`~minifer.data.copies`.
    protect : sequence of str
        Parts from which nothing is left out; ``()`` cleans all. A training
        image goes if a protected image is its copy.

    Returns
    -------
    cleaned : Dataset
        A data set of the same kind; its notes list the paths of what was left out.
    report : CleaningReport

    Raises
    ------
    SettingError
        If ``low`` and ``high`` are not 0 ≤ low < high ≤ 1, or ``copies`` is
        another word.
    DatasetError
        If nothing would be left.
    """
    if not 0 <= low < high <= 1:
        raise SettingError("low, high: expected 0 <= low < high <= 1, such as 0.1 and "
                           f"0.9, got {low!r} and {high!r}.")
    if copies is not None and copies not in _FINDERS:
        raise SettingError(f"copies: expected None, 'exact' or 'near', got {copies!r}.")
    usage = getattr(data, "usage", np.full(len(data), ""))
    free = ~np.isin(usage, list(protect))
    reasons = _reasons(data.images, low, high, blanks)
    drop = np.zeros(len(data), bool)
    masks = {}
    for name, mask in reasons.items():
        masks[name] = mask & free & ~drop
        drop |= masks[name]
    conflicts = 0
    if copies:
        rest = np.flatnonzero(~drop)
        first = _FINDERS[copies](data.images[rest])
        masks["copy"] = np.zeros(len(data), bool)
        masks["copy"][rest] = _surplus(first, free[rest])
        drop |= masks["copy"]
        conflicts = _count_conflicts(first, data.labels[rest])
    if drop.all():
        raise DatasetError(f"clean: expected images to be left, but all {len(data)} "
                           "are blank, too dark or too bright. Check the data, or "
                           "widen low and high.")
    report = CleaningReport(
        data.classes, _per_class(data, slice(None)),
        {name: _per_class(data, mask) for name, mask in masks.items()}, conflicts)
    notes = {**data.notes,
             **{name: data.paths[mask].tolist() for name, mask in masks.items()}}
    return dataclasses.replace(data.subset(~drop), notes=notes), report


def count_copies(first: np.ndarray, usage: np.ndarray) -> dict[Any, int]:
    """Count copies within each part and from part to part.

    Parameters
    ----------
    first : ndarray (N,) of int
        Result of :func:`~minifer.data.copies.exact_copies` or ``near_copies``.
    usage : ndarray (N,) of str

    Returns
    -------
    dict
        ``part`` -> surplus copies within it; ``(a, b)`` -> images of part b
        that have a copy in part a.

    Examples
    --------
    >>> count_copies(np.array([0, 0, 2, 0, 2]), np.array(list("aaabb")))
    {'a': 1, 'b': 0, ('a', 'b'): 2, ('b', 'a'): 3}
    """
    parts = {str(name): first[usage == name] for name in np.unique(usage)}
    counts = {name: len(here) - len(np.unique(here)) for name, here in parts.items()}
    for one, here in parts.items():
        for other, there in parts.items():
            if one != other:
                counts[one, other] = int(np.isin(there, here).sum())  # type: ignore
    return counts


def _reasons(images, low, high, blanks):
    """Reason -> mask (N,) of the images it speaks against."""
    pixels = images.reshape(len(images), -1)
    mean = pixels.mean(axis=1) / 255
    reasons = {"too_dark": mean <= low, "too_bright": mean >= high}
    if blanks:
        reasons = {"blank": pixels.max(axis=1) == pixels.min(axis=1), **reasons}
    return reasons


def _surplus(first, free):
    """Mask of the images that have a copy elsewhere which stays."""
    beside_protected = np.isin(first, first[~free])
    return free & (beside_protected | (first != np.arange(len(first))))


def _count_conflicts(first, labels):
    """Number of groups with more than one label."""
    groups = np.unique(np.stack([first, labels]), axis=1)[0]
    return int((np.unique(groups, return_counts=True)[1] > 1).sum())


def _per_class(data, mask):
    return np.bincount(data.labels[mask], minlength=len(data.classes))
