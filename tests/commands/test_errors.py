"""Whatever a user does wrong: one clear line, exit code 2, nothing lost."""

import functools
import pickle
import resource
import subprocess
import sys

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer import layers
from minifer.data import EMOTIONS
from minifer.device import arrays
from minifer.faces.cropping import CropSettings
from minifer.faces.images import write_png
from minifer.faces.preprocessing import Preprocessing
from minifer.weights.model_file import Model, load_model, save_model

PROGRESS = ("finding faces: ", "drawing faces: ", "epoch ", "fold ", "continuing ")
LABEL = "labels/S001/001/S001_001_00000002_emotion.txt"
IMAGE = "images/S001/001/S001_001_00000002.png"


def errors(outcome):
    """The lines on standard error that are not progress."""
    return [line for line in outcome.err.splitlines()
            if line.strip() and not line.startswith(PROGRESS)]


def assert_one_line(outcome, *words):
    """Exit code 2 and one line that has all the words."""
    assert outcome.code == 2, outcome
    line, = errors(outcome)
    assert line.startswith(("error: ", "train_ck.py: error: ", "predict.py: error: "))
    assert "Traceback" not in outcome.err + outcome.out
    for word in words:
        assert word in line


# --- train_ck: the data ------------------------------------------------------

def empty_folder(folder):
    (folder / "none").mkdir()
    return {"images": folder / "none"}


def other_structure(folder):
    (folder / "other" / "anger" / "pictures").mkdir(parents=True)
    return {"labels": folder / "other"}


def write(name, content):
    """A way to spoil a data set: other bytes in one of its files."""
    def spoil(folder):
        (folder / name).write_bytes(content)
        return {}
    return spoil


