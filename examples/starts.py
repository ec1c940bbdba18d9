"""What is a good start worth? python examples/starts.py six mlp --data fer2013.csv

Each network is trained twice for a few hundred steps, on the same images in the same
order: from Lasagne's default, Glorot's uniform weights and biases of 0, and as its
constructor starts it, which is as its original did. The table tells the mean loss of
the first and of the last 50 steps, and how much of the test part is right after them;
the picture shows both losses. `minifer show start NAME` looks at it layer by layer.
"""

import os

import numpy as np

from minifer import init, layers, random, updates
from minifer.commands.cli import ArgumentParser, run
from minifer.errors import check_seed
from minifer.evaluation.start import look_at_start
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import Preprocessing
from minifer.files import make_folder
from minifer.progress import Progress
from minifer.report.style import BLUE, GREY, blank, headline, save, tidy
from minifer.runs.data import SIDE, read_faces
from minifer.runs.fer2013 import MODELS
from minifer.training import Trainer

#: Steps whose mean loss is told.
SOME = 50


def main(argv=None, prog="starts.py"):
    """Train, print a row a network and a start, draw; return the losses."""
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("networks", nargs="+", choices=sorted(MODELS), metavar="NETWORK",
        help=", ".join(sorted(MODELS)))
    add("--data", required=True, help="fer2013.csv, or a folder of class folders")
    add("--steps", type=int, default=300, help="steps of 64 images")
    add("--lr", type=float, default=0.001, help="Adam's rate")
    add("--seed", type=int, default=0, help="of starts and order")
    add("--out", default="runs/starts", help="folder for the picture")
    args = parser.parse_args(argv)
    check_seed(args.seed)
    if args.steps < SOME:
        parser.error(f"expected --steps of {SOME} or more, got {args.steps}")
    make_folder(args.out)

    faces = read_faces(args.data, Progress())
    training = faces.part("train")
    kinds = [kind for kind in ("validation", "test") if (faces.usage == kind).any()]
    test = faces.part(kinds[0]) if kinds else training
    # The same images in the same order for all: as many as the steps need.
    chosen = np.random.default_rng(args.seed).permutation(len(training))
    training = training.subset(np.resize(chosen, 64 * args.steps))

    print(f"{'network':13} {'start':9} {'loss, first':>11} {'loss, last':>10} "
          f"{'right':>6}  at the start", flush=True)
    found = {}
    for name in args.networks:
        for start in ("Lasagne's", "its own"):
            found[name, start], right, verdict = one(args, name, start, training, test)
            losses = found[name, start]
            print(f"{name:13} {start:9} {np.mean(losses[:SOME]):11.3f} "
                  f"{np.mean(losses[-SOME:]):10.3f} {right:6.1%}  {verdict}",
                  flush=True)
    save(draw(found, args.networks), os.path.join(args.out, "starts.png"))
    return found


def one(args, name, start, training, test):
    """Train from one start: the loss of each step, accuracy, the start's verdict."""
    random.set_rng(args.seed)
    network = MODELS[name](num_classes=len(training.classes))
    if start == "Lasagne's":
        restart(network)
    steps = Preprocessing(CropSettings(SIDE, mode="whole"))
    verdict = look_at_start(network, steps(training.images[:64]),
                            training.labels[:64]).verdict
    trainer = Trainer(network, updates.adam, args.lr, seed=args.seed, prepare=steps)
    losses = []
    for first in range(0, len(training), 64):
        here = slice(first, first + 64)
        losses.append(float(trainer.functions.train(
            steps(training.images[here]), training.labels[here])))
    right = (trainer.predict(test.images).argmax(axis=1) == test.labels).mean()
    return losses, right, verdict


def restart(network):
    """Begin as Lasagne's layers do by default."""
    for param in layers.get_all_params(network, trainable=True, regularizable=True):
        if param.value.ndim > 1:
            param.set_value(init.GlorotUniform()(param.shape))
    for layer in layers.get_all_layers(network):
        bias = getattr(layer, "b", None)
        if bias is not None:
            bias.set_value(np.zeros(bias.shape, bias.dtype))


def draw(found, names):
    """The losses of both starts, smoothed over 10 steps; a panel a network."""
    figure = blank(3.6 * len(names), 3.4)
    for ax, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names):
        tidy(ax)
        for start, colour in (("Lasagne's", GREY), ("its own", BLUE)):
            losses = np.convolve(found[name, start], np.ones(10) / 10, "valid")
            ax.plot(np.arange(10, 10 + len(losses)), losses, color=colour, label=start)
        ax.set_title(name)
        ax.set_xlabel("steps")
        ax.legend(frameon=False)
    headline(figure, "Loss while training, from two starts", "mean of 10 steps")
    return figure


if __name__ == "__main__":
    run(main)
