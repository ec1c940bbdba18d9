"""The ranks of this process, by name."""

from __future__ import annotations

import importlib

from ..errors import SettingError
from .base import Ranks

__all__ = ["RANKS", "connect", "connected"]

#: What ``connect`` takes.
RANKS = ("alone", "mpi", "nccl")

_made: dict = {"alone": Ranks()}


def connect(name: str | Ranks) -> Ranks:
    """Find the other ranks.

    Parameters
    ----------
    name : {'alone', 'mpi', 'nccl'} or Ranks
        'mpi': the processes that ``mpiexec`` or ``srun`` started together; 'nccl': the
        same, each with a GPU of its own, whose arrays are summed by NCCL.

    Returns
    -------
    Ranks
        The same object each time.

    Raises
    ------
    SettingError
        If there is no such name, or if a launcher has started other ranks than MPI
        finds.
    BackendUnavailable
        If mpi4py, MPI's library, or NCCL is missing.
    """
    if isinstance(name, Ranks):
        return name
    if name not in RANKS:
        raise SettingError(
            f"ranks: expected one of {', '.join(RANKS)}, got {name!r}.")
    if name not in _made:
        module = importlib.import_module(f"{__package__}.{name}")
        _made[name] = getattr(module, f"{name.upper()}Ranks")()
    return _made[name]


def connected() -> Ranks:
    """The ranks that have been found so far: those of ``connect``, or this one alone.
    """
    return list(_made.values())[-1]
