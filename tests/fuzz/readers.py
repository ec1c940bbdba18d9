"""Every reader that minifer has: a valid file of its kind, and what is read from it.

Each reads as a user would: a model's file up to the judgement of a photo, a checkpoint
up to the next epoch. What comes back is split in two: the structure (shapes, names,
types), and the numbers.
"""

import contextlib
import importlib.util
import io
import json
import math
import os
import pathlib
import struct
from typing import Any, Callable, NamedTuple

import numpy as np

from helpers import clips, runs, torch_bytes
from helpers.ck_tree import Tree
from helpers.photos import draw_photo
from helpers.searches import SPACE, hill
from helpers.solutions import SOLUTIONS
from minifer import data, layers, search
from minifer.data.drawn import MARKER
from minifer.data.readers.samples import load_samples, save_samples
from minifer.data.readers.softlabels import SOFT_CLASSES
from minifer.errors import NotFiniteError, SettingError, WeightsError
from minifer.exercises.student import Fault, Student
from minifer.faces.cropping import CropSettings, extract, prepare
from minifer.faces.images import load_cv2, read_colour, read_image, write_png
from minifer.predict.predictor import Predictor
from minifer.predict.video import Video
from minifer.training.frozen import frozen_features
from minifer.weights import architecture, foreign, load_params
from minifer.weights.model_file import save_model

__all__ = ["Reader", "Wrong", "READERS"]


class Wrong(Exception):
    """What was read is what no file may give, whatever stands in it."""


class Reader(NamedTuple):
    """A reader of files.

    Attributes
    ----------
    name : str
    kind : str
        Of ``formats.FORMATS``, or another name for a format that nothing there knows.
    make : function
        ``make(folder)`` writes a valid file, and what it needs around it, and returns
        the file's path.
    read : function
        ``read(path)`` returns ``(structure, numbers)``, or raises.
    outside : str
        Other people's library that decodes the file in this process, if there is one:
        where the process dies, that is counted apart.
    """

    name: str
    kind: str
    make: Callable[[pathlib.Path], pathlib.Path]
    read: Callable[[pathlib.Path], tuple[Any, bytes]]
    outside: str = ""


def numbers(arrays):
    """Bytes of arrays, one behind the other."""
    return b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)


def shapes(arrays):
    """Names, types and shapes."""
    return [(name, str(one.dtype), one.shape) for name, one in arrays.items()]


# --- models, weights, checkpoints -------------------------------------------------

def make_model(folder):
    write_png(folder / "photo.png", draw_photo((60, 40, 60), height=120, width=160))
    save_model(folder / "model.npz", runs.model(runs.network(norm=True), run=1))
    return folder / "model.npz"


def read_model(path):
    predictor = Predictor.load(path)
    model = predictor.model
    photo = predictor.photo(path.with_name("photo.png"))
    for face in photo.faces:
        values = list(face.saturations.values())
        if not all(0 <= one <= 1 for one in values) or abs(sum(values) - 1) > 1e-4:
            raise Wrong(f"saturations {values}")
    values = layers.get_all_param_values(model.network)
    return ([model.classes, model.preprocessing, model.notes, photo.status,
             architecture.to_dict(model.network), [one.shape for one in values]],
            numbers(values))


def make_values(folder):
    np.savez(folder / "values.npz", *layers.get_all_param_values(runs.network()))
    return folder / "values.npz"


def read_values(path):
    network = runs.network(seed=1)
    load_params(path, network)
    return finite(network)


def finite(network):
    """The parameters; wrong if one is not finite."""
    values = layers.get_all_param_values(network)
    if not all(np.isfinite(one).all() for one in values):
        raise Wrong("parameters that are not finite")
    return [one.shape for one in values], numbers(values)


def make_checkpoint(folder):
    runs.train(folder, 1)
    return folder / "checkpoint.npz"


def read_checkpoint(path):
    """Go on for an epoch. Training that fails with other numbers is no fault."""
    try:
        result, network = runs.train(path.parent, 2)
    except NotFiniteError:
        return [1, 2], b""
    rows = runs.rows(result.history)
    return ([row.get("epoch") for row in rows],
            repr(rows).encode() + finite(network)[1])


