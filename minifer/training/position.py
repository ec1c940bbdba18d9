"""Where training stands: epoch and batch, the sums of the epoch, its history.

A checkpoint keeps it, and it is looked at before training goes on from there: a wrong
number would end in a wrong result, or in an error hours later.
"""

from __future__ import annotations

from typing import Any

from .._types import FilePath
from ..errors import WeightsError, one_line
from .batches import LAST_BATCH

__all__ = ["beginning", "check_position", "is_count", "is_number"]

#: What a row of the history holds, and what of it is None without validation samples.
ROW = ("epoch", "train_loss", "valid_loss", "valid_accuracy", "seconds",
       "learning_rate")
VALIDATION = ("valid_loss", "valid_accuracy")


def beginning() -> dict[str, Any]:
    """The position before the first batch."""
    return {"epoch": 0, "batch": 0, "loss_sum": 0.0, "seconds": 0.0,
            "history": [], "best": None, "finished": False}


def is_number(value):
    """Whether it is a finite number, as JSON gives them.

    >>> is_number(0.5), is_number(True), is_number(float("inf"))
    (True, False, False)
    """
    return type(value) in (int, float) and -1e300 < value < 1e300


def is_count(value):
    """Whether it is a whole number from 0 that a float64 holds exactly."""
    return type(value) is int and 0 <= value < 2 ** 53


def check_position(path: FilePath, place: dict[str, Any],
                   settings: dict[str, Any]) -> None:
    """Raise WeightsError unless training can go on from a position.

    Parameters
    ----------
    path : str or path-like
        The checkpoint that it was read from.
    place : dict
        Has the parts of :func:`beginning`, if it is whole.
    settings : dict
        ``samples``, ``batch_size`` and ``last_batch`` tell how many batches an epoch
        has, ``validation`` is None where there are no validation samples.
    """
    if settings["last_batch"] not in LAST_BATCH:
        raise _damaged(path, f"last_batch = {settings['last_batch']!r}")
    dropped = settings["last_batch"] == "drop"
    batches = (settings["samples"] // settings["batch_size"] if dropped else
               -(-settings["samples"] // settings["batch_size"]))
    validated = settings["validation"] is not None
    for name in beginning():
        if name not in place:
            raise _damaged(path, f"no {name}")
    epoch, history = place["epoch"], place["history"]
    fits = {"epoch": is_count(epoch),
            "batch": is_count(place["batch"]) and place["batch"] < batches,
            "loss_sum": is_number(place["loss_sum"]),
            "seconds": is_number(place["seconds"]) and place["seconds"] >= 0,
            "history": isinstance(history, list) and len(history) == epoch,
            "finished": type(place["finished"]) is bool}
    for name, good in fits.items():
        if not good:
            raise _damaged(path, f"{name} = {place[name]!r}")
    for number, row in enumerate(history, 1):
        if not _is_row(row, number, validated):
            raise _damaged(path, f"{row!r} as epoch {number} of its history")
    if place["best"] not in (history or [None]):
        raise _damaged(path, f"{place['best']!r} as its best epoch")


def _is_row(row, number, validated):
    if not isinstance(row, dict) or sorted(row) != sorted(ROW):
        return False
    numbers = [row[name] for name in ROW if validated or name not in VALIDATION]
    return (type(row["epoch"]) is int and row["epoch"] == number
            and all(map(is_number, numbers))
            and (validated or all(row[name] is None for name in VALIDATION)))


def _damaged(path, got):
    return WeightsError(
        f"{path}: expected where training stands, got {one_line(got)}. The checkpoint "
        "is damaged: begin anew in another folder.")
