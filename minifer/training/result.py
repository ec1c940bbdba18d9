"""What a training came to."""

from dataclasses import dataclass, field

from ..notebook import Cell, paragraph, table

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

    def _repr_html_(self):
        """The history; the best epoch stands out."""
        rows = []
        for row in self.history:
            style = ";font-weight:600" if row["epoch"] == self.best_epoch else ""
            accuracy = row["valid_accuracy"]
            cells = [row["epoch"], f"{row['train_loss']:.4f}",
                     "" if row["valid_loss"] is None else f"{row['valid_loss']:.4f}",
                     "" if accuracy is None else f"{100 * accuracy:.1f}%",
                     f"{row['learning_rate']:.3g}", f"{row['seconds']:.1f}"]
            rows.append([Cell(cell, style) for cell in cells])
        validated = any(row["valid_loss"] is not None for row in self.history)
        header = ["epoch", "train loss", "valid loss", "accuracy", "rate", "seconds"]
        if not validated:
            header, *rows = (one[:2] + one[4:] for one in [header, *rows])
        best = f"best epoch: {self.best_epoch}" if validated else "no validation"
        return table(header, rows) + paragraph(best)


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
