"""Ranks that MPI has started, on one machine or on many.

Ranks end together. MPI has no way to let one go and keep the others: a rank that left
would leave them waiting in their next sum, each burning a core. So whoever fails alone
ends all, with one line; whoever fails as all do lets rank 0 speak.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import traceback

import numpy as np

from ..device.arrays import on_gpu, to_device, to_host, device_of
from ..device.threads import default_threads
from ..errors import BackendUnavailable, MiniferError, SettingError, one_line
from .base import Ranks, on_all
from .launcher import check, said_of_waiting, wait_until_read
from .memory import common_memory
from .waiting import waiting
from .watchdog import BUSY, ENDING, INSIDE, LIMIT, Watchdog, limit
from .witness import REASON, Witness

__all__ = ["MPIRanks"]

#: Seconds for which a rank that fails waits whether all others fail too.
TOGETHER = 1.0
#: Bytes up to which a sum is small; seconds for which a rank looks all the time whether
#: others have come, and the longest pauses between two looks after that.
SMALL, SPIN, SHORT, LONG = 1 << 16, 1e-4, 5e-4, 1e-2
INSTALL = "pip install mpi4py mpich, or minifer[mpi]"


class MPIRanks(Ranks):
    """The processes of ``mpiexec`` or ``srun``; see :class:`Ranks`.

    Raises
    ------
    BackendUnavailable
        If mpi4py or MPI's library is missing.
    SettingError
        If the launcher has started other ranks than MPI finds.
    """

    def __init__(self):
        with waiting(LIMIT, said_of_waiting(LIMIT)):
            self.MPI = MPI = load()
        library = MPI.Get_library_version().split("\n")[0].replace("Version:", "")[:40]
        library = " ".join(library.replace("\0", "").split())
        check(MPI.COMM_WORLD.size, library)
        self.rank, self.size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
        self.comm, self.farewell = MPI.COMM_WORLD.Dup(), MPI.COMM_WORLD.Dup()
        self.threads, self.crowded, here = share_of_cores(MPI)
        forget_shared_memory()
        self.witness, self.apart = None, here < self.size
        self.watchdog = Watchdog(MPI.COMM_WORLD.Dup(), self.abort)
        if self.size > 1:
            if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
                raise BackendUnavailable("ranks: expected an MPI whose threads may all "
                                         f"speak, got {library}. Try {INSTALL}.")
            self.watchdog.start()
            self._hook, sys.excepthook = sys.excepthook, self._uncaught
            atexit.register(self._leave)
            limit_blas(self.threads)

    def set_up(self):
        self.watchdog.limit, self.gbits = limit(), network()
        if self.size > 1 and hasattr(os, "fork"):  # elsewhere none outlives the others
            self._find_witness()

    def _find_witness(self):
        """Start who says that this rank was killed; that of rank 0 comes first."""
        def work(place=None):
            try:
                self.witness = Witness(self.rank, self.size, place, self.apart)
            except OSError as error:
                raise BackendUnavailable(
                    "ranks: expected to start a process beside each rank, which says "
                    f"that it was killed, got {one_line(error)}. Close other programs."
                ) from error
            return self.witness.place

        place = self.lead(work)
        if not self.writes:
            work(place)
        self.watchdog.witness = self.witness

    # --- what ranks can do ----------------------------------------------------

    def sum(self, array):
        if self.size > 1:
            if on_gpu(array):  # MPI's wheels know no device: through the host
                host = np.ascontiguousarray(to_host(array))
                array[...] = to_device(self.sum(host), device_of(array))
            else:
                self.start_sum(array).wait()
        return array

    def start_sum(self, array):
        return _Sum(self, self.comm.Iallreduce(self.MPI.IN_PLACE, array),
                    patient=array.nbytes <= SMALL or self.crowded)

    def start_rows(self, array):
        row = array[0].size
        ends = [row * end for end in self.ends(len(array))]
        counts = [stop - start for start, stop in zip(ends, ends[1:])]
        request = self.comm.Iallgatherv(self.MPI.IN_PLACE, [array, (counts, ends[:-1])])
        return _Sum(self, request, patient=self.crowded)

    def common_memory(self, nbytes):
        return common_memory(self, nbytes)

    def gather(self, value):
        return self.comm.allgather(value)

    def hand_out(self, value):
        self.wait(self.comm.Ibarrier(), pause=LONG)  # rank 0 may take its time
        return self.comm.bcast(value)

    @contextlib.contextmanager
    def together(self):
        before, self.watchdog.doing = self.watchdog.doing, INSIDE
        try:
            yield
            self.wait(self.comm.Ibarrier())
        except BaseException as error:
            if not getattr(error, "on_all_ranks", False):
                self.end(*self._words(error))
                on_all(error)
            raise
        finally:
            self.watchdog.doing = before

    # --- the end --------------------------------------------------------------

    def end(self, text, code):
        if self.size > 1:
            all_end, failures = self._say_farewell(failing=True)
            if not self.wait(all_end, TOGETHER, LONG) or failures[0] < self.size:
                self.abort(text, code)
            self.watchdog.doing = BUSY
        return self.writes

    def abort(self, text, code=1):
        """Say why, unless that has been said, and end all ranks."""
        sys.stdout.flush()
        if text:
            print(f"rank {self.rank} of {self.size}: {text}", file=sys.stderr,
                  flush=True)
        if self.witness is not None:
            self.witness.leave(REASON)
        wait_until_read(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI would say it once more
        self.MPI.COMM_WORLD.Abort(code)

    def _words(self, error):
        """What to say of an error that ends a rank, and the exit code."""
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else error.code is not None
            return "it has ended while the others train.", int(code) or 1
        if isinstance(error, KeyboardInterrupt):
            return str(error) or "stopped", 130
        if isinstance(error, MiniferError):
            return f"error: {one_line(error)}", 2
        return "".join(traceback.format_exception(error)).rstrip(), 1

    def _uncaught(self, kind, error, trace):
        """In the place of ``sys.excepthook``: an error that nothing has caught."""
        if getattr(error, "on_all_ranks", False):
            speaks = self.writes
        else:
            speaks = self.end(*self._words(error.with_traceback(trace)))
        if speaks:
            self._hook(kind, error, trace)

    def _leave(self):
        """Wait for all others before MPI ends: rank 0 may still be writing a report.

        Ctrl-C ends that, too. A rank that was stopped at its work says so first.
        """
        all_end, _ = self._say_farewell(failing=False)
        seconds, ended = float("inf"), False
        while not ended:
            try:
                ended = self.wait(all_end, seconds, LONG)
                if not ended:
                    self.abort("stopped", 130)
            except KeyboardInterrupt:
                seconds = TOGETHER
        self.watchdog.stop()
        if self.witness is not None:
            self.witness.leave()

    def _say_farewell(self, failing):
        """Tell that this rank ends: a request, which comes true when all do, and a
        number, which then is how many do for a failure.
        """
        self.watchdog.doing = ENDING
        failures = np.array([int(failing)])
        return self.farewell.Iallreduce(self.MPI.IN_PLACE, failures), failures

    def wait(self, request, seconds=float("inf"), pause=SHORT):
        """Wait: asleep, where it takes long, as MPI itself would burn a core.

        Parameters
        ----------
        request : mpi4py.MPI.Request
        seconds : float
            Give it up after so many.
        pause : float
            The longest time between two looks at it, in seconds.

        Returns
        -------
        bool
            Whether it came true.
        """
        began = time.perf_counter()
        while not request.Test():
            waited = time.perf_counter() - began
            if waited > seconds:
                return False
            if waited > SPIN or self.crowded:
                time.sleep(min(waited / 4, pause))
        return True


class _Sum:
    """A sum, or rows, on their way.

    Few bytes are waited for asleep: a rank that comes late takes long. Many bytes need
    every rank's help all the time.
    """

    def __init__(self, ranks, request, patient):
        self.ranks, self.request, self.patient = ranks, request, patient

    def help(self):
        return self.request.Test()

    def wait(self):
        if self.patient:
            self.ranks.wait(self.request)
        else:
            self.request.Wait()


def load():
    """Import mpi4py, which starts MPI.

    Raises
    ------
    BackendUnavailable
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py; no MPI behind it
        raise BackendUnavailable(f"ranks: expected mpi4py and an MPI library, got none "
                                 f"({one_line(error)}). Try {INSTALL}.") from error
    return MPI


