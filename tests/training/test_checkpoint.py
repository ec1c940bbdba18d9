"""Checkpoints hold the whole state, and a full disk does not cost the old one."""

import errno
import functools
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from helpers import runs
from minifer import layers, updates
from minifer.errors import OutputError, SettingError, WeightsError
from minifer.training.checkpoint import load_checkpoint, peek, save_checkpoint
from minifer.weights.model_file import write_arrays

RULES = [updates.sgd, updates.momentum, updates.nesterov_momentum, updates.adagrad,
         updates.rmsprop, updates.adadelta, updates.adam, updates.adamax,
         updates.amsgrad, updates.adamw]
POSITION = {"epoch": 2, "batch": 1, "loss_sum": 0.1 + 0.2, "history": [{"epoch": 1}]}
SETTINGS = {"seed": 3, "update": "Adam"}


def applied(rule):
    """Momentum around another rule, whose state nests."""
    def build(params, learning_rate):
        return updates.apply_nesterov_momentum(rule(params, learning_rate))
    return build


def stepped(rule, steps, seed=1):
    """A network and its update rule after some steps with random gradients."""
    net = runs.network(seed)
    params = layers.get_all_params(net, trainable=True)
    update = rule(params, learning_rate=0.01)
    step(net, update, steps, seed)
    return net, update


def step(net, update, steps, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        update([rng.normal(size=p.shape).astype(p.dtype) for p in update.params])
        net.input_layer.input_layer.stream.keep_mask((3,), 0.5)


def save(path, rule=updates.adam, settings=SETTINGS):
    net, update = stepped(rule, 3)
    save_checkpoint(path, net, update, POSITION, settings)
    return net, update


@pytest.mark.parametrize("rule", RULES + [applied(updates.sgd), applied(updates.adam)],
                         ids=lambda rule: getattr(rule, "__name__", "rule"))
def test_every_update_rule_goes_on_as_if_nothing_had_happened(tmp_path, rule):
    net, update = save(tmp_path / "c.npz", rule)
    other, other_update = stepped(rule, 1, seed=2)
    position = load_checkpoint(tmp_path / "c.npz", other, other_update, SETTINGS)
    assert position == POSITION
    for one in (net, update), (other, other_update):
        step(*one, 2, seed=9)
    assert np.array_equal(runs.values(other), runs.values(net))
    streams = [one.input_layer.input_layer.stream.step for one in (net, other)]
    assert streams == [5, 5]


def test_peek_reads_the_position_alone(tmp_path):
    save(tmp_path / "c.npz")
    assert peek(tmp_path / "c.npz") == POSITION


@pytest.mark.parametrize("settings, message", [
    ({"seed": 4, "update": "Adam"}, "seed = 3, got 4"),
    ({"seed": 3, "update": "SGD"}, "update = Adam, got SGD"),
    ({"seed": 3}, "update = Adam, got None"),
    ({"seed": 3, "update": "Adam", "new": 1}, "new = None, got 1")])
def test_other_settings_are_named(tmp_path, settings, message):
    save(tmp_path / "c.npz")
    net, update = stepped(updates.adam, 1, seed=2)
    before = runs.values(net)
    with pytest.raises(SettingError, match=message):
        load_checkpoint(tmp_path / "c.npz", net, update, settings)
    assert np.array_equal(runs.values(net), before)


def test_a_checkpoint_of_another_network_changes_nothing(tmp_path):
    save(tmp_path / "c.npz")
    net = runs.network(units=17)
    before = runs.values(net)
    update = updates.adam(layers.get_all_params(net, trainable=True))
    with pytest.raises(WeightsError, match="another network or update rule"):
        load_checkpoint(tmp_path / "c.npz", net, update, SETTINGS)
    assert np.array_equal(runs.values(net), before)


def test_a_checkpoint_of_another_rule_is_refused(tmp_path):
    save(tmp_path / "c.npz", updates.adam)
    with pytest.raises(WeightsError, match="another network or update rule"):
        load_checkpoint(tmp_path / "c.npz", *stepped(updates.momentum, 0), SETTINGS)


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_checkpoint_is_one_error(tmp_path, share):
    net, update = save(tmp_path / "c.npz")
    whole = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(WeightsError, match="c.npz"):
        load_checkpoint(tmp_path / "c.npz", net, update, SETTINGS)
    with pytest.raises(WeightsError, match="c.npz"):
        peek(tmp_path / "c.npz")


@pytest.mark.parametrize("meta", [{}, {"format": "minifer-model-1"}, {"format": None}])
def test_another_npz_is_no_checkpoint(tmp_path, meta):
    write_arrays(tmp_path / "c.npz", {"arr_0": np.zeros(3)}, meta)
    with pytest.raises(WeightsError, match="expected a checkpoint"):
        load_checkpoint(tmp_path / "c.npz", *stepped(updates.adam, 0), SETTINGS)


def test_bare_weights_are_no_checkpoint(tmp_path):
    np.savez(tmp_path / "c.npz", np.zeros(3))
    with pytest.raises(WeightsError, match="expected a checkpoint"):
        load_checkpoint(tmp_path / "c.npz", *stepped(updates.adam, 0), SETTINGS)


# --- a full disk -------------------------------------------------------------

def full_disk(limit):
    """No file of this process may grow beyond ``limit`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run of two epochs and the size of its model and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    runs.train(folder, 2)
    return {name: (folder / name).read_bytes()
            for name in ("model.npz", "checkpoint.npz")}


@pytest.mark.parametrize("room", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_full_disk_costs_nothing(tmp_path, small_run, room):
    """``room``: which share of the checkpoint still finds place."""
    for name, content in small_run.items():
        (tmp_path / name).write_bytes(content)
    limit = int(room * len(small_run["checkpoint.npz"]))
    done = subprocess.run(
        [sys.executable, runs.TESTS / "helpers" / "runs.py", tmp_path, "4"], text=True,
        env=runs.environment(), capture_output=True, timeout=60,
        preexec_fn=functools.partial(full_disk, limit))
    errors = [line for line in done.stderr.splitlines()
              if not line.startswith(("epoch ", "continuing "))]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1 and errors[0].startswith("error: "), done.stderr
    assert os.strerror(errno.EFBIG) in errors[0] and str(tmp_path) in errors[0]

    assert (tmp_path / "checkpoint.npz").read_bytes() == small_run["checkpoint.npz"]
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.npz", "model.npz"]
    runs.train(tmp_path, 4)
    straight = tmp_path / "straight"
    runs.train(straight, 4)
    runs.assert_same_run(tmp_path, straight)


def test_a_folder_that_cannot_be_written_is_known_before_training(tmp_path):
    (tmp_path / "file.txt").write_text("not a folder")
    calls = []
    with pytest.raises(OutputError, match="expected a folder"):
        runs.train(tmp_path / "file.txt" / "out", 1, hook=lambda: calls.append(1))
    assert not calls
