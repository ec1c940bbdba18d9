"""One thread for each core, each on its own images.

NumPy lets go of the interpreter's lock inside matrix products, copies and
elementwise functions, so threads do run side by side. BLAS is limited to one
thread meanwhile: two layers of threads would fight for the same cores.
"""

import contextlib
import contextvars
import functools
import os
import threading
from collections import deque

import numpy as np

from ..errors import SettingError
from .cores import ApartPool, settle, staying

__all__ = ["Workers", "Helper", "allowed_threads", "default_threads", "blas_kernels"]


def default_threads():
    """Cores this process may use, or ``MINIFER_NUM_THREADS``.

    Raises
    ------
    SettingError
        If that is no whole number from 1 to 64, or to 8 a core where this is more:
        each thread takes memory, and beyond the cores none makes anything faster.
    """
    text = os.environ.get("MINIFER_NUM_THREADS")
    if text is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    most = max(64, 8 * (os.cpu_count() or 1))
    digits = text.strip().lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 7
            and int(digits) <= most):
        raise SettingError(
            f"MINIFER_NUM_THREADS: expected a whole number from 1 to {most}, got "
            f"{text[:40]!r}. Unset it for a thread a core.")
    return int(digits)


def allowed_threads():
    """``default_threads``, but no more than BLAS was limited to from outside.

    joblib and threadpoolctl limit BLAS where several processes share the cores; what
    minifer limits itself does not count. ``MINIFER_NUM_THREADS`` goes before.
    """
    threads = default_threads()
    if "MINIFER_NUM_THREADS" in os.environ:
        return threads
    return max(1, min(threads, _blas.outside() or threads))


def blas_kernels():
    """The BLAS that NumPy uses, with its kernels' processor, and its threads.

    Returns
    -------
    name : str
        Such as ``"openblas 0.3.27 Haswell"``; empty if it cannot be told.
    threads : int
    """
    found = [one for one in _controller().info() if one["user_api"] == "blas"]
    # SciPy and OpenCV may have loaded others of their own, before NumPy's or after.
    found.sort(key=lambda one: "numpy" not in os.path.basename(
        os.path.dirname(one["filepath"])))
    if not found:
        return "", 1
    name = [found[0]["internal_api"], found[0]["version"],
            found[0].get("architecture")]
    return " ".join(filter(None, name)), found[0]["num_threads"]


