"""Class weights for data sets in which some expressions are rare.

Of FER2013's training images a quarter show joy and one in 66 disgust. A network
that never says disgust loses little by it, unless a mistake there counts for more.

>>> balanced_weights([0, 0, 0, 1], num_classes=2)
array([0.66666667, 2.        ])
"""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..errors import SettingError

__all__ = ["balanced_weights"]


def balanced_weights(targets: Array, num_classes: int | None = None) -> np.ndarray:
    """Weights by which each class counts as much as any other.

    Parameters
    ----------
    targets : array_like (N,) of int, or (N, K)
        Class numbers, 0 to K-1, or soft labels. Of the training images alone: what
        is known of the others must not enter.
    num_classes : int, optional
        K. Default: soft labels tell, and class numbers are taken to end with the
        largest.

    Returns
    -------
    ndarray (K,), float64
        Above 0; their mean over the images is 1, so that the learning rate means
        what it did. A class that no image shows has 1.

    Raises
    ------
    SettingError
        If there are no such targets, or more classes than ``num_classes``.

    Notes
    -----
    w_k = N / (K n_k), where n_k images show class k and K counts the classes that
    occur: n_k is a sum of shares where labels are soft.

    References
    ----------
    G. King, L. Zeng (2001): Logistic Regression in Rare Events Data. Political
    Analysis 9(2), section 4.2 (weighting).
    """
    targets = np.asarray(targets)
    if targets.ndim == 2:
        images = targets.sum(axis=0, dtype=float)
    elif targets.ndim == 1 and targets.dtype.kind in "iu" and (targets >= 0).all():
        images = np.bincount(targets, minlength=num_classes or 0).astype(float)
    else:
        images = np.zeros(0)
    if not images.sum() > 0 or num_classes not in (None, len(images)):
        raise SettingError(
            "class weights: expected class numbers (N,) or soft labels (N, K) of "
            f"{num_classes or 'some'} classes, got {targets.dtype} {targets.shape} of "
            f"{len(images)} classes.")
    occurs = images > 0
    return np.divide(images.sum(), occurs.sum() * images, out=np.ones(len(images)),
                     where=occurs)
