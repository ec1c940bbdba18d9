"""minifer train ck --folds: one after another, or ahead where a runner is named."""

import contextvars
import functools
import json
from unittest import mock

import pytest

import minifer
from helpers import runs
from minifer import layers, nonlinearities
from minifer.files import lock_folder
from minifer.training.trainer import Trainer


def small(num_classes=7):
    """In place of ck96, where only the command matters."""
    net = layers.Conv2DLayer(layers.InputLayer((None, 1, 96, 96)), 4, 9, stride=4)
    net = layers.MaxPool2DLayer(net, 4)
    return layers.DenseLayer(net, num_classes, nonlinearity=nonlinearities.softmax)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Image and label root of ten pictures: two classes, five subjects."""
    return runs.write_ck(tmp_path_factory.mktemp("ck"))


@pytest.fixture
def train(monkeypatch, roots, tmp_path):
    monkeypatch.setattr(minifer.models, "ck96", small)
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    return functools.partial(runs.minifer, "train", "ck", "--images", roots[0],
                             "--labels", roots[1], "--faces", "whole", "--epochs", 2,
                             "--folds", 2)


def results(folder):
    return json.loads((folder / "run.json").read_text("utf-8"))["results"]


def models(folder):
    return [(folder / f"fold-{k}" / "model.npz").read_bytes() for k in (1, 2)]


def test_folds_of_a_runner_are_those_of_one_process(train, tmp_path):
    alone, ahead = tmp_path / "alone", tmp_path / "ahead"
    assert train("--out", alone).code == 0
    done = train("--out", ahead, "--jobs", 1)
    assert done.code == 0, done.err
    assert results(ahead) == results(alone)
    assert done.err.count("validation accuracy") == 2
    with mock.patch.object(Trainer, "_epoch", side_effect=AssertionError):
        again = train("--out", ahead, "--jobs", 1, "--resume")  # nothing is left to do
    assert again.code == 0, again.err
    assert results(ahead) == results(alone)


def test_what_an_earlier_run_left_is_not_taken_for_this_one_s(train, tmp_path):
    assert train("--out", tmp_path, "--jobs", 1).code == 0
    with mock.patch.object(Trainer, "_epoch", autospec=True,
                           side_effect=Trainer._epoch) as epochs:
        assert train("--out", tmp_path, "--jobs", 1).code == 0
    assert epochs.call_count == 2 * 2


def test_a_fold_whose_attempt_stands_still_goes_on(train, tmp_path):
    """A process that was stopped keeps the lock of its fold."""
    other, lock = contextvars.copy_context(), lock_folder(tmp_path / "fold-1")
    other.run(lock.__enter__)
    try:
        done = train("--out", tmp_path, "--jobs", 1)
    finally:
        other.run(lock.__exit__, None, None, None)
    assert done.code == 0, done.err


def test_folds_that_were_stopped_go_on(train, tmp_path):
    step, calls = Trainer._step, iter(range(99))

    def stopping(*args):
        if next(calls) == 3:  # in the second fold
            runs.interrupt()
        return step(*args)

    with mock.patch.object(Trainer, "_step", stopping):
        stopped = train("--out", tmp_path, "--jobs", 1)
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == (
        f"stopped after 1 of 2 folds: saved in {tmp_path}; --resume continues")
    assert train("--out", tmp_path, "--jobs", 1, "--resume").code == 0
    assert train("--out", tmp_path / "whole").code == 0
    assert results(tmp_path) == results(tmp_path / "whole")


def test_a_fold_that_fails_is_named(train, tmp_path):
    with mock.patch.object(Trainer, "_step", side_effect=MemoryError("no room")):
        failed = train("--out", tmp_path, "--jobs", 1)
    assert failed.code == 2
    assert failed.err.splitlines()[-1] == (
        "error: fold 1 of 2: MemoryError: no room")


def test_a_runner_without_folds_is_refused(tmp_path):
    refused = runs.minifer("train", "ck", "--runner", "dask", "--out", tmp_path)
    assert refused.code == 2 and "--runner is for --folds" in refused.err
