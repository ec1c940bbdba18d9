"""How good is a network? Accuracy with an interval, and where it fails.

97 % on 20 frames of two people is less than 80 % on a thousand frames of a
hundred people. So an :class:`Evaluation` never shows an accuracy without the
number of frames, the classes, the protocol (how training and test were split)
and an interval that takes *people*, not frames, as the thing drawn at random.

>>> probabilities = [[.9, .1], [.8, .2], [.3, .7], [.6, .4]]
>>> result = evaluate(probabilities, [0, 0, 1, 1], ["calm", "happy"],
...                   protocol="hold-out by subject")
>>> result.accuracy
0.75
>>> result.confusion
array([[2, 0],
       [1, 1]])
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._types import Array
from ..errors import SettingError, ShapeError
from .table import evaluation_html, evaluation_text

__all__ = ["Evaluation", "Scores", "evaluate", "confusion_matrix",
           "precision_recall_f1", "accuracy_interval"]


class Scores(NamedTuple):
    """Fractions 0..1 and the frames behind them: arrays (K,), or averages."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of :func:`evaluate`. Fractions are 0..1; ``str`` is a table.

    Attributes
    ----------
    n : int
        Frames evaluated.
    subjects : int or None
        People on them; None if unknown.
    classes : tuple of K str
    protocol : str
        How training and test were split, in words.
    leaky : bool
        Whether the test set leaks into training, so that the numbers flatter.
    accuracy : float
        Share of the frames classified rightly.
    interval : (float, float)
        95 % bootstrap interval of the accuracy.
    interval_method : str
        How the interval was made, in words.
    balanced_accuracy : float
        Mean recall over the classes that have frames. A network that always
        gives the same answer reaches 1/K.
    per_class : Scores
        Arrays (K,).
    macro, weighted : Scores
        Means over the classes that have frames, plain and weighted by frames.
    confusion : array of int, shape (K, K)
        Rows true, columns predicted.
    folds : tuple of dict
        ``fold``, ``n`` and ``accuracy`` of each fold; empty without folds.
    notes : tuple of str
        What a reader must know: undefined scores, missing classes, …
    """

    n: int
    subjects: int | None
    classes: tuple
    protocol: str
    leaky: bool
    accuracy: float
    interval: tuple
    interval_method: str
    balanced_accuracy: float
    per_class: Scores
    macro: Scores
    weighted: Scores
    confusion: np.ndarray
    folds: tuple
    notes: tuple

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers, strings, lists and dicts, for JSON."""
        rows = zip(*(column.tolist() for column in self.per_class))
        per_class = {name: Scores(*row)._asdict()
                     for name, row in zip(self.classes, rows)}
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return plain | {
            "classes": list(self.classes), "interval": list(self.interval),
            "per_class": per_class, "macro": self.macro._asdict(),
            "weighted": self.weighted._asdict(),
            "confusion": self.confusion.tolist(),
            "folds": [dict(fold) for fold in self.folds], "notes": list(self.notes)}

    __str__ = evaluation_text
    _repr_html_ = evaluation_html


def evaluate(probabilities: Array, labels: Array, classes: Sequence[str],
             subjects: Array | None = None, protocol: str = "not stated", seed: int = 0,
             resamples: int = 2000, leaky: bool = False,
             folds: Array | None = None) -> Evaluation:
    """Compare what a network says with the truth.

    Several folds are pooled by concatenating their predictions; ``folds``
    then adds the accuracy of each.

    Parameters
    ----------
    probabilities : array of float, shape (N, K)
        What the network says; its prediction for a frame is the largest
        entry, the first one in a tie.
    labels : array of int, shape (N,)
        True class numbers, 0 … K-1.
    classes : sequence of K str
    subjects : array, shape (N,), optional
        Person whose face each frame shows; unit of the interval.
    protocol : str
        How training and test were split, in words.
    seed, resamples : int
        Options of the bootstrap, see :func:`accuracy_interval`.
    leaky : bool, default False
        Whether the protocol is known to leak. A subject who is in two
        folds sets it too: one fold's test face was another's training face.
    folds : array of int, shape (N,), optional
        The fold in which each frame was tested.

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError
        If there are no frames, shapes differ, a label is outside 0 … K-1, or
        a probability is NaN or infinite.

    Examples
    --------
    >>> result = evaluate(np.eye(3), [0, 1, 1], ["anger", "fear", "joy"])
    >>> result.accuracy, result.balanced_accuracy
    (0.6666666666666666, 0.75)
    >>> print(result.notes[0])
    joy: no frames in the test set; left out of balanced accuracy and macro means.
    """
    classes = tuple(str(name) for name in classes)
    probabilities = _check_probabilities(probabilities, classes)
    n = len(probabilities)
    labels = _class_numbers("labels", labels, len(classes), n)
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    confusion = confusion_matrix(labels, predicted, len(classes))
    per_class = precision_recall_f1(confusion)
    present = per_class.support > 0
    macro, weighted = (
        Scores(*(float(np.average(score[present], weights=weights))  # type: ignore
                 for score in per_class[:3]), support=n)
        for weights in (None, per_class.support[present]))
    interval = accuracy_interval(correct, subjects, seed, resamples)
    crossing = _subjects_in_several_folds(subjects, folds, n)
    people = None if subjects is None else len(np.unique(subjects))
    unit = f"{people} subjects" if people else "frames (no subjects given)"
    return Evaluation(
        n=n, subjects=people, classes=classes, protocol=str(protocol),
        leaky=bool(leaky or crossing), accuracy=float(correct.mean()),
        interval=interval, balanced_accuracy=macro.recall,  # type: ignore
        interval_method=f"bootstrap over {unit}, {resamples} resamples, seed {seed}",
        per_class=per_class, macro=macro, weighted=weighted, confusion=confusion,
        folds=_fold_accuracies(correct, folds),
        notes=tuple(_notes(classes, confusion, interval, people, crossing)))


