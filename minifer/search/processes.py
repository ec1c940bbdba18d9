"""Trials one after another in this process, or some at once in processes of their own.

A trial may fail without harm to the others: an exception, a score that is no number
and a process that died (of too little memory, say) all become an outcome with a reason.
"""

import contextlib
import math
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from typing import NamedTuple

from ..device.threads import default_threads
from ..errors import NotFiniteError, SettingError, one_line

__all__ = ["Outcome", "outcomes"]

#: What tells libraries how many threads to start.
THREADS = ("MINIFER_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
           "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Outcome(NamedTuple):
    """How a trial went: a score, or the reason why there is none."""

    score: float | None
    reason: str | None
    seconds: float


def outcomes(objective, proposals, jobs):
    """Try settings; yield ``(number, Outcome)`` as the trials end.

    Parameters
    ----------
    objective : function
        Takes a dict of settings and returns a number.
    proposals : dict of int -> dict
        Settings by trial number.
    jobs : int >= 1
        With 1 all runs in this process. With more, each trial is a process that starts
        afresh ("spawn") with 1/jobs of the threads, at least one, and that ends when
        this process does, even if that is killed.

    Raises
    ------
    SettingError
        With more than one job, if the objective cannot be pickled.
    """
    if jobs == 1:
        for number, settings in proposals.items():
            yield number, _attempt(objective, settings)
    else:
        yield from _in_processes(_pickled(objective), proposals, jobs)


def _attempt(objective, settings):
    started = time.perf_counter()
    score = reason = None
    try:
        score = float(objective(dict(settings)))
        if not math.isfinite(score):
            raise NotFiniteError(f"expected a finite score, got {score}.")
    except (Exception, SystemExit) as error:
        score, reason = None, f"{type(error).__name__}: {one_line(error)}"
    return Outcome(score, reason, time.perf_counter() - started)


def _pickled(objective):
    try:
        return pickle.dumps(objective)
    except Exception as error:  # pickle raises whatever the object's methods raise
        raise SettingError(
            "objective: expected a function or object that can be pickled, for jobs > "
            f"1, got '{one_line(error)}'. Define it at the top of a module, or take 1 "
            "job.") from error


def _in_processes(objective, proposals, jobs):
    context = multiprocessing.get_context("spawn")
    threads = max(1, default_threads() // jobs)
    waiting, running = list(proposals.items()), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number, settings = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_child, args=(theirs, objective, settings, threads))
                running[ours] = number, process, time.perf_counter()
                with _deaf_to_ctrl_c():
                    process.start()
                theirs.close()  # so that a child's death ends the pipe
            for ours in multiprocessing.connection.wait(list(running)):
                number, process, started = running[ours]
                outcome = _receive(ours, process, started)
                del running[ours]
                _close(ours, process)
                yield number, outcome
    finally:
        with _deaf_to_ctrl_c():  # a second one must not leave any behind
            for ours, (_, process, _) in running.items():
                if process.pid is not None:
                    process.terminate()
                    process.join()
                _close(ours, process)


def _receive(connection, process, started):
    try:
        outcome = connection.recv()
    except (EOFError, OSError):  # it died before it spoke, or while it did
        outcome = None
    process.join()
    return outcome or Outcome(
        None, f"its process died with exit code {process.exitcode}",
        time.perf_counter() - started)


def _close(connection, process):
    """Give back the system's handles at once, not when Python gets round to it."""
    connection.close()
    process.close()


@contextlib.contextmanager
def _deaf_to_ctrl_c():
    """Ctrl-C waits for the end of this block; processes started in it never hear it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _child(connection, objective, settings, threads):
    """Run one trial, in a process of its own."""
    from threadpoolctl import threadpool_limits
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    threadpool_limits(threads)  # for what is loaded already
    connection.send(_attempt(_Pickled(objective), settings))


class _Pickled:
    """An objective that is unpickled when it is called, so that this may fail, too."""

    def __init__(self, content):
        self.content = content

    def __call__(self, settings):
        return pickle.loads(self.content)(settings)


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
