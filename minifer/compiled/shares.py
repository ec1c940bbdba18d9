"""A step that ranks on one machine take together, each for its share of the parameters.

Parameters and the rule's state live in memory that the ranks have in common. Each rank
writes its gradients there. When all have, each adds up a share of the rows, in the
order of the ranks, and moves these; no sum is made twice, no parameter moved twice, and
what one has moved all see (Rajbhandari et al. 2020, ZeRO, arXiv:1910.02054).

The gradient of a dense layer's weights is never written out. The ranks write its two
factors, and each computes its own rows for the whole batch while it moves them.
"""

import contextlib
import math
import time

import numpy as np

from ..errors import BackendUnavailable
from ..ops.backpropagation import collect
from ..ops.outer_product import OuterProduct
from ..updates.update import Share
from .exchange import Exchange

__all__ = ["Shares", "in_common"]

LINE = 64  # bytes: no two arrays in one line of the cache
ELEMENTS = 1 << 17  # that are worth a thread to copy


@contextlib.contextmanager
def in_common(exchange, update, unless=""):
    """For a block, bring gradients together in common memory if that can be.

    Parameters
    ----------
    exchange : Exchange or None
        What brings them together else, and is told why.
    update : minifer.updates.Update
    unless : str
        Why the parameters must stay where they are, if so.

    Yields
    ------
    Exchange or None
        The one to use.
    """
    shares = None
    if exchange is not None:
        exchange.why = unless or ("" if update.takes_shares else (
            "the update rule, or a limit of norms, looks at whole arrays"))
        if not exchange.why:
            try:
                shares = exchange.shares = exchange.shares or Shares(
                    exchange.part, update)
            except BackendUnavailable as error:
                exchange.why = str(error)
    if shares is None:
        yield exchange
        return
    shares.enter()
    try:
        yield shares
    finally:
        shares.leave()
        exchange.seconds += shares.seconds
        exchange.nbytes = shares.nbytes


