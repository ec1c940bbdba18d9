"""The doctor: it finds what is planted, and says how to mend it."""

import dataclasses
import importlib
import importlib.metadata
import json
import pathlib
import sys
import types

import numpy as np
import pytest

from helpers import runs
from minifer.commands import doctor
from minifer.cuda import nvrtc
from minifer.device import arrays
from minifer.errors import BackendUnavailable
from minifer.faces import cropping


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIFER_NUM_THREADS", raising=False)


def found(name):
    """The one check of this name."""
    check, = [check for check in doctor.examine() if check.name == name]
    return check


def test_this_machine_is_well():
    checks = doctor.examine()
    assert doctor.is_well(checks)
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.status in ("ok", "absent", "broken") and "\n" not in check.text
        assert bool(check.fix) == (check.status != "ok"), check
    names = {check.name for check in checks if check.needed}
    assert names >= {"Python", "numpy", "scipy", "opencv", "face cascade", "matplotlib",
                     "tqdm", "threadpoolctl", "threads", "device cpu"}
    blas = next(check for check in checks if check.name == "BLAS")
    assert "threads" in blas.text or blas.status == "absent"


def test_the_command_prints_lines_or_json():
    outcome = runs.minifer("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("\nAll that minifer needs is there.\n")
    assert f"ok      numpy          {np.__version__}: " in outcome.out
    told = json.loads(runs.minifer("doctor", "--json").out)
    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]] == [
        check.name for check in doctor.examine()]


def test_something_needed_that_is_missing_ends_with_1(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    outcome = runs.minifer("doctor")
    assert outcome.code == 1 and "needs is broken: see above." in outcome.out
    assert "broken  tqdm           not installed: progress bars\n" in outcome.out
    assert f"{'':<23}-> pip install 'tqdm" in outcome.out
    assert json.loads(runs.minifer("doctor", "--json").out)["ok"] is False


def test_something_absent_that_nothing_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    check = found("h5py")
    assert (check.status, check.needed) == ("absent", False)
    assert check.fix.startswith("pip install 'h5py")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert found("tkinter").status == "absent"


def test_a_package_that_is_too_old_or_cannot_be_imported(monkeypatch):
    monkeypatch.setattr(doctor, "_requirement", lambda name: ">=4.60")
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(__version__="4.59"))
    check = doctor._package("tqdm", "tqdm", "bars", needed=True)
    assert (check.status, check.text) == ("broken", "4.59, expected >=4.60")

    def fail(name):
        raise ValueError("numpy.dtype size changed\nmay indicate")
    monkeypatch.setattr(importlib, "import_module", fail)
    check = doctor._package("tqdm", "tqdm", "bars", needed=True)
    assert check.text == "cannot be imported: numpy.dtype size changed may indicate"


def test_requirements_are_those_that_pip_knows():
    assert doctor._requirement("numpy") == ">=2.0"
    assert doctor._requirement("opencv-python-headless") in (
        ">=4.10.0.84,<5", "<5,>=4.10.0.84")
    assert doctor._requirement("optuna") == ">=3" and doctor._requirement("num") == ""


@pytest.mark.parametrize("version, wanted, fit", [
    ("2.0", ">=2.0", True), ("1.26.4", ">=2.0", False), ("2", ">=2.0", True),
    ("10.1", ">=9", True), ("5.0.0rc1", "<5,>=4.8", False), ("anything", "", True),
    ("4.12.0", "<5,>=4.8", True), ("4.7", "<5,>=4.8", False),
    ("4.10.0", ">=4.10.0.84", True), ("4.10.0.82", ">=4.10.0.84", False),
    ("4.9.0", ">=4.10.0.84", False)])
def test_versions(version, wanted, fit):
    assert doctor.fits(version, wanted) == fit


def test_a_cascade_that_is_missing_or_damaged(monkeypatch):
    def fail(*_):
        raise BackendUnavailable("comes without it")
    monkeypatch.setattr(cropping, "find_faces", fail)
    check = found("face cascade")
    assert (check.status, check.needed, check.text) == ("broken", True,
                                                        "comes without it")
    assert "opencv-python-headless" in check.fix


def test_threads_that_are_no_number(monkeypatch):
    monkeypatch.setenv("MINIFER_NUM_THREADS", "many")
    check = found("threads")
    assert check.status == "broken" and check.needed and "'many'" in check.text
    monkeypatch.setenv("MINIFER_NUM_THREADS", "3")
    assert found("threads").text == "3, MINIFER_NUM_THREADS"


def test_a_gpu_without_cupy_and_none_at_all(monkeypatch):
    def fail():
        raise BackendUnavailable("device 'cuda': expected CuPy, got none (x). Try pip "
                                 "install it, or use device='cpu'.")
    monkeypatch.setattr(arrays, "cupy_module", fail)
    monkeypatch.setattr(arrays, "gpu_name", lambda: "NVIDIA H100, 580.65")
    check = found("device cuda")
    assert dataclasses.astuple(check)[1:] == (
        "broken", "NVIDIA H100, 580.65: expected CuPy, got none (x)",
        "pip install it, or use device='cpu'", False)
    monkeypatch.setattr(arrays, "gpu_name", lambda: "")
    assert found("device cuda").status == "absent"


