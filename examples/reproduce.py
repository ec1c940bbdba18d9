"""Run an experiment of one of the five systems again: python examples/reproduce.py NAME

An experiment is a command line of a training script, kept here so that everybody runs
the same; what the run writes goes into a folder of its own. The row that is printed
sets what the system's text reported beside what minifer measures. Validation is taken
from the training part, and the test part is looked at once. --list shows all names.

Several names, --jobs or --runner let experiments run side by side, on this machine or
on a cluster; what each prints is then in log.txt of its folder. One that fails or is
killed does not stop the others, and --resume goes on with it.
"""

import argparse
import contextlib
import importlib
import json
import os
import shlex
import sys
from dataclasses import dataclass

from minifer.commands.cli import ArgumentParser, run
from minifer.errors import MiniferError
from minifer.files import break_lock, hold_folder, lock_folder, write_text
from minifer.progress import Progress
from minifer.search import open_runner, runner_given, runner_options

#: An image's changes each time it is seen.
CHANGES = "--flip --rotation 10 --shift 0.08 --zoom 0.1"
#: For dense layers, which must learn each place of a feature by itself.
LESS = "--flip --rotation 5 --shift 0.05"
#: And how such a network is trained today; see docs/recipes.md.
TODAY = ("--schedule warmup:400 --label-smoothing 0.1 --average 0.999 "
         "--last-batch deal")
SHORT = f"{CHANGES} {TODAY}"
RECIPE = f"{SHORT} --erase 0.25"  # where epochs are many
#: Where the number of epochs stands.
ALL = "--no-validation --tta"
#: What learns from what others say needs no smoothing of labels.
TAUGHT = (f"{CHANGES} --erase 0.25 --schedule warmup:400 --average 0.999 "
          f"--last-batch deal {ALL}")
#: How residual networks are trained from scratch.
RESIDUAL = "--optimizer nesterov --lr 0.05 --l2 0.00025"
#: Twice, the second time from the weights of the first.
BOX = f"--model small-resnet --epochs 40 {RESIDUAL} {TAUGHT}"
#: How the rows of docs/results were measured, where the options say nothing else.
AS_MEASURED = "--last-batch keep"


@dataclass(frozen=True)
class Experiment:
    """What a text reported, and the command line that does it again.

    Attributes
    ----------
    system : str
        One of L, S, F, R, A.
    what : str
    reported : str
    script : str
        A training script of this folder.
    options : str
        But for --data, --weights, --teachers, --seed, --device and --out.
    needs : tuple of str
        Of the options --data, --weights, --teachers, --images and --labels, those
        without which it cannot run.
    """

    system: str
    what: str
    reported: str
    script: str
    options: str
    needs: tuple = ("data",)


