"""Train the headline network on CK+: python examples/train_ck.py

Without folders it draws a data set of its own, of faces that belong to nobody.
With --images and --labels it takes CK+ as distributed, or photos laid out
alike. It writes into --out: model.npz (all that prediction needs), history.csv,
run.json, report.md, report.html and pictures.
"""

import os
import platform
import shlex
import time

import numpy as np

import minifer
from minifer import data, layers, random
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import DEVICES, resolve
from minifer.errors import SettingError
from minifer.evaluation.calibration import calibrate
from minifer.evaluation.metrics import evaluate
from minifer.faces.cache import cache_folder
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import Preprocessing
from minifer.files import make_folder, write_json
from minifer.progress import Progress
from minifer.report import plots
from minifer.report.evaluation_plots import reliability_diagram
from minifer.report.html import write_html_report
from minifer.report.text import write_history, write_report
from minifer.training import schedules, stopping
from minifer.training.trainer import Trainer
from minifer.weights.model_file import Model, load_model, load_params

# Shares of the subjects that train, choose the best epoch, and test.
SHARES = (0.6, 0.2, 0.2)


def parse(argv, prog="train_ck.py"):
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.set_defaults(script="train_ck.py")
    add = parser.add_argument
    add("--images", help="image root, such as cohn-kanade-images")
    add("--labels", help="label root, such as Emotion")
    training_options(add, out="runs/ck", epochs=15, batch=32, lr=0.01)
    add("--folds", type=int, help="cross-validate by subject in so many folds")
    add("--faces", choices=["haar", "whole"], default="haar",
        help="find the face on each image, or take the whole image as the face")
    add("--last", type=float, default=0.3, help="share of each sequence's frames")
    add("--neutral", type=float, default=0.0,
        help="share of first frames to use as an eighth class, neutral")
    add("--split", choices=["subject", "random"], default="subject",
        help="random lets a person stand on both sides, which flatters")
    add("--subjects", type=int, default=60, help="people in the drawn data set")
    args = parser.parse_args(argv)
    if (args.images is None) != (args.labels is None):
        parser.error("expected --images and --labels together, or neither")
    if args.folds is not None and args.split == "random":
        parser.error("--folds is by subject: leave out --split random")
    if args.epochs is None and args.stop is None:
        args.epochs = 15
    return args


def training_options(add, out, epochs, batch, lr):
    """The options of every script that trains, with its own defaults.

    ``add`` is a parser's ``add_argument``. The script itself takes ``epochs`` where
    neither --epochs nor --stop is given.
    """
    add("--out", default=out, help="folder for everything that is written")
    add("--epochs", type=int, help=f"passes over the training part ({epochs}, or "
                                   "without limit if --stop is given)")
    add("--stop", help="settled: when two epochs' losses differ by at most 0.0001; "
                       "patience:N: after N epochs without a better validation loss")
    add("--batch", type=int, default=batch, help="images in a mini-batch")
    add("--lr", type=float, default=lr, help="learning rate")
    add("--schedule", default="constant",
        help="constant, quarters, cosine, step:EPOCHS or inverse_time:DECAY")
    add("--seed", type=int, default=0, help="for everything that is random")
    add("--weights", help="start from the weights in this file")
    add("--resume", action="store_true", help="continue an interrupted run")
    add("--device", choices=DEVICES, default="cpu",
        help="where to compute: cuda is an NVIDIA GPU, emu runs its kernels on the "
             "CPU (slow), auto takes a GPU if there is one")
    add("--precision", choices=["fp32", "tf32"], default="fp32",
        help="of a GPU's products: tf32 is faster and less exact")
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
    add("--class-weights", choices=["none", "balanced"], default="none",
        help="balanced: a mistake counts for more the rarer its class is")


def trainer_options(args, training):
    """What a Trainer takes from these options, for images of ``training``."""
    return {
        "learning_rate": args.lr, "batch_size": args.batch, "seed": args.seed,
        "schedule": schedules.by_name(args.schedule), "device": args.device,
        "precision": args.precision, "flip": args.flip, "augment": augmentation(args),
        "class_weights": data.balanced_weights(training.labels, len(training.classes))
        if args.class_weights == "balanced" else None}


