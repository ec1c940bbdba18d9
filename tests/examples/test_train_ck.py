"""The headline command: what it writes, and that a stranger can repeat it."""

import csv
import functools
import json
import shlex
from unittest import mock

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer import data, layers, nonlinearities
from minifer.commands.cli import run
from minifer.faces.images import read_image
from minifer.faces.preprocessing import Preprocessing
from minifer.predict.predictor import Predictor
from minifer.training.trainer import Trainer
from minifer.weights.model_file import load_model, read_arrays

PICTURES = ("learning_curves.png", "confusion_matrix.png", "filters.png",
            "activations.png", "calibration.png", "most_wrong.png")
WRITTEN = {*PICTURES, "model.npz", "checkpoint.npz", "history.csv", "run.json",
           "report.md", "report.html"}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Image and label root of ten pictures: two classes, five subjects."""
    return runs.write_ck(tmp_path_factory.mktemp("my faces"))


@pytest.fixture(scope="module")
def call(roots, tmp_path_factory):
    """The command on these pictures."""
    images, labels = roots
    cache = tmp_path_factory.mktemp("cache")
    return functools.partial(
        runs.command, "train_ck", "--images", images, "--labels", labels, "--faces",
        "whole", "--batch", 4, cache=cache)


def small(num_classes=7):
    """In place of the headline network, where only the command matters."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 96, 96)), 4, 9, stride=4)
    net = layers.MaxPool2DLayer(net, 4)
    return layers.DenseLayer(net, num_classes, nonlinearity=nonlinearities.softmax)


@pytest.fixture
def quick(monkeypatch, call):
    """The command with a small network."""
    monkeypatch.setattr(minifer.models, "ck96", small)
    return call


