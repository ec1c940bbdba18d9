"""Ranks: processes that train one network together, each on its part of every batch.

``base.py`` says what ranks can do, and is one process alone; ``mpi.py`` is many of
them, started by ``mpiexec`` or ``srun``; ``nccl.py`` sums over GPUs. ``launcher.py``
tells what started this process, ``watchdog.py`` ends all if one is gone.

>>> ranks = connect("alone")
>>> ranks.rank, ranks.size, ranks.part(10)
(0, 1, (0, 10))
"""

from .base import Part, Ranks
from .connect import RANKS, connect, connected

__all__ = ["Ranks", "Part", "RANKS", "connect", "connected"]
