"""How bench.py measures: a process for each contender, all in turn, within a time."""

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

import numpy as np

from contenders import LOSS_STEPS
from minifer.errors import BackendUnavailable

GRACE = 10  # seconds that an answer may take when time is up
PAUSE = 0.02  # seconds between turns, in which the threads of the last go to sleep
#: How far the scores before the softmax may be from minifer's, of the largest, by the
#: number format.
CLOSE = {"float32": 1e-4, "bfloat16": 0.1}
#: What a processor must have for a number format to be worth timing: one of these.
NEEDS = {"bfloat16": {"avx512_bf16", "amx_bf16", "bf16"}}
#: What lets a process of the GNU C library keep its memory; for what is called kept.
KEEPS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2 ** 40)}
#: oneDNN's own name for processors that have it, if it is told to look no further.
WITH_BFLOAT16 = ("", "DEFAULT", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_FP16",
                 "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16", "AVX10_1_512",
                 "AVX10_1_512_AMX", "AVX10_1_512_AMX_FP16")


def precision(config):
    """The number format of a configuration."""
    return next((name for name in NEEDS if name in config), "float32")


def way_of(config):
    """What a configuration is compared as: its number format, or as kept."""
    return "kept" if "kept" in config.split() else precision(config)


def lacks(config, flags):
    """What the processor lacks for a configuration, in words; empty if nothing.

    Parameters
    ----------
    config : str
    flags : set of str
        As the system tells them; empty if it does not.
    """
    name = precision(config)
    wanted = NEEDS.get(name, set())
    if flags and wanted and not wanted & flags:
        return f"this processor has no {name} ({' or '.join(sorted(wanted))})"
    told = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if wanted and told not in WITH_BFLOAT16:
        return f"ONEDNN_MAX_CPU_ISA={told} has no {name}"
    return ""


def cpu_facts():
    """The processor as the system calls it, and its flags, if they can be told."""
    name, flags = platform.processor() or platform.machine(), set()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            facts = [line.partition(":") for line in file.read().splitlines()]
        facts = {key.strip(): value.strip() for key, _, value in reversed(facts)}
        name = facts.get("model name", name)
        flags = set((facts.get("flags") or facts.get("Features", "")).split())
    return f"{name}, {os.cpu_count()} cores", flags


class Clock:
    """How much of ``--minutes`` is left.

    Parameters
    ----------
    minutes : float or None
        None: as long as it takes.
    """

    def __init__(self, minutes):
        self.end = None if minutes is None else time.monotonic() + 60 * minutes

    def left(self):
        """Seconds left; None if there is no limit."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def has(self, seconds):
        """Whether so many seconds are left."""
        return self.end is None or self.left() >= seconds


class Process:
    """A process that is a contender, and answers questions."""

    def __init__(self, args, contender, batch, weights):
        command = [sys.executable,
                   os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench.py"),
                   "--worker", json.dumps([*contender, weights]), "--net", args.net,
                   "--batch", str(batch), "--threads", str(args.threads),
                   "--device", args.device, "--only", *args.only,
                   *getattr(args, "more", [])]
        environment = dict(os.environ, MINIFER_NUM_THREADS=str(args.threads),
                           OMP_NUM_THREADS=str(args.threads),
                           OPENBLAS_NUM_THREADS=str(args.threads),
                           CUPY_TF32=str(int("tf32" in contender[1])))  # its products
        environment |= KEEPS if way_of(contender[1]) == "kept" else {}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment)

    def ask(self, question, seconds=None):
        """Send a line, read a line of JSON: an answer, or what the error was.

        A process that is still silent after so many seconds is ended.
        """
        late = threading.Event()

        def end():
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds or 0, end)
        try:
            if seconds is not None:
                timer.start()
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        return {"error": "--minutes were over" if late.is_set() else
                "the process ended"}

    def close(self):
        """Let it end."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()