def confusion_matrix(labels: Array, predicted: Array, n_classes: int) -> np.ndarray:
    """Count how often each class was taken for each other.

    Parameters
    ----------
    labels, predicted : array of int, shape (N,)
        True and predicted class numbers, 0 … K-1.
    n_classes : int
        K.

    Returns
    -------
    array of int64, shape (K, K)
        Entry (i, j) counts the frames of class i that were called class j.

    Raises
    ------
    ShapeError
        If the two differ in shape, or a number is outside 0 … K-1.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0], 3)
    array([[1, 1, 0],
           [0, 1, 0],
           [1, 0, 0]])
    """
    labels = _class_numbers("labels", labels, n_classes)
    predicted = _class_numbers("predicted", predicted, n_classes, len(labels))
    # A pair (i, j) is the two-digit number i K + j; counting numbers is fast.
    counts = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def precision_recall_f1(confusion: Array) -> Scores:
    r"""Score each class from a confusion matrix.

    Of the frames called class k, the share that is k is its *precision*; of
    the frames that are k, the share called k is its *recall*; F1 is their
    harmonic mean. With TP on the diagonal, FP the rest of the column and FN
    the rest of the row:

    .. math:: P = \frac{TP}{TP + FP},\quad R = \frac{TP}{TP + FN},\quad
              F_1 = \frac{2\,TP}{2\,TP + FP + FN}

    Parameters
    ----------
    confusion : array of int, shape (K, K)
        Rows true, columns predicted.

    Returns
    -------
    Scores
        Four arrays (K,). The undefined 0/0 (a class never predicted, or
        without a frame) is 0.

    Raises
    ------
    ShapeError
        If the matrix is not square or holds a negative count.

    Examples
    --------
    >>> precision_recall_f1([[2, 0], [1, 1]]).recall
    array([1. , 0.5])
    """
    confusion = np.asarray(confusion)
    square = confusion.ndim == 2 and confusion.shape[0] == confusion.shape[1]
    if not square or (confusion < 0).any():
        raise ShapeError(
            "confusion: expected a square matrix (K, K) of counts, got shape "
            f"{confusion.shape}. Make one with confusion_matrix().")
    right = np.diag(confusion)
    support, called = confusion.sum(axis=1), confusion.sum(axis=0)
    return Scores(right / np.maximum(called, 1), right / np.maximum(support, 1),
                  2 * right / np.maximum(called + support, 1), support)


