"""Many at once with one model: make load ARGS="--seconds 60"

Four processes, two of them forked and two started afresh, open one model file. In each,
eight threads share one Predictor and one compiled function, and ask it for photos and
batches in any order. Each answer is compared, bit for bit, with the one that a quiet
process with a single thread gave for the same photos or batch.

Exit code 0: no wrong answer, no error, and memory stays as it was at half time; 1
otherwise.
"""

import argparse
import collections
import datetime
import itertools
import multiprocessing
import os
import pathlib
import random
import resource
import sys
import tempfile
import threading
import time

_TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS), str(_TESTS.parent)]

import numpy as np  # noqa: E402

import minifer  # noqa: E402
from helpers import clips, photos  # noqa: E402
from minifer import layers  # noqa: E402
from minifer.faces.images import write_png  # noqa: E402
from minifer.predict.predictor import Predictor  # noqa: E402

#: Memory may be higher at the end than at half time by this share. Before, it grows
#: with the number of threads that happen to be at the same work.
ROOM = 0.1
#: After so many seconds without a word, a process hangs.
PATIENCE = 60


class Questions:
    """A model and all that is asked: name -> a function that answers."""

    def __init__(self, folder):
        self.predictor = Predictor.load(folder / "model.npz")
        network = self.predictor.model.network
        source = layers.get_all_layers(network)[0]
        hidden = layers.get_all_layers(network)[-2]
        self.compute = minifer.function(
            [source.input_var],
            layers.get_output([hidden, network], deterministic=True))
        self.asked = dict(self._all(sorted(folder.glob("*.png")) + [folder / "none"]))

    def _all(self, paths):
        predictor, rng = self.predictor, np.random.default_rng(0)
        for path in paths:
            yield f"photo {path.name}", (
                lambda path=path: predictor.photo(path).to_dict())
        for start, batch in itertools.product((0, 3), (1, 4, 16)):
            several = paths[start:] + paths[:start]
            yield f"photos from {start} by {batch}", lambda several=several, n=batch: [
                photo.to_dict() for photo in predictor.photos(several, batch_size=n)]
        for n in (1, 2, 7, 16, 40):
            crops = rng.integers(0, 256, (n, 1, 24, 24), np.uint8)
            yield f"{n} crops", lambda crops=crops: predictor.saturations(crops)
            batch = rng.normal(size=(n, 1, 24, 24)).astype(np.float32)
            yield f"function of {n}", lambda batch=batch: [
                one.tobytes() for one in self.compute(batch)]

    def answer(self, name):
        """The answer, as a text in which no bit is lost."""
        return repr(self.asked[name]())


def make(folder):
    """A model of 24x24 pixels, and photos of nobody, of one drawn face and of more."""
    clips.save_judge(folder / "model.npz")
    for number, people in enumerate([(0,), (1,), (0, 1), (1, 0, 1)]):
        write_png(folder / f"people{number}.png", clips.walk(1, people)[0][::3, ::3])
    size = {"height": 100, "width": 133}
    write_png(folder / "empty.png", photos.draw_photo(**size))
    write_png(folder / "head.png", photos.draw_photo((40, 20, 50), **size))
    (folder / "damaged.png").write_bytes((folder / "head.png").read_bytes()[:900])


