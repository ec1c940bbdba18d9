"""What started this process: how many ranks the launcher says there are.

Every launcher tells the processes that it starts so, in a variable of its own. MPI
finds the others by it, if it speaks this launcher's language; if not, each process
takes itself for the only one, and says nothing.
"""

import contextlib
import os
import stat
import struct
import time

from ..errors import SettingError

__all__ = ["started", "check", "said_of_waiting", "wait_until_read", "end_all"]

#: Seconds, at most, for the launcher to read last words.
PASS_ON = 2.0

#: Variable -> (what sets it, how the other ranks are found then).
LAUNCHERS = {
    "OMPI_COMM_WORLD_SIZE": "Open MPI's mpiexec",
    "PMI_SIZE": "mpiexec",
    "MPI_LOCALNRANKS": "mpiexec",
    "SLURM_STEP_NUM_TASKS": "srun"}
#: Variables that say which of the ranks this is.
NUMBERS = "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"


def started(environ=os.environ):
    """Which launcher started this process, and how many ranks it says there are.

    Returns
    -------
    str, int
        ``'', 1`` without one.
    """
    for name, launcher in LAUNCHERS.items():
        if environ.get(name, "").isdigit():
            return launcher, int(environ[name])
    return "", 1


def said_of_waiting(seconds, environ=os.environ):
    """What a rank says that waits for others to start; None where others say it."""
    launcher, told = started(environ)
    number = next((environ[one] for one in NUMBERS if one in environ), "0")
    # Two of them, as one of these may be the one that does not come.
    if told == 1 or number not in ("0", "1"):
        return None
    return (f"rank {number} of {told}: has waited {seconds:.0f} seconds for all that "
            f"{launcher} started, and goes on waiting. If one of them has failed, end "
            "them with Ctrl-C.")


def check(size, library, environ=os.environ):
    """Refuse to go on if the launcher has started other ranks than MPI finds.

    Parameters
    ----------
    size : int
        How many MPI finds.
    library : str
        MPI's name, for the message.

    Raises
    ------
    SettingError
    """
    launcher, told = started(environ)
    asked = environ.get("SLURM_NTASKS", "")
    if not launcher and size == 1 and asked.isdigit() and int(asked) > 1:
        launcher, told = "sbatch's script", int(asked)
    if not launcher or told == size:
        return
    advice = {
        "srun": "Start it with srun --mpi=pmi2, for which MPICH's wheel asks",
        "sbatch's script": "Put srun --mpi=pmi2, or mpiexec, before the command",
    }.get(launcher, f"Start it with the mpiexec of {library}: of the environment in "
                    "which mpi4py is, such as .venv/bin/mpiexec")
    raise SettingError(
        f"ranks: expected MPI ({library}) to find the {told} ranks of {launcher}, got "
        f"{size}. {advice}.")


def wait_until_read(descriptor, seconds=PASS_ON):
    """Wait until whoever reads a pipe has read all, or for so many seconds.

    A launcher passes on what it has read, but drops the rest once ranks are aborted.
    """
    with contextlib.suppress(OSError, ImportError):  # no pipe; another system
        import fcntl
        import termios
        end = time.monotonic() + seconds
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return
        while time.monotonic() < end:
            unread, = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD,
                                                     bytes(4)))
            if not unread:
                return
            time.sleep(1e-3)


def end_all(code, environ=os.environ):
    """Have the launcher end all that it started, if it is MPICH's.

    A process that has not come to MPI says so in the words in which MPI would. Others
    need not be told: Open MPI's ends all when one has failed, as ``srun -K`` does.

    Parameters
    ----------
    code : int
        The exit code of all.
    """
    if "MPI_LOCALNRANKS" in environ:
        wait_until_read(2)
        with contextlib.suppress(KeyError, ValueError, OSError):
            os.write(int(environ["PMI_FD"]), f"cmd=abort exitcode={code}\n".encode())
