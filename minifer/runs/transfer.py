"""A new head on a network that knows ImageNet."""

import os

import numpy as np

from .. import data, layers, models, updates
from ..errors import SettingError
from ..faces.cache import cache_folder
from ..faces.cropping import CropSettings
from ..faces.preprocessing import ColourPreprocessing
from ..ranks import connected
from ..training.frozen import frozen_features, trainable_head
from ..weights import foreign
from . import fer2013
from .data import VALIDATION, Split, fer2013_options, read_fer2013, split_fer2013
from .experiment import Experiment
from .options import augmentation, training_options

__all__ = ["Transfer", "MODELS", "OPTIMIZERS"]

#: Name -> what builds the network, and the file that holds weights for it.
MODELS = {
    "resnet18": (models.resnet18, "resnet18-f37072fd.pth"),
    "resnet50": (models.resnet50, "resnet50-0676ba61.pth"),
    "resnet101": (models.resnet101, "resnet101-63fe2227.pth"),
    "resnet152": (models.resnet152, "resnet152-394f9c45.pth"),
    "resnet50-keras": (models.r_resnet50,
                       "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "resnet101-keras": (models.r_resnet101,
                        "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    "resnet152-keras": (models.r_resnet152,
                        "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5")}
SOURCES = {"torch": "https://download.pytorch.org/models/",
           "keras": "https://storage.googleapis.com/tensorflow/keras-applications/"
                    "resnet/"}
#: Name -> update rule, as a Trainer takes it.
OPTIMIZERS = {**fer2013.OPTIMIZERS, "momentum": updates.momentum}
READERS = {".pth": foreign.read_torch, ".pt": foreign.read_torch,
           ".safetensors": foreign.read_safetensors, ".h5": foreign.read_keras}