class Workers:
    """A fixed number of threads.

    Parameters
    ----------
    count : int >= 1
    """

    def __init__(self, count):
        self.count = count

    def run(self, task, total, least=1):
        """Call ``task(worker, start, stop)`` on contiguous shares of a range.

        Which share goes to which worker depends on ``total`` and the number of
        workers alone, so sums over workers come out the same every time.

        Parameters
        ----------
        task : function
        total : int
            Length of the range.
        least : int
            Smallest share worth a thread.
        """
        parts = max(1, min(self.count, total // max(1, least)))
        ends = [total * part // parts for part in range(parts + 1)]
        self._together(lambda worker: task(worker, ends[worker], ends[worker + 1]),
                       parts)

    def run_chunks(self, task, chunks):
        """Call ``task(worker, chunk)`` for each of a number of chunks.

        Each worker begins with its own share, and takes from the end of another's
        when it is done: a core that another program disturbs holds up no other. Which
        worker does which chunk changes from run to run; sums must be kept by chunk.

        Parameters
        ----------
        task : function
        chunks : int
        """
        count = min(self.count, chunks)
        left = [deque(range(chunks * w // count, chunks * (w + 1) // count))
                for w in range(count)]

        def work(worker):
            mine = left[worker]
            while True:
                try:
                    chunk = mine.popleft() if mine else max(left, key=len).pop()
                except IndexError:  # another thread was faster
                    if not any(left):
                        return
                    continue
                task(worker, chunk)

        self._together(work, count)

    def _together(self, work, count):
        """Call ``work(worker)`` in ``count`` threads, this one among them."""
        # Each thread gets a copy of the context: NumPy keeps its errstate there.
        others = [_pool(self.count).submit(contextvars.copy_context().run, work, worker)
                  for worker in range(1, count)]
        try:
            work(0)
        finally:  # no thread may still write to buffers that the caller goes on to use
            settle(others)
        for one in others:
            one.result()

    @contextlib.contextmanager
    def blas_alone(self):
        """Limit BLAS to one thread for a block; several threads may be in one."""
        blas = _blas
        blas.enter()
        try:
            yield
        finally:
            blas.leave()


class Helper:
    """Tasks that another thread does while this one goes on with something else.

    Parameters
    ----------
    threads : int
        With one there is no other thread, and a task is done when it is handed over.
    keeps : bool
        Whether :meth:`empty` gives the same memory again in the next pass.
    """

    def __init__(self, threads=1, keeps=False):
        self.threads, self.kept = threads, {} if keeps else None
        # Whoever works takes tasks until none is left: a task handed over meanwhile
        # wakes no thread, which would hold up the one who hands it over.
        self.tasks, self.lock, self.free = deque(), threading.Lock(), threads - 1

    def empty(self, name, like, shape):
        """A contiguous array to be filled, of the type and device of ``like``."""
        if self.kept is None:
            return np.empty_like(like, shape=shape, order="C")
        found = self.kept.get(name)
        if found is None or found.shape != shape or found.dtype != like.dtype:
            found = np.empty_like(like, shape=shape, order="C")
            self.kept[name] = found
        return found

    def submit(self, task):
        """Hand over a task, a function of no arguments; returns its handle."""
        if self.threads < 2:
            return task()
        handle = _Task(task)
        self.tasks.append(handle)
        with self.lock:
            wakes = self.free > 0
            self.free -= wakes
        if wakes:
            _pool(self.threads).submit(self._work)
        return handle

    def _work(self):
        while True:
            try:
                handle = self.tasks.popleft()
            except IndexError:
                with self.lock:
                    if not self.tasks:
                        self.free += 1
                        return
            else:
                handle.context.run(handle.run)

    def need(self, handle):
        """Go on when a task is done: if no thread has begun it, this one does it."""
        if handle is not None:
            handle.finish()

    def finish(self, handles):
        """Go on when all are done: this thread takes them from the end."""
        handles = [handle for handle in handles if handle is not None]
        try:
            for handle in reversed(handles):
                handle.finish()
        finally:  # no thread may still write where the caller goes on
            for handle in reversed(handles):
                handle.drop()


class _Task:
    """What a Helper was handed. Who holds its lock does it."""

    def __init__(self, task):
        self.task, self.error, self.done = task, None, False
        self.lock, self.context = threading.Lock(), contextvars.copy_context()

    def run(self):
        """Do it, unless it was begun."""
        if self.lock.acquire(blocking=False):
            try:
                if not self.done:
                    self.task()
            except BaseException as error:  # told to the one who finishes it
                self.error = error
            finally:
                self.done = True
                self.lock.release()

    def finish(self):
        """Go on when it is done, and raise what it raised."""
        self.run()
        self.drop()
        if self.error is not None:
            raise self.error

    def drop(self):
        """Go on when it is not under way, and will not be any more."""
        if not self.done:
            with staying(), self.lock:
                self.done = True


class _BlasLimit:
    """BLAS has one limit for a whole process: set by the first, lifted by the last."""

    def __init__(self):
        self.lock, self.inside, self.limit = threading.Lock(), 0, None

    def enter(self):
        with self.lock:
            if not self.inside:
                self.limit = _controller().limit(limits=1, user_api="blas")
            self.inside += 1

    def leave(self):
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.limit.restore_original_limits()

    def outside(self):
        """Threads that BLAS may use, or may again when the last has left."""
        with self.lock:
            if self.inside:
                return self.limit.get_original_num_threads()["blas"]
            return blas_kernels()[1]


_blas = _BlasLimit()


def _start_over():
    """In the child of a fork, where only the thread that forked goes on."""
    global _blas
    if _blas.inside:
        _blas.limit.restore_original_limits()
    _blas = _BlasLimit()
    _pool.cache_clear()


@functools.lru_cache(maxsize=None)
def _pool(count):
    return ApartPool(max(1, count - 1))


@functools.lru_cache(maxsize=None)
def _controller():
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
