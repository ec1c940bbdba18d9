"""A screen that nobody sees: Xvfb, an X server that draws into memory."""

import atexit
import functools
import os
import shutil
import subprocess


def has(program):
    """Whether a program is installed."""
    return shutil.which(program) is not None


def missing():
    """Why no window can be opened here, or an empty text."""
    try:
        import tkinter  # noqa: F401
    except ImportError:
        return "this Python has no tkinter: apt-get install python3-tk"
    return "" if has("Xvfb") else "no Xvfb: apt-get install xvfb"


@functools.cache
def screen(width=1400, height=900):
    """Start an X server on a free display, and return that display's name.

    It ends with this process: Xlib exits when a server goes that it was ever
    connected to.
    """
    ours, theirs = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-screen", "0", f"{width}x{height}x24",
         "-nolisten", "tcp"], pass_fds=[theirs],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    os.close(theirs)
    with open(ours) as pipe:  # it writes the number as soon as it is ready
        number = pipe.readline().strip()
    assert number, "Xvfb did not start"
    return f":{number}"