def test_a_device_whose_kernels_fail_or_lie(monkeypatch):
    """The emulator's arrays stand in for a GPU's."""
    monkeypatch.setattr(arrays, "gpu_name", lambda: "NVIDIA H100, 580.65")
    monkeypatch.setattr(arrays, "cupy_module",
                        lambda: types.SimpleNamespace(__version__="14.0"))
    monkeypatch.setattr(arrays, "to_device", lambda array, device: array)
    assert found("device cuda").text == "NVIDIA H100, 580.65, CuPy 14.0"
    monkeypatch.setattr(doctor, "rectify_forward", lambda x: (x, None))
    check = found("device cuda")
    assert check.status == "broken"
    assert check.text.endswith("ReLU of -1, 2 is [-1.0, 2.0]")

    def fail(x):
        raise RuntimeError("no kernel image\nis available")
    monkeypatch.setattr(doctor, "rectify_forward", fail)
    assert found("device cuda").text.endswith("no kernel image is available")


def test_without_a_compiler_there_is_no_emulator(monkeypatch):
    monkeypatch.setenv("PATH", "")
    check = found("device emu")
    assert check.status == "absent" and "apt install g++" in check.fix


def test_nvrtc(monkeypatch):
    monkeypatch.setattr(nvrtc, "version", lambda: "13.0")
    assert found("NVRTC").text.startswith("13.0: ")


def test_the_cache_is_measured_and_not_created(tmp_path, monkeypatch):
    check = found("cache")
    assert check.text == f"{tmp_path / 'cache'}, 0.0 MB" and check.status == "ok"
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache" / "crops").mkdir(parents=True)
    (tmp_path / "cache" / "crops" / "x").write_bytes(b"x" * 2_500_000)
    assert "2.5 MB" in found("cache").text
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "file" / "cache"))
    check = found("cache")
    assert check.status == "broken" and "MINIFER_CACHE" in check.fix


def test_run_from_a_folder_without_installing(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda: {})
    check = found("minifer")
    assert check.status == "absent" and "pip install -e ." in check.fix
    assert doctor.is_well(doctor.examine())


@pytest.mark.parametrize("answer, name", [
    ("echo NVIDIA H100, 580.65; echo NVIDIA H100, 580.65", "NVIDIA H100, 580.65"),
    ("echo no devices; exit 9", ""), (None, "")])
def test_the_name_of_the_gpu(tmp_path, monkeypatch, answer, name):
    if answer:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert arrays.gpu_name() == name


def wheel(name, version, files=("cv2/__init__.py",)):
    return types.SimpleNamespace(metadata={"Name": name}, version=version,
                                 files=[pathlib.PurePosixPath(one) for one in files])


@pytest.mark.parametrize("wheels, status, needed, text", [
    ([], "ok", False, "none: OpenCV came in another way"),
    ([wheel("opencv_python_headless", "4.14.0")], "ok", False,
     "opencv-python-headless 4.14.0"),
    ([wheel("opencv-python", "4.10.0"), wheel("opencv-python-headless", "4.14.0")],
     "broken", True, "opencv-python 4.10.0, opencv-python-headless 4.14.0: one over"),
    ([wheel("opencv-python", "4.14.0"), wheel("opencv-contrib-python", "4.14.0")],
     "broken", False, "takes it along when it is uninstalled"),
    ([wheel("opencv-stubs", "1", ["cv2-stubs/x.pyi"]), wheel("opencv-x", "1", ())],
     "ok", False, "none")])
def test_opencv_wheels_side_by_side(monkeypatch, wheels, status, needed, text):
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: wheels)
    check = doctor._wheels()
    assert (check.status, check.needed) == (status, needed) and text in check.text
    if status == "broken":
        names = " ".join(sorted(one.metadata["Name"] for one in wheels))
        assert check.fix.startswith(f"pip uninstall {names}; pip install 'opencv-")


def test_opencv_5_has_no_cascades(monkeypatch):
    """The one that is there has to go, or there would be two."""
    monkeypatch.setattr(doctor, "_requirement", lambda name: ">=4.10.0.84,<5")
    monkeypatch.setattr(importlib.metadata, "distributions",
                        lambda: [wheel("opencv-python", "5.0.0.93")])
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="5.0.0"))
    check = doctor._package(doctor.OPENCV, "cv2", "faces", needed=True)
    assert check.status == "broken" and check.needed
    assert check.text == "5.0.0, expected >=4.10.0.84,<5: finds no faces"
    assert check.fix == ("pip uninstall opencv-python; "
                         "pip install 'opencv-python-headless>=4.10.0.84,<5'")


def test_the_kernels_that_were_picked(monkeypatch):
    import threadpoolctl
    pool = {"user_api": "blas", "internal_api": "openblas", "version": "0.3",
            "num_threads": 2, "architecture": "Haswell"}
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [pool])
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert doctor._blas().text == ("openblas 0.3, kernels for Haswell, 2 threads "
                                   "(OPENBLAS_CORETYPE=Haswell): NumPy's matrix "
                                   "products")
    monkeypatch.setattr(np, "show_config", lambda mode: {
        "SIMD Extensions": {"baseline": ["SSE"], "found": ["AVX2"], "not found": []}})
    monkeypatch.delenv("NPY_DISABLE_CPU_FEATURES", raising=False)
    assert doctor._kernels().text == "for SSE, AVX2"
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "AVX512F")
    assert doctor._kernels().text == ("for SSE, AVX2 (NPY_DISABLE_CPU_FEATURES="
                                      "AVX512F)")


def test_a_link_to_nothing_in_the_cache(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "link").symlink_to("link")
    assert found("cache").status == "ok"
