"""The bench on a GPU: floors as counted by hand, ratios, and a rehearsal of it all."""

import argparse
import json

import numpy as np
import pytest

from helpers import runs
from helpers.devices import DEVICES

EMULATED = pytest.mark.parametrize(
    "device", [one for one in DEVICES if one.values == ("emu",)])


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))


@pytest.fixture
def floors(examples):
    return runs.example("bench/floors")


@pytest.fixture
def gpu(examples):
    return runs.example("bench/gpu")


@pytest.fixture
def report_of(examples):
    return runs.example("bench/gpu_report")


CK96 = (1, 96, [("conv", 32, 5, 0), ("pool",), ("conv", 32, 5, 0), ("pool",),
                ("drop", .5), ("dense", 256), ("drop", .5), ("dense", 7)])


# --- floors -------------------------------------------------------------------

def test_work_of_the_headline_network_is_as_counted_by_hand(floors):
    """MFLOP an image, MB an image, MB of weights."""
    found = {work.name: work for work in floors.works(CK96)}
    assert list(found) == [
        "conv1 forward", "conv1 weights", "conv2 forward", "conv2 input gradient",
        "conv2 weights", "dense1 forward", "dense1 input gradient", "dense1 weights",
        "dense2 forward", "dense2 input gradient", "dense2 weights"]
    conv1, conv2, dense = (found[f"{name} forward"] for name in (
        "conv1", "conv2", "dense1"))
    assert conv1.flop == 2 * 32 * 25 * 92 * 92
    assert conv1.moved == 4 * 96 * 96 + 5 * 32 * 46 * 46
    assert conv2.flop == 2 * 32 * 32 * 25 * 42 * 42
    assert conv2.moved == 4 * 32 * 46 * 46 + 5 * 32 * 21 * 21
    assert dense.flop == 2 * 14112 * 256 and dense.moved == 4 * (14112 + 256)
    assert dense.fixed == 4 * 14112 * 256
    assert found["dense1 weights"].fixed == 4 * dense.fixed
    assert sum(work.flop for work in found.values()) == pytest.approx(319.7e6, rel=1e-3)


@pytest.mark.parametrize("batch, tf32, exact, plain", [
    (64, 77, 166, 348), (128, 134, 315, 682), (512, 477, 1228, 2728),
    (2048, 1859, 4911, 10913)])
def test_floors_of_an_h200_s_data_sheet(floors, batch, tf32, exact, plain):
    """Microseconds, worked out by hand: 400 and 60 TFLOP/s, 4.3 TB/s."""
    rates = floors.Rates(copy=4.3e12, fp32=60e12, tf32=400e12)
    found = [1e6 * floors.floor(CK96, batch, rates, one) for one in ("tf32", "fp32")]
    no_cores = rates._replace(tf32=60e12)
    found.append(1e6 * floors.floor(CK96, batch, no_cores, "fp32"))
    assert found == pytest.approx([tf32, exact, plain], rel=0.006)


def test_inference_is_the_way_forward_without_codes(floors):
    names = [work.name for work in floors.works(CK96, training=False)]
    assert names == ["conv1 forward", "conv2 forward", "dense1 forward",
                     "dense2 forward"]
    first = floors.works(CK96, training=False)[0]
    assert first.moved == 4 * (96 * 96 + 32 * 46 * 46)


def test_padding_and_maps_without_pooling_are_counted(floors):
    net = (2, 10, [("conv", 8, 3, 1), ("conv", 4, 5, 0), ("flatten",)])
    first, second = floors.works(net, training=False)
    assert first.flop == 2 * 8 * 2 * 9 * 100 and first.moved == 4 * (200 + 800)
    assert second.flop == 2 * 4 * 8 * 25 * 36 and second.moved == 4 * (800 + 144)


def test_what_is_not_counted_has_no_floor(floors):
    net = (1, 8, [("conv", 8, 3, 1), ("norm",), ("dense", 7)])
    rates = floors.Rates(1, 1, 1)
    assert floors.works(net) is None
    assert floors.floor(net, 4, rates, "tf32") is None


