"""Networks for 48×48 faces on FER2013."""

import dataclasses
import functools

from .. import models, updates
from ..data import join
from ..faces.cropping import CropSettings
from ..faces.preprocessing import Preprocessing
from ..regularization import l2, regularize_network_params
from .constructors import constructor_arguments
from .data import (SIDE, VALIDATION, Split, fer2013_options, read_fer2013, scale,
                   split_fer2013)
from .experiment import Experiment
from .options import final_options, training_options

__all__ = ["FER2013", "MODELS", "OPTIMIZERS"]

#: Name -> what builds the network.
MODELS = {"fcn48": models.fcn48, "fcn48-dense": models.fcn48_dense,
          "r1": models.r1, "r2": models.r2, "six": models.six_conv, "mlp": models.mlp,
          "mlp-bn": functools.partial(models.mlp, batch_norm=True),
          "small-resnet": models.small_resnet,
          "mlp-bn-drop": functools.partial(models.mlp, batch_norm=True, dropout=.25)}
#: Sides of the images in pixels, for the networks that take others than the data's.
SIDES = {"r2": 96}
#: Name -> update rule, as a Trainer takes it.
OPTIMIZERS = {"nesterov": None, "adam": updates.adam,
              "adamw": functools.partial(updates.adamw, weights_only=True)}


class FER2013(Experiment):
    """Train a network on FER2013."""

    defaults = {"out": "runs/fer2013", "epochs": 30, "batch": 64, "lr": 0.001}

    @classmethod
    def arguments(cls, add):
        """Add the options."""
        add("--data", required=True, help="fer2013.csv, or a folder of class folders")
        add("--model", choices=MODELS, default="six", help="the network")
        add("--net", action="append", metavar="NAME=VALUE",
            help="an argument of its constructor, such as dropout=0.25 of mlp or "
                 "widths=48-96-160 of small-resnet; once for each")
        training_options(add, **cls.defaults)
        add("--optimizer", choices=OPTIMIZERS, default="adam", help="the update rule")
        add("--no-validation", action="store_true",
            help="train on the whole training part and keep the last of --epochs: for "
                 "a recipe that stands, in half the time of --refit")
        add("--l2", type=float, metavar="F",
            help="add F times the sum of all squared weights to the loss; default: the "
                 "network's own penalty, fcn48's, or none")
        final_options(add)
        fer2013_options(add)

    @classmethod
    def check(cls, args, error):
        """Refuse a penalty that is none, and to choose by what is not set aside."""
        if args.no_validation and (args.refit or args.stop is not None):
            error("--no-validation leaves nothing to choose the number of epochs by: "
                  f"leave out {'--refit' if args.refit else '--stop'}")
        if args.l2 is not None and not 0 <= args.l2 < float("inf"):
            error(f"expected --l2 of 0 or more, got {args.l2}")
        if args.net:  # a network that cannot be should not wait for the data
            cls(args).network(2)

    def load(self):
        """FER2013, cleaned unless --raw, in the size that the network takes."""
        return scale(read_fer2013(self.args, self.progress), self.steps().crop)

    def split(self, faces):
        """Training, validation and test: the last part that the data set names.

        With --no-validation the second one is None.
        """
        training, validation, test, kind = split_fer2013(self.args, faces)
        chosen = (f"validation {VALIDATION:.0%} of training, copies kept together, "
                  f"seed {self.args.seed}")
        if self.args.no_validation:
            training, validation = join([training, validation]), None
            chosen = f"no validation: the last of {self.args.epochs} epochs"
        return Split(
            training, validation, test,
            f"the data set's own {'private' if kind == 'test' else 'public'} test "
            f"part, looked at once; {chosen}"
            + "; then trained on both" * self.args.refit
            + "; ten views of each image" * self.args.tta, self.args.raw)

    def steps(self, training=None):
        """What makes an image the network's input: it is the face already."""
        return Preprocessing(CropSettings(SIDES.get(self.args.model, SIDE),
                                          mode="whole"))

    def model(self, network, classes, steps):
        """The network with all that prediction needs: on photos, faces are found."""
        found = dataclasses.replace(steps.crop, mode="either")
        return super().model(network, classes, dataclasses.replace(steps, crop=found))

    def network(self, num_classes):
        """The network that --model names, as --net says."""
        build = MODELS[self.args.model]
        return build(num_classes=num_classes,
                     **constructor_arguments(build, self.args.net or ()))

    def rule(self, network):
        """The update rule that --optimizer names, and the penalty."""
        return {"update": OPTIMIZERS[self.args.optimizer],
                "penalty": self.penalty(network)}

    def penalty(self, network):
        """What --l2 adds to the loss, or fcn48's own penalty, or None."""
        if self.args.l2 is not None:
            return self.args.l2 * regularize_network_params(network, l2)
        if self.args.model.startswith("fcn48"):
            return models.fcn48_penalty(network)
        return None

    def about(self):
        """The report's title, and where the data come from."""
        return f"FER2013, model {self.args.model}", self.args.data
