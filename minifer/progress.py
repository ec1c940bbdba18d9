"""Progress on a terminal as a bar, elsewhere as plain lines.

In a file, a pipe or a notebook a bar would leave a heap of half lines, so there are
whole lines now and then. It all goes to standard error: ``minifer ... > result.txt``
holds the result alone.
"""

import functools
import sys
import threading

from .errors import visible

__all__ = ["Progress"]


class Progress:
    """Report progress on standard error: a bar on a terminal, lines elsewhere.

    Parameters
    ----------
    enabled : bool, default True
        False keeps quiet altogether.
    stream : file, default sys.stderr
    """

    def __init__(self, enabled=True, stream=None):
        self.stream = stream or sys.stderr
        # a program without a console, such as a window on Windows, has no stderr
        self.enabled = enabled and self.stream is not None
        self.terminal = self.enabled and self.stream.isatty()

    def line(self, text):
        """Print one line."""
        if self.enabled:
            print(visible(text, "\n"), file=self.stream, flush=True)

    def bar(self, total, title):
        """A bar that is gone when its ``with`` block ends; ``.update(1)`` moves it."""
        return _bars()(total=total, desc=visible(title), file=self.stream, leave=False,
                       disable=not self.terminal, dynamic_ncols=True)

    def callback(self, title):
        """A function ``(done, total)`` that draws a bar, or a line now and then."""
        state = {"bar": None, "printed": 0}

        def report(done, total):
            if self.terminal:
                if state["bar"] is None:
                    state["bar"] = self.bar(total, title)
                state["bar"].update(done - state["bar"].n)
                if done >= total:
                    state["bar"].close()
            elif done >= total or done - state["printed"] >= max(1, total // 4):
                state["printed"] = done
                self.line(f"{title}: {done}/{total}")
        return report


@functools.lru_cache
def _bars():
    """Tqdm's bars, for the threads of one process.

    Its own lock is for several processes, too, and is a semaphore of the system; a
    process that is ended before its time leaves it behind.
    """
    from tqdm import tqdm

    class Bar(tqdm):
        _lock = threading.RLock()

    return Bar
