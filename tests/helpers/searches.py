"""Objectives for the tests of the search, and a search that can be stopped.

The objectives are here, as processes of their own import them, and quickly. Called as
a script it searches; the process is killed, or hears Ctrl-C, once the record holds so
many trials::

    python searches.py FOLDER JOBS [kill COUNT | interrupt COUNT]

JOBS is a number of processes, or ``dask``.
"""

import contextlib
import math
import os
import pathlib
import signal
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
SPACE = ["lr=log:1e-4:1e-1", "epochs=int:5:50:5", "batch=32,64,128", "rotation=0:20"]


def hill(settings):
    """Smooth, 0 at lr 0.002, 35 epochs, batch 64 and rotation 8, and less elsewhere."""
    return -((math.log10(settings["lr"] / .002)) ** 2
             + ((settings["epochs"] - 35) / 20) ** 2 + .3 * (settings["batch"] != 64)
             + ((settings["rotation"] - 8) / 8) ** 2)


def cliff(settings):
    """The hill; where the learning rate is high there is no number."""
    if settings["lr"] > .03:
        raise FloatingPointError("the loss\nis NaN")
    return math.nan if settings["lr"] > .01 else hill(settings)


def deadly(settings):
    """The hill; a process that tries batch 128 dies."""
    if settings["batch"] == 128:
        os._exit(7)
    return hill(settings)


def threads(settings):
    """How many threads a library may start here, at most."""
    from threadpoolctl import threadpool_info
    return max([int(os.environ["MINIFER_NUM_THREADS"]),
                *(one["num_threads"] for one in threadpool_info())])


def talkative(settings):
    """The hill; it prints, and reads what is not for it."""
    print("tried" + sys.stdin.read())
    return hill(settings)


def suicidal(settings):
    """Somebody kills the process."""
    os.kill(os.getpid(), signal.SIGKILL)


def fatal(settings):
    """Its worker is killed."""
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()


def allow_failures(count, dask_scheduler):
    """Tell a scheduler how many workers a task may cost."""
    dask_scheduler.allowed_failures = count


class Waiting:
    """Waits for ever, or for so many that wait; its process's id is a file's name."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __call__(self, settings):
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < settings.get("until", math.inf):
            time.sleep(.02)
        return 0


class Doom:
    """The hill; once the record holds ``count`` trials, a signal to the searcher."""

    def __init__(self, record, searcher, sign, count):
        self.record, self.searcher = record, searcher
        self.sign, self.count = sign, count

    def __call__(self, settings):
        if len(self.record.read_text("utf-8").splitlines()) > self.count:
            with contextlib.suppress(FileExistsError):  # another trial was faster
                self.record.with_name("doom").touch(exist_ok=False)
                if self.sign == signal.SIGINT:  # a terminal tells all processes
                    os.kill(os.getpid(), self.sign)
                os.kill(self.searcher, self.sign)
            threading.Event().wait()  # for ever, unless somebody ends this process
        return hill(settings)


def main(folder, jobs, event=None, count=0):
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    from minifer.search import Dask, Processes, parse_space, search
    objective = hill
    if event:
        sign = signal.SIGKILL if event == "kill" else signal.SIGINT
        objective = Doom(pathlib.Path(folder) / "trials.jsonl", os.getpid(), sign,
                         int(count))
    with Dask.local(2) if jobs == "dask" else Processes(int(jobs)) as runner:
        search(objective, parse_space(SPACE), trials=12, seed=4, at_once=4,
               folder=folder, resume=True, runner=runner)


if __name__ == "__main__":
    from minifer.commands import cli
    cli.run(lambda: main(*sys.argv[1:]))
