"""The data that options name: read, scaled to the network, split, and judged."""

import argparse
import dataclasses
import os
from typing import NamedTuple

import numpy as np

from .. import data
from ..device.arrays import DEVICES
from ..data.readers.words import MERGE_ALIKE, spelled_as
from ..errors import DatasetError, SettingError
from ..faces.cache import cache_folder
from ..faces.cropping import extract
from ..faces.preprocessing import Preprocessing
from ..faces.views import mean_of_views
from ..files import naming
from ..ranks import connected
from ..training.trainer import Trainer
from ..weights.model_file import load_model

__all__ = ["DRAWN", "SHARES", "VALIDATION", "SIDE", "Split", "Tested", "options",
           "fer2013_options", "load", "some", "open_models", "judge", "read_ck",
           "split_ck", "read_faces", "read_fer2013", "split_fer2013", "scale"]

#: The source of data that were not given.
DRAWN = "faces drawn by minifer"
#: Shares of CK+'s subjects that train, choose the best epoch, and test.
SHARES = (0.6, 0.2, 0.2)
#: Share of FER2013's training part that chooses the best epoch.
VALIDATION = 0.2
#: Side of FER2013's images in pixels.
SIDE = 48
PARTS = ("train", "validation", "test")


class Split(NamedTuple):
    """Three parts of a data set, how they were chosen, and whether that flatters."""

    training: data.Dataset
    validation: data.Dataset | None
    test: data.Dataset
    protocol: str
    leaky: bool


class Tested(NamedTuple):
    """Faces to judge, where they come from, how they were chosen, and a warning."""

    faces: data.Dataset
    source: str
    protocol: str
    leaky: bool


def options(parser):
    """Add the options that name the data."""
    add = parser.add_argument
    add("--data", nargs="+", action="extend", metavar="PATH",
        help="fer2013.csv, or a folder of class folders; several are put together. "
             "Without --data and --images: faces drawn by minifer")
    add("--images", help="image root of CK+, such as cohn-kanade-images")
    add("--labels", help="label root of CK+, such as Emotion")
    add("--neutral", type=float, default=0.0,
        help="share of CK+'s first frames to use as an eighth class, neutral")
    add("--subjects", type=int, default=60, help="people in the drawn data set")
    add("--part", choices=[*PARTS, "all"],
        help="which part to judge: the data set's own, or of CK+ and drawn faces that "
             "of the split by subject with --seed. On train a network is flattered. "
             "Unless given: test, and of data without one (FER2013 without its private "
             "test part) validation")
    add("--seed", type=int,
        help="of the split and of drawn faces; by default the one that the model was "
             "trained with, or else 0")
    add("--merge-alike", action="store_true", help=MERGE_ALIKE)
    add("--device", choices=DEVICES, default="cpu",
        help="where to compute: cuda is an NVIDIA GPU")


def load(args, model, progress):
    """The faces that the options name, as the model wants them.

    Raises
    ------
    DatasetError
        If options contradict each other, the classes are not those of the model, or
        the part does not exist.
    """
    if (args.images is None) != (args.labels is None) or (args.data and args.images):
        raise DatasetError("expected --data, or --images and --labels together, or "
                           "none of them for drawn faces.")
    crop = Preprocessing.from_dict(model.preprocessing).crop
    if args.data:
        faces = data.join([_named_as(_read(path, args, model, crop, progress), path,
                                     args, model) for path in args.data])
        source, protocol = ", ".join(args.data), "the data set's own {} part"
    else:
        seed, source = _seed(args, model), args.images or DRAWN
        faces = _named_as(read_ck(args, seed, progress, faces=crop), source, args,
                          model)
        protocol = "{} part of a " + data.describe("subject", SHARES, seed=seed)
    counts = np.bincount(faces.labels, minlength=len(faces.classes))
    absent = [name for name, count in zip(faces.classes, counts) if not count]
    if absent:
        progress.line(f"{source}: no image of {', '.join(absent)}, so nothing is "
                      "measured of it")
    if args.part == "all":
        protocol = "all images, whatever the network was trained on"
        leaky = not args.data or bool((faces.usage == "train").any())
        return Tested(faces, source, protocol, leaky)
    name = args.part or "test"
    if args.data:
        if args.part is None and not (faces.usage == "test").any():
            name, protocol = "validation", protocol + ", for it has no test part"
        part = faces.part(name)
    else:
        part = split_ck(faces, seed)[PARTS.index(name)]
    # Another seed splits CK+ otherwise: people that trained the network may be in it.
    resplit = bool(args.images) and model.notes.get("seed") not in (None, seed)
    return Tested(part, source, protocol.format(name),
                  args.part not in (None, "test") or resplit)


