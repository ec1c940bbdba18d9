"""One trial, and how it went.

A trial may fail without harm to the others: an exception, a score that is no number
and a process that died (of too little memory, say) all become an outcome with a reason.
"""

import math
import pickle
import time
from typing import NamedTuple

from ..errors import NotFiniteError, one_line

__all__ = ["Outcome", "Pickled", "attempt", "THREADS"]

#: What tells libraries how many threads to start.
THREADS = ("MINIFER_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
           "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Outcome(NamedTuple):
    """How a trial went: a score, or the reason why there is none."""

    score: float | None
    reason: str | None
    seconds: float


def attempt(objective, settings):
    """Call the objective; return an :class:`Outcome`, whatever it does."""
    started = time.perf_counter()
    score = reason = None
    try:
        score = float(objective(dict(settings)))
        if not math.isfinite(score):
            raise NotFiniteError(f"expected a finite score, got {score}.")
    except (Exception, SystemExit) as error:
        score, reason = None, f"{type(error).__name__}: {one_line(error)}"
    return Outcome(score, reason, time.perf_counter() - started)


class Pickled:
    """An objective that is unpickled when it is called, so that this may fail, too."""

    def __init__(self, content):
        self.content = content

    def __call__(self, settings):
        return pickle.loads(self.content)(settings)
