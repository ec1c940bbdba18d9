"""Gradients of ranks that share a batch, summed while the way back still goes on.

The way back hands over a parameter's gradient as soon as a step has made it. When the
last of its contributions is there, it is written into one long buffer; and each time
enough has come together, MPI begins to sum that piece over the ranks. It makes no
progress on its own: it is helped along between one step and the next.

A dense layer's gradient is the product of two factors that are often smaller. Where the
network is slow, ranks bring these together instead, and each computes the product for
the whole batch: less is sent, more is computed.
"""

import time
from collections import Counter
from typing import NamedTuple

import numpy as np

from ..ops.backpropagation import collect
from ..ops.outer_product import OuterProduct

__all__ = ["Exchange", "Cost", "PIECE_BYTES"]

#: Bytes that are summed in one piece: less costs more in starts, more comes too late.
PIECE_BYTES = 1 << 20
#: Products and additions a second that a rank is taken to do: a core's, of some years.
FLOPS = 2e10


class Cost(NamedTuple):
    """What the gradient of a dense layer's weights costs each rank.

    Attributes
    ----------
    full, factors : float
        Bytes that a rank sends for the whole gradient, summed in a ring, and for its
        factors, handed round in one.
    more : float
        Floating-point operations that the factors' product takes beyond the rank's own
        part.
    """

    full: float
    factors: float
    more: float

    @classmethod
    def of(cls, shape, rows, ranks, itemsize):
        """That of weights (D, U) and a batch with so many rows, on some ranks.

        >>> cost = Cost.of((14112, 256), rows=128, ranks=4, itemsize=4)
        >>> round(cost.full / 1e6, 1), round(cost.factors / 1e6, 1)
        (21.7, 5.5)
        >>> cost.prefers_factors(1.0), cost.prefers_factors(None)
        (True, False)
        """
        D, U = shape
        others = (ranks - 1) / ranks
        return cls(2 * others * itemsize * D * U, others * itemsize * rows * (D + U),
                   others * 2 * rows * D * U)

    def prefers_factors(self, gbits):
        """Whether factors are faster: on a network of so many Gbit/s, if told."""
        return gbits is not None and (
            8e-9 * (self.full - self.factors) / gbits > self.more / FLOPS)


