"""Trials one after another in this process, or at once in processes of their own."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from multiprocessing import resource_tracker

from ..device.threads import default_threads
from ..errors import SettingError, check_count, one_line
from .outcome import THREADS, Outcome, Pickled, attempt

__all__ = ["Processes", "deaf_to_ctrl_c"]


class Processes:
    """The runner of one machine: trials in this process, or in processes of their own.

    A runner is anything that is called with an objective and proposals and yields
    outcomes, as this class does and :class:`~minifer.search.Dask`.

    Parameters
    ----------
    jobs : int >= 1, default 1
        Trials that run at the same time. With 1 all runs in this process. With more,
        each trial is a process that starts afresh ("spawn") with 1/jobs of the threads,
        at least one, and that ends when this process does, even if that is killed.

    Examples
    --------
    >>> from minifer.search import Processes
    >>> run = Processes()
    >>> [(n, one.score) for n, one in run(lambda s: s["x"] ** 2, {1: {"x": 3}})]
    [(1, 9.0)]
    """

    def __init__(self, jobs=1):
        self.jobs = check_count("jobs", jobs)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """There is nothing to close; a runner of the options may have to be."""

    def __call__(self, objective, proposals):
        """Try settings; yield ``(number, outcome)`` as the trials end.

        Parameters
        ----------
        objective : function
            Takes a dict of settings and returns a number.
        proposals : dict of int -> dict
            Settings by trial number.

        Yields
        ------
        number : int
        outcome : tuple
            ``(score, reason, seconds)``: a float or None, None or a str, and a float.

        Raises
        ------
        SettingError
            With more than one job, if the objective cannot be pickled.
        """
        if self.jobs == 1:
            for number, settings in proposals.items():
                yield number, attempt(objective, settings)
        else:
            yield from _in_processes(_pickled(objective), proposals, self.jobs)


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
                with deaf_to_ctrl_c():
                    process.start()
                theirs.close()  # so that a child's death ends the pipe
            for ours in multiprocessing.connection.wait(list(running)):
                number, process, started = running[ours]
                outcome = _receive(ours, process, started)
                del running[ours]
                _close(ours, process)
                yield number, outcome
    finally:
        with deaf_to_ctrl_c():  # a second one must not leave any behind
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
def deaf_to_ctrl_c():
    """Ctrl-C waits for the end of this block; processes started in it never hear it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it unblocks signals when it starts
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
    connection.send(attempt(Pickled(objective), settings))


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