@pytest.fixture(scope="module")
def trained(call, tmp_path_factory):
    """A run with the headline network: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("out") / "new" / "folder"
    outcome = call("--epochs", 2, "--seed", 3, "--out", folder)
    assert outcome.code == 0, outcome.err
    return folder, outcome


def read(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def history(folder):
    with open(folder / "history.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def held_out(roots, seed):
    """The faces, and which of them are tested."""
    faces = data.load_ck(*roots, faces="whole", cache=False)
    *_, test = data.split_by_subject(faces.labels, faces.subjects, (.6, .2, .2), seed)
    return faces, test


def params(folder):
    return runs.values(load_model(folder / "model.npz").network)


# --- what a run leaves -------------------------------------------------------

def test_everything_is_written(trained):
    folder, outcome = trained
    assert {path.name for path in folder.iterdir()} == WRITTEN
    assert "Traceback" not in outcome.err
    assert f"{folder / 'report.md'} holds the report" in outcome.out


@pytest.mark.parametrize("name", PICTURES)
def test_no_picture_is_blank(trained, name):
    grey = read_image(trained[0] / name)
    assert min(grey.shape) > 60
    paper = np.median(grey)
    ink = (np.abs(grey - paper) > 30).mean()
    assert ink > 0.005 and len(np.unique(grey)) > 10


def test_the_history_has_a_line_an_epoch(trained):
    lines = history(trained[0])
    assert [line["epoch"] for line in lines] == ["1", "2"]
    for line in lines:
        assert float(line["train_loss"]) > 0 and float(line["valid_loss"]) > 0
        assert 0 <= float(line["valid_accuracy"]) <= 1
        assert float(line["learning_rate"]) == 0.01


def test_the_record_says_what_was_done(trained, roots):
    record = read(trained[0])
    assert record["seed"] == record["settings"]["seed"] == 3
    assert record["settings"] | {"batch": 4, "epochs": 2, "lr": 0.01, "faces": "whole",
                                 "last": 0.3, "split": "subject"} == record["settings"]
    assert record["versions"]["minifer"] == minifer.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert record["data"] | {"source": str(roots[0]), "n": 10, "subjects": 5,
                             "embedded": False, "no_face": []} == record["data"]
    assert record["data"]["per_class"] == dict.fromkeys(data.EMOTIONS, 0) | {
        "anger": 5, "happiness": 5}
    assert record["training"]["epochs"] == 2


def test_the_results_are_those_of_the_saved_model(trained, roots):
    """Worked out again from the model file and the pictures."""
    record = read(trained[0])
    faces, test = held_out(roots, seed=3)
    judged = Predictor.load(trained[0] / "model.npz").saturations(faces.images[test])
    right = [max(p, key=p.get) == faces.classes[label]
             for p, label in zip(judged, faces.labels[test])]
    results = record["results"]
    assert results["accuracy"] == np.mean(right)
    assert results["n"] == len(test) and results["classes"] == list(data.EMOTIONS)
    assert results["protocol"] == "subject-disjoint 60/20/20 split, seed 3"
    assert results["leaky"] is False
    assert np.array(results["confusion"]).sum() == len(test)


def test_the_model_file_tells_how_to_prepare_photos(trained):
    model = load_model(trained[0] / "model.npz")
    assert Preprocessing.from_dict(model.preprocessing).crop.mode == "whole"
    assert model.notes == {"command": read(trained[0])["command"], "seed": 3}
    assert layers.count_params(model.network) == 3641191


def test_the_report_holds_number_protocol_and_pictures(trained):
    text = (trained[0] / "report.md").read_text(encoding="utf-8")
    assert f"{read(trained[0])['results']['accuracy']:.1%}" in text
    assert "subject-disjoint 60/20/20 split, seed 3" in text
    assert read(trained[0])["command"] in text
    assert "LEAKY" not in text and "None" not in text.split("## To repeat it")[0]
    assert all(f"]({name})" in text for name in PICTURES)


def test_the_printed_command_repeats_the_run(trained, tmp_path):
    """Also with blanks in the folders' names."""
    words = shlex.split(read(trained[0])["command"])
    assert words[:2] == ["python", "examples/train_ck.py"]
    assert words[words.index("--out") + 1] == str(trained[0])
    words[words.index("--out") + 1] = tmp_path / "again"
    again = runs.command("train_ck", *words[2:], cache=tmp_path / "cache")
    assert again.code == 0, again.err
    ours, theirs = read(tmp_path / "again"), read(trained[0])
    assert ours["results"] == theirs["results"]
    assert np.array_equal(params(tmp_path / "again"), params(trained[0]))
    drop = functools.partial(map, lambda line: line | {"seconds": None})
    assert list(drop(history(tmp_path / "again"))) == list(drop(history(trained[0])))


