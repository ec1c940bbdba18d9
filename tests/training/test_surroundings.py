"""A run goes on with as many threads as it began with, or says what differs."""

import io

import numpy as np
import pytest

from helpers import runs
from minifer import config
from minifer.errors import ResumeWarning
from minifer.progress import Progress
from minifer.training.surroundings import surroundings
from minifer.training.trainer import TrainingInterrupted
from minifer.weights.model_file import read_arrays, write_arrays


def test_a_run_goes_on_with_the_threads_it_began_with(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIFER_NUM_THREADS", "2")
    result, _ = runs.train(tmp_path / "straight", 2)
    assert result.made_with["threads"] == 2
    with pytest.raises(TrainingInterrupted):
        runs.train(tmp_path / "stopped", 2, hook=runs.at_call(14, runs.interrupt))
    monkeypatch.setenv("MINIFER_NUM_THREADS", "1")
    text = io.StringIO()
    result, _ = runs.train(tmp_path / "stopped", 2, progress=Progress(stream=text))
    assert result.made_with["threads"] == 2
    assert "continuing after epoch 1 and 3 batches with 2 threads" in text.getvalue()
    assert "last bits" not in text.getvalue()
    runs.assert_same_run(tmp_path / "stopped", tmp_path / "straight")
    _, one = runs.train(None, 2)
    two = np.concatenate([value.ravel() for name, value in read_arrays(
        tmp_path / "stopped" / "checkpoint.npz")[0].items() if "param" in name])
    assert not np.array_equal(runs.values(one), two)  # so that it is worth it


@pytest.mark.parametrize("name, was", [
    ("numpy", "1.99.0"), ("blas", "openblas 0.0 Katmai"), ("machine", "pdp11"),
    ("device", "cuda"), ("python", "3.0")])
def test_what_differs_is_said_once(tmp_path, name, was):
    runs.train(tmp_path, 1)
    path = tmp_path / "checkpoint.npz"
    arrays, meta = read_arrays(path)
    meta["surroundings"][name] = was
    write_arrays(path, arrays, meta)
    text = io.StringIO()
    runs.train(tmp_path, 1, progress=Progress(stream=text))
    said = [line for line in text.getvalue().splitlines() if "last bits" in line]
    assert len(said) == 1 and f"began with {name} {was}, goes on with " in said[0]
    write_arrays(path, arrays, meta)
    if name == "device":  # named by the caller
        runs.train(tmp_path, 1)
        return
    with pytest.warns(ResumeWarning, match=f"{name} {was}"):
        runs.train(tmp_path, 1)


@pytest.mark.parametrize("threads", [0, -1, 10**9, "2", 1.5, None, True])
def test_a_number_of_threads_that_is_none_is_not_believed(tmp_path, threads):
    runs.train(tmp_path, 1)
    path = tmp_path / "checkpoint.npz"
    arrays, meta = read_arrays(path)
    meta["surroundings"]["threads"] = threads
    write_arrays(path, arrays, meta)
    with pytest.warns(ResumeWarning, match="threads"):
        runs.train(tmp_path, 2)


def test_networks_without_a_plan_depend_on_the_threads_of_blas():
    assert "blas threads" not in surroundings(runs.network(), "cpu", "fp32", 2)
    with config.use_floatX("float64"):
        net = runs.network()
    assert surroundings(net, "cpu", "fp32", 2)["blas threads"] >= 1
    assert surroundings(net, "emu", "tf32", 2)["precision"] == "tf32"
