"""Damaged files for every reader: make fuzz ARGS="--cases 20000 --seed 1"

Valid files of every kind that minifer reads are damaged, from a seed: bits, bytes,
pieces, numbers, headers, and parts of the format with checksums set right again. Each
case is read in a process of its own, with limits for time and memory. The table counts
what became of them; examples of what is bad are listed with the words that rerun them.

Exit code 0: nothing bad; 1: something is wrong, a traceback, a hang, beyond the
memory, or a crash that is not in an outside library; 2: wrong use.
"""

import argparse
import collections
import datetime
import gc
import importlib.util
import os
import pathlib
import platform
import random
import re
import shlex
import shutil
import sys
import tempfile
import time

for _name in ("OPENBLAS_NUM_THREADS", "MINIFER_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy: a parent with threads cannot fork
_TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS.parent)]

import numpy  # noqa: E402

import minifer  # noqa: E402
from fuzz.formats import damage  # noqa: E402
from fuzz.readers import READERS  # noqa: E402
from fuzz.worker import Limits, judge, run_all  # noqa: E402
from minifer.faces.images import load_cv2  # noqa: E402

#: Columns of the table, and what they count. The last five are bad.
VERDICTS = {
    "clear": "one of minifer's errors, in one line that names the file or its folder",
    "vague": "one of minifer's errors that does not name the file",
    "equal": "read as if it were whole", "numbers": "read with other numbers",
    "structure": "read with other shapes, names or types, or with parts left out",
    "outside": "the process died in the library that decodes the file",
    "wrong": "read, but what came is no possible answer",
    "traceback": "any other error", "hang": "no end in time",
    "memory": "more than the limit", "crash": "the process died"}
BAD = tuple(VERDICTS)[-5:]
SHOWN = 5


def main(argv=None, readers=READERS):
    args = parse(argv, readers)
    readers = {one.name: one for one in readers
               if not args.only or one.name in args.only}
    work = pathlib.Path(tempfile.mkdtemp(prefix="minifer-fuzz-valid-"))
    try:
        valid = dict(prepare(readers, work, args))
        if args.case is not None:
            return one_case(*valid.values(), args)
        started, done = time.monotonic(), collections.defaultdict(list)
        for (name, number), outcome in run_all(
                cases(valid, args, started), args.jobs, args.limits.seconds):
            if outcome.verdict == "crash" and readers[name].outside:
                outcome = outcome._replace(verdict="outside")
            done[name].append((number, outcome))
            show_progress(done, args, started)
        text = "\n".join(report(done, readers, args, time.monotonic() - started))
        print(text, *examples(done), sep="\n")
        if args.append:  # without examples: some may end other people's programs
            with open(args.append, "a", encoding="utf-8") as file:
                file.write("\n" + text + "\n")
        return int(any(outcome.verdict in BAD for outcomes in done.values()
                       for _, outcome in outcomes))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def parse(argv, readers):
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__.split("\n")[0],
        epilog="readers: " + ", ".join(one.name for one in readers))
    add = parser.add_argument
    add("--cases", type=int, default=2000, help="cases of all readers (default 2000)")
    add("--minutes", type=float, default=float("inf"), help="end after so long")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=os.cpu_count(), help="cases at a time")
    add("--only", metavar="READER", action="append", default=[],
        choices=[one.name for one in readers], help="this reader; may be repeated")
    add("--case", type=int, help="rerun this one case of --only READER")
    add("--keep", metavar="FOLDER", help="with --case: keep its files there")
    add("--seconds", type=float, default=Limits().seconds, help="time of a case")
    add("--memory", type=int, default=Limits().memory,
        help="MB that a case may take beyond what the whole file takes")
    add("--append", metavar="PAGE", help="write the result at the end of a page, too")
    args = parser.parse_args(argv)
    if args.case is not None and len(args.only) != 1:
        parser.error("--case needs --only, once")
    args.limits = Limits(args.seconds, args.memory)
    args.command = "make fuzz ARGS=\"{}\"".format(
        shlex.join(sys.argv[1:] if argv is None else argv))
    return args


class Valid:
    """A reader's whole file on disk, and what reading it gives and takes."""

    def __init__(self, reader, tree, outcome):
        self.reader, self.tree = reader, tree
        self.path, self.outcome = pathlib.Path(outcome.text), outcome
        self.data = (tree / self.path).read_bytes()

    def task(self, number, args):
        """What a case does, given an empty folder."""
        def task(folder, begin):
            path = self.write(number, args.seed, folder)
            begin()
            return judge(self.reader, path, args.limits, self.outcome.content,
                         self.outcome.memory)
        return task

    def write(self, number, seed, folder):
        """Copy the files around it, and write the damaged one; return its path."""
        rng = random.Random(f"{seed} {self.reader.name} {number}")
        shutil.copytree(self.tree, folder, dirs_exist_ok=True)
        path = folder / self.path
        data = self.data
        while data == self.data:  # a line changed for an equal one is no damage
            data = damage(rng, self.data, self.reader.kind)
        path.write_bytes(data)
        return path


