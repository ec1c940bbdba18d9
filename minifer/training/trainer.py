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

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import layers, updates
from .._types import Array, FilePath
from ..device.threads import default_threads
from ..errors import NotFiniteError, SettingError, check_seed
from ..expressions import Expression
from ..progress import Progress
from ..random import Stream
from ..ranks import Part, Ranks, connect
from ..ranks.base import on_all
from ..weights.model_file import Model, save_model
from . import places, stopping, together
from .advice import Advice
from .averaging import average_of, renew_batch_norm
from .batches import LAST_BATCH, Batches, check_augment, check_batch_size
from .checkpoint import save_checkpoint
from .checks import check_rate, check_samples
from .fingerprint import describe_data, describe_trainer
from .interrupts import TrainingInterrupted, interrupt_flag, where
from .mixing import check_smoothing, soft_targets
from .planned import Functions
from .result import Result, is_better, line_of
from .schedules import Schedule, checked, constant, needs_end
from .surroundings import say_differences, surroundings, threads_of

__all__ = ["Trainer", "Result", "TrainingInterrupted"]


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
        The most images in a batch.
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
    last_batch : {'deal', 'keep', 'drop'}, optional
        What becomes of an epoch's last batch where it would be smaller than the others:
        its gradient would be noisy and count as much as theirs, and batch norm would
        learn from a few images. 'deal': its images are dealt out, so that the sizes
        of all batches differ by one at most (513 images in batches of up to 64 are 9
        batches of 57). 'keep': it stays. 'drop': its images, others in each epoch, are
        left out. Default: 'deal', and for a run that is resumed what it began with;
        before there was a choice that was 'keep'.
    label_smoothing : float in [0, 1), default 0
        Share of each training target that is dealt out to all classes; 0.1 is usual.
    mix : Mixup or CutMix, optional
        Train on mixtures: see :mod:`minifer.training.mixing`. With it, or with label
        smoothing, ``train_loss`` is that of the softened targets.
    average : float in [0, 1), optional
        Decay of a running average of the network's values (0.999), which is validated,
        saved and held in the end: :class:`minifer.training.MovingAverage`.
    swa : float in (0, 1], optional
        Instead, an equal mean over this share of the epochs, the last ones:
        :class:`minifer.training.EqualAverage`. ``epochs`` must be given.
    max_norm : float > 0, optional
        Gradients are scaled down together to this norm (Pascanu et al. 2013,
        arXiv:1211.5063).
    ranks : {'alone', 'mpi', 'nccl'}, default 'alone'
        Processes that share each batch; see :func:`minifer.ranks.connect`. All call
        the same methods with the same arguments. The batch size is that of all
        together, and so a run is the same on any number of ranks, but for rounding.
        Rank 0 alone writes files and prints.

    Notes
    -----
    Sums of products round otherwise where more or fewer threads share them. So a run
    that is resumed works with as many threads as it began with. Where it goes on with
    another NumPy, another processor or another device, one line says so.
    """

    def __init__(self, network: layers.Layer,
                 update: Callable[..., updates.Update] | None = None,
                 learning_rate: float = 0.01, batch_size: int = 64, seed: int = 0,
                 schedule: Schedule = constant, class_weights: Array | None = None,
                 penalty: Expression | None = None,
                 prepare: Callable[..., Any] | None = None, device: str = "cpu",
                 precision: str = "fp32", flip: bool = False,
                 augment: Callable[..., Any] | None = None,
                 last_batch: str | None = None, ranks: str | Ranks = "alone",
                 label_smoothing: float = 0.0, mix: Callable[..., Any] | None = None,
                 average: float | None = None, max_norm: float | None = None,
                 swa: float | None = None):
        if last_batch not in (None, *LAST_BATCH):
            raise SettingError(f"last batch: expected {', '.join(LAST_BATCH)}, got "
                               f"{last_batch!r}.")
        update = update or functools.partial(updates.nesterov_momentum, momentum=0.9)
        self.network, self.batch_size = network, check_batch_size(batch_size)
        self.learning_rate, self.schedule = check_rate(learning_rate), schedule
        self.last_batch, self.precision = last_batch, precision
        self.seed, self.prepare = check_seed(seed), prepare
        self.order = Stream(self.seed, "shuffle")
        self.flip = Stream(self.seed, "augment") if flip else None
        self.augment = check_augment(augment, self.flip)
        self.ranks = connect(ranks)
        self.part = Part(self.ranks) if self.ranks.size > 1 else None
        self.label_smoothing = check_smoothing(label_smoothing)
        self.mix, self.mixing = mix, Stream(self.seed, "mix")
        self.device = layers.move_to(network, device)
        layers.seed_noise(network, self.seed)
        self.functions = Functions(network, update, self.learning_rate, class_weights,
                                   penalty)
        self.update = self.functions.update
        self.update.max_total_norm = None if max_norm is None else check_rate(
            max_norm, "max norm")
        self.average = average_of(network, average, swa)
        self._stateful = self.average.beside(self.update)
        self._fitted = False
        self._plan(self.batch_size)
        self._settings = describe_trainer(self, class_weights, penalty)

    def _plan(self, images, threads=None):
        """Make the functions, for so many images at once and so many threads.

        They are planned for full batches from the start, or for all images where those
        are fewer: a run that is resumed at a small batch then adds up in the same
        order as one that never stopped.
        """
        self.functions.plan(
            self.part, batch=-(-min(self.batch_size, images) // self.ranks.size),
            precision=self.precision,
            threads=threads or self.ranks.threads or default_threads())

    def _plan_once(self, images):
        """Before the first use, plan for no more images than there are."""
        if not self._fitted:
            self._plan(images)
        self._fitted = True

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
            If the loss is not finite; it names the layer. The last checkpoint stands.
        OutputError
            If the folder cannot be written, or another run is at work in it.
        """
        classes = self.network.output_shape[1]
        check_samples(images, labels, classes)
        if valid is not None:
            check_samples(*valid, classes, like=images)
        self.average.begin(epochs)
        ends = stopping.first_of(epochs, stop)
        self._epochs, self._model = epochs, model
        self._progress = (progress if progress and self.ranks.writes
                          else Progress(enabled=False))
        names = model.classes if model else [str(k) for k in range(classes)]
        self._run_settings = dict(
            self._settings, **describe_data(images, labels, valid),
            last_batch=self.last_batch,
            schedule_epochs=epochs if needs_end(self.schedule, self.average) else None)
        with (self.ranks.together(), layers.sharing(self.network, self.part),
              together.locked(self.ranks, folder) as folder,
              interrupt_flag() as interrupted):
            place, threads = self._start(folder, resume)
            self._fitted = True
            self._plan(max(len(images), len(valid[0]) if valid else 0), threads)
            self._seen = functools.partial(self._batches, images, labels)
            if self.label_smoothing or self.mix:
                labels = soft_targets(labels, classes, self.label_smoothing)
            batches = self._batches(
                images, labels, self.flip, augment=self.augment, part=self.part,
                mix=self.mix, mixing=self.mixing, last=self._run_settings["last_batch"])
            batches.sizes(len(batches))  # refuses to drop all
            valid = valid and self._mine(*valid)
            self._advice = Advice(self.network, names, self._progress, self.ranks,
                                  valid[2] if valid else 0)
            with together.in_common(self.functions.train, self.average):
                while not self.ranks.lead(lambda: ends(place["history"])):
                    self._epoch(batches, valid, place, folder, interrupted)
            place["finished"] = True
            self._save(folder, place)
        self.average.take_place()
        return Result(place["history"], place["best"]["epoch"],
                      {"last_batch": self._run_settings["last_batch"],
                       **self._surroundings()})

    def predict(self, images: Array) -> np.ndarray:
        """Probabilities (N, K) of the classes, in batches."""
        with self.ranks.together():
            batches, *_ = self._mine(images, np.zeros(len(images), int))
            self._plan_once(len(images))
            found = [self.functions.predict(x) for x, _ in batches.in_order()]
            return np.concatenate(sum(self.ranks.gather(found), []))

    def evaluate(self, images: Array, labels: Array) -> tuple[float, float]:
        """Mean loss and accuracy (a fraction) on given data."""
        check_samples(images, labels, self.network.output_shape[1])
        self._plan_once(len(images))
        with self.ranks.together():
            return self._evaluate(self._mine(images, labels))

    def _evaluate(self, mine, see=None):
        (batches, n, _), sums = mine, [0.0, 0.0]
        for x, y in batches.in_order():
            sums = [s + one.astype(np.float64)
                    for s, one in zip(sums, self.functions.test.queue(x, y))]
            if see:
                see(x, y)
        loss, hits = self.ranks.sum(np.array([float(s) for s in sums])).tolist()
        return loss / n, hits / n

    def _mine(self, images, labels):
        """Batches of this rank's part of data; how many are all; which is its first."""
        first, end = together.judged_here(self.ranks, self.network, len(images))
        none = first == end and self.part is not None
        return together.NoBatches() if none else self._batches(
            images[first:end], labels[first:end]), len(images), first

    def _batches(self, images, labels, flip=None, **options):
        return Batches(images, labels, self.device, self.batch_size, self.prepare, flip,
                       **options)

    def _surroundings(self):
        return surroundings(self.network, self.device, self.precision,
                            self.functions.planned["threads"], self.ranks.size)

    def _start(self, folder, resume):
        """Where to begin, for all ranks, which are seen to be alike; threads."""
        together.agree(self.ranks, {
            "epochs": self._epochs, "resume": resume, "device": self.device,
            **self._run_settings}, self._progress)
        place, self._run_settings["last_batch"], then = self.ranks.lead(
            lambda: places.begin(folder, resume, self.network, self._stateful,
                                 self._run_settings))
        threads = None if then is None else self._go_on(place, then)
        together.hand_out(self.ranks, self.network, self._stateful)
        return place, threads

    def _go_on(self, place, then):
        """Say where a run goes on; with how many threads, if it has as many ranks."""
        threads = threads_of(then) if then.get("ranks", 1) == self.ranks.size else None
        self._progress.line(f"continuing after {where(place)}" + (
            f" with {threads} threads, as it began"
            if threads and threads != self.functions.planned["threads"] else ""))
        self._plan(self.batch_size, threads)
        if self.ranks.writes:
            say_differences(then, self._surroundings(), self._progress)
        return threads

    def _epoch(self, batches, valid, place, folder, interrupted):
        """One pass over the training samples, one over the validation samples."""
        started = time.perf_counter() - place["seconds"]
        epoch, loss_sum = place["epoch"], place["loss_sum"]
        if self.flip:
            self.flip.step = epoch
        batches.begin(self.order.generator(epoch).permutation(len(batches)), epoch)
        total = f"/{self._epochs}" if self._epochs else ""
        with self._progress.bar(batches.count, f"epoch {epoch + 1}{total}") as bar:
            bar.update(place["batch"])
            for number in range(place["batch"], batches.count):
                self.update.learning_rate = checked(
                    self.schedule, self.learning_rate, epoch * batches.count + number,
                    epoch, self._epochs)
                loss, stop = self._step(*batches.batch(number), bar, interrupted)
                loss_sum = loss_sum + loss
                place["batch"] = number + 1
                if stop and number + 1 < batches.count:
                    self.functions.train.check()
                    place["loss_sum"] = float(loss_sum)
                    self._stop(folder, place, time.perf_counter() - started)
        place["loss_sum"] = float(loss_sum)
        self.functions.train.check(parameters=True)
        together.agree_on_weights(self.ranks, self.network, self.functions.train)
        row = {"epoch": epoch + 1, "train_loss": place["loss_sum"] / batches.used}
        mean = self.average.end_epoch(epoch + 1, self._epochs)
        with self.average.in_place(), layers.sharing(self.network, None):
            if mean:
                renew_batch_norm(self.network, self._seen(), epoch)
            row["valid_loss"], row["valid_accuracy"] = (
                self._evaluate(valid, functools.partial(self._advice.see, epoch + 1))
                if valid is not None else (None, None))
        row["seconds"] = time.perf_counter() - started
        row["learning_rate"] = self.update.learning_rate
        self._finish_epoch(self.ranks.hand_out(row), place, folder)
        self._advice.look(place["history"])
        if self.ranks.any(interrupted.is_set()):
            self._stop(folder, place, 0.0)

    def _step(self, x, y, bar, interrupted):
        """Train on a batch: its losses in all, on a GPU not waited for; if to stop."""
        if self.part is not None:
            self.part.flag = interrupted.is_set()
        loss = self.functions.train.queue(x, y)
        self.average.step()
        bar.update(1)
        if self.device == "cpu":
            loss = float(loss)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        else:
            loss = loss.astype(np.float64)
        if self.part is not None:
            return loss * self.part.total, self.part.flag
        return loss * len(x), interrupted.is_set()

    def _finish_epoch(self, row, place, folder):
        """Note the epoch; save the model if it is the best; save the checkpoint."""
        loss = row["train_loss"] if row["valid_loss"] is None else row["valid_loss"]
        if not np.isfinite(loss):
            raise NotFiniteError(
                f"training: the validation loss after epoch {row['epoch']} is {loss}. "
                "Check the validation images for NaN, or lower the learning rate.")
        place["history"].append(row)
        place.update(epoch=row["epoch"], batch=0, loss_sum=0.0, seconds=0.0)
        if is_better(row, place["best"]):
            place["best"] = row
            if folder is not None:
                with self.average.in_place():
                    self.ranks.lead(lambda: self._model and save_model(
                        os.path.join(folder, places.MODEL), self._model))
        self._save(folder, place)
        self._progress.line(line_of(row, self._epochs))

    def _save(self, folder, place):
        if folder is not None:
            self.ranks.lead(lambda: save_checkpoint(
                os.path.join(folder, places.CHECKPOINT), self.network, self._stateful,
                place, self._run_settings, self._surroundings()))

    def _stop(self, folder, place, seconds):
        place["seconds"] = seconds
        self._save(folder, place)
        kept = f"saved in {folder}; --resume continues" if folder else "nothing saved"
        raise on_all(TrainingInterrupted(f"stopped after {where(place)}: {kept}"))
