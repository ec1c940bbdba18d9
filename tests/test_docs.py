"""The documentation: a page for every public module, and a build without warnings."""

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys

import pytest

from helpers import runs
from helpers.tree import MODULES

ROOT = runs.TESTS.parent
DOCS = ROOT / "docs"
#: Texts from elsewhere that pages of the site show.
SHOWN = ["README.md", "CHANGELOG.md", "kernels/README.md"]
#: Texts that must be true today; those in docs/results/ tell of the past.
TEXTS = [ROOT / "README.md", ROOT / "kernels" / "README.md", *sorted(DOCS.glob("*.md"))]
PUBLIC = [name for name in MODULES
          if not any(part.startswith("_") for part in name.split("."))]


@pytest.fixture
def apipages(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("apipages")


def test_the_reference_has_a_page_for_every_public_module(apipages, tmp_path):
    apipages.write(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.rst")} == set(PUBLIC)
    for name in PUBLIC:
        page = (tmp_path / f"{name}.rst").read_text("utf-8")
        assert page.startswith(f"{name}\n{'=' * len(name)}\n")
        package = name.rpartition(".")[0]
        if package:  # and its package's page leads to it
            above = (tmp_path / f"{package}.rst").read_text("utf-8")
            assert f"\n   {name}\n" in above.partition(".. toctree::")[2]


def test_a_name_is_explained_where_it_is_defined(apipages):
    page = apipages.page("minifer.layers", PUBLIC)
    assert "* :py:obj:`DenseLayer <minifer.layers.dense.DenseLayer>`: A fully" in page
    assert ":members:" not in page
    page = apipages.page("minifer.layers.dense", PUBLIC)
    assert "   :members: DenseLayer\n" in page and ":py:obj:" not in page


@pytest.mark.parametrize("name", PUBLIC)
def test_a_page_lists_all_names_of_its_module(apipages, name):
    """Of a room that opens when it is entered, too."""
    page = apipages.page(name, PUBLIC)
    listed = set(re.findall(r":py:obj:`(\S+) <", page))
    for members in re.findall(r":members: (.*)", page):
        listed.update(members.split(", "))
    module = importlib.import_module(name)
    names = {public for public in apipages.public_names(module)
             if not inspect.ismodule(getattr(module, public))}
    assert listed == names


def test_data_is_explained_by_its_comment(apipages):
    page = apipages.page("minifer.search", PUBLIC)
    assert "* :py:obj:`RECORD <minifer.search.trials.RECORD>`: " in page
    page = apipages.page("minifer.errors", PUBLIC)  # it has no __all__
    assert "ShapeError" in page.partition(":members: ")[2]


def test_old_pages_go_and_unchanged_ones_stay(apipages, tmp_path):
    apipages.write(tmp_path)
    (tmp_path / "minifer.gone.rst").write_text("gone")
    (tmp_path / "minifer.layers.param.rst").write_text("old")
    kept = (tmp_path / "minifer.ops.rst").stat().st_mtime_ns
    apipages.write(tmp_path)
    assert not (tmp_path / "minifer.gone.rst").exists()
    assert "Param" in (tmp_path / "minifer.layers.param.rst").read_text("utf-8")
    assert (tmp_path / "minifer.ops.rst").stat().st_mtime_ns == kept


def test_the_documentation_builds_without_warnings(tmp_path):
    """All pages are read and all links resolved; the lessons are run elsewhere."""
    for needed in ("sphinx", "sphinx_gallery", "sphinx_design", "myst_parser", "furo"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed: pip install .[docs]")
    docs = shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns(
        "_build", "api", "learn", "__pycache__"))  # a build of one's own stays
    for name in SHOWN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "dummy",
         "-D", "plot_gallery=0", docs, tmp_path / "out"],
        text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_text_names_exist(path):
    """Such as ``minifer/ops/conv.py``; words in capitals stand for a name."""
    named = re.findall(r"\b(?:minifer|kernels|tests|examples|docs)/[\w./-]*\w",
                       path.read_text("utf-8"))
    missing = sorted(name for name in set(named) if not re.search("[A-Z]{3}", name)
                     and "_build" not in name and not (ROOT / name).exists())
    assert not missing


def test_pictures_are_small():
    large = [path.name for path in (DOCS / "pictures").iterdir()
             if path.stat().st_size > 150_000]
    assert not large