def prepare(readers, work, args):
    """Yield each reader's name and its valid file, made and read in a child."""
    def task(reader):
        def make(folder, begin):
            tree = work / reader.name
            tree.mkdir()
            path = reader.make(tree).relative_to(tree)
            shutil.copytree(tree, folder, dirs_exist_ok=True)
            begin()
            outcome = judge(reader, folder / path, args.limits, beyond=1024)
            return outcome._replace(text=str(path), noise=outcome.text)
        return make

    gc.collect()
    gc.freeze()  # what the children share stays shared
    made = run_all([(name, task(one)) for name, one in readers.items()], args.jobs, 120)
    for name, outcome in made:
        if outcome.verdict not in ("equal", "clear"):
            raise SystemExit(f"fuzz: the whole file of {name!r} is not read: "
                             f"{outcome.verdict} {outcome.text} {outcome.noise}")
        if outcome.content is None:  # this reader refuses it: nothing may be accepted
            outcome = outcome._replace(content=["refused", ""])
        yield name, Valid(readers[name], work / name, outcome)


def cases(valid, args, started):
    """Number 0 of each reader, then number 1 of each, until time or number is up."""
    for count in range(args.cases):
        if time.monotonic() - started > 60 * args.minutes:
            return
        name = list(valid)[count % len(valid)]
        number = count // len(valid)
        yield (name, number), valid[name].task(number, args)


def one_case(valid, args):
    """Rerun a case; keep its files if that is wished."""
    if args.keep:
        folder = pathlib.Path(args.keep)
        print("kept:", valid.write(args.case, args.seed, folder))
    (_, outcome), = run_all([(None, valid.task(args.case, args))], 1,
                            args.limits.seconds)
    for name, value in outcome._asdict().items():
        print(f"{name}: {value}")
    return int(outcome.verdict in BAD)


def show_progress(done, args, started):
    count = sum(map(len, done.values()))
    if count % 100 == 0:
        print(f"\r{count} of {args.cases} cases, {time.monotonic() - started:.0f} s ",
              end="", file=sys.stderr, flush=True)


# --- the table ----------------------------------------------------------------

def report(done, readers, args, seconds):
    """Lines of Markdown."""
    counts = {name: collections.Counter(outcome.verdict for _, outcome in outcomes)
              for name, outcomes in done.items()}
    total = sum(counts.values(), collections.Counter())
    noisy = {name: sum(bool(outcome.noise) for _, outcome in outcomes)
             for name, outcomes in done.items()}
    yield f"## {datetime.date.today()}: {sum(total.values()):,d} damaged files"
    yield ""
    yield (f"`{args.command}`: seed {args.seed}, {args.limits.seconds:g} s and "
           f"{args.limits.memory} MB a case, {args.jobs} at a time, "
           f"{seconds / 60:.1f} minutes. {versions()}.")
    yield ""
    yield "| reader | tried | " + " | ".join(VERDICTS) + " | noise |"
    yield "|---|" + "---:|" * (len(VERDICTS) + 2)
    for name in [name for name in readers if name in done]:
        yield row(name, counts[name], noisy[name])
    yield row("all", total, sum(noisy.values()))
    yield ""
    yield "; ".join(f"*{name}*: {text}" for name, text in VERDICTS.items()) + (
        "; *noise*: something was printed besides. Libraries that may die outside: "
        + ", ".join(sorted({f"{one.outside}" for one in readers.values()
                            if one.outside}) or ["none"]) + ".")


def row(name, count, noise):
    numbers = [sum(count.values()), *(count[verdict] for verdict in VERDICTS), noise]
    return f"| {name} | " + " | ".join(map(str, numbers)) + " |"


def examples(done):
    """The first cases of each bad kind, and of vague errors, by reader and place."""
    for verdict in ("vague", *BAD):
        found = collections.defaultdict(list)
        for name, outcomes in done.items():
            for number, outcome in outcomes:
                if outcome.verdict == verdict:
                    place = re.sub(r"\d+ MB", "", outcome.text).split(": ")[0]
                    found[name, place].append((number, outcome.text))
        for (name, _), same in found.items():
            same.sort()
            others = "".join(f", {number}" for number, _ in same[1:SHOWN])
            yield (f"\n{verdict}, {len(same)} times: --only \"{name}\" --case "
                   f"{same[0][0]}{others}\n    {same[0][1]}")


def versions():
    """Machine and versions."""
    found = {"minifer": minifer, "NumPy": numpy, "OpenCV": load_cv2()}
    if importlib.util.find_spec("h5py"):
        found["h5py"] = importlib.import_module("h5py")
    names = ", ".join(f"{name} {one.__version__}" for name, one in found.items())
    return (f"Python {platform.python_version()}, {names}, {platform.system()}, "
            f"{platform.machine()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    sys.exit(main())