def read_finished(path):
    """Begin anew where a finished run stands."""
    result, network = runs.train(path.parent, 1, resume=False)
    return [row["epoch"] for row in result.history], finite(network)[1]


def torch_arrays():
    arrays = {}
    for layer in layers.get_all_layers(runs.network()):
        if layer.params:
            value = layer.W.get_value()
            arrays[f"{layer.name}.weight"] = value.T if value.ndim == 2 else value
            arrays[f"{layer.name}.bias"] = layer.b.get_value()
    return {name: np.ascontiguousarray(one) for name, one in arrays.items()}


def make_torch(form):
    def make(folder):
        return torch_bytes.write(folder / "weights.pth", torch_arrays(), form)
    return make


def make_torchscript(folder):
    """A whole model, which is a program: always refused."""
    body = torch_bytes.call(torch_bytes.name("__torch__", "Net")) + b"}" + b"b"
    return torch_bytes.write_zip(
        folder / "script.pt", body, {"0": b"\0" * 16},
        **{"constants.pkl": torch_bytes.whole(b")"),
           "code/__torch__.py": b"class Net(Module):\n  __parameters__ = []\n"})


def make_safetensors(folder):
    header, body = {}, b""
    for name, array in torch_arrays().items():
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(body), len(body) + array.nbytes]}
        body += array.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path = folder / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def make_keras(root, leaf):
    """``leaf(layer, number, name)`` is where an array lies."""
    def make(folder):
        import h5py
        path = folder / "weights.h5"
        with h5py.File(path, "w") as file:
            for layer in layers.get_all_layers(runs.network()):
                if layer.params:
                    kernel = layer.W.get_value()
                    if kernel.ndim == 4:
                        kernel = kernel.transpose(2, 3, 1, 0)
                    for number, (name, array) in enumerate(
                            [("kernel", kernel), ("bias", layer.b.get_value())]):
                        place = leaf(layer.name, number, name)
                        file[root + place] = array
                        file[root + place].parent.attrs["name"] = layer.name
        return path
    return make


def read_foreign(read, load):
    """The file, and its arrays in a network."""
    def read_both(path):
        arrays, network = read(path), runs.network(seed=1)
        try:
            load(arrays, network)
        except WeightsError as error:  # it knows of arrays alone, not of a file
            raise WeightsError(f"{path}: {error}") from None
        return shapes(arrays), finite(network)[1]
    return read_both


READ_TORCH = read_foreign(foreign.read_torch, foreign.load_torch_params)

# --- data sets ---------------------------------------------------------------------


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


# --- photos, films, caches -----------------------------------------------------------

