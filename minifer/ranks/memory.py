"""Memory that ranks on one machine have in common.

It has no name in any folder, so that nothing is left behind however a rank ends: the
system frees it with the last of them. A rank opens it through the process that made it.
"""

from __future__ import annotations

import mmap
import os
import secrets
from typing import Any

import numpy as np

from ..errors import BackendUnavailable, one_line

__all__ = ["common_memory"]

TOKEN = 16  # bytes by which ranks see that they have opened the same


def common_memory(ranks: Any, nbytes: int) -> np.ndarray:
    """Bytes that all ranks read and write, zeros at first; all call it together.

    Parameters
    ----------
    ranks : minifer.ranks.Ranks
    nbytes : int

    Returns
    -------
    uint8 array, shape (nbytes,)

    Raises
    ------
    BackendUnavailable
        On all ranks, if any of them cannot have it: where they are on several
        machines, or the system is not Linux, or has no memory left.
    """
    made = Made(nbytes + TOKEN)
    place = ranks.hand_out(made.make() if ranks.writes else None)
    if not ranks.writes:
        made.open(*place)
    why = next(filter(None, ranks.gather(made.why)), None)
    made.close()  # what is mapped stays
    if why:
        raise BackendUnavailable(f"ranks: expected memory in common, got {why}.")
    made.bytes[nbytes:] = 0
    return made.bytes[:nbytes]


class Made:
    """A piece of memory that one process makes and others open.

    Attributes
    ----------
    bytes : uint8 array, shape (nbytes,), or None
    why : str or None
        Why there is none.
    """

    def __init__(self, nbytes):
        self.nbytes, self.file, self.bytes, self.why = nbytes, None, None, None

    def make(self):
        """Make it; return what :meth:`open` needs elsewhere."""
        token = secrets.token_bytes(TOKEN)
        try:
            self.file = os.memfd_create("minifer")
            # All of it now: what the system has not got would kill who writes there.
            os.posix_fallocate(self.file, 0, self.nbytes)
            self._map()
            self.bytes[-TOKEN:] = np.frombuffer(token, np.uint8)
        except (OSError, AttributeError) as error:
            self.why = one_line(error)
        return os.getpid(), self.file, token, self.why

    def open(self, process, file, token, why):
        """Open what another process on this machine has made."""
        self.why = why
        if why:
            return
        try:
            self.file = os.open(f"/proc/{process}/fd/{file}", os.O_RDWR)
            if os.fstat(self.file).st_size != self.nbytes:
                raise OSError("another process's file")
            self._map()
            if bytes(self.bytes[-TOKEN:]) != token:
                raise OSError("another process's memory")
        except (OSError, ValueError) as error:
            self.why = f"ranks that cannot reach it ({one_line(error)})"

    def _map(self):
        memory = mmap.mmap(self.file, self.nbytes)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                memory.madvise(mmap.MADV_HUGEPAGE)
            except OSError:  # a system without large pages: slower
                pass
        self.bytes = np.frombuffer(memory, np.uint8)

    def close(self):
        if self.file is not None:
            os.close(self.file)
