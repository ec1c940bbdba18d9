"""What a training came to."""

from dataclasses import dataclass, field

__all__ = ["Result"]


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