def accuracy_interval(correct: Array, subjects: Array | None = None, seed: int = 0,
                      resamples: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of an accuracy, with subjects as the unit drawn.

    Frames of one person resemble each other, so 1,000 frames of 20 people are
    less evidence than one frame each of 1,000. The cluster bootstrap [1]_
    respects this: draw as many subjects as there are, with replacement, each
    with all its frames; take the accuracy of these frames; repeat; cut off
    2.5 % at each end.

    Parameters
    ----------
    correct : array of bool, shape (N,)
        Whether each frame was classified rightly.
    subjects : array, shape (N,), optional
        Person whose face each frame shows. Without it single frames are drawn, and
        the interval is too narrow wherever frames share a person.
    seed, resamples : int

    Returns
    -------
    (low, high) : two floats, fractions 0..1

    Raises
    ------
    ShapeError
        If there are no frames, or the two arrays differ in length.
    SettingError
        If ``resamples`` < 1.

    References
    ----------
    .. [1] Davison, Hinkley (1997): Bootstrap Methods and their Application,
       section 3.8.

    Examples
    --------
    Eight frames of two people, one always right, the other always wrong:

    >>> accuracy_interval([1, 1, 1, 1, 0, 0, 0, 0], list("aaaabbbb"))
    (0.0, 1.0)
    """
    if resamples < 1:
        raise SettingError(f"resamples: expected 1 or more, got {resamples}. "
                           "Use 2000, the default.")
    correct = _column("correct", correct).astype(bool)
    if correct.size == 0:
        raise ShapeError("correct: expected one or more frames, got none. "
                         "Check that the test set is not empty.")
    units = (np.arange(len(correct)) if subjects is None
             else _column("subjects", subjects, len(correct)))
    _, unit = np.unique(units, return_inverse=True)
    sizes = np.bincount(unit)
    rights = np.bincount(unit, weights=correct)
    # Subjects with the same (rights, size) are alike, so only how many of
    # each kind are drawn matters, and those numbers are multinomial.
    kinds, how_many = np.unique(np.stack([rights, sizes], axis=1), axis=0,
                                return_counts=True)  # (kinds, 2), (kinds,)
    drawn = np.random.default_rng(seed).multinomial(
        len(sizes), how_many / len(sizes), size=resamples)  # (B, kinds)
    right, size = (drawn @ kinds).T
    low, high = np.quantile(right / size, [0.025, 0.975])
    return float(low), float(high)


def _check_probabilities(probabilities, classes):
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.shape[1:] != (len(classes),) or not len(probabilities):
        raise ShapeError(
            f"probabilities: expected (N, {len(classes)}) with N >= 1 and a "
            f"column for each class, got shape {probabilities.shape}. Check that "
            "the test set is not empty and the class names are complete.")
    bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if bad:
        raise ShapeError(
            "probabilities: expected finite numbers, got NaN or infinity in "
            f"{bad} of {len(probabilities)} frames. The weights have probably "
            "diverged; train with a smaller learning rate.")
    return probabilities


def _class_numbers(name, values, n_classes, length=None):
    values = _column(name, values, length)
    if values.size and values.dtype.kind not in "iu":
        raise ShapeError(
            f"{name}: expected whole class numbers, got type {values.dtype}. "
            "Use argmax(axis=1) on one-hot or soft labels.")
    if values.size and not 0 <= values.min() <= values.max() < n_classes:
        raise ShapeError(
            f"{name}: expected class numbers 0 … {n_classes - 1}, got "
            f"{values.min()} … {values.max()}. Count classes from 0.")
    return values.astype(np.int64)


def _column(name, values, length=None):
    values = np.asarray(values)
    if values.ndim != 1 or (length is not None and len(values) != length):
        raise ShapeError(
            f"{name}: expected shape ({'N' if length is None else length},), one "
            f"for each frame, got {values.shape}. Give every frame exactly one.")
    if values.dtype == object and any(value is None for value in values):
        raise ShapeError(f"{name}: expected one for each frame, got None in "
                         f"between. Leave {name} out if they are unknown.")
    return values


def _subjects_in_several_folds(subjects, folds, n):
    if subjects is None or folds is None:
        return 0
    pairs = set(zip(_column("subjects", subjects, n).tolist(),
                    _column("folds", folds, n).tolist()))
    _, counts = np.unique([subject for subject, _ in pairs], return_counts=True)
    return int((counts > 1).sum())


def _fold_accuracies(correct, folds):
    folds = np.array([]) if folds is None else _column("folds", folds, len(correct))
    return tuple({"fold": fold.item(), "n": int((folds == fold).sum()),
                  "accuracy": float(correct[folds == fold].mean())}
                 for fold in np.unique(folds))


def _notes(classes, confusion, interval, people, crossing):
    for name, true, called in zip(classes, confusion.sum(1), confusion.sum(0)):
        if not true:
            yield (f"{name}: no frames in the test set; left out of balanced "
                   "accuracy and macro means.")
        elif not called:
            yield (f"{name}: never predicted, so its precision is undefined and "
                   "counted as 0.")
    if interval[0] == interval[1]:
        yield ("The interval has no width because all resamples agree (one "
               "subject, or all right, or all wrong); this is no certainty.")
    elif people and people < 10:
        yield (f"{people} subjects are few: the true interval is wider than a "
               "bootstrap over so few can show.")
    if crossing:
        yield (f"{crossing} subject(s) stand in more than one fold: a face tested "
               "in one fold was trained on in another.")
