"""Finished samples on disk: one ``.npy`` file each, image and soft label.

::

    samples/ck/*.npy        samples/ck/test/*.npy
    samples/google/*.npy    samples/google/test/*.npy

Faces are searched once, when the samples are stored; training only reads them.
A file holds one record of plain numbers and text with the fields ``image``,
``target``, ``subject`` and ``sequence``. It is no pickle, and a file that is
one is refused unread, because unpickling runs whatever program is in it.
"""

from __future__ import annotations

import io
import os
import sys
import warnings

import numpy as np

from ..._types import FilePath
from ...errors import DatasetError, LeakageWarning, SettingError, check_seed
from ...files import make_folder, new_folder, reading, write_bytes
from ...files.arrays import read_header
from ..split_dataset import SplitDataset
from ..splits import split_by_subject
from .listing import files
from .softlabels import SOFT_CLASSES

__all__ = ["save_samples", "load_samples"]

TEST = "test"

SAMPLE = "a sample (square uint8 image, 8 floats)"
REMEDY = "Remove it, or store the set again."


def save_samples(data: SplitDataset, folder: FilePath, test: float = 0.2,
                 seed: int = 0) -> tuple[int, ...]:
    """Store a data set as ``.npy`` samples, a share of them apart for testing.

    Parameters
    ----------
    data : SplitDataset
        A data set with the eight classes of the soft labels. No subject will be on both
        sides; where each image is its own subject, this is a plain split.
    folder : str or path-like
        Such as ``samples/ck``; it must be absent or empty. It appears when all
        is written, or not at all.
    test : float
        Share of the images that goes to the sub-folder ``test``, above 0 and
        below 1, met as closely as whole subjects allow.
    seed : int

    Returns
    -------
    tuple of int
        Number of training and of test samples.

    Raises
    ------
    SettingError
        If ``test`` or ``seed`` is out of range.
    DatasetError
        If the classes are others, the folder is in use, or a class has fewer
        than two subjects.
    OutputError
        If nothing can be written there.
    """
    if not isinstance(test, (int, float)) or not 0 < test < 1:
        raise SettingError("test: expected a share above 0 and below 1, such as 0.2, "
                           f"got {test!r}.")
    if data.classes != SOFT_CLASSES:
        raise DatasetError(f"samples: expected the classes {', '.join(SOFT_CLASSES)}, "
                           f"got {', '.join(data.classes)}.")
    parts = split_by_subject(data.labels, data.subjects, (1 - test, test), seed,
                             data.classes)
    with new_folder(folder) as new:
        for rows, place in zip(parts, (new, make_folder(os.path.join(new, TEST)))):
            for row in rows:
                write_bytes(os.path.join(place, f"{row:06d}.npy"), _pack(data, row))
    return len(parts[0]), len(parts[1])


def load_samples(root: FilePath, google_train_split: float = 1.0,
                 ck_train_split: float = 1.0,
                 seed: int = 0) -> tuple[SplitDataset, SplitDataset]:
    """Read the samples of ``ck/`` and ``google/`` and mix them.

    Parameters
    ----------
    root : str or path-like
        Holds one of the folders ``ck`` and ``google``, or both.
    google_train_split, ck_train_split : float
        Share of each set's training samples that is used, 0 to 1, drawn by
        ``seed``; a larger share holds the smaller ones.
    seed : int

    Returns
    -------
    train, test : SplitDataset
        The mixed training samples, and all test samples of both sets for any
        shares, so that mixtures are judged by one test.

    Raises
    ------
    SettingError
        If a share is out of range, or both leave nothing to train on.
    DatasetError
        If a folder is missing, or a file is no sample.

    Warns
    -----
    LeakageWarning
        If a subject is in a set's training and test samples.
    """
    seed = check_seed(seed)
    shares = {"ck": ck_train_split, "google": google_train_split}
    for name, share in shares.items():
        if not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise SettingError(f"{name}_train_split: expected a share from 0 to 1, got "
                               f"{share!r}.")
    train, test = [], []
    for number, (name, share) in enumerate(shares.items()):
        folder = os.path.join(root, name)
        if not os.path.isdir(folder):
            continue
        ours, theirs = _read_folder(folder), _read_folder(os.path.join(folder, TEST))
        _warn_of_leak(folder, ours, theirs)
        # a stream for each set: what one share draws does not change the other
        order = np.random.default_rng([seed, number]).permutation(len(ours))
        used = order[:round(share * len(ours))]
        train += [ours[index] for index in np.sort(used)]
        test += theirs
    if not test:
        raise DatasetError(f"{root}: expected folders ck or google with samples, found "
                           "none. Store some with save_samples.")
    if not train:
        raise SettingError("ck_train_split, google_train_split: expected a share above "
                           "0 of a set that is there, or there is nothing to train on.")
    return _collect(train, "train"), _collect(test, "test")


