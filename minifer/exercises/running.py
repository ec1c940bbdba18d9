"""A student's file in a process of its own, which may loop for ever, or crash.

The child signs a line when a check begins and when it is done (:mod:`.channel`). The
parent ends it, with all that it has started, if a check takes longer than the limit.
What the file prints goes to standard error, up to a limit too, so that ``--json``
stays readable.

This guards against mistakes and simple tricks. It is no sandbox: the file can do
whatever its owner can do, and what runs in the same process as the checks could, with
enough cunning, change them.
"""

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time

from ..errors import SettingError
from .base import Finding
from .bounds import MARK, kill_all
from .channel import ForgedError, Receiver, new_key

__all__ = ["MEMORY_LIMIT", "TIME_LIMIT", "run_file"]

#: Seconds that one check may take.
TIME_LIMIT = 10.0
#: GiB of memory that the file may take.
MEMORY_LIMIT = 4.0
#: Seconds until a child has started, on a busy machine.
START_LIMIT = 120.0
#: Checks of an exercise, at most: for the limit of processor time.
MOST_CHECKS = 20
#: Bytes of a file's prints that are shown, and of results that are read.
MOST_PRINTED = MOST_TOLD = 10**6
#: Seconds to wait for what is on its way when the process has ended.
GRACE = 0.5


def run_file(name, path, limit=TIME_LIMIT, memory=MEMORY_LIMIT):
    """Check a file in a process of its own.

    Parameters
    ----------
    name : str
        Name of the exercise.
    path : str
        The student's file.
    limit : float > 0
        Seconds that each check may take, at most a day.
    memory : float > 0
        GiB that the file may take; without effect on Windows and macOS.

    Yields
    ------
    Finding
        As the checks end, up to the first that has not passed.

    Raises
    ------
    SettingError
        If a limit is not above 0, or the file cannot be read.
    """
    if not 0 < limit <= 86400:
        raise SettingError(
            f"limit: expected seconds above 0, at most 86400, got {limit:g}.")
    if not 0 < memory <= 2**20:
        raise SettingError(f"memory: expected GiB above 0, got {memory:g}.")
    cores = os.cpu_count() or 1
    task = {"name": name, "path": os.path.abspath(path), "memory": int(memory * 2**30),
            "cpu_seconds": min(limit * MOST_CHECKS * cores, 2**30)}
    key, mark = new_key(), secrets.token_hex(8)
    program = (f"import sys; sys.path[:] = {sys.path!r}; "
               "from minifer.exercises.child import main; main()")
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, MARK: mark})
    lines = queue.SimpleQueue()
    readers = [threading.Thread(target=target, args=(stream, *args), daemon=True)
               for target, stream, *args in ((_read, child.stdout, lines),
                                             (_show, child.stderr))]
    for reader in readers:
        reader.start()
    try:
        with contextlib.suppress(OSError):  # it has ended already: that will be told
            child.stdin.write(key + json.dumps(task).encode() + b"\n")
            child.stdin.flush()  # and stays open: the child ends when it is closed
        yield from _findings(child, lines, Receiver(key), limit)
    finally:
        kill_all(child, mark)
        child.wait()
        with contextlib.suppress(OSError):
            child.stdin.close()
        for reader, stream in zip(readers, (child.stdout, child.stderr)):
            reader.join(GRACE)
            if not reader.is_alive():  # else one that escaped still holds the pipe
                stream.close()


def _read(stream, lines):
    """Put every line into the queue, and None when the stream ends."""
    data, total = b"", 0
    while chunk := _some_of(stream):
        total += len(chunk)
        *whole, data = (data + chunk).split(b"\n")
        for line in whole:
            lines.put(line)
        if total > MOST_TOLD:
            lines.put(b"too much")
            return
    if data:
        lines.put(data)
    lines.put(None)


def _show(stream):
    """Pass on what the file prints, up to a limit, and read the rest."""
    left = MOST_PRINTED
    while chunk := _some_of(stream):
        if left <= 0:
            continue
        text = chunk[:left].decode("utf-8", "replace")
        left -= len(chunk)
        if left <= 0:
            text += f"\n(it prints more than {MOST_PRINTED:,} bytes: the rest is cut)\n"
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _some_of(stream):
    with contextlib.suppress(OSError, ValueError):
        return os.read(stream.fileno(), 65536)
    return b""


def _findings(child, lines, receiver, limit):
    title, patience = "the check starts", max(limit, START_LIMIT)
    until = time.monotonic() + patience
    while True:
        try:
            line = _next(child, lines, until)
        except queue.Empty:
            yield Finding(title, False, (
                f"it took more than {patience:g} s. Is there a loop without end? "
                "--limit gives it more time."))
            return
        if line is None:
            yield Finding(title, False, f"the process {_death(child.returncode)}")
            return
        try:
            kind, *content = receiver.read(line)
        except ForgedError:
            yield Finding(title, False, (
                "something that is no result came where the results come: the file "
                "writes to a descriptor that it has not opened."))
            return
        if kind == "began":
            title, patience = content[0], limit
        elif kind == "finding":
            yield Finding(*content[0])
        elif kind == "error":
            raise SettingError(content[0])
        else:
            return
        until = time.monotonic() + patience


def _next(child, lines, until):
    """The next line; None once the process has ended; queue.Empty if time is over."""
    ended = False
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise queue.Empty
        try:
            line = lines.get(timeout=GRACE if ended else min(left, 0.1))
        except queue.Empty:
            if ended:
                return None
            ended = child.poll() is not None
            continue
        if line is not None:
            return line
        while child.poll() is None:  # it has closed its end, but runs on
            if time.monotonic() > until:
                raise queue.Empty
            time.sleep(0.01)
        return None


def _death(code):
    """How a process ended that should not have."""
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}."
        except ValueError:
            return f"was killed by signal {-code}."
    return f"ended with exit code {code}: does the file end it?"