class Shares(Exchange):
    """Brings gradients together in common memory; see :class:`Exchange`.

    Parameters
    ----------
    part : minifer.ranks.Part
    update : minifer.updates.Update
        Between :meth:`enter` and :meth:`leave` its parameters and state are in common
        memory, which stays for the next time: pages that a process has not touched yet
        take as long as a tenth of a step.

    Raises
    ------
    BackendUnavailable
        On all ranks, if they have no memory in common.
    """

    def __init__(self, part, update):
        self.part, self.update = part, update
        self.params = dict.fromkeys(update.params)
        self.seconds, self.gbits, self.lanes = 0.0, part.ranks.gbits, {}
        self.rooms, self.nbytes, self.is_finite = {}, 0, False
        arrays = [p.value for p in self.params]
        arrays += [one for name in update.slots for one in update.state[name]]
        common = iter(_cut(part.ranks, [(a.shape, a.dtype) for a in arrays]))
        self.homes = {param: next(common) for param in self.params}
        self.state_homes = {name: [next(common) for _ in update.state[name]]
                            for name in update.slots}

    def enter(self):
        """Bring parameters and state to common memory: their values are rank 0's."""
        self.seconds = 0.0
        self.before = [(p, p.value) for p in self.params]
        self.states = {name: list(self.update.state[name]) for name in self.state_homes}
        self.part.ranks.sum(np.zeros(1))  # all have left it
        if self.part.ranks.writes:
            for param, home in self.homes.items():
                home[...] = param.value
            for name, arrays in self.states.items():
                for home, array in zip(self.state_homes[name], arrays):
                    home[...] = array
        self.part.ranks.sum(np.zeros(1))  # all is there
        for param, home in self.homes.items():
            param.value = home
        for name, homes in self.state_homes.items():
            self.update.state[name][:] = homes

    def leave(self):
        """Give each rank its own parameters and state again."""
        for param, own in self.before:
            own[...] = param.value
            param.value = own
        for name, arrays in self.states.items():
            for own, home in zip(arrays, self.update.state[name]):
                own[...] = home
            self.update.state[name][:] = arrays

    @property
    def held(self):
        """The parameters whose values are in common memory: a set."""
        return {param for param, home in self.homes.items() if param.value is home}

    def describe(self, dense, batch):
        """What a step exchanges; see :meth:`Exchange.describe`."""
        return (f"{self.part.ranks.size} ranks on one machine: parameters lie in "
                "memory that all see, each rank moves its share of them")

    def add(self, param, gradient):
        """Take a contribution to a parameter's gradient."""
        if param in self.params:
            collect(self.waiting, param, gradient)

    def finish(self):
        """Wait until all is there; see :meth:`Exchange.finish`.

        Returns
        -------
        loss : float
            The batch's.
        gradients : dict of Param -> Share
            The batch's, of this rank's shares.
        """
        found = {p: self.waiting[p] for p in self.params if p in self.waiting}
        rooms, bound = self._find_rooms(found), 0.0
        for param, gradient in found.items():
            self._write(rooms[param], gradient)
            bound += _bound(gradient)  # not a number once, not a number for good
        self.numbers = np.append(self.numbers, 0.0 if self.part.empty else bound)
        self._come_home()
        self._wait(self.numbers)
        limit = min((np.finfo(p.dtype).max for p in found), default=0)
        # Not-a-number makes the comparison false.
        self.is_finite = bool(self.numbers[2] < limit)
        self.part.flag = bool(self.numbers[1])
        for param, home in self.homes.items():
            param.value = home
        return self.numbers[0], {p: self._share(p, room) for p, room in rooms.items()}

    def agree(self, number):
        """The smallest of all ranks' numbers, or None."""
        numbers = [one for one in self.part.ranks.gather(number) if one is not None]
        return min(numbers, default=None)

    def end(self):
        """Wait until all ranks have moved their shares."""
        self._wait(np.zeros(1))

    def _come_home(self):
        """Bring values that were set from outside to common memory: a share each."""
        for param, home in self.homes.items():
            if param.value is not home:
                start, stop = self._rows(param)
                np.atleast_1d(home)[start:stop] = np.atleast_1d(param.value)[start:stop]

    def _rows(self, param):
        """The rows of a parameter that this rank moves."""
        return self.part.ranks.part(param.shape[0] if param.shape else 1)

    def _find_rooms(self, found):
        """Room for all gradients: on all ranks alike, as the gradients' shapes are."""
        wanted = {param: self._room(param, one) for param, one in found.items()}
        missing = [param for param, one in wanted.items()
                   if not _fits(self.rooms.get(param, ()), one)]
        if missing:
            cut = iter(_cut(self.part.ranks, sum((wanted[p] for p in missing), [])))
            for param in missing:
                self.rooms[param] = [next(cut) for _ in wanted[param]]
        rooms = {param: [have[:shape[0]] for have, (shape, _) in zip(
            self.rooms[param], one)] for param, one in wanted.items()}
        self.nbytes = sum(room.nbytes for one in rooms.values() for room in one)
        return rooms

    def _room(self, param, gradient):
        """Shapes and dtypes of what a gradient is brought together in.

        Two factors, (N, D) and (N, U), or one array of wholes, (ranks, ...).
        """
        if isinstance(gradient, OuterProduct):
            rows = self.part.whole(len(gradient.x))
            factors = [((rows, one.shape[1]), one.dtype)
                       for one in (gradient.x, gradient.dz)]
            if rows * sum(param.shape) <= self.part.ranks.size * param.size:
                return factors
        return [((self.part.ranks.size, *param.shape), param.dtype)]

    def _write(self, room, gradient):
        """Write this rank's part of a gradient, or of its factors."""
        if len(room) == 2:
            parts = list(zip(room, (gradient.x, gradient.dz)))
            first = self.part.row(len(gradient.x))
            if self.part.empty:
                return
        else:
            own, first = room[0][self.part.ranks.rank, ...], 0
            if self.part.empty:
                own[...] = 0
                return
            parts = [(np.atleast_1d(own), np.atleast_1d(np.asarray(gradient)))]
        for target, source in parts:
            def task(worker, start, stop, target=target, source=source):
                target[first + start:first + stop] = source[start:stop]

            self.run(task, len(source), least=max(1, ELEMENTS // source[0].size))

    def _share(self, param, room):
        """This rank's share of the whole batch's gradient."""
        start, stop = self._rows(param)
        if len(room) == 2:
            x, dz = room
            gradient = OuterProduct(x[:, start:stop], dz)
        else:
            # No other rank reads these rows.
            first, *others = (np.atleast_1d(one)[start:stop] for one in room[0])
            gradient = first
            for other in others:
                gradient += other
        return Share(start, stop, gradient, param.shape)

    def _wait(self, numbers):
        """Sum a few numbers over ranks: then all are here."""
        began = time.perf_counter()
        self.part.ranks.start_sum(numbers).wait()
        self.seconds += time.perf_counter() - began


def _cut(ranks, wanted):
    """Arrays of some shapes and dtypes, in memory that ranks have in common."""
    sizes = [-(-math.prod(shape) * np.dtype(dtype).itemsize // LINE) * LINE
             for shape, dtype in wanted]
    memory, arrays, start = ranks.common_memory(sum(sizes)), [], 0
    for size, (shape, dtype) in zip(sizes, wanted):
        count = math.prod(shape)
        arrays.append(memory[start:start + size].view(dtype)[:count].reshape(shape))
        start += size
    return arrays


def _fits(room, wanted):
    """Whether there is room of these dtypes and shapes, or of more rows."""
    return len(room) == len(wanted) and all(
        len(one) >= shape[0] and (one.shape[1:], one.dtype) == (shape[1:], dtype)
        for one, (shape, dtype) in zip(room, wanted))


def _bound(gradient):
    """A number that no element exceeds; not a number if one of them is none."""
    factors = ((gradient.x, gradient.dz) if isinstance(gradient, OuterProduct) else
               (np.asarray(gradient),))
    largest = [max(float(a.max(initial=0)), -float(a.min(initial=0))) for a in factors]
    return math.prod(largest) * (len(factors[0]) if len(factors) == 2 else 1)
