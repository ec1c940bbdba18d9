"""Rules of the house: what may import what, and what every file owes its reader."""

import ast
import configparser
import importlib
import inspect
import os
import re
import subprocess
import sys
import types

import pytest

import minifer
from helpers import tree
from helpers.tree import (CODE, LIBRARY, MODULES, PYTHON, ROOT, imports_of, is_in,
                          name_of)

# --- what may import what ---------------------------------------------------

#: Room -> the rooms that its files may import, inside functions too. All may import
#: ``errors``, ``notebook`` and what begins with an underscore. docs/contributing.md
#: shows this table, and README has a map of the same rooms.
MAY = {
    "config": "", "errors": "", "files": "", "notebook": "", "progress": "",
    "random": "",
    "device": "",
    "cuda": "device files", "faces": "device files", "init": "random",
    "data": "faces files random", "search": "device files progress random",
    "ranks": "device",
    "ops": "cuda device",
    "expressions": "config device ops", "nonlinearities": "expressions ops",
    "layers": "config device expressions init nonlinearities ops random ranks",
    "utils": "config expressions layers", "objectives": "device expressions ops",
    "tensor": "expressions objectives ops random",
    "gradcheck": "device layers",
    "regularization": "expressions layers",
    "models": "init layers nonlinearities regularization weights",
    "updates": "cuda device expressions layers ops",
    "weights": "files layers nonlinearities",
    "evaluation": "device faces layers",
    "foreign": "expressions faces files layers nonlinearities ops weights",
    "report": "data evaluation faces files random search",
    "compiled": "config cuda device expressions layers nonlinearities ops ranks "
                "updates",
    "training": "compiled cuda device expressions files layers nonlinearities "
                "objectives ops progress random ranks updates weights",
    "exercises": "compiled gradcheck layers nonlinearities objectives ops random "
                 "tensor updates",
    "predict": "compiled device faces files layers report weights",
    "estimator": "device layers progress random ranks training",
    "gui": "evaluation faces files predict report",
    "runs": "data device evaluation faces files layers models progress random "
            "ranks regularization report search training updates weights",
    "commands": "cuda data device evaluation exercises faces files foreign "
                "gradcheck gui layers models nonlinearities ops predict progress "
                "random ranks report runs search training weights",
}


#: What every room may import: how errors are told, and how things show themselves.
EVERYWHERE = {"errors", "notebook"}


def allowed(room):
    return {*MAY[room].split(), *EVERYWHERE} | {
        other for other in tree.ROOMS if other.startswith("_")}


@pytest.mark.parametrize("room", tree.ROOMS)
def test_a_room_imports_what_it_may(room):
    if room.startswith("_"):
        assert tree.rooms()[room] <= {"_moved", "_absent"}
        return
    assert room in MAY, f"{room}: give the new room a row in MAY"
    assert tree.rooms()[room] <= allowed(room)


def test_no_permission_is_left_over():
    unused = {room: set(MAY[room].split()) - tree.rooms()[room] for room in MAY}
    assert not {room: names for room, names in unused.items() if names}


def test_the_house_has_no_circle_and_few_floors():
    graph = tree.rooms()
    rooms = [room for room in graph if not room.startswith("_")]
    assert len(rooms) <= 36
    assert max(tree.floors(graph).values()) + 1 <= 12
    # Arrows to what every room may import are not counted.
    others = set(rooms) - EVERYWHERE
    assert sum(len(graph[room] & others) for room in rooms) <= 160


def test_the_core_reaches_no_photo_and_no_report():
    """Through any number of imports."""
    graph, reached = tree.rooms(), set()
    todo = ["training", "compiled", "updates", "layers", "ops", "cuda", "device"]
    while todo:
        room = todo.pop()
        if room not in reached:
            reached.add(room)
            todo.extend(graph[room])
    assert not reached & {"faces", "data", "report", "predict", "gui", "commands"}


def rooms_of_the_map(text):
    """The rooms of each row of README's map, named in the row's first cell."""
    map_of_rooms = text.partition("\n## The map of rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", map_of_rooms, re.MULTILINE)
    return [[name.removesuffix(".py").removesuffix("/")
             for name in re.findall(r"`([^`]+)`", row)] for row in rows]


def test_the_readme_has_a_map_of_all_rooms():
    """Each room stands there once, beside or below those that it imports."""
    rows = rooms_of_the_map((ROOT / "README.md").read_text("utf-8"))
    assert sorted(sum(rows, [])) == sorted(MAY)
    row_of = {room: number for number, row in enumerate(rows) for room in row}
    wrong = [f"{room} stands above {other}" for room in MAY
             for other in MAY[room].split() if row_of[other] > row_of[room]]
    assert not wrong


def test_the_map_of_rooms_is_read():
    text = """
## The map of rooms

| room | what |
|---|---|
| `ops/` `init.py` | `kernels/` is none |

## Limits
| `gui/` | elsewhere |
"""
    assert rooms_of_the_map(text) == [["ops", "init"]]


