"""What a teacher would say on looking at a training: a line for each thing, once.

>>> from minifer.progress import Progress
>>> import sys
>>> advice = Advice(None, ("happy", "sad"), Progress(stream=sys.stdout))
>>> rows = [{"epoch": 1, "train_loss": .60, "valid_loss": .64},
...         {"epoch": 2, "train_loss": .15, "valid_loss": .97}]
>>> advice.look(rows)
look: training runs ahead, with a loss of 0.15 where validation has 0.97, and had 0.64 \
after epoch 1. Change images more (--flip --rotation 10 ...), hold weights small \
(--l2), or stop earlier (--stop patience:5).
>>> advice.look(rows)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import layers
from .._types import Array
from ..device.arrays import to_host
from ..layers import Layer
from ..nonlinearities import rectify
from ..progress import Progress
from ..ranks import Ranks, connect

__all__ = ["Advice"]

#: Training is ahead where its loss is below this share of validation's, and that is so
#: many times what it was at its best.
AHEAD, WORSE = 0.5, 1.1
#: So many validation images are looked at, the first ones.
SEEN = 1024
#: A class is missed after so many epochs, if there are so many images of it or more.
EPOCHS, IMAGES = 4, 10
#: ReLUs are worth a word where more than this share of a layer's units is dead.
DEAD = 0.5
#: A network that says one class has the loss of a guess, if not this much less.
GUESS = 0.05


class Advice:
    """Looks at a training now and then.

    Parameters
    ----------
    network : Layer
        The output layer, shape (N, K).
    classes : sequence of str
        K names.
    progress : minifer.progress.Progress
        Where it is said.
    ranks : minifer.ranks.Ranks, optional
        Who looks, each at a part of the images; rank 0 says what there is to say. All
        make it together.
    first : int, default 0
        Which of the images is the first that this rank sees.
    """

    def __init__(self, network: Layer, classes: Sequence[str], progress: Progress,
                 ranks: Ranks | None = None, first: int = 0):
        self.network, self.classes, self.progress = network, classes, progress
        self.ranks, self.first = ranks or connect("alone"), first
        self._wanted = self.ranks.hand_out(progress.enabled)
        self._said: set[str] = set()
        self._found: list[Any] = []

    def see(self, epoch: int, x: Array, y: Array) -> None:
        """Look at some of the validation images, after epochs 1, 2, 4, 8, and so on.

        Parameters
        ----------
        epoch : int
            That which ends, from 1.
        x, y : array
            A batch as the network takes it, and its labels.
        """
        left = SEEN - self.first - sum(len(said) for said, _, _ in self._found)
        if self._looks_after(epoch) and left > 0:
            self._found.append(self._outputs(x[:left], y[:left]))

    def look(self, history: Sequence[dict[str, Any]]) -> None:
        """Say what there is to say after an epoch; all ranks call it.

        Parameters
        ----------
        history : list of dict
            A row an epoch; see :class:`minifer.training.Result`.
        """
        if not self._wanted:
            return
        row, found = history[-1], list[Any]()
        if self._looks_after(row["epoch"]):
            found, self._found = sum(self.ranks.gather(self._found), []), []
        if row["valid_loss"] is not None:
            self._ahead(row, min(history, key=lambda one: one["valid_loss"]))
        if found:
            self._inside(row, found)

    def _looks_after(self, epoch):
        return self._wanted and epoch & (epoch - 1) == 0

    def _say(self, what, text):
        if what not in self._said:
            self._said.add(what)
            self.progress.line(f"look: {text}")

    def _ahead(self, row, best):
        if (row["train_loss"] < AHEAD * row["valid_loss"]
                and row["valid_loss"] > WORSE * best["valid_loss"]):
            self._say("ahead", "training runs ahead, with a loss of "
                f"{row['train_loss']:.2f} where validation has {row['valid_loss']:.2f},"
                f" and had {best['valid_loss']:.2f} after epoch {best['epoch']}. "
                "Change images more (--flip --rotation 10 ...), hold weights small "
                "(--l2), or stop earlier (--stop patience:5).")

    def _outputs(self, x, y):
        """What a batch gives: classes, labels, the dead units of each ReLU layer."""
        said, tape = layers.forward(self.network, x, deterministic=True)
        dead = []
        for layer in tape.order:
            if getattr(layer, "nonlinearity", None) is rectify:
                value = tape.values[layer]
                axes = (0, *range(2, value.ndim))
                dead.append((layer.name, to_host((value == 0).all(axis=axes))))
        return to_host(said).argmax(axis=1), to_host(y), dead

    def _inside(self, row, found):
        said = np.concatenate([one for one, _, _ in found])
        for batches in zip(*(one for _, _, one in found)):
            dead = np.logical_and.reduce([one for _, one in batches]).mean()
            if dead > DEAD:
                self._say("dead", f"{dead:.0%} of the units of '{batches[0][0]}' are 0 "
                    f"for all of {len(said)} images: dead ReLUs, which learn nothing. "
                    "Lower the learning rate, or use leaky_rectify.")
                break
        if found[0][1].ndim == 1:
            self._classes(row, said, np.concatenate([y for _, y, _ in found]))

    def _classes(self, row, said, labels):
        K = len(self.classes)
        told, counts = (np.bincount(one, minlength=K) for one in (said, labels))
        share = counts[counts > 0] / counts.sum()
        guess = -(share * np.log(share)).sum()
        if told.max() == len(said) and np.count_nonzero(counts) > 1:
            if row["valid_loss"] > guess - GUESS:
                self._say("guess", f"it says '{self.classes[said[0]]}' of every image"
                    f", with the loss of a guess, {guess:.2f}: nothing has been learnt."
                    " Lower the learning rate, or see whether labels fit images.")
        elif row["epoch"] >= EPOCHS:
            never = [name for name, one, count in zip(self.classes, told, counts)
                     if count >= IMAGES and not one]
            if never:
                self._say("never", f"it never says {', '.join(never)}. Their mistakes "
                    "can count for more (--class-weights balanced).")
