"""Whether a GPU does what the emulator does: that a difference would be seen."""

import numpy as np
import pytest

from helpers import runs
from helpers.devices import DEVICES
from minifer.cuda import loader
from minifer.device import arrays
from minifer.device.graphs import capture

EMULATED = pytest.mark.parametrize(
    "device", [one for one in DEVICES if one.values == ("emu",)])


@pytest.fixture
def conformance():
    """The part of gpu_check.py that holds a GPU against the emulator."""
    return runs.example("gpu/gpu_conformance")


# --- what CUDA C++ has no words for -----------------------------------------------

@EMULATED
def test_primitives_are_those_of_the_emulator(conformance, device):
    found = conformance.primitives(device, None)
    assert found.pop("passed") and set(found.values()) == {0}


@EMULATED
def test_primitives_are_what_is_said_of_them(conformance, device):
    """Of whole numbers, and against NumPy: the emulator is not its own witness."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-8, 9, shape).astype(np.float32)
            for shape in ((5, 16, 8), (5, 8, 8)))
    x = rng.standard_normal((5, 256), dtype=np.float32)
    d, y = (arrays.to_device(np.zeros(shape, np.float32), device)
            for shape in ((5, 16, 8), (5, 256)))
    there = [arrays.to_device(one, device) for one in (a, b, x)]
    path = conformance.PRIMITIVES
    loader.kernel(path, "products", d)(*there[:2], d, 5, 0, grid=5, block=32)
    loader.kernel(path, "copies", y)(there[2], y, 5, grid=1, block=64)
    assert np.array_equal(d.get(), a @ b) and np.array_equal(y.get(), x[:, ::-1])


@EMULATED
@pytest.mark.parametrize("name, wrong, passed", [
    ("whole_numbers", 1e-7, False), ("rounded", 9e-6, True), ("cut", 2e-5, False),
    ("rounding", 1e-7, False), ("copies", 1e-7, False)])
def test_a_primitive_that_differs_is_seen(conformance, monkeypatch, name, wrong, passed,
                                          device):
    order = iter(["whole_numbers", "rounded", "cut", "rounding", "copies"])
    monkeypatch.setattr(conformance, "difference",
                        lambda *both: wrong * (next(order) == name))
    found = conformance.primitives(device, None)
    assert found["passed"] is passed and found[name] == wrong


# --- launches done again ----------------------------------------------------------

def test_difference_is_relative_to_the_largest_number(conformance):
    assert conformance.difference(np.array([0.5, -4.0]), np.array([0.5, -4.0])) == 0
    assert conformance.difference(np.array([1.0, -4.0]), np.array([0.5, -4.0])) == 1 / 8
    assert conformance.difference(np.array([1e-9]), np.array([0.0])) == 1
    nan = np.array([np.nan, 1])
    assert conformance.difference(nan, nan.copy()) == 0
    assert conformance.difference(np.array([np.nan, 1]), np.array([1.0, 1])) == 1
    assert conformance.difference(np.array([1.0, 1]), np.array([np.inf, 1])) == 1
    assert conformance.difference(np.array([np.inf]), np.array([-np.inf])) == 1
    assert conformance.difference(np.array([]), np.array([])) == 0


def test_whole_numbers_must_be_equal(conformance):
    four = np.array([1, 2, 3, 4])
    assert conformance.difference(four, np.array([1, 2, 3, 5])) == 1 / 4
    assert conformance.difference(np.array([True]), np.array([True])) == 0


@pytest.mark.parametrize("error, passed", [(0, True), (1e-6, True), (1e-3, False)])
def test_a_launch_that_the_emulator_does_otherwise_is_seen(conformance, monkeypatch,
                                                           error, passed):
    """A kernel that doubles; the emulator, known by its empty ``like``, errs."""
    def kernel(file, name, like, **defines):
        def launch(x, n, threads):
            x[...] = x * 2 * (1 + error * (like.size == 0))
        return launch

    monkeypatch.setattr(loader, "kernel", kernel)
    shadow = conformance.Shadow("emu")
    shadow.pytest_collection_finish()
    x = arrays.to_device(np.ones(4, np.float32), "emu")
    for _ in range(shadow.launches + 2):
        loader.kernel("some.cu", "double", x)(x, 4, threads=4)
    assert np.array_equal(x.get(), np.full(4, 2.0 ** (shadow.launches + 2))), (
        "the test's own arrays changed once a launch")
    found = shadow.report(every_kernel=False)
    assert found["passed"] is passed and found["launches"] == shadow.launches
    assert found["float32"] == pytest.approx(error, rel=0.1)
    assert list(found["differences"]) == ["some.cu double float32"]


@EMULATED
def test_both_precisions_are_compared(conformance, device, monkeypatch):
    shadow = conformance.Shadow(device)
    monkeypatch.setattr(shadow, "original", lambda *which, **macros: lambda *a, **k: 0)
    x = arrays.to_device(np.ones(3, np.float32), device)
    for tf32 in (0, 1, 1):
        shadow.kernel("a.cu", "one", x, TF32=tf32)(x, threads=3)
    assert {key: len(seen) for key, seen in shadow.seen.items()} == {
        ("a.cu", "one", "float32"): 1, ("a.cu", "one", "tf32"): 2}
    shadow.seen["a.cu", "one", "tf32"].append(2e-4)
    assert not shadow.report(every_kernel=False)["passed"]


@EMULATED
def test_launches_that_are_captured_are_left_alone(conformance, device):
    shadow = conformance.Shadow(device)
    x = arrays.to_device(np.full(3, -1, np.float32), device)
    launch = shadow.kernel("activation.cu", "rectify_forward", x)
    graph = capture(device, lambda: launch(x, x, 3, threads=3))
    graph.launch()
    assert x.get().tolist() == [0, 0, 0]
    assert shadow.report(every_kernel=False)["launches"] == 0


def test_a_kernel_that_no_test_launches_is_named(conformance, tmp_path, monkeypatch):
    (tmp_path / "a.cu").write_text(
        'extern "C" __global__ void seen(real* x /*[n]*/, int n) {}\n'
        'extern "C" __global__ void unseen(real* x /*[n]*/, int n) {}\n')
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    shadow = conformance.Shadow("emu")
    shadow.seen = {("a.cu", "seen", "float64"): [0.0],
                   ("a.cu", "unseen", "float32"): []}
    found = shadow.report(every_kernel=True)
    assert not found["passed"] and found["never_launched"] == ["a.cu unseen"]
    assert shadow.report(every_kernel=False)["passed"]
    shadow.seen["a.cu", "unseen", "float32"].append(1e-7)
    assert shadow.report(every_kernel=True)["passed"]
    assert not conformance.Shadow("emu").report(every_kernel=False)["passed"]
