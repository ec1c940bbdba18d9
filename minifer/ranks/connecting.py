"""The ranks of this process, by name.

A command asks here before NumPy has been imported, so it is imported where it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..errors import SettingError
from .launcher import end_all, started

if TYPE_CHECKING:
    from .base import Ranks

__all__ = ["RANKS", "connect", "connected", "end", "fail_early"]

#: What ``connect`` takes.
RANKS = ("alone", "mpi", "nccl")
#: Under which those are known that could not be set up.
FAILED = "failed"

_made: dict = {}


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
    from .base import Ranks
    if isinstance(name, Ranks):
        return name
    if name not in RANKS:
        raise SettingError(
            f"ranks: expected one of {', '.join(RANKS)}, got {name!r}.")
    if name == "alone":
        _made.setdefault(name, Ranks())
    elif name not in _made:
        module = importlib.import_module(f"{__package__}.{name}")
        # They are known before they are set up: an error is told once, or ends all.
        ranks = _made[FAILED] = getattr(module, f"{name.upper()}Ranks")()
        with ranks.together():
            ranks.set_up()
        _made[name] = _made.pop(FAILED)
    return _made[name]


def connected() -> Ranks:
    """The ranks that have been found so far: those of ``connect``, or this one alone.
    """
    return _found() or connect("alone")


def end(text: str, code: int) -> bool:
    """:meth:`Ranks.end` of those that have been found, if there are any."""
    ranks = _found()
    return ranks is None or ranks.end(text, code)


def fail_early(code: int) -> None:
    """End the others, if this process fails before it has found them.

    Without it they would wait for it. It is for programs of which it is known that they
    would have found each other.
    """
    if _found() is None and started()[1] > 1:
        end_all(code)


def _found():
    """The ranks that a launcher started, once they have been found."""
    return next((ranks for name, ranks in _made.items() if name != "alone"), None)
