"""Look for good settings of a training: minifer search [options].

With --data each trial is a run of `minifer train fer2013`, without it one of `minifer
train ck`, on drawn faces or on --images and --labels. Other options of that command
hold for all trials; --space names those to be searched. A trial trains on the training
part, and its score is the best accuracy on the validation part; nothing looks at the
test part. It writes into --out: trials.jsonl (after each trial), report.md and
search.png.

With --runner dask trials run on a Dask cluster: docs/clusters.md shows how.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
from dataclasses import dataclass

from ..device.arrays import resolve
from ..errors import SettingError, visible
from ..files import break_lock, hold_folder
from ..progress import Progress
from ..report import plots
from ..report.search_plot import search_curve
from ..report.text import write_search_report
from ..runs.ck import CK
from ..runs.fer2013 import FER2013
from ..runs.options import command
from ..runs.record import best_accuracy, versions
from ..search import (RECORD, open_runner, parse_space, runner_options,
                      search as search_space)
from .cli import ArgumentParser

#: What is searched unless --space says otherwise.
SPACE = ["lr=log:1e-4:1e-1", "epochs=int:5:50:5", "batch=32,64,128"]
#: Options that no trial may change: scores on other data cannot be compared.
FIXED = ("data", "images", "labels", "subjects", "faces", "last", "neutral", "raw",
         "split", "folds", "seed", "out", "resume",
         "no-validation")


def script(argv, parser):
    """Search, print and write; return the result."""
    args, space, words = parse(argv, parser)
    best_folder = os.path.join(args.out, "best")
    fixed = trial(words, {}, best_folder, parser.prog)
    for name, one in space.items():  # the training's own parser refuses what is wrong
        for value in one.ends:
            trial(words, {name: value}, best_folder, parser.prog)
    if getattr(fixed.args, "folds", None) is not None:
        raise SettingError("--folds: expected one split for all trials, got "
                           f"{fixed.args.folds} folds. Leave it out.")
    if getattr(fixed.args, "no_validation", False):
        raise SettingError("--no-validation: expected a part that tells which trial is "
                           "best, got none. Leave it out.")
    if fixed.args.ranks is not None:
        raise SettingError("--ranks: expected trials that train alone, got "
                           f"{fixed.args.ranks}. Leave it out; --jobs runs several.")
    resolve(fixed.args.device)  # before the work that would be in vain without it
    hold_folder(args.out, ["report.md", "search.png"])
    with open_runner(args, args.out, fixed.progress) as runner:
        objective = Objective(words, parts(fixed), os.path.abspath(args.out))
        result = search_space(
            objective, space, args.strategy, args.trials, args.seed,
            at_once=args.at_once, folder=args.out, resume=args.resume,
            about={"options": words}, progress=fixed.progress,
            runner=tidy(runner, objective))
    for one in result.trials:  # what an interruption left
        shutil.rmtree(objective.folder(one.settings), ignore_errors=True)
    best = command(trial(words, result.best_settings, best_folder, parser.prog).args)
    program = (["python", f"examples/{parser.prog}"] if parser.prog.endswith(".py")
               else parser.prog.split())
    report = write(args, shlex.join([*program, *argv]), fixed.args, result, best)
    print(result)  # the last, so that nothing is lost with who reads it
    print(f"\nbest validation accuracy {result.best_score:.4f} of {len(result.trials)} "
          f"trials. To train with these settings, and to test:\n\n{visible(best)}")
    print(f"\n{report} holds the report, {os.path.join(args.out, RECORD)} the trials.")
    return result


def parse(argv, parser):
    """The search's own options, its space, and the words for the training."""
    parser.epilog = ("All other options are those of "
                     f"{script_of(FER2013, parser.prog)} or, without --data, of "
                     f"{script_of(CK, parser.prog)}, and hold for every trial.")
    add = parser.add_argument
    add("--data", help="fer2013.csv, or a folder of class folders")
    add("--space", action="append", metavar="NAME=RANGE",
        help="an option to search, once for each: LOW:HIGH, log:LOW:HIGH, "
             f"int:LOW:HIGH:STEP or A,B,C (unless given: {' '.join(SPACE)}); net.NAME "
             "is --net NAME=VALUE")
    add("--strategy", choices=["anneal", "random", "optuna"], default="anneal",
        help="simulated annealing, random search, or the library optuna")
    add("--trials", type=int, default=30, help="settings to try")
    add("--at-once", type=int,
        help="trials proposed together (unless given: --jobs, or 8 on Dask)")
    runner_options(add)
    add("--seed", type=int, default=0, help="for everything that is random")
    add("--out", default="runs/search", help="folder for everything that is written")
    add("--resume", action="store_true", help="continue an interrupted search")
    args, others = parser.parse_known_args(argv)
    args.space = args.space or SPACE
    if args.at_once is None and args.runner != "dask":
        args.at_once = args.jobs or 1
    space = parse_space(args.space)
    given = {word.partition("=")[0] for word in others}
    for name in space:
        if name in FIXED:
            parser.error(f"--space {name}: it must be the same for all trials")
        if f"--{name}" in given:
            parser.error(f"--space {name}: expected it there or as --{name}, got both")
    words = (["--data", args.data] if args.data else []) + others
    return args, space, [*words, "--seed", str(args.seed)]


