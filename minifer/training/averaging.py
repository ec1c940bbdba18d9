r"""Running averages of a network's values, which predict better than the last ones.

Steps of gradient descent with noise go around a minimum rather than into it; their
average lies further in.

References
----------
Polyak & Juditsky (1992): Acceleration of stochastic approximation by averaging. SIAM
Journal on Control and Optimization 30.
Tarvainen & Valpola (2017): Mean teachers are better role models. arXiv:1703.01780.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..errors import SettingError
from ..layers.param import Param
from ..updates import Update

__all__ = ["MovingAverage", "RuleAndAverage", "in_place", "check_decay"]


class MovingAverage:
    r"""Exponential moving average of parameters: ``a ← d a + (1 − d) p`` each step.

    Parameters
    ----------
    params : list of Param
        All of a network's, batch norm's averages included.
    decay : float in [0, 1)
        d; 0.999 looks back over some thousand steps. At first it is less, (1 + t) /
        (10 + t) at step t, lest the start is remembered for long.

    Attributes
    ----------
    state : dict
        ``"t"``, the number of steps, and ``"values"``.
    values : list of arrays
        a, each on the device of its parameter.

    Examples
    --------
    >>> p = Param(np.array([0.0]), "p")
    >>> average = MovingAverage([p], decay=0.5)
    >>> for value in 1.0, 2.0, 3.0:
    ...     p.value[...] = value
    ...     average.step()
    >>> average.values[0].round(3)
    array([2.601])
    >>> with average.in_place():
    ...     print(p.value.round(3))
    [2.601]
    >>> p.value
    array([3.])
    """

    def __init__(self, params: Sequence[Param], decay: float):
        self.params, self.decay = list(params), check_decay(decay)
        self.values: list[Array] = [p.value.copy() for p in self.params]
        self.state: dict[str, Any] = {"t": 0, "values": self.values}

    def step(self) -> None:
        """Let the parameters' present values in."""
        self.state["t"] += 1
        t = self.state["t"]
        weight = 1 - min(self.decay, (1 + t) / (10 + t))
        for value, param in zip(self.values, self.params):
            value += (param.value - value) * np.asarray(weight, value.dtype)[()]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the averages stand in the parameters for a ``with`` block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def take_place(self) -> None:
        """Let the averages be the parameters' values from now on."""
        for value, param in zip(self.values, self.params):
            param.value[...] = value

    def _exchange(self):
        for value, param in zip(self.values, self.params):
            kept = param.value.copy()
            param.value[...] = value
            value[...] = kept


class RuleAndAverage:
    """An update rule and the average that follows it: what a checkpoint keeps of both.

    Attributes
    ----------
    state : dict
        That of both, by ``"rule"`` and ``"average"``.
    """

    def __init__(self, rule: Update, average: MovingAverage):
        self.state = {"rule": rule.state, "average": average.state}


def in_place(average: MovingAverage | None) -> contextlib.AbstractContextManager[None]:
    """Let an average stand in the parameters for a ``with`` block, if one is kept."""
    return contextlib.nullcontext() if average is None else average.in_place()


def check_decay(decay: float) -> float:
    """Return the decay of an average, or raise SettingError."""
    if not isinstance(decay, (int, float)) or not 0 <= decay < 1:
        raise SettingError(
            "average: expected a decay from 0 to below 1, such as 0.999, got "
            f"{decay!r}.")
    return float(decay)
