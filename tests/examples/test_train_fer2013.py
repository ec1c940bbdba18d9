"""examples/train_fer2013.py, from images to a report, on a tiny set."""

import json
import shlex

import numpy as np
import pytest

from helpers import runs
from minifer import layers
from minifer.commands.cli import ArgumentParser
from minifer.data import FER2013_CLASSES, Augmentation, load_folders
from minifer.errors import SettingError
from minifer.faces.cropping import CropSettings
from minifer.predict.predictor import Predictor
from minifer.runs.data import scale
from minifer.runs.fer2013 import FER2013, MODELS
from minifer.runs.options import command, trainer_options
from minifer.training.checkpoint import begun_with, peek
from minifer.weights.model_file import load_model, save_model

FILES = ("model.npz", "history.csv", "run.json", "report.md", "report.html",
         "confusion_matrix.png", "calibration.png", "learning_curves.png",
         "most_wrong.png")


def train(folders, out, *words):
    return runs.command("train_fer2013", "--data", folders, "--out", out,
                        "--epochs", "2", "--batch", "16", *words)


ALL_CHANGES = ("--rotation", "15", "--shift", "0.1", "--zoom", "0.2", "--brightness",
               "0.3", "--erase", "0.5", "--class-weights", "balanced")


@pytest.mark.parametrize("model", ["mlp", "r1"])
def test_a_run_leaves_all_that_is_promised(model, folders, tmp_path):
    found = train(folders, tmp_path, "--model", model, "--flip")
    assert found.code == 0, found.err
    assert "parts: train 84, validation 21" in found.out
    assert "n                  21 frames" in found.out
    assert "public test part, looked at once" in found.out
    assert {p.name for p in tmp_path.iterdir()} >= set(FILES)
    assert (tmp_path / "filters.png").exists() == (model == "r1")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["command"].startswith("python examples/train_fer2013.py --data ")
    for words in (f"--model {model}", "--flip", "--seed 0"):
        assert words in record["command"]
    predictor = Predictor.load(tmp_path / "model.npz")
    for found in predictor.saturations(np.full((2, 1, 48, 48), 99, np.uint8)):
        assert list(found) == sorted(FER2013_CLASSES)
        assert abs(sum(found.values()) - 1) < 1e-5


def test_copies_of_test_images_leave_the_training_part(folders, tmp_path):
    root = tmp_path / "fer2013"
    for path in folders.rglob("*.png"):
        (root / path.relative_to(folders)).parent.mkdir(parents=True, exist_ok=True)
        (root / path.relative_to(folders)).write_bytes(path.read_bytes())
    (root / "train/happy/Training_99.png").write_bytes(
        (folders / "test/happy/PublicTest_0.png").read_bytes())
    clean, raw = (train(root, tmp_path / name, "--model", "mlp", *words)
                  for name, words in (("a", ()), ("b", ("--raw",))))
    assert "train 84, validation 21" in clean.out
    assert "train 85, validation 21" in raw.out


def test_a_set_without_a_test_part_is_refused(folders, tmp_path):
    found = train(folders / "train", tmp_path)
    assert found.code == 2 and found.out.count("Traceback") == 0
    assert "training part and a public or private test part" in found.err
    assert sum("error: " in line for line in found.err.splitlines()) == 1


def test_a_run_that_was_stopped_goes_on(folders, tmp_path):
    words = "--model", "mlp", "--flip", *ALL_CHANGES
    whole = train(folders, tmp_path / "whole", *words)
    first = runs.process(runs.EXAMPLES / "train_fer2013.py", "--data", folders, "--out",
                         tmp_path / "parts", "--epochs", "1", "--batch", "16", *words)
    rest = train(folders, tmp_path / "parts", "--resume", *words)
    assert whole.code == first.code == rest.code == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def assert_same_weights(one, other):
    a, b = (np.load(folder / "model.npz") for folder in (one, other))
    assert sorted(a.files) == sorted(b.files)
    for key in a.files:
        if key.startswith("arr_"):
            np.testing.assert_array_equal(a[key], b[key])


