"""Locks of files, which the system lets go when a program ends, however it ends."""

import errno
import os

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

__all__ = ["lock"]

_TAKEN = errno.EAGAIN, errno.EACCES, errno.EDEADLK


def lock(descriptor):
    """Lock an open file against all others who ask; do not wait.

    Returns
    -------
    bool
        False if another process or thread has locked it.

    Raises
    ------
    OSError
        If the disk has no locks.
    """
    try:
        if os.name == "posix":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
