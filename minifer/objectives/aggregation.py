"""Many losses as one number, each by its weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array
from ..errors import SettingError, ShapeError
from ..expressions import Apply, Expression, as_expression
from ..ops import elementwise

__all__ = ["aggregate"]


def aggregate(loss: Array | Expression, weights: Array | None = None,
              mode: str = "mean") -> Any:
    """Combine losses into one number.

    Parameters
    ----------
    loss : array or expression, shape (N,) or (N, ...)
    weights : array or expression, optional
        One for each sample, (N,) or (N, 1, ...), or one for each loss.
    mode : {'mean', 'sum', 'normalized_sum'}
        'normalized_sum' divides the weighted sum by the sum of the weights.

    Returns
    -------
    float or expression
    """
    if mode not in ("mean", "sum", "normalized_sum"):
        raise SettingError(
            "aggregate: expected mode 'mean', 'sum' or 'normalized_sum', got "
            f"{mode!r}.")
    if mode == "normalized_sum" and weights is None:
        raise SettingError("aggregate: mode 'normalized_sum' expects weights.")
    if weights is not None:
        loss = (Apply(_weight, _weight_backward, loss, as_expression(weights))
                if isinstance(loss, Expression)
                else _weight(as_array(loss), weights)[0])
    if mode == "mean":
        return loss.mean()  # type: ignore[union-attr]
    total = loss.sum()  # type: ignore[union-attr]
    if mode == "sum":
        return total
    if isinstance(weights, Expression):
        return Apply(_divide, _divide_backward, as_expression(total), weights)
    return total / float(np.sum(weights))  # type: ignore


def _weight(losses, weights):
    place = elementwise.place_of(weights) if hasattr(weights, "dtype") else None
    if losses.dtype.kind != "f":  # answers that are right or wrong, say
        losses = losses.astype(np.float64)
    weights = as_array(weights).astype(losses.dtype, copy=False)
    given = weights.shape
    if weights.ndim == 1:
        weights = weights.reshape(given + (1,) * (losses.ndim - 1))
    if weights.ndim != losses.ndim or any(
            n not in (1, m) for n, m in zip(weights.shape, losses.shape)) or (
            weights.shape[:1] != losses.shape[:1]):
        raise ShapeError(
            f"aggregate: expected a weight for each of the {losses.shape[:1]} samples, "
            f"or for each of the {losses.shape} losses, got shape {given}.")
    return losses * weights, (losses, weights, place)


def _weight_backward(dy, cache):
    losses, weights, place = cache
    if place is None:
        return dy * weights, None
    dweights = elementwise.fitted(dy * losses, (weights.shape, place[1]))
    return dy * weights, dweights.reshape(place[0])


def _divide(total, weights):
    divisor = float(np.sum(weights))
    return total / divisor, (total, divisor, weights)


def _divide_backward(dy, cache):
    total, divisor, weights = cache
    return dy / divisor, np.zeros_like(weights) - dy * total / divisor ** 2
