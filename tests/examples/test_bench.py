"""The bench: what it reports, and that nobody's absence or failure stops the others."""

import argparse
import json
import os

import numpy as np
import pytest

from helpers import runs
from minifer.errors import BackendUnavailable

SMALL = ("--net", "mlp", "--batch", 4, "--rounds", 1, "--steps", 1, "--threads", 1)
ROW = {"who", "config", "batch", "train_ms_per_image", "infer_ms_per_image", "peak_mb",
       "train_spread", "infer_spread", "first_step_s", "kernels", "output_difference",
       "loss_difference"}
#: A library that predicts, has all that is asked of it and computes nothing.
HOLLOW = """
class SessionOptions:
    def add_session_config_entry(self, *words): pass
class GraphOptimizationLevel:
    ORT_ENABLE_ALL = 99
class InferenceSession:
    def __init__(self, *words, **options): pass
    def run(self, names, given):
        import numpy as np
        return [np.full((len(given["x"]), 7), 1 / 7)]
"""


@pytest.fixture
def module(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))
    return runs.example("bench/bench")


@pytest.fixture
def contest(module):
    return runs.example("bench/contest")


@pytest.fixture
def report_of(module):
    return runs.example("bench/cpu_report")


def bench(folder, *words, **others):
    """Run it where ``import torch`` and others find modules with these texts."""
    absent = dict.fromkeys(["torch", "onnx", "onnxruntime", "openvino"],
                           "raise ImportError")
    for name, text in (absent | others).items():
        (folder / f"{name}.py").write_text(text)
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
    assert all(row[key] > 0 for key in ROW - {
        "who", "config", "train_spread", "infer_spread", "kernels",
        "output_difference", "loss_difference"})
    assert row["loss_difference"] == row["output_difference"] == 0 and row["kernels"]
    assert outcome.err == "" and report["machine"] in outcome.out
    assert f"{row['train_ms_per_image']:.3f}" in outcome.out


def test_who_is_not_installed_is_named_and_minifer_is_timed(tmp_path):
    outcome, report = bench(tmp_path, "--against", "torch", "onnxruntime", "openvino")
    assert "Traceback" not in outcome.err and outcome.err.count("\n") == 3
    for packages in ("torch", "onnx onnxruntime", "onnx openvino"):
        assert f"'pip install {packages}'" in outcome.err
    assert names(report) == [("minifer", "compiled"), ("minifer", "eager")]
    assert report["ratios"] == [{"batch": 4}]
    compiled, eager = report["rows"]
    assert eager["loss_difference"] < 1e-4 and eager["output_difference"] < 1e-4


def test_a_contender_that_fails_is_left_out_and_named(tmp_path):
    """A torch that can be imported and has nothing in it."""
    outcome, report = bench(tmp_path, "--against", "torch", "--quick", torch="")
    assert names(report) == [("minifer", "compiled")]
    plain, kept, low = sorted(outcome.err.splitlines(), reverse=True,
                              key=lambda line: "channels_last" in line)
    assert plain.startswith("torch channels_last, batch 4: left out, AttributeError")
    assert kept.startswith("torch channels_last kept, batch 4: left out")
    assert low.startswith("torch bfloat16")  # or the processor lacks it


def test_who_predicts_something_else_is_not_timed(tmp_path, module):
    """A library that gives every class 1/7, behind an onnx that writes nothing."""
    onnx = ("class Anything:\n    def __getattr__(self, name): return self\n"
            "    def __call__(self, *words, **options): return self\n"
            "TensorProto = helper = numpy_helper = Anything()\n")
    outcome, report = bench(tmp_path, "--against", "onnxruntime", "--quick", "--only",
                            "infer", onnx=onnx, onnxruntime=HOLLOW)
    assert names(report) == [("minifer", "compiled")]
    assert "onnxruntime float32, batch 4: left out, its outputs are 1.0e+00 from" in (
        outcome.err)
    assert "train_ms_per_image" not in report["rows"][0]


def test_several_batches_have_rows_of_their_own(tmp_path):
    _, report = bench(tmp_path, "--batch", 1, 3, "--quick")
    assert [row["batch"] for row in report["rows"]] == [1, 3]
    assert report["ratios"] == [{"batch": 1}, {"batch": 3}]


@pytest.mark.parametrize("minutes, wanted, made", [
    (None, 9, 9), (2, 3, 3), (2, 99, 11), (.01, 99, 1)])
def test_rounds_are_made_while_there_is_time(contest, monkeypatch, minutes, wanted,
                                             made):
    """Of 10 s each, and 2 · 20 steps of 0.25 s to follow: 11 of them in 2 minutes."""
    now = [100.0]
    monkeypatch.setattr(contest.time, "monotonic", lambda: now[0])
    args = argparse.Namespace(rounds=wanted, only=["train"], steps=1)
    all = contest.Contest(args, [("minifer", "compiled")], [4], "",
                          contest.Clock(minutes))
    all.results["minifer", "compiled", 4]["train"] = [.25]
    monkeypatch.setattr(all, "_round", lambda: now.append(now.pop() + 10))
    all._measure()
    assert all.rounds == made and all.clock.left() == (
        None if minutes is None else max(0, 60 * minutes - 10 * made))


def test_nobody_left_is_an_error(contest, tmp_path):
    args = argparse.Namespace(net="tiny", threads=1, device="cpu", only=["infer"])
    all = contest.Contest(args, [("minifer", "fast")], [1], str(tmp_path / "w.npz"),
                          contest.Clock(None))
    with pytest.raises(BackendUnavailable, match="expected a contender"):
        all.run()


