"""Soft labels: a face between neutral and its peak shows some of both.

A sequence of CK+ begins neutral and ends at the peak of its emotion, and only
the last frame is labelled. The frames between get a label that rises linearly:
of n frames, frame i (from 1) is

.. math:: p_s = \\frac{i - 1}{n - 1}, \\qquad p_n = 1 - p_s

the emotion's share and the neutral one. So no frame is thrown away, and the
network learns how strong an expression is.

>>> ramp(3, "disgust")[:, [0, 3]].tolist()
[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
"""

from __future__ import annotations

import numpy as np

from ..._types import FilePath, OnProgress
from ...errors import DatasetError, SettingError
from ...faces.cropping import CropSettings, prepare
from ...faces.images import raise_unreadable
from ..dataset import EMOTIONS
from ..split_dataset import SplitDataset
from .ckplus import scan_ck

__all__ = ["SOFT_CLASSES", "ramp", "load_ck_soft"]

#: The classes of the soft labels: neutral, then the emotions of CK+ in its order.
SOFT_CLASSES = ("neutral",) + EMOTIONS


def ramp(frames: int, emotion: str) -> np.ndarray:
    """Soft labels of a sequence that rises from neutral to ``emotion``.

    Parameters
    ----------
    frames : int
        Number of frames n, from 1. A single frame is the last one, the one the
        label of the sequence was given for, so it is all emotion.
    emotion : str
        One of :data:`SOFT_CLASSES`; ``"neutral"`` is neutral throughout.

    Returns
    -------
    ndarray (n, 8), float32
        Rows with sum 1.

    Raises
    ------
    SettingError
        If ``frames`` is below 1 or ``emotion`` is unknown.
    """
    if not isinstance(frames, (int, np.integer)) or frames < 1:
        raise SettingError(f"frames: expected a whole number from 1, got {frames!r}.")
    if emotion not in SOFT_CLASSES:
        raise SettingError(f"emotion: expected one of {', '.join(SOFT_CLASSES)}, got "
                           f"{emotion!r}.")
    share = np.linspace(0, 1, frames) if frames > 1 else np.ones(1)
    labels = np.zeros((frames, len(SOFT_CLASSES)), np.float32)
    labels[:, SOFT_CLASSES.index(emotion)] = share
    labels[:, 0] += 1 - share  # adds up to 1 when the emotion is neutral itself
    return labels


def load_ck_soft(images: FilePath, labels: FilePath,
                 faces: str | CropSettings = "haar", size: int = 224,
                 cache: FilePath | bool | None = None,
                 progress: OnProgress | None = None) -> SplitDataset:
    """Load whole sequences laid out like CK+, with a soft label for each frame.

    Parameters
    ----------
    images, labels, faces, cache, progress
        As for :func:`~minifer.data.readers.ckplus.load_ck`.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    SplitDataset
        Every frame of the labelled sequences on which a face was found;
        ``targets`` (N, 8) as :func:`ramp` gives them, counted over all frames
        of the sequence. ``labels`` name the larger share, so the first half of
        a sequence counts as neutral.

    Raises
    ------
    SettingError, DatasetError, LabelError, ImageError, BackendUnavailable
        As ``load_ck``.
    """
    settings = CropSettings.of(faces, size)
    # a share too small for any frame: it only keeps sequences labelled neutral
    scan = scan_ck(images, labels, last=1.0, neutral=1e-12)
    targets = _targets(scan)
    crops, found, errors = prepare(scan.paths, settings, cache, progress)
    raise_unreadable(errors, len(scan.paths))
    if not found.any():
        raise DatasetError(f"{images}: no face found on any of {len(found)} images. If "
                           "they show nothing but the face, use faces='whole'.")
    paths = np.array(scan.paths)
    notes = {**scan.notes, "frames": "whole sequences, labels rising from neutral",
             "no_face": paths[~found].tolist()}
    targets = targets[found]
    return SplitDataset(crops[found], targets.argmax(axis=1), scan.classes,
                        np.array(scan.subjects)[found],
                        np.array(scan.sequences)[found], paths[found], notes,
                        targets=targets)


def _targets(scan):
    """A ramp for each sequence; its frames are together and in order."""
    sequences, starts, counts = np.unique(scan.sequences, return_index=True,
                                          return_counts=True)
    targets = np.empty((len(scan.paths), len(scan.classes)), np.float32)
    for start, count in zip(starts, counts):
        targets[start:start + count] = ramp(count, scan.classes[scan.labels[start]])
    return targets