def open_model(path):
    """The model in a file that also says how photos become its input."""
    model = load_model(path)
    with naming(path):
        Preprocessing.from_dict(model.preprocessing)
    return model


def open_models(paths, like=None):
    """The models in files, of the same classes and crops.

    Parameters
    ----------
    paths : list of str
    like : minifer.data.Dataset, optional
        What they are to judge: its classes are theirs, and its images are as large as
        their crops. Default: they have the classes and crops of the first.

    Raises
    ------
    SettingError
        If a model's classes or crops are others.
    """
    models = [open_model(path) for path in paths]
    for path, model in zip(paths, models):
        crops = [one.preprocessing["crop"] for one in (model, models[0])]
        pairs = [("classes", model.classes, models[0].classes), ("crops", *crops)]
        if like is not None:  # whose images are faces already
            pairs = [("classes", model.classes, tuple(like.classes)),
                     ("size of faces", crops[0]["size"], like.images.shape[-1])]
        for what, ours, wanted in pairs:
            if ours != wanted:
                raise SettingError(f"{path}: expected the {what} {wanted}, got {ours}. "
                                   "What models say can be averaged if they are alike.")
    return models


def judge(model, faces, device, tta=False):
    """Probabilities (N, K) of the model's classes, or their mean over ten views.

    Ranks share the faces out, and have the same probabilities, bit for bit.
    """
    steps = Preprocessing.from_dict(model.preprocessing)
    judged = Trainer(model.network, prepare=steps, device=device,
                     ranks=connected()).predict
    return mean_of_views(judged, faces.images) if tta else judged(faces.images)


def some(path, count, seed, progress):
    """As many faces as wanted, chosen at random; drawn by minifer without a path."""
    if path is None:
        args = argparse.Namespace(images=None, labels=None, neutral=0.0, subjects=12)
        faces = read_ck(args, seed, progress, faces="whole")
    else:
        faces = read_faces(path, progress)
    rng = np.random.default_rng(seed)
    return faces.subset(rng.permutation(len(faces))[:count])


def _seed(args, model):
    """--seed, or the one that the model's notes tell."""
    if args.seed is not None:
        return args.seed
    seed = model.notes.get("seed")
    return seed if type(seed) is int else 0


def _read(path, args, model, crop, progress):
    """FER2013's table, or class folders, in the size that the model takes."""
    if os.path.isdir(path):
        return data.load_folders(path, model.classes, crop,
                                 progress=progress.callback("reading"),
                                 merge_alike=args.merge_alike, absent=True)
    return scale(data.load_fer2013(path), crop)


def _named_as(faces, source, args, model):
    """The faces with the model's classes, in its order; some may have no image.

    Raises
    ------
    DatasetError
        If there are images of another class.
    """
    into = [spelled_as(name, model.classes) if args.merge_alike else name
            for name in faces.classes]
    shown = [faces.classes[k] for k in np.unique(faces.labels)
             if into[k] not in model.classes]
    if shown:
        raise DatasetError(
            f"{source}: expected images of the model's classes "
            f"{', '.join(model.classes)}; got {', '.join(faces.classes)}. Leave out "
            f"{', '.join(shown)}" + (", or use --merge-alike." if any(
                spelled_as(name, model.classes) for name in shown) else "."))
    places = np.array([model.classes.index(name) if name in model.classes else -1
                       for name in into])
    columns = {"labels": places[faces.labels], "classes": tuple(model.classes)}
    if hasattr(faces, "targets"):
        targets = np.zeros((len(faces), len(model.classes)), np.float32)
        np.add.at(targets.T, places[places >= 0], faces.targets.T[places >= 0])
        columns["targets"] = targets
    return dataclasses.replace(faces, **columns)


