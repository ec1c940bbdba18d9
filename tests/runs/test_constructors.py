"""--net: arguments of a network's constructor on a command line."""

import pytest

from helpers import runs
from minifer.errors import SettingError
from minifer.layers import count_params
from minifer.models import small_resnet
from minifer.runs.constructors import constructor_arguments
from minifer.runs.fer2013 import MODELS
from minifer.weights.model_file import load_model


@pytest.mark.parametrize("model, words, expected", [
    ("small-resnet", ["widths=8-16", "stem=4", "dropout=0", "residual=false"],
     {"widths": (8, 16), "stem": 4, "dropout": 0.0, "residual": False}),
    ("small-resnet", ["widths=8"], {"widths": (8,)}),
    ("mlp-bn", ["batch_norm=False"], {"batch_norm": False}), ("six", [], {})])
def test_words_are_read_by_the_defaults(model, words, expected):
    found = constructor_arguments(MODELS[model], words)
    assert found == expected
    assert list(map(type, found.values())) == list(map(type, expected.values()))


@pytest.mark.parametrize("model, words, message", [
    ("small-resnet", ["depth=3"], "with widths, stem, dropout, .+ got 'depth=3'"),
    ("small-resnet", ["stem"], r"stem: expected a whole number, as in stem=32, got ''"),
    ("small-resnet", ["stem=3.5"], "expected a whole number.+ got '3.5'"),
    ("small-resnet", ["widths=8,16"], "joined by -, as in widths=48-96-160"),
    ("small-resnet", ["residual=1"], "true or false"),
    ("small-resnet", ["stem=3", "stem=4"], "stem once, got it twice"),
    ("six", ["size=96"], "with no name of this network")])
def test_other_words_are_refused(model, words, message):
    with pytest.raises(SettingError, match=message):
        constructor_arguments(MODELS[model], words)


@pytest.mark.usefixtures("cache")
def test_a_run_trains_that_network_and_says_so(tmp_path):
    folders = runs.write_fer(tmp_path / "fer", 10, 2)
    words = ("train_fer2013", "--data", folders, "--out", tmp_path, "--epochs", "1",
             "--model", "small-resnet", "--net")
    refused = runs.command(*words, "blocks=0")
    assert refused.code == 2 and "expected a whole number >= 1, got 0" in refused.err
    found = runs.command(*words, "widths=4-6", "--net", "separable=true", "--net",
                         "stem=2")
    assert found.code == 0, found.err
    expected = small_resnet(widths=(4, 6), stem=2, separable=True)
    trained = load_model(tmp_path / "model.npz").network
    assert count_params(trained) == count_params(expected)
    assert "--net=widths=4-6 --net=separable=true --net=stem=2" in (
        tmp_path / "run.json").read_text("utf-8")
