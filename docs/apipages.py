"""A page for each public module, written before each build from what is installed.

The list is the library's files, so no module can be forgotten. A name is explained
where it is defined; a module that only passes it on links there.
"""

import importlib
import inspect
import pathlib
import pkgutil

import minifer
from minifer import cuda

#: Packages to walk; the second lies in a folder beside the first.
ROOTS = (minifer, cuda)


def setup(app):
    app.connect("builder-inited", lambda app: write(pathlib.Path(app.srcdir, "api")))
    return {"parallel_read_safe": True}


def modules():
    """Names of all public modules, each package before its modules."""
    names = {root.__name__ for root in ROOTS}
    for root in ROOTS:
        names.update(module.name for module in
                     pkgutil.walk_packages(root.__path__, root.__name__ + "."))
    return sorted(name for name in names
                  if not any(part.startswith("_") for part in name.split(".")))


def write(folder):
    """Bring ``folder`` up to date: write what changed, delete what is left over."""
    folder.mkdir(exist_ok=True)
    names = modules()
    pages = {f"{name}.rst": page(name, names) for name in names}
    for path in folder.glob("*.rst"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def page(name, names):
    """The page of module ``name``; ``names`` are all modules'."""
    module = importlib.import_module(name)
    own, passed_on = [], []
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        # An object has its class's __module__, but is defined here.
        made = inspect.isclass(thing) or inspect.isroutine(thing)
        home = thing.__module__ if made else name
        if inspect.ismodule(thing):
            continue
        if home == name:
            own.append(public)
        elif home in names:
            passed_on.append(f"* :py:obj:`{public} <{home}.{thing.__name__}>`: "
                             + inspect.getdoc(thing).split("\n")[0])
    below = [other for other in names if other.rpartition(".")[0] == name]
    parts = [name, "=" * len(name), "", f".. automodule:: {name}"]
    if own:
        parts.append("   :members: " + ", ".join(own))
    if passed_on:
        parts += ["", ".. rubric:: Names", "", *passed_on]
    if below:
        parts += ["", ".. rubric:: Modules", "", ".. toctree::", "   :maxdepth: 1", "",
                  *(f"   {other}" for other in below)]
    return "\n".join(parts) + "\n"
