"""Trials on the workers of a Dask cluster, here or on other machines.

A trial is a task of Dask, and its worker runs it in a child (see ``child.py``). Dask
gives the trials of a worker that was lost to others; the record on disk remains the
only truth about what has been tried.
"""

import contextlib
import os
import secrets
import time
import warnings

from .._version import __version__
from ..device.threads import default_threads
from ..errors import BackendUnavailable, SettingError, check_count, one_line
from ..files import make_folder
from ..progress import Progress
from .child import Job, run_job
from .outcome import Outcome
from .processes import deaf_to_ctrl_c
from .security import check_address, read_tls, temporary_tls
from .slurm import slurm_cluster

__all__ = ["Dask"]

#: Seconds until a worker that is not heard of counts as lost.
PATIENCE = 30.0
#: Seconds to wait for a scheduler to answer.
TIMEOUT = 10
#: A trial is given up when so many workers have died while they ran it.
DEATHS = 20


class Dask:
    """The runner of a Dask cluster; use it in a ``with`` block, or close it.

    A trial whose worker is killed, stopped or pre-empted begins again on another
    worker, as does one whose worker cannot be heard for ``patience`` seconds. An
    objective that keeps checkpoints in a folder of all machines goes on from there. A
    trial is given up, as failed, when twenty workers have died while they ran it. If
    the block is left, what runs is ended.

    The objective may be anything that cloudpickle pickles, lambdas too, and must be
    importable on the workers if it is a module's. They need this minifer.

    Parameters
    ----------
    scheduler : str
        Address of a running scheduler, such as ``"tls://10.0.0.5:8786"``. It runs
        pickled code of whoever reaches it, so a scheduler that other machines can
        reach must use TLS: ``"tcp://…"`` is refused unless it is on this machine.
    tls : (str, str), optional
        Files of a certificate and its key, in PEM. Who has them may run code on the
        cluster. The certificate is its own authority, or its authority's stands below
        it in the file.
    threads : int, default 1
        Threads of a trial, the same on any machine: results may depend on their number
        in the last digits.
    folder : str, optional
        A folder that must exist on all workers, as trials share files there.
    patience : float, default 30
        Seconds. A child that does not hear its worker for half of it ends itself. For
        a scheduler that runs already its own ``worker-ttl`` counts, which should not
        be shorter.
    progress : Progress, optional
        Where to write that there is no worker yet.

    Raises
    ------
    BackendUnavailable
        If Dask is not installed, or the scheduler does not answer.
    SettingError
        For an address that may not or cannot be used, and for files of TLS that
        cannot.

    See Also
    --------
    Dask.local, Dask.slurm : start a cluster.
    """

    def __init__(self, scheduler, tls=None, threads=1, folder=None, patience=PATIENCE,
                 progress=None):
        self.threads = check_count("threads", threads)
        self.folder = None if folder is None else os.path.abspath(folder)
        self.patience, self.progress = patience, progress or Progress(enabled=False)
        self._client = self._cluster = self._sent = None
        self._stack = contextlib.ExitStack()
        distributed = import_dask()
        if isinstance(scheduler, str):
            name = scheduler = check_address(scheduler, tls)
            security = read_tls(tls) if tls else None
        else:  # a cluster that was started for this runner
            self._cluster, security = scheduler, scheduler.security
            name = scheduler.scheduler_address
        try:
            with deaf_to_ctrl_c():
                self._client = distributed.Client(
                    scheduler, security=security, timeout=TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError) as error:
            self.close()
            raise BackendUnavailable(
                f"scheduler {name}: expected an answer, got '{one_line(error)}'. Start "
                "one with `dask scheduler`, and check address, port and certificate."
            ) from error

    @classmethod
    def local(cls, workers=None, threads=1, patience=PATIENCE, **options):
        """Start a cluster on this machine: a runner with so many workers.

        It listens on this machine only, and speaks TLS with a key that no file holds,
        so that other users of it cannot reach the cluster.

        Parameters
        ----------
        workers : int, optional
            Trials at the same time. Default: cores divided by threads.
        threads : int, default 1
        patience : float, default 30
        **options
            As for :class:`Dask`.
        """
        distributed = import_dask()
        threads = check_count("threads", threads)
        workers = (max(1, default_threads() // threads) if workers is None else
                   check_count("workers", workers))
        with _own_settings(patience), deaf_to_ctrl_c():
            cluster = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True,
                security=distributed.Security.temporary(),
                dashboard_address="127.0.0.1:0",
                memory_limit=0, silence_logs="CRITICAL")
            cluster.adapt(minimum=workers, maximum=workers, interval="1 s")
        return cls(cluster, threads=threads, patience=patience, **options)

    @classmethod
    def slurm(cls, partition, workers, threads=1, options=(), tls=None, folder=".",
              patience=PATIENCE, **others):
        """Start a cluster of Slurm jobs: a runner with so many workers, a job each.

        The scheduler is in this process, which the jobs must reach, and speaks TLS. A
        job that ends or is cancelled is submitted again. The block's end cancels all.

        Parameters
        ----------
        partition : str
        workers : int
            Jobs, and trials at the same time.
        threads : int, default 1
            Threads of a trial, and cores of a job.
        options : sequence of str
            More options of sbatch, such as ``"--time=4:00:00"``.
        tls : (str, str), optional
            As for :class:`Dask`. Default: a key that lasts as long as the cluster, in
            files in ``folder`` that only this user may read.
        folder : str
            A folder of all machines, for the jobs' output in ``folder/slurm``, too.
        patience : float, default 30
        **others
            As for :class:`Dask`.
        """
        import_dask()
        workers = check_count("workers", workers)
        threads = check_count("threads", threads)
        folder = os.path.abspath(make_folder(folder))
        with contextlib.ExitStack() as stack:
            security = read_tls(tls or stack.enter_context(temporary_tls(folder)))
            with _own_settings(patience), deaf_to_ctrl_c():
                cluster = slurm_cluster(partition, workers, threads, options, security,
                                        folder)
            runner = cls(cluster, threads=threads, patience=patience, folder=folder,
                         **others)
            runner._stack = stack.pop_all()
        return runner

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Leave the cluster, and end it if it was started here."""
        with deaf_to_ctrl_c(), contextlib.suppress(TimeoutError):
            self._sent = None
            for one in filter(None, (self._client, self._cluster)):
                one.close(timeout=TIMEOUT)
            self._stack.close()

    def __call__(self, objective, proposals):
        """Try settings; yield ``(number, outcome)`` as the trials end.

        See :class:`~minifer.search.Processes`.

        Raises
        ------
        BackendUnavailable
            If the scheduler is gone, or a worker cannot run trials.
        """
        from distributed import as_completed
        content, name = self._content(objective), secrets.token_hex(8)
        self._await_worker()
        order = {"folder": os.getcwd(), "patience": self.patience / 2,
                 "threads": self.threads, "shared": self.folder, "minifer": __version__}
        deaths = dict.fromkeys(proposals, 0)

        def submit(number):
            future = self._client.submit(
                _trial, content, proposals[number], order, pure=False,
                key=f"trial-{number}-{deaths[number]}-{name}")
            running[future] = number
            return future

        running, started = {}, time.perf_counter()
        try:
            ended = as_completed(map(submit, proposals), loop=self._client.loop)
            while running:
                future = next(ended)
                number, (outcome, died) = running.pop(future), self._outcome(future)
                future.release()  # or it runs again if its worker dies
                deaths[number] += died
                if outcome is None and deaths[number] < DEATHS:
                    ended.add(submit(number))
                    continue
                yield number, outcome or Outcome(
                    None, f"its worker died {deaths[number]} times",
                    time.perf_counter() - started)
        finally:
            with deaf_to_ctrl_c(), contextlib.suppress(Exception):  # a lost scheduler
                self._client.cancel(list(running), force=True)

    def _content(self, objective):
        """The pickled objective, as a future: who needs it fetches it from a worker.

        It is the result of a task, not scattered data, so that it is made again when
        the workers that hold it are lost.
        """
        if self._sent is None or self._sent[0] is not objective:
            import cloudpickle
            try:
                content = cloudpickle.dumps(objective)
            except Exception as error:  # pickle raises whatever the methods raise
                raise SettingError(
                    "objective: expected a function or object that can be pickled, got "
                    f"'{one_line(error)}'. Define it at the top of a module."
                ) from error
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dask's, of large tasks
                self._sent = objective, self._client.submit(
                    _same, content, pure=False, key=f"objective-{secrets.token_hex(8)}")
        return self._sent[1]

    def _await_worker(self):
        with contextlib.suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=5)
            return
        self.progress.line("waiting for a worker of "
                           f"{self._client.scheduler.address}")

    def _outcome(self, future):
        """How a trial went, and 0; or None, and how many workers died that ran it."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        try:
            return Outcome(*future.result()), 0
        except KilledWorker as error:
            return None, error.args[2] + 1  # as many as Dask allows, and one
        except CancelledError as error:
            raise BackendUnavailable(
                "the Dask scheduler is gone: expected it to stay till the end. Start "
                "it again, and continue with --resume.") from error
        except Exception as error:
            raise BackendUnavailable(
                f"a Dask worker cannot run trials: {type(error).__name__}: "
                f"{one_line(error)}") from error