class Exchange:
    """Sums a step's gradients, its loss and a flag over ranks.

    Parameters
    ----------
    part : minifer.ranks.Part
    params : list of Param
        The parameters whose gradients are wanted.

    Attributes
    ----------
    seconds : float
        Time for which steps have waited for other ranks, in all.
    nbytes : int
        Bytes of gradients that a step sums.
    why : str
        Why ranks send gradients, if they might do without.
    is_finite : bool
        Whether all gradients of the last step are known to be finite.
    shares : minifer.compiled.shares.Shares or None
        What takes its place in common memory, once there has been any.
    """

    why, is_finite, shares = "", False, None

    def __init__(self, part, params):
        self.part, self.params = part, dict.fromkeys(params)
        sizes = Counter()
        for param in self.params:
            sizes[param.dtype] += param.value.size
        self.lanes = {dtype: _Lane(part.ranks, dtype, size)
                      for dtype, size in sizes.items()}
        self.nbytes = sum(lane.buffer.nbytes for lane in self.lanes.values())
        self.seconds, self.factors = 0.0, {}
        self.gbits = part.ranks.gbits

    @property
    def held(self):
        """The parameters that all ranks have in one memory, and so alike: a set."""
        return set()

    def describe(self, dense, batch):
        """What a step exchanges, in lines.

        Parameters
        ----------
        dense : list of Param
            The weights of dense layers.
        batch : int
            Images of all ranks.
        """
        size = self.part.ranks.size
        told = "not told" if self.gbits is None else f"{self.gbits:g} Gbit/s"
        lines = [f"{size} ranks sum gradients of {self.nbytes / 1e6:.1f} MB while the "
                 f"way back goes on; network: {told}"]
        lines += [f"each has parameters of its own: {self.why}"] if self.why else []
        for param in dense:
            if param in self.params:
                cost = self._cost(param, batch)
                which = ("factors" if cost.prefers_factors(self.gbits) else
                         "the full gradient")
                lines.append(
                    f"{param.name}: {which}; a rank sends {cost.full / 1e6:.1f} MB of "
                    f"it, or {cost.factors / 1e6:.1f} MB of factors and "
                    f"{cost.more / 1e6:.0f} MFLOP more")
        return "\n".join(lines)

    def begin(self, loss, expected, run):
        """Begin a step.

        Parameters
        ----------
        loss : number
            This part's mean loss.
        expected : Counter of Param -> int
            From how many places gradients come; more may be said than come.
        run : function
            Shares a range among threads; see :class:`minifer.updates.Update`.
        """
        self.run = run
        self.left, self.waiting, self.rows = Counter(expected), {}, []
        self.done, self.late = {}, {}
        for lane in self.lanes.values():
            lane.begin()
        share = 0.0 if self.part.empty else self.part.weight * float(loss)
        self.numbers = np.array([share, float(self.part.flag)])

    def add(self, param, gradient):
        """Take a contribution to a parameter's gradient."""
        if param not in self.params:
            return
        if param in self.done:  # more than expected: summed on its own, at the end
            collect(self.late, param, gradient)
            return
        collect(self.waiting, param, gradient)
        self.left[param] -= 1
        if not self.left[param]:
            self._send(param)
        for lane in self.lanes.values():
            lane.help()
        self.rows = [one for one in self.rows if not one.help()]

    def finish(self):
        """Wait until all is summed.

        Returns
        -------
        loss : float
            The batch's.
        gradients : dict of Param -> array
            The batch's, of those that have one; valid until the next step.
        """
        for param in list(self.waiting):
            self._send(param)
        began = time.perf_counter()
        # Few bytes come first, for which ranks wait asleep: then all are here.
        self.part.ranks.start_sum(self.numbers).wait()
        for lane in self.lanes.values():
            lane.finish()
        for one in self.rows:
            one.wait()
        for param, gradient in self.late.items():
            late = np.array(np.asarray(gradient), param.dtype)
            self.done[param] = self.done[param] + self.part.sum(late)
        self.seconds += time.perf_counter() - began
        self.part.flag = bool(self.numbers[1])
        return self.numbers[0], self.done

    def agree(self, number):
        """The smallest of all ranks' numbers, or None: here all have the same."""
        return number

    def end(self):
        """Wait until all have taken the step: here each takes the whole of it."""

    def first(self, depth, text):
        """The one of all ranks' texts that lies lowest in the network."""
        everybody = self.part.ranks.gather((depth, text))
        return min(enumerate(everybody), key=lambda one: (one[1][0], one[0]))[1][1]

    def _send(self, param):
        """Write a gradient where it is summed; or send its factors."""
        gradient = self.waiting.pop(param)
        if isinstance(gradient, OuterProduct) and self._cost(
                param, self.part.whole(len(gradient.x))).prefers_factors(self.gbits):
            self.done[param] = OuterProduct(self._bring(param, 0, gradient.x),
                                            self._bring(param, 1, gradient.dz))
            return
        room = self.done[param] = self.lanes[param.dtype].room(param.shape)
        if self.part.empty:
            room[...] = 0
        elif isinstance(gradient, OuterProduct):
            def task(worker, start, stop):
                gradient.rows(start, stop, out=room[start:stop])

            self.run(task, len(room), least=64)
        else:
            room[...] = gradient
        self.lanes[param.dtype].start_if(PIECE_BYTES)

    def _cost(self, param, rows):
        return Cost.of(param.shape, rows, self.part.ranks.size, param.dtype.itemsize)

    def _bring(self, param, which, mine):
        """Begin to bring the whole batch's rows of a factor together."""
        rows, start = self.part.whole(len(mine)), self.part.row(len(mine))
        kept = self.factors.get((param, which))
        if kept is None or len(kept) < rows:
            kept = np.empty((rows, mine.shape[1]), mine.dtype)
            self.factors[param, which] = kept
        if not self.part.empty:
            kept[start:start + len(mine)] = mine
        # Rows that belong to one image stay together.
        together = kept[:rows].reshape(self.part.total, -1)
        self.rows.append(self.part.ranks.start_rows(together))
        return kept[:rows]


class _Lane:
    """A buffer of one dtype, summed piece by piece."""

    def __init__(self, ranks, dtype, size):
        self.ranks, self.buffer = ranks, np.empty(size, dtype)

    def begin(self):
        self.sent = self.filled = 0
        self.requests = []

    def room(self, shape):
        """The next room in the buffer."""
        start, self.filled = self.filled, self.filled + int(np.prod(shape))
        return self.buffer[start:self.filled].reshape(shape)

    def start_if(self, nbytes):
        """Begin to sum what has been filled since the last time, if it is enough."""
        piece = self.buffer[self.sent:self.filled]
        if piece.size and piece.nbytes >= nbytes:
            self.requests.append(self.ranks.start_sum(piece))
            self.sent = self.filled

    def help(self):
        """Help the sums along that are on their way."""
        self.requests = [one for one in self.requests if not one.help()]

    def finish(self):
        self.start_if(0)
        for request in self.requests:
            request.wait()