def _pack(data, row):
    """One sample as the bytes of an ``.npy`` file."""
    image, subject, sequence = (data.images[row, 0], str(data.subjects[row]),
                                str(data.sequences[row]))
    kind = [("image", "u1", image.shape), ("target", "<f4", (len(data.classes),)),
            ("subject", f"<U{max(1, len(subject))}"),
            ("sequence", f"<U{max(1, len(sequence))}")]
    file = io.BytesIO()
    np.save(file, np.array((image, data.targets[row], subject, sequence), kind),
            allow_pickle=False)
    return file.getvalue()


def _read_folder(folder):
    """Read the samples of one folder as a list of (path, record)."""
    paths = [os.path.join(folder, name) for name in files(folder)
             if name.endswith(".npy")]
    if not paths:
        raise DatasetError(f"{folder}: expected .npy samples, found none. Store the "
                           "set again with save_samples.")
    return [(path, _unpack(path)) for path in paths]


def _unpack(path):
    """Read one sample; nothing in the file is trusted."""
    with reading(path, SAMPLE, DatasetError, REMEDY) as file:
        header = read_header(file)
        kind, shape = header.dtype, header.shape
        if kind.names != ("image", "target", "subject", "sequence") or shape != ():
            raise _no_sample(path, f"an array of shape {shape}")
        side = kind["image"].shape
        if (kind["image"].base != np.uint8 or len(side) != 2 or side[0] != side[1]
                or kind["target"] != np.dtype(("<f4", (len(SOFT_CLASSES),)))
                or {kind["subject"].kind, kind["sequence"].kind} != {"U"}):
            raise _no_sample(path, f"an image {kind['image']} and a vector "
                             f"{kind['target']}")
        data = file.read(kind.itemsize + 1)
        if len(data) != kind.itemsize:
            raise _no_sample(path, f"{len(data)} bytes where {kind.itemsize} belong")
        record = np.frombuffer(data, kind)[0]
        for name in ("subject", "sequence"):
            letters = str(record[name])  # NumPy takes any four bytes for one
            if max(map(ord, letters), default=0) > sys.maxunicode:
                raise ValueError(f"a {name} of no letters")
            letters.encode("utf-8")
        return record


def _no_sample(path, got):
    return DatasetError(f"{path}: expected {SAMPLE}, got {got}. {REMEDY}")


def _warn_of_leak(folder, train, test):
    both = ({str(record["subject"]) for _, record in train}
            & {str(record["subject"]) for _, record in test})
    if both:
        warnings.warn(f"{folder}: {len(both)} subjects are in training and in test, "
                      f"such as {min(both)}: test numbers will flatter. Store the set "
                      "again.", LeakageWarning, stacklevel=3)


def _collect(samples, part):
    """Put the samples of one part together."""
    paths, records = zip(*samples)
    side = records[0]["image"].shape
    for path, record in samples:
        if record["image"].shape != side:
            raise DatasetError(f"{path}: expected an image {side} as in {paths[0]}, "
                               f"got {record['image'].shape}. Store both sets in one "
                               "size.")
    targets = np.stack([record["target"] for record in records])
    bad = ~((targets >= 0).all(axis=1) & (np.abs(targets.sum(axis=1) - 1) < 1e-4))
    if bad.any():
        row = int(np.argmax(bad))
        raise _no_sample(paths[row], f"a vector {targets[row].tolist()}, not shares "
                         "with sum 1")
    return SplitDataset(np.stack([record["image"] for record in records])[:, None],
                        targets.argmax(axis=1), SOFT_CLASSES,
                        [record["subject"] for record in records],
                        [record["sequence"] for record in records], paths,
                        usage=[part] * len(paths), targets=targets)
