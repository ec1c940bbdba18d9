"""Data sets: tables, labels beside pictures, stored samples."""

import numpy as np

from fuzz.readers.base import Reader, numbers, shapes
from helpers.ck_tree import Tree
from minifer import data
from minifer.data.readers.samples import load_samples, save_samples
from minifer.data.readers.softlabels import SOFT_CLASSES

__all__ = ["SETS"]


def rows(n=7):
    """Emotion, pixels and usage of some rows."""
    rng = np.random.default_rng(0)
    usages = ("Training", "PublicTest", "PrivateTest")
    for code in range(n):
        yield (str(code), " ".join(map(str, rng.integers(0, 256, 48 * 48))),
               usages[code % 3])


def make_fer(folder):
    path = folder / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n"
                    + "".join(",".join(row) + "\n" for row in rows()))
    return path


def make_icml(folder):
    path = folder / "icml_face_data.csv"
    path.write_text('emotion, Usage, pixels\r\n' + "".join(
        f'{code},{usage},"{pixels}"\r\n' for code, pixels, usage in rows()))
    return path


def make_votes(folder):
    make_fer(folder)
    path = folder / "fer2013new.csv"
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear",
             "contempt", "unknown", "NF")
    path.write_text(f"Usage,Image name,{','.join(names)}\n" + "".join(
        f"{usage},fer{number:07d}.png," + ",".join(
            "8" if place == number else "2" if place == 8 else "0"
            for place in range(len(names))) + "\n"
        for number, (_, _, usage) in enumerate(rows())))
    return path


def columns(faces):
    """A data set in two: what it says of its images, and the images."""
    notes = {reason: value for reason, value in faces.notes.items() if value}
    return ([faces.classes, *shapes({"images": faces.images}), notes,
             faces.usage.tolist()],
            numbers([faces.images, faces.labels, faces.targets]))


def make_emotion(folder):
    tree = Tree(folder)
    tree.add("S001", "001", range(1, 5), label=3)
    tree.add("S002", "001", range(1, 5), label=5)
    return next(folder.rglob("S001_001_*_emotion.txt"))


def read_emotion(path):
    root = path.parents[3]
    scan = data.scan_ck(root / "cohn-kanade-images", root / "Emotion")
    return [scan.classes, scan.subjects, scan.notes], repr(scan.labels).encode()


def make_sample(folder):
    labels = np.arange(32) % len(SOFT_CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (32, 1, 12, 12), np.uint8)
    people = [f"p{number}" for number in range(32)]
    faces = data.SplitDataset(images, labels, SOFT_CLASSES, people, people, people)
    save_samples(faces, folder / "ck", test=.5)
    return min((folder / "ck").glob("*.npy"))


def read_sample(path):
    structure, content = [], b""
    for part in load_samples(path.parents[1]):
        one, more = columns(part)
        structure += [*one, part.subjects.tolist()]
        content += more
    return structure, content


SETS = [
    Reader("FER2013", "text", make_fer, lambda path: columns(data.load_fer2013(path))),
    Reader("FER2013 of ICML", "text", make_icml,
           lambda path: columns(data.load_fer2013(path))),
    Reader("FER+", "text", make_votes, lambda path: columns(
        data.load_ferplus(path.with_name("fer2013.csv"), path))),
    Reader("CK+ emotion", "text", make_emotion, read_emotion),
    Reader("sample", "npy", make_sample, read_sample)]
