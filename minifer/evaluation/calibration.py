"""Can a network be believed when it says how sure it is?

A calibrated network is right on 80 of 100 faces of which it says "80 %".

>>> result = calibrate([[.9, .1], [.9, .1], [.4, .6]], [0, 1, 1])
>>> round(result.error, 4)
0.4
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .._types import Array
from ..errors import SettingError, ShapeError

__all__ = ["Calibration", "calibrate"]


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """How sure a network is and how often right, in B bins of its confidence.

    Attributes
    ----------
    counts : array of int, shape (B,)
        Frames whose highest probability is in (b/B, (b+1)/B]; 0 is in the first.
    confidence : array, shape (B,)
        Their mean highest probability, 0..1; NaN where there is none.
    accuracy : array, shape (B,)
        Share of them that is classified rightly; NaN where there is none.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, 0..1, see :func:`calibrate`."""
        some = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[some]
        return float(gaps @ self.counts[some] / self.counts.sum())

    def __str__(self):
        return (f"Expected calibration error {self.error:.1%}: on average over "
                f"{self.counts.sum()} frames, in {len(self.counts)} bins, so far is "
                "how sure the network is from how often it is right.")


def calibrate(probabilities: Array, labels: Array, bins: int = 15) -> Calibration:
    r"""Compare how sure a network is with how often it is right [1]_.

    With B_b the frames of bin b, acc and conf their accuracy and mean highest
    probability, the expected calibration error is

    .. math:: ECE = \sum_b \frac{|B_b|}{N}
                    \left|\mathrm{acc}(B_b) - \mathrm{conf}(B_b)\right|

    Parameters
    ----------
    probabilities : array of float, shape (N, K)
        Rows of 0..1.
    labels : array of int, shape (N,)
        True class numbers, 0 … K-1.
    bins : int, default 15
        B, of equal width, as in the source.

    Returns
    -------
    Calibration

    Raises
    ------
    ShapeError
        If the shapes do not belong together or a probability is outside 0..1.
    SettingError
        If ``bins`` < 1.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger (2017): On calibration of modern neural
       networks, arXiv:1706.04599, section 2.
    """
    probabilities, labels = np.asarray(probabilities, float), np.asarray(labels)
    if probabilities.ndim != 2 or not probabilities.size or (
            labels.shape != probabilities.shape[:1]) or not (
            (probabilities >= 0) & (probabilities <= 1 + 1e-5)).all():
        raise ShapeError(
            f"calibrate: expected probabilities (N, K), 0..1, and labels (N,), got "
            f"shapes {probabilities.shape} and {labels.shape}. Use the output of "
            "softmax.")
    if bins < 1:
        raise SettingError(f"bins: expected 1 or more, got {bins}.")
    sure = np.minimum(probabilities.max(axis=1), 1)
    right = probabilities.argmax(axis=1) == labels
    place = np.maximum(np.ceil(sure * bins).astype(int) - 1, 0)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=one, minlength=bins) for one in (sure, right))
    with np.errstate(invalid="ignore"):
        return Calibration(counts, *(one / counts for one in sums))