def test_the_command_with_changed_images_repeats_the_run(folders, tmp_path):
    found = train(folders, tmp_path / "a", "--model", "mlp-bn-drop", "--l2", "0.001",
                  *ALL_CHANGES)
    assert found.code == 0, found.err
    command = json.loads((tmp_path / "a/run.json").read_text())["command"]
    assert " --zoom 0.2 " in command and "--class-weights balanced" in command
    again = runs.process(runs.EXAMPLES / "train_fer2013.py", *shlex.split(
        command.replace(f"--out {tmp_path}/a", f"--out {tmp_path}/b"))[2:])
    assert again.code == 0, again.err
    assert_same_weights(tmp_path / "a", tmp_path / "b")


def experiment(*words):
    """The experiment that a command line asks for."""
    return FER2013(FER2013.parse(["--data", "x", *words], ArgumentParser()))


def test_options_reach_the_trainer(folders):
    training = load_folders(folders).part("train").subset(range(20))
    options = trainer_options(experiment(*ALL_CHANGES).args, training)
    assert options["augment"] == Augmentation(
        rotation=15, shift=.1, zoom=(.8, 1.2), brightness=.3, erase=.5)
    np.testing.assert_allclose(options["class_weights"],
                               [20 / (2 * 12), 20 / (2 * 8), 1, 1, 1, 1, 1])
    options = trainer_options(experiment("--flip").args, training)
    assert options["augment"] is options["class_weights"] is None and options["flip"]


def test_the_penalty():
    """All weights count, and batch norm's scales, as in Lasagne; no biases."""
    def penalty(*words):
        one = experiment(*words)
        return one.penalty(one.network(7))

    network = MODELS["mlp-bn"]()
    weights = [one.get_value() for one in layers.get_all_params(network)
               if one.name.endswith((".W", ".gamma"))]
    found = float(experiment("--l2", "0.5").penalty(network))
    assert len(weights) == 9 and found == pytest.approx(
        0.5 * sum((one.astype(float) ** 2).sum() for one in weights), rel=1e-5)
    assert penalty("--model", "six") is None
    assert float(penalty("--model", "fcn48")) > 0
    assert float(penalty("--model", "fcn48", "--l2", "0")) == 0


def test_the_command_is_the_same_and_repeats_itself(folders, tmp_path):
    """`minifer train fer2013` gives the script's bits, and records its own words."""
    words = "--data", folders, "--epochs", 1, "--model", "mlp", "--l2", .001, "--flip"
    script = runs.command("train_fer2013", *words, "--out", tmp_path / "a")
    found = runs.minifer("train", "fer2013", *words, "--out", tmp_path / "b")
    assert script.code == found.code == 0, found.err
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    ours, theirs = (json.loads((tmp_path / name / "run.json").read_text())
                    for name in "ba")
    assert ours["results"] == theirs["results"] and list(ours) == list(theirs)
    command = shlex.split(ours["command"])
    assert command[:3] == ["minifer", "train", "fer2013"]
    again = runs.minifer(*command[1:], "--resume")
    assert again.code == 0, again.err
    assert command[3:] == shlex.split(
        theirs["command"].replace(f"{tmp_path}/a", f"{tmp_path}/b"))[2:]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_a_wrong_penalty_is_refused(value):
    outcome = runs.command("train_fer2013", "--data", "x", "--l2", value)
    assert outcome.code == 2 and "--l2" in outcome.err and outcome.out == ""


def test_r2_takes_the_faces_at_twice_their_size(folders, monkeypatch, tmp_path):
    monkeypatch.setitem(MODELS, "r2", lambda num_classes: runs.network(
        classes=num_classes, size=96))
    found = runs.command("train_fer2013", "--data", folders, "--out", tmp_path,
                         "--epochs", 1, "--model", "r2")
    assert found.code == 0, found.err
    crop = Predictor.load(tmp_path / "model.npz").preprocessing.crop
    assert (crop.size, crop.mode) == (96, "either")  # photos are searched for faces
    images = sorted(folders.rglob("PublicTest*.png"))
    assert all(len(photo.faces) == 1 for photo in Predictor.load(
        tmp_path / "model.npz").photos(images))
    faces = load_folders(folders)
    np.testing.assert_array_equal(scale(faces, crop).images,
                                  load_folders(folders, size=96).images)
    assert scale(faces, CropSettings(48, mode="whole")) is faces