def network(environ=os.environ):
    """The network's Gbit/s that ``MINIFER_NETWORK_GBITS`` tells, or None."""
    text = environ.get("MINIFER_NETWORK_GBITS")
    if text is None:
        return None
    try:
        gbits = float(text)
    except ValueError:
        gbits = 0.0
    if not 0 < gbits < float("inf"):
        raise SettingError(
            f"MINIFER_NETWORK_GBITS: expected Gbit/s, more than 0, got {text!r}.")
    return gbits


def share_of_cores(MPI):
    """Threads for this rank, whether its machine has fewer cores than ranks; and those.

    Ranks on one machine divide the cores that each may use; those that a launcher has
    bound to cores of their own keep them.

    Returns
    -------
    int, bool, int
    """
    here = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    if hasattr(os, "sched_getaffinity"):
        mine = sorted(os.sched_getaffinity(0))
    else:
        mine = list(range(os.cpu_count() or 1))
    everybody = here.allgather(mine)
    here.Free()
    share = sum(1 / sum(core in other for other in everybody) for core in mine)
    asked = "MINIFER_NUM_THREADS" in os.environ
    threads = default_threads() if asked else max(1, int(share + 1e-9))
    return threads, share < 1 - 1e-9, len(everybody)


def forget_shared_memory(maps="/proc/self/maps"):
    """Remove the name of the memory that ranks on a machine share, once all have it.

    MPICH does so when it ends, and a rank that is killed leaves 2 MB behind; what is
    worse, a job that Slurm queues again has the same name for its memory, finds what
    its ranks left there, and does not start.
    """
    with contextlib.suppress(OSError):  # another system; another rank has done it
        with open(maps, encoding="utf-8", errors="replace") as file:
            names = {line.split(None, 5)[-1].strip() for line in file}
        for name in names:
            if name.startswith("/dev/shm/mpich_shm_"):
                os.unlink(name)


def limit_blas(threads):
    """Leave the other ranks' cores alone where NumPy runs without a plan."""
    from threadpoolctl import threadpool_limits
    threadpool_limits(threads)
