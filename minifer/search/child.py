"""A trial in a child of the process that runs it, for workers of a cluster.

A worker's thread cannot be ended, a process can. The child lives as long as it hears
from its parent: it ends at once when the parent does, and after some silence when the
parent was stopped, as its trial may be running elsewhere by then. Signals that are
meant for the parent do not reach it.

The process itself is ``python -m minifer.search.child``: it reads a pickled
:class:`Job` from standard input, then a byte now and then, and writes its outcome to
standard output, pickled.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from .outcome import THREADS, Outcome, Pickled, attempt

__all__ = ["Job", "run_job"]

#: Seconds between two looks at the child.
TICK = 0.2
#: Seconds until a child's death by a signal counts as its own: whoever ends a whole
#: job ends the parent, too.
GRACE = 1.0
#: What a child says that ends because it heard nothing.
SILENCE = b"silence"


class Job(NamedTuple):
    """What a child is to do.

    Attributes
    ----------
    objective : bytes
        A pickled function.
    settings : dict
    folder : str
        The working directory, if there is one of that name.
    patience : float
        It ends after so many seconds of silence.
    """

    objective: bytes
    settings: dict
    folder: str
    patience: float


def run_job(job, threads, wanted):
    """Run a job in a child of this process.

    Parameters
    ----------
    job : Job
    threads : int
        Threads that its libraries may start.
    wanted : function
        Called as ``wanted()`` several times a second: the child is ended when it
        returns False.

    Returns
    -------
    Outcome or None
        None if it is no longer wanted.
    """
    started = time.perf_counter()
    content = pickle.dumps(job)
    while True:
        said, code = _run_once(content, threads, wanted)
        if code is None:
            return None
        if said and said != SILENCE:
            return pickle.loads(said)
        if not said:
            return Outcome(None, f"its process died with exit code {code}",
                           time.perf_counter() - started)


def _run_once(content, threads, wanted):
    """What a child said, and its exit code; None in place of that if not wanted."""
    environment = os.environ | dict.fromkeys(THREADS, str(threads)) | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with _signals_blocked():
        process = subprocess.Popen([sys.executable, "-m", __name__], env=environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        _say(process, content)
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TICK)
            if not wanted():
                return b"", None
            _say(process, b".")
        if process.returncode < 0:
            time.sleep(GRACE)
        if not wanted():
            return b"", None
        return process.stdout.read(), process.returncode
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()


def _say(process, content):
    with contextlib.suppress(OSError):  # it may have ended
        process.stdin.write(content)
        process.stdin.flush()


@contextlib.contextmanager
def _signals_blocked():
    """A process started in this block hears neither Ctrl-C nor a request to end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main():
    """The child."""
    ours, result = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # neither is the objective's
    os.dup2(2, 1)
    job = pickle.load(os.fdopen(ours, "rb", closefd=False))
    threading.Thread(target=_end_after_silence, args=(ours, result, job.patience),
                     daemon=True).start()
    with contextlib.suppress(OSError):
        os.chdir(job.folder)
    outcome = attempt(Pickled(job.objective), job.settings)
    os.write(result, pickle.dumps(outcome))


def _end_after_silence(parent, result, patience):
    """End this process when the parent has ended, or says nothing for so long."""
    heard = threading.Event()

    def listen():
        while os.read(parent, 4096):
            heard.set()
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    # Twice in turn: the objective may have kept both threads from running.
    while heard.wait(patience / 2) or heard.wait(patience / 2):
        heard.clear()
    os.write(result, SILENCE)
    os._exit(1)


if __name__ == "__main__":
    main()
