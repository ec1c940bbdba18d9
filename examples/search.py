"""Search for good settings: python examples/search.py --space lr=log:1e-4:1e-1

With --data each trial is a run of train_fer2013.py, without it one of train_ck.py,
on drawn faces or on --images and --labels. Other options of that script hold for all
trials; --space names those to be searched. A trial trains on the training part, and
its score is the best accuracy on the validation part; nothing looks at the test part.
It writes into --out: trials.jsonl (after each trial), report.md and search.png.
"""

import hashlib
import os
import shlex
import shutil
import sys
from dataclasses import dataclass

import train_ck
import train_fer2013
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import resolve
from minifer.errors import SettingError
from minifer.files import make_folder
from minifer.progress import Progress
from minifer.report import plots
from minifer.report.text import write_search_report
from minifer.search import RECORD, parse_space, search, search_curve

#: What is searched unless --space says otherwise.
SPACE = ["lr=log:1e-4:1e-1", "epochs=int:5:50:5", "batch=32,64,128"]
#: Options that no trial may change: scores on other data cannot be compared.
FIXED = ("data", "images", "labels", "subjects", "faces", "last", "neutral", "raw",
         "split", "folds", "seed", "out", "resume")


def parse(argv, prog="search.py"):
    """The search's own options, and the words that are for the training script."""
    parser = ArgumentParser(
        prog=prog, description=__doc__.split("\n")[0],
        epilog="All other options are those of train_fer2013.py or, without --data, of "
               "train_ck.py, and hold for every trial.")
    add = parser.add_argument
    add("--data", help="fer2013.csv, or a folder of class folders")
    add("--space", action="append", metavar="NAME=RANGE",
        help="an option to search, once for each: LOW:HIGH, log:LOW:HIGH, "
             f"int:LOW:HIGH:STEP or A,B,C (unless given: {' '.join(SPACE)})")
    add("--strategy", choices=["anneal", "random", "optuna"], default="anneal",
        help="simulated annealing, random search, or the library optuna")
    add("--trials", type=int, default=30, help="settings to try")
    add("--jobs", type=int, default=1, help="trials that run at the same time")
    add("--at-once", type=int, help="trials proposed together (unless given: --jobs)")
    add("--seed", type=int, default=0, help="for everything that is random")
    add("--out", default="runs/search", help="folder for everything that is written")
    add("--resume", action="store_true", help="continue an interrupted search")
    args, others = parser.parse_known_args(argv)
    args.space = args.space or SPACE
    space = parse_space(args.space)
    given = {word.partition("=")[0] for word in others}
    for name in space:
        if name in FIXED:
            parser.error(f"--space {name}: it must be the same for all trials")
        if f"--{name}" in given:
            parser.error(f"--space {name}: expected it there or as --{name}, got both")
    words = (["--data", args.data] if args.data else []) + others
    return args, space, [*words, "--seed", str(args.seed)]


def options(words, settings, out, prog="search.py"):
    """What the training script makes of ``words``, settings and an output folder."""
    script = train_fer2013 if "--data" in words else train_ck
    for name, value in settings.items():
        if value is True:
            words = [*words, f"--{name}"]
        elif value is not False:
            words = [*words, f"--{name}={value}"]
    return script.parse([*words, "--out", out], prog)


@dataclass
class Objective:
    """Train with settings; the score is the best accuracy on the validation part."""

    words: list
    faces: tuple  # what the training script's train() takes
    out: str

    def __call__(self, settings):
        # By its settings, so that an interrupted trial goes on where it stopped.
        name = hashlib.sha256(repr((self.words, settings)).encode()).hexdigest()
        folder = os.path.join(self.out, f"trial-{name[:12]}")
        args = options(self.words, settings, folder)
        args.resume = True
        quiet = Progress(enabled=False)
        try:
            if "--data" in self.words:
                result, *_ = train_fer2013.train(args, *self.faces, quiet)
            else:
                result, *_ = train_ck.train(args, *self.faces, folder, quiet)
        except Exception:  # but not Ctrl-C
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder)
        return train_ck.best_accuracy(result)


def load(args, progress):
    """The faces that train and choose; those that test are left out at once."""
    if args.script == "train_fer2013.py":
        faces = train_fer2013.load(args, progress)
        training, validation, *_ = train_fer2013.split(args, faces)
        return training, validation
    faces = train_ck.load_faces(args, progress)
    training, validation, _ = train_ck.split(args, faces)
    faces = faces.subset([*training, *validation])
    n = len(training)
    # What train_ck would test with is the validation part once more.
    return faces, (range(n), range(n, len(faces)), range(n, len(faces)))


def main(argv=None, prog="search.py"):
    """Run the whole story; return the result."""
    argv = sys.argv[1:] if argv is None else argv
    args, space, words = parse(argv, prog)
    best_folder = os.path.join(args.out, "best")
    fixed = options(words, {}, best_folder, prog)
    for name, one in space.items():  # the script's own parser refuses what is wrong
        for value in one.ends:
            options(words, {name: value}, best_folder)
    if getattr(fixed, "folds", None) is not None:
        raise SettingError("--folds: expected one split for all trials, got "
                           f"{fixed.folds} folds. Leave it out.")
    resolve(fixed.device)  # before the work that would be in vain without it
    make_folder(args.out)
    progress = Progress()
    faces = load(fixed, progress)
    result = search(Objective(words, faces, args.out), space, args.strategy,
                    args.trials, args.seed, args.jobs, args.at_once, args.out,
                    args.resume, about={"options": words}, progress=progress)
    best = train_ck.command(options(words, result.best_settings, best_folder))
    print(result)
    print(f"\nbest validation accuracy {result.best_score:.4f} of {len(result.trials)} "
          f"trials. To train with these settings, and to test:\n\n{best}")
    command = shlex.join(["python", "examples/search.py", *argv])
    write(args, command, fixed, result, best)
    return result


def write(args, command, fixed, result, best):
    """Write the report and its picture."""
    title = f"Search for {fixed.script}"
    figure = search_curve(result.trials, f"{title}, strategy {args.strategy}",
                          "best validation accuracy")
    plots.save(figure, os.path.join(args.out, "search.png"))
    settings = vars(args) | {"space": ", ".join(args.space)}
    report = write_search_report(args.out, {
        "title": title, "command": command, "best": best, "seed": args.seed,
        "method": f"Strategy {args.strategy}, {len(result.trials)} trials. The score "
                  "of a trial is the best accuracy on the validation part; the test "
                  "part was not looked at.",
        "embedded": args.data is None and fixed.images is None,
        "settings": {k: v for k, v in settings.items() if v is not None},
        "versions": train_ck.versions()}, result,
        [("search.png", "The score of each trial, and the best so far.")])
    print(f"\n{report} holds the report, {os.path.join(args.out, RECORD)} the trials.")


if __name__ == "__main__":
    run(main)
