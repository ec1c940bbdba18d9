"""Going on after a stop gives the same run, bit for bit, as never stopping."""

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers import runs
from minifer import updates
from minifer.errors import SettingError, WeightsError
from minifer.files import write_text
from minifer.regularization import l2, regularize_network_params
from minifer.training import schedules, stopping
from minifer.training.checkpoint import peek
from minifer.training.trainer import Trainer, TrainingInterrupted

SCRIPT = runs.TESTS / "helpers" / "runs.py"
#: Batches in an epoch of ``runs.train``: 8 of training, 3 of validation.
CALLS = 11
KILLS = 20


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """``reference(epochs)`` is the folder of a run that nobody stopped."""
    @functools.lru_cache
    def run(epochs):
        folder = tmp_path_factory.mktemp("reference")
        runs.train(folder, epochs)
        return folder
    return run


@pytest.fixture(scope="module")
def process_reference(tmp_path_factory):
    """The same in a process of its own, with as many threads as those it is for."""
    @functools.lru_cache
    def run(epochs):
        folder = tmp_path_factory.mktemp("reference")
        assert runs.process(SCRIPT, folder, epochs).code == 0
        return folder
    return run


def assert_whole_files(folder):
    """No file is cut: each opens, but hidden ones that were being written."""
    for path in folder.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as archive:
                assert all(archive[name] is not None for name in archive.files)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            header, *lines = csv.reader(path.read_text().splitlines())
            assert len(lines) == 3 and {len(line) for line in lines} == {len(header)}
        elif path.name != ".minifer-lock":  # the system lets go of it, the file stays
            assert path.name.startswith(".") and path.name.endswith(".tmp"), path.name


# --- Ctrl-C ------------------------------------------------------------------

@pytest.mark.parametrize("call", range(1, 3 * CALLS + 1))
def test_ctrl_c_at_any_batch(tmp_path, reference, call):
    with pytest.raises(TrainingInterrupted, match=rf"{tmp_path}; --resume continues"):
        runs.train(tmp_path, 3, hook=runs.at_call(call, runs.interrupt))
    assert_whole_files(tmp_path)
    runs.train(tmp_path, 3)
    runs.assert_same_run(tmp_path, reference(3))


def test_a_copied_folder_goes_on_elsewhere(tmp_path, reference):
    here, there = tmp_path / "here", tmp_path / "there"
    with pytest.raises(TrainingInterrupted):
        runs.train(here, 3, hook=runs.at_call(CALLS + 3, runs.interrupt))
    shutil.copytree(here, there)
    shutil.rmtree(here)
    runs.train(there, 3)
    runs.assert_same_run(there, reference(3))
    assert not here.exists()


def test_ctrl_c_keeps_the_batch_at_hand(tmp_path):
    with pytest.raises(TrainingInterrupted, match="after epoch 1 and 3 batches"):
        runs.train(tmp_path, 3, hook=runs.at_call(CALLS + 3, runs.interrupt))
    place = peek(tmp_path / "checkpoint.npz")
    assert (place["epoch"], place["batch"], place["finished"]) == (1, 3, False)


def test_many_ctrl_c(tmp_path, reference):
    for call in (5, 1, 7, 12, 2):
        with pytest.raises(TrainingInterrupted):
            runs.train(tmp_path, 4, hook=runs.at_call(call, runs.interrupt))
    runs.train(tmp_path, 4)
    runs.assert_same_run(tmp_path, reference(4))


def test_ctrl_c_in_a_process_of_its_own(tmp_path, process_reference):
    stopped = runs.process(SCRIPT, tmp_path, 3, "interrupt", CALLS + 4)
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1] == (
        f"stopped after epoch 1 and 4 batches: saved in {tmp_path}; --resume continues")
    assert "Traceback" not in stopped.err
    assert runs.process(SCRIPT, tmp_path, 3).code == 0
    runs.assert_same_run(tmp_path, process_reference(3))


def test_a_second_ctrl_c_stops_at_once(tmp_path, reference):
    def twice():
        runs.interrupt()
        runs.interrupt()

    with pytest.raises(KeyboardInterrupt) as stop:
        runs.train(tmp_path, 3, hook=runs.at_call(CALLS + 4, twice))
    assert not isinstance(stop.value, TrainingInterrupted)
    assert peek(tmp_path / "checkpoint.npz")["epoch"] == 1
    runs.train(tmp_path, 3)
    runs.assert_same_run(tmp_path, reference(3))


def test_ctrl_c_without_a_folder_says_that_nothing_is_kept():
    with pytest.raises(TrainingInterrupted, match="nothing saved"):
        runs.train(None, 3, hook=runs.at_call(3, runs.interrupt))


