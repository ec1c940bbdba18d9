"""The library as files, modules and rooms, and who imports whom; read, never run."""

import ast
import functools
import pathlib

import minifer

ROOT = pathlib.Path(minifer.__file__).resolve().parent.parent
LIBRARY = sorted((ROOT / "minifer").rglob("*.py"))
PYTHON = LIBRARY + sorted(path for folder in ("examples", "tests", "docs/lessons")
                          for path in (ROOT / folder).rglob("*.py"))
CODE = PYTHON + sorted(path for end in ("cu", "cuh", "h", "cpp")
                       for path in (ROOT / "kernels").rglob("*." + end))


def name_of(path):
    """A file's name from the root, ``minifer/ops/conv.py``."""
    return str(path.relative_to(ROOT))


def module_of(path, root=None):
    """The parts of a module's name."""
    parts = list(path.relative_to(root or ROOT).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = [".".join(module_of(path)) for path in LIBRARY]


@functools.cache
def imports_of(path, inside_functions=True, root=None):
    """Full names of all modules (and names in them) that a file imports."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = ast.walk(tree) if inside_functions else tree.body
    package = module_of(path, root)
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
    """Whether a module is one of these, or lies in one."""
    return any(name == room or name.startswith(room + ".") for room in rooms)


def room_of(module):
    """The room of a module: the part of its name after ``minifer``."""
    parts = module.split(".")
    return parts[1] if parts[0] == "minifer" and len(parts) > 1 else None


def rooms():
    """Rooms -> the rooms that their files import, lazily or not.

    A room is a file or a folder directly in ``minifer/``. The package's own
    ``__init__`` and ``__main__`` open other rooms and are none themselves.
    """
    found = {}
    for path, module in zip(LIBRARY, MODULES):
        room = room_of(module)
        if room in (None, "__main__"):
            continue
        names = {room_of(name) for name in imports_of(path)} & set(ROOMS)
        found.setdefault(room, set()).update(names - {room})
    return found


ROOMS = sorted({room_of(module) for module in MODULES} - {None, "__main__"})


def floors(graph):
    """Room -> the length of the longest chain of imports below it.

    Raises
    ------
    AssertionError
        If rooms import one another in a circle; it names them.
    """
    heights = {}

    def height(room, chain):
        assert room not in chain, " -> ".join([*chain[chain.index(room):], room])
        if room not in heights:
            heights[room] = max((1 + height(other, [*chain, room])
                                 for other in graph[room]), default=0)
        return heights[room]

    for room in graph:
        height(room, [])
    return heights