def import_dask():
    """The library ``distributed``.

    Raises
    ------
    BackendUnavailable
        If it, or cryptography for TLS, is not installed.
    """
    try:
        import distributed
        import cryptography  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            f"runner dask: expected the library {error.name}, got none. Install it: "
            "pip install 'minifer[cluster]'") from error
    return distributed


def _own_settings(patience):
    """Settings of a scheduler that is started here."""
    import dask
    return dask.config.set({
        "distributed.scheduler.worker-ttl": f"{patience} s",
        "distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []})


# --- on a worker ----------------------------------------------------------------------

def _same(content):
    return content


def _trial(content, settings, order):
    """Run a trial in a child for as long as this worker is to."""
    from distributed import Reschedule, Status, get_worker
    worker = get_worker()
    key = worker.get_current_task()
    if order["minifer"] != __version__:
        raise SettingError(f"{worker.address} has minifer {__version__}, expected "
                           f"{order['minifer']}. Install the same version everywhere.")
    if order["shared"] is not None and not os.path.isdir(order["shared"]):
        raise SettingError(
            f"{worker.address} has no folder {order['shared']}, expected one that all "
            "machines share. Search in a folder of the network.")

    def wanted():
        task = worker.state.tasks.get(key)
        return (worker.status in (Status.running, Status.paused) and task is not None
                and task.state in ("executing", "long-running"))

    job = Job(content, settings, order["folder"], order["patience"])
    outcome = run_job(job, order["threads"], wanted)
    if outcome is None:  # another worker will, unless it was cancelled
        raise Reschedule
    return tuple(outcome)