def test_the_command_gives_the_script_s_bits(quick, roots, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    script = quick("--epochs", 2, "--seed", 4, "--out", tmp_path / "a")
    found = runs.minifer("train", "ck", "--images", roots[0], "--labels", roots[1],
                         "--faces", "whole", "--batch", 4, "--epochs", 2, "--seed", 4,
                         "--out", tmp_path / "b")
    assert script.code == found.code == 0, found.err
    assert np.array_equal(params(tmp_path / "a"), params(tmp_path / "b"))
    ours, theirs = read(tmp_path / "b"), read(tmp_path / "a")
    assert ours["results"] == theirs["results"] and ours["data"] == theirs["data"]
    assert {path.name for path in (tmp_path / "b").iterdir()} == WRITTEN
    words = shlex.split(ours["command"])
    assert words[:3] == ["minifer", "train", "ck"]
    assert runs.minifer(*words[1:], "--resume").code == 0


# --- going on ----------------------------------------------------------------

def test_ctrl_c_and_resume_give_the_same_result(trained, call, tmp_path):
    """Stopped in the second epoch, after the first of its two batches."""
    hook = runs.at_call(4, runs.interrupt)
    scale = Preprocessing.__call__

    def prepare(steps, crops):
        hook()
        return scale(steps, crops)

    with mock.patch.object(Preprocessing, "__call__", prepare):
        stopped = call("--epochs", 2, "--seed", 3, "--out", tmp_path)
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1].startswith(
        "stopped after epoch 1 and 1 batches")
    assert "--resume continues" in stopped.err and "Traceback" not in stopped.err

    refused = call("--epochs", 2, "--seed", 3, "--out", tmp_path)
    assert refused.code == 2 and "--resume" in refused.err.splitlines()[-1]

    resumed = call("--epochs", 2, "--seed", 3, "--out", tmp_path, "--resume")
    assert resumed.code == 0, resumed.err
    assert np.array_equal(params(tmp_path), params(trained[0]))
    assert read(tmp_path)["results"] == read(trained[0])["results"]
    ours, theirs = (read_arrays(folder / "checkpoint.npz")[0]
                    for folder in (tmp_path, trained[0]))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_finished_run_is_extended(quick, tmp_path):
    assert quick("--epochs", 1, "--out", tmp_path / "a").code == 0
    assert quick("--epochs", 3, "--out", tmp_path / "a", "--resume").code == 0
    assert quick("--epochs", 3, "--out", tmp_path / "b").code == 0
    assert len(history(tmp_path / "a")) == 3
    assert np.array_equal(params(tmp_path / "a"), params(tmp_path / "b"))


def test_resume_with_other_settings_is_refused(quick, tmp_path):
    assert quick("--epochs", 1, "--out", tmp_path).code == 0
    refused = quick("--epochs", 2, "--out", tmp_path, "--resume", "--lr", 0.02)
    assert refused.code == 2
    assert "learning_rate = 0.01, got 0.02" in refused.err.splitlines()[-1]


def test_training_goes_on_from_given_weights(quick, tmp_path):
    assert quick("--epochs", 2, "--out", tmp_path / "a").code == 0
    more = quick("--epochs", 1, "--lr", 1e-12, "--out", tmp_path / "b",
                 "--weights", tmp_path / "a" / "model.npz")
    assert more.code == 0, more.err
    np.testing.assert_allclose(params(tmp_path / "b"), params(tmp_path / "a"),
                               rtol=1e-5, atol=1e-9)


# --- other protocols and settings --------------------------------------------

