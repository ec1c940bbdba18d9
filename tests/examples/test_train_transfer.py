"""examples/train_transfer.py, from weights and images to a report, on tiny networks."""

import functools
import json
import os
import shlex
import shutil
from unittest import mock

import numpy as np
import pytest

from helpers import runs, torch_bytes
from minifer import data, layers, models, nonlinearities
from minifer.faces.images import write_png
from minifer.faces.preprocessing import ColourPreprocessing, Preprocessing
from minifer.predict.predictor import Predictor
from minifer.runs import experiment
from minifer.runs.transfer import MODELS
from minifer.training.trainer import Trainer
from minifer.weights.model_file import load_model

FILES = {"model.npz", "history.csv", "run.json", "report.md", "report.html"}
PICTURES = {"calibration.png", "confusion_matrix.png",
            "learning_curves.png", "most_wrong.png",
            "filters.png", "activations.png"}
CLASSES = ("happy", "neutral", "sad")


def tiny_keras(num_classes, size, frozen):
    body = models.keras_resnet((1, 1), width=4, size=size)
    if frozen:
        layers.freeze(body)
    top = layers.GlobalPoolLayer(body, name="avg_pool")
    top = layers.dropout(layers.DenseLayer(top, 8, name="dense1"), name="drop1")
    return layers.DenseLayer(top, num_classes, name="output",
                             nonlinearity=nonlinearities.softmax)


TINY = {"resnet18": functools.partial(models.resnet, (1, 1, 1, 1), False, width=4),
        "resnet50-keras": tiny_keras}


@pytest.fixture(scope="module")
def tiny():
    """The experiment, with tiny networks."""
    with pytest.MonkeyPatch.context() as patch:
        for name, make in TINY.items():
            patch.setitem(MODELS, name, (make, MODELS[name][1]))
        yield


@pytest.fixture
def call(tiny, folders, tmp_path):
    """The command, on class folders unless told otherwise; it draws only if asked."""
    def command(*words, out="out", root=folders, model="resnet18", pictures=False):
        draw = experiment.draw if pictures else mock.Mock(return_value=[])
        with mock.patch.object(experiment, "draw", draw):
            return runs.command("train_transfer", "--data", root, "--model", model,
                                "--size", 32, "--epochs", 2, "--lr", .01, "--out",
                                tmp_path / out, *words, cache=tmp_path / "cache")
    return command


