"""Splits by subject, so that no person is on both sides.

On CK+ a nearest neighbour on raw pixels scores 97 % when frames are split at
random, because the frames of one sequence are near copies and one of them is
always in the training part. Split by subject it scores 62 %. So subjects are
the unit here, and :func:`split_random` exists to show the difference, not to
report it.

Splits are stratified: a subject goes to the part that lacks its classes most.
They depend on the seed and on the set of images, not on the order of its rows.

>>> import numpy as np
>>> labels = np.array([0, 1] * 6)
>>> subjects = np.repeat(["Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"], 2)
>>> train, val, test = split_by_subject(labels, subjects, (0.5, 0.25, 0.25), seed=1)
>>> len(train) + len(val) + len(test), set(subjects[train]) & set(subjects[test])
(12, set())
>>> [len(fold) for fold in k_fold(labels, subjects, folds=3)]
[4, 4, 4]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..errors import DatasetError, SettingError, ShapeError, check_seed

__all__ = ["split_by_subject", "split_random", "k_fold", "describe"]

#: In how many random orders the subjects are dealt out; the best deal wins.
ORDERS = 20


def split_by_subject(labels: Array, subjects: Array,
                     fractions: Sequence[float] = (0.6, 0.2, 0.2), seed: int = 0,
                     classes: Sequence[str] | None = None) -> tuple[np.ndarray, ...]:
    """Split into parts that share no subject and each contain every class.

    Parameters
    ----------
    labels : array_like (N,) of int
        Class indices, 0 to K-1. Classes without an image are left aside.
    subjects : array_like (N,) of str
        Who is on each image.
    fractions : sequence of P float
        Share of each part, above 0, with sum 1. The shares are met as closely
        as whole subjects allow.
    seed : int
        Another seed gives another split.
    classes : sequence of K str, optional
        Names for messages.

    Returns
    -------
    tuple of P ndarray of int64
        Sorted indices of the images of each part; together they are 0 to N-1.

    Raises
    ------
    SettingError
        If ``fractions`` are not shares with sum 1.
    DatasetError
        If a class has fewer subjects than there are parts, or the subjects
        cannot be dealt out so that each part gets each class.
    """
    labels, subjects = _check_rows(labels, subjects)
    fractions = _check_fractions(fractions)
    counts, row = _count_classes(labels, subjects)
    names = [_name(label, classes) for label in np.unique(labels)]
    parts = len(fractions)
    _need_subjects(counts, parts, f"a split into {parts} parts needs {parts}", names)
    part, missing = _deal(counts, fractions, _rng(seed))
    if missing.any():
        _give_up(missing.any(axis=0), "every part", names)
    return tuple(np.flatnonzero(part[row] == p) for p in range(parts))


def k_fold(labels: Array, subjects: Array, folds: int = 5, seed: int = 0,
           classes: Sequence[str] | None = None) -> list[np.ndarray]:
    """Split into ``folds`` test parts of equal size that share no subject.

    Each part is the test set once, and all other images are the training set.
    A class with fewer subjects than folds is absent from some parts, so count
    the predictions of all folds together. As many folds as subjects give
    leave-one-subject-out.

    Parameters
    ----------
    labels, subjects, seed, classes
        As for :func:`split_by_subject`.
    folds : int
        Number of parts, from 2 to the number of subjects.

    Returns
    -------
    list of ``folds`` ndarray of int64
        Sorted indices of the test images of each fold; each image is in one.

    Raises
    ------
    SettingError
        If ``folds`` is below 2 or above the number of subjects.
    DatasetError
        If a class has a single subject: in the fold that tests it, the network
        would never have seen it. Or if no dealing avoids that.
    """
    labels, subjects = _check_rows(labels, subjects)
    counts, row = _count_classes(labels, subjects)
    if not isinstance(folds, (int, np.integer)) or not 2 <= folds <= len(counts):
        raise SettingError(f"folds: expected 2 to {len(counts)}, the number of "
                           f"subjects, got {folds!r}.")
    names = [_name(label, classes) for label in np.unique(labels)]
    _need_subjects(counts, 2, "cross-validation needs 2, to train on one and test "
                   "on the other", names)
    part, missing = _deal(counts, np.full(folds, 1 / folds),
                          _rng(seed))
    alone = missing.sum(axis=0) == folds - 1
    if alone.any():
        _give_up(alone, "two folds", names)
    return [np.flatnonzero(part[row] == fold) for fold in range(folds)]


def split_random(labels: Array, fractions: Sequence[float] = (0.6, 0.2, 0.2),
                 seed: int = 0,
                 classes: Sequence[str] | None = None) -> tuple[np.ndarray, ...]:
    """Split image by image, each class by itself. LEAKY where people repeat.

    Parameters
    ----------
    labels, fractions, seed, classes
        As for :func:`split_by_subject`. Each part gets at least one image of
        each class.

    Returns
    -------
    tuple of P ndarray of int64
        Sorted indices of the images of each part; together they are 0 to N-1.

    Raises
    ------
    SettingError
        If ``fractions`` are not shares with sum 1.
    DatasetError
        If a class has fewer images than there are parts.
    """
    labels, _ = _check_rows(labels, labels)
    fractions = _check_fractions(fractions)
    rng = _rng(seed)
    part = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < len(fractions):
            raise DatasetError(
                f"{_name(label, classes)} has {_count(len(rows), 'image')}, a split "
                f"into {len(fractions)} parts needs {len(fractions)}. Add images or "
                "leave the class out.")
        part[rows] = np.repeat(np.arange(len(fractions)),
                               _whole_shares(len(rows), fractions))
    return tuple(np.flatnonzero(part == p) for p in range(len(fractions)))


def describe(kind: str, fractions: Sequence[float] = (0.6, 0.2, 0.2), folds: int = 5,
             seed: int = 0) -> str:
    """Name a protocol, as it must be written beside every number it gave.

    Parameters
    ----------
    kind : str
        ``"subject"``, ``"k-fold"`` or ``"random"``.
    fractions, folds, seed
        Arguments of the function that made the split.

    Returns
    -------
    str

    Raises
    ------
    SettingError
        If ``kind`` is none of the three.

    Examples
    --------
    >>> describe("subject")
    'subject-disjoint 60/20/20 split, seed 0'
    >>> describe("k-fold", folds=10, seed=3)
    '10-fold cross-validation, subject-disjoint, seed 3'
    >>> describe("random")
    'random split (LEAKY: frames of one sequence stand on both sides), seed 0'
    """
    if kind == "subject":
        shares = "/".join(f"{100 * fraction:.4g}" for fraction in fractions)
        return f"subject-disjoint {shares} split, seed {seed}"
    if kind == "k-fold":
        return f"{folds}-fold cross-validation, subject-disjoint, seed {seed}"
    if kind == "random":
        return ("random split (LEAKY: frames of one sequence stand on both sides), "
                f"seed {seed}")
    raise SettingError(
        f"split: expected 'subject', 'k-fold' or 'random', got {kind!r}.")


def _deal(counts, fractions, rng):
    """Assign subjects to parts: the best of several random orders.

    Parameters
    ----------
    counts : ndarray (S, K)
        Images of each class for each subject; each class has some.
    fractions : ndarray (P,)
    rng : numpy.random.Generator

    Returns
    -------
    part : ndarray (S,) of int
    missing : ndarray (P, K) of bool
        Which part lacks which class.
    """
    deals = (_deal_in_order(counts, fractions, rng.permutation(len(counts)))
             for _ in range(ORDERS))
    _, part, missing = min(deals, key=lambda deal: deal[0])
    return part, missing


def _deal_in_order(counts, fractions, order):
    """Give each subject in turn to the part that lacks its classes most.

    First comes the part that has nothing yet of most of its classes, then the
    one that lowers the distance to perfect shares the most,

    .. math:: \\chi^2 = \\sum_{p,k} (have_{pk} - want_{pk})^2 / want_{pk},

    then the emptiest. Returns (badness, part, missing); a deal is the worse
    the more parts miss a class, then the larger its :math:`\\chi^2`.
    """
    want = np.outer(fractions, counts.sum(axis=0))
    have = np.zeros_like(want)
    part = np.empty(len(counts), np.int64)
    for subject in order:
        add = counts[subject]
        new = ((have == 0) & (add > 0)).sum(axis=1)
        gain = (add * (2 * (want - have) - add) / want).sum(axis=1)
        fill = have.sum(axis=1) / fractions
        part[subject] = np.lexsort((fill, -gain, -new))[0]
        have[part[subject]] += add
    missing = have == 0
    distance = ((have - want) ** 2 / want).sum()
    return (missing.sum(), distance), part, missing


def _count_classes(labels, subjects):
    """Count images of each class that occurs, (S, K), and number each row's subject."""
    people, row = np.unique(subjects, return_inverse=True)
    present, column = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(people), len(present)), np.int64)
    np.add.at(counts, (row, column), 1)
    return counts, row