def test_refit_trains_anew_on_both_parts(quick, tmp_path):
    outcome = quick("--epochs", 1, "--refit", "--tta", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "once more on all 8 images, without validation" in outcome.err
    np.testing.assert_array_equal(params(tmp_path), params(tmp_path / "refit"))


def test_folds_pool_the_predictions_of_every_picture(quick, tmp_path):
    outcome = quick("--epochs", 1, "--folds", 2, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    results = read(tmp_path)["results"]
    assert results["n"] == 10 and np.array(results["confusion"]).sum() == 10
    assert results["protocol"] == "2-fold cross-validation, subject-disjoint, seed 0"
    assert results["leaky"] is False
    assert [fold["fold"] for fold in results["folds"]] == [1, 2]
    assert sum(fold["n"] for fold in results["folds"]) == 10
    pooled = sum(fold["n"] * fold["accuracy"] for fold in results["folds"]) / 10
    assert results["accuracy"] == pytest.approx(pooled)
    for k in "12":
        assert {path.name for path in (tmp_path / f"fold-{k}").iterdir()} == {
            "model.npz", "checkpoint.npz"}
    best = params(tmp_path)
    assert any(np.array_equal(best, params(tmp_path / f"fold-{k}")) for k in "12")
    again = quick("--epochs", 1, "--folds", 2, "--out", tmp_path, "--resume")
    assert again.code == 0 and read(tmp_path)["results"] == results


def test_a_random_split_is_stamped_leaky(quick, tmp_path):
    outcome = quick("--epochs", 1, "--split", "random", "--out", tmp_path)
    assert outcome.code == 0 and "LEAKY" in outcome.out
    results = read(tmp_path)["results"]
    assert results["leaky"] is True and "LEAKY" in results["protocol"]
    assert "> **LEAKY:**" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def worse(quick, tmp_path):
    """A run whose second epoch is worse, and what it handed to ``evaluate``."""
    module = runs.example("train_ck")
    script = [(1.0, 0.9), (2.0, 0.1)]  # validation loss and accuracy
    with mock.patch.object(Trainer, "_evaluate", side_effect=script), \
            mock.patch.object(module, "evaluate", wraps=module.evaluate) as judged:
        outcome = quick("--epochs", 9, "--schedule", "step:1", "--stop", "patience:1",
                        "--lr", 0.5, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    return tmp_path, judged.call_args.args


def test_schedule_and_stop_rule_are_used(worse):
    rates = [float(line["learning_rate"]) for line in history(worse[0])]
    np.testing.assert_allclose(rates, [0.5, 0.05])


def test_the_best_epoch_is_judged_and_not_the_last(worse, roots):
    folder, (probabilities, labels, *_) = worse
    assert read(folder)["training"] | {"epochs": 2, "best_epoch": 1} == (
        read(folder)["training"])
    faces, test = held_out(roots, seed=0)
    assert np.array_equal(labels, faces.labels[test])
    judged = Predictor.load(folder / "model.npz").saturations(faces.images[test])
    np.testing.assert_allclose(probabilities, [list(p.values()) for p in judged],
                               rtol=1e-5)


def test_stop_alone_has_no_limit_of_epochs(quick, tmp_path):
    outcome = quick("--stop", "settled", "--lr", 1e-9, "--out", tmp_path)
    assert outcome.code == 0
    losses = [float(line["train_loss"]) for line in history(tmp_path)]
    assert abs(losses[-1] - losses[-2]) <= 0.0001
    assert read(tmp_path)["settings"]["epochs"] is None


def test_neutral_is_an_eighth_class(quick, tmp_path):
    outcome = quick("--epochs", 1, "--neutral", 0.5, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    record = read(tmp_path)
    assert record["results"]["classes"] == ["neutral", *data.EMOTIONS]
    assert record["data"]["n"] == 20 and record["data"]["per_class"]["neutral"] == 10
    assert load_model(tmp_path / "model.npz").classes[0] == "neutral"


def test_without_folders_faces_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(minifer.models, "ck96", small)
    make_faces = functools.partial(data.make_faces, frames=(2, 2),
                                   emotions=["happiness", "surprise"])
    with mock.patch.object(data, "make_faces", make_faces, create=True):
        outcome = runs.command("train_ck", "--epochs", 1, "--subjects", 6, "--out",
                               tmp_path / "out", cache=tmp_path / "cache")
    assert outcome.code == 0, outcome.err
    record = read(tmp_path / "out")
    assert record["data"]["embedded"] is True
    assert "says nothing about real faces" in (
        tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_main_returns_the_evaluation(quick, roots, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    found = runs.example("train_ck").main(
        ["--images", str(roots[0]), "--labels", str(roots[1]), "--faces", "whole",
         "--epochs", "1", "--out", str(tmp_path)])
    assert found.accuracy == read(tmp_path)["results"]["accuracy"]
    assert "accuracy" in capsys.readouterr().out


def test_help_is_help():
    for name in "train_ck", "predict":
        outcome = runs.command(name, "--help")
        assert outcome.code == 0 and outcome.err == ""
        assert "default" in outcome.out and "Traceback" not in outcome.out


def test_run_reports_ctrl_c_before_training(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_as_a_script(roots, tmp_path):
    outcome = runs.process(
        runs.EXAMPLES / "train_ck.py", "--images", roots[0], "--labels", roots[1],
        "--faces", "whole", "--epochs", 1, "--batch", 4, "--out", tmp_path / "out",
        MINIFER_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(runs.TESTS.parent))
    assert outcome.code == 0, outcome.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == WRITTEN
