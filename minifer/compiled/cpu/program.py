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

__all__ = ["Program", "ZERO", "empty", "cut"]

ZERO = np.zeros((), np.float32)


class Program(list):
    """A list of calls; calling it notes one."""

    def __call__(self, function, *arrays, **options):
        self.append((function, arrays, options))

    def run(self):
        """Make all calls."""
        for function, arrays, options in self:
            function(*arrays, **options)


def empty(size):
    """A float32 buffer of ``size`` elements."""
    return np.empty(size, np.float32)


def cut(buffer, *shape):
    """The beginning of a buffer, in a shape."""
    return buffer[:math.prod(shape)].reshape(shape)
