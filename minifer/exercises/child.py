"""A student's file in a process of its own, which may loop for ever, or crash.

The child writes a line of JSON when a check begins and when it is done. The parent
kills it if a check takes longer than the limit. What the file prints goes to standard
error, so that ``--json`` stays readable.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading

from ..errors import MiniferError, SettingError
from .base import Finding

__all__ = ["TIME_LIMIT", "main", "run_file"]

#: Seconds that one check may take.
TIME_LIMIT = 10.0
#: Seconds until a child has started, on a busy machine.
START_LIMIT = 120.0


def run_file(name, path, limit=TIME_LIMIT):
    """Check a file in a process of its own.

    Parameters
    ----------
    name : str
        Name of the exercise.
    path : str
        The student's file.
    limit : float > 0
        Seconds that each check may take.

    Yields
    ------
    Finding
        As the checks end, up to the first that has not passed.

    Raises
    ------
    SettingError
        If the limit is not above 0, or the file cannot be read.
    """
    if not limit > 0:
        raise SettingError(f"limit: expected seconds above 0, got {limit:g}.")
    program = (f"import sys; sys.path[:] = {sys.path!r}; "
               f"from minifer.exercises.child import main; main({name!r}, {path!r})")
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True, encoding="utf-8")
    lines = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    try:
        yield from _findings(child, lines, limit)
    finally:
        child.kill()
        child.wait()
        reader.join()
        child.stdout.close()


def _read(stream, lines):
    """Put every line into the queue, and None when the stream ends."""
    for line in stream:
        lines.put(line)
    lines.put(None)


def _findings(child, lines, limit):
    title, patience = "the check starts", max(limit, START_LIMIT)
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            yield Finding(title, False, (
                f"it took more than {patience:g} s. Is there a loop without end? "
                "--limit gives it more time."))
            return
        if line is None:
            yield Finding(title, False, f"the process {_death(child.wait())}")
            return
        kind, content = json.loads(line)
        if kind == "began":
            title, patience = content, limit
        elif kind == "finding":
            yield Finding(*content)
        elif kind == "error":
            raise SettingError(content)
        else:
            return


def _death(code):
    """How a process ended that should not have."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}."
    return f"ended with exit code {code}: does the file end it?"


def main(name, path):
    """Run the checks, in the child."""
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # print of the student's file

    def tell(kind, content=None):
        print(json.dumps([kind, content]), file=results, flush=True)

    from . import exercise
    try:
        for finding in exercise(name).examine(path, lambda title: tell("began", title)):
            tell("finding", finding)
    except MiniferError as error:
        tell("error", str(error))
    tell("end")
    sys.stderr.flush()
    os._exit(0)  # without waiting for threads that the file has left behind
