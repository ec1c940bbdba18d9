"""A page for each public module, written before each build from what is installed.

The list is the library's files, so no module can be forgotten. A name is explained
where it is defined; a module that only passes it on, such as a room that imports its
names when they are first used, links there.
"""

import importlib
import inspect
import pathlib
import pkgutil
import re

from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

import minifer


def setup(app):
    app.connect("builder-inited", lambda app: write(pathlib.Path(app.srcdir, "api")))
    return {"parallel_read_safe": True}


def modules():
    """Names of all public modules, each package before its modules."""
    found = pkgutil.walk_packages(minifer.__path__, "minifer.")
    return sorted(name for name in ["minifer", *(module.name for module in found)]
                  if not any(part.startswith("_") for part in name.split(".")))


def public_names(module):
    """Those of ``__all__``, or else what the module defines itself."""
    return getattr(module, "__all__", None) or [
        name for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__]


def told(name):
    """Data of module ``name`` with a comment ``#:`` -> the comment's first sentence."""
    try:
        comments = ModuleAnalyzer.for_module(name).find_attr_docs()
    except PycodeError:
        return {}
    return {public: " ".join(lines).strip().partition(". ")[0]
            for (place, public), lines in comments.items() if not place}


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
    for public in public_names(module):
        thing = getattr(module, public)
        if inspect.ismodule(thing):
            continue
        if inspect.isclass(thing) or inspect.isroutine(thing):
            home, text = thing.__module__, (inspect.getdoc(thing) or "").split("\n")[0]
            called = thing.__name__
        else:  # data has no __module__: it is where a comment explains it
            homes = [other for other in [name, *names] if public in told(other)
                     and (other + ".").startswith(name + ".")]
            home = homes[0] if homes else name
            text, called = told(home).get(public, ""), public
        if home == name:
            own.append(public)
        elif home in names:
            text = re.sub(r" ?\[\d+\]_", "", text)  # footnotes stay on their page
            passed_on.append(f"* :py:obj:`{public} <{home}.{called}>`: {text}")
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
