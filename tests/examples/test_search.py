"""examples/search.py: it searches, tells how to train with what it found, resumes."""

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
from minifer.commands import search
from minifer.compiled import Function
from minifer.errors import NotFiniteError
from minifer.training.trainer import Trainer

SPACE = ("--space", "lr=log:1e-4:1e-1", "--space", "batch=8,16", "--space",
         "flip=true,false")


@pytest.fixture(scope="module")
def fer(tmp_path_factory):
    """Class folders as FER2013's: 10 training and 2 public test images of a class."""
    return runs.write_fer(tmp_path_factory.mktemp("data") / "fer 2013", 10, 2)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Image and label root of ten pictures: two classes, five subjects."""
    return runs.write_ck(tmp_path_factory.mktemp("ck"))


def small(num_classes=7):
    """In place of a network, where only the command matters."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 96, 96)), 4, 9, stride=4)
    net = layers.MaxPool2DLayer(net, 4)
    return layers.DenseLayer(net, num_classes, nonlinearity=nonlinearities.softmax)


@pytest.fixture
def quick(monkeypatch, roots, tmp_path):
    """The command on CK+'s layout, in this process, with a small network."""
    monkeypatch.setattr(minifer.models, "ck96", small)
    return functools.partial(
        runs.command, "search", "--images", roots[0], "--labels", roots[1], "--faces",
        "whole", "--epochs", 2, "--trials", 4, *SPACE, cache=tmp_path / "cache")


def trials(folder):
    text = (folder / "trials.jsonl").read_text("utf-8")
    _, *lines = map(json.loads, text.splitlines())
    lines.sort(key=lambda line: line["number"])
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_the_command_it_prints_trains_to_the_score_it_found(fer, tmp_path):
    out = tmp_path / "out"
    found = runs.process(runs.EXAMPLES / "search.py", "--data", fer, "--model", "mlp",
                         "--epochs", 2, *SPACE, "--space", "net.batch_norm=true,false",
                         "--trials", 4, "--jobs", 2, "--seed", 3,
                         "--strategy", "random", "--out", out, MINIFER_NUM_THREADS="2")
    assert found.code == 0, found.err
    assert {path.name for path in out.iterdir()} == {"trials.jsonl", "report.md",
                                                     "search.png"}
    lines = trials(out)
    assert [line["number"] for line in lines] == [1, 2, 3, 4]
    assert all(line["status"] == "ok" and line["seed"] == 3 for line in lines)
    best = max(lines, key=lambda line: line["score"])
    report = (out / "report.md").read_text("utf-8")
    command, = (line for line in found.out.splitlines() if line.startswith("python "))
    assert command in report and command.startswith(
        f"python examples/train_fer2013.py --data '{fer}' --model mlp --net=batch_norm="
        f"{best['settings']['net.batch_norm']} --out {out}/best")
    assert f"--lr {best['settings']['lr']} " in command
    assert "so it flatters" in report and "Drawn faces" not in report

    _, script, *words = shlex.split(command)
    trained = runs.process(runs.TESTS.parent / script, *words, MINIFER_NUM_THREADS="1")
    assert trained.code == 0, trained.err
    with open(out / "best" / "history.csv", encoding="utf-8") as file:
        accuracy = max(float(row["valid_accuracy"]) for row in csv.DictReader(file))
    assert accuracy == best["score"]


def test_test_images_reach_no_trial(fer, roots, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path))
    words, quiet = ["--data", str(fer)], mock.Mock()
    training, validation = search.parts(search.trial(words, {}, "out", progress=quiet))
    assert len(training) + len(validation) == 70
    assert all("Training_" in path for path in (*training.paths, *validation.paths))

    words = ["--images", str(roots[0]), "--labels", str(roots[1]), "--faces", "whole"]
    training, validation = search.parts(search.trial(words, {}, "out", progress=quiet))
    whole = data.load_ck(*roots, faces="whole", cache=False)
    parts = data.split_by_subject(whole.labels, whole.subjects, (.6, .2, .2), 0,
                                  whole.classes)
    for part, expected in zip((training, validation), parts):
        assert list(part.paths) == list(whole.subset(expected).paths)
        assert not set(part.paths) & set(whole.subset(parts[2]).paths)


def test_a_search_stopped_inside_a_trial_goes_on(quick, tmp_path):
    whole = quick("--out", tmp_path / "whole", "--strategy", "anneal")
    assert whole.code == 0, whole.err
    step, calls = Trainer._step, iter(range(99))

    def stopping(*args):
        if next(calls) == 4:  # in the first epoch, of one batch, of the third trial
            runs.interrupt()
        return step(*args)

    with mock.patch.object(Trainer, "_step", stopping):
        stopped = quick("--out", tmp_path / "parts")
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1].endswith("--resume continues")
    assert len(trials(tmp_path / "parts")) == 2
    folder, = (tmp_path / "parts").glob("trial-*")
    assert {path.name for path in folder.iterdir()} == {"checkpoint.npz", "model.npz"}

    refused = quick("--out", tmp_path / "parts")
    assert refused.code == 2 and "an interrupted search stands here" in refused.err
    with mock.patch.object(Trainer, "_epoch", autospec=True,
                           side_effect=Trainer._epoch) as epochs:
        resumed = quick("--out", tmp_path / "parts", "--resume")
    assert resumed.code == 0, resumed.err
    assert "continuing after 2 trials" in resumed.err
    assert epochs.call_count == 1 + 2  # the third trial's second, and all of the fourth
    assert trials(tmp_path / "parts") == trials(tmp_path / "whole")
    assert not list((tmp_path / "parts").glob("trial-*"))
    other = quick("--out", tmp_path / "parts", "--resume", "--stop", "settled")
    assert other.code == 2 and "expected to continue with about" in other.err


