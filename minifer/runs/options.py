"""The options of every script that trains, and what they mean for the training."""

import shlex

from ..data import Augmentation, balanced_weights
from ..device.arrays import DEVICES
from ..errors import SettingError, check_seed
from ..ranks import RANKS, connected
from ..training import CutMix, Mixup, schedules, stopping
from ..training.averaging import check_average
from ..training.batches import LAST_BATCH, check_batch_size
from ..training.checks import check_rate
from ..training.mixing import check_smoothing

__all__ = ["training_options", "final_options", "check_training", "trainer_options",
           "augmentation", "stop_rule", "command"]


def training_options(add, out, epochs, batch, lr):
    """Add the options that all training scripts have, with a script's own defaults.

    Parameters
    ----------
    add : function
        A parser's ``add_argument``.
    out : str
    epochs : int
        Named in the help only: the script takes it where neither --epochs nor --stop
        is given.
    batch : int
    lr : float
    """
    add("--out", default=out, help="folder for everything that is written")
    add("--epochs", type=int, help=f"passes over the training part ({epochs}, or "
                                   "without limit if --stop is given)")
    add("--stop", help="settled: when two epochs' losses differ by at most 0.0001; "
                       "patience:N: after N epochs without a better validation loss")
    add("--batch", type=int, default=batch, help="the most images in a mini-batch")
    add("--last-batch", choices=LAST_BATCH,
        help="the images left over when an epoch's batches are full: deal them out, so "
             "that all batches are about equal, keep a smaller batch, or drop them "
             "(unless given: deal, or what a resumed run began with)")
    add("--lr", type=float, default=lr, help="learning rate")
    add("--schedule", default="constant",
        help="constant, quarters, cosine, step:EPOCHS, inverse_time:DECAY, or "
             "warmup:BATCHES, which rises to the rate and then is cosine")
    add("--seed", type=int, default=0, help="for everything that is random")
    add("--weights", help="start from the weights in this file")
    add("--resume", action="store_true", help="continue an interrupted run")
    add("--device", choices=DEVICES, default="cpu",
        help="where to compute: cuda is an NVIDIA GPU, emu runs its kernels on the "
             "CPU (slow), auto takes a GPU if there is one")
    add("--precision", choices=["fp32", "tf32"], default="fp32",
        help="of a GPU's products: tf32 is faster and less exact")
    add("--ranks", choices=RANKS[1:],
        help="share each batch among the processes that mpiexec or srun started; nccl "
             "has them sum on their GPUs")
    add("--flip", action="store_true", help="mirror training images at random")
    add("--rotation", type=float, metavar="DEG",
        help="turn training images by up to so many degrees, either way; like the "
             "options below, anew in each epoch")
    add("--shift", type=float, metavar="F",
        help="move them by up to this share of width and height")
    add("--zoom", type=float, metavar="F", help="magnify them by 1 - F to 1 + F")
    add("--brightness", type=float, metavar="F",
        help="multiply their grey values by 1 - F to 1 + F")
    add("--erase", type=float, metavar="F",
        help="replace a rectangle by noise on this share of them")
    add("--label-smoothing", type=float, metavar="F", default=0.0,
        help="deal this share of each training target out to all classes: 0.1")
    add("--mixup", type=float, metavar="ALPHA",
        help="train on mixtures of two images: 0.2")
    add("--cutmix", type=float, metavar="ALPHA",
        help="train on images with a rectangle of another: 1")
    add("--average", type=float, metavar="DECAY",
        help="validate and keep a running average of the weights: 0.999")
    add("--swa", type=float, metavar="SHARE",
        help="or the mean of weights after the last epochs, this share of all: 0.25")
    add("--max-norm", type=float, metavar="F",
        help="scale gradients down to this norm together")
    add("--class-weights", choices=["none", "balanced"], default="none",
        help="balanced: a mistake counts for more the rarer its class is")


def final_options(add):
    """Add the options of what happens once the recipe stands."""
    add("--teachers", nargs="+", action="extend", metavar="FILE",
        help="distillation: train on what these models say of each image as well, half "
             "of it label, half the mean of them")
    add("--refit", action="store_true",
        help="when validation has chosen the number of epochs, train anew for as many "
             "on training and validation part together, before the test part is judged")
    add("--tta", action="store_true",
        help="test-time augmentation: judge each test image by the mean of ten views")


def check_training(args):
    """Refuse training options that are out of range, before any work begins.

    Raises
    ------
    SettingError
    """
    check_batch_size(args.batch)
    check_rate(args.lr, "--lr")
    check_seed(args.seed)
    schedule, _ = schedules.by_name(args.schedule), stop_rule(args.stop)
    if args.epochs is not None:
        stopping.after(args.epochs)
    schedule(args.lr, 0, 0, args.epochs)  # some need to know the end
    augmentation(args)
    mixing(args)
    check_smoothing(args.label_smoothing)
    check_average(args.average, args.swa)
    if args.max_norm is not None:
        check_rate(args.max_norm, "--max-norm")


def trainer_options(args, training):
    """What a Trainer takes from these options, as keywords, for a training part."""
    return {
        "learning_rate": args.lr, "batch_size": args.batch, "seed": args.seed,
        "schedule": schedules.by_name(args.schedule), "device": args.device,
        "precision": args.precision, "last_batch": args.last_batch,
        "flip": args.flip, "augment": augmentation(args),
        "ranks": args.ranks or "alone",
        "label_smoothing": args.label_smoothing, "mix": mixing(args),
        "average": args.average, "swa": args.swa, "max_norm": args.max_norm,
        "class_weights": balanced_weights(training.labels, len(training.classes))
        if args.class_weights == "balanced" else None}


def augmentation(args):
    """The random changes of training images beside --flip, or None."""
    given = {name: getattr(args, name)
             for name in ("rotation", "shift", "zoom", "brightness", "erase")
             if getattr(args, name) is not None}
    if "zoom" in given:
        given["zoom"] = 1 - args.zoom, 1 + args.zoom
    return Augmentation(**given, seed=args.seed) if given else None


def mixing(args):
    """The mixing of training images that was asked for, or None."""
    if args.mixup is not None and args.cutmix is not None:
        raise SettingError("expected --mixup or --cutmix, got both.")
    if args.mixup is not None:
        return Mixup(args.mixup)
    return None if args.cutmix is None else CutMix(args.cutmix)


def stop_rule(text):
    """The stopping rule that --stop names, or None.

    Raises
    ------
    SettingError
        If it names none.
    """
    kind, _, number = (text or "").partition(":")
    if not text:
        return None
    if text == "settled":
        return stopping.settled()
    if kind == "patience" and number.isdecimal():
        return stopping.patience(int(number))
    raise SettingError(f"--stop: expected settled or patience:N, got '{text}'.")


def command(args):
    """The command line that repeats a run.

    ``args.script`` is the program: a file of ``examples/``, or ``minifer train ck``.
    """
    words = (["python", f"examples/{args.script}"] if args.script.endswith(".py")
             else args.script.split())
    if connected().size > 1:
        words = ["mpiexec", "-n", str(connected().size), *words]
    for name, value in vars(args).items():
        if name == "script":
            continue
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [f"{option}={one}" for one in value]
        elif value is not None and value is not False:
            words += [option, str(value)]
    return shlex.join(words)
