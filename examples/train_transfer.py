"""Train a new head on a network that knows ImageNet: python examples/train_transfer.py

--data takes fer2013.csv, a folder with train/CLASS and test/CLASS, or a folder with
the .npy samples ck/ and google/, whose labels are soft. --weights takes the body's
weights, as torchvision or Keras hands them out; nothing is downloaded. The frozen
part looks at each image once, and what it makes of it is kept on disk. What is written
into --out is what train_ck.py writes.
"""

import os
import time

import numpy as np

from minifer import data, layers, models, random, updates
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import resolve
from minifer.errors import SettingError
from minifer.evaluation.metrics import evaluate
from minifer.faces.cache import cache_folder
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import ColourPreprocessing
from minifer.files import make_folder
from minifer.progress import Progress
from minifer.training.frozen import frozen_features, trainable_head
from minifer.training.trainer import Trainer
from minifer.weights import foreign
from minifer.weights.model_file import Model, load_model, load_params
from train_ck import (augmentation, command, describe_run, draw, stop_rule,
                      trainer_options, training_options, write_run)
from train_fer2013 import OPTIMIZERS, SHARES, load, split

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
OPTIMIZERS = {**OPTIMIZERS, "momentum": updates.momentum}
READERS = {".pth": foreign.read_torch, ".pt": foreign.read_torch,
           ".safetensors": foreign.read_safetensors, ".h5": foreign.read_keras}


def parse(argv, prog="train_transfer.py"):
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.set_defaults(script="train_transfer.py")
    add = parser.add_argument
    add("--data", required=True,
        help="fer2013.csv, a folder of class folders, or one of ck/ and google/")
    add("--model", choices=MODELS, default="resnet50",
        help="the network; but for -keras all up to layer3 is frozen, there the body")
    training_options(add, out="runs/transfer", epochs=30, batch=16, lr=0.0001)
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="the update rule")
    add("--train-all", action="store_true", help="freeze nothing")
    add("--whole", action="store_true",
        help="run the frozen part in every epoch, too, rather than keep what it gives "
             "in $MINIFER_CACHE; images that are changed at random need that anyway")
    add("--size", type=int, default=224, help="side of the network's images in pixels")
    add("--ck-fraction", type=float, default=1.0,
        help="share of the training samples in ck/ that is used")
    add("--google-fraction", type=float, default=1.0,
        help="the same of the samples in google/")
    add("--strict", action="store_true",
        help="refuse a csv with a bad row, or a folder with an unreadable image, and "
             "name it; else they are left out and listed")
    add("--raw", action="store_true",
        help="leave blank, too dark and too bright images and copies in the training "
             "part of FER2013, copies of test images among them")
    args = parser.parse_args(argv)
    if args.epochs is None and args.stop is None:
        args.epochs = 30
    if (args.ck_fraction, args.google_fraction) != (1, 1) and not has_samples(args):
        parser.error("--ck-fraction and --google-fraction: expected --data with ck/ "
                     "and google/")
    return args


def has_samples(args):
    """Whether --data holds soft samples, rather than FER2013."""
    return any(os.path.isdir(os.path.join(args.data, name))
               for name in ("ck", "google"))


def load_data(args, progress):
    """FER2013, cleaned unless --raw, or the soft samples of both folders."""
    if not has_samples(args):
        return load(args, progress)
    return data.join(data.load_samples(args.data, args.google_fraction,
                                       args.ck_fraction, args.seed))


def library(args):
    """Whose layout and preprocessing the model has."""
    return "keras" if args.model.endswith("-keras") else "torch"


def is_untrained(args):
    """Whether the body is left as it was drawn: good for trying, for nothing else."""
    return args.weights is None and not args.train_all


def read_weights(args):
    """The arrays in --weights by name; None without it, or for a file of minifer."""
    ending = os.path.splitext(args.weights or "")[1]
    if ending in ("", ".npz"):
        return None
    if ending not in READERS:
        raise SettingError(f"--weights: expected a file named {', '.join(READERS)} or "
                           f".npz, got {args.weights}.")
    return READERS[ending](args.weights)