def test_a_trial_that_fails_is_a_line_in_the_table(quick, tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez(good, *layers.get_all_param_values(small()))
    bad.write_bytes(b"no weights")
    out = tmp_path / "out"
    found = quick("--out", out, "--space", f"weights={good},{bad}")
    assert found.code == 0, found.err
    for line in trials(out):
        failed = line["settings"]["weights"] == str(bad)
        assert line["status"] == ("failed" if failed else "ok")
        assert (line["score"] is None) == failed
    assert "failed: WeightsError: " in found.out
    assert "failed: WeightsError: " in (out / "report.md").read_text()
    assert not list(out.glob("trial-*"))


def test_a_trial_that_fails_in_its_second_epoch_leaves_no_folder(quick, tmp_path):
    ends = [None, NotFiniteError("training: no number."), *9 * [None]]
    with mock.patch.object(Function, "check", side_effect=ends):
        found = quick("--out", tmp_path)
    assert found.code == 0, found.err
    assert [line["reason"] for line in trials(tmp_path)] == [
        "NotFiniteError: training: no number.", None, None, None]
    assert not list(tmp_path.glob("trial-*"))


def test_without_folders_faces_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(minifer.models, "ck96", small)
    make_faces = functools.partial(data.make_faces, frames=(2, 2),
                                   emotions=["happiness", "surprise"])
    with mock.patch.object(data, "make_faces", make_faces):
        found = runs.command("search", "--space", "lr=log:.001:.1", "--epochs", 1,
                             "--trials", 2, "--subjects", 6, "--out", tmp_path / "out",
                             cache=tmp_path / "cache")
    assert found.code == 0, found.err
    assert "python examples/train_ck.py --out" in found.out
    assert "says nothing about real faces" in (
        tmp_path / "out" / "report.md").read_text("utf-8")


@pytest.mark.parametrize("words, text", [
    (["--space", "lr=high"], "lr=high: expected"),
    (["--space", "lr=0:1", "--space", "lr=0:2"], "'lr' twice"),
    (["--space", "colour=1,2"], "unrecognized arguments: --colour=1"),
    (["--space", "epochs=1:5"], "invalid int value: '1.0'"),
    (["--space", "device=cpu,tpu"], "invalid choice: 'tpu'"),
    (["--space", "last=.1:.5"], "--space last: it must be the same"),
    (["--space", "lr=0:1", "--lr", ".1"], "got both"),
    (["--model", "mlp"], "unrecognized arguments: --model"),
    (["--folds", "3"], "--folds: expected one split"),
    (["--data", "x", "--model", "mlp", "--no-validation"], "--no-validation: expected"),
    (["--data", "x", "--space", "no-validation=true,false"], "it must be the same"),
    (["--strategy", "grid"], "invalid choice: 'grid'"),
    (["--data", "nowhere.csv", "--model", "mlp"], "nowhere.csv"),
    (["--trials", "0", "--faces", "whole"], "trials: expected")])
def test_bad_options_are_refused_in_one_line(words, text, tmp_path, roots):
    if "--data" not in words:
        words = [*words, "--images", roots[0], "--labels", roots[1]]
    found = runs.command("search", *words, "--out", tmp_path, cache=tmp_path / "cache")
    assert found.code == 2, found
    line, = (line for line in found.err.splitlines() if "finding faces" not in line)
    assert "error: " in line and text in line
    assert not (tmp_path / "trials.jsonl").exists()


def test_help_is_help():
    found = runs.command("search", "--help")
    assert found.code == 0 and "--at-once" in found.out and "train_ck.py" in found.out
    found = runs.minifer("search", "--help")
    assert found.code == 0 and "minifer train fer2013 or" in " ".join(found.out.split())


def test_the_command_tells_how_to_train_with_commands(fer, tmp_path):
    words = ("search", "--data", fer, "--model", "mlp", "--epochs", 1, "--space",
             "lr=.001,.01", "--trials", 1, "--strategy", "random", "--out", tmp_path)
    found = runs.minifer(*words)
    assert found.code == 0, found.err
    command, = (line for line in found.out.splitlines() if line.startswith("minifer "))
    report = (tmp_path / "report.md").read_text("utf-8")
    assert command.startswith("minifer train fer2013 --data") and command in report
    assert shlex.join(["minifer", *map(str, words)]) in report
    assert runs.minifer(*shlex.split(command)[1:]).code == 0