class Transfer(Experiment):
    """Train a new head on a network that knows ImageNet."""

    defaults = {"out": "runs/transfer", "epochs": 30, "batch": 16, "lr": 0.0001}

    def __init__(self, args, progress=None):
        super().__init__(args, progress)
        self.keras = args.model.endswith("-keras")  # layout and preprocessing
        self.soft = has_samples(args.data)
        # A body left as it was drawn is good for trying, for nothing else.
        self.untrained = args.weights is None and not args.train_all

    @classmethod
    def arguments(cls, add):
        """Add the options."""
        add("--data", required=True,
            help="fer2013.csv, a folder of class folders, or one of ck/ and google/")
        add("--model", choices=MODELS, default="resnet50",
            help="the network; but for -keras all up to layer3 is frozen, there the "
                 "body")
        training_options(add, **cls.defaults)
        add("--optimizer", choices=OPTIMIZERS, default="adam", help="the update rule")
        add("--train-all", action="store_true", help="freeze nothing")
        add("--whole", action="store_true",
            help="run the frozen part in every epoch, too, rather than keep what it "
                 "gives in $MINIFER_CACHE; images that are changed at random need that "
                 "anyway")
        add("--size", type=int, default=224,
            help="side of the network's images in pixels")
        add("--ck-fraction", type=float, default=1.0,
            help="share of the training samples in ck/ that is used")
        add("--google-fraction", type=float, default=1.0,
            help="the same of the samples in google/")
        fer2013_options(add)

    @classmethod
    def check(cls, args, error):
        """Refuse shares of samples that are not there."""
        if (args.ck_fraction, args.google_fraction) != (1, 1) and not has_samples(
                args.data):
            error("--ck-fraction and --google-fraction: expected --data with ck/ and "
                  "google/")

    def load(self):
        """FER2013, cleaned unless --raw, or soft samples; first of all the weights."""
        args = self.args
        if self.untrained:
            print("No --weights: the frozen body is UNTRAINED, good for trying only. "
                  f"{SOURCES[self.library]}{MODELS[args.model][1]} has weights.",
                  flush=True)
        self.arrays = read_weights(args.weights)
        if self.soft:
            return data.join(data.load_samples(args.data, args.google_fraction,
                                               args.ck_fraction, args.seed))
        return read_fer2013(args, self.progress)

    def split(self, faces):
        """Training, validation and test: the last part that the data set names."""
        *parts, kind = split_fer2013(self.args, faces)
        return Split(
            *parts,
            f"the data set's own {'public ' * (kind == 'validation')}test part, "
            f"looked at once; validation {VALIDATION:.0%} of training by subject, "
            f"seed {self.args.seed}",
            bool(np.isin(parts[2].subjects, parts[0].subjects).any()))

    @property
    def library(self):
        """The library whose layout and preprocessing the model has."""
        return "keras" if self.keras else "torch"

    def steps(self, training):
        """What makes an image the network's input: what ImageNet's images met."""
        crop = CropSettings(size=training.images.shape[-1],
                            mode="haar" if self.soft else "whole")
        return ColourPreprocessing.imagenet(self.library, crop, self.args.size)

    def network(self, num_classes):
        """A body, most of it frozen unless --train-all, and a new head."""
        args, (make, _) = self.args, MODELS[self.args.model]
        if self.keras:
            return make(num_classes=num_classes, size=args.size,
                        frozen=not args.train_all)
        network = make(num_classes=num_classes, size=args.size)
        if not args.train_all:
            models.freeze_to_layer3(network)
        return network

    def load_weights(self, network):
        """Begin with another library's weights for the body, or with minifer's."""
        if self.arrays is None:
            super().load_weights(network)
            return
        # Only the head has dense layers; Keras's own is called predictions.
        skip = [one.name for one in layers.get_all_layers(network)
                if isinstance(one, layers.DenseLayer)]
        skip += ["predictions"] * any(name.startswith("predictions/")
                                      for name in self.arrays)
        set_params = (foreign.load_keras_params if self.keras
                      else foreign.load_torch_params)
        set_params(self.arrays, network, skip)

    def inputs(self, network, steps, parts):
        """The network that learns, its preparation, and its input and answers by part.

        Where the frozen part sees the same images in every epoch, its features are
        computed once, and the head alone is trained. Soft samples have targets for
        answers, not labels.
        """
        args, images = self.args, [part.images for part in parts]
        answers = [part.targets if self.soft else part.labels for part in parts]
        print(f"{args.model}: {layers.count_params(network):,d} parameters, "
              f"{layers.count_params(network, trainable=True):,d} of them learn",
              flush=True)
        if args.train_all or args.whole or args.flip or augmentation(args):
            return network, steps, list(zip(images, answers))
        folder = os.path.join(cache_folder(), "features")

        def read():
            return [frozen_features(
                network, one, steps, folder, device=args.device,
                progress=self.progress.callback("features of the body"))
                for one in images]

        connected().lead(lambda: bool(read()))  # the others find what rank 0 has kept
        features = read()
        print(f"features of the body: {sum(one.nbytes for one in features) / 1e6:,.0f}"
              f" MB in {folder}", flush=True)
        return trainable_head(network), None, list(zip(features, answers))

    def rule(self, network):
        """The update rule that --optimizer names."""
        return {"update": OPTIMIZERS[self.args.optimizer]}

    def about(self):
        """The report's title, and where the data come from."""
        body = ", its body untrained" if self.untrained else ""
        return f"Transfer learning with {self.args.model}{body}", self.args.data


def has_samples(folder):
    """Whether --data holds soft samples, rather than FER2013."""
    return any(os.path.isdir(os.path.join(folder, name)) for name in ("ck", "google"))


def read_weights(path):
    """The arrays in a file by name; None without one, or for a file of minifer.

    Raises
    ------
    SettingError
        If the name's ending tells no format.
    """
    ending = os.path.splitext(path or "")[1]
    if ending in ("", ".npz"):
        return None
    if ending not in READERS:
        raise SettingError(f"--weights: expected a file named {', '.join(READERS)} or "
                           f".npz, got {path}.")
    return READERS[ending](path)
