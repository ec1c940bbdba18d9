"""minifer eval: the numbers of the model's own predictions, and one line of error."""

import csv
import json
import shutil

import numpy as np
import pytest

from helpers import runs
from minifer import data, layers
from minifer.commands import cli
from minifer.faces import CropSettings, Preprocessing
from minifer.faces.images import write_png
from minifer.faces.views import mean_of_views
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


def test_faces_are_cut_out_as_the_model_says(tmp_path, capsys):
    steps = Preprocessing(CropSettings(8, "whole", scaling="linear"))
    model = Model(runs.network(), runs.CLASSES, steps.to_dict())
    save_model(str(tmp_path / "model.npz"), model)
    for seed, name in enumerate(runs.CLASSES):
        (tmp_path / "faces" / name).mkdir(parents=True)
        write_png(str(tmp_path / "faces" / name / "a.png"), np.random.default_rng(
            seed).integers(0, 256, (30, 30), dtype=np.uint8))
    cli.main(["eval", "--model", str(tmp_path / "model.npz"), "--part", "all", "--data",
              str(tmp_path / "faces"), "--out", str(tmp_path / "out")])
    found = data.load_folders(str(tmp_path / "faces"), runs.CLASSES, steps.crop)
    assert f"| fingerprint | {found.fingerprint} |" in (
        tmp_path / "out" / "report.md").read_text("utf-8")


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


# --- classes that are absent, in another order, or spelled otherwise ----------

def test_a_folder_may_lack_a_class(here, tmp_path, capsys):
    shutil.copytree(here / "faces" / "test", tmp_path / "faces" / "test")
    shutil.rmtree(tmp_path / "faces" / "test" / "right")
    cli.main(["eval", "--model", str(here / "model.npz"), "--data",
              str(tmp_path / "faces"), "--json", "--out", str(tmp_path / "out")])
    output = capsys.readouterr()
    said = json.loads(output.out)
    assert said["n"] == 4 and said["classes"] == list(runs.CLASSES)
    assert "no image of right" in output.err
    table = (tmp_path / "out" / "predictions.csv").read_text()
    assert table.startswith("path,true,predicted,left,right,top\n")
    p = layers.get_output(runs.network(), runs.STEPS(runs.pictures(6, 2)[0]),
                          deterministic=True)
    labels = runs.pictures(6, 2)[1]
    hits = (p.argmax(axis=1) == labels)[labels != 1]
    assert said["accuracy"] == hits.mean()


def test_folders_may_be_spelled_otherwise_by_wish(here, tmp_path, capsys):
    shutil.copytree(here / "faces", tmp_path / "faces")
    for part in ("train", "test"):
        (tmp_path / "faces" / part / "left").rename(tmp_path / "faces" / part / "Left")
    words = ["eval", "--model", str(here / "model.npz"), "--data",
             str(tmp_path / "faces"), "--json"]
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "--merge-alike, takes it for 'left'" in error
    cli.main([*words, "--merge-alike"])
    merged = json.loads(capsys.readouterr().out)
    call(here, "--json")
    assert merged["confusion"] == json.loads(capsys.readouterr().out)["confusion"]


def fer_table(path, usage="PrivateTest"):
    faces = np.random.default_rng(0).integers(0, 256, (14, 48, 48), np.uint8)
    path.write_text("\n".join(["emotion,pixels,Usage", *(
        f"{k % 7},{' '.join(map(str, face.ravel()))},{usage}"
        for k, face in enumerate(faces))]) + "\n")
    return path


def fer_model(path, classes):
    net = runs.network(classes=len(classes))
    save_model(str(path), Model(net, classes, runs.STEPS.to_dict()))
    return net


