"""Every public name of Lasagne 0.2.dev1: here, as it was, or with a reason why not.

``tests/helpers/lasagne_signatures.py`` is the table of what they took, and
docs/lasagne.md the page that says of each whether it is the same.
"""

import importlib
import inspect
import re

import pytest

import minifer
from helpers.lasagne_signatures import GPU_NAMES, SIGNATURES
from helpers.tree import ROOT

NAMES = [(module, name) for module, rows in SIGNATURES.items() for name in rows]
HIDDEN = [(module, name) for module, names in GPU_NAMES.items() for name in names]


def rows_of_the_page():
    """(module, name) -> what the page says of it."""
    rows, module = {}, None
    for line in (ROOT / "docs" / "lasagne.md").read_text("utf-8").splitlines():
        heading = re.match(r"### `lasagne\.(.+)`", line)
        row = re.match(r"\| `(\w+)` \| (.+) \|$", line)
        module = heading[1] if heading else module
        if row and module:
            rows[module, row[1]] = row[2]
    return rows


PAGE = rows_of_the_page()


def found(module, name):
    """The object of this name here, or None."""
    try:
        home = importlib.import_module(f"minifer.{module}")
    except ModuleNotFoundError:
        return None
    return getattr(home, name, None)


def test_the_page_has_a_row_for_each_name_and_no_other():
    assert sorted(PAGE) == sorted(NAMES + HIDDEN)


@pytest.mark.parametrize("module", [*SIGNATURES, *GPU_NAMES])
def test_rows_stand_in_alphabetical_order(module):
    names = [name for where, name in PAGE if where == module]
    assert names == sorted(names, key=str.lower)


@pytest.mark.parametrize("module, name", NAMES + HIDDEN)
def test_each_name_is_here_or_has_a_reason(module, name):
    says = PAGE[module, name]
    assert re.match(r"same(: .+|)$|not here: .+", says), says
    assert (found(module, name) is None) == says.startswith("not here"), says


def defaults():
    """What defaults in the table mean."""
    return {**vars(minifer.init), **vars(minifer.nonlinearities)}


def alike(ours, theirs):
    """Whether two defaults are the same: numbers, names, or initialisers."""
    if isinstance(theirs, minifer.init.Initializer):
        return type(ours) is type(theirs) and vars(ours) == vars(theirs)
    if isinstance(theirs, list):
        return list(ours) == theirs
    return ours == theirs


def parameters(text):
    """Name -> default, of a row of the table."""
    function = eval(f"lambda {text}: None", defaults())  # the table is our own
    return inspect.signature(function).parameters


@pytest.mark.parametrize("module, name", [
    (module, name) for module, name in NAMES
    if not PAGE[module, name].startswith("not here")])
def test_signatures_are_lasagnes(module, name):
    thing = found(module, name)
    assert thing is not None, "announced, but not here"
    theirs = parameters(SIGNATURES[module][name])
    ours = list(inspect.signature(thing).parameters.values())
    assert [one.name for one in ours[:len(theirs)]] == list(theirs)
    for one, other in zip(ours, theirs.values()):
        assert one.kind is one.POSITIONAL_OR_KEYWORD
        assert (one.default is one.empty) == (other.default is one.empty), one
        if other.default is not ...:
            assert other.default is one.empty or alike(one.default, other.default), one


def test_arguments_do_not_bind_to_others_silently():
    init = minifer.init
    assert init.GlorotUniform(1.0, True).c01b is True
    with pytest.raises(TypeError):
        init.GlorotUniform(1.0, False, 3)
    with pytest.raises(TypeError):
        init.Normal(0.1, 0.0, 42)


@pytest.mark.parametrize("module, name", [
    ("shape", "PadLayer"), ("shape", "DimshuffleLayer"), ("pool", "Upscale2DLayer"),
    ("pool", "FeaturePoolLayer"), ("special", "InverseLayer"), ("special", "prelu"),
    ("normalization", "LocalResponseNormalization2DLayer"), ("dense", "NINLayer"),
    ("conv", "Deconv2DLayer"), ("conv", "DilatedConv2DLayer"), ("merge", "autocrop"),
    ("noise", "dropout"), ("recurrent", "Gate"), ("embedding", "EmbeddingLayer"),
    ("local", "LocallyConnected2DLayer"), ("input", "InputLayer"),
    ("base", "MergeLayer"), ("helper", "get_all_params")])
def test_a_name_is_also_in_the_module_where_lasagne_has_it(module, name):
    home = importlib.import_module(f"minifer.layers.{module}")
    assert getattr(home, name) is getattr(minifer.layers, name)
