"""Programs: the calls a thread makes for a group of images, noted once.

To compute where each view of each buffer lies takes Python longer than some of
the array operations themselves, and while it does so no other thread can run.
It is the same for every batch, so it is done once: a program is the list of
calls, each on arrays that stay where they are.

>>> do, x = Program(), np.zeros(3)
>>> do(np.add, x, 1.0, out=x)
>>> do.run(), do.run(), x
(None, None, array([2., 2., 2.]))
"""

import math

import numpy as np

from ...device.threads import Workers

__all__ = ["ALONE", "Desk", "PIECE", "Program", "ZERO", "empty", "cut", "rows"]

ZERO = np.zeros((), np.float32)
#: Numbers of filters that are brought to another order at a time: they stay in the
#: cache.
PIECE = 1 << 16
#: ``run`` of :class:`minifer.device.threads.Workers`, for who has no other thread.
ALONE = Workers(1).run


class Program(list):
    """A list of calls; calling it notes one."""

    def __call__(self, function, *arrays, **options):
        self.append((function, arrays, options))

    def run(self):
        """Make all calls."""
        for function, arrays, options in self:
            function(*arrays, **options)


class Desk:
    """One thread's buffers, which all who work there use in turn, by name.

    Whoever will work there asks for room beforehand. A buffer is made when it is first
    used, as large as the largest wish: so one buffer serves all, and is in the cache.

    >>> desk = Desk()
    >>> desk.ask(rows=6), desk.ask(rows=8)
    (None, None)
    >>> desk.cut("rows", 2, 3).shape, desk.nbytes
    ((2, 3), 32)
    """

    def __init__(self):
        self.sizes, self.buffers = {}, {}

    def ask(self, **sizes):
        """Ask for room for so many float32 numbers, by name."""
        for name, size in sizes.items():
            self.sizes[name] = max(size, self.sizes.get(name, 0))

    def cut(self, name, *shape):
        """The beginning of a buffer, in a shape."""
        size, buffer = math.prod(shape), self.buffers.get(name)
        if buffer is None or buffer.size < size:
            self.ask(**{name: size})
            buffer = self.buffers[name] = empty(self.sizes[name])
        return cut(buffer, *shape)

    def flags(self, *shape):
        """Room for as many numbers of type bool."""
        room = self.cut("flags", -(-math.prod(shape) // 4))
        return cut(room.view(bool), *shape)

    def ones(self, count):
        """So many times 1, to be read only."""
        size = self.buffers["ones"].size if "ones" in self.buffers else 0
        if size < count:
            self.ask(ones=count)
            self.buffers["ones"] = np.ones(self.sizes["ones"], np.float32)
        return self.buffers["ones"][:count]

    @property
    def nbytes(self):
        """Bytes of all buffers, made or not yet."""
        return 4 * sum(self.sizes.values())


def empty(size):
    """A float32 buffer of ``size`` elements."""
    return np.empty(size, np.float32)


def rows(images):
    """Images (k, H, W, C) as (k, H, W·C), or tiles (.., th, tw, C) as (.., th·tw·C).

    The same memory: NumPy works on long rows much faster than on short ones.
    """
    last = 2 if images.ndim == 4 else 3
    return images.reshape(*images.shape[:-last], -1)


def cut(buffer, *shape):
    """The beginning of a buffer, in a shape."""
    return buffer[:math.prod(shape)].reshape(shape)
