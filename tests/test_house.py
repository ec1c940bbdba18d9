"""Rules of the house: what may import what, and what every file owes its reader."""

import ast
import configparser
import functools
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import minifer

ROOT = pathlib.Path(minifer.__file__).resolve().parent.parent
LIBRARY = sorted(path for folder in ("minifer", "kernels")
                 for path in (ROOT / folder).rglob("*.py"))
PYTHON = LIBRARY + sorted(path for folder in ("examples", "tests", "docs/lessons")
                          for path in (ROOT / folder).rglob("*.py"))
CODE = PYTHON + sorted(path for end in ("cu", "cuh", "h", "cpp")
                       for path in (ROOT / "kernels").rglob("*." + end))


def name_of(path):
    return str(path.relative_to(ROOT))


def module_of(path):
    """What a file is imported as: ``kernels/`` is ``minifer.kernels``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = ["minifer"] + parts if parts[0] == "kernels" else parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = [".".join(module_of(path)) for path in LIBRARY]


@functools.cache
def imports_of(path, inside_functions=True):
    """Full names of all modules (and names in them) that a file imports."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = ast.walk(tree) if inside_functions else tree.body
    package = module_of(path)
    package = package if path.name == "__init__.py" else package[:-1]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(above + ([node.module] if node.module else []))
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def is_in(name, *rooms):
    return any(name == room or name.startswith(room + ".") for room in rooms)


# --- what may import what ---------------------------------------------------

#: files of a room -> rooms they must not know
ARROWS = {
    "minifer/ops": ["layers", "plan", "expressions", "compiled", "tensor", "objectives",
                    "updates", "training", "models", "data", "faces", "nonlinearities"],
    "kernels": ["layers", "ops", "plan", "expressions", "compiled", "objectives",
                "updates", "rules", "training", "models", "data", "nonlinearities"],
    "minifer/backend.py": ["ops", "layers", "kernels", "plan", "compiled", "training"],
    "minifer/data": ["layers", "ops", "plan", "expressions", "compiled", "training",
                     "models", "objectives", "updates", "weights", "predict"],
    "minifer/faces.py": ["layers", "ops", "plan", "expressions", "compiled", "training",
                         "models", "objectives", "updates", "weights", "predict"],
    "minifer/layers": ["training", "plan", "data", "faces", "models", "predict",
                       "evaluation", "plots", "finetuning", "checkpoint", "weights"],
    "minifer/models": ["training", "data", "faces", "predict", "evaluation", "plots"],
    "minifer/checks": ["training", "models", "data", "faces", "weights", "predict",
                       "evaluation", "plots", "commands"],
    "minifer/search": ["layers", "ops", "expressions", "compiled", "training", "models",
                       "data", "faces", "weights", "predict", "evaluation"],
    "minifer/training.py": ["faces", "predict", "plots", "evaluation"],
}


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_point_one_way(room):
    files = [path for path in LIBRARY if name_of(path) == room
             or name_of(path).startswith(room + "/")]
    assert files
    forbidden = [f"minifer.{other}" for other in ARROWS[room] + ["cli", "gui"]]
    wrong = [f"{name_of(path)} imports {name}" for path in files
             for name in sorted(imports_of(path)) if is_in(name, *forbidden)]
    assert not wrong


def test_nothing_imports_the_commands_or_the_window():
    allowed = ("minifer/cli.py", "minifer/gui/", "minifer/commands/gui.py",
               "minifer/__main__.py")
    wrong = [name_of(path) for path in LIBRARY
             if not name_of(path).startswith(allowed)
             and any(is_in(name, "minifer.cli", "minifer.gui")
                     for name in imports_of(path))]
    assert not wrong


def test_only_the_backend_imports_cupy():
    wrong = [name_of(path) for path in PYTHON
             if name_of(path) != "minifer/backend.py"
             and any(is_in(name, "cupy", "cupyx") for name in imports_of(path))]
    assert not wrong


def test_only_load_cv2_imports_opencv():
    wrong = [name_of(path) for path in LIBRARY
             if name_of(path) != "minifer/data/images.py"
             and any(is_in(name, "cv2") for name in imports_of(path))]
    assert not wrong


def test_examples_and_lessons_use_public_names_only():
    wrong = [f"{name_of(path)} imports {name}"
             for folder in ("examples", "docs/lessons")
             for path in (ROOT / folder).rglob("*.py")
             for name in imports_of(path) if is_in(name, "minifer")
             and any(part.startswith("_") for part in name.split("."))]
    assert not wrong


def test_importing_minifer_stays_light():
    heavy = ["cv2", "matplotlib", "scipy", "cupy", "tqdm", "PIL", "cuda"]
    program = ("import sys, minifer; "
               f"print([name for name in {heavy} if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, text=True,
                          capture_output=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_pictures_and_cameras_are_imported_inside_functions(path):
    wrong = [name for name in imports_of(path, inside_functions=False)
             if is_in(name, "cv2", "matplotlib", "scipy", "tkinter")]
    assert not wrong


# --- what every module owes its reader --------------------------------------

def public_names(module):
    """The names of ``__all__``, or else those without an underscore."""
    return getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_explained(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    names = public_names(module)
    assert len(names) == len(set(names))
    for public in names:
        assert hasattr(module, public), f"{name}.{public} does not exist"
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            own = thing.__doc__  # getdoc would take a parent's
            assert own and own.strip(), f"{name}.{public} has no docstring"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_ends_before_400_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_the_code_is_flake8_clean():
    pytest.importorskip("flake8", reason="flake8 is not installed: pip install .[dev]")
    folders = [f for f in ("minifer", "examples", "tests", "kernels", "docs")
               if list((ROOT / f).rglob("*.py"))]
    done = subprocess.run([sys.executable, "-m", "flake8", *folders], cwd=ROOT,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the rules themselves are seen to fail ----------------------------------

def test_imports_are_resolved(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "minifer" / "ops" / "bad.py"
    path.parent.mkdir(parents=True)
    path.write_text("import cupy as cp\nfrom .. import layers\nfrom ..data.x import y\n"
                    "def f():\n    from . import conv\n    import cv2.dnn\n")
    assert imports_of(path) == {
        "cupy", "minifer", "minifer.layers", "minifer.data.x", "minifer.data.x.y",
        "minifer.ops", "minifer.ops.conv", "cv2.dnn"}
    assert "cv2.dnn" not in imports_of(path, inside_functions=False)
    assert is_in("minifer.data.x", "minifer.data") and not is_in("minifer.dat", "minif")


def test_every_package_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    listed = settings["options"]["packages"].split()
    packages = [name for name, path in zip(MODULES, LIBRARY)
                if path.name == "__init__.py"]
    assert sorted(listed) == sorted(packages + ["minifer.examples"])