def test_contributing_shows_what_a_room_may_import():
    """If this fails, put the rows that it shows into the page."""
    floors = tree.floors({room: set(MAY[room].split()) for room in MAY})
    rows = [f"| {floors[room]} | `{room}` | {', '.join(sorted(MAY[room].split()))} |"
            for room in sorted(MAY, key=lambda room: (floors[room], room))]
    text = (ROOT / "docs" / "contributing.md").read_text("utf-8")
    shown = re.findall(r"^\| \d+ \| `.*\|$", text, re.MULTILINE)
    assert shown == rows, "\n" + "\n".join(rows)


def test_a_circle_is_found():
    with pytest.raises(AssertionError, match="b -> c -> b"):
        tree.floors({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    assert tree.floors({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": 2, "b": 1, "c": 0}


def test_only_one_file_imports_cupy():
    wrong = [name_of(path) for path in PYTHON
             if name_of(path) != "minifer/device/arrays.py"
             and any(is_in(name, "cupy", "cupyx") for name in imports_of(path))]
    assert not wrong


def test_only_load_cv2_imports_opencv():
    wrong = [name_of(path) for path in LIBRARY
             if name_of(path) != "minifer/faces/images.py"
             and any(is_in(name, "cv2") for name in imports_of(path))]
    assert not wrong


def test_only_one_file_imports_scikit_learn():
    wrong = [name_of(path) for path in LIBRARY
             if name_of(path) != "minifer/estimator.py"
             and any(is_in(name, "sklearn", "joblib") for name in imports_of(path))]
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
        if isinstance(thing, types.GenericAlias):  # a class to inspect, up to 3.10
            continue
        if inspect.isclass(thing) or inspect.isroutine(thing):
            own = thing.__doc__  # getdoc would take a parent's
            assert own and own.strip(), f"{name}.{public} has no docstring"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_ends_before_400_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_the_code_is_ruff_clean():
    """By the rules in pyproject.toml."""
    pytest.importorskip("ruff", reason="ruff is not installed: pip install .[dev]")
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache",
                           "--output-format", "concise"], cwd=ROOT,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hints_hold():
    """By the rules in pyproject.toml; tests/typing_smoke.py is a user's script."""
    pytest.importorskip("mypy", reason="mypy is not installed: pip install .[dev]")
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", os.devnull],
                          cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


DOORS = ["compiled", "data", "evaluation", "faces", "foreign", "gradcheck", "init",
         "layers", "models", "nonlinearities", "objectives", "predict", "random",
         "regularization", "tensor", "training", "training.schedules",
         "training.stopping", "updates", "utils", "weights", "weights.foreign"]


def without_hint(thing):
    """Parameters of a function, or of a class's constructor, that have no hint."""
    return [name for name, parameter in inspect.signature(thing).parameters.items()
            if parameter.annotation is parameter.empty]


@pytest.mark.parametrize("name", DOORS)
def test_what_a_door_takes_has_hints(name):
    door = importlib.import_module(f"minifer.{name}")
    things = {public: getattr(door, public) for public in door.__all__}
    missing = {public: without_hint(thing) for public, thing in things.items()
               if inspect.isfunction(thing)
               or inspect.isclass(thing) and not issubclass(thing, BaseException)}
    assert not {public: names for public, names in missing.items() if names}


@pytest.mark.parametrize("room", ["data", "evaluation", "faces", "predict"])
def test_checkers_find_what_opens_lazily(room):
    """What stands below TYPE_CHECKING is what ``_HOMES`` says."""
    path = ROOT / "minifer" / room / "__init__.py"
    block, = [node for node in ast.parse(path.read_text("utf-8")).body
              if isinstance(node, ast.If)]
    found = {alias.name: line.module for line in block.body for alias in line.names}
    assert found == importlib.import_module(f"minifer.{room}")._HOMES


def test_the_stub_lists_what_the_package_opens():
    tree_ = ast.parse((ROOT / "minifer" / "__init__.pyi").read_text("utf-8"))
    found = {alias.name for line in tree_.body if isinstance(line, ast.ImportFrom)
             for alias in line.names}
    assert found == {*minifer._HOMES, *minifer._INSIDE, *minifer._THEANO}


# --- the rules themselves are seen to fail ----------------------------------

def test_imports_are_resolved(tmp_path):
    path = tmp_path / "minifer" / "ops" / "bad.py"
    path.parent.mkdir(parents=True)
    path.write_text("import cupy as cp\nfrom .. import layers\nfrom ..data.x import y\n"
                    "def f():\n    from . import conv\n    import cv2.dnn\n")
    assert imports_of(path, root=tmp_path) == {
        "cupy", "minifer", "minifer.layers", "minifer.data.x", "minifer.data.x.y",
        "minifer.ops", "minifer.ops.conv", "cv2.dnn"}
    assert "cv2.dnn" not in imports_of(path, inside_functions=False, root=tmp_path)
    assert is_in("minifer.data.x", "minifer.data") and not is_in("minifer.dat", "minif")


def test_a_missing_hint_is_found():
    def door(network, size: int = 96):
        return network, size

    assert without_hint(door) == ["network"]


def test_every_package_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    listed = settings["options"]["packages"].split()
    packages = [name for name, path in zip(MODULES, LIBRARY)
                if path.name == "__init__.py"]
    texts = ["minifer.kernels", "minifer.kernels.emulator"]
    assert sorted(listed) == sorted(packages + texts)
