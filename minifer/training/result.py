"""What a training came to."""

from dataclasses import dataclass, field

__all__ = ["Result", "is_better", "line_of"]


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes
    ----------
    history : list of dict
        A row an epoch: epoch (from 1), train_loss, valid_loss, valid_accuracy,
        seconds, learning_rate.
    best_epoch : int
        The epoch of the best validation accuracy (the lower loss breaks ties).
    made_with : dict
        What the numbers depend on besides what the Trainer was given: ``last_batch``,
        ``threads``, and see :func:`minifer.training.surroundings.surroundings`.
    """

    history: list
    best_epoch: int
    made_with: dict = field(default_factory=dict)


def is_better(row, best):
    """Whether an epoch is better than the best so far, which may be None.

    >>> row = {"valid_accuracy": .5, "valid_loss": 1.}
    >>> is_better(row, None), is_better(row, {**row, "valid_loss": .9})
    (True, False)
    """
    return best is None or row["valid_loss"] is None or (
        (row["valid_accuracy"], -row["valid_loss"])
        > (best["valid_accuracy"], -best["valid_loss"]))


def line_of(row, epochs):
    """What is said of an epoch, of so many or None."""
    total = f"/{epochs}" if epochs else ""
    text = f"epoch {row['epoch']}{total}  train loss {row['train_loss']:.4f}"
    if row["valid_loss"] is not None:
        text += (f"  valid loss {row['valid_loss']:.4f}  "
                 f"accuracy {100 * row['valid_accuracy']:.1f} %")
    return f"{text}  {row['seconds']:.1f} s"
