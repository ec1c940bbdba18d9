"""Cases in processes of their own: many at a time, each with limits, each forked.

The parent imports everything once and starts no thread; a fork then costs some
milliseconds, and a case can do no harm to the next one. What a case found comes back
through a pipe, as JSON; a case that says nothing in its time is killed.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from typing import Any, Callable, NamedTuple

from fuzz.readers import Wrong
from minifer.errors import MiniferError, one_line

__all__ = ["Limits", "Outcome", "judge", "run_all"]

MB = 2 ** 20
#: Seconds that damaging a file may take, on a machine with other work.
GETTING_READY = 300
#: What a child says when its time begins: a blank before the JSON.
BEGIN = b" "


class Limits(NamedTuple):
    """What a case may use.

    Attributes
    ----------
    seconds : float
        Time, before it is called a hang.
    memory : int
        MB beyond what the undamaged file takes. Four times as much address space is
        there: more than that cannot even be asked for.
    """

    seconds: float = 20.0
    memory: int = 256


class Outcome(NamedTuple):
    """What became of a case.

    Attributes
    ----------
    verdict : str
        ``clear``: one of minifer's errors, in one line that names the file or its
        folder; ``vague``: one that does not; ``equal``, ``numbers``, ``structure``:
        read as the undamaged file, with other numbers, or with other shapes, names or
        types; ``wrong``: what no file may give; ``traceback``, ``hang``, ``memory``,
        ``crash``.
    text : str
        The error, in a line.
    noise : str
        What was printed meanwhile.
    memory : float
        MB by which the process grew while it read.
    content : list or None
        Fingerprints of what was read: structure and numbers.
    """

    verdict: str
    text: str = ""
    noise: str = ""
    memory: float = 0.0
    content: Any = None


def judge(reader, path, limits, expected=None, beyond=0.0):
    """Read a file in this process and say what became of it.

    Parameters
    ----------
    reader : readers.Reader
    path : pathlib.Path
    limits : Limits
    expected : list, optional
        The content of the undamaged file.
    beyond : float
        MB that reading the undamaged file takes.
    """
    before, content = _peak(), None
    _limit_memory(beyond + 4 * limits.memory)
    try:
        content = [_digest(part) for part in reader.read(path)]
        verdict, text = _compared(content, expected), ""
    except MiniferError as error:
        text = str(error)
        clear = "\n" not in text and (path.name in text or str(path.parent) in text)
        verdict, text = "clear" if clear else "vague", f"{type(error).__name__}: {text}"
    except Wrong as error:
        verdict, text = "wrong", str(error)
    except MemoryError as error:
        verdict, text = "memory", _where(error)
    except BaseException as error:
        verdict, text = "traceback", _where(error)
    grown = _peak() - before
    if grown > beyond + limits.memory:
        verdict, text = "memory", f"{grown:.0f} MB, and then: {verdict} {text}"
    return Outcome(verdict, one_line(text), "", grown, content)


def _compared(content, expected):
    if expected is None or content == expected:
        return "equal"
    return "numbers" if content[0] == expected[0] else "structure"


def _digest(part):
    data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "replace")
    return hashlib.sha256(data).hexdigest()


def _where(error):
    """The error, and the place in minifer or below it that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/minifer/" in frame.filename] or frames
    place = ours[-1]
    name = place.filename.rpartition("/minifer/")[2]
    return f"{type(error).__name__} at {name}:{place.lineno}: {error}"


def _peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def _limit_memory(more):
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux: only growth is looked at
        return
    limit = pages * resource.getpagesize() + int(more * MB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


# --- processes ----------------------------------------------------------------

@dataclasses.dataclass
class _Running:
    """A child, what it works on, what it said, and when its time is over."""

    pid: int
    key: Any
    folder: str
    end: float
    heard: bytes = b""


def run_all(cases, jobs, seconds):
    """Run cases in forked children, so many at a time.

    Parameters
    ----------
    cases : iterable of (key, task)
        ``task(folder, begin)`` returns an :class:`Outcome`; its folder is empty, and
        removed behind it. It calls ``begin()`` when its time begins.
    jobs : int
    seconds : float
        How long a task may take from there.

    Yields
    ------
    key : object
    Outcome
    """
    cases, running = iter(cases), {}
    try:
        while True:
            while len(running) < jobs and (case := next(cases, None)) is not None:
                pipe, child = _start(*case)
                running[pipe] = child
            if not running:
                return
            wait = max(0, min(one.end for one in running.values()) - time.monotonic())
            for pipe in select.select(list(running), [], [], wait)[0]:
                data, child = os.read(pipe, 65536), running[pipe]
                if not child.heard:
                    child.end = time.monotonic() + seconds
                child.heard += data
                if not data:
                    del running[pipe]
                    yield child.key, _end(pipe, child)
            late = [pipe for pipe, one in running.items()
                    if time.monotonic() > one.end]
            for pipe in late:
                child = running.pop(pipe)
                os.kill(child.pid, signal.SIGKILL)
                _end(pipe, child)
                yield child.key, Outcome("hang", f"nothing after {seconds:g} s")
    finally:
        for pipe, child in running.items():
            os.kill(child.pid, signal.SIGKILL)
            _end(pipe, child)


def _start(key, task):
    folder = tempfile.mkdtemp(prefix="minifer-fuzz-")
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(task, folder, theirs)
    os.close(theirs)
    return ours, _Running(pid, key, folder, time.monotonic() + GETTING_READY)


def _child(task: Callable, folder, pipe):
    """The child's whole life; it never returns into the parent's code."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
        with tempfile.TemporaryFile() as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            warnings.simplefilter("default")
            outcome = task(pathlib.Path(folder), lambda: os.write(pipe, BEGIN))
            sys.stderr.flush()
            sys.stdout.flush()
            said.seek(0)
            noise = said.read(4000).decode("utf-8", "replace")
        if noise.strip() and not outcome.noise:
            outcome = outcome._replace(noise=one_line(noise))
        os.write(pipe, json.dumps(outcome).encode())
    except BaseException as error:  # a fault of the fuzzer's own
        os.write(pipe, json.dumps(Outcome(
            "traceback", f"in the fuzzer: {_where(error)}")).encode())
    finally:
        os._exit(0)


def _end(pipe, child):
    """Reap a child; its outcome, or how it died."""
    os.close(pipe)
    status = os.waitpid(child.pid, 0)[1]
    shutil.rmtree(child.folder, ignore_errors=True)
    if child.heard.strip():
        return Outcome(*json.loads(child.heard))
    how = (f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status)
           else f"exit {os.waitstatus_to_exitcode(status)}")
    return Outcome("crash", f"the process died: {how}")