def cut(folder):
    whole = (folder / IMAGE).read_bytes()
    (folder / IMAGE).write_bytes(whole[:len(whole) // 2])
    return {}


def tiny_image(folder):
    write_png(folder / IMAGE, np.zeros((1, 1), np.uint8))
    return {}


def one_subject(folder):
    """Only S001 is happy."""
    for path in (folder / "labels").glob("S00[2-5]/002/*.txt"):
        path.unlink()
    return {}


def two_label_files(folder):
    (folder / LABEL).with_name("S001_001_00000001_emotion.txt").write_text("1")
    return {}


DATA = {
    "image root without images": (empty_folder, ["none", "expected images"]),
    "image root missing": (lambda folder: {"images": folder / "gone"},
                           ["gone", "found nothing"]),
    "image root a file": (lambda folder: {"images": folder / LABEL}, ["found a file"]),
    "label root missing": (lambda folder: {"labels": folder / "gone"}, ["gone"]),
    "label root of another structure": (other_structure, ["other", "sub-folders"]),
    "roots swapped": (lambda folder: {"images": folder / "labels",
                                      "labels": folder / "images"},
                      ["labels: expected images"]),
    "label empty": (write(LABEL, b""), [LABEL, "holds nothing"]),
    "label blank": (write(LABEL, b" \n"), [LABEL, "holds nothing"]),
    "label not a number": (write(LABEL, b"happy"), [LABEL, "happy"]),
    "label out of range": (write(LABEL, b"8.0"), [LABEL, "8.0"]),
    "label negative": (write(LABEL, b"-1"), [LABEL, "-1"]),
    "label a fraction": (write(LABEL, b"2.5"), [LABEL, "2.5"]),
    "label not finite": (write(LABEL, b"nan"), [LABEL, "nan"]),
    "label binary": (write(LABEL, b"\xff\xfe\x00\x01"), [LABEL]),
    "two label files": (two_label_files, ["one label file"]),
    "image truncated": (cut, [IMAGE, "truncated"]),
    "image empty": (write(IMAGE, b""), [IMAGE, "empty"]),
    "image of one pixel": (tiny_image, [IMAGE, "1x1"]),
    "image a text": (write(IMAGE, b"Dear reader"), [IMAGE, "cannot be decoded"]),
    "a class with one subject": (one_subject, ["happiness", "1 subject"]),
}


@pytest.fixture
def data(tmp_path):
    """A data set to spoil, in a folder of its own."""
    runs.write_ck(tmp_path)
    return tmp_path


def train(folder, *words, images=None, labels=None):
    """Train on the data in a folder; what stood in ``out`` is the user's."""
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / "model.npz").write_bytes(b"what stood here before")
    outcome = runs.command(
        "train_ck", "--images", images or folder / "images", "--labels",
        labels or folder / "labels", "--faces", "whole", "--batch", 4, "--out",
        folder / "out", *words, cache=folder / "cache")
    assert (folder / "out" / "model.npz").read_bytes() == b"what stood here before"
    assert [path.name for path in (folder / "out").iterdir()] == ["model.npz"]
    return outcome


@pytest.mark.parametrize("spoil, words", DATA.values(), ids=DATA)
def test_wrong_data(data, spoil, words):
    assert_one_line(train(data, **spoil(data)), *words)


# --- train_ck: the options ---------------------------------------------------

OPTIONS = {
    "--batch 0": ["batch size"], "--batch -1": ["batch size"], "--batch x": ["--batch"],
    "--batch 1.5": ["--batch"],
    "--epochs 0": ["epochs", "got 0"], "--epochs -1": ["epochs", "got -1"],
    "--epochs x": ["--epochs"],
    "--lr 0": ["--lr"], "--lr -1": ["--lr"],
    "--lr nan": ["--lr"], "--lr inf": ["--lr"], "--lr x": ["--lr"],
    "--unknown": ["--unknown"], "--epoch 3": ["--epoch"], "stray": ["stray"],
    "--last 0": ["last", "above 0"], "--last 1.5": ["last", "1.5"],
    "--last nan": ["last"], "--last -1": ["last"],
    "--neutral 1.5": ["neutral"], "--neutral 0.9": ["last + neutral"],
    "--schedule sometimes": ["schedule", "sometimes"],
    "--schedule step": ["schedule"], "--schedule step:0": ["schedule", "step:0"],
    "--schedule step:x": ["schedule"], "--schedule inverse_time": ["schedule"],
    "--schedule inverse_time:-1": ["schedule"],
    "--schedule inverse_time:nan": ["schedule"],
    "--schedule cosine --stop settled": ["cosine", "--epochs"],
    "--stop never": ["--stop", "never"], "--stop settled:3": ["--stop"],
    "--stop patience": ["--stop"], "--stop patience:0": ["patience", "got 0"],
    "--stop patience:x": ["--stop"], "--stop patience:²": ["--stop"],
    "--folds 0": ["folds"], "--folds 1": ["folds", "got 1"],
    "--folds -2": ["folds"], "--folds 1000": ["folds", "got 1000"],
    "--folds 2 --split random": ["--folds"],
    "--folds 2 --jobs 2 --ranks mpi": ["--jobs", "leave out --ranks"],
    "--split sometimes": ["--split"], "--faces cat": ["--faces"],
    "--device abacus": ["--device"], "--seed -1": ["seed"], "--seed 1.5": ["--seed"],
    "--rotation 181": ["rotation", "180"], "--rotation x": ["--rotation"],
    "--shift -0.1": ["shift", "0 to 1"], "--zoom 1": ["zoom", "(0.0, 2.0)"],
    "--brightness nan": ["brightness"], "--erase 2": ["erase", "got 2.0"],
    "--class-weights many": ["--class-weights"],
    "--weights none.npz": ["none.npz", "No such file"],
}


@pytest.mark.parametrize("options, words", OPTIONS.items(), ids=OPTIONS)
def test_wrong_options(data, options, words):
    assert_one_line(train(data, *options.split()), *words)


@pytest.mark.parametrize("words", [
    ("--images", "somewhere"), ("--labels", "somewhere"), ("--subjects", "0"),
    ("--subjects", "x"), ("--subjects", "1000"), ("--seed", "-1")])
def test_wrong_options_without_data(tmp_path, words):
    outcome = runs.command("train_ck", *words, "--out", tmp_path / "out",
                           cache=tmp_path / "cache")
    assert_one_line(outcome, words[0].strip("-"))


def test_an_exploding_rate(data, monkeypatch):
    monkeypatch.setattr(minifer.models, "ck96", lambda num_classes: runs.network(
        classes=num_classes, size=96))
    outcome = runs.command(
        "train_ck", "--images", data / "images", "--labels", data / "labels",
        "--faces", "whole", "--batch", 2, "--lr", 1e30, "--out", data / "out",
        cache=data / "cache")
    assert_one_line(outcome, "layer", "learning rate")


# --- both: model files and folders -------------------------------------------

def save_tiny(path):
    steps = Preprocessing(CropSettings(size=24))
    save_model(path, Model(runs.network(size=24, classes=7), EMOTIONS, steps.to_dict()))
    return path


def truncated(folder):
    path = save_tiny(folder / "m.npz")
    path.write_bytes(path.read_bytes()[:-100])
    return path


def empty(folder):
    (folder / "m.npz").write_bytes(b"")
    return folder / "m.npz"


def pickled(folder):
    (folder / "m.npz").write_bytes(pickle.dumps([np.zeros(3)]))
    return folder / "m.npz"


def objects(folder):
    np.savez(folder / "m.npz", np.array([{}], dtype=object))
    return folder / "m.npz"


def bare_weights(folder):
    np.savez(folder / "m.npz", *layers.get_all_param_values(runs.network()))
    return folder / "m.npz"


def checkpoint(folder):
    runs.train(folder / "run", 1)
    return folder / "run" / "checkpoint.npz"


FILES = {
    "truncated": (truncated, "damaged"), "empty": (empty, "pickle"),
    "pickle": (pickled, "pickle"), "objects": (objects, "objects"),
    "missing": (lambda folder: folder / "none.npz", "No such file"),
    "a folder": (lambda folder: folder, "directory"),
}
NO_MODEL = {"bare weights": (bare_weights, "bare weights"),
            "checkpoint": (checkpoint, "checkpoint")}
NO_WEIGHTS = {
    "another architecture": (lambda folder: save_tiny(folder / "m.npz"),
                             "another network"),
    "bare weights of another": (bare_weights, "another network"),
    "checkpoint": (checkpoint, "arr_0"),
}


@pytest.mark.parametrize("make, word", (FILES | NO_MODEL).values(),
                         ids=FILES | NO_MODEL)
def test_predict_with_a_wrong_model(tmp_path, make, word):
    path = make(tmp_path)
    outcome = runs.command("predict", "x.png", "--model", path, "--out",
                           tmp_path / "out")
    assert_one_line(outcome, str(path), word)
    assert outcome.out == ""


@pytest.mark.parametrize("make, word", (FILES | NO_WEIGHTS).values(),
                         ids=FILES | NO_WEIGHTS)
def test_train_with_wrong_weights(data, make, word):
    path = make(data)
    assert_one_line(train(data, "--weights", path), str(path), word)


@pytest.mark.parametrize("out", ["/proc/none/out", "file.txt/out", "file.txt"])
@pytest.mark.parametrize("name", ["train_ck", "predict"])
def test_a_folder_that_cannot_be_written(tmp_path, name, out):
    """Known at once, before any face is looked for."""
    (tmp_path / "file.txt").write_text("not a folder")
    out = tmp_path / out
    words = (["--model", save_tiny(tmp_path / "m.npz"), "x.png"] if name == "predict"
             else ["--images", tmp_path, "--labels", tmp_path])
    assert_one_line(runs.command(name, *words, "--out", out), str(out),
                    "can be written")


# --- predict: the photos -----------------------------------------------------

@pytest.mark.parametrize("content, word", [
    (b"", "empty"), (b"Dear reader", "cannot be decoded"), (None, "no such file"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "truncated")],
    ids=["empty", "text", "missing", "cut"])
def test_predict_with_a_bad_photo(tmp_path, content, word):
    photo = tmp_path / "p.jpg"
    if content is not None:
        photo.write_bytes(content)
    outcome = runs.command("predict", "--model", save_tiny(tmp_path / "m.npz"), "--out",
                           tmp_path / "out", photo)
    assert_one_line(outcome, str(photo), word)


def test_predict_with_a_photo_of_one_pixel(tmp_path):
    write_png(tmp_path / "p.png", np.zeros((1, 1), np.uint8))
    outcome = runs.command("predict", "--model", save_tiny(tmp_path / "m.npz"), "--out",
                           tmp_path / "out", tmp_path / "p.png")
    assert_one_line(outcome, "1x1")


@pytest.mark.parametrize("words", [(), ("--unknown", "x.png"), ("--json",)])
def test_predict_with_wrong_options(words):
    assert_one_line(runs.command("predict", *words))


# --- in processes of their own -----------------------------------------------

def script(name, *words, limit=None, cache):
    """Run an example as users do, with at most ``limit`` bytes a file."""
    confine = limit and functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE,
                                          (limit, limit))
    done = subprocess.run(
        [sys.executable, runs.EXAMPLES / f"{name}.py", *map(str, words)], timeout=60,
        env=runs.environment(MINIFER_CACHE=str(cache),
                             PYTHONPATH=str(runs.TESTS.parent)),
        capture_output=True, text=True, preexec_fn=confine)
    return runs.Outcome(done.returncode, done.stdout, done.stderr)


