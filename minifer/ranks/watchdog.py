"""A thread that ends all ranks if one of them is gone, or has gone another way.

A rank that waits for another one waits for ever: MPI asks no questions. So each rank
tells its neighbour twice a second what it does, from a thread of its own, and ends all
where it has heard nothing for too long, or where a neighbour has ended while this rank
trains on.
"""

import os
import threading
import time

import numpy as np

from ..errors import SettingError

__all__ = ["Watchdog", "limit"]

BUSY, INSIDE, ENDING, GONE = 0, 1, 2, 3
#: Seconds without a word until a rank is given up, unless that is set; between
#: messages; for which ranks may disagree about what they do; between two looks whether
#: a neighbour has gone.
LIMIT, PERIOD, GRACE, PAUSE = 30.0, 0.5, 2.0, 1e-3


def limit(environ=os.environ):
    """Seconds without a word until a rank is given up: ``MINIFER_RANKS_LIMIT``, or 30.
    """
    text = environ.get("MINIFER_RANKS_LIMIT", LIMIT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise SettingError(f"MINIFER_RANKS_LIMIT: expected seconds, 1 or more, got "
                           f"{text!r}.")
    return seconds


class Watchdog(threading.Thread):
    """Watches the rank before this one, and is watched by the one behind it.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        For these messages alone.
    abort : function
        ``abort(text)`` says why, and ends all ranks.

    Attributes
    ----------
    doing : int
        BUSY, INSIDE a block that all ranks enter, or ENDING; last of all it is GONE.
    limit : float
        Seconds without a word until the other rank is given up.
    witness : minifer.ranks.witness.Witness or None
        Who says that a rank was killed, if a launcher lets the others live.
    """

    limit, witness = LIMIT, None

    def __init__(self, comm, abort):
        super().__init__(name="minifer-watchdog", daemon=True)
        self.comm, self.abort, self.doing = comm, abort, BUSY
        self.stopping = threading.Event()
        self.before = (comm.rank - 1) % comm.size
        self.behind = (comm.rank + 1) % comm.size

    def run(self):
        heard, agreed, sending, theirs = time.monotonic(), time.monotonic(), None, BUSY
        word, answer = np.zeros(1, np.int8), np.zeros(1, np.int8)
        while not self.stopping.wait(PERIOD):
            if sending is None or sending.Test():
                word[0] = self.doing
                sending = self.comm.Isend(word, self.behind)
            if self.witness is not None and self.witness.saw_a_death():
                self.abort("")
            now = time.monotonic()
            while self.comm.Iprobe(self.before):
                self.comm.Recv(answer, self.before)
                heard, theirs = now, int(answer[0])
            if not (self.doing == INSIDE and theirs == ENDING):
                agreed = now
            if now - heard > self.limit and theirs != ENDING:
                self.abort(f"rank {self.before} has said nothing for {now - heard:.0f} "
                           "seconds: all ranks end. It was stopped, or its machine is "
                           "gone; MINIFER_RANKS_LIMIT sets how long to wait.")
            if now - agreed > GRACE:
                self.abort(f"rank {self.before} has ended while the others train: all "
                           "ranks end.")
        self._take_leave(sending, theirs)

    def _take_leave(self, sending, theirs):
        """Hear all that was said, for which some networks ask when MPI ends."""
        last = self.comm.Isend(np.array([GONE], np.int8), self.behind)
        answer, end = np.zeros(1, np.int8), time.monotonic() + self.limit
        while time.monotonic() < end:
            while theirs != GONE and self.comm.Iprobe(self.before):
                self.comm.Recv(answer, self.before)
                theirs = int(answer[0])
            if theirs == GONE and last.Test() and (sending is None or sending.Test()):
                return
            time.sleep(PAUSE)

    def stop(self):
        """Stop watching, before MPI ends: all ranks do so together."""
        self.stopping.set()
        self.join()
