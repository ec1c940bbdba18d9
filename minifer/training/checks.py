"""What a training is given, looked over before the hours that it takes.

>>> check_targets(np.array([[0.5, 0.7]], np.float32), classes=2)
Traceback (most recent call last):
    ...
minifer.errors.LabelError: labels: expected shares from 0 to 1 with sum 1, row 0 is \
[0.5, 0.7]. Divide each row by its sum.
"""

import numbers

import numpy as np

from ..device.arrays import to_host
from ..errors import LabelError, SettingError, ShapeError

__all__ = ["check_rate", "check_samples", "check_targets"]

#: How far from 1 the sum of an image's shares may lie: half precision rounds by less.
TOLERANCE = 1e-3


def check_rate(rate, name="learning rate"):
    """Return a learning rate above 0 as it is, or raise SettingError."""
    if (not isinstance(rate, (numbers.Real, np.number)) or isinstance(rate, bool)
            or not 0 < rate < float("inf")):
        raise SettingError(f"{name}: expected a number > 0, got {rate!r}.")
    return rate


def check_samples(images, labels, classes, like=None):
    """Raise an error unless images and labels can be trained on, or judged.

    Parameters
    ----------
    images : array, shape (N, ...)
    labels : array, shape (N,) or (N, K)
    classes : int
        K, the network's outputs.
    like : array, shape (M, ...), optional
        Images of the same shape and type.

    Raises
    ------
    ShapeError
        If there are none, or numbers or shapes differ.
    LabelError
        As :func:`check_targets`.
    """
    if len(images) != len(labels) or not len(images):
        raise ShapeError(
            f"fit: expected as many labels as images, at least one, got "
            f"{len(images)} images and {len(labels)} labels.")
    if like is not None and np.shape(images)[1:] != np.shape(like)[1:]:
        raise ShapeError(
            f"fit: expected validation images {np.shape(like)[1:]} as those of "
            f"training, got {np.shape(images)[1:]}.")
    check_targets(labels, classes)


def check_targets(labels, classes):
    """Raise LabelError unless labels are class numbers or shares of K classes.

    Parameters
    ----------
    labels : int array (N,), 0 to K-1, or float array (N, K)
        Each row of shares has sum 1.
    classes : int
        K.
    """
    labels = np.asarray(to_host(labels))
    if labels.ndim == 2 and labels.dtype.kind == "f":
        if labels.shape[1] != classes:
            raise LabelError(f"labels: expected shares of the network's {classes} "
                             f"classes, got {labels.shape[1]} columns.")
        good = ((labels >= 0).all(axis=1)  # NaN is not >= 0 either
                & (abs(labels.sum(axis=1, dtype=float) - 1) <= TOLERANCE))
        if not good.all():
            row = int(good.argmin())
            shown = [round(float(share), 4) for share in labels[row]]
            raise LabelError(f"labels: expected shares from 0 to 1 with sum 1, row "
                             f"{row} is {shown}. Divide each row by its sum.")
    elif labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise LabelError(
            "labels: expected whole numbers (N,) or shares of classes (N, K), got "
            f"{labels.dtype} {labels.shape}.")
    elif labels.min() < 0 or labels.max() >= classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise LabelError(
            f"labels: expected class numbers 0 to {classes - 1}, got {wrong}. Does the "
            "last layer have as many units as there are classes?")
