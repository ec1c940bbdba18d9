"""Libraries in C kept off the terminal, and what they said.

OpenCV logs to the terminal, and libjpeg, libpng and FFmpeg print there as C programs
do. A line such as "Corrupt JPEG data: premature end of data segment" names no file; yet
it is all that tells a damaged photo from a good one. So the words are caught, and who
decodes a file can say whose they are.

Python's own ``sys.stderr`` is another matter and stays as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["quiet", "heard"]

SILENT = 0  # OpenCV's number for it


class _Ear:
    """Where the C library's ``stderr`` and OpenCV's log lead while it is open.

    Both are global, so the first thread in turns them and the last one out puts them
    back. One thread may ask to be alone: what is said then is said of its file.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.users, self.alone = 0, False
        self.slot = self.words = None
        self.ready = False

    @contextlib.contextmanager
    def open(self, cv2, alone=False):
        with self.changed:
            self.changed.wait_for(lambda: not self.alone)
            self.alone = alone  # no other thread comes in
            try:
                self.changed.wait_for(lambda: not (alone and self.users))
            except BaseException:  # Ctrl-C
                self.alone = self.alone and not alone
                raise
            self.users += 1
            if self.users == 1:
                self._turn(cv2)
        try:
            yield self
        finally:
            with self.changed:
                self.users -= 1
                self.alone = self.alone and not alone
                if self.users == 0:
                    self._put_back(cv2)
                self.changed.notify_all()

    def said(self, start=0):
        """The words from byte ``start`` on; (text, its end)."""
        if self.words is None:
            return "", 0
        end = os.fstat(self.words).st_size
        text = b""
        if end > start:
            text = os.pread(self.words, min(end - start, 10_000), start)
        return text.decode("utf-8", "replace"), end

    def _turn(self, cv2):
        self.level = _logging(cv2).setLogLevel(SILENT)
        if not self.ready:
            self.ready, self.slot = True, _c_stderr()
            if self.slot is not None:
                self.words, self.stream = _stream()
        if self.words is not None:
            self.terminal, self.slot.value = self.slot.value, self.stream

    def _put_back(self, cv2):
        _logging(cv2).setLogLevel(self.level)
        if self.words is not None:
            self.slot.value = self.terminal
            os.ftruncate(self.words, 0)


def _logging(cv2):
    return getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.12 in cv2 itself


def _c_stderr():
    """The variable in which the C library keeps its ``stderr``; None where unknown.

    glibc and macOS let a program set it. Elsewhere the words go where they went.
    """
    name = ("__stderrp" if sys.platform == "darwin" else
            "stderr" if platform.libc_ver()[0] == "glibc" else None)
    try:
        return name and ctypes.c_void_p.in_dll(ctypes.CDLL(None), name)
    except (OSError, ValueError):
        return None


def _stream():
    """Number of a file without a name, and a C stream that writes into it at once."""
    library = ctypes.CDLL(None)
    library.fdopen.restype = ctypes.c_void_p
    library.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int,
                                ctypes.c_size_t]
    try:
        with tempfile.TemporaryFile("a+b", buffering=0) as file:
            words = os.dup(file.fileno())
    except OSError:  # no place to write: then nothing is heard
        return None, None
    stream = library.fdopen(os.dup(words), b"a")
    library.setvbuf(stream, None, 2, 0)  # _IONBF
    return words, stream


_ear = _Ear()


def _after_fork():
    """The child has none of the threads that would put things back."""
    global _ear
    if _ear.users and _ear.words is not None:
        _ear.slot.value = _ear.terminal
    _ear = _Ear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def quiet(cv2: Any):
    """Keep OpenCV and what it is made of off the screen in a block.

    Our errors say it better, and name the file.
    """
    with _ear.open(cv2):
        yield


def heard(cv2: Any, work: Callable[[], Any]) -> tuple[Any, str]:
    """Do something quietly, and hear what C libraries said of it.

    Parameters
    ----------
    cv2 : module
    work : function
        Done a second time, alone, if anything was said: another thread's file may
        have been meant.

    Returns
    -------
    result : object
        What ``work()`` returned.
    words : str
        Lines, or ``""``. Always ``""`` where a C program's ``stderr`` cannot be set:
        on Windows, and with a C library other than glibc on Linux.
    """
    with _ear.open(cv2) as ear:
        _, start = ear.said()
        result = work()
        words, _ = ear.said(start)
    if words:
        with _ear.open(cv2, alone=True) as ear:
            _, start = ear.said()
            result = work()
            words, _ = ear.said(start)
    return result, words
