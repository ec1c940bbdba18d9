"""What ranks can do; and one rank alone, for which all of it is nothing.

Ranks take the same steps in the same order. Each works on its part of a batch, and what
belongs to the whole batch is summed: gradients, losses, the statistics of batch norm.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import as_array
from ..errors import MiniferError, SettingError

__all__ = ["Ranks", "Part"]


class Ranks:
    """The processes that train together: here one, alone.

    A subclass has :meth:`sum`, :meth:`start_sum`, :meth:`start_rows`, :meth:`gather`
    and :meth:`hand_out`; all else follows from them.

    Attributes
    ----------
    rank : int
        This process's number, from 0.
    size : int
        How many there are.
    threads : int or None
        Threads that this rank should use; None: as many as there are cores.
    gbits : float or None
        What the network between ranks carries, in Gbit/s, if that was said.
    crowded : bool
        Whether this machine has fewer cores than ranks.
    may_be_captured : bool
        Whether sums of a device's arrays may be part of a graph.
    """

    rank, size, threads, gbits, crowded = 0, 1, None, None, False
    may_be_captured = False

    def set_up(self) -> None:
        """What may go wrong on one of them alone, once they have been found."""

    @property
    def writes(self) -> bool:
        """Whether this rank is the one that writes files and prints."""
        return self.rank == 0

    def part(self, n: int) -> tuple[int, int]:
        """Where this rank's part of ``n`` things begins and ends: contiguous parts, in
        the order of the ranks, whose sizes differ by at most one.
        """
        ends = self.ends(n)
        return ends[self.rank], ends[self.rank + 1]

    def ends(self, n: int) -> list[int]:
        """Where all parts of ``n`` things end, and 0 before them."""
        return [n * rank // self.size for rank in range(self.size + 1)]

    def sum(self, array: Array) -> Array:
        """The sum over all ranks, in the place of the array, on whatever device."""
        return array

    def start_sum(self, array: np.ndarray) -> Any:
        """Begin :meth:`sum` of a NumPy array, and go on.

        Returns
        -------
        object
            ``help()`` helps it along and says whether it is done, ``wait()`` waits.
        """
        return _Done()

    def start_rows(self, array: np.ndarray) -> Any:
        """Begin to bring all ranks' rows together, and go on.

        Parameters
        ----------
        array : NumPy array, shape (n, ...)
            Rows ``part(n)`` are there; the others come.

        Returns
        -------
        object
            As :meth:`start_sum`.
        """
        return _Done()

    def common_memory(self, nbytes: int) -> np.ndarray:
        """Bytes that all ranks read and write, zeros at first; all call it together.

        Raises
        ------
        BackendUnavailable
            On all ranks, if any of them cannot have it: on several machines, say.
        """
        return np.zeros(nbytes, np.uint8)

    def gather(self, value: Any) -> list:
        """Every rank's value, in their order; any that can be pickled."""
        return [value]

    def hand_out(self, value: Any) -> Any:
        """Rank 0's value; any that can be pickled."""
        return value

    def end(self, text: str, code: int) -> bool:
        """End for a reason: together if all ranks do, else by ending the others.

        Returns
        -------
        bool
            Whether this rank should say ``text``: once is enough.
        """
        return True

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A block that all ranks enter, and leave together."""
        yield

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return bool(self.sum(np.array([float(flag)]))[0])

    def lead(self, work: Callable[[], Any]) -> Any:
        """What ``work()`` returns on rank 0, or raises there: on all ranks.

        It is called on rank 0 alone.
        """
        value, error = None, None
        if self.writes:
            try:
                value = work()
            except MiniferError as found:
                error = found
        value, error = self.hand_out((value, error))
        if error is not None:
            raise on_all(error)
        return value

    def agree(self, facts: dict[str, Any]) -> None:
        """Make sure that ranks do not differ.

        Parameters
        ----------
        facts : dict
            What must be the same on all, by name.

        Raises
        ------
        SettingError
            On all ranks; it names the first fact that differs.
        """
        everybody = self.gather(facts)
        for name, expected in everybody[0].items():
            for rank, other in enumerate(everybody):
                if other.get(name) != expected:
                    raise on_all(SettingError(
                        f"ranks: expected the same {name} on all {self.size} ranks, "
                        f"got {expected} on rank 0, {other.get(name)} on rank {rank}. "
                        "Start all with the same program, options and data."))


class _Done:
    """A sum that is done."""

    def help(self):
        return True

    def wait(self):
        pass


def on_all(error):
    """Mark an error that all ranks raise at the same place, so that all go on alike."""
    error.on_all_ranks = True
    return error


class Part:
    """A rank's part of the batch at hand.

    Layers that look at the whole batch ask it: where their images stand in the batch,
    what the sum over all ranks is. A rank without an image computes the batch's first
    one for company; it counts for nothing.

    Parameters
    ----------
    ranks : Ranks

    Attributes
    ----------
    start, stop, total : int
        Images ``start`` to ``stop`` of a batch of ``total``.
    flag : bool
        What this rank wants all to know; after a step, whether any rank did.

    Examples
    --------
    >>> from minifer.ranks import connect
    >>> part = Part(connect("alone"))
    >>> part.take(2)
    slice(0, 2, None)
    >>> part.weight, part.mean(np.array([[1., 2.], [3., 4.]]), (0,))
    (1.0, array([2., 3.]))
    """

    def __init__(self, ranks: Ranks):
        self.ranks, self.flag = ranks, False
        self.start = self.stop = self.total = 0

    def take(self, total: int) -> slice:
        """Begin a batch of ``total`` images; return which are to be computed here."""
        self.start, self.stop = self.ranks.part(total)
        self.total = total
        return self.of(total)

    def of(self, total: int) -> slice:
        """Which of ``total`` images are to be computed here: at least one."""
        start, stop = self.ranks.part(total)
        return slice(start, stop) if stop > start else slice(0, 1)

    @property
    def place(self) -> tuple[int, int, int]:
        """Where the part begins and ends, in a batch of how many images."""
        return self.start, self.stop, self.total

    @property
    def empty(self) -> bool:
        """Whether the batch has no image for this rank."""
        return self.stop == self.start

    @property
    def weight(self) -> float:
        """This part's share of the batch."""
        return (self.stop - self.start) / self.total

    def row(self, rows: int) -> int:
        """Where an array with ``rows`` rows for this part begins in that of the batch.
        """
        return 0 if self.empty else self.start * (rows // (self.stop - self.start))

    def sum(self, array: Array) -> Array:
        """The sum over all ranks that have images, in the place of the array."""
        if self.empty:
            array[...] = 0
        return self.ranks.sum(array)

    def whole(self, count: int) -> int:
        """What is ``count`` for this part is so much for the whole batch."""
        here = 1 if self.empty else self.stop - self.start
        return count // here * self.total

    def mean(self, x: Array, axes: tuple[int, ...]) -> Array:
        """The mean over ``axes``, the batch's among them, of the whole batch."""
        sums = as_array(x.sum(axis=axes))
        return self.sum(sums) / self.whole(x.size // sums.size)
