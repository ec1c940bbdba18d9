"""The bench: what it reports, and that a missing or failing PyTorch stops nothing."""

import argparse
import json
import os

import pytest

from helpers import runs

SMALL = ("--net", "mlp", "--batch", 4, "--rounds", 1, "--steps", 1, "--threads", 1)
ROW = {"who", "config", "batch", "train_ms_per_image", "infer_ms_per_image", "peak_mb",
       "train_spread", "infer_spread", "first_step_s"}


@pytest.fixture
def module(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))
    return runs.example("bench/bench")


def bench(folder, *words, torch="raise ImportError"):
    """Run it where ``import torch`` finds a module with this text."""
    (folder / "torch.py").write_text(torch)
    outcome = runs.process(
        runs.EXAMPLES / "bench" / "bench.py", *SMALL, *words, "--out",
        folder / "bench.json",
        PYTHONPATH=os.pathsep.join([str(folder), str(runs.TESTS.parent)]))
    assert outcome.code == 0, outcome.err
    return outcome, json.loads((folder / "bench.json").read_text("utf-8"))


def test_the_result_as_json(tmp_path):
    outcome, report = bench(tmp_path, "--quick", "--json")
    assert json.loads(outcome.out) == report and report["rows"]


def names(report):
    return [(row["who"], row["config"]) for row in report["rows"]]


def test_quick_is_the_compiled_network_alone(tmp_path):
    outcome, report = bench(tmp_path, "--quick")
    assert report | {"net": "mlp", "threads": 1, "rounds": 1, "steps": 1} == report
    assert names(report) == [("minifer", "compiled")]
    row, = report["rows"]
    assert set(row) == ROW and row["batch"] == 4
    assert all(row[key] > 0 for key in ROW - {"who", "config", "train_spread",
                                              "infer_spread"})
    assert report["loss_difference"] == {"minifer compiled": 0}
    assert outcome.err == "" and report["machine"] in outcome.out
    assert f"{row['train_ms_per_image']:.3f}" in outcome.out


def test_without_torch_it_says_so_and_times_minifer(tmp_path):
    outcome, report = bench(tmp_path, "--against", "torch")
    assert "pip install torch" in outcome.err and "Traceback" not in outcome.err
    assert names(report) == [("minifer", "compiled"), ("minifer", "eager")]
    assert "train_ratio" not in report
    assert report["loss_difference"]["minifer eager"] < 1e-4


def test_a_contender_that_fails_is_left_out_and_named(tmp_path):
    """A torch that can be imported and has nothing in it."""
    outcome, report = bench(tmp_path, "--against", "torch", "--quick", torch="")
    assert names(report) == [("minifer", "compiled")]
    lines = outcome.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["torch channels_last",
                                                      "torch bfloat16"]
    assert all("left out, ImportError" in line for line in lines)


def result(train, infer, peak_mb, losses):
    """What a contender measured, in seconds for batches of 10."""
    return {"train": train, "infer": infer, "peak_mb": peak_mb, "losses": losses,
            "first_step_s": 1.0}


def test_ratios_are_of_the_best_float32_of_each(module):
    args = argparse.Namespace(net="ck96", batch=10, device="cpu", threads=2, rounds=3,
                              steps=1)
    report = module.summarise(args, {
        ("minifer", "compiled"): result([.01, .03, .02], [.005] * 3, 300, [2.0, 1.0]),
        ("minifer", "eager"): result([.2] * 3, [.1] * 3, 500, [2.0, 1.0]),
        ("torch", "eager"): result([.09] * 3, [.03] * 3, 800, [2.0, 1.0]),
        ("torch", "channels_last"): result([.05] * 3, [.02] * 3, 600, [2.0, 1.001]),
        ("torch", "bfloat16"): result([.04] * 3, [.01] * 3, 400, [2.0, 1.1])})
    compiled = report["rows"][0]
    assert compiled["train_ms_per_image"] == 2 and compiled["train_spread"] == [1, 3]
    assert report | {"train_ratio": 2.5, "infer_ratio": 4, "memory_ratio": .5,
                     "train_ratio_bfloat16": 2} == report
    assert report["loss_difference"] == {
        "minifer compiled": 0, "minifer eager": 0, "torch eager": 0,
        "torch channels_last": .001, "torch bfloat16": .1}
    text = module.table(report)
    assert "train_ratio 2.5" in text and text.count("\n") >= 9


@pytest.mark.parametrize("words", [
    ["--net", "resnet"], ["--batch", 0], ["--rounds", -1], ["--steps", "x"],
    ["--threads", 0], ["--against", "jax"], ["--device", "tpu"], ["extra"]])
def test_bad_options_end_with_2(module, words):
    outcome = runs.command("bench/bench", *words)
    assert outcome.code == 2 and outcome.out == ""
    assert "error:" in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize("net", ["ck96", "fer48", "r1", "six", "six-bn", "mlp",
                                 "tiny"])
def test_every_network_can_be_built(module, net):
    """Each takes a step and predicts, on one picture."""
    args = argparse.Namespace(net=net, batch=1, threads=1)
    contender = module.Minifer(args, "compiled", None)
    contender.build(dropout=True)
    assert contender.step() > 0
    assert contender.predict().shape == (1, 7)