def script_of(experiment, prog):
    """The program that trains: a command if the search is one, or else a script."""
    name = experiment.__name__.lower()
    return f"train_{name}.py" if prog.endswith(".py") else f"minifer train {name}"


def trial(words, settings, out, prog="minifer search", progress=None):
    """The training that ``words``, settings and an output folder ask for."""
    experiment = FER2013 if "--data" in words else CK
    for name, value in settings.items():
        option, _, part = name.partition(".")
        if part:
            words = [*words, f"--{option}={part}={value}"]
        elif value is True:
            words = [*words, f"--{name}"]
        elif value is not False:
            words = [*words, f"--{name}={value}"]
    args = experiment.parse([*words, "--out", out], ArgumentParser(prog=prog))
    args.script = script_of(experiment, prog)
    return experiment(args, progress)


def parts(experiment):
    """The faces that train and choose; those that test are left out at once."""
    return experiment.split(experiment.load())[:2]


@dataclass
class Objective:
    """Train with settings; the score is the best accuracy on the validation part."""

    words: list
    parts: tuple
    out: str

    def folder(self, settings):
        """By its settings, so that an interrupted trial goes on where it stopped."""
        name = hashlib.sha256(ascii((self.words, settings)).encode()).hexdigest()
        return os.path.join(self.out, f"trial-{name[:12]}")

    def __call__(self, settings):
        folder = self.folder(settings)
        one = trial(self.words, settings, folder, progress=Progress(enabled=False))
        one.args.resume = True
        break_lock(folder)  # of an attempt whose machine stands still
        result, *_ = one.train(self.parts, folder)
        return best_accuracy(result)


def tidy(runner, objective):
    """A runner that removes the folder of each trial once its outcome is recorded."""
    def run(objective_, proposals):
        with contextlib.closing(runner(objective_, proposals)) as ended:
            for number, outcome in ended:
                yield number, outcome  # who asks for the next one has recorded it
                shutil.rmtree(objective.folder(proposals[number]), ignore_errors=True)
    return run


def write(args, command, fixed, result, best):
    """Write the report and its picture; return the report's path."""
    title = f"Search for {fixed.script}"
    figure = search_curve(result.trials, f"{title}, strategy {args.strategy}",
                          "best validation accuracy")
    plots.save(figure, os.path.join(args.out, "search.png"))
    settings = vars(args) | {"space": ", ".join(args.space)}
    return write_search_report(args.out, {
        "title": title, "command": command, "best": best, "seed": args.seed,
        "method": f"Strategy {args.strategy}, {len(result.trials)} trials. The score "
                  "of a trial is the best accuracy on the validation part; the test "
                  "part was not looked at.",
        "embedded": args.data is None and fixed.images is None,
        "settings": {k: v for k, v in settings.items() if v is not None},
        "versions": versions()}, result,
        [("search.png", "The score of each trial, and the best so far.")])
