"""Where a training stands, and Ctrl-C: the batch at hand is finished and saved."""

import contextlib
import signal
import threading

__all__ = ["TrainingInterrupted", "interrupt_flag", "where"]


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; everything up to the last batch has been saved."""


@contextlib.contextmanager
def interrupt_flag():
    """An event that the first Ctrl-C sets; the second interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # only the main thread may handle signals
        return

    def note(signum, frame):
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)


def where(place):
    """Where a run stands, in words."""
    text = f"epoch {place.get('epoch', 0)}"
    if place.get("batch"):
        text += f" and {place['batch']} batches"
    return text