def scale(faces, crop):
    """Scale faces to the size that a network takes; nothing is cut away."""
    if faces.images.shape[-1] == crop.size:
        return faces
    whole = dataclasses.replace(crop, mode="whole")
    images = np.stack([extract(face, whole)[0] for face, in faces.images])
    return dataclasses.replace(faces, images=images)


def read_ck(args, seed, progress, **settings):
    """Read CK+ from --images and --labels, or without them draw faces like it.

    Parameters
    ----------
    args : argparse.Namespace
        ``images``, ``labels``, ``neutral``, and ``subjects``, the people to draw.
    seed : int
        Seed of the drawn faces.
    progress : minifer.progress.Progress
    **settings
        What :func:`minifer.data.load_ck` takes besides.
    """
    images, labels = args.images, args.labels
    if images is None:
        folder = os.path.join(cache_folder(), f"made-faces-{args.subjects}-{seed}")
        images, labels = data.make_faces(folder, subjects=args.subjects, seed=seed,
                                         progress=progress.callback("drawing faces"))
    return data.load_ck(images, labels, neutral=args.neutral,
                        progress=progress.callback("finding faces"), **settings)


def split_ck(faces, seed, people=True):
    """The three parts of CK+, by subject; ``people=False`` splits at random."""
    parts = (data.split_by_subject(faces.labels, faces.subjects, SHARES, seed,
                                   faces.classes) if people else
             data.split_random(faces.labels, SHARES, seed, faces.classes))
    return [faces.subset(part) for part in parts]


def fer2013_options(add):
    """Add the options of how FER2013 is read; ``add`` is ``parser.add_argument``."""
    add("--strict", action="store_true",
        help="refuse a csv with a bad row, or a folder with an unreadable image, and "
             "name it; else they are left out and listed")
    add("--raw", action="store_true",
        help="leave blank, too dark and too bright images and copies in the training "
             "part of FER2013, copies of test images among them")
    add("--merge-alike", action="store_true", help=MERGE_ALIKE)


def read_faces(path, progress, strict=False, merge_alike=False):
    """Read FER2013's table, or class folders; augmented copies stay with their source.

    ``strict`` and ``merge_alike`` are those of :func:`minifer.data.load_folders`.
    """
    if not os.path.isdir(path):
        return data.load_fer2013(path, strict)
    return data.keep_together(data.load_folders(
        path, strict=strict, progress=progress.callback("reading"),
        merge_alike=merge_alike))


def read_fer2013(args, progress):
    """Read FER2013 from --data, cleaned unless --raw; print what was left out."""
    faces = read_faces(args.data, progress, args.strict, args.merge_alike)
    if not args.raw:
        faces, report = data.clean(faces)
        print(report, flush=True)
    return faces


def split_fer2013(args, faces):
    """Training, validation and test, and which of the data set's own parts tests.

    That is the last one it has: ``'test'``, the private one, or ``'validation'``.

    Raises
    ------
    DatasetError
        If there is no training part, or none to test with.
    """
    kinds = [kind for kind in ("test", "validation") if (faces.usage == kind).any()]
    if not kinds or not (faces.usage == "train").any():
        raise DatasetError(
            f"{args.data}: expected a training part and a public or private test "
            "part, got only one of them. Give the whole csv, or the folder above "
            "train and test.")
    training = faces.part("train")
    parts = data.split_by_subject(training.labels, training.subjects,
                                  (1 - VALIDATION, VALIDATION), args.seed,
                                  faces.classes)
    return *(training.subset(part) for part in parts), faces.part(kinds[0]), kinds[0]
