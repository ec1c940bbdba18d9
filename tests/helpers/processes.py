"""Processes of others: have they ended?"""

import pathlib
import time


def ended(process):
    """Has it ended? It may still wait to be noticed by its parent.

    ``process`` is its id, or a file with that name. It reads /proc.
    """
    try:
        stat = pathlib.Path("/proc", pathlib.Path(str(process)).name, "stat")
        return stat.read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition, seconds=30):
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(.02)
