"""The training loop.

>>> import numpy as np
>>> from minifer import layers, nonlinearities
>>> x, y = np.eye(4, dtype="float32"), np.arange(4)
>>> net = layers.DenseLayer(layers.InputLayer((None, 4)), 4,
...                         nonlinearity=nonlinearities.softmax)
>>> result = Trainer(net, learning_rate=1.0, batch_size=2).fit(x, y, epochs=30)
>>> result.history[-1]["train_loss"] < 0.1
True
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import layers, objectives, updates
from .._types import Array, FilePath
from ..compiled.functions import function
from ..errors import NotFiniteError, SettingError, ShapeError, check_seed
from ..expressions import Expression, Variable
from ..files import digest, lock_folder, remove_leftovers
from ..progress import Progress
from ..random import Stream
from ..weights import architecture
from ..weights.model_file import Model, save_model
from . import stopping
from .batches import Batches, check_augment
from .checkpoint import load_checkpoint, peek, save_checkpoint
from .fingerprint import describe_function, describe_penalty, describe_update
from .schedules import Schedule, constant, cosine, quarters

__all__ = ["Trainer", "Result", "TrainingInterrupted"]

CHECKPOINT, MODEL = "checkpoint.npz", "model.npz"


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; everything up to the last batch has been saved."""


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
    """

    history: list
    best_epoch: int


class Trainer:
    """Mini-batch training with checkpoints.

    Parameters
    ----------
    network : Layer
        The output layer; it ends in softmax.
    update : function, default updates.nesterov_momentum with momentum 0.9
        Called as ``update(loss, params, learning_rate=...)``.
    learning_rate : float, default 0.01
    batch_size : int, default 64
        The last batch of an epoch may be smaller.
    seed : int, default 0
        For the order of the samples and the dropout masks.
    schedule : function, default schedules.constant
    class_weights : array (K,), optional
    penalty : expression, optional
        Added to the loss: ``1e-4 * regularize_network_params(network, l2)``.
    prepare : function, optional
        Turns a batch of images into the network's input (scaling, say).
    device : {'cpu', 'cuda', 'emu', 'auto'}, default 'cpu'
        Where to train; the network is moved there, and so are the data, if they fit.
    precision : {'fp32', 'tf32'}
        Precision of a GPU's products: see :func:`minifer.function`.
    flip : bool, default False
        Mirror each training image left to right, or not, at random.
    augment : function, optional
        Changes training images, such as a :class:`minifer.data.Augmentation`:
        ``augment(images, numbers, epoch)``; see :class:`minifer.training.Batches`.
    """

    def __init__(self, network: layers.Layer,
                 update: Callable[..., updates.Update] | None = None,
                 learning_rate: float = 0.01, batch_size: int = 64, seed: int = 0,
                 schedule: Schedule = constant, class_weights: Array | None = None,
                 penalty: Expression | None = None,
                 prepare: Callable[..., Any] | None = None, device: str = "cpu",
                 precision: str = "fp32", flip: bool = False,
                 augment: Callable[..., Any] | None = None):
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise SettingError(
                f"batch size: expected a whole number >= 1, got {batch_size!r}.")
        if not 0 < learning_rate < float("inf"):
            raise SettingError(
                f"learning rate: expected a number > 0, got {learning_rate!r}.")
        update = update or functools.partial(updates.nesterov_momentum, momentum=0.9)
        self.network, self.batch_size = network, int(batch_size)
        self.learning_rate, self.schedule = learning_rate, schedule
        self.seed, self.prepare = check_seed(seed), prepare
        self.order = Stream(self.seed, "shuffle")
        self.flip = Stream(self.seed, "augment") if flip else None
        self.augment = check_augment(augment, self.flip)
        self.device = layers.move_to(network, device)
        layers.seed_noise(network, self.seed)
        self._build(update, class_weights, penalty, precision)

    def _build(self, update, class_weights, penalty, precision):
        """Make the training and the validation function."""
        target = Variable("targets")
        prediction = layers.get_output(self.network)
        loss = objectives.categorical_crossentropy(
            prediction, target, class_weights).mean()
        if penalty is not None:
            loss = loss + penalty
        params = layers.get_all_params(self.network, trainable=True)
        self.update = update(loss, params, learning_rate=self.learning_rate)

        test_prediction = layers.get_output(self.network, deterministic=True)
        test_loss = objectives.categorical_crossentropy(
            test_prediction, target, class_weights).sum()
        test_hits = objectives.categorical_accuracy(test_prediction, target).sum()
        source = next(one for one in layers.get_all_layers(self.network)
                      if isinstance(one, layers.InputLayer))
        inputs = [source.input_var, target]
        # Planned for full batches from the start: a run that is resumed at a small
        # one then adds up in the same order as one that never stopped.
        planned = {"batch": self.batch_size, "precision": precision}
        self.train_fn = function(inputs, loss, self.update, **planned)
        self.test_fn = function(inputs, [test_loss, test_hits], **planned)
        self.predict_fn = function([source.input_var], test_prediction, **planned)
        self._settings = {
            "flip": self.flip is not None,
            "augment": None if self.augment is None
            else describe_function(self.augment),
            "batch_size": self.batch_size, "seed": self.seed,
            "learning_rate": self.learning_rate,
            "update": describe_update(self.update),
            "penalty": None if penalty is None else describe_penalty(penalty),
            "schedule": describe_function(self.schedule),
            "class_weights": None if class_weights is None
            else np.asarray(class_weights, float).tolist(),
            "network": digest(repr(architecture.to_dict(self.network)).encode())}

    def fit(self, images: Array, labels: Array,
            valid: tuple[Array, Array] | None = None, epochs: int | None = None,
            stop: stopping.Rule | None = None, folder: FilePath | None = None,
            resume: bool = False, model: Model | None = None,
            progress: Progress | None = None) -> Result:
        """Train.

        Parameters
        ----------
        images : array, shape (N, ...)
        labels : int array (N,), or soft targets (N, K)
        valid : (images, labels), optional
            For the loss and accuracy after each epoch, and for the best epoch.
        epochs : int, optional
            Train for so many.
        stop : function, optional
            A rule of :mod:`minifer.training.stopping`; with ``epochs`` the first of
            both counts. With neither, training ends when the losses of two
            consecutive epochs differ by no more than 0.0001.
        folder : str, optional
            Where to keep ``checkpoint.npz`` (after each epoch) and
            ``model.npz`` (the best epoch so far).
        resume : bool, default False
            Continue from the folder's checkpoint if there is one.
        model : minifer.weights.Model, optional
            What to save: the network that is trained, or one that shares its
            parameters; classes, preprocessing, notes.
        progress : Progress, optional

        Returns
        -------
        Result

        Raises
        ------
        TrainingInterrupted
            On Ctrl-C, after the batch at hand has been finished and saved.
        NotFiniteError
            If the loss is not finite; it names the layer. The checkpoint of the
            epoch before stands.
        OutputError
            If the folder cannot be written, or another run is at work in it.
        """
        self._check(images, labels)
        if valid is not None:
            self._check(*valid)
        rules = [stopping.after(epochs)] if epochs is not None else []
        rules += [stop] if stop else []
        rules = rules or [stopping.settled()]
        self._epochs, self._model = epochs, model
        self._progress = progress or Progress(enabled=False)
        self._run_settings = dict(
            self._settings, samples=len(images), data=digest(
                np.ascontiguousarray(images), np.ascontiguousarray(labels)),
            validation=None if valid is None else digest(
                *map(np.ascontiguousarray, valid)),
            # Some schedules depend on where the end is.
            schedule_epochs=epochs if self.schedule in (quarters, cosine) else None)
        batches = self._batches(images, labels, self.flip, self.augment)
        valid = valid and self._batches(*valid)
        alone = contextlib.nullcontext() if folder is None else lock_folder(folder)
        with alone, _interrupt_flag() as interrupted:
            place = self._start(folder, resume)
            while not (place["history"] and any(r(place["history"]) for r in rules)):
                self._epoch(batches, valid, place, folder, interrupted)
            place["finished"] = True
            self._save(folder, place)
        return Result(place["history"], place["best"]["epoch"])

    def predict(self, images: Array) -> np.ndarray:
        """Probabilities (N, K) of the classes, in batches."""
        batches = self._batches(images, np.zeros(len(images), int))
        return np.concatenate([self.predict_fn(x) for x, _ in batches.in_order()])

    def evaluate(self, images: Array, labels: Array) -> tuple[float, float]:
        """Mean loss and accuracy (a fraction) on given data."""
        return self._evaluate(self._batches(images, labels))

    def _evaluate(self, batches):
        sums = [0.0, 0.0]
        for x, y in batches.in_order():
            sums = [s + one.astype(np.float64)
                    for s, one in zip(sums, self.test_fn.queue(x, y))]
        return tuple(float(s) / len(batches) for s in sums)

    def _batches(self, images, labels, flip=None, augment=None):
        return Batches(images, labels, self.device, self.batch_size, self.prepare, flip,
                    augment=augment)

    @staticmethod
    def _check(images, labels):
        if len(images) != len(labels) or not len(images):
            raise ShapeError(
                f"fit: expected as many labels as images, at least one, got "
                f"{len(images)} images and {len(labels)} labels.")

    def _start(self, folder, resume):
        """Where to begin: at the beginning, or where a checkpoint stands."""
        place = {"epoch": 0, "batch": 0, "loss_sum": 0.0, "seconds": 0.0,
                 "history": [], "best": None, "finished": False}
        if folder is None:
            return place
        path = os.path.join(folder, CHECKPOINT)
        for name in (CHECKPOINT, MODEL):
            remove_leftovers(os.path.join(folder, name))
        if not os.path.exists(path):
            return place
        if resume:
            place = load_checkpoint(path, self.network, self.update,
                                    self._run_settings)
            place["finished"] = False
            self._progress.line(f"continuing after {_where(place)}")
        elif not peek(path).get("finished", False):
            raise SettingError(
                f"{path}: an interrupted run stands here ({_where(peek(path))}). "
                "Continue it with --resume, or choose another folder.")
        return place

    def _epoch(self, batches, valid, place, folder, interrupted):
        """One pass over the training samples, one over the validation samples."""
        started = time.perf_counter() - place["seconds"]
        epoch, n, loss_sum = place["epoch"], len(batches), place["loss_sum"]
        if self.flip:
            self.flip.step = epoch
        batches.begin(self.order.generator(epoch).permutation(n), epoch)
        total = f"/{self._epochs}" if self._epochs else ""
        with self._progress.bar(batches.count, f"epoch {epoch + 1}{total}") as bar:
            bar.update(place["batch"])
            for number in range(place["batch"], batches.count):
                self.update.learning_rate = self.schedule(
                    self.learning_rate, epoch * batches.count + number, epoch,
                    self._epochs)
                loss_sum = loss_sum + self._step(*batches.batch(number), bar)
                place["batch"] = number + 1
                if interrupted.is_set() and number + 1 < batches.count:
                    self.train_fn.check()
                    place["loss_sum"] = float(loss_sum)
                    self._stop(folder, place, time.perf_counter() - started)
        place["loss_sum"] = float(loss_sum)
        self.train_fn.check(parameters=True)
        row = {"epoch": epoch + 1, "train_loss": place["loss_sum"] / n}
        row["valid_loss"], row["valid_accuracy"] = (
            self._evaluate(valid) if valid is not None else (None, None))
        row["seconds"] = time.perf_counter() - started
        row["learning_rate"] = self.update.learning_rate
        self._finish_epoch(row, place, folder)
        if interrupted.is_set():
            self._stop(folder, place, 0.0)

    def _step(self, x, y, bar):
        """Train on a batch; the sum of its losses, which on a GPU is not waited for."""
        loss = self.train_fn.queue(x, y)
        bar.update(1)
        if self.device == "cpu":
            loss = float(loss)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        else:
            loss = loss.astype(np.float64)
        return loss * len(x)

    def _finish_epoch(self, row, place, folder):
        """Note the epoch; save the model if it is the best; save the checkpoint."""
        loss = row["train_loss"] if row["valid_loss"] is None else row["valid_loss"]
        if not np.isfinite(loss):
            raise NotFiniteError(
                f"training: the validation loss after epoch {row['epoch']} is {loss}. "
                "Check the validation images for NaN, or lower the learning rate.")
        place["history"].append(row)
        place.update(epoch=row["epoch"], batch=0, loss_sum=0.0, seconds=0.0)
        best = place["best"]
        if best is None or row["valid_loss"] is None or (
                (row["valid_accuracy"], -row["valid_loss"])
                > (best["valid_accuracy"], -best["valid_loss"])):
            place["best"] = row
            if folder is not None and self._model is not None:
                save_model(os.path.join(folder, MODEL), self._model)
        self._save(folder, place)
        total = f"/{self._epochs}" if self._epochs else ""
        text = f"epoch {row['epoch']}{total}  train loss {row['train_loss']:.4f}"
        if row["valid_loss"] is not None:
            text += (f"  valid loss {row['valid_loss']:.4f}  "
                     f"accuracy {100 * row['valid_accuracy']:.1f} %")
        self._progress.line(f"{text}  {row['seconds']:.1f} s")

    def _save(self, folder, place):
        if folder is not None:
            save_checkpoint(os.path.join(folder, CHECKPOINT), self.network,
                            self.update, place, self._run_settings)

    def _stop(self, folder, place, seconds):
        place["seconds"] = seconds
        self._save(folder, place)
        kept = f"saved in {folder}; --resume continues" if folder else "nothing saved"
        raise TrainingInterrupted(f"stopped after {_where(place)}: {kept}")


def _where(place):
    """Where a run stands, in words."""
    text = f"epoch {place.get('epoch', 0)}"
    if place.get("batch"):
        text += f" and {place['batch']} batches"
    return text


@contextlib.contextmanager
def _interrupt_flag():
    """An event that the first Ctrl-C sets; the second interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # only the main thread may handle signals
        return

    def note(signum, frame):
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