def memory():
    """MB that this process takes now, and took at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2 ** 20
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return peak, peak
    return pages * resource.getpagesize() / 2 ** 20, peak


def work(folder, expected, seconds, threads, number, pipe):
    """A process: ask from all threads until the time is over, and tell how it went."""
    questions = Questions(folder)
    counts, wrong = collections.Counter(), collections.Counter()
    errors, lock, marks = [], threading.Lock(), []
    end = time.monotonic() + seconds

    def ask(thread):
        rng = random.Random(f"{number} {thread}")
        while time.monotonic() < end:
            name = rng.choice(list(expected))
            try:
                right = questions.answer(name) == expected[name]
            except BaseException as error:
                with lock:
                    errors.append(f"{name}: {type(error).__name__}: {error}")
                continue
            with lock:
                counts[name] += 1
                wrong[name] += not right

    asking = [threading.Thread(target=ask, args=(one,), daemon=True)
              for one in range(threads)]
    for one in asking:
        one.start()
    for quarter in (1, 2, 3, 4):
        time.sleep(max(0, end - seconds * (4 - quarter) / 4 - time.monotonic()))
        marks.append(memory())
    for one in asking:
        one.join(PATIENCE)
    hanging = sum(one.is_alive() for one in asking)
    pipe.send((counts, wrong, errors, hanging, marks))


def main(argv=None):
    parser = argparse.ArgumentParser(prog="load", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--seconds", type=float, default=60.0)
    add("--threads", type=int, default=8, help="in each process")
    add("--processes", type=int, default=4)
    add("--append", metavar="PAGE", help="write the result at the end of a page, too")
    args = parser.parse_args(argv)
    args.command = 'make load ARGS="{}"'.format(
        " ".join(sys.argv[1:] if argv is None else argv))
    with tempfile.TemporaryDirectory(prefix="minifer-load-") as name:
        folder = pathlib.Path(name)
        make(folder)
        quiet = Questions(folder)
        expected = {name: quiet.answer(name) for name in quiet.asked}
        started = list(start(folder, expected, args))
        results = [listen(*one, args.seconds) for one in started]
    text, good = report(results, len(expected), args)
    print(text)
    if args.append:
        with open(args.append, "a", encoding="utf-8") as file:
            file.write("\n" + text + "\n")
    return int(not good)


def start(folder, expected, args):
    """Start the processes, every second one as a fork of this one."""
    for number in range(args.processes):
        context = multiprocessing.get_context("fork" if number % 2 else "spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, daemon=False, args=(
            folder, expected, args.seconds, args.threads, number, theirs))
        process.start()
        theirs.close()
        yield process, ours


def listen(process, pipe, seconds):
    """What a process told, or None if it died or hangs."""
    try:
        result = pipe.recv() if pipe.poll(seconds + 2 * PATIENCE) else None
    except EOFError:
        result = None
    process.join(1)
    if process.is_alive():
        process.kill()
    return result


def report(results, questions, args):
    """The figures as Markdown, and whether all is well."""
    told = [one for one in results if one is not None]
    counts = sum((one[0] for one in told), collections.Counter())
    wrong = sum((one[1] for one in told), collections.Counter())
    errors = [text for one in told for text in one[2]]
    hanging = sum(one[3] for one in told)
    now = [sum(one[4][quarter][0] for one in told) for quarter in range(4)]
    peak = [sum(one[4][quarter][1] for one in told) for quarter in range(4)]
    flat = peak[3] <= peak[1] * (1 + ROOM)
    total, seconds = sum(counts.values()), args.seconds
    lines = [
        f"## {datetime.date.today()}: {args.processes} processes of {args.threads} "
        "threads with one model", "",
        f"`{args.command}`: {seconds:g} s, {questions} questions (photos, folders of "
        "photos in batches, batches of crops, a compiled function), each answer "
        "compared bit for bit with that of a quiet process with one thread. Python "
        f"{sys.version.split()[0]}, minifer {minifer.__version__}, NumPy "
        f"{np.__version__}, {os.cpu_count()} cores.", "",
        "| answers | a second | wrong | errors | threads that hang | "
        "processes that died |", "|---:|---:|---:|---:|---:|---:|",
        f"| {total:,d} | {total / seconds:.0f} | {sum(wrong.values())} | {len(errors)} "
        f"| {hanging} | {len(results) - len(told)} |", "",
        "| memory of all processes, MB | "
        + " | ".join(f"{seconds * k / 4:g} s" for k in (1, 2, 3, 4)) + " |",
        "|---|---:|---:|---:|---:|",
        "| now | " + " | ".join(f"{one:.0f}" for one in now) + " |",
        "| at most so far | " + " | ".join(f"{one:.0f}" for one in peak) + " |"]
    lines += [f"\nwrong: {name}, {n} of {counts[name]}" for name, n in wrong.items()
              if n] + [f"\nerror: {text}" for text in sorted(set(errors))[:5]]
    if not flat:
        lines.append("\nThe memory grows.")
    good = flat and not (errors or hanging or sum(wrong.values())
                         or len(told) < len(results))
    return "\n".join(lines), good


if __name__ == "__main__":
    sys.exit(main())
