"""How an array of another library becomes a parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import WeightsError
from ...layers.param import Param

__all__ = ["Rule", "inv_std_of", "turned", "unknown"]


@dataclass(frozen=True)
class Rule:
    """How arrays become a parameter's value.

    Attributes
    ----------
    names : list of tuple of str
        What each array may be called. Several are added; of none the value is 0.
    param : Param or None
        None where the layer does without.
    axes : tuple of int, optional
        The array's axes in the order in which ours has them.
    change : callable, optional
        What happens to the values then.
    given : list of tuple of int, optional
        The shapes that each array may have, where it is not that of the parameter with
        its axes in another order.
    optional : bool
        Whether the value is 0 where the file has none of the arrays.
    """

    names: list
    param: Param | None
    axes: tuple | None = None
    change: Callable | None = None
    given: list | None = None
    optional: bool = False

    @property
    def shapes(self):
        """The shapes that each array may have."""
        if self.given is not None:
            return self.given
        ours = self.param.shape
        axes = range(len(ours)) if self.axes is None else self.axes
        return [tuple(ours[axes.index(axis)] for axis in range(len(ours)))]

    def value_of(self, arrays):
        """The parameter's value, in its dtype."""
        if not arrays:
            return np.zeros(self.param.shape, self.param.dtype)
        value = sum(arrays[1:], arrays[0])
        value = value if self.axes is None else value.transpose(self.axes)
        with np.errstate(all="ignore"):  # the caller looks for NaN and infinity
            value = value if self.change is None else self.change(value)
            return np.reshape(value, self.param.shape).astype(self.param.dtype)


def turned(on):
    """Turn filters round along all their axes, if a layer has them so."""
    def turn(W):
        backwards = (slice(None, None, -1),) * (W.ndim - 2)
        return W[(slice(None), slice(None)) + backwards]
    return turn if on else None


def inv_std_of(layer, order=None):
    """What a variance becomes."""
    def inv_std(variance):
        variance = variance if order is None else order(variance)
        return 1 / np.sqrt(np.where(variance < 0, math.nan, variance) + layer.epsilon)
    return inv_std


def unknown(where, layer, why=""):
    """The error for a layer without rules."""
    return WeightsError(
        f"{where}: expected convolutions, dense layers, batch norms, PReLU, embeddings "
        f"and recurrent layers, got {layer!r}{why}. Set its parameters by hand, with "
        "its name in skip.")
