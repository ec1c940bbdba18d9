r"""Training on mixtures of two images, whose targets are mixed alike.

A network that has seen only pure examples is sure of everything, also between them.

References
----------
Zhang, Cissé, Dauphin & Lopez-Paz (2018): mixup: beyond empirical risk minimization.
arXiv:1710.09412.
Yun et al. (2019): CutMix: regularization strategy to train strong classifiers with
localizable features. arXiv:1905.04899.
Szegedy et al. (2016): Rethinking the Inception architecture for computer vision
(label smoothing). arXiv:1512.00567.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..errors import SettingError

__all__ = ["Mixup", "CutMix", "soft_targets", "check_smoothing"]


def soft_targets(labels: Array, num_classes: int, smoothing: float = 0.0) -> np.ndarray:
    r"""Labels as distributions, smoothed: ``(1 − s) t + s / K``.

    Parameters
    ----------
    labels : int array (N,), or soft targets (N, K)
    num_classes : int
        K.
    smoothing : float in [0, 1), default 0
        s; 0.1 is usual. So no logit is pulled towards infinity.

    Returns
    -------
    float32 array (N, K)

    Examples
    --------
    >>> soft_targets(np.array([1, 0]), 2, smoothing=0.25).tolist()
    [[0.125, 0.875], [0.875, 0.125]]
    """
    check_smoothing(smoothing)
    labels = np.asarray(labels)
    targets = labels if labels.ndim == 2 else labels[:, None] == np.arange(num_classes)
    return ((1 - smoothing) * targets + smoothing / num_classes).astype(np.float32)


def check_smoothing(smoothing: float) -> float:
    """Return a share of targets to deal out, or raise SettingError."""
    if (not isinstance(smoothing, (int, float)) or isinstance(smoothing, bool)
            or not 0 <= smoothing < 1):
        raise SettingError("label smoothing: expected a number from 0 to below 1, got "
                           f"{smoothing!r}.")
    return smoothing


class _Mixing:
    """Pairs each image of a batch with another of the batch."""

    alpha: float

    def __post_init__(self):
        if not isinstance(self.alpha, (int, float)) or not 0 < self.alpha < math.inf:
            raise SettingError(f"{type(self).__name__}: expected alpha > 0, got "
                               f"{self.alpha!r}.")

    def __call__(self, images: Array, targets: Array,
                 rng: np.random.Generator) -> tuple[Array, Array]:
        """Mix a batch.

        Parameters
        ----------
        images : array (N, C, H, W)
            As the network takes them, on any device; left as they are.
        targets : float array (N, K)
        rng : numpy.random.Generator

        Returns
        -------
        images, targets : arrays
            New ones of the same shapes and dtypes.
        """
        share = float(rng.beta(self.alpha, self.alpha))
        partners = rng.permutation(len(images))
        images, share = self.mixed(images, images[partners], share, rng)
        one = targets.dtype.type
        return images, targets * one(share) + targets[partners] * one(1 - share)

    def mixed(self, images, others, share, rng):
        """The mixture, and the share of ``images`` in it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mixup(_Mixing):
    r"""``λ x + (1 − λ) x'`` of whole images, λ from Beta(α, α) once a batch.

    Parameters
    ----------
    alpha : float > 0, default 0.2
        Small: nearly pure images mostly. 1: every λ is as likely.
    """

    alpha: float = 0.2

    def mixed(self, images, others, share, rng):
        one = images.dtype.type
        return images * one(share) + others * one(1 - share), share


@dataclass(frozen=True)
class CutMix(_Mixing):
    r"""A rectangle of each image comes from another, over a share 1 − λ of its area.

    Parameters
    ----------
    alpha : float > 0, default 1
        λ is drawn from Beta(α, α) once a batch; what the border cuts off counts for
        the image itself.
    """

    alpha: float = 1.0

    def mixed(self, images, others, share, rng):
        H, W = images.shape[-2:]
        half = math.sqrt(1 - share) / 2
        y, x = rng.integers(H), rng.integers(W)
        top, bottom = max(0, round(y - half * H)), min(H, round(y + half * H))
        left, right = max(0, round(x - half * W)), min(W, round(x + half * W))
        images = images.copy()
        images[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return images, 1 - (bottom - top) * (right - left) / (H * W)
