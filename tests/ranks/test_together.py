"""Trainings that ranks share are those of one rank.

All scenarios of a number of ranks run in one launch: starting them costs more than
they do.
"""

import json

import numpy as np
import pytest

from helpers import runs, together
from minifer.ranks import connect

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
EQUAL = [name for name in together.SCENARIOS if "float" in name]


@pytest.fixture(scope="module")
def started():
    """Skip where ranks cannot be started."""
    reason = together.why_not()
    if reason:
        pytest.skip(reason)


def assert_equal_runs(found, alone):
    """Losses, weights and predictions of each rank are those of one alone."""
    for name, expected in alone.items():
        limit = TOLERANCE[name.rpartition("-")[2]]
        for rank, one in enumerate(found[name]):
            for key, value in expected.items():
                np.testing.assert_allclose(one[key], value, limit, limit,
                                           err_msg=f"{name}, {key} of rank {rank}")


def assert_other_outcomes(found, size, folder):
    """What else the scenarios came to, on ``size`` ranks."""
    digests = [one for pair in found["repeated"] for one in pair]
    assert len(digests) == 2 * size and len(set(digests)) == 1
    for text, stands in found["not_finite"]:
        assert "the input of layer <InputLayer 'input'" in text and stands
    for seed, data in found["different"]:
        assert f"same seed on all {size} ranks, got 0 on rank 0, 1 on rank 1" in seed
        assert f"expected the same data on all {size} ranks" in data
    for text, total in found["wrong_on_all"]:
        assert "an array of shape (None, 1, 8, 8)" in text and total == [size]
    assert len(set(found["weights_begin_alike"])) == 1
    for common, apart in found["described"]:
        assert f"{size} ranks on one machine: parameters lie in memory that" in common
        assert f"{size} ranks sum gradients of" in apart
    for text in found["interrupted"]:
        assert text.startswith("stopped after epoch 0 and 4 batches: saved in")
    assert found["one_folder"] == [["checkpoint.npz", "model.npz"]] * size
    runs.assert_same_run(folder / f"parts-{size}", folder / f"whole-{size}")


def test_two_ranks_one_rank_and_three_ranks_train_alike(started, tmp_path):
    two = together.outcomes(2, tmp_path, *together.SCENARIOS)
    lines, values, epochs = together.SCENARIOS["resumed"](connect("alone"), tmp_path)
    three = together.outcomes(3, tmp_path, *together.SCENARIOS)

    expected = {name: together.SCENARIOS[name](connect("alone"), tmp_path)
                for name in EQUAL}
    for size, found in (2, two), (3, three):
        assert_equal_runs(found, expected)
        assert_other_outcomes(found, size, tmp_path)
        said = together.advised(connect("alone"), tmp_path)
        assert len(said) == 1 and found["advised"] == [said] + [[]] * (size - 1)

    # A run that two ranks began, one went on with, and three ended.
    assert "began with ranks 2" in str(lines) and "last bits may differ" in str(lines)
    (lines, ended, epochs), *others = three["resumed"]
    assert "began with ranks 1" in str(lines) and epochs == 3
    assert all(not said and np.array_equal(one, ended) for said, one, _ in others)
    _, alone = runs.train(None, 3)
    np.testing.assert_allclose(ended, runs.values(alone), 1e-5, 1e-5)


def test_devices_and_the_command_are_shared(started, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    found = together.outcomes(2, tmp_path, "device-float32", "command")
    assert_equal_runs(found, {"device-float32": together.on_device(
        connect("alone"), tmp_path)})

    (printed, ours), (nothing, _) = found["command"]
    text, theirs = together.command_line(connect("alone"), tmp_path)
    assert nothing == "" and printed.replace("/2/", "/1/") == text
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, 1e-5, 1e-5, err_msg=name)
    words = json.loads((tmp_path / "2" / "run.json").read_text("utf-8"))["command"]
    assert words.startswith("mpiexec -n 2 minifer train ck --") and (
        "--ranks mpi" in words)
