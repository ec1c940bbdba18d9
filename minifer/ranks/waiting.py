"""While a rank waits for the others to start: it says so, and Ctrl-C ends it.

MPI starts on all ranks together. Where one of them ends before, as its script fails or
its machine lacks something, the others wait for ever, deep in MPI, where Python hears
nothing. So a process beside them says it.
"""

import contextlib
import signal
import subprocess
import sys
import threading

__all__ = ["waiting"]

#: Says a text once, if standard input stays open for so many seconds.
SAYS = """import select, sys
if not select.select([0], [], [], float(sys.argv[1]))[0]:
    print(sys.argv[2], file=sys.stderr, flush=True)"""


@contextlib.contextmanager
def waiting(seconds, text):
    """For a block, say a text if it takes longer, and let Ctrl-C end the process.

    Parameters
    ----------
    seconds : float
    text : str or None
        None: nothing is said.
    """
    with contextlib.ExitStack() as stack:
        if text is not None:
            stack.enter_context(_told_after(seconds, text))
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before = signal.signal(signal.SIGINT, signal.SIG_DFL)
            stack.callback(signal.signal, signal.SIGINT, before)
        yield


@contextlib.contextmanager
def _told_after(seconds, text):
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SAYS, str(seconds), text],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    except OSError:  # no room for a process: MPI will say so
        yield
        return
    with process:  # at its end, or that of this process, standard input closes
        yield