def test_who_is_silent_too_long_is_ended(contest, tmp_path):
    args = argparse.Namespace(net="tiny", threads=1, device="cpu", only=["infer"])
    process = contest.Process(args, ("minifer", "compiled"), 1, str(tmp_path / "w.npz"))
    assert process.ask("start", 0.01) == {"error": "--minutes were over"}
    process.close()


@pytest.mark.parametrize("flags, told, missing", [
    ({"avx2"}, "", "this processor has no bfloat16"), ({"avx2", "amx_bf16"}, "", ""),
    ({"avx512_bf16"}, "AVX2", "ONEDNN_MAX_CPU_ISA=AVX2 has no bfloat16"),
    ({"avx512_bf16"}, "all", ""), (set(), "", "")])
def test_bfloat16_needs_a_processor_that_has_it(contest, monkeypatch, flags, told,
                                                missing):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", told)
    assert contest.lacks("bfloat16", flags).startswith(missing)
    assert bool(contest.lacks("bfloat16", flags)) == bool(missing)
    assert contest.lacks("channels_last", flags) == ""


def test_a_target_that_cannot_be_written_is_told_before_the_work(module, tmp_path):
    (tmp_path / "file").write_text("x")
    outcome = runs.command("bench/bench", "--out", tmp_path / "file" / "bench.json")
    assert outcome.code == 2 and outcome.out == "" and "Traceback" not in outcome.err


def result(train, infer, peak_mb, losses=None, output=0.0):
    """What a contender measured, in seconds for batches of 10."""
    found = {"train": train, "infer": infer, "peak_mb": peak_mb, "first_step_s": 1.0,
             "kernels": "ours", "output_difference": output}
    return found | ({"losses": losses} if losses else {})


def test_ratios_are_of_the_best_float32_of_each(report_of):
    args = argparse.Namespace(net="ck96", device="cpu", threads=2, steps=1)
    report = report_of.summarise(args, {
        ("minifer", "compiled", 10): result([.01, .03, .02], [.005] * 3, 300,
                                            [2.0, 1.0]),
        ("minifer", "eager", 10): result([.2] * 3, [.1] * 3, 500, [2.0, 1.0]),
        ("torch", "eager", 10): result([.09] * 3, [.03] * 3, 800, [2.0, 1.0]),
        ("torch", "channels_last", 10): result([.05] * 3, [.02] * 3, 600, [2.0, 1.001]),
        ("torch", "channels_last kept", 10): result([.046] * 3, [.015] * 3, 700),
        ("torch", "bfloat16", 10): result([.04] * 3, [.01] * 3, 400, [2.0, 1.1]),
        ("openvino", "float32", 10): result([], [.0025] * 3, 400, output=1e-6),
        ("minifer", "compiled", 1): result([.1], [.2], 300, [1.0, 1.0])}, 3)
    compiled = report["rows"][0]
    assert compiled["train_ms_per_image"] == 2 and compiled["train_spread"] == [1, 3]
    assert report["ratios"] == [{"batch": 1}, {
        "batch": 10, "train_ratio": 2.5, "infer_ratio": 4, "memory_ratio": .5,
        "train_ratio_kept": 2.3, "infer_ratio_kept": 3,
        "train_ratio_bfloat16": 2, "infer_ratio_bfloat16": 2,
        "infer_ratio_openvino": .5}]
    assert [row.get("loss_difference") for row in report["rows"]] == [
        0, 0, 0, .001, None, .1, None, 0]
    text = report_of.table(report)
    assert "batch 10: train_ratio 2.5" in text and "batch 1:" not in text
    assert "kernels of torch eager: ours" in text


@pytest.mark.parametrize("words", [
    ["--net", "resnet"], ["--batch", 0], ["--batch", 1, 0], ["--minutes", 0],
    ["--minutes", "nan"], ["--minutes", "inf"], ["--device", "emu", "--batch", 1, 2],
    ["--only", "losses"], ["--out", ""], ["--rounds", -1], ["--steps", "x"],
    ["--threads", 0], ["--against", "jax"], ["--device", "tpu"], ["extra"]])
def test_bad_options_end_with_2(module, words):
    outcome = runs.command("bench/bench", *words)
    assert outcome.code == 2 and outcome.out == ""
    assert "error:" in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize("net", ["ck96", "fer48", "r1", "six", "six-bn", "mlp",
                                 "resnet18-48", "tiny"])
def test_every_network_can_be_built(module, net):
    """Each takes a step and predicts, on one picture."""
    args = argparse.Namespace(net=net, batch=1, threads=1)
    contender = module.Minifer(args, "compiled", None)
    contender.build(dropout=True)
    assert contender.step() > 0
    assert contender.predict().shape == (1, 7)


@pytest.mark.parametrize("net", ["tiny", "fer48", "r1", "resnet18-48"])
@pytest.mark.parametrize("side", ["OnnxRuntime", "OpenVino"])
def test_the_onnx_model_is_the_same_network(module, tmp_path, net, side):
    for package in ("onnx", side.lower()):
        pytest.importorskip(package)
    args = argparse.Namespace(net=net, batch=2, threads=1)
    weights = str(tmp_path / "weights.npz")
    found = []
    for kind, config in ((module.Minifer, "eager"), (getattr(module, side), "float32")):
        contender = kind(args, config, weights)
        contender.build()
        found.append(np.log(contender.predict()))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
