"""Train a network on FER2013: python examples/train_fer2013.py --data fer2013.csv

--data takes the csv, or a folder with train/CLASS and test/CLASS. A fifth of the
training part chooses the epoch; the test part is looked at once, at the end.
What is written into --out is what train_ck.py writes.
"""

import dataclasses
import functools
import os
import time

import numpy as np

import minifer
from minifer import data, layers, random, updates
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import resolve
from minifer.errors import DatasetError
from minifer.evaluation.metrics import evaluate
from minifer.faces.cropping import CropSettings, extract
from minifer.faces.preprocessing import Preprocessing
from minifer.files import make_folder
from minifer.models import fcn48_penalty
from minifer.progress import Progress
from minifer.regularization import l2, regularize_network_params
from minifer.training.trainer import Trainer
from minifer.weights.model_file import Model, load_model, load_params
from train_ck import (command, describe_run, draw, stop_rule, trainer_options,
                      training_options, write_run)

mlp = minifer.models.mlp
#: Name -> what builds the network.
MODELS = {"fcn48": minifer.models.fcn48, "fcn48-dense": minifer.models.fcn48_dense,
          "r1": minifer.models.r1, "r2": minifer.models.r2,
          "six": minifer.models.six_conv, "mlp": mlp,
          "mlp-bn": functools.partial(mlp, batch_norm=True),
          "mlp-bn-drop": functools.partial(mlp, batch_norm=True, dropout=.25)}
#: Sides of the images in pixels, of the data set and of the networks that take others.
SIDE, SIDES = 48, {"r2": 96}
OPTIMIZERS = {"nesterov": None, "adam": updates.adam, "adamw": updates.adamw}
SHARES = (0.8, 0.2)


def parse(argv, prog="train_fer2013.py"):
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.set_defaults(script="train_fer2013.py")
    add = parser.add_argument
    add("--data", required=True, help="fer2013.csv, or a folder of class folders")
    add("--model", choices=MODELS, default="six", help="the network")
    training_options(add, out="runs/fer2013", epochs=30, batch=64, lr=0.001)
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="the update rule")
    add("--l2", type=float, metavar="F",
        help="add F times the sum of all squared weights to the loss; default: the "
             "network's own penalty, fcn48's, or none")
    add("--strict", action="store_true",
        help="refuse a csv with a bad row, or a folder with an unreadable image, and "
             "name it; else they are left out and listed")
    add("--raw", action="store_true",
        help="leave blank, too dark and too bright images and copies in the training "
             "part, copies of test images among them")
    args = parser.parse_args(argv)
    if args.l2 is not None and not 0 <= args.l2 < float("inf"):
        parser.error(f"expected --l2 of 0 or more, got {args.l2}")
    if args.epochs is None and args.stop is None:
        args.epochs = 30
    return args


def load(args, progress):
    """FER2013, cleaned unless --raw; what was left out is printed."""
    if os.path.isdir(args.data):
        faces = data.keep_together(data.load_folders(
            args.data, strict=args.strict, progress=progress.callback("reading")))
    else:
        faces = data.load_fer2013(args.data, args.strict)
    if not args.raw:
        faces, report = data.clean(faces)
        print(report, flush=True)
    return scale(faces, preparation(args).crop)


def preparation(args):
    """What makes images the network's input."""
    return Preprocessing(CropSettings(SIDES.get(args.model, SIDE), mode="whole"))


def scale(faces, crop):
    """The same faces in the size that the network takes."""
    if crop.size == SIDE:
        return faces
    images = np.stack([extract(face, crop)[0] for face, in faces.images])
    return dataclasses.replace(faces, images=images)


def split(args, faces):
    """Training, validation and test: the last part that the data set names."""
    kinds = [kind for kind in ("test", "validation") if (faces.usage == kind).any()]
    if not kinds or not (faces.usage == "train").any():
        raise DatasetError(
            f"{args.data}: expected a training part and a public or private test "
            "part, got only one of them. Give the whole csv, or the folder above "
            "train and test.")
    training = faces.part("train")
    parts = data.split_by_subject(training.labels, training.subjects, SHARES, args.seed,
                                  faces.classes)
    return *(training.subset(part) for part in parts), faces.part(kinds[0]), kinds[0]


def train(args, training, validation, progress):
    """Train, and return the result and the model of the best epoch."""
    random.set_rng(args.seed)
    steps = preparation(args)
    network = MODELS[args.model](num_classes=len(training.classes))
    if args.weights:
        load_params(args.weights, network)
    model = Model(network, training.classes, steps.to_dict(),
                  {"command": command(args), "seed": args.seed})
    trainer = Trainer(
        network, OPTIMIZERS[args.optimizer], prepare=steps,
        penalty=penalty(args, network), **trainer_options(args, training))
    result = trainer.fit(training.images, training.labels,
                         valid=(validation.images, validation.labels),
                         epochs=args.epochs, stop=stop_rule(args.stop),
                         folder=args.out, resume=args.resume, model=model,
                         progress=progress)
    best = load_model(os.path.join(args.out, "model.npz"))
    layers.set_all_param_values(network, layers.get_all_param_values(best.network))
    return result, best, trainer


def penalty(args, network):
    """What is added to the loss, or None."""
    if args.l2 is not None:
        return args.l2 * regularize_network_params(network, l2)
    return fcn48_penalty(network) if args.model.startswith("fcn48") else None


def main(argv=None, prog="train_fer2013.py"):
    """Run the whole story; return the evaluation."""
    args = parse(argv, prog)
    resolve(args.device)  # before the work that would be in vain without it
    started = time.perf_counter()
    make_folder(args.out)
    progress = Progress()
    faces = load(args, progress)
    print(faces.summary(), flush=True)
    training, validation, test, kind = split(args, faces)
    result, model, trainer = train(args, training, validation, progress)
    probabilities = trainer.predict(test.images)
    protocol = (f"the data set's own {'private' if kind == 'test' else 'public'} test "
                f"part, looked at once; validation {SHARES[1]:.0%} of training, copies "
                f"kept together, seed {args.seed}")
    evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                          protocol=protocol, seed=args.seed, leaky=args.raw)
    print(evaluation)

    pictures = draw(args.out, result, model, evaluation, test, probabilities)
    record = describe_run(args, f"FER2013, model {args.model}", args.data, faces,
                          result, evaluation, time.perf_counter() - started)
    write_run(args.out, record, result, evaluation, pictures)
    return evaluation


if __name__ == "__main__":
    run(main)