FER, TRANSFER = "train_fer2013", "train_transfer"
WITH_WEIGHTS = ("data", "weights")
EXPERIMENTS = {
    "l-drawn": Experiment("L", "ck96 on drawn faces", "-", "train_ck", "", ()),
    "l-ck": Experiment("L", "ck96 on CK+", "no figure", "train_ck", "--epochs 15",
                       ("images", "labels")),
    "s-resnet50": Experiment(
        "S", "ResNet-50, soft labels", "60 %", TRANSFER,
        "--model resnet50 --epochs 100 --batch 16 --class-weights balanced "
        "--flip --rotation 15 --brightness 1", WITH_WEIGHTS),
    "f-fcn": Experiment("F", "fully convolutional net", "no figure", FER,
                        "--model fcn48 --epochs 12 --schedule cosine --flip"),
    "r-model1": Experiment("R", "model 1", "20.01 %", FER,
                           "--model r1 --epochs 10 --schedule cosine --flip"),
    "r-model2": Experiment("R", "model 2", "17.47 %", FER,
                           "--model r2 --epochs 30 --schedule cosine --flip"),
    "r-resnet50": Experiment("R", "head on ResNet-50", "17-21 %", TRANSFER,
                             "--model resnet50-keras --epochs 20", WITH_WEIGHTS),
    "a-six": Experiment("A", "six convolutions", "63.78 %", FER,
                        "--model six --epochs 26 --schedule cosine --flip"),
    "a-six-augmented": Experiment(
        "A", "six convolutions, augmented", "68.61 %", FER,
        f"--model six --epochs 60 --schedule cosine {CHANGES}"),
    "a-mlp": Experiment(
        "A", "dense layers", "48.42 %", FER,
        f"--model mlp-bn-drop --epochs 150 --schedule cosine --optimizer adamw {LESS}"),
    # Recipes of today: see docs/recipes.md.
    "a-six-recipe": Experiment(
        "A", "six convolutions, recipe", "68.61 %", FER,
        f"--model six --epochs 60 {RECIPE} --refit --tta"),
    "a-six-half-hour": Experiment(
        "A", "six convolutions, half an hour", "68.61 %", FER,
        f"--model six --epochs 24 {SHORT} --tta"),
    "a-mlp-recipe": Experiment(
        "A", "dense layers, recipe", "48.42 %", FER,
        f"--model mlp-bn-drop --epochs 150 --optimizer adamw {LESS} {TODAY} {ALL}"),
    "f-recipe": Experiment(
        "F", "fully convolutional net, recipe", "no figure", FER,
        f"--model fcn48 --epochs 40 {SHORT} {ALL}"),
    "r-model1-recipe": Experiment(
        "R", "model 1, recipe", "20.01 %", FER,
        f"--model r1 --epochs 30 {SHORT} {ALL}"),
    "small-resnet": Experiment(
        "-", "small residual network", "-", FER,
        f"--model small-resnet --epochs 30 {RESIDUAL} {SHORT}"),
    "box": Experiment(
        "-", "small residual network, the model in the box", "-", FER, BOX,
        ("data", "teachers")),
    "box-further": Experiment(
        "-", "the model in the box, from its weights on", "-", FER, BOX,
        ("data", "weights", "teachers")),
    "a-six-taught": Experiment(
        "A", "six convolutions, taught", "68.61 %", FER,
        f"--model six --epochs 36 {TAUGHT}", ("data", "teachers")),
    "a-six-further": Experiment(
        "A", "six convolutions, taught, from their weights on", "68.61 %", FER,
        f"--model six --epochs 36 {TAUGHT}", ("data", "weights", "teachers")),
    "a-resnet18": Experiment(
        "A", "ResNet-18", "64.36 %", TRANSFER,
        f"--model resnet18 --train-all --size 96 --batch 64 --epochs 20 {CHANGES}",
        WITH_WEIGHTS)}

HEADER = ("system", "experiment", "reported then", "measured now", "n", "protocol",
          "seed", "epochs", "minutes")


