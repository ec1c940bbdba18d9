"""An objective that works in steps and keeps checkpoints, and somebody who stops it.

Each trial has a file in a folder, a line for each start, step and end.
"""

import hashlib
import os
import pathlib
import signal
import threading
import time
from dataclasses import dataclass

from .searches import hill

STEPS = 5
#: What happens to workers.
SIGNS = signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL


@dataclass
class Steps:
    """The hill, climbed in steps of so many seconds; a step is not done twice."""

    folder: str
    seconds: float = .06

    def __call__(self, settings):
        name = hashlib.sha256(repr(settings).encode()).hexdigest()[:12]
        file = pathlib.Path(self.folder, f"{name}.log")
        done = steps(file)
        say(file, f"start {os.getppid()}")
        for step in range(len(done), STEPS):
            time.sleep(self.seconds)
            say(file, f"step {step}")
        say(file, "end")
        return hill(settings)


def say(file, line):
    with open(file, "a", encoding="utf-8") as log:
        log.write(line + "\n")


def lines(file):
    return file.read_text("utf-8").splitlines() if file.exists() else []


def steps(file):
    return [line for line in lines(file) if line.startswith("step")]


def running(folder):
    """Worker's process id of each trial that has begun its steps and not ended."""
    found = {}
    for file in pathlib.Path(folder).glob("*.log"):
        said = lines(file)
        if said and said[-1] in ("step 0", "step 1", "step 2"):
            found[file] = int([line for line in said if "start" in line][-1][6:])
    return found


class Saboteur(threading.Thread):
    """Sends signals to the workers of running trials, each trial once.

    ``victims`` are the trials' files, with what they held then.
    """

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.signs, self.victims = folder, list(SIGNS), {}

    def run(self):
        while self.signs:
            time.sleep(.02)
            for file, worker in running(self.folder).items():
                if file not in self.victims and self.signs:
                    os.kill(worker, self.signs.pop(0))
                    self.victims[file] = lines(file)
