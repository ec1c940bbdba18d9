"""When to stop training.

A rule is called after each epoch with the history so far, a list of rows with
``train_loss`` and ``valid_loss``, and says whether to stop.

>>> rule = settled(0.0001)
>>> rule([{"train_loss": 0.5}, {"train_loss": 0.49995}])
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SettingError

__all__ = ["after", "settled", "patience", "first_of"]

#: ``rule(history)``.
Rule = Callable[[Sequence[dict[str, Any]]], bool]


def after(epochs: int) -> Rule:
    """Stop after a fixed number of epochs, at least 1."""
    if epochs < 1:
        raise SettingError(f"epochs: expected a whole number >= 1, got {epochs}.")

    def rule(history):
        return len(history) >= epochs
    return rule


def settled(difference: float = 0.0001) -> Rule:
    """Stop when two consecutive training losses differ by at most ``difference``."""
    def rule(history):
        return len(history) >= 2 and abs(
            history[-1]["train_loss"] - history[-2]["train_loss"]) <= difference
    return rule


def first_of(epochs: int | None, rule: Rule | None) -> Rule:
    """Stop after so many epochs, or where a rule says so; :func:`settled` for neither.

    There is one epoch, at least.
    """
    rules = [after(epochs)] if epochs is not None else []
    rules = rules + ([rule] if rule else []) or [settled()]
    return lambda history: bool(history) and any(one(history) for one in rules)


def patience(epochs: int) -> Rule:
    """Stop when the validation loss (without validation: the training loss) has
    had no new minimum for so many epochs."""
    if epochs < 1:
        raise SettingError(f"patience: expected a whole number >= 1, got {epochs}.")

    def rule(history):
        key = "train_loss" if history[0]["valid_loss"] is None else "valid_loss"
        losses = [row[key] for row in history]
        return len(losses) - 1 - losses.index(min(losses)) >= epochs
    return rule
