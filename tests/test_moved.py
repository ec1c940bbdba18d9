"""Old names of modules work until the next version, and say where they have gone."""

import importlib
import subprocess
import sys

import pytest

import minifer
from minifer import _moved


@pytest.fixture(autouse=True)
def forgotten():
    """Each test imports old names for the first time."""
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if _moved.new_name(name):
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            if package in known:
                vars(sys.modules[package]).pop(last, None)


@pytest.mark.parametrize("old", _moved.MODULES)
def test_every_row_leads_somewhere(old):
    with pytest.warns(DeprecationWarning, match=r"minifer\.\S+ has moved: use minifer"):
        module = importlib.import_module(f"minifer.{old}")
    new = importlib.import_module(f"minifer.{_moved.MODULES[old]}")
    for name in new.__all__:
        assert getattr(module, name) is getattr(new, name)


@pytest.mark.parametrize("package, name", _moved.NAMES)
def test_every_name_leads_somewhere(package, name):
    with pytest.warns(DeprecationWarning) as caught:
        assert getattr(importlib.import_module(package), name) is not None
    assert f"{package}.{name} has moved: use" in str(caught[-1].message)


def test_attributes_and_imports_from_old_modules():
    with pytest.warns(DeprecationWarning, match="minifer.backend has moved"):
        assert minifer.backend.to_host is minifer.device.to_host
    with pytest.warns(DeprecationWarning) as caught:
        from minifer.kernels.activation import rectify_forward
    assert "use minifer.cuda.activation" in str(caught[-1].message)
    assert rectify_forward.__module__ == "minifer.cuda.activation"


def test_what_never_was_is_an_error():
    for name in ("bakend", "kernels2"):
        with pytest.raises(AttributeError, match=name):
            getattr(minifer, name)
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"minifer.{name}")


def test_a_script_sees_the_warning_at_its_own_line(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import minifer.plots\nprint(minifer.plots.save.__module__)\n")
    done = subprocess.run([sys.executable, "-W", "default", script], text=True,
                          capture_output=True, check=True,
                          env={"PYTHONPATH": str(_root())})
    assert done.stdout == "minifer.report.style\n"
    assert "use minifer.report.plots" in done.stderr


def _root():
    return minifer.__path__[0] + "/.."
