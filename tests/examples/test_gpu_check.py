"""The check of a machine with a GPU: what it can show where there is none."""

import json
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import runs, together
from helpers.devices import DEVICES
from minifer.errors import BackendUnavailable
from minifer.files import write_json

SCRIPT = runs.EXAMPLES / "gpu" / "gpu_check.py"
EMULATED = pytest.mark.parametrize(
    "device", [one for one in DEVICES if one.values == ("emu",)])


@pytest.fixture
def module(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "gpu"))
    return runs.example("gpu/gpu_check")


@pytest.fixture
def small(module):
    """So little that the CPU does it in no time."""
    return module.Size(steps=2, batch=2, side=16, emu_batch=1, emu_side=16)


def read(path):
    return json.loads(path.read_text("utf-8"))


#: Of no device, but asked by ``make cupy-check`` as well.
FOR_A_GPU = pytest.mark.parametrize("device", ["cuda"])


# --- the whole ----------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@FOR_A_GPU
@pytest.mark.parametrize("cuda", ["12", "13"])
def test_the_environment_of_a_gpu_has_the_compiler_of_its_cupy_alone(cuda, device):
    """CuPy for CUDA 12 would load the NVRTC of CUDA 13 that other tests install."""
    done = subprocess.run(["make", "-n", "-B", "gpu-check", f"CUDA={cuda}"],
                          cwd=runs.EXAMPLES.parent, capture_output=True, text=True,
                          check=True).stdout
    assert f"[test,cuda{cuda}x]" in done and "dev]" not in done
    assert ("nvidia-cuda-nvrtc==13.0.*" in done) == (cuda == "13")
    assert ".venv-gpu/bin/python examples/gpu/gpu_check.py" in done


@FOR_A_GPU
@pytest.mark.parametrize("built, compiler, fits", [
    ("12090", "(12, 9)", True), ("13000", "(13, 0)", True), ("12090", "(13, 0)", False),
    ("13000", "", False), ("", "(13, 0)", False)])
def test_a_compiler_of_another_cuda_is_seen(module, built, compiler, fits, device):
    found = {"CUDA Build Version": built, "NVRTC Version": compiler}
    assert module.one_cuda(found) is fits


@FOR_A_GPU
def test_the_time_limits_fit_a_machine_that_has_compiled_nothing(module, device):
    assert module.PARTS["conformance"].seconds >= 147 + 60
    assert module.PARTS["tests"].seconds >= 93 + 30


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('no such thing')")
    outcome = runs.process(SCRIPT, "--out", tmp_path / "report.json",
                           PYTHONPATH=str(tmp_path))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1 and "expected CuPy, got none" in outcome.err
    assert not (tmp_path / "report.json").exists()


def test_wrong_use_is_told(module):
    outcome = runs.command("gpu/gpu_check", "--parts", "training", "trainig")
    assert outcome.code == 2 and "trainig" in outcome.err


@pytest.mark.parametrize("bad", [None, "losses"])
def test_a_part_that_fails_leaves_the_others_alone(module, tmp_path, monkeypatch, bad,
                                                   capsys):
    path, done = tmp_path / "report.json", []

    def part(name, device, seconds, *options):
        if done:  # what was found so far is on the disk, and has not passed as a whole
            assert list(read(path)["parts"]) == done and not read(path)["passed"]
        done.append(name)
        return {"passed": name != bad, "seconds": 1.5, "number": 7, "rows": [1]}

    monkeypatch.setattr(module, "in_its_own_process", part)
    words = ["--device", "emu", "--out", str(path)]
    if bad:
        with pytest.raises(SystemExit) as end:
            module.main(words)
        assert end.value.code == 1
    else:
        module.main(words)
    report = read(path)
    assert list(report["parts"]) == done == list(module.PARTS)
    assert report["passed"] is (bad is None) and report["device"] == "emu"
    out = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in out[:-1]] == done
    assert [row.split()[0] for row in out if "FAILED" in row] == (
        [bad, str(path)] if bad else [])
    assert "number 7" in out[0] and "rows" not in out[0]


def test_all_parts_together_take_less_than_ten_minutes(module):
    """But for the benchmark, which has a limit of its own."""
    assert sum(part.seconds or 0 for part in module.PARTS.values()) <= 10 * 60
    assert [name for name, part in module.PARTS.items() if part.seconds is None] == [
        "benchmark"]


# --- a part is a process of its own ---------------------------------------------