def augmentation(args):
    """What is done to training images beside --flip, or None."""
    given = {name: getattr(args, name)
             for name in ("rotation", "shift", "zoom", "brightness", "erase")
             if getattr(args, name) is not None}
    if "zoom" in given:
        given["zoom"] = 1 - args.zoom, 1 + args.zoom
    return data.Augmentation(**given, seed=args.seed) if given else None


def stop_rule(text):
    """The stopping rule that --stop names."""
    kind, _, number = (text or "").partition(":")
    if not text:
        return None
    if text == "settled":
        return stopping.settled()
    if kind == "patience" and number.isdecimal():
        return stopping.patience(int(number))
    raise SettingError(f"--stop: expected settled or patience:N, got '{text}'.")


def load_faces(args, progress):
    """The data set: the user's photos, or drawn faces."""
    images, labels = args.images, args.labels
    if images is None:
        folder = os.path.join(cache_folder(),
                              f"made-faces-{args.subjects}-{args.seed}")
        images, labels = data.make_faces(folder, subjects=args.subjects,
                                         seed=args.seed,
                                         progress=progress.callback("drawing faces"))
    return data.load_ck(images, labels, last=args.last, neutral=args.neutral,
                        faces=args.faces, progress=progress.callback("finding faces"))


def split(args, faces):
    """Which faces train, choose the best epoch, and test."""
    if args.split == "random":
        return data.split_random(faces.labels, SHARES, args.seed, faces.classes)
    return data.split_by_subject(faces.labels, faces.subjects, SHARES, args.seed,
                                 faces.classes)


def train(args, faces, parts, folder, progress):
    """Train on the first part, choose the epoch on the second, judge the third."""
    training, validation, test = (faces.subset(part) for part in parts)
    random.set_rng(args.seed)
    network = minifer.models.ck96(num_classes=len(faces.classes))
    if args.weights:
        load_params(args.weights, network)
    steps = Preprocessing(CropSettings(mode=args.faces))
    model = Model(network, faces.classes, steps.to_dict(),
                  {"command": command(args), "seed": args.seed})
    trainer = Trainer(network, prepare=steps, **trainer_options(args, training))
    result = trainer.fit(training.images, training.labels,
                         valid=(validation.images, validation.labels),
                         epochs=args.epochs, stop=stop_rule(args.stop), folder=folder,
                         resume=args.resume, model=model, progress=progress)
    best = load_model(os.path.join(folder, "model.npz"))
    layers.set_all_param_values(network, layers.get_all_param_values(best.network))
    return result, best, trainer.predict(test.images)


def cross_validate(args, faces, progress):
    """Every subject is tested once, by a network that never saw them."""
    folds = data.k_fold(faces.labels, faces.subjects, args.folds, args.seed,
                        faces.classes)
    runs, probabilities = [], np.zeros((len(faces), len(faces.classes)), np.float32)
    number = np.zeros(len(faces), int)
    for k, test in enumerate(folds):
        progress.line(f"fold {k + 1} of {len(folds)}")
        rest = np.setdiff1d(np.arange(len(faces)), test)
        training, validation = (rest[part] for part in data.split_by_subject(
            faces.labels[rest], faces.subjects[rest], (0.8, 0.2), args.seed,
            faces.classes))
        folder = os.path.join(args.out, f"fold-{k + 1}")
        result, model, p = train(args, faces, (training, validation, test), folder,
                                 progress)
        runs.append((result, model))
        probabilities[test], number[test] = p, k + 1
    return runs, probabilities, number


def main(argv=None, prog="train_ck.py"):
    """Run the whole story; return the evaluation."""
    args = parse(argv, prog)
    device = resolve(args.device)  # before the work that would be in vain without it
    started = time.perf_counter()
    make_folder(args.out)
    progress = Progress()
    faces = load_faces(args, progress)
    print(faces.summary(), flush=True)
    if device != args.device:
        print(f"training on {device}", flush=True)

    if args.folds is not None:
        runs, probabilities, number = cross_validate(args, faces, progress)
        # Of the folds' models keep the one that did best on its validation part.
        result, model = max(runs, key=lambda r: best_accuracy(r[0]))
        minifer.weights.save_model(os.path.join(args.out, "model.npz"), model)
        test, folds = faces, number
        protocol = data.describe("k-fold", folds=args.folds, seed=args.seed)
    else:
        parts = split(args, faces)
        result, model, probabilities = train(args, faces, parts, args.out, progress)
        test, folds = faces.subset(parts[2]), None
        protocol = data.describe(args.split, SHARES, seed=args.seed)
    evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                          protocol=protocol, seed=args.seed, folds=folds,
                          leaky=args.split == "random")
    print(evaluation)

    pictures = draw(args.out, result, model, evaluation, test, probabilities)
    source = args.images or "faces drawn by minifer"
    record = describe_run(args, f"The headline network on {source}", source, faces,
                          result, evaluation, time.perf_counter() - started)
    write_run(args.out, record, result, evaluation, pictures)
    return evaluation