def parse(argv):
    parser = ArgumentParser(prog="reproduce.py", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("names", nargs="*", type=known, metavar="NAME",
        help="of the experiment: " + ", ".join(EXPERIMENTS))
    add("--list", action="store_true", help="show all experiments, and run none")
    add("--data", help="fer2013.csv, a folder with train/CLASS and test/CLASS, or "
                       "system S's samples")
    add("--images", help="image root of CK+")
    add("--labels", help="label root of CK+")
    add("--weights", help="file with the weights to begin with: of a body "
                            "trained on ImageNet, or what box has made")
    add("--teachers", nargs="+", action="extend", metavar="FILE",
        help="models that teach, where an experiment is taught")
    add("--seed", type=int, default=0, help="for everything that is random")
    add("--device", default="cpu", help="where to compute: cpu, cuda, emu or auto")
    add("--out", default="runs/reproduce", help="folder of the experiments' folders")
    add("--resume", action="store_true",
        help="continue an interrupted run, or print the row of one that has ended")
    runner_options(add, "experiments")
    args = parser.parse_args(argv)
    if not args.names and not args.list:
        parser.error("expected the NAME of an experiment, or --list")
    for name in [] if args.list else args.names:
        wanted = EXPERIMENTS[name].needs
        missing = [f"--{one}" for one in wanted if getattr(args, one) is None]
        if missing:
            parser.error(f"{name}: expected {' and '.join(missing)}")
        if args.names.count(name) > 1:
            parser.error(f"{name}: expected it once, as it has one folder")
    return args


def known(name):
    """An experiment's name."""
    if name not in EXPERIMENTS:
        raise argparse.ArgumentTypeError(
            f"invalid choice: {name!r} (choose from {', '.join(EXPERIMENTS)})")
    return name


def words(args, name, resume):
    """The command line of the training script."""
    experiment = EXPERIMENTS[name]
    given = [part for one in experiment.needs
             for part in (f"--{one}", *listed(getattr(args, one)))]
    options = f"{AS_MEASURED} {experiment.options}".split()
    return [*given, *options, "--seed", str(args.seed), "--device", args.device,
            "--out", os.path.join(args.out, name), *["--resume"] * resume]


def listed(value):
    """An option's words."""
    return value if isinstance(value, list) else [value]


def row(experiment, evaluation, record):
    """What is printed: then and now."""
    low, high = evaluation.interval
    return (experiment.system, experiment.what, experiment.reported,
            f"{evaluation.accuracy:.2%} ({low:.1%} … {high:.1%})", evaluation.n,
            evaluation.protocol, record["seed"], record["training"]["epochs"],
            f"{record['training']['seconds'] / 60:.0f}")


def table(*rows):
    """Rows as a Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def reproduce(args, name, resume):
    """Run an experiment; return its evaluation and its row."""
    experiment = EXPERIMENTS[name]
    script = importlib.import_module(experiment.script)
    given = words(args, name, resume)
    folder = hold_folder(os.path.join(args.out, name), ["row.md"])
    print(f"$ python examples/{experiment.script}.py {shlex.join(given)}", flush=True)
    evaluation = script.main(given)
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
        cells = row(experiment, evaluation, json.load(file))
    write_text(os.path.join(folder, "row.md"), table(cells) + "\n")
    return evaluation, cells


@dataclass
class Reproduction:
    """An experiment as a runner's objective: its score is the accuracy.

    It goes on from the checkpoint of an attempt that was lost, if there is one.
    """

    args: argparse.Namespace
    scripts: str = os.path.dirname(os.path.abspath(__file__))

    def __call__(self, settings):
        args, name = self.args, settings["name"]
        if self.scripts not in sys.path:  # on the worker of a cluster
            sys.path.insert(0, self.scripts)
        folder = os.path.join(args.out, name)
        if args.runner == "dask":
            break_lock(folder)  # of an attempt whose machine stands still
        begun = os.path.exists(os.path.join(folder, "checkpoint.npz"))
        with open(os.path.join(folder, "log.txt"), "a", encoding="utf-8") as log, \
                contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            return reproduce(args, name, args.resume or begun)[0].accuracy


def side_by_side(args):
    """Run all experiments where the options say; return their accuracies by name."""
    progress, found, failed = Progress(), {}, {}
    proposals = {number: {"name": name} for number, name in enumerate(args.names)}
    with open_runner(args, args.out, progress) as runner, \
            contextlib.closing(runner(Reproduction(args), proposals)) as ended:
        for name in args.names:
            with lock_folder(os.path.join(args.out, name)) as folder:  # none is at work
                if not args.resume:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(folder, "checkpoint.npz"))
        try:
            for number, (accuracy, reason, seconds) in ended:
                name = args.names[number]
                (found if reason is None else failed)[name] = accuracy, reason
                progress.line(f"{name}: {reason or f'accuracy {accuracy:.2%}'} "
                              f"({seconds / 60:.0f} min)")
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                f"stopped after {len(found)} of {len(args.names)} experiments: saved "
                f"in {args.out}; --resume continues") from error
    rows = []
    for name in filter(found.__contains__, args.names):
        with open(os.path.join(args.out, name, "row.md"), encoding="utf-8") as file:
            rows.append(file.read().splitlines()[-1])
    print("\n".join([table(), *rows]), flush=True)
    if failed:
        raise MiniferError(
            f"{len(failed)} of {len(args.names)} experiments did not end: " + "; ".join(
                f"{name}: {reason.rstrip('.')}" for name, (_, reason) in failed.items())
            + ". Mend that, and go on with --resume.")
    return {name: accuracy for name, (accuracy, _) in found.items()}


def main(argv=None):
    """Run the experiment and return its evaluation; of several, their accuracies."""
    args = parse(argv)
    if args.list:
        for name, one in EXPERIMENTS.items():
            print(f"{name:<16} {one.system}  {one.what}; reported: {one.reported}\n"
                  f"{'':<16} python examples/{one.script}.py "
                  f"{' '.join(f'--{need} …' for need in one.needs)} {AS_MEASURED} "
                  f"{one.options}")
        return None
    if len(args.names) > 1 or runner_given(args):
        return side_by_side(args)
    evaluation, cells = reproduce(args, *args.names, args.resume)
    print(f"\n{table(cells)}")
    return evaluation


if __name__ == "__main__":
    run(main)
