"""minifer compare: the same images for all, and McNemar's test by hand."""

import dataclasses
import json

import numpy as np
import pytest

from helpers import runs
from minifer.data import EMOTIONS
from minifer.errors import ShapeError
from minifer.evaluation.comparison import compare_pair, mcnemar
from minifer.faces.images import write_png
from minifer.layers import get_output
from minifer.weights.model_file import load_model, save_model


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Two models, and class folders with a test part."""
    folder = tmp_path_factory.mktemp("compare")
    for name, seed in (("a", 0), ("b", 5)):
        save_model(folder / f"{name}.npz", runs.model(runs.network(seed), seed=seed))
    for i, (image, label) in enumerate(zip(*runs.pictures(9, 2))):
        place = folder / "faces" / "test" / runs.CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        write_png(place / f"{i}.png", image[0].repeat(4, axis=0).repeat(4, axis=1))
    return folder


def compare(here, *words):
    return runs.minifer("compare", here / "a.npz", *words, "--data", here / "faces")


def test_it_counts_what_only_one_gets_right(here, tmp_path):
    outcome = compare(here, here / "b.npz", "--json", "--out", tmp_path)
    said = json.loads(outcome.out)
    images, labels = runs.pictures(9, 2)
    a, b = (get_output(load_model(here / f"{name}.npz").network, runs.STEPS(images),
                       deterministic=True).argmax(axis=1) for name in "ab")
    assert [one["accuracy"] for one in said["models"]] == [
        (a == labels).mean(), (b == labels).mean()]
    pair, = said["pairs"]
    assert pair["only_first"] == ((a == labels) & (b != labels)).sum()
    assert pair["only_second"] == ((b == labels) & (a != labels)).sum()
    assert pair["agreement"] == (a == b).mean()
    assert {path.name for path in tmp_path.iterdir()} == {"compare.md",
                                                          "accuracies.png"}


def test_a_model_against_itself(here):
    outcome = compare(here, here / "a.npz", here / "b.npz")
    assert outcome.code == 0 and "100.0%" in outcome.out
    assert "Bonferroni" in outcome.out


@pytest.mark.parametrize("b, c, p", [
    (10, 2, 158 / 4096), (2, 10, 158 / 4096), (0, 5, 2 / 32), (3, 3, 1), (0, 0, 1)])
def test_mcnemar_by_hand(b, c, p):
    assert mcnemar(b, c) == pytest.approx(p, rel=1e-12)


def test_what_cannot_be_compared():
    with pytest.raises(ShapeError, match="same images"):
        compare_pair([0, 1], [0], np.array([0, 1]))
    with pytest.raises(ShapeError, match="two counts"):
        mcnemar(-1, 2)


def test_other_images_are_refused(here, tmp_path):
    """Of drawn faces or CK+, each model's seed tells its own test part."""
    images, labels = runs.write_ck(tmp_path, subjects=6, side=24)
    model = load_model(here / "a.npz")
    for seed in (0, 5):
        save_model(tmp_path / f"{seed}.npz", dataclasses.replace(
            model, network=runs.network(classes=7), classes=EMOTIONS,
            notes={"seed": seed}))
    words = ["compare", tmp_path / "0.npz", tmp_path / "5.npz", "--images", images,
             "--labels", labels]
    outcome = runs.minifer(*words)
    assert outcome.code == 2 and "5.npz: expected the images" in outcome.err
    assert runs.minifer(*words, "--part", "all").code == 0


def test_other_classes_are_refused(here, tmp_path):
    model = dataclasses.replace(load_model(here / "a.npz"), classes=("x", "y", "z"))
    save_model(tmp_path / "c.npz", model)
    outcome = compare(here, tmp_path / "c.npz")
    assert outcome.code == 2 and "c.npz: expected the classes" in outcome.err
