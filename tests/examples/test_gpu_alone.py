"""The check of a GPU on a machine that is alone: no network, ten minutes, one call."""

import json
import shutil
import subprocess

import pytest

from helpers import runs


@pytest.fixture
def module(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "gpu"))
    return runs.example("gpu/gpu_check")


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_carried_wheels_are_all_that_is_asked(tmp_path):
    """And what is carried is what will be asked for."""
    def said(target, *words):
        return subprocess.run(["make", "-n", "-B", target, "CUDA=13", *words],
                              cwd=runs.EXAMPLES.parent, capture_output=True, text=True,
                              check=True).stdout

    carried = said("gpu-check", f"WHEELS={tmp_path}", "ARGS=--minutes 3")
    assert f"--no-index --find-links {tmp_path} -e" in carried
    assert "gpu_check.py --minutes 3" in carried
    assert "--no-index" not in said("gpu-check", f"WHEELS={tmp_path / 'none'}")
    made = said("gpu-wheels", f"WHEELS={tmp_path}")
    assert f"pip wheel --disable-pip-version-check --wheel-dir {tmp_path}" in made
    for what in (".[test,cuda13x]", "nvidia-cuda-nvrtc==13.0.*"):
        assert what in made and what in carried
    assert "setuptools>=64" in made   # which builds minifer itself


def test_when_time_is_up_it_says_which_parts_are_left(module, tmp_path, monkeypatch,
                                                      capsys):
    """And the benchmark gets what the others leave."""
    path, clock, given = tmp_path / "report.json", [0.0], {}

    def part(name, device, seconds, *options):
        given[name] = seconds
        clock[0] += 100
        return {"passed": True, "seconds": 100.0}

    monkeypatch.setattr(module, "in_its_own_process", part)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    words = ["--device", "emu", "--out", str(path), "--minutes", "5", "--parts"]
    module.main([*words, "machine", "tests", "benchmark"])
    assert given == {"machine": 20, "tests": 130, "benchmark": 100}
    clock[0] = 0
    with pytest.raises(SystemExit):
        module.main([*words, "tests", "losses", "training", "ranks"])
    parts = json.loads(path.read_text("utf-8"))["parts"]
    assert parts["ranks"] == {"passed": False, "error": "no time was left",
                              "seconds": 0.0}
    assert [one["passed"] for one in parts.values()] == [True, True, True, False]
    assert "no time was left" in capsys.readouterr().out


def test_the_report_is_a_page_too(module, tmp_path, monkeypatch):
    gpu = {"memory.total": "80 GiB", "driver_version": "580"}
    found = {
        "machine": {"passed": True, "seconds": 1.2, "name": "NVIDIA H", "gpu": gpu,
                    "cupy": {"CuPy Version": "14"}, "python": "3.11", "cores": 8},
        "tests": {"passed": False, "seconds": 20.0, "failed": 3, "error": "a|b",
                  "output": ["E   so it is"]},
        "benchmark": {"passed": True, "seconds": 9.0, "reports": {
            "64": {"table": "a table\n"}, "128": {"table": "another"}}}}

    def part(name, device, seconds, *options):
        return found[name]

    monkeypatch.setattr(module, "in_its_own_process", part)
    with pytest.raises(SystemExit):
        module.main(["--device", "emu", "--out", str(tmp_path / "found.json"),
                     "--parts", "machine", "tests", "benchmark"])
    page = (tmp_path / "found.md").read_text("utf-8")
    assert "NVIDIA H, 80 GiB, driver 580, CuPy 14, Python 3.11, 8 cores, m" in page
    assert "| tests | **failed** | 20 | failed 3, error a\\|b |" in page
    assert "```\na table\n```\n\n```\nanother\n```" in page
    assert "The last that tests said:\n\n```\nE   so it is\n```" in page
