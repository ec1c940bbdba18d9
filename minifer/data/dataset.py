"""What every loader returns: images, labels, and where each image comes from.

A data set without the names of its subjects cannot be split honestly: the same
person on both sides lets a network recognise the person instead of the
expression. So subjects and sequences travel with the pixels.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .._types import Array
from ..errors import DatasetError, ShapeError
from ..files import digest

__all__ = ["Dataset", "EMOTIONS"]

#: The seven expressions in the order of CK+: its code c is ``EMOTIONS[c - 1]``,
#: and its code 0 is neutral. Lucey et al. (2010): The Extended Cohn-Kanade
#: Dataset (CK+), CVPR Workshops.
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness",
            "surprise")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """N labelled face crops and their origin.

    Parameters
    ----------
    images : ndarray (N, 1, S, S), uint8
        Grey values, 0 black to 255 white.
    labels : ndarray (N,), int64
        Class index of each image, 0 to K-1.
    classes : tuple of str
        The K class names; ``classes[labels[i]]`` names image i.
    subjects : ndarray (N,) of str
        Who is on the image.
    sequences : ndarray (N,) of str
        The recording an image was taken from, unique over all subjects.
    paths : ndarray (N,) of str
        The file of each image.
    notes : dict
        What was left out: reason -> list of names. Other values are remarks.

    Raises
    ------
    ShapeError
        If the arrays differ in length or ``images`` is not (N, 1, S, S) uint8.
    DatasetError
        If a label is not the index of a class.

    Examples
    --------
    >>> data = Dataset(np.zeros((3, 1, 96, 96), np.uint8), [0, 1, 1],
    ...                ("anger", "fear"), ["S005", "S005", "S010"],
    ...                ["S005_001", "S005_002", "S010_001"], list("abc"),
    ...                {"no_face": ["d.png"]})
    >>> len(data), data.subset([2]).subjects.tolist()
    (3, ['S010'])
    >>> print(data.summary())
    3 images of 96x96, 2 classes, 2 subjects, 3 sequences
      anger                1   33.3 %  1 subject
      fear                 2   66.7 %  2 subjects
    left out, no face: 1 (d.png)
    """

    images: Array
    labels: Array
    classes: tuple
    subjects: Array
    sequences: Array
    paths: Array
    notes: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        def store(name, value):  # the only way to set a field of a frozen class
            object.__setattr__(self, name, value)

        store("images", np.asarray(self.images))
        store("labels", np.asarray(self.labels, dtype=np.int64))
        store("classes", tuple(self.classes))
        for name in ("subjects", "sequences", "paths"):
            store(name, np.asarray(getattr(self, name), dtype=str))
        self._check()

    def _check(self):
        shape = self.images.shape
        if (len(shape) != 4 or shape[1] != 1 or shape[2] != shape[3]
                or self.images.dtype != np.uint8):
            raise ShapeError(
                "Dataset: expected images (N, 1, S, S) of uint8, got "
                f"{self.images.dtype} of shape {shape}.")
        for name in ("labels", "subjects", "sequences", "paths"):
            if getattr(self, name).shape != (len(self),):
                raise ShapeError(
                    f"Dataset: expected {len(self)} {name}, one for each image, "
                    f"got shape {getattr(self, name).shape}.")
        if len(self) and not (0 <= self.labels.min()
                              and self.labels.max() < len(self.classes)):
            raise DatasetError(
                f"Dataset: expected labels 0 to {len(self.classes) - 1} for "
                f"{len(self.classes)} classes, got {self.labels.min()} to "
                f"{self.labels.max()}.")

    def __len__(self):
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of images and labels, in their order.

        Equal fingerprints mean equal data, wherever the files lie.
        """
        return digest(np.ascontiguousarray(self.images),
                      np.ascontiguousarray(self.labels))

    def subset(self, indices: Array) -> Dataset:
        """Return a new Dataset with only the images ``indices`` (or a mask).

        The notes stay, for they tell of the whole that was read.
        """
        indices = np.asarray(indices)
        if indices.size == 0:  # an empty list would arrive as floats
            indices = indices.astype(np.int64)
        rows = {name: getattr(self, name)[indices]
                for name in ("images", "labels", "subjects", "sequences", "paths")}
        return dataclasses.replace(self, **rows)

    def summary(self, names: int = 3) -> str:
        """Describe the data set in a few lines.

        Parameters
        ----------
        names : int
            How many of the things left out are named for each reason.

        Returns
        -------
        str
            Number of images, classes, subjects and sequences; images and
            subjects of each class; what was left out and why.
        """
        side = self.images.shape[2]
        lines = [f"{_count(len(self), 'image')} of {side}x{side}, "
                 f"{len(self.classes)} classes, "
                 f"{_count(len(np.unique(self.subjects)), 'subject')}, "
                 f"{_count(len(np.unique(self.sequences)), 'sequence')}"]
        for index, name in enumerate(self.classes):
            here = self.labels == index
            percent = 100 * here.sum() / max(len(self), 1)
            people = _count(len(np.unique(self.subjects[here])), "subject")
            lines.append(f"  {name:<15}{here.sum():7,d}{percent:7.1f} %  {people}")
        return "\n".join(lines + [_note(reason, value, names)
                                  for reason, value in self.notes.items() if value])


def _note(reason, value, names):
    """One line of a summary: what was left out, or a remark as it is."""
    reason = reason.replace("_", " ")
    if not isinstance(value, (list, tuple)):
        return f"{reason}: {value}"
    first = ", ".join(map(str, value[:names]))
    more = ", …" if len(value) > names else ""
    return f"left out, {reason}: {len(value):,d} ({first}{more})"


def _count(number, noun):
    """``1 subject``, ``2 subjects``."""
    return f"{number:,d} {noun}{'' if number == 1 else 's'}"
