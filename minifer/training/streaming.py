"""Images brought to where the training goes on, batch by batch, while it works."""

import functools
import os

import numpy as np

from ..device.arrays import to_host
from ..device.prefetch import prefetch
from ..device.staging import staging_slots
from ..errors import ShapeError

__all__ = ["Streamed", "augmenting_threads"]


class Streamed:
    """Batches on their way from the host, ahead of the device.

    Slots take turns: while the device reads one, threads bring the next batches into
    the others. On the CPU one thread is enough: training needs the cores itself.
    """

    def __init__(self, images, device, augment=None, part=None):
        self.images = images if augment is None else to_host(images)
        self.device, self.augment, self.part = device, augment, part
        self.ahead = 1 if augment is None or device == "cpu" else augmenting_threads()
        self.coming, self.next, self.process = None, None, os.getpid()

    def make_room(self, size):
        """Make slots for batches of up to ``size`` images."""
        self._forget()
        self.slots = staging_slots((size, *self.images.shape[1:]), self.images.dtype,
                                   self.device, self.ahead + 1)

    def begin(self, order, ends, epoch):
        self._forget()
        self.rows, self.epoch = np.split(order, ends[1:]), epoch
        if self.part is not None:
            self.rows = [rows[self.part.of(len(rows))] for rows in self.rows]
        self.count = len(ends) - 1

    def batch(self, number):
        """The images of a batch, for the length of a ``with`` block."""
        if self.next != number or self.process != os.getpid():  # a fork has no threads
            self._forget()
            self.process = os.getpid()
            bring = functools.partial(_bring, self.slots, self.images, self.rows,
                                      self.augment, self.epoch)
            self.coming = prefetch(bring, range(number, self.count), self.ahead,
                                   limit=self.ahead)
        # Taking one lets the next begin, in the slot that was read before this one.
        self.next = None  # an error ends the coming ones
        slot = next(self.coming)
        self.next = number + 1
        return slot.opened()

    def _forget(self):
        """Wait until no thread writes into a slot any more."""
        if self.coming is not None:
            self.coming.close()
        self.coming, self.next = None, None


def _bring(slots, images, batches, augment, epoch, number):
    """Load a batch into its slot, changed by ``augment`` if there is one."""
    slot, rows = slots[number % len(slots)], batches[number]
    if augment is None:
        slot.load(images, rows)
        return slot
    images = images[rows]  # (n, ...)
    changed = augment(images, rows, epoch)
    found = (getattr(changed, "dtype", type(changed).__name__),
             getattr(changed, "shape", ()))
    if found != (images.dtype, images.shape):
        raise ShapeError(
            f"augment: expected {images.dtype} {images.shape} back, as it was "
            f"given, got {found[0]} {found[1]}. Change pixels, and leave scaling "
            "to prepare.")
    slot.load(changed, np.arange(len(rows)))
    return slot


def augmenting_threads():
    """Threads that change images for a GPU: half of the cores, 1 to 4.

    More would only wait for each other, as Python runs one of them at a time.
    """
    return min(4, max(1, os.cpu_count() // 2))