def write_run(out, record, result, evaluation, pictures):
    """Write what describes a run, beside its pictures and the model."""
    write_history(os.path.join(out, "history.csv"), result.history)
    write_json(os.path.join(out, "run.json"), record)
    record = record | {"results": {}}
    report = write_report(out, record, evaluation, pictures)
    write_html_report(out, record, evaluation, pictures)
    print(f"\n{report} holds the report, {os.path.join(out, 'model.npz')} the model.")


def draw(out, result, model, evaluation, test, probabilities):
    """Draw the pictures of the report; return their names and captions."""
    calibration = calibrate(probabilities, test.labels)
    pictures = {
        "learning_curves.png": (
            plots.learning_curves(result.history, result.best_epoch),
            "Loss and accuracy after each epoch."),
        "confusion_matrix.png": (
            plots.confusion_matrix(evaluation.confusion, evaluation.classes,
                                   protocol=evaluation.protocol),
            "Who is taken for whom on the test part."),
        "calibration.png": (reliability_diagram(calibration), str(calibration)),
        **draw_first_layer(model, test.images[:1]),
        "most_wrong.png": (
            plots.most_wrong(test.images[:, 0], probabilities, test.labels,
                             evaluation.classes, protocol=evaluation.protocol),
            "The mistakes the network was surest of.")}
    for name, (figure, _) in pictures.items():
        plots.save(figure, os.path.join(out, name))
    return [(name, caption) for name, (_, caption) in pictures.items()]


def draw_first_layer(model, face):
    """Its filters, and what it makes of a face (1, C, H, W), if it is a convolution."""
    convs = [one for one in layers.get_all_layers(model.network)
             if isinstance(one, layers.Conv2DLayer)]
    if not convs:
        return {}
    steps = Preprocessing.from_dict(model.preprocessing)
    maps = layers.get_output(convs[0], steps(face), deterministic=True)[0]
    return {
        "filters.png": (
            plots.filters(convs[0].W.value, title="Filters of the first layer"),
            "The filters of the first layer."),
        "activations.png": (
            plots.activations(maps, face[0, 0], title="What the first layer sees"),
            "One test face and what the first layer makes of it.")}


def describe_run(args, title, source, faces, result, evaluation, seconds):
    """Everything a stranger needs to repeat the run, JSON-ready."""
    left_out = {reason: names for reason, names in faces.notes.items()
                if isinstance(names, list)}
    counts = np.bincount(faces.labels, minlength=len(faces.classes))
    return {
        "title": title,
        "command": command(args), "seed": args.seed, "settings": vars(args),
        "versions": versions(),
        "data": {"source": source,
                 "embedded": source == "faces drawn by minifer", "n": len(faces),
                 "subjects": len(set(faces.subjects)),
                 "fingerprint": faces.fingerprint,
                 "per_class": dict(zip(faces.classes, counts.tolist())),
                 "no_face": left_out.get("no_face", []),
                 "left_out": {reason.replace("_", " "): len(names)
                              for reason, names in left_out.items()}},
        "training": {"epochs": len(result.history), "best_epoch": result.best_epoch,
                     "seconds": round(sum(row["seconds"] for row in result.history), 1),
                     "seconds_in_all": round(seconds, 1)},
        "results": evaluation.to_dict()}


def versions():
    """What the numbers may depend on."""
    return {"minifer": minifer.__version__, "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def best_accuracy(result):
    return max(row["valid_accuracy"] for row in result.history)


def command(args):
    """The command line that gives this run again."""
    words = ["python", f"examples/{args.script}"]
    for name, value in vars(args).items():
        if name == "script":
            continue
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    return shlex.join(words)


if __name__ == "__main__":
    run(main)