def test_ctrl_c_means_what_it_did_when_training_is_over():
    before = signal.getsignal(signal.SIGINT)
    runs.train(None, 1)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(TrainingInterrupted):
        runs.train(None, 1, hook=runs.at_call(1, runs.interrupt))
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(runs.train(None, 2)))
    thread.start()
    thread.join()
    (result, net), = found
    assert np.array_equal(runs.values(net), runs.values(runs.train(None, 2)[1]))


# --- kill -9 -----------------------------------------------------------------

def kill_after(folder, epochs, lines, delay, writing):
    """Start or continue a run; kill it ``delay`` s after so many lines it said.

    ``writing``: so long after it has then begun to write a file.
    """
    child = subprocess.Popen([sys.executable, SCRIPT, folder, str(epochs)],
                             env=runs.environment(), stderr=subprocess.PIPE, text=True)
    old = set(folder.glob(".*.tmp"))
    with child:
        for _ in range(lines):
            child.stderr.readline()
        while writing and child.poll() is None and set(folder.glob(".*.tmp")) <= old:
            pass
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.returncode


def test_twenty_kills_at_random_moments(tmp_path, process_reference):
    """Half of them while a file is written, which takes about a millisecond.

    The kills leave off near epoch 60; a slow hand may let the run get further.
    """
    epochs = 200
    expected = process_reference(epochs)
    history = peek(expected / "checkpoint.npz")["history"]
    per_epoch = float(np.median([row["seconds"] for row in history]))
    rng = np.random.default_rng(7)
    for kill in range(KILLS):
        writing = kill % 2 == 1
        code = kill_after(tmp_path, epochs, rng.integers(1, 6),
                          rng.uniform(0, 0.001 if writing else 2 * per_epoch), writing)
        assert code == -signal.SIGKILL
        assert_whole_files(tmp_path)
    assert runs.process(SCRIPT, tmp_path, epochs).code == 0
    runs.assert_same_run(tmp_path, expected)


@pytest.mark.parametrize("when, number", [
    ("half", 1), ("before", 1), ("after", 1), ("half", 2), ("before", 2),
    ("after", 2), ("half", 3), ("before", 3), ("after", 3), ("half", 6)])
def test_a_kill_while_a_file_is_written(tmp_path, process_reference, when, number):
    """Files 1, 3, 5 are models, 2, 4, 6 checkpoints (each epoch is better)."""
    killed = runs.process(SCRIPT, tmp_path, 3, when, number)
    assert killed.code == -signal.SIGKILL
    assert_whole_files(tmp_path)
    assert runs.process(SCRIPT, tmp_path, 3).code == 0
    runs.assert_same_run(tmp_path, process_reference(3))


def test_what_killed_runs_left_is_tidied_up(tmp_path):
    """Else every kill would cost a checkpoint's disk space for ever."""
    write_text(tmp_path / ".checkpoint.npz.0123abcd.tmp", "half a checkpoint")
    write_text(tmp_path / ".model.npz.4567cdef.tmp", "half a model")
    runs.train(tmp_path, 1)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.npz", "model.npz"]


# --- with what a run may continue --------------------------------------------

@pytest.mark.parametrize("change, name", [
    ({"batch_size": 9}, "batch_size = 8, got 9"),
    ({"seed": 4}, "seed = 3, got 4"),
    ({"learning_rate": 0.03}, "learning_rate = 0.02, got 0.03"),
    ({"class_weights": [1, 2, 3]}, "class_weights"),
    ({"update": updates.adam}, "update"),
    ({"update": functools.partial(updates.nesterov_momentum, momentum=0.5)},
     "momentum|update"),
    ({"schedule": schedules.quarters}, "schedule"),
    ({"schedule": schedules.inverse_time(0.1)}, "schedule"),
    ({"net": runs.network(norm=False)}, "network"),
    ({"net": runs.network(norm=True, units=17)}, "network")],
    ids=["batch size", "seed", "rate", "class weights", "update", "momentum",
         "schedule", "schedule of a number", "network", "units"])
def test_other_settings_cannot_continue(tmp_path, change, name):
    runs.train(tmp_path, 1)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(SettingError, match=name) as error:
        runs.train(tmp_path, 2, **change)
    assert "\n" not in str(error.value)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("first, second", [
    (schedules.step(1), schedules.step(2)),
    (schedules.inverse_time(0.1), schedules.inverse_time(0.2))],
    ids=["step", "inverse_time"])
def test_the_number_of_a_schedule_is_a_setting_too(tmp_path, first, second):
    runs.train(tmp_path, 1, schedule=first)
    with pytest.raises(SettingError, match="schedule"):
        runs.train(tmp_path, 2, schedule=second)