def face(rng, k, side):
    """Noise and a bar, higher or lower."""
    pixels = rng.integers(60, 180, (side, side)).astype(np.uint8)
    pixels[side // 8 * k:side // 8 * (k + 1)] = 250
    return pixels


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """FER2013 in folders: of three classes 10 training and 3 public test images."""
    root, rng = tmp_path_factory.mktemp("data") / "fer2013", np.random.default_rng(0)
    for part, prefix, n in (("train", "Training", 10), ("test", "PublicTest", 3)):
        for k, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                write_png(root / part / name / f"{prefix}_{i}.png", face(rng, k, 48))
    return root


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Soft samples: each of 6 and 5 people goes from neutral to every expression."""
    root, rng = tmp_path_factory.mktemp("samples"), np.random.default_rng(1)
    for name, n in ("ck", 6), ("google", 5):
        targets = np.concatenate([data.ramp(3, one) for one in data.EMOTIONS] * n)
        labels, people = targets.argmax(axis=1), np.repeat(np.arange(n), 21)
        subjects = [f"{name}{person}" for person in people]
        images = np.stack([face(rng, k, 40) for k in labels])[:, None]
        data.save_samples(data.SplitDataset(
            images, labels, data.SOFT_CLASSES, subjects, subjects, subjects,
            targets=targets), root / name)
    return root


def torch_weights(seed=0):
    """What torchvision calls the weights of the tiny network, of 1000 classes."""
    network, arrays = TINY["resnet18"](num_classes=1000, size=32), {}
    rng = np.random.default_rng(seed)
    names = {"W": "weight", "gamma": "weight", "b": "bias", "beta": "bias",
             "mean": "running_mean", "inv_std": "running_var"}
    for param in layers.get_all_params(network):
        layer, kind = param.name.rsplit(".", 1)
        value = rng.uniform(.5, 1.5, param.shape).astype("f")
        if kind == "W":
            value = (value - 1) * (1 if value.ndim == 2 else .5)
        arrays[f"{layer}.{names[kind]}"] = value.T if layer == "fc" else value
    return arrays


@pytest.fixture
def weights(tmp_path):
    return torch_bytes.write(tmp_path / "resnet18.pth", torch_weights())


def read(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def param(network, name):
    return next(p.value for p in layers.get_all_params(network) if p.name == name)


# --- what a run leaves ------------------------------------------------------------

def test_a_run_leaves_all_that_is_promised(call, weights, tmp_path):
    found = call("--weights", weights, pictures=True)
    assert found.code == 0, found.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *FILES, *PICTURES, "checkpoint.npz"}
    assert "parts: train 30, validation 9" in found.out
    assert "n                  9 frames" in found.out
    assert "public test part, looked at once" in found.out
    assert "UNTRAINED" not in found.out
    record = read(tmp_path / "out")
    assert record["title"] == "Transfer learning with resnet18"
    assert record["results"]["leaky"] is False
    words = shlex.split(record["command"])
    assert words[:2] == ["python", "examples/train_transfer.py"]
    again = call(*words[2:], "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert read(tmp_path / "again")["results"] == record["results"]


def test_the_body_is_the_file_s_and_the_head_has_learnt(call, weights, tmp_path):
    call("--weights", weights)
    network = load_model(tmp_path / "out" / "model.npz").network
    given = torch_weights()
    np.testing.assert_array_equal(param(network, "conv1.W"), given["conv1.weight"])
    np.testing.assert_array_equal(param(network, "layer3.0.bn1.mean"),
                                  given["layer3.0.bn1.running_mean"])
    for name in "layer4.0.conv1", "layer4.0.bn1":
        ours = param(network, f"{name}.{'W' if 'conv' in name else 'gamma'}")
        assert not np.array_equal(ours, given[f"{name}.weight"])
        assert np.abs(ours - given[f"{name}.weight"]).max() < .1
    assert network.output_shape == (None, 3)


def test_the_model_file_says_what_a_photo_becomes(call, weights, tmp_path):
    call("--weights", weights)
    predictor = Predictor.load(tmp_path / "out" / "model.npz")
    steps = predictor.preprocessing
    assert steps == ColourPreprocessing.imagenet("torch", steps.crop, 32)
    assert (steps.crop.size, steps.crop.mode) == (48, "whole")
    write_png(tmp_path / "photo.png", runs.faces()[0])
    outcome = runs.command("predict", tmp_path / "photo.png", "--json", "--model",
                           tmp_path / "out" / "model.npz", "--out", tmp_path / "drawn")
    assert outcome.code == 0, outcome.err
    one, = json.loads(outcome.out)[0]["faces"]
    assert list(one["saturations"]) == list(CLASSES)
    assert sum(one["saturations"].values()) == pytest.approx(1)


def test_the_best_epoch_is_judged_and_not_the_last(call, weights, folders, tmp_path):
    script = [(1.0, 0.9), (2.0, 0.1)]  # validation loss and accuracy
    with mock.patch.object(Trainer, "_evaluate", side_effect=script):
        assert call("--weights", weights, "--lr", .1).code == 0
    record = read(tmp_path / "out")
    assert record["training"]["best_epoch"] == 1
    faces = data.load_folders(folders).part("validation")
    judged = Predictor.load(tmp_path / "out" / "model.npz").saturations(faces.images)
    right = [max(p, key=p.get) == faces.classes[label]
             for p, label in zip(judged, faces.labels)]
    assert record["results"]["accuracy"] == np.mean(right)
    first = call("--weights", weights, "--lr", .1, "--epochs", 1, out="first")
    assert first.code == 0
    assert same(tmp_path / "out", tmp_path / "first")


def test_copies_of_test_images_in_training_are_said_to_leak(call, folders, tmp_path):
    root = shutil.copytree(folders, tmp_path / "fer2013")
    shutil.copy(root / "test/sad/PublicTest_0.png", root / "train/sad/Training_99.png")
    for words, leaky in ((), False), (("--raw",), True):
        found = call("--epochs", 1, *words, root=root, out=str(leaky))
        assert found.code == 0, found.err
        assert read(tmp_path / str(leaky))["results"]["leaky"] is leaky


def same(one, other):
    a, b = (runs.values(load_model(folder / "model.npz").network)
            for folder in (one, other))
    return np.array_equal(a, b)


def test_the_command_gives_the_script_s_bits(call, weights, folders, tmp_path):
    assert call("--weights", weights).code == 0
    with mock.patch.object(experiment, "draw", return_value=[]), mock.patch.dict(
            os.environ, MINIFER_CACHE=str(tmp_path / "cache")):
        found = runs.minifer("train", "transfer", "--data", folders, "--model",
                             "resnet18", "--size", 32, "--epochs", 2, "--lr", .01,
                             "--weights", weights, "--out", tmp_path / "command")
    assert found.code == 0, found.err
    assert same(tmp_path / "out", tmp_path / "command")
    ours, theirs = read(tmp_path / "command"), read(tmp_path / "out")
    assert ours["results"] == theirs["results"]
    assert ours["command"].startswith("minifer train transfer --data ")


# --- features, or the whole network -----------------------------------------------

def test_the_body_looks_at_each_image_once(call, weights, tmp_path):
    seen, scale = [], ColourPreprocessing.__call__

    def counted(steps, crops):
        seen.append(len(crops))
        return scale(steps, crops)

    with mock.patch.object(ColourPreprocessing, "__call__", counted):
        call("--weights", weights)
        assert sum(seen) == 39
        call("--weights", weights, "--epochs", 5, out="more")
        assert sum(seen) == 39
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 3


@pytest.mark.parametrize("words", [("--flip",), ("--rotation", 15), ("--train-all",),
                                   ("--whole",)])
def test_images_that_change_and_bodies_that_learn_have_no_features(
        words, call, weights, tmp_path):
    found = call("--weights", weights, *words)
    assert found.code == 0, found.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | {"checkpoint.npz"}
    assert not (tmp_path / "cache" / "features").exists()
    conv1 = param(load_model(tmp_path / "out" / "model.npz").network, "conv1.W")
    assert np.array_equal(conv1, torch_weights()["conv1.weight"]) == (
        "--train-all" not in words)


def test_with_features_and_without_the_result_is_one(call, weights, tmp_path):
    call("--weights", weights, "--optimizer", "momentum")
    call("--weights", weights, "--optimizer", "momentum", "--whole", out="whole")
    a, b = (runs.values(load_model(tmp_path / name / "model.npz").network)
            for name in ("out", "whole"))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_ctrl_c_and_resume_give_the_same_result(call, weights, tmp_path):
    assert call("--weights", weights).code == 0
    hook, step = runs.at_call(3, runs.interrupt), Trainer._step

    def interrupted(*args):
        hook()
        return step(*args)

    with mock.patch.object(Trainer, "_step", interrupted):
        stopped = call("--weights", weights, out="parts")
    assert stopped.code == 130 and "--resume continues" in stopped.err
    # The whole network of the best epoch so far is there, body and all.
    so_far = load_model(tmp_path / "parts" / "model.npz").network
    np.testing.assert_array_equal(param(so_far, "conv1.W"),
                                  torch_weights()["conv1.weight"])
    refused = call("--weights", weights, out="parts")
    assert refused.code == 2 and "--resume" in refused.err.splitlines()[-1]
    resumed = call("--weights", weights, "--resume", out="parts")
    assert resumed.code == 0, resumed.err
    assert same(tmp_path / "out", tmp_path / "parts")


# --- soft samples -----------------------------------------------------------------

def test_soft_samples_are_mixed_and_learnt_as_they_are(call, samples, tmp_path):
    with mock.patch.object(Trainer, "fit", autospec=True,
                           side_effect=Trainer.fit) as fit:
        found = call("--ck-fraction", .8, "--google-fraction", 0, "--class-weights",
                     "balanced", root=samples)
    assert found.code == 0, found.err
    targets, (_, valid) = fit.call_args.args[2], fit.call_args.kwargs["valid"]
    train, test = data.load_samples(samples, 0, .8)
    assert len(targets) + len(valid) == len(train) and len(test) == 42
    assert set(np.unique(targets)) == {0, .5, 1} and targets.shape[1] == 8
    assert "test 42" in found.out and "the data set's own test part" in found.out
    trainer = fit.call_args.args[0]
    assert trainer._settings["class_weights"] is not None
    model = load_model(tmp_path / "out" / "model.npz")
    assert model.classes == data.SOFT_CLASSES
    steps = Preprocessing.from_dict(model.preprocessing)
    assert (steps.crop.size, steps.crop.mode) == (40, "haar")
    words = read(tmp_path / "out")["command"]
    assert "--ck-fraction 0.8 --google-fraction 0.0" in words


# --- weights ----------------------------------------------------------------------

def test_without_weights_the_body_is_said_to_be_untrained(call, tmp_path):
    found = call()
    assert found.code == 0, found.err
    line = next(line for line in found.out.splitlines() if "UNTRAINED" in line)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in line
    assert read(tmp_path / "out")["title"].endswith("its body untrained")
    assert "UNTRAINED" not in call("--train-all", out="all").out


@pytest.mark.parametrize("top", [False, True], ids=["body alone", "with its top"])
def test_keras_s_weights_and_preprocessing(top, call, tmp_path):
    h5py = pytest.importorskip("h5py")
    network = tiny_keras(1, 32, True)
    rng, path = np.random.default_rng(0), tmp_path / "resnet50.h5"
    names = {"W": "kernel", "b": "bias", "gamma": "gamma", "beta": "beta",
             "mean": "moving_mean", "inv_std": "moving_variance"}
    with h5py.File(path, "w") as file:
        for one in layers.get_all_params(network):
            layer, kind = one.name.rsplit(".", 1)
            value = rng.uniform(.01, .1, one.shape).astype("f")
            if not layer.startswith("conv"):
                continue
            file[f"{layer}/{layer}/{names[kind]}:0"] = (
                value.transpose(2, 3, 1, 0) if kind == "W" else value)
        if top:
            file["predictions/predictions/kernel:0"] = np.ones((64, 5), "f")
        kernel = file["conv1_conv/conv1_conv/kernel:0"][()]
    found = call("--weights", path, model="resnet50-keras")
    assert found.code == 0, found.err
    model = load_model(tmp_path / "out" / "model.npz")
    np.testing.assert_array_equal(param(model.network, "conv1_conv.W"),
                                  kernel.transpose(3, 2, 0, 1))
    steps = Preprocessing.from_dict(model.preprocessing)
    assert steps == ColourPreprocessing.imagenet("keras", steps.crop, 32)


def test_a_run_s_own_model_is_gone_on_with(call, weights, tmp_path):
    call("--weights", weights)
    more = call("--weights", tmp_path / "out" / "model.npz", "--lr", 1e-9, out="more")
    assert more.code == 0, more.err
    a, b = (runs.values(load_model(tmp_path / name / "model.npz").network)
            for name in ("out", "more"))
    assert np.median(np.abs(a - b)) < 1e-6


@pytest.mark.parametrize("name, content, words", [
    ("none.pth", None, "could not be read"), ("cut.pth", b"PK\x03\x04", "whole"),
    ("weights.bin", b"", "expected a file named .pth"), ("model.npz", b"", ".npz")])
def test_a_file_that_holds_no_weights(name, content, words, call, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    one_line(call("--weights", tmp_path / name), words)


def one_line(outcome, words):
    assert outcome.code == 2 and "Traceback" not in outcome.err
    line, = (line for line in outcome.err.splitlines() if "error: " in line)
    assert words in line


def test_weights_of_another_network(call, tmp_path):
    arrays = torch_weights()
    arrays["layer2.5.conv1.weight"] = arrays.pop("layer2.0.conv1.weight")
    path = torch_bytes.write(tmp_path / "other.pth", arrays)
    one_line(call("--weights", path), "1 missing (layer2.0.conv1.weight)")
    assert not (tmp_path / "out" / "model.npz").exists()


def test_a_size_that_is_none(call):
    one_line(call("--size", 0), "a size from 1 to 1024 pixels, got 0")


def test_shares_of_samples_that_are_not_there(call):
    one_line(call("--ck-fraction", .5), "ck/ and google/")
