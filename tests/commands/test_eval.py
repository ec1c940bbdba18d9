"""minifer eval: the numbers of the model's own predictions, and one line of error."""

import csv
import json
import shutil

import numpy as np
import pytest

from helpers import runs
from minifer import data, layers
from minifer.commands import cli
from minifer.faces.images import write_png
from minifer.weights.model_file import Model, save_model


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A model, and class folders with a training and a test part."""
    folder = tmp_path_factory.mktemp("eval")
    save_model(str(folder / "model.npz"), runs.model(runs.network(), seed=3))
    for part, seed in (("train", 1), ("test", 2)):
        for i, (image, label) in enumerate(zip(*runs.pictures(6, seed))):
            place = folder / "faces" / part / runs.CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            large = image[0].repeat(4, axis=0).repeat(4, axis=1)
            write_png(str(place / f"{part}{i}.png"), large)
    return folder


def call(folder, *options):
    cli.main(["eval", "--model", str(folder / "model.npz"), "--data",
              str(folder / "faces"), *map(str, options)])


def test_it_says_what_the_model_says(here, tmp_path, capsys):
    call(here, "--json", "--out", tmp_path)
    said = json.loads(capsys.readouterr().out)
    images, labels = runs.pictures(6, 2)
    p = layers.get_output(runs.network(), runs.STEPS(images), deterministic=True)
    assert said["n"] == 6 and not said["leaky"]
    assert said["protocol"] == "the data set's own test part"
    assert said["accuracy"] == (p.argmax(axis=1) == labels).mean()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    order = [int(row["path"][-5]) for row in rows]
    np.testing.assert_allclose([[float(row[name]) for name in runs.CLASSES]
                                for row in rows], p[order], atol=2e-6)
    assert [row["true"] for row in rows] == [runs.CLASSES[k] for k in labels[order]]
    test = data.load_folders(str(here / "faces"), size=8).part("test")
    assert f"| fingerprint | {test.fingerprint} |" in (
        tmp_path / "report.md").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md", "report.html", "predictions.csv", "confusion_matrix.png",
        "calibration.png", "most_wrong.png"}


@pytest.mark.parametrize("part, n", [("train", 6), ("all", 12)])
def test_what_the_network_may_have_learnt_is_stamped(here, capsys, part, n):
    call(here, "--part", part)
    text = capsys.readouterr().out
    assert "*** LEAKY" in text and f"n                  {n} frames" in text


def test_without_a_test_part_the_validation_part_is_judged(here, tmp_path, capsys):
    shutil.copytree(here / "faces", tmp_path / "faces")
    (tmp_path / "faces" / "test").rename(tmp_path / "faces" / "validation")
    cli.main(["eval", "--model", str(here / "model.npz"), "--data",
              str(tmp_path / "faces"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 6 and not said["leaky"]
    assert said["protocol"] == ("the data set's own validation part, for it has no "
                                "test part")


def test_another_split_of_the_same_people_is_stamped(tmp_path, capsys):
    images, labels = runs.write_ck(tmp_path, subjects=10, side=24)
    classes = data.load_ck(images, labels, faces="whole", size=8).classes
    save_model(str(tmp_path / "model.npz"), Model(
        runs.network(classes=len(classes)), classes, runs.STEPS.to_dict(), {"seed": 3}))
    for words, leaky in [([], False), (["--seed=3"], False), (["--seed=4"], True)]:
        cli.main(["eval", "--model", str(tmp_path / "model.npz"), "--images",
                  str(images), "--labels", str(labels), "--json", *words])
        assert json.loads(capsys.readouterr().out)["leaky"] is leaky


@pytest.mark.parametrize("options, words", [
    (["--part", "validation"], "part 'validation'"),
    (["--images", "x"], "or none of them for drawn faces"),
    (["--data", "nowhere.csv"], "nowhere.csv"),
    (["--model", "nothing.npz"], "nothing.npz")])
def test_errors_are_one_line(here, capsys, options, words):
    with pytest.raises(SystemExit) as stop:
        call(here, *options)
    error, = [line for line in capsys.readouterr().err.splitlines()
              if not line.startswith("reading")]
    assert stop.value.code == 2 and words in error


def test_other_classes_are_refused(here, tmp_path, capsys):
    write_png(str(tmp_path / "up.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "up").mkdir()
    (tmp_path / "up.png").rename(tmp_path / "up" / "up.png")
    with pytest.raises(SystemExit) as stop:
        call(here, "--data", tmp_path)
    assert stop.value.code == 2 and "left" in capsys.readouterr().err
