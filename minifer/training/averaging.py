r"""Running averages of a network's values, which predict better than the last ones.

Steps of gradient descent with noise go around a minimum rather than into it; their
average lies further in.

References
----------
Polyak & Juditsky (1992): Acceleration of stochastic approximation by averaging. SIAM
Journal on Control and Optimization 30.
Izmailov, Podoprikhin, Garipov, Vetrov & Wilson (2018): Averaging weights leads to wider
optima and better generalization. arXiv:1803.05407.
Tarvainen & Valpola (2017): Mean teachers are better role models. arXiv:1703.01780.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..errors import SettingError, check_number
from ..layers import (BatchNormLayer, Layer, get_all_layers, get_all_params,
                      get_output, sharing)
from ..layers.param import Param
from ..updates import Update
from .batches import Batches

__all__ = ["NoAverage", "MovingAverage", "EqualAverage", "RuleAndAverage", "average_of",
           "renew_batch_norm", "check_average"]


class NoAverage:
    """None is kept: the parameters are what they are."""

    setting: float | str | None = None
    #: Whether it depends on how many epochs there will be.
    needs_end = False

    def step(self) -> None:
        """Take note of a step."""

    def end_epoch(self, epoch: int, epochs: Any) -> bool:
        """Take note of an epoch, counted from 1; whether batch norm must see it."""
        return False

    def in_place(self) -> contextlib.AbstractContextManager[None]:
        """Let the average stand in the parameters for a ``with`` block."""
        return contextlib.nullcontext()

    def take_place(self) -> None:
        """Let the average be the parameters' values from now on."""

    def begin(self, epochs: int | None) -> None:
        """Take note of a training; SettingError if its end matters and is open."""
        if self.needs_end and epochs is None:
            raise SettingError(
                "swa: expected the number of epochs, as it is the mean of the last, "
                "got none. Give epochs (--epochs).")

    def beside(self, rule: Update) -> Any:
        """What a checkpoint keeps of an update rule and the average."""
        return rule


class MovingAverage(NoAverage):
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
        self.setting = self.decay
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

    def beside(self, rule: Update) -> Any:
        """Both states in one: see :class:`RuleAndAverage`."""
        return RuleAndAverage(rule, self)

    def _exchange(self):
        for value, param in zip(self.values, self.params):
            kept = param.value.copy()
            param.value[...] = value
            value[...] = kept


class EqualAverage(MovingAverage):
    """Stochastic weight averaging: the equal mean of the values after the last epochs.

    Until the share of epochs begins that counts, it is what the parameters are. Batch
    norm's averages are of other weights then: :func:`renew_batch_norm`.

    Parameters
    ----------
    params : list of Param
        All of a network's.
    share : float in (0, 1]
        The part of a training's epochs, from the end; 0.25 is usual. A rate that does
        not fall far suits it.

    Attributes
    ----------
    state : dict
        ``"t"``, how many epochs have been averaged, and ``"values"``.

    Examples
    --------
    >>> p = Param(np.array([0.0]), "p")
    >>> average = EqualAverage([p], share=0.5)
    >>> for epoch in 1, 2, 3, 4:
    ...     p.value[...] = epoch
    ...     _ = average.end_epoch(epoch, epochs=4)
    >>> average.values[0]
    array([3.5])
    """

    needs_end = True

    def __init__(self, params: Sequence[Param], share: float):
        super().__init__(params, 0.0)
        self.share = check_share(share)
        self.setting = f"equal, {self.share}"

    def step(self) -> None:
        """Nothing: epochs count."""

    def end_epoch(self, epoch: int, epochs: Any) -> bool:
        """Let the values after an epoch, counted from 1, in; whether it is a mean."""
        if epoch > epochs * (1 - self.share):
            self.state["t"] += 1
        weight = 1 / max(self.state["t"], 1)
        for value, param in zip(self.values, self.params):
            value += (param.value - value) * np.asarray(weight, value.dtype)[()]
        return self.state["t"] > 1


def renew_batch_norm(network: Layer, batches: Batches, seed: int = 0,
                     most: int = 100) -> None:
    """Compute batch norm's averages again, as equal means over batches of images.

    All other layers work as in prediction, and no weight is changed. Ranks look at the
    same images, each alone, so that any number of them agrees.

    Parameters
    ----------
    network : Layer
    batches : Batches
        The images that it was trained on, unchanged.
    seed : int, default 0
        For which of them are looked at.
    most : int, default 100
        How many batches, at most.
    """
    norms = [layer for layer in get_all_layers(network)
             if isinstance(layer, BatchNormLayer) and not layer.frozen]
    if not norms:
        return
    alphas = [layer.alpha for layer in norms]
    batches.begin(np.random.default_rng(seed).permutation(len(batches)))
    try:
        with sharing(network, None):
            for number in range(min(batches.count, most)):
                for layer in norms:
                    layer.alpha = 1 / (number + 1)
                get_output(network, batches.batch(number)[0], deterministic=True,
                           batch_norm_use_averages=False,
                           batch_norm_update_averages=True)
    finally:
        for layer, alpha in zip(norms, alphas):
            layer.alpha = alpha


class RuleAndAverage:
    """An update rule and the average that follows it: what a checkpoint keeps of both.

    Attributes
    ----------
    state : dict
        That of both, by ``"rule"`` and ``"average"``.
    """

    def __init__(self, rule: Update, average: MovingAverage):
        self.state = {"rule": rule.state, "average": average.state}


def average_of(network: Layer, decay: float | None, share: float | None) -> NoAverage:
    """The average of a network's values that two settings name, of which one may be.

    Raises
    ------
    SettingError
    """
    check_average(decay, share)
    params = get_all_params(network)
    if share is not None:
        return EqualAverage(params, share)
    return NoAverage() if decay is None else MovingAverage(params, decay)


def check_average(decay: float | None, share: float | None) -> None:
    """Refuse settings of averages that are out of range, or both at once.

    Raises
    ------
    SettingError
    """
    if decay is not None and share is not None:
        raise SettingError(f"expected average or swa, got both: {decay} and {share}.")
    if decay is not None:
        check_decay(decay)
    if share is not None:
        check_share(share)


def check_decay(decay: float) -> float:
    """Return the decay of an average, or raise SettingError."""
    if not isinstance(decay, (int, float)) or not 0 <= decay < 1:
        raise SettingError(
            "average: expected a decay from 0 to below 1, such as 0.999, got "
            f"{decay!r}.")
    return float(decay)


def check_share(share: float) -> float:
    """Return the share of the epochs that are averaged, or raise SettingError."""
    share = check_number("swa", share)
    if not 0 < share <= 1:
        raise SettingError(
            f"swa: expected a share of the epochs above 0, up to 1, got {share}.")
    return share