# --- the report -----------------------------------------------------------------

def result(train, infer=.001, gradient=1e-7, losses=(2., 1.), launches=9):
    """What a contender answers."""
    return {"train": [train] * 3, "infer": [infer] * 3, "peak_mb": 100.0,
            "first_step_s": 1.0, "launches": launches, "captured": launches is not None,
            "gradient_error": gradient, "losses": list(losses)}


RATES = {"fp32": {"copy": 4e12, "flops": 5e13}, "tf32": {"copy": 4.3e12, "flops": 4e14}}


def summarised(report_of, results, net="ck96"):
    args = argparse.Namespace(net=net, batch=64, device="emu", rounds=3, steps=1,
                              precision=["fp32", "tf32"])
    return report_of.summarise(args, results, [2., 1.], RATES)


def test_ratios_are_of_one_precision(report_of):
    report = summarised(report_of, {
        ("minifer", "graph fp32"): result(.001),
        ("minifer", "eager fp32"): result(.004),
        ("torch", "channels_last fp32"): result(.003, .002),
        ("torch", "compile fp32"): result(.002, .003, launches=None),
        ("minifer", "graph tf32"): result(.0005, gradient=1e-3, losses=(2., 1.001)),
        ("torch", "eager tf32"): result(.002)})
    assert report["ratios"]["fp32"] == {
        "train": {"minifer": "graph", "fastest": "compile", "to_fastest": 2,
                  "to_channels_last": 3},
        "infer": {"minifer": "graph", "fastest": "channels_last", "to_fastest": 2,
                  "to_channels_last": 2}}
    assert report["ratios"]["tf32"]["train"] == {
        "minifer": "graph", "fastest": "eager", "to_fastest": 4}
    row = report["rows"][4]
    assert row | {"who": "minifer", "config": "graph", "precision": "tf32",
                  "gradient_error": 1e-3, "train_ms": .5, "launches": 9,
                  "train_images_per_second": 128_000} == row
    assert row["loss_difference"] == pytest.approx(1e-3)
    assert row["train_floor_ms"] == pytest.approx(.077, rel=.01)
    assert row["train_share_of_floor"] == pytest.approx(.154, rel=.01)
    text = report_of.table(report)
    assert "15 %" in text and "2.00 to its fastest (compile)" in text
    assert "3.00 to channels_last" in text and "copies 4300 GB/s" in text
    json.dumps(report)


def test_alone_there_are_no_ratios_and_some_networks_have_no_floor(report_of):
    report = summarised(report_of, {
        ("minifer", "graph fp32"): result(.001, launches=None)}, net="six-bn")
    assert report["ratios"] == {"fp32": {}, "tf32": {}}
    row, = report["rows"]
    assert row["train_floor_ms"] is row["train_share_of_floor"] is None
    assert "minifer graph fp32" in report_of.table(report)


# --- contenders -------------------------------------------------------------------

def contender_of(gpu, tmp_path, name, net="tiny"):
    args = argparse.Namespace(net=net, batch=2, threads=1, device="emu")
    kind = gpu.Exact if name == "float64" else gpu.MiniferOnGpu
    return kind(args, name, str(tmp_path / "weights.npz"))


@EMULATED
def test_gradients_and_losses_are_held_against_float64(gpu, tmp_path, device):
    exact = contender_of(gpu, tmp_path, "float64").losses()
    assert exact["gradient_error"] == 0  # of itself
    with np.load(tmp_path / "float64.npz") as file:
        gradients = dict(file)
    assert all(one.dtype == np.float64 for one in gradients.values())
    found = contender_of(gpu, tmp_path, "compiled fp32").losses()
    assert 0 < found["gradient_error"] < 1e-5
    assert found["losses"] == pytest.approx(exact["losses"], rel=1e-5)
    gradients["arr_0"] *= 1.01  # the truth is moved: the contender is off by a percent
    np.savez(tmp_path / "float64.npz", **gradients)
    found = contender_of(gpu, tmp_path, "compiled fp32").losses()
    assert found["gradient_error"] == pytest.approx(.01, rel=.02)


