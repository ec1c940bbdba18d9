"""What minifer writes for itself to find again, and what students write."""

import contextlib
import io
import math
import os

import numpy as np

from fuzz.readers.base import Reader, Wrong, numbers
from helpers import runs
from helpers.photos import draw_photo
from helpers.searches import SPACE, hill
from helpers.solutions import SOLUTIONS
from minifer import data, layers, search
from minifer.data.drawn import MARKER
from minifer.errors import SettingError
from minifer.exercises.student import Fault, Student
from minifer.faces.cropping import CropSettings, prepare
from minifer.faces.images import write_png
from minifer.search.trials import RECORD
from minifer.training.frozen import frozen_features

__all__ = ["OWN"]


def crops_of(root):
    crops, found, errors = prepare([root / "photo.png"], CropSettings(size=24),
                                   root / "cache", workers=1)
    if errors:
        raise errors[0]
    return crops.shape, numbers([crops, found])


def make_crop(folder):
    write_png(folder / "photo.png", draw_photo((50, 30, 60), height=120, width=160))
    crops_of(folder)
    return next(path for path in (folder / "cache").rglob("*") if path.is_file())


def read_crop(path):
    return crops_of(path.parents[3])


def features_in(folder):
    network = runs.network()
    layers.freeze(next(one for one in layers.get_all_layers(network)
                       if one.name == "pool"))
    found = frozen_features(network, runs.pictures(10)[0], runs.STEPS, folder)
    return (found.shape, str(found.dtype)), numbers([found])


def make_features(folder):
    features_in(folder)
    return next(folder.glob("*.npy"))


def read_features(path):
    return features_in(path.parent)


def faces_in(folder):
    roots = data.make_faces(folder, subjects=1, emotions=["fear"], frames=(2, 2))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ([os.path.relpath(root, folder) for root in roots],
            numbers([np.frombuffer(path.read_bytes(), np.uint8) for path in files]))


def make_marker(folder):
    faces_in(folder)
    return folder / MARKER


def read_marker(path):
    return faces_in(path.parent)


def search_in(folder, trials):
    result = search.search(hill, search.parse_space(SPACE), trials=trials, seed=1,
                           folder=folder, resume=True)
    str(result)  # the table that users see
    if not math.isfinite(result.best_score):
        raise Wrong(f"a best score of {result.best_score}")
    return ([(one.number, one.settings, one.status) for one in result.trials],
            repr([one.score for one in result.trials]).encode())


def make_trials(folder):
    search_in(folder, 6)
    return folder / RECORD


def read_trials(path):
    return search_in(path.parent, 8)


def make_exercise(folder):
    path = folder / "conv.py"
    path.write_text(SOLUTIONS["conv"])
    return path


def read_exercise(path):
    student = Student(path)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            student.load()
    except Fault as error:  # the checker puts the file's name before it
        raise SettingError(f"{path}: {error}") from None
    return sorted(student.lines.items()), path.read_bytes()


OWN = [
    Reader("face cache", "summed before", make_crop, read_crop, "OpenCV"),
    Reader("kept features", "summed behind", make_features, read_features),
    Reader("drawn faces", "json", make_marker, read_marker),
    Reader("trials of a search", "json lines", make_trials, read_trials),
    Reader("exercise", "text", make_exercise, read_exercise)]
