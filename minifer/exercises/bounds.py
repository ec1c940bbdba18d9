"""What a student's process may use, and how all of it is ended.

POSIX systems limit memory, processor time and the size of files that are written;
Windows has none of the three here. A limit holds for each process: a file that makes
many has each of them limited.
"""

import contextlib
import os
import signal
import subprocess
import time

__all__ = ["MARK", "kill_all", "limit_this_process"]

#: Variable of the environment by which processes are found that have left the group.
MARK = "MINIFER_CHECK"

FILE_SIZE = 2**28  # bytes of a file that is written


def limit_this_process(memory, cpu_seconds):
    """Limit this process and those that it starts.

    Parameters
    ----------
    memory : int
        Bytes of address space on top of what is in use now.
    cpu_seconds : float
        On top of what has been used.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    for kind, value in ((resource.RLIMIT_AS, _address_space() + memory),
                        (resource.RLIMIT_CPU, int(spent + cpu_seconds) + 1),
                        (resource.RLIMIT_FSIZE, FILE_SIZE), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit of memory
            resource.setrlimit(kind, (value, value))


def kill_all(child, mark):
    """End a process, its group, and where there is /proc all that bear its mark.

    Parameters
    ----------
    child : subprocess.Popen
        The first of a group of its own.
    mark : str
        Value of :data:`MARK` in its environment.
    """
    if os.name == "nt":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        child.kill()
        return
    for _ in range(100):  # those that are born meanwhile are found in the next round
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        found = _marked(mark)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)


def _marked(mark):
    """Processes that bear a mark; none where there is no /proc."""
    wanted, found = f"{MARK}={mark}".encode(), []
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(name))
    return found


def _address_space():
    """Bytes of address space in use, or 0 where that is not known."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
