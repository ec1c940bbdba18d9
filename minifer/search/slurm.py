"""A Dask cluster of Slurm jobs."""

import os
import shutil
import signal
import subprocess

from ..errors import BackendUnavailable, SettingError, one_line
from ..files import make_folder

__all__ = ["slurm_cluster"]


def slurm_cluster(partition, workers, threads, options, security, folder):
    """Start a scheduler in this process, and submit its workers, a job each.

    Parameters
    ----------
    partition : str
    workers : int
    threads : int
        Cores of a job; its worker runs one trial at a time.
    options : sequence of str
        More options of sbatch.
    security : distributed.Security
    folder : str
        A folder of all machines, absolute.

    Raises
    ------
    BackendUnavailable
        If Slurm or dask-jobqueue is not installed.
    SettingError
        If Slurm refuses such a job.
    """
    jobqueue = _import_jobqueue()
    _try_job(partition, threads, options)
    cluster = jobqueue.SLURMCluster(
        queue=partition, cores=1, job_cpu=threads, processes=1, memory="1 GiB",
        walltime="", job_directives_skip=["--mem=", "SBATCH -t"],  # the partition's own
        job_extra_directives=list(options), security=security, job_name="minifer",
        log_directory=make_folder(os.path.join(folder, "slurm")),
        worker_extra_args=["--memory-limit", "0", "--no-dashboard",
                           "--dashboard-address", "127.0.0.1:0"],
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        silence_logs="CRITICAL")
    cluster.adapt(minimum=workers, maximum=workers, interval="2 s")
    return cluster


def _import_jobqueue():
    before = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError as error:
        raise BackendUnavailable(
            "--slurm: expected the library dask-jobqueue, got none. Install it: pip "
            "install 'minifer[cluster]'") from error
    finally:  # its import makes Ctrl-C an exit with code 0
        signal.signal(signal.SIGINT, before)
    return dask_jobqueue


def _try_job(partition, threads, options):
    """Ask Slurm whether it would take such a job."""
    if shutil.which("sbatch") is None:
        raise BackendUnavailable("--slurm: expected the command sbatch, got none. Run "
                                 "the search on a machine from which jobs are "
                                 "submitted.")
    asked = subprocess.run(
        ["sbatch", "--test-only", f"--partition={partition}", "-n1",
         f"--cpus-per-task={threads}", *options, "--wrap=true"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if asked.returncode:
        raise SettingError(f"--slurm {partition}: expected a job that Slurm takes, got "
                           f"'{one_line(asked.stderr)}'.")
