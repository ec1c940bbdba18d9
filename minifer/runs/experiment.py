"""A training from data to report, in named steps: what all experiments share.

The scripts of ``examples/`` tell the same steps one by one, each for its network.
"""

import os
import sys
import time

import numpy as np

from .. import layers, random
from ..data import join
from ..device.arrays import resolve
from ..errors import SettingError
from ..evaluation.metrics import evaluate
from ..faces.views import mean_of_views
from ..files import hold_folder
from ..progress import Progress
from ..ranks import connect, connected
from ..ranks.launcher import started
from ..training.mixing import soft_targets
from ..training.trainer import Trainer
from ..weights.model_file import (Model, check_readable, load_model, load_params,
                                  save_model)
from .data import judge, open_models
from .options import check_training, command, stop_rule, trainer_options
from .record import REPORTS, describe_run, draw, write_run

__all__ = ["Experiment", "load_best"]


class Experiment:
    """A training; a subclass says which network learns from which data.

    A subclass has ``arguments(add)``, ``load()``, ``split(faces)``,
    ``steps(training)``, ``network(num_classes)`` and ``about()``, and overrides what
    it does otherwise.

    Parameters
    ----------
    args : argparse.Namespace
        The options, as :meth:`parse` returns them.
    progress : minifer.progress.Progress, optional

    Attributes
    ----------
    defaults : dict
        ``out``, ``epochs``, ``batch`` and ``lr`` unless they are given.
    """

    defaults: dict = {}

    def __init__(self, args, progress=None):
        self.args = args
        self.progress = progress or Progress(enabled=connected().writes)
        self.started = time.perf_counter()

    @classmethod
    def parse(cls, argv, parser):
        """Read a command line with an :class:`argparse.ArgumentParser`."""
        cls.arguments(parser.add_argument)
        parser.set_defaults(script=parser.prog)
        args = parser.parse_args(argv)
        cls.check(args, parser.error)
        if args.epochs is None and args.stop is None:
            args.epochs = cls.defaults["epochs"]
        check_training(args)
        return args

    @classmethod
    def check(cls, args, error):
        """Call ``error(message)`` for options that contradict each other."""

    @classmethod
    def start(cls, argv, parser):
        """Read a command line; find ranks and device, lock the folder that it names."""
        args = cls.parse(argv, parser)
        ranks = find_ranks(args)  # before work that would be in vain without it
        device = resolve(args.device)
        if args.weights:
            check_readable(args.weights)
        ranks.lead(lambda: hold_folder(args.out, [
            *REPORTS, "run.json", "history.csv", "model.npz", "checkpoint.npz"]))
        if device != args.device:
            print(f"training on {device}", flush=True)
        return cls(args)

    def run(self):
        """Load, split, train, judge and write; return the evaluation."""
        faces = self.load()
        print(faces.summary(), flush=True)
        test, result, model, probabilities, protocol = self.outcome(faces)
        evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                              seed=self.args.seed, **protocol)
        self.write(faces, test, result, model, probabilities, evaluation)
        return evaluation

    def outcome(self, faces):
        """The test part, what the training came to, and how it is to be evaluated."""
        *parts, protocol, leaky = self.split(faces)
        result, model, (probabilities,) = self.train(parts, self.args.out)
        return parts[2], result, model, probabilities, {"protocol": protocol,
                                                        "leaky": leaky}

    def train(self, parts, folder, resume=None):
        """Train on the first part and choose the epoch on the second, if there is one.

        ``resume`` is --resume unless it is given.

        Returns
        -------
        result : minifer.training.Result
        model : minifer.weights.Model
            The model of the best epoch, or of the last one.
        list of array (N, K)
            What it says of each further part.
        """
        there = [part for part in parts if part is not None]
        trainer, result, best, others = self.learn(there, folder, resume,
                                                   validated=parts[1] is not None)
        if getattr(self.args, "refit", False):
            trainer, best, others = self.refit(parts, result, folder, resume)
        return result, best, [self.judge(trainer, images) for images, _ in others]

    def learn(self, parts, folder, resume=None, validated=True, epochs=None):
        """Train a network on the first part; choose the epoch on the second, if so.

        Returns
        -------
        trainer : minifer.training.Trainer
        result : minifer.training.Result
        model : minifer.weights.Model
            That of the best epoch, or of the last one.
        list of (images, labels)
            The input of each further part.
        """
        args, classes = self.args, parts[0].classes
        steps = self.steps(parts[0])
        random.set_rng(args.seed)
        network = self.network(len(classes))
        self.load_weights(network)
        learner, prepare, (training, *others) = self.inputs(network, steps, parts)
        training = training[0], self.targets(parts[0], training[1])
        valid = others.pop(0) if validated else None
        trainer = Trainer(learner, prepare=prepare, **self.rule(network),
                          **trainer_options(args, parts[0]))
        result = trainer.fit(*training, valid=valid, epochs=epochs or args.epochs,
                             stop=None if epochs else stop_rule(args.stop),
                             folder=folder, progress=self.progress,
                             resume=args.resume if resume is None else resume,
                             model=self.model(network, classes, steps))
        return trainer, result, load_best(network, folder), others

    def refit(self, parts, result, folder, resume=None):
        """Train from scratch on both parts, for as many epochs as validation chose.

        That happens in the folder ``refit`` of ``folder``, whose ``model.npz`` is the
        new one in the end.

        Returns
        -------
        trainer, model, others
            As :meth:`learn`.
        """
        both = join(parts[:2])
        self.progress.line(f"once more on all {len(both)} images, without validation")
        trainer, _, model, others = self.learn(
            [both, *parts[2:]], os.path.join(folder, "refit"), resume,
            validated=False, epochs=result.best_epoch)
        connected().lead(lambda: save_model(os.path.join(folder, "model.npz"), model))
        return trainer, model, others

    def targets(self, part, labels):
        """The labels of a part; with --teachers shared with what these say of it."""
        teachers = getattr(self.args, "teachers", None)
        if not teachers:
            return labels
        models = open_models(teachers, like=part)
        said = np.mean([judge(one, part, self.args.device) for one in models], axis=0)
        return ((soft_targets(labels, len(part.classes)) + said) / 2).astype(np.float32)

    def judge(self, trainer, images):
        """Probabilities of each image; with --tta those of ten views of it."""
        if getattr(self.args, "tta", False):
            return mean_of_views(trainer.predict, images)
        return trainer.predict(images)

    def load_weights(self, network):
        """Begin with the weights in --weights, if it is given."""
        if self.args.weights:
            load_params(self.args.weights, network)

    def inputs(self, network, steps, parts):
        """The network that learns, its preparation; input and labels of each part."""
        return network, steps, [(part.images, part.labels) for part in parts]

    def rule(self, network):
        """The update rule and the penalty, as keywords of a Trainer."""
        return {}

    def model(self, network, classes, steps):
        """The network with all that prediction needs, and how it was trained."""
        return Model(network, classes, steps.to_dict(),
                     {"command": command(self.args), "seed": self.args.seed})

    def write(self, faces, test, result, model, probabilities, evaluation):
        """Write pictures, history, record and report into --out; print the verdict.

        That is done on rank 0 alone.
        """
        if not connected().writes:
            return
        out = self.args.out
        pictures = draw(out, test, probabilities, evaluation, result, model)
        record = describe_run(self.args, *self.about(), faces, result, evaluation,
                              time.perf_counter() - self.started)
        write_run(out, record, result, evaluation, pictures)


def load_best(network, folder):
    """Give a network the parameters of its best epoch; return the model saved then.

    Only rank 0 reads and returns it, if there are several.
    """
    best = []

    def read():
        best.append(load_model(os.path.join(folder, "model.npz")))
        return layers.get_all_param_values(best[0].network)

    layers.set_all_param_values(network, connected().lead(read))
    return best[0] if best else None


def find_ranks(args):
    """The ranks that --ranks asks for; those that are not to write keep quiet."""
    ranks = connect(args.ranks or "alone")
    launcher, told = started()
    if args.ranks is None and told > 1:
        raise SettingError(
            f"ranks: expected --ranks mpi where {launcher} starts {told} processes, "
            "got none: each would train alone, and write into the same folder. Add it, "
            "or start one process.")
    if not ranks.writes:
        sys.stdout = open(os.devnull, "w")
    return ranks