def build(args, arrays, num_classes):
    """The network: a body with the given weights, most of it frozen; a new head."""
    random.set_rng(args.seed)
    make, _ = MODELS[args.model]
    if library(args) == "keras":
        network = make(num_classes=num_classes, size=args.size,
                       frozen=not args.train_all)
    else:
        network = make(num_classes=num_classes, size=args.size)
        if not args.train_all:
            models.freeze_to_layer3(network)
    if arrays is not None:
        # Only the head has dense layers; Keras's own is called predictions.
        skip = [one.name for one in layers.get_all_layers(network)
                if isinstance(one, layers.DenseLayer)]
        skip += ["predictions"] * any(name.startswith("predictions/")
                                      for name in arrays)
        set_params = (foreign.load_keras_params if library(args) == "keras"
                      else foreign.load_torch_params)
        set_params(arrays, network, skip)
    elif args.weights:
        load_params(args.weights, network)
    return network


def learner_of(args, network, steps, parts, progress):
    """What is trained: the network, its input for each part, and its preparation.

    Where the frozen part sees the same images in every epoch, its features are worked
    out once, and the head alone is trained.
    """
    images = [part.images for part in parts]
    if args.train_all or args.whole or args.flip or augmentation(args):
        return network, images, steps
    folder = os.path.join(cache_folder(), "features")
    features = [frozen_features(network, one, steps, folder, device=args.device,
                                progress=progress.callback("features of the body"))
                for one in images]
    print(f"features of the body: {sum(one.nbytes for one in features) / 1e6:,.0f} MB "
          f"in {folder}", flush=True)
    return trainable_head(network), features, None


def train(args, network, steps, parts, progress):
    """Train; return the result, the model of the best epoch, and probabilities."""
    learner, inputs, prepare = learner_of(args, network, steps, parts, progress)
    answers = [part.targets if has_samples(args) else part.labels for part in parts]
    model = Model(network, parts[0].classes, steps.to_dict(),
                  {"command": command(args), "seed": args.seed})
    trainer = Trainer(learner, OPTIMIZERS[args.optimizer], prepare=prepare,
                      **trainer_options(args, parts[0]))
    result = trainer.fit(inputs[0], answers[0], valid=(inputs[1], answers[1]),
                         epochs=args.epochs, stop=stop_rule(args.stop), folder=args.out,
                         resume=args.resume, model=model, progress=progress)
    best = load_model(os.path.join(args.out, "model.npz"))
    layers.set_all_param_values(network, layers.get_all_param_values(best.network))
    return result, best, trainer.predict(inputs[2])


def main(argv=None, prog="train_transfer.py"):
    """Run the whole story; return the evaluation."""
    args = parse(argv, prog)
    resolve(args.device)  # before the work that would be in vain without it
    started = time.perf_counter()
    make_folder(args.out)
    progress = Progress()
    if is_untrained(args):
        print("No --weights: the frozen body is UNTRAINED, good for trying only. "
              f"{SOURCES[library(args)]}{MODELS[args.model][1]} has weights.",
              flush=True)
    arrays = read_weights(args)
    faces = load_data(args, progress)
    print(faces.summary(), flush=True)
    *parts, kind = split(args, faces)
    training, _, test = parts
    steps = ColourPreprocessing.imagenet(
        library(args), CropSettings(size=faces.images.shape[-1],
                                    mode="haar" if has_samples(args) else "whole"),
        args.size)
    network = build(args, arrays, len(faces.classes))
    print(f"{args.model}: {layers.count_params(network):,d} parameters, "
          f"{layers.count_params(network, trainable=True):,d} of them learn",
          flush=True)
    result, model, probabilities = train(args, network, steps, parts, progress)
    protocol = (f"the data set's own {'public ' * (kind == 'validation')}test part, "
                f"looked at once; validation {SHARES[1]:.0%} of training by subject, "
                f"seed {args.seed}")
    evaluation = evaluate(
        probabilities, test.labels, faces.classes, test.subjects, protocol=protocol,
        seed=args.seed, leaky=bool(np.isin(test.subjects, training.subjects).any()))
    print(evaluation)

    pictures = draw(args.out, result, model, evaluation, test, probabilities)
    body = ", its body untrained" if is_untrained(args) else ""
    record = describe_run(args, f"Transfer learning with {args.model}{body}", args.data,
                          faces, result, evaluation, time.perf_counter() - started)
    write_run(args.out, record, result, evaluation, pictures)
    return evaluation


if __name__ == "__main__":
    run(main)
