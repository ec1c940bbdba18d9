"""Ranks: processes that train one network together, each on its part of every batch.

``base.py`` says what ranks can do, and is one process alone; ``mpi.py`` is many of
them, started by ``mpiexec`` or ``srun``; ``nccl.py`` sums over GPUs; ``memory.py``
is what those on one machine have in common. ``launcher.py`` tells what started this
process, ``watchdog.py`` ends all if one is gone, ``witness.py`` says which was killed.

>>> from minifer.ranks import connect
>>> ranks = connect("alone")
>>> ranks.rank, ranks.size, ranks.part(10)
(0, 1, (0, 10))
"""

from typing import TYPE_CHECKING

from .._lazy import door

_HOMES = {"Ranks": "base", "Part": "base", "RANKS": "connecting",
          "connect": "connecting", "connected": "connecting", "end": "connecting",
          "fail_early": "connecting"}

if TYPE_CHECKING:  # the same, for those who read and never run
    from .base import Part, Ranks
    from .connecting import RANKS, connect, connected, end, fail_early

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