def test_refit_trains_anew_on_both_parts_and_goes_on(folders, tmp_path):
    """The model is that of training on both parts for as many epochs; so by command."""
    story = train(folders, tmp_path / "a", "--model", "mlp", "--refit", "--tta")
    assert story.code == 0, story.err
    assert "once more on all 84 images" in story.err
    assert "then trained on both; ten views of each image" in story.out
    assert_same_weights(tmp_path / "a" / "refit", tmp_path / "a")
    best = json.loads((tmp_path / "a" / "run.json").read_text())["training"]
    there = tmp_path / "a" / "refit" / "checkpoint.npz"
    assert peek(there)["epoch"] == best["best_epoch"]
    assert begun_with(there)[0]["samples"] == 84
    command = runs.minifer("train", "fer2013", "--data", folders, "--out",
                           tmp_path / "b", "--epochs", "2", "--batch", "16", "--model",
                           "mlp", "--refit")
    assert command.code == 0, command.err
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "refit" / "checkpoint.npz").unlink()  # as if stopped before it
    again = train(folders, tmp_path / "b", "--model", "mlp", "--refit", "--resume")
    assert again.code == 0, again.err
    assert_same_weights(tmp_path / "a", tmp_path / "b")


def test_without_validation_everything_trains_and_the_last_epoch_stays(folders,
                                                                       tmp_path):
    """In the story and by command; to choose an epoch, too, is refused."""
    words = "--model", "mlp", "--no-validation", "--average", "0.9"
    story = train(folders, tmp_path / "a", *words)
    assert story.code == 0, story.err
    assert "no validation: the last of 2 epochs" in story.out
    assert begun_with(tmp_path / "a" / "checkpoint.npz")[0]["samples"] == 84
    assert "valid loss" not in story.out + story.err
    command = runs.minifer("train", "fer2013", "--data", folders, "--out",
                           tmp_path / "b", "--epochs", "2", "--batch", "16", *words)
    assert command.code == 0, command.err
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    for more in ("--refit",), ("--stop", "plateau:3"):
        refused = train(folders, tmp_path / "c", *words, *more)
        assert refused.code == 2 and f"leave out {more[0]}" in refused.err


@pytest.mark.parametrize("words", [["--teachers", "a", "b c"], ["--teachers", "a"],
                                   ["--no-validation", "--tta"], ["--l2", "1e-5"]])
def test_the_command_of_a_run_means_the_same_settings(words):
    def parsed(given):
        return FER2013.parse(given, ArgumentParser(prog="train_fer2013.py"))

    args = parsed(["--data", "x", *words])
    python, script, *again = shlex.split(command(args))
    assert script == "examples/train_fer2013.py" and parsed(again) == args


def test_teachers_share_the_targets(folders, tmp_path):
    """Half label, half what the teachers say of the images as they are."""
    first = train(folders, tmp_path / "a", "--model", "mlp", "--seed", "1")
    assert first.code == 0, first.err
    teacher = tmp_path / "a" / "model.npz"
    words = ["--data", str(folders), "--teachers", str(teacher)]
    fer = FER2013(FER2013.parse(words, ArgumentParser(prog="x")))
    part = fer.split(fer.load())[0]
    said = Predictor.load(teacher).saturations(part.images)
    targets = fer.targets(part, part.labels)
    for target, label, one in zip(targets, part.labels, said):
        expected = np.array(list(one.values())) / 2
        expected[label] += .5
        np.testing.assert_allclose(target, expected, atol=1e-6)
    other = load_model(teacher)  # made for photos that it cuts in another way
    other.preprocessing["crop"]["mode"] = "whole"
    save_model(tmp_path / "other.npz", other)
    fer.args.teachers *= 2
    fer.args.teachers[1] = str(tmp_path / "other.npz")
    np.testing.assert_array_equal(fer.targets(part, part.labels), targets)
    other.preprocessing["crop"]["size"] = 96
    save_model(tmp_path / "other.npz", other)
    with pytest.raises(SettingError, match="expected the size of faces 48, got 96"):
        fer.targets(part, part.labels)
    taught = train(folders, tmp_path / "b", "--model", "mlp", "--teachers", teacher)
    assert taught.code == 0, taught.err
    plain = train(folders, tmp_path / "c", "--model", "mlp")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "b", tmp_path / "c")
    assert plain.code == 0
