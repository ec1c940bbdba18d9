"""Readers with planted faults, for the test that the fuzzer sees them.

Called as a script it fuzzes them, as ``tests/fuzz`` does those of minifer::

    python planted_readers.py --cases 60 --seconds 1 --memory 64
"""

import os
import pathlib
import signal
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from fuzz.readers import Reader, Wrong  # noqa: E402
from minifer.errors import WeightsError  # noqa: E402

WHOLE = b"a whole file\n1, 2, 3\n"


def make(folder):
    (folder / "planted.txt").write_bytes(WHOLE)
    return folder / "planted.txt"


def reader(name, fault, outside=""):
    """A reader that is right about the whole file, and else has this fault."""
    def read(path):
        content = path.read_bytes()
        return (len(content), content) if content == WHOLE else fault(path)
    return Reader(name, "text", make, read, outside)


def refuse(path, words="{}: expected a whole file."):
    raise WeightsError(words.format(path))


def raise_(error):
    raise error


def grow(path):
    return len(b"x" * (100 * 2 ** 20)), b""  # and is seen though it is given back


def die(path):
    os.kill(os.getpid(), signal.SIGKILL)


READERS = [
    reader("clear", refuse), reader("vague", lambda path: refuse(path, "no file")),
    reader("two lines", lambda path: refuse(path, "{}:\nno file")),
    reader("numbers", lambda path: (len(WHOLE), b"")),
    reader("structure", lambda path: (0, b"")),
    reader("wrong", lambda path: raise_(Wrong("NaN"))),
    reader("traceback", lambda path: raise_(KeyError("name"))),
    reader("exit", lambda path: sys.exit(0)),
    reader("hang", lambda path: time.sleep(60)), reader("memory", grow),
    reader("no memory", lambda path: bytes(2 ** 40)), reader("crash", die),
    reader("outside", die, "a library"),
    reader("noise", lambda path: print("libfile: bad") or refuse(path))]


if __name__ == "__main__":
    from fuzz.__main__ import main
    sys.exit(main(readers=READERS))
