"""Batches of a data set, picked where the training goes on.

On a device the data set lies in its memory as it came, bytes as bytes, and a batch is
one launch: pick the images of the next numbers in a shuffled order, mirror some,
make their pixels the network's numbers. Where the data set does not fit, its batches
come over one ahead, while the device works on the one before. So do images that are
changed on the host, again in each epoch, by an augmentation.

>>> images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
>>> batches = Batches(images, np.array([0, 1, 2]), "cpu", batch_size=2)
>>> batches.begin([2, 0, 1])
>>> x, y = batches.batch(1)
>>> x.tolist(), y.tolist()
([[[4, 5], [6, 7]]], [1])
>>> Batches(np.zeros((9, 2, 2)), np.zeros(9, int), "cpu", 4, last="deal").sizes(9)
[3, 3, 3]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._types import Array
from ..cuda.gather import gather, gather_classes
from ..device.arrays import (as_array, device_of, memory_free, on_gpu, resolve,
                             to_device, to_host)
from ..device.recording import refuse
from ..errors import LabelError, SettingError, ShapeError
from ..ops.dropout import keep_mask
from ..random import Stream
from ..ranks import Part
from .streaming import Streamed

__all__ = ["Batches", "LAST_BATCH", "check_augment", "check_batch_size"]

#: What may be done with the images that are left over when an epoch's batches are full.
LAST_BATCH = ("deal", "keep", "drop")


class Batches:
    """A data set, handed out in batches.

    Parameters
    ----------
    images : array, shape (N, ...)
        On a GPU: uint8, float32 or float64. A memory-mapped file will do.
    labels : int array, shape (N,), or float array, shape (N, K)
        Class numbers, or soft targets.
    device : {'cpu', 'cuda', 'emu', 'auto'}
    batch_size : int >= 1
    prepare : function, optional
        Makes a batch of images the network's input. If it has an attribute
        ``scaling``, (scale, shift) or None, that is all it does: ``scale * images +
        shift`` is then computed while images are picked. Any other function is called
        after that.
    flip : minifer.random.Stream, optional
        Decides which images are mirrored, left to right (their last axis).
    limit : int, optional
        If the data set has more bytes than this, its images stay on the host and
        batches come over as they are needed. Default: half of the device's free
        memory.
    augment : function, optional
        ``augment(images, numbers, epoch)`` returns changed images of the same shape
        and dtype, such as a :class:`minifer.data.Augmentation`. It gets a copy of a
        batch of images on the host, their numbers in the data set and the number of
        the epoch, and should depend on nothing else. Other threads call it, ahead
        of time and maybe several at once.
    part : minifer.ranks.Part, optional
        If ranks share each batch: this one's part of it is handed out.
    mix : minifer.training.Mixup or CutMix, optional
        Called last, as ``mix(x, y, rng)``; it needs soft targets. Each rank then picks
        the whole batch, as its images' partners may be any others.
    mixing : minifer.random.Stream, optional
        Where ``mix``'s generators come from, one a batch. Default: of seed 0.

    Attributes
    ----------
    count : int
        Number of batches of this epoch; the last may be smaller.
    streams : bool
        Whether images are brought batch by batch, by threads: they are augmented,
        or do not fit on the device.

    Raises
    ------
    ShapeError, LabelError, SettingError
        If images, labels or settings do not fit.
    """

    def __init__(self, images: Array, labels: Array, device: str, batch_size: int,
                 prepare: Callable[..., Any] | None = None, flip: Stream | None = None,
                 limit: int | None = None, augment: Callable[..., Any] | None = None,
                 last: str = "keep", part: Part | None = None,
                 mix: Callable[..., Any] | None = None, mixing: Stream | None = None):
        self.device, self.prepare, self.flip = resolve(device), prepare, flip
        check_augment(augment, flip)
        if last not in LAST_BATCH:
            raise SettingError(f"last batch: expected {', '.join(LAST_BATCH)}, got "
                               f"{last!r}.")
        images, labels = as_array(images), as_array(labels)
        _check(images, labels, flip, self.device)
        self._size, self._last = check_batch_size(batch_size), last
        self._part, self._mix = part, mix
        self._mixing = mixing or Stream(0, "mix")
        self._images, self._labels = images, to_device(
            _as_targets(labels, self.device), self.device)
        self._scaling = getattr(prepare, "scaling", None)
        self.count, self.used, self._prepared = 0, 0, None
        self._order: Any = None
        self.streams = augment is not None or self._must_stream(limit)
        if self.streams:
            self._stream = Streamed(images, self.device, augment,
                                    part if mix is None else None)
        else:
            self._images = to_device(images, self.device)
        # Memory for as many images as a batch can have, however large it may be.
        self._room = 0
        self._make_room(min(self._size, len(labels)))

    def _make_room(self, size):
        if size <= self._room:
            return
        self._room, self._prepared = size, None
        if self.streams:
            self._stream.make_room(size)
        if self.device != "cpu":
            self._x = self._place(np.float32 if self._scaling else self._images.dtype,
                                  self._images.shape)
            self._y = self._place(self._labels.dtype, self._labels.shape)

    def _must_stream(self, limit):
        if self.device == "cpu":
            return False
        limit = memory_free(self.device) / 2 if limit is None else limit
        return not on_gpu(self._images) and (
            self._images.nbytes + self._labels.nbytes > limit)

    def _place(self, dtype, shape):
        """Memory for a batch."""
        return np.empty_like(self._labels, dtype, shape=(self._room, *shape[1:]))

    def __len__(self):
        """Number of images."""
        return len(self._labels)

    def sizes(self, images: int) -> list[int]:
        """The sizes of an epoch's batches, for so many images.

        Raises
        ------
        SettingError
            If images are left out that fill no batch, and none would be left.
        """
        size = self._size
        if self._last == "drop":
            if images < size:
                raise SettingError(
                    f"last batch: expected {size} images or more, the size of a batch, "
                    f"with 'drop', got {images}. Make batches smaller, or use 'deal'.")
            return [size] * (images // size)
        count = -(-images // size)
        if self._last == "deal":
            ends = [images * place // count for place in range(count + 1)]
        else:
            ends = [min(size * place, images) for place in range(count + 1)]
        return [end - first for first, end in zip(ends, ends[1:])]

    def in_order(self) -> Iterator[tuple[Array, Array]]:
        """Begin an epoch in the order of the data, and go through its batches."""
        self.begin(np.arange(len(self)))
        for number in range(self.count):
            yield self.batch(number)

    def begin(self, order: Array, epoch: int = 0) -> None:
        """Begin an epoch.

        Parameters
        ----------
        order : int array, shape (M,)
            Numbers of images, 0 … N-1: a permutation, or part of one.
        epoch : int >= 0, default 0
            For ``augment``.

        Notes
        -----
        With ``flip``, image i of the order is mirrored where the stream's
        ``keep_mask((M,), 0.5)`` is true; the stream goes on by one step.
        """
        order = _checked_order(order, len(self._images))
        self._order, self._epoch = to_device(order, self.device), epoch
        self._mirrored = None if self.flip is None else keep_mask(
            self.flip, order.shape, 0.5, like=self._order)
        sizes = self.sizes(len(order))
        self.count, self.used = len(sizes), sum(sizes)
        self._ends = np.cumsum([0, *sizes]).tolist()
        self._make_room(max(sizes))
        if self.streams:
            self._stream.begin(order, self._ends, epoch)

    def batch(self, number: int) -> tuple[Array, Array]:
        """A batch of this epoch; in any order, but one after the other is faster.

        Parameters
        ----------
        number : int
            0 … ``count - 1``.

        Returns
        -------
        x : array, shape (n, ...), on the device
            ``prepare(images[order[...]])``.
        y : array, shape (n,) or (n, K), on the device
            On a GPU int32 or float32. There both lie where the last batch lay, which
            is gone.

        Raises
        ------
        SettingError
            If there is no such batch.
        CaptureError
            While a graph is captured, which would pick this batch every time.
        """
        if not 0 <= number < self.count:
            raise SettingError(
                f"batches: expected a batch from 0 to {self.count - 1}, got {number}."
                if self.count else "batches: expected begin(order) first.")
        first, end = self._ends[number:number + 2]
        here = slice(0, end - first)
        if self._part is not None:
            here = self._part.take(end - first)
        if self._mix is None:
            return self._pick(number, first + here.start, here.stop - here.start)
        rng = self._mixing.generator(self._epoch * self.count + number)
        x, y = self._mix(*self._pick(number, first, end - first), rng)
        return x[here], y[here]

    def _pick(self, number, first, n):
        pick = self._pick_here if self.device == "cpu" else self._pick_there
        return pick(number, first, n)

    def _pick_here(self, number, first, n):
        chosen = self._order[first:first + n]
        if self.streams:
            with self._stream.batch(number) as images:
                x = images[:n].copy()
        else:
            x = self._images[chosen]
        if self._mirrored is not None:
            mirrored = self._mirrored[first:first + n]
            x[mirrored] = x[mirrored][..., ::-1]
        return x if self.prepare is None else self.prepare(x), self._labels[chosen]

    def _pick_there(self, number, first, n):
        refuse("a batch of images")
        x, y = self._x[:n], self._y[:n]
        if self.streams:
            with self._stream.batch(number) as images:
                gather(images, None, x, first, self._mirrored, self._scaling)
        else:
            gather(self._images, self._order, x, first, self._mirrored, self._scaling)
        pick = gather_classes if y.ndim == 1 else gather
        pick(self._labels, self._order, y, first)
        if self.prepare is not None and self._scaling is None:
            x = self._kept(self.prepare(x), n)
        return x, y

    def _kept(self, prepared, n):
        """What a function made of a batch, in memory that is kept."""
        if device_of(prepared) != self.device or len(prepared) != n:
            raise ShapeError(
                f"batches: expected prepare to return {n} images on '{self.device}', "
                f"got {np.shape(prepared)} on '{device_of(prepared)}'. Use functions "
                "of NumPy that work on the arrays of any device.")
        if self._prepared is None:
            self._prepared = self._place(prepared.dtype, prepared.shape)
        x = self._prepared[:n]
        x[...] = prepared
        return x


def check_batch_size(size):
    """Return ``size`` as an int, or raise SettingError."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise SettingError(f"batch size: expected a whole number >= 1, got {size!r}.")
    return int(size)


