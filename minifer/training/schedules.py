"""Learning-rate schedules: the rate at each step of training.

A schedule is called with the initial rate and where training stands:
``schedule(initial, iteration, epoch, epochs)``, with ``iteration`` counted in
mini-batches and ``epoch`` from 0; ``epochs`` is None when the end is open.

>>> quarters(0.01, iteration=0, epoch=50, epochs=100)
0.0001
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import SettingError, check_number

__all__ = ["constant", "quarters", "inverse_time", "step", "cosine", "warmup",
           "by_name", "checked", "needs_end"]

#: ``schedule(initial, iteration, epoch, epochs)``.
Schedule = Callable[[float, int, int, Any], float]


def constant(initial: float, iteration: int, epoch: int, epochs: int | None) -> float:
    """The initial rate throughout."""
    return initial


def quarters(initial: float, iteration: int, epoch: int, epochs: int) -> float:
    """The rate divided by 10 at each quarter of the epochs."""
    _need_end("quarters", epochs)
    return initial / 10 ** min(3, 4 * epoch // epochs)


def inverse_time(decay: float) -> Schedule:
    """``initial / (1 + decay · iteration)``, as Keras's ``decay`` argument had it.

    Parameters
    ----------
    decay : float >= 0
        For each mini-batch, such as 1e-6.
    """
    if not 0 <= decay < math.inf:
        raise SettingError(f"schedule inverse_time: expected decay >= 0, got {decay}.")

    def schedule(initial, iteration, epoch, epochs):
        return initial / (1 + decay * iteration)
    schedule.__qualname__ = f"inverse_time:{decay}"
    return schedule


def step(every: int, factor: float = 0.1) -> Schedule:
    """The rate times ``factor`` after each ``every`` epochs."""
    if not every >= 1:
        raise SettingError(f"schedule step: expected every >= 1, got {every}.")
    check_number("schedule step, factor", factor)

    def schedule(initial, iteration, epoch, epochs):
        return initial * factor ** (epoch // every)
    schedule.__qualname__ = f"step:{every}, factor {factor}"
    return schedule


def cosine(initial: float, iteration: int, epoch: int, epochs: int) -> float:
    """Down a half cosine to 0, epoch by epoch (Loshchilov & Hutter 2016)."""
    _need_end("cosine", epochs)
    return initial * (1 + math.cos(math.pi * epoch / epochs)) / 2


def warmup(iterations: int, then: Schedule = cosine) -> Schedule:
    """The rate rises evenly over the first mini-batches; then another schedule rules.

    Large first steps in random directions harm what comes after them (Goyal et al.
    2017, arXiv:1706.02677).

    Parameters
    ----------
    iterations : int >= 1
        Mini-batches until the whole rate is reached.
    then : function, default cosine
    """
    if iterations < 1:
        raise SettingError(
            f"schedule warmup: expected 1 mini-batch or more, got {iterations}.")

    def schedule(initial, iteration, epoch, epochs):
        return (then(initial, iteration, epoch, epochs)
                * min(1, (iteration + 1) / iterations))
    schedule.__qualname__ = f"warmup:{iterations}:{then.__qualname__}"
    schedule.needs_end = needs_end(then)  # type: ignore[attr-defined]
    return schedule


def needs_end(*settings: Any) -> bool:
    """Whether a schedule, or another setting, depends on how many epochs there are."""
    return any(getattr(one, "needs_end", one in (quarters, cosine)) for one in settings)


def by_name(name: str) -> Schedule:
    """A schedule from text.

    ``constant``, ``quarters``, ``cosine``, ``inverse_time:1e-6``, ``step:10``,
    ``warmup:500`` (then cosine) or ``warmup:500:`` and one of the others.

    Raises
    ------
    SettingError
        If the text names none.
    """
    kind, _, number = name.partition(":")
    plain = {"constant": constant, "quarters": quarters, "cosine": cosine}
    try:
        if kind in plain and not number:
            return plain[kind]
        if kind == "inverse_time":
            return inverse_time(float(number))
        if kind == "step":
            return step(int(number))
        if kind == "warmup":
            iterations, _, then = number.partition(":")
            return warmup(int(iterations), by_name(then or "cosine"))
    except ValueError:
        pass
    raise SettingError(
        "schedule: expected constant, quarters, cosine, inverse_time:DECAY, "
        f"step:EPOCHS or warmup:BATCHES, got '{name}'.")


def checked(schedule: Schedule, initial: float, iteration: int, epoch: int,
            epochs: int | None) -> float:
    """The rate that a schedule gives.

    Raises
    ------
    SettingError
        If it is below 0 or not finite.
    """
    rate = schedule(initial, iteration, epoch, epochs)
    if not 0 <= rate < math.inf:
        raise SettingError(f"schedule: expected a learning rate of 0 or more, got "
                           f"{rate!r} in epoch {epoch + 1}.")
    return rate


def _need_end(name, epochs):
    if not epochs:
        raise SettingError(
            f"schedule '{name}': expected a fixed number of epochs, got none. "
            "Give --epochs.")