PLANTED = """
import json, os, subprocess, sys, time
name, out = sys.argv[2], sys.argv[6]
print("the last words")
if name == "dies":
    os.kill(os.getpid(), 9)
if name == "hangs":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    path = os.path.join(os.path.dirname(__file__), "child")
    open(path + "~", "w").write(str(child.pid))
    os.rename(path + "~", path)
    time.sleep(60)
json.dump({"passed": name == "good", "device": sys.argv[4]}, open(out, "w"))
"""


@pytest.fixture
def planted(module, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(PLANTED)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "planted.py"))
    return module


def test_what_a_part_found_comes_back_with_its_seconds(planted):
    found = planted.in_its_own_process("good", "emu", 30)
    assert found.pop("seconds") >= 0
    assert found == {"passed": True, "device": "emu"}


def test_a_part_that_did_not_pass_shows_what_it_printed(planted):
    found = planted.in_its_own_process("bad", "emu", 30)
    assert not found["passed"] and found["output"] == ["the last words"]


def test_a_part_that_dies_has_failed(planted):
    found = planted.in_its_own_process("dies", "emu", 30)
    assert not found["passed"] and "exit code -9" in found["error"]


def test_a_part_that_hangs_is_ended_with_its_children(planted, tmp_path, monkeypatch):
    path, real_wait = tmp_path / "child", subprocess.Popen.wait

    def wait(process, timeout=None):  # time is up when the child has started
        if timeout is None:
            return real_wait(process)
        while not path.exists():
            time.sleep(0.01)
        raise subprocess.TimeoutExpired("planted", timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    found = planted.in_its_own_process("hangs", "emu", 30)
    assert not found["passed"]
    assert found["error"].startswith("took longer than 30 s")
    assert ends(int(path.read_text()))


def ends(pid):
    """Whether a process is gone, or a zombie, within ten seconds."""
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().split()[2] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


# --- the parts ------------------------------------------------------------------

def test_machine(module):
    found = module.machine("emu", None)
    assert found["passed"] and found["packages"]["numpy"] == np.__version__


def test_tests_are_counted(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)  # processes take a while
    path = tmp_path / "test_planted.py"
    path.write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('device', ['emu', 'other'])\n"
        "def test_good(device): pass\n"
        "@pytest.mark.parametrize('device', ['emu', 'other'])\n"
        "def test_left_out(device): pytest.skip('so')\n"
        "@pytest.mark.parametrize('device', ['emu'])\n"
        "def test_bad(device): assert False\n"
        "def test_of_no_device_of_emu(): assert False\n")
    shutil.copy(runs.EXAMPLES.parent / "tests" / "conftest.py", tmp_path)
    size = module.Size(tests=str(path))
    assert module.tests("emu", size) == {
        "passed": False, "tests_passed": 1, "failed": 1, "skipped": 1}
    assert not module.tests("elsewhere", size)["passed"]  # none was run


def test_the_same_steps_are_the_same_bits(module, small):
    found = module.determinism("cpu", small)
    assert found["passed"] and found["parameters_equal"] == "8 of 8"


def test_one_other_bit_is_seen(module, small, monkeypatch):
    values = iter([np.float32(1), np.nextafter(np.float32(1), np.float32(2))])
    monkeypatch.setattr(module, "train_steps",
                        lambda *size: ([2.0], [np.ones(3), next(values)], None))
    found = module.determinism("cpu", small)
    assert not found["passed"] and found["losses_equal"]
    assert found["parameters_equal"] == "1 of 2"


def test_losses_that_differ_too_much_are_seen(module, small, monkeypatch):
    def steps(device, floatX, steps, batch, side):
        off = {"float32": 9e-5, "float64": 2e-10}[floatX] * (device == "far")
        return [2.0, 1 + off], None, None

    monkeypatch.setattr(module, "train_steps", steps)
    found = module.losses("far", small)
    assert [(row["device"], row["type"], row["passed"]) for row in found["runs"]] == [
        ("emu", "float32", True), ("emu", "float64", True),
        ("far", "float32", True), ("far", "float64", False)]
    assert not found["passed"] and found["far_float64"] == "2.0e-10"
    assert [row["batch"] for row in found["runs"]] == [1, 1, 2, 2]


def test_steps_do_not_depend_on_what_came_before(module):
    first, *_ = module.train_steps("cpu", "float64", 2, 2, 16)
    np.random.default_rng(1).normal(size=9)
    again, params, _ = module.train_steps("cpu", "float64", 2, 2, 16)
    assert first == again and params[0].dtype == np.float64


@pytest.mark.parametrize("captured, other_bit", [(True, False), (False, False),
                                                 (True, True)])