def _whole_shares(n, fractions):
    """Divide n into whole numbers, at least 1 each, near ``n · fractions``."""
    shares = np.maximum(1, np.floor(n * fractions).astype(np.int64))
    while shares.sum() != n:
        lack = n * fractions - shares
        if shares.sum() < n:
            shares[np.argmax(lack)] += 1
        else:
            shares[np.argmin(np.where(shares > 1, lack, np.inf))] -= 1
    return shares


def _need_subjects(counts, least, why, names):
    for name, owners in zip(names, (counts > 0).sum(axis=0)):
        if owners < least:
            raise DatasetError(f"{name} has {_count(owners, 'subject')}, {why}. "
                               "Add subjects or leave the class out.")


def _give_up(lacking, where, names):
    lacked = ", ".join(name for name, lacks in zip(names, lacking) if lacks)
    raise DatasetError(
        f"No way was found to deal out the subjects so that {where} get {lacked}: the "
        "subjects who show it are needed elsewhere for other classes. Use fewer "
        "parts, another seed, or more subjects.")


def _name(label, classes):
    """``class 'contempt' (index 1)``, or only the index without names."""
    return (f"class {label}" if classes is None
            else f"class {classes[label]!r} (index {label})")


def _count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _check_rows(labels, subjects):
    labels, subjects = np.asarray(labels), np.asarray(subjects)
    if labels.ndim != 1 or labels.shape != subjects.shape:
        raise ShapeError(
            "split: expected labels (N,) and subjects (N,) of one length, got shapes "
            f"{labels.shape} and {subjects.shape}.")
    if len(labels) == 0:
        raise DatasetError("split: expected at least one image, got none.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ShapeError("split: expected labels to be class indices 0 to K-1, got "
                         f"{labels.dtype} from {labels.min()} to {labels.max()}.")
    return labels, subjects


def _check_fractions(fractions):
    values = np.asarray(fractions, dtype=float)
    if (values.ndim != 1 or len(values) < 2 or not (values > 0).all()
            or abs(values.sum() - 1) > 1e-6):
        raise SettingError(
            "fractions: expected two or more shares above 0 with sum 1, such as "
            f"(0.6, 0.2, 0.2), got {fractions!r}.")
    return values


def _rng(seed):
    return np.random.default_rng(check_seed(seed))
