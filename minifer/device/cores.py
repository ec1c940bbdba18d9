"""Threads that do not share a core with the one that they work for.

Linux wakes a thread where it last ran, or near the one that wakes it, on an idle core
if there is one. Kernels of virtual machines may pack threads on few cores instead. Then
two find themselves on one core and take turns there for as long as their tasks last,
while the next is idle. So threads are told to leave out the core of the one who hands
them their tasks, and who waits for them is woken where it was.
"""

import contextlib
import ctypes
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait

__all__ = ["ApartPool", "settle", "staying"]


def _getcpu():
    """The C library's function for the core that one runs on; None if it has none.

    ``PyDLL`` keeps the interpreter's lock: to let go of it would take longer.
    """
    try:
        return ctypes.PyDLL(None).sched_getcpu if hasattr(
            os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):
        return None


getcpu = _getcpu()


class ApartPool(ThreadPoolExecutor):
    """An executor whose threads run on any core but its caller's.

    Where there are more threads than such cores, they run where they like.

    Parameters
    ----------
    threads : int >= 1

    Attributes
    ----------
    ids : list of int
        The system's numbers of the threads.
    core : int or None
        Where the last caller ran.
    """

    def __init__(self, threads):
        super().__init__(threads, "minifer", self._begin)
        self.threads, self.ids, self.core = threads, [], None

    def submit(self, task, /, *args):
        """Hand over a call; returns its future."""
        if getcpu is not None:
            core = getcpu()
            if core != self.core:
                self.core = core
                self._leave_out(core, self.ids)
        return super().submit(task, *args)

    def _begin(self):
        self.ids.append(threading.get_native_id())
        if self.core is not None:
            self._leave_out(self.core, self.ids[-1:])

    def _leave_out(self, core, ids):
        cores = os.sched_getaffinity(0) - {core}
        for thread in list(ids) if len(cores) >= self.threads else ():
            _bind(thread, cores)


def settle(futures):
    """Go on when all are done, on the core where this thread is now."""
    if not all(one.done() for one in futures):
        with staying():
            wait(futures)


@contextlib.contextmanager
def staying():
    """Whoever waits in this block is woken where it is."""
    cores = () if getcpu is None else os.sched_getaffinity(0)
    if len(cores) < 2:
        yield
        return
    try:  # Ctrl-C may come at any moment
        _bind(0, {getcpu()})
        yield
    finally:
        _bind(0, cores)


def _bind(thread, cores):
    # A system may forbid it, and a core may have been taken away.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(thread, cores)
