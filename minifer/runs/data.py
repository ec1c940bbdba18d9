"""What `eval` and `compare` share: the data that are named, and the part to judge."""

import dataclasses
import os
from typing import NamedTuple

import numpy as np

from .. import data
from ..device.arrays import DEVICES
from ..errors import DatasetError
from ..faces.cache import cache_folder
from ..faces.cropping import extract
from ..faces.preprocessing import Preprocessing
from ..training.trainer import Trainer

__all__ = ["Tested", "options", "load", "judge"]

#: Shares of the subjects that `minifer train ck` trains, validates and tests with.
SHARES = (0.6, 0.2, 0.2)
PARTS = ("train", "validation", "test")


class Tested(NamedTuple):
    """Faces to judge, where they come from, how they were chosen, and a warning."""

    faces: data.Dataset
    source: str
    protocol: str
    leaky: bool


def options(parser):
    """Add the options that name the data."""
    add = parser.add_argument
    add("--data", nargs="+", metavar="PATH",
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
        faces = data.join([_read(path, model, crop, progress) for path in args.data])
        source, protocol = ", ".join(args.data), "the data set's own {} part"
    else:
        seed = _seed(args, model)
        faces, source = _ck(args, seed, crop, progress)
        protocol = "{} part of a " + data.describe("subject", SHARES, seed=seed)
    if faces.classes != tuple(model.classes):
        raise DatasetError(f"{source}: expected the model's classes "
                           f"{', '.join(model.classes)}; got "
                           f"{', '.join(faces.classes)}.")
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
        indices = data.split_by_subject(faces.labels, faces.subjects, SHARES, seed,
                                        faces.classes)[PARTS.index(name)]
        part = faces.subset(indices)
    # Another seed splits CK+ otherwise: people that trained the network may be in it.
    resplit = bool(args.images) and model.notes.get("seed") not in (None, seed)
    return Tested(part, source, protocol.format(name),
                  args.part not in (None, "test") or resplit)


def judge(model, faces, device):
    """Probabilities (N, K) of the model's classes."""
    steps = Preprocessing.from_dict(model.preprocessing)
    return Trainer(model.network, prepare=steps, device=device).predict(faces.images)


def _seed(args, model):
    """--seed, or the one that the model's notes tell."""
    if args.seed is not None:
        return args.seed
    seed = model.notes.get("seed")
    return seed if type(seed) is int else 0


def _read(path, model, crop, progress):
    """FER2013's table, or class folders, in the size that the model takes."""
    if os.path.isdir(path):
        return data.load_folders(path, model.classes, crop.mode, crop.size,
                                 progress=progress.callback("reading"))
    faces = data.load_fer2013(path)
    if faces.images.shape[2] == crop.size:
        return faces
    whole = dataclasses.replace(crop, mode="whole")  # the table holds faces already
    images = np.stack([extract(face, whole)[0] for face, in faces.images])
    return dataclasses.replace(faces, images=images)


def _ck(args, seed, crop, progress):
    """CK+ or faces drawn like it, and what to call them."""
    images, labels, source = args.images, args.labels, args.images
    if images is None:
        source = "faces drawn by minifer"
        folder = os.path.join(cache_folder(),
                              f"made-faces-{args.subjects}-{seed}")
        images, labels = data.make_faces(folder, subjects=args.subjects, seed=seed,
                                         progress=progress.callback("drawing faces"))
    faces = data.load_ck(images, labels, neutral=args.neutral, faces=crop.mode,
                         size=crop.size, progress=progress.callback("finding faces"))
    return faces, source