def test_a_step_must_be_captured_and_give_the_same_bits(module, small, monkeypatch,
                                                        captured, other_bit):
    def steps(device, floatX, steps, batch, side, precision, graph):
        off = 1e-7 * (other_bit and graph and precision == "tf32")
        train = SimpleNamespace(captured=captured and graph, launches=9)
        return [2.0, 1 + off], [np.ones(3)], train

    monkeypatch.setattr(module, "train_steps", steps)
    found = module.captured("emu", small)
    assert found["passed"] is (captured and not other_bit)
    assert found["tf32_launches"] == 9 and found["fp32"]["losses_equal"]
    assert found["tf32"]["losses_equal"] is not other_bit


@pytest.mark.parametrize("count, said", [(1, "it takes two GPUs, got 1"),
                                         (2, "expected NCCL, got none")])
def test_two_gpus_and_nccl_are_needed(module, monkeypatch, count, said):
    def missing():
        raise BackendUnavailable("expected NCCL, got none")

    gpus = sys.modules["gpu_ranks"]
    runtime = SimpleNamespace(getDeviceCount=lambda: count)
    monkeypatch.setattr(gpus, "cupy_module", lambda: SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime)))
    monkeypatch.setattr(gpus, "nccl_module", missing)
    found = module.ranks("cuda", None)
    assert found == {"passed": True, "note": f"left out: {said}"}


def test_ranks_that_differ_are_seen(module, small, monkeypatch, tmp_path):
    gpus = sys.modules["gpu_ranks"]
    alone = {"losses": [2.0, 1.0], "images_per_second": 10.0}
    shared = {"losses": [2.0, 1.0], "alike": True, "captured": False,
              "images_per_second": 20.0}

    def start(words, check):
        write_json(words[-1], shared)

    monkeypatch.setattr(gpus, "why_not", lambda device: "")
    monkeypatch.setattr(gpus, "train", lambda *words: alone)
    monkeypatch.setattr(gpus.subprocess, "run", start)
    assert module.ranks("emu", small)["passed"]
    assert module.ranks("emu", small)["times"] == 2.0
    assert not module.ranks("cuda", small)["passed"]  # there, steps are captured
    shared["losses"] = [2.0, 1.001]
    assert not module.ranks("emu", small)["passed"]
    shared |= {"losses": [2.0, 1.0], "alike": False}
    assert not module.ranks("emu", small)["passed"]


BENCH = """
import json, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if words["--batch"] == "512": time.sleep(600)
if words["--batch"] == "3": sys.exit(1)
print("the table of", words["--batch"])
json.dump({"rows": [{"who": "minifer"}, {"who": "torch"}], "ratios": {
    "fp32": {"train": {"to_fastest": 2.345}}, "tf32": {}}}, open(words["--out"], "w"))
"""


@pytest.mark.parametrize("batches, passed, note", [
    ((64,), True, None), ((64, 3, 128), False, "batch 3: ended with exit code 1"),
    ((64, 512, 128), True, "batch 512: there was no time left")])
def test_the_benchmark_goes_on_while_there_is_time(module, tmp_path, monkeypatch,
                                                   batches, passed, note):
    (tmp_path / "bench.py").write_text(BENCH)
    monkeypatch.setattr(module, "BENCH", str(tmp_path / "bench.py"))
    size = module.Size(batches=batches, limit=13)
    found = module.benchmark("cuda", size)
    assert found["passed"] is passed and found.get("note") == note
    assert found["fp32_64"] == 2.35 and "tf32_64" not in found
    assert found["reports"]["64"]["table"] == "the table of 64\n"
    done = {"64", "128"} & {str(one) for one in batches}
    assert set(found["reports"]) == (done if 512 not in batches else {"64"})


# --- the rehearsal ----------------------------------------------------------------

#: What each part has found, if it did anything.
FOUND = {"tests": "tests_passed", "primitives": "passed", "conformance": "launches",
         "determinism": "steps", "captured": "tf32_launches", "losses": "runs",
         "training": "history", "ranks": "shared", "benchmark": "reports"}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The report of all parts on the emulator, which took one call."""
    path = tmp_path_factory.mktemp("rehearsal") / "report.json"
    outcome = runs.process(SCRIPT, "--device", "emu", "--parts", *FOUND, "--out", path,
                           timeout=60 * len(FOUND))
    assert outcome.code == 0, outcome.out + outcome.err
    return read(path)


@EMULATED
@pytest.mark.parametrize("part", FOUND)
def test_rehearsal(part, device, rehearsed):
    found = rehearsed["parts"][part]
    assert rehearsed["passed"] and rehearsed["device"] == device
    assert found["passed"] and found["seconds"] > 0
    assert found["note" if part == "ranks" and together.why_not() else FOUND[part]]
