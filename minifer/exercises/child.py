"""The process that a student's file runs in: it checks, and tells what it found."""

import json
import os
import signal
import sys
import threading

from ..errors import MiniferError
from . import exercise
from .bounds import limit_this_process
from .channel import KEY_SIZE, Sender

__all__ = ["main"]


def main():
    """Read the task from standard input, run the checks, tell them over fd 1."""
    sender, me = Sender(os.dup(1), _read(KEY_SIZE)), os.getpid()
    task = json.loads(_line())
    os.dup2(2, 1)  # print of the student's file
    parent = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    def tell(*content):
        if os.getpid() != me:  # a fork that the file has made
            os._exit(0)
        sender.send(*content)

    try:
        checks = exercise(task["name"])
        limit_this_process(task["memory"], task["cpu_seconds"])
        for finding in checks.examine(task["path"], lambda title: tell("began", title)):
            tell("finding", finding)
    except MiniferError as error:
        tell("error", str(error))
    tell("end")
    sys.stderr.flush()
    os._exit(0)  # without waiting for threads that the file has left behind


def _end_with(parent):
    """Wait until the parent is no more, then end with all that was started."""
    try:
        while os.read(parent, 1):
            pass
    except OSError:  # the file has closed it
        return
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _read(count):
    """The next bytes of standard input, and not one more."""
    data = b""
    while len(data) < count:
        data += os.read(0, count - len(data)) or sys.exit("check: no task came.")
    return data


def _line():
    data = b""
    while not data.endswith(b"\n"):
        data += _read(1)
    return data