def test_the_penalty_is_a_setting_too(tmp_path):
    def train(epochs, factor):
        net = runs.network(norm=True)
        runs.train(tmp_path, epochs, net=net,
                   penalty=factor * regularize_network_params(net, l2))

    train(1, 0.001)
    with pytest.raises(SettingError, match="penalty"):
        train(2, 0.01)


@pytest.mark.parametrize("what", ["images", "labels", "number", "validation"])
def test_other_data_cannot_continue(tmp_path, what):
    def train(images, labels, valid, epochs):
        trainer = Trainer(runs.network(), prepare=runs.STEPS)
        trainer.fit(images, labels, valid, epochs, folder=tmp_path, resume=True)

    images, labels = runs.pictures(12)
    valid = runs.pictures(6, seed=1)
    train(images, labels, valid, 1)
    if what == "images":
        images = images + np.uint8(1)
    elif what == "labels":
        labels = (labels + 1) % 3
    elif what == "number":
        images, labels = images[1:], labels[1:]
    else:
        valid = runs.pictures(6, seed=2)
    with pytest.raises(SettingError, match="data|samples|valid"):
        train(images, labels, valid, 2)


def test_an_interrupted_run_is_not_overwritten(tmp_path):
    with pytest.raises(TrainingInterrupted):
        runs.train(tmp_path, 3, hook=runs.at_call(3, runs.interrupt))
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(SettingError, match=r"--resume, or choose another folder"):
        runs.train(tmp_path, 3, resume=False)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_a_finished_run_may_be_started_anew(tmp_path, reference):
    runs.train(tmp_path, 2)
    result, _ = runs.train(tmp_path, 3, resume=False)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    runs.assert_same_run(tmp_path, reference(3))


def test_resume_without_a_checkpoint_begins(tmp_path, reference):
    runs.train(tmp_path, 3, resume=True)
    runs.assert_same_run(tmp_path, reference(3))


def test_a_finished_run_returns_at_once(tmp_path, reference):
    first, net = runs.train(tmp_path, 3)
    calls = []
    again, other = runs.train(tmp_path, 3, hook=lambda: calls.append(1))
    assert not calls
    assert again == first
    assert np.array_equal(runs.values(other), runs.values(net))
    runs.assert_same_run(tmp_path, reference(3))


def test_a_finished_run_can_be_extended(tmp_path, reference):
    runs.train(tmp_path, 2)
    result, _ = runs.train(tmp_path, 5)
    assert len(result.history) == 5
    runs.assert_same_run(tmp_path, reference(5))


def test_a_stop_rule_knows_the_epochs_before_the_stop(tmp_path):
    def fit(folder, hook=None):
        trainer = Trainer(runs.network(), batch_size=4, learning_rate=0.05,
                          prepare=runs.Hooked(hook))
        return trainer.fit(*runs.pictures(12), valid=runs.pictures(12, seed=1),
                           stop=stopping.patience(3), folder=folder, resume=True)

    straight = fit(tmp_path / "straight")
    last = 6 * len(straight.history)
    with pytest.raises(TrainingInterrupted):
        fit(tmp_path / "stopped", runs.at_call(last - 8, runs.interrupt))
    assert runs.rows(fit(tmp_path / "stopped").history) == runs.rows(straight.history)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01."],
                         ids=["empty", "cut", "pickle"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_damaged_checkpoint_is_one_error(tmp_path, content, resume):
    (tmp_path / "checkpoint.npz").write_bytes(content)
    with pytest.raises(WeightsError, match="checkpoint.npz"):
        runs.train(tmp_path, 1, resume=resume)


def test_another_npz_is_no_checkpoint(tmp_path):
    runs.train(tmp_path, 1)
    os.replace(tmp_path / "model.npz", tmp_path / "checkpoint.npz")
    with pytest.raises(WeightsError, match="expected a checkpoint"):
        runs.train(tmp_path, 2)


def test_mirrored_images_are_the_same_after_a_stop(tmp_path):
    images, labels = runs.pictures(12, 0)

    def train(epochs=3, flip=True, **how):
        net = runs.network()
        Trainer(net, batch_size=5, prepare=runs.STEPS, flip=flip).fit(
            images, labels, epochs=epochs, **how)
        return runs.values(net)

    mirrored = train()
    assert np.array_equal(mirrored, train())
    assert not np.array_equal(mirrored, train(flip=False))
    train(epochs=1, folder=tmp_path)
    assert np.array_equal(mirrored, train(folder=tmp_path, resume=True))
    with pytest.raises((SettingError, WeightsError), match="flip"):
        train(flip=False, folder=tmp_path, resume=True)
