"""The options that say where trials, or folds, run, and the runner that they mean."""

from ..errors import SettingError
from .processes import Processes

__all__ = ["open_runner", "runner_given", "runner_options"]

#: Options of Dask -> those of the others that each needs.
NEEDS = {"scheduler": (), "slurm": ("workers",), "workers": (), "threads": (),
         "sbatch": ("slurm",), "tls_cert": ("tls_key",), "tls_key": ("tls_cert",)}


def runner_options(add, what="trials"):
    """Add the options.

    Parameters
    ----------
    add : function
        A parser's ``add_argument``.
    what : str
        What runs there, in words.
    """
    add("--jobs", type=int, help=f"{what} that run at the same time, in processes of "
                                 "this machine (unless given: 1)")
    add("--runner", choices=["processes", "dask"],
        help=f"where the {what} run: in processes of this machine, or on a Dask "
             "cluster: one that runs (--scheduler), Slurm jobs (--slurm), or else "
             "workers on this machine (unless given: processes)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask scheduler, such as "
                                               "tls://10.0.0.5:8786")
    add("--slurm", metavar="PARTITION", help="submit --workers jobs there")
    add("--workers", type=int, metavar="N",
        help=f"Slurm jobs, or workers on this machine, each with one of the {what} "
             "at a time")
    add("--threads", type=int, metavar="N",
        help=f"of each of the {what} on Dask (unless given: 1)")
    add("--sbatch", action="append", metavar="OPTION",
        help="one more option of the Slurm jobs, as in --sbatch=--time=4:00:00")
    add("--tls-cert", metavar="FILE", help="certificate of the cluster, in PEM")
    add("--tls-key", metavar="FILE", help="its key; who has both may run code there")


def runner_given(args):
    """Names of those of the options that were given."""
    return [_option(name) for name in ("jobs", "runner", *NEEDS)
            if getattr(args, name) is not None]


def open_runner(args, folder, progress):
    """The runner that the options mean, for a ``with`` block.

    Parameters
    ----------
    args : argparse.Namespace
    folder : str
        Where it is all written: a folder of all machines.
    progress : minifer.progress.Progress

    Raises
    ------
    SettingError, BackendUnavailable
        As :class:`~minifer.search.Dask`.
    """
    _check(args)
    if args.runner != "dask":
        return Processes(1 if args.jobs is None else args.jobs)
    from .cluster import Dask
    tls = (args.tls_cert, args.tls_key) if args.tls_cert else None
    options = {"threads": 1 if args.threads is None else args.threads,
               "progress": progress}
    if args.scheduler is not None:
        return Dask(args.scheduler, tls, folder=folder, **options)
    if args.slurm is not None:
        return Dask.slurm(args.slurm, args.workers, options=args.sbatch or (), tls=tls,
                          folder=folder, **options)
    return Dask.local(args.workers, **options)


def _check(args):
    """Refuse options that contradict each other."""
    given = [name for name in NEEDS if getattr(args, name) is not None]
    if args.runner != "dask":
        if given:
            raise SettingError(f"{_option(given[0])}: it is of --runner dask. Add "
                               "that, or leave it out.")
        return
    if args.jobs is not None:
        raise SettingError("--jobs: it is of --runner processes; on Dask give "
                           "--workers.")
    if args.scheduler is not None and (args.slurm or args.workers) is not None:
        raise SettingError("--scheduler: its cluster has workers; leave out --slurm "
                           "and --workers.")
    for name in given:
        for other in NEEDS[name]:
            if getattr(args, other) is None:
                raise SettingError(f"{_option(name)}: expected {_option(other)} with "
                                   "it, got none.")
    if args.tls_cert and args.scheduler is None and args.slurm is None:
        raise SettingError("--tls-cert: a cluster on this machine makes its own. Leave "
                           "it out.")


def _option(name):
    return "--" + name.replace("_", "-")