EXIF = (b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")


def make_picture(ending, *options, change=None):
    """A photo of a drawn face, written by OpenCV."""
    def make(folder):
        cv2 = load_cv2()
        grey = draw_photo((50, 30, 60), height=120, width=160)
        picture = grey if ending == "pgm" else np.stack(
            [grey, np.roll(grey, 9), grey // 2 + 60], axis=2)
        content = cv2.imencode("." + ending, picture, options)[1].tobytes()
        path = folder / f"photo.{ending}"
        path.write_bytes(change(content) if change else content)
        return path
    return make


def with_exif(jpeg):
    """The photo lies on its side, a segment says."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(EXIF) + 2) + EXIF + jpeg[2:]


def make_deep_png(folder):
    path, cv2 = folder / "photo.png", load_cv2()
    grey = draw_photo((50, 30, 60), height=120, width=160).astype(np.uint16) * 257
    path.write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    return path


def read_picture(path):
    grey, colour = read_image(path), read_colour(path)
    if (*grey.shape, 3) != colour.shape or {grey.dtype, colour.dtype} != {
            np.dtype(np.uint8)}:
        raise Wrong(f"{shapes({'grey': grey, 'colour': colour})}")
    crops, boxes = extract(grey, CropSettings(size=24))
    return [grey.shape, crops.shape], numbers([grey, colour, crops, boxes])


def make_film(ending, code):
    def make(folder):
        pictures = [picture[::4, ::4] for picture in clips.walk(12)]
        return clips.write_clip(folder / f"film.{ending}", pictures, code)
    return make


def read_film(path):
    film, structure, content = Video(path), [], []
    for number, seconds, picture in film:
        if not (math.isfinite(seconds) and picture.dtype == np.uint8):
            raise Wrong(f"frame {number} at {seconds} s, {picture.dtype}")
        structure.append((number, round(seconds, 6), picture.shape))
        content.append(picture.sum(dtype=np.int64))
    return [film.fps, film.total, structure], numbers(content)


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


# --- what minifer writes for itself, and what students write --------------------------

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
    return folder / search.trials.RECORD


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


def keras():
    """A reader for each of Keras's ways to name arrays, where h5py is installed."""
    if importlib.util.find_spec("h5py"):
        read = read_foreign(foreign.read_keras, foreign.load_keras_params)
        for name, root, leaf in (("Keras weights", "", "{0}/{0}/{2}:0"),
                                 ("Keras model", "model_weights/", "{0}/{0}/{2}:0"),
                                 ("Keras 3", "layers/", "{0}/vars/{1}")):
            yield Reader(name, "hdf5", make_keras(root, leaf.format), read, "HDF5")


def pictures():
    """A reader for each kind of picture that this OpenCV writes."""
    cv2 = load_cv2()
    for name, kind, ending, *options in (
            ("JPEG", "", "jpg"), ("progressive JPEG", "", "jpg",
                                  cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
            ("PNG", "png", "png"), ("BMP", "", "bmp"), ("TIFF", "", "tiff"),
            ("WebP", "", "webp"), ("GIF", "", "gif"), ("AVIF", "", "avif"),
            ("JPEG 2000", "", "jp2"), ("PGM", "text", "pgm"), ("HDR", "", "hdr"),
            ("Sun raster", "", "sr")):
        if cv2.haveImageWriter("x." + ending):
            yield Reader(name, kind, make_picture(ending, *options), read_picture,
                         "OpenCV")
    yield Reader("JPEG with EXIF", "", make_picture("jpg", change=with_exif),
                 read_picture, "OpenCV")
    yield Reader("16-bit PNG", "png", make_deep_png, read_picture, "OpenCV")


READERS = [
    Reader("model", "zip", make_model, read_model),
    Reader("weights by position", "zip", make_values, read_values),
    Reader("checkpoint, resumed", "zip", make_checkpoint, read_checkpoint),
    Reader("checkpoint, begun anew", "zip", make_checkpoint, read_finished),
    Reader("PyTorch", "zip", make_torch("zip"), READ_TORCH),
    Reader("PyTorch before 1.6", "legacy", make_torch("legacy"), READ_TORCH),
    Reader("TorchScript", "zip", make_torchscript, READ_TORCH),
    Reader("safetensors", "safetensors", make_safetensors,
           read_foreign(foreign.read_safetensors, foreign.load_torch_params)),
    *keras(),
    Reader("FER2013", "text", make_fer, lambda path: columns(data.load_fer2013(path))),
    Reader("FER2013 of ICML", "text", make_icml,
           lambda path: columns(data.load_fer2013(path))),
    Reader("FER+", "text", make_votes, lambda path: columns(
        data.load_ferplus(path.with_name("fer2013.csv"), path))),
    Reader("CK+ emotion", "text", make_emotion, read_emotion),
    Reader("sample", "npy", make_sample, read_sample),
    *pictures(),
    *(Reader(f"film, {ending} of {code}", "", make_film(ending, code), read_film,
             "FFmpeg") for ending, code in (
        ("mp4", "mp4v"), ("mov", "mp4v"), ("mkv", "MJPG"), ("avi", "MJPG"),
        ("avi", "XVID"), ("webm", "VP80"), ("webm", "VP90"))),
    Reader("face cache", "summed before", make_crop, read_crop, "OpenCV"),
    Reader("kept features", "summed behind", make_features, read_features),
    Reader("drawn faces", "json", make_marker, read_marker),
    Reader("trials of a search", "json lines", make_trials, read_trials),
    Reader("exercise", "text", make_exercise, read_exercise),
]
