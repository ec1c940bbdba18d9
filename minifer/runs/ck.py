"""The headline network on CK+, or on faces drawn like it."""

import contextlib
import os
from dataclasses import dataclass

import numpy as np

from .. import data, models
from ..data.readers.ckplus import check_shares
from ..errors import SettingError
from ..faces.cropping import CropSettings
from ..faces.preprocessing import Preprocessing
from ..files import break_lock
from ..progress import Progress
from ..ranks import connected
from ..search import open_runner, runner_given, runner_options
from ..weights.model_file import save_model
from .data import DRAWN, SHARES, Split, read_ck, split_ck
from .experiment import Experiment
from .options import final_options, training_options
from .record import best_accuracy

__all__ = ["CK"]


class CK(Experiment):
    """Train the headline network on CK+."""

    defaults = {"out": "runs/ck", "epochs": 15, "batch": 32, "lr": 0.01}

    @classmethod
    def arguments(cls, add):
        """Add the options."""
        add("--images", help="image root, such as cohn-kanade-images")
        add("--labels", help="label root, such as Emotion")
        training_options(add, **cls.defaults)
        add("--folds", type=int, help="cross-validate by subject in so many folds")
        add("--faces", choices=["haar", "whole"], default="haar",
            help="find the face on each image, or take the whole image as the face")
        add("--last", type=float, default=0.3, help="share of each sequence's frames")
        add("--neutral", type=float, default=0.0,
            help="share of first frames to use as an eighth class, neutral")
        add("--split", choices=["subject", "random"], default="subject",
            help="random lets a person stand on both sides, which flatters")
        add("--subjects", type=int, default=60, help="people in the drawn data set")
        final_options(add)
        runner_options(add, "folds")

    @classmethod
    def check(cls, args, error):
        """Refuse one root without the other, folds at random, shares of frames."""
        if (args.images is None) != (args.labels is None):
            error("expected --images and --labels together, or neither")
        if args.folds is not None and args.split == "random":
            error("--folds is by subject: leave out --split random")
        if args.folds is not None and args.refit:
            error("--folds tests on every part: leave out --refit")
        if args.folds is not None and args.folds < 2:
            error(f"expected --folds of 2 or more, got {args.folds}")
        check_shares(args.last, args.neutral)
        if args.ranks is not None and runner_given(args):
            error(f"{runner_given(args)[0]} has each of the folds train alone: leave "
                  "out --ranks")
        if args.folds is None and runner_given(args):
            error(f"{runner_given(args)[0]} is for --folds, which run at the same time")

    def load(self):
        """The data set: the user's photos, or drawn faces."""
        return read_ck(self.args, self.args.seed, self.progress, last=self.args.last,
                       faces=self.args.faces)

    def split(self, faces):
        """The parts that train, choose the best epoch, and test."""
        kind, seed = self.args.split, self.args.seed
        return Split(*split_ck(faces, seed, people=kind == "subject"),
                     data.describe(kind, SHARES, seed=seed)
                     + "; then trained on both" * self.args.refit
                     + "; ten views of each image" * self.args.tta, kind == "random")

    def steps(self, training):
        """What makes an image the network's input."""
        return Preprocessing(CropSettings(mode=self.args.faces))

    def network(self, num_classes):
        """The headline network."""
        return models.ck96(num_classes=num_classes)

    def outcome(self, faces):
        """Train once; or, with --folds, once for each fold."""
        if self.args.folds is None:
            return super().outcome(faces)
        return self.cross_validate(faces)

    def cross_validate(self, faces):
        """Test every subject once, with a network that never saw them."""
        args, numbers = self.args, np.zeros(len(faces), int)
        probabilities = np.zeros((len(faces), len(faces.classes)), np.float32)
        folds = data.k_fold(faces.labels, faces.subjects, args.folds, args.seed,
                            faces.classes)
        ahead = bool(runner_given(args))
        if ahead:
            self.train_ahead(faces, folds)
        runs = []
        for k, test in enumerate(folds, 1):
            self.progress.line(f"fold {k} of {len(folds)}")
            result, model, (probabilities[test],) = self.train_fold(
                faces, test, k, ahead or args.resume)
            runs.append((result, model))
            numbers[test] = k
        # Of the folds' models keep the one that did best on its validation part.
        result, model = max(runs, key=lambda run: best_accuracy(run[0]))
        connected().lead(lambda: save_model(os.path.join(args.out, "model.npz"), model))
        protocol = data.describe("k-fold", folds=args.folds, seed=args.seed)
        return faces, result, model, probabilities, {"protocol": protocol,
                                                     "folds": numbers}

    def train_fold(self, faces, test, k, resume):
        """Train fold ``k``, whose ``test`` part is given by indices."""
        rest = faces.subset(np.setdiff1d(np.arange(len(faces)), test))
        parts = data.split_by_subject(rest.labels, rest.subjects, (0.8, 0.2),
                                      self.args.seed, faces.classes)
        return self.train([*(rest.subset(part) for part in parts), faces.subset(test)],
                          self.folder(k), resume)

    def folder(self, k):
        """Where fold ``k`` is trained."""
        return os.path.join(self.args.out, f"fold-{k}")

    def train_ahead(self, faces, folds):
        """Train all folds where the options say; they end in their folders."""
        proposals = {k: {"fold": k} for k in range(1, len(folds) + 1)}
        if not self.args.resume:
            for k in proposals:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder(k), "checkpoint.npz"))
        done = []
        with open_runner(self.args, self.args.out, self.progress) as runner, \
                contextlib.closing(runner(Fold(self.args, faces, folds),
                                          proposals)) as ended:
            try:
                for k, (score, reason, seconds) in ended:
                    if reason is not None:
                        raise SettingError(f"fold {k} of {len(folds)}: {reason}")
                    done.append(k)
                    self.progress.line(f"fold {k} of {len(folds)}  validation accuracy "
                                       f"{score:.4f}  {seconds:.1f} s")
            except KeyboardInterrupt as error:
                raise KeyboardInterrupt(
                    f"stopped after {len(done)} of {len(folds)} folds: saved in "
                    f"{self.args.out}; --resume continues") from error

    def about(self):
        """The report's title, and where the data come from."""
        source = self.args.images or DRAWN
        return f"The headline network on {source}", source


@dataclass
class Fold:
    """Train a fold in its folder; the score is the best validation accuracy.

    It goes on from the fold's checkpoint, if there is one.
    """

    args: object
    faces: data.Dataset
    folds: list

    def __call__(self, settings):
        k, one = settings["fold"], CK(self.args, Progress(enabled=False))
        break_lock(one.folder(k))  # of an attempt whose machine stands still
        result, *_ = one.train_fold(self.faces, self.folds[k - 1], k, resume=True)
        return best_accuracy(result)