def test_a_disk_that_is_full_at_the_checkpoint(data):
    """The model (15 MB) still finds place, the checkpoint (29 MB) does not."""
    words = ["--images", data / "images", "--labels", data / "labels", "--faces",
             "whole", "--batch", 4, "--epochs", 1, "--out", data / "out"]
    full = script("train_ck", *words, limit=20_000_000, cache=data / "cache")
    assert_one_line(full, "checkpoint.npz", "could not be written")
    assert [path.name for path in (data / "out").iterdir()] == ["model.npz"]
    load_model(data / "out" / "model.npz")


def test_a_disk_that_is_full_from_the_start(data):
    """Not even the cache of the faces can be written."""
    words = ["--images", data / "images", "--labels", data / "labels", "--faces",
             "whole", "--batch", 4, "--epochs", 1, "--out", data / "out"]
    full = script("train_ck", *words, limit=1000, cache=data / "cache")
    assert full.code == 2 and "Traceback" not in full.err
    assert errors(full)[-1].startswith("error: ")
    assert not list((data / "out").iterdir())


def test_an_error_as_a_script(tmp_path):
    outcome = script("train_ck", "--images", tmp_path, "--labels", tmp_path, "--out",
                     tmp_path / "out", cache=tmp_path)
    assert_one_line(outcome, "expected images")


def test_a_wrong_option_as_a_script(tmp_path):
    outcome = script("predict", "--unknown", cache=tmp_path)
    assert_one_line(outcome)


# --- devices -----------------------------------------------------------------

@pytest.mark.parametrize("command, arguments", [
    ("train_ck", ()), ("predict", ("photo.png",)), ("gradient_check", ()),
    ("bench/bench", ())])
def test_a_device_that_is_not_there(command, arguments, monkeypatch, tmp_path):
    """Said before any work: nothing is drawn, loaded or written."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))
    monkeypatch.chdir(tmp_path)
    arrays._cupy.cache_clear()
    outcome = runs.command(command, *arguments, "--device", "cuda")
    arrays._cupy.cache_clear()
    assert_one_line(outcome, "device 'cuda'", "expected CuPy", "pip install")
    assert not list(tmp_path.iterdir())