def check_augment(augment, flip):
    """Return ``augment``, or raise SettingError.

    Parameters
    ----------
    augment : function or None
    flip : minifer.random.Stream or None
        The stream that decides, where images are mirrored beside ``augment``.
    """
    if augment is not None and not callable(augment):
        raise SettingError("augment: expected a function of images, numbers and epoch, "
                           f"or None, got {augment!r}.")
    if flip is not None and getattr(augment, "flip", False):
        raise SettingError("flip: expected once, got it here and in augment, so that "
                           "images would be mirrored twice. Leave one of them out.")
    return augment


def _check(images, labels, flip, device):
    if images.ndim < 2 or 0 in images.shape or images.shape[:1] != labels.shape[:1]:
        raise ShapeError(
            "batches: expected images (N, ...), at least one, and as many labels, got "
            f"images {images.shape} and labels {labels.shape}.")
    if flip is not None and images.ndim < 3:
        raise ShapeError("batches: expected images with rows and columns to mirror, "
                         f"got shape {images.shape}.")
    if device != "cpu" and images.dtype not in (np.uint8, np.float32, np.float64):
        raise SettingError(
            f"batches: expected images of uint8, float32 or float64 on '{device}', got "
            f"{images.dtype}. Convert them with astype.")


def _as_targets(labels, device):
    """Labels as a device's kernels take them; on the CPU as they are."""
    soft = labels.dtype.kind == "f" and labels.ndim == 2 and labels.shape[1]
    if not soft and (labels.dtype.kind not in "iub" or labels.ndim != 1):
        raise LabelError(
            "batches: expected whole numbers (N,) or soft labels (N, K), got "
            f"{labels.dtype} {labels.shape}.")
    if device == "cpu":
        return labels
    if not soft and not (-2**31 <= int(labels.min()) <= int(labels.max()) < 2**31):
        raise LabelError("batches: expected class numbers of 32 bits, got "
                         f"{int(labels.min())} to {int(labels.max())}.")
    return labels.astype(np.float32 if soft else np.int32, copy=False)


def _checked_order(order, N):
    order = np.array(to_host(order))
    if order.ndim != 1 or order.dtype.kind not in "iu" or not order.size:
        raise ShapeError("batches: expected an order (M,) of whole numbers, at least "
                         f"one, got {order.dtype} {order.shape}.")
    if order.min() < 0 or order.max() >= N:
        raise ShapeError(f"batches: expected numbers of images, 0 to {N - 1}, got "
                         f"{order.min()} to {order.max()}.")
    return order.astype(np.int64, copy=False)