@pytest.mark.parametrize("more", [(), ("contempt",)])
def test_a_table_is_judged_by_a_model_of_another_order(tmp_path, capsys, more):
    """A network that was trained on class folders has them in the alphabet's."""
    classes = tuple(sorted((*data.FER2013_CLASSES, *more)))
    fer_model(tmp_path / "m.npz", classes)
    cli.main(["eval", "--model", str(tmp_path / "m.npz"), "--data",
              str(fer_table(tmp_path / "f.csv")), "--json", "--out", str(tmp_path)])
    said = json.loads(capsys.readouterr().out)
    assert said["classes"] == list(classes) and said["n"] == 14
    with open(tmp_path / "predictions.csv", newline="") as file:
        assert [row["true"] for row in csv.DictReader(file)] == [
            data.FER2013_CLASSES[k % 7] for k in range(14)]


def test_what_data_folders_wrote_is_judged(tmp_path, capsys):
    """Even if a part of the table shows only some classes."""
    lines = fer_table(tmp_path / "f.csv").read_text().splitlines()
    lines[1:] = [line for line in lines[1:] if line[0] in "135"]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    assert runs.minifer("data", "folders", tmp_path / "f.csv", "--out",
                        tmp_path / "faces").code == 0
    fer_model(tmp_path / "m.npz", data.FER2013_CLASSES)
    cli.main(["eval", "--model", str(tmp_path / "m.npz"), "--data",
              str(tmp_path / "faces"), "--json"])
    assert json.loads(capsys.readouterr().out)["n"] == 6


def test_images_of_a_class_the_model_lacks_are_refused(tmp_path, capsys):
    fer_model(tmp_path / "m.npz", ("anger", "disgust", "fear", "happiness"))
    words = ["eval", "--model", str(tmp_path / "m.npz"), "--data",
             str(fer_table(tmp_path / "f.csv"))]
    for more, hint in ([], "--merge-alike"), (["--merge-alike"], "sad, surprise, neut"):
        with pytest.raises(SystemExit) as stop:
            cli.main(words + more)
        error, = capsys.readouterr().err.splitlines()
        assert stop.value.code == 2 and hint in error and "Leave out" in error


def test_several_models_are_judged_by_the_mean_of_what_they_say(here, tmp_path, capsys):
    save_model(str(here / "other.npz"), runs.model(runs.network(seed=8)))
    cli.main(["eval", "--models", str(here / "model.npz"), str(here / "other.npz"),
              "--data", str(here / "faces"), "--out", str(tmp_path)])
    capsys.readouterr()
    images, _ = runs.pictures(6, 2)
    p = np.mean([layers.get_output(runs.network(seed), runs.STEPS(images),
                                   deterministic=True) for seed in (0, 8)], axis=0)
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    order = [int(row["path"][-5]) for row in rows]
    np.testing.assert_allclose([[float(row[name]) for name in runs.CLASSES]
                                for row in rows], p[order], atol=2e-6)
    report = (tmp_path / "report.md").read_text("utf-8")
    assert "model.npz, other.npz on" in report


def test_models_of_other_crops_are_not_averaged(here, capsys):
    other = runs.model(runs.network(size=12))
    other.preprocessing["crop"]["size"] = 12
    save_model(str(here / "large.npz"), other)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["eval", "--models", str(here / "model.npz"), str(here / "large.npz"),
                  "--data", str(here / "faces")])
    assert stopped.value.code == 2
    assert "large.npz: expected the crops {" in capsys.readouterr().err


def test_views_are_averaged(here, tmp_path, capsys):
    call(here, "--tta", "--out", tmp_path)
    capsys.readouterr()
    images, _ = runs.pictures(6, 2)
    p = mean_of_views(lambda x: layers.get_output(
        runs.network(), runs.STEPS(x), deterministic=True), images)
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    order = [int(row["path"][-5]) for row in rows]
    np.testing.assert_allclose([[float(row[name]) for name in runs.CLASSES]
                                for row in rows], p[order], atol=2e-6)
    assert "ten views of each image" in (tmp_path / "report.md").read_text("utf-8")