def test_the_gradient_is_what_a_huge_step_adds(gpu, tmp_path):
    """Nesterov's first step is -1.9 times rate and gradient, here of a dense layer."""
    exact = contender_of(gpu, tmp_path, "float64")
    exact.net = [("dense", 7)]
    exact.losses()
    with np.load(tmp_path / "weights.npz") as weights, np.load(
            tmp_path / "float64.npz") as moved:
        W, b = (weights[name].astype(float) for name in ("arr_0", "arr_1"))
        x = exact.x.reshape(2, -1).astype(float)
        p = np.exp(x @ W + b)
        p /= p.sum(1, keepdims=True)
        dW = x.T @ (p - np.eye(7)[exact.y]) / 2
        assert moved["arr_0"] / (-1.9 * gpu.GRADIENT_RATE) == pytest.approx(
            dW, rel=1e-6, abs=1e-9)


def test_batches_take_turns(gpu, tmp_path):
    contender = contender_of(gpu, tmp_path, "compiled fp32")
    assert len(contender.hosts) == gpu.BATCHES
    contender.batches = [contender.upload(*pair) for pair in contender.hosts]
    seen = [contender.next_batch()[0].get().sum() for _ in range(2 * gpu.BATCHES)]
    assert seen[:gpu.BATCHES] == seen[gpu.BATCHES:]
    assert len(set(seen)) == gpu.BATCHES


def test_a_round_lasts_at_least_as_long_as_it_should(gpu, tmp_path, monkeypatch):
    contender = contender_of(gpu, tmp_path, "compiled fp32")
    contender.size = contender.size._replace(round=1.0)
    monkeypatch.setattr(contender, "build", lambda: None)
    counts = []
    monkeypatch.setattr(contender, "seconds",
                        lambda function, steps: counts.append(steps) or .3)
    contender.start()
    contender.train(1), contender.infer(7)
    assert counts[-2:] == [4, 7]


@pytest.mark.parametrize("config", ["eager", "channels_last"])
@pytest.mark.parametrize("net", ["ck96", "six-bn"])
def test_pytorch_does_the_same_where_it_is_installed(gpu, tmp_path, monkeypatch, net,
                                                     config):
    """On the CPU: what needs a GPU, graphs and clocks, can only be read."""
    pytest.importorskip("torch")
    monkeypatch.setitem(gpu.SIZES, "cpu", gpu.SIZES["emu"])
    args = argparse.Namespace(net=net, batch=2, threads=1, device="cpu")
    weights = str(tmp_path / "weights.npz")
    exact = gpu.Exact(args, "float64", weights).losses()
    contender = gpu.TorchOnGpu(args, f"{config} fp32", weights)
    assert contender.start()["first_step_s"] > 0
    assert len(contender.train(1)["seconds"]) == len(contender.infer(1)["seconds"]) == 1
    assert contender.facts() == {"launches": None, "captured": False}
    found = contender.losses()
    assert found["losses"][0] == pytest.approx(exact["losses"][0], rel=1e-4)
    # PyTorch's batch normalisation loses digits on the CPU.
    assert found["gradient_error"] < (1e-5 if net == "ck96" else .05)


# --- the whole ----------------------------------------------------------------------

@EMULATED
def test_rehearsal(tmp_path, device):
    path = tmp_path / "bench.json"
    outcome = runs.process(
        runs.EXAMPLES / "bench" / "bench.py", "--device", "emu", "--net", "tiny",
        "--batch", 2, "--rounds", 1, "--steps", 1, "--threads", 1, "--quick",
        "--precision", "tf32", "--out", path)
    assert outcome.code == 0, outcome.err
    report = json.loads(path.read_text("utf-8"))
    row, = report["rows"]
    assert (row["who"], row["config"], row["precision"]) == ("minifer", "graph", "tf32")
    assert row["gradient_error"] < 1e-2 and row["loss_difference"] < 1e-3
    assert row["train_floor_ms"] > 0 and list(report["ratios"]) == ["tf32"]
    assert "rehearsal" in outcome.out and "minifer graph tf32" in outcome.out
