"""Which of two networks is better, or is it luck? Both judge the same images.

>>> pair = compare_pair([0, 1, 1, 0], [0, 1, 0, 1], labels=[0, 1, 1, 1])
>>> pair.only_first, pair.only_second, pair.p_value, pair.agreement
(1, 1, 1.0, 0.5)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._types import Array
from ..errors import ShapeError

__all__ = ["Pair", "compare_pair", "mcnemar"]


class Pair(NamedTuple):
    """How two networks differ on the same N images.

    ``only_first`` and ``only_second`` count the images that only one of them gets
    right; ``p_value`` is that of :func:`mcnemar`, ``agreement`` the share of images,
    0..1, that both give the same label, right or wrong.
    """

    only_first: int
    only_second: int
    p_value: float
    agreement: float


def compare_pair(first: Array, second: Array, labels: Array) -> Pair:
    """Compare what two networks say of the same images.

    Parameters
    ----------
    first, second : array of int, shape (N,)
        The class that each predicts, 0 … K-1.
    labels : array of int, shape (N,)
        The true classes.

    Returns
    -------
    Pair

    Raises
    ------
    ShapeError
        If there are no images, or the three differ in length.
    """
    first, second, labels = map(np.asarray, (first, second, labels))
    if labels.ndim != 1 or not labels.size or not (
            first.shape == second.shape == labels.shape):
        raise ShapeError(
            "compare: expected two predictions and a label for each of N images, got "
            f"shapes {first.shape}, {second.shape} and {labels.shape}. Let both "
            "networks judge the same images.")
    a, b = first == labels, second == labels
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    return Pair(only_first, only_second, mcnemar(only_first, only_second),
                float((first == second).mean()))


def mcnemar(only_first: int, only_second: int) -> float:
    r"""McNemar's exact test of whether two networks are equally often right [1]_.

    Images that both get right, or both wrong, tell nothing. Of the n = b + c others,
    b only the first gets right and c only the second. If neither is better, each falls
    to either side like a coin, so b is binomial, and two-sided

    .. math:: p = \min\left(1,\; 2 \sum_{k=0}^{\min(b, c)}
                            \binom{n}{k} \frac{1}{2^n}\right)

    Parameters
    ----------
    only_first, only_second : int
        b and c, at least 0.

    Returns
    -------
    float
        p, 0..1: how often chance alone makes a difference as large. 1 if n = 0.

    Raises
    ------
    ShapeError
        If a count is negative.

    Notes
    -----
    The test takes the images as drawn one by one. Frames of one person resemble each
    other, so where people have several, p is too small. Dietterich [2]_ recommends
    the test for networks that are trained once: it says nothing of how another
    training, with another seed, would have come out.

    References
    ----------
    .. [1] McNemar (1947): Note on the sampling error of the difference between
       correlated proportions or percentages. Psychometrika 12, 153-157; the exact
       form is the sign test.
    .. [2] Dietterich (1998): Approximate statistical tests for comparing supervised
       classification learning algorithms. Neural Computation 10, 1895-1923.

    Examples
    --------
    Twelve coins, two of them heads: 2 (1 + 12 + 66) / 4096.

    >>> round(mcnemar(10, 2), 6)
    0.038574
    """
    from scipy.stats import binomtest
    if min(only_first, only_second) < 0:
        raise ShapeError("mcnemar: expected two counts from 0, got "
                         f"{only_first} and {only_second}.")
    n = only_first + only_second
    return float(binomtest(only_first, n, 0.5).pvalue) if n else 1.0