def once(args, contender, weights, question):
    """Ask one process one thing."""
    process = Process(args, contender, args.batch, weights)
    answer = process.ask(question)
    process.close()
    if "error" in answer:
        raise BackendUnavailable(f"bench: expected {' '.join(contender)} to run, got "
                                 f"{answer['error']}.")
    return answer


class Contest:
    """All contenders of one run.

    Parameters
    ----------
    args : argparse.Namespace
        Of bench.py.
    contenders : list of tuple
        Of side and configuration; the first is minifer's, with which the outputs of
        the others are compared.
    batches : list of int
    weights : str
        The file of parameters that all start with.
    clock : Clock

    Attributes
    ----------
    results : dict of (str, str, int) -> dict
        By side, configuration and batch.
    rounds : int
        That were made.
    """

    def __init__(self, args, contenders, batches, weights, clock):
        self.args, self.clock = args, clock
        self.weights, self.rounds = weights, 0
        keys = [(*one, batch) for batch in batches for one in contenders]
        self.results = {key: {kind: [] for kind in args.only} for key in keys}
        self.processes = {}

    def run(self):
        """Measure; return the results."""
        try:
            self._start()
            if not self.results:
                raise BackendUnavailable("bench: expected a contender that runs here, "
                                         "got none; the lines above say why.")
            self._measure()
            for question in ("memory", "facts", "losses"):
                self._everybody(question)
        finally:
            for process in self.processes.values():
                process.close()
        return self.results

    def _start(self):
        """One after the other: build, warm up, and compare what they predict."""
        for key in list(self.results):
            self.processes[key] = Process(self.args, key[:2], key[2], self.weights)
            left = self.clock.left()  # nobody may use up the others' time
            answer = self._ask(key, "start", left and left / 2)
            if answer is None or "output" not in answer:  # on a GPU losses tell
                continue
            scores = np.log(np.maximum(answer.pop("output"), 1e-30))  # and a number
            output = scores - scores.mean(1, keepdims=True)
            first = next(iter(self.results))[:2] + key[2:]
            if key == first:
                right = output
            elif first not in self.results:
                self._leave_out(key, "minifer, to compare it with, is not there")
                continue
            far = float(np.abs(output - right).max() / np.abs(right).max())
            self.results[key]["output_difference"] = far
            if not far <= CLOSE[precision(key[1])]:
                self._leave_out(key, f"its outputs are {far:.1e} from minifer's")

    def _measure(self):
        """One round, and more while there is time for them and for what follows."""
        took = 0.0
        while self.rounds < self.args.rounds:
            steps = sum(statistics.median(one["train"]) for one in self.results.values()
                        if one.get("train"))
            if self.rounds and not self.clock.has(took + 2 * LOSS_STEPS * steps):
                break
            began = time.monotonic()
            self._round()
            took = max(took, time.monotonic() - began)
            self.rounds += 1

    def _round(self):
        for kind in self.args.only:
            self._everybody(f"{kind} {self.args.steps}", kind)

    def _everybody(self, question, kind=None):
        for key in list(self.results):
            kinds = self.results[key].get("kinds", self.args.only)
            if ("train" if question == "losses" else kind) in (None, *kinds):
                self._ask(key, question)
                time.sleep(PAUSE)

    def _ask(self, key, question, seconds=None):
        """Keep the answer; leave out who has none."""
        left = self.clock.left()
        if seconds is None and left is not None:
            seconds = max(GRACE, left)
        answer = self.processes[key].ask(question, seconds)
        if "error" in answer:
            self._leave_out(key, answer["error"])
            return None
        result, kind = self.results[key], question.split()[0]
        if "seconds" in answer:
            result[kind] += answer["seconds"]
        else:
            result.update(answer)
        return answer

    def _leave_out(self, key, why):
        who, config, batch = key
        print(f"{who} {config}, batch {batch}: left out, {why}", file=sys.stderr)
        del self.results[key]
