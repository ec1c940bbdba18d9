"""minifer show: pictures of a model, and one line where there is nothing to draw."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from helpers import clips, runs
from minifer import layers
from minifer.commands.show import built_in
from minifer.errors import ShapeError
from minifer.faces.images import write_png
from minifer.predict.predictor import Predictor
from minifer.report.evaluation_plots import heat_map
from minifer.weights.model_file import save_model


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A model that finds faces, one without convolution, a face, and a wall."""
    folder = tmp_path_factory.mktemp("show")
    clips.save_judge(folder / "model.npz")
    dense = layers.DenseLayer(layers.InputLayer((None, 1, 8, 8)), 3)
    save_model(folder / "dense.npz", runs.model(dense))
    write_png(folder / "face.png", clips.person(0))
    write_png(folder / "wall.png", np.full((60, 80), 128, np.uint8))
    return folder


def show(here, what, *words, model="model.npz"):
    return runs.minifer("show", what, "--model", here / model, "--out",
                        here / "out.png", *words)


@pytest.mark.parametrize("what", ["filters", "activations", "saliency", "gradcam"])
def test_each_writes_a_picture(here, what):
    photo = [here / "face.png"] * (what != "filters")
    (here / "out.png").unlink(missing_ok=True)
    outcome = show(here, what, *photo)
    assert outcome.code == 0 and outcome.err == ""
    assert (here / "out.png").read_bytes().startswith(b"\x89PNG")
    if photo:
        face, = Predictor.load(here / "model.npz").photo(photo[0], "largest").faces
        assert f"face at {face.box}" in outcome.out
        assert outcome.out.splitlines()[0].endswith(f"-> {face.label}")


@pytest.mark.parametrize("what, words", [
    ("filters", []), ("activations", ["face.png"]), ("gradcam", ["face.png"])])
def test_a_network_without_convolution_gets_one_line(here, what, words):
    outcome = show(here, what, *[here / word for word in words], model="dense.npz")
    assert outcome.code == 2
    line, = outcome.err.splitlines()
    assert "network with a convolution" in line and "saliency" in line


def test_saliency_needs_no_convolution(here):
    assert show(here, "saliency", here / "face.png", model="dense.npz").code == 0


def test_a_photo_without_a_face_gets_one_line(here):
    outcome = show(here, "gradcam", here / "wall.png")
    assert outcome.code == 2 and "wall.png: expected a face" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_the_map_lies_over_the_whole_face():
    figure = heat_map(np.zeros((12, 12)), np.array([[0., 2.], [1., 0.]]), "t")
    face, overlay = figure.axes[1].images
    assert overlay.get_extent() == face.get_extent() == [0, 12, 12, 0]
    np.testing.assert_array_equal(overlay.get_array(), [[0, 1], [.5, 0]])
    assert overlay.get_alpha()[0, 0] == 0  # where it is nothing, the face is seen
    with pytest.raises(ShapeError, match="Take one of the batch"):
        heat_map(np.zeros((1, 12, 12)), np.zeros((2, 2)))


def test_start_is_a_table_that_ends_in_a_verdict(tmp_path):
    data = runs.write_fer(tmp_path / "fer2013", 3, 1)
    done = runs.minifer("show", "start", "six", "--data", data, "--batch", "16")
    assert done.code == 0, done.err
    rows = done.out.splitlines()
    assert rows[0].split()[0] == "layer" and rows[1].startswith("conv1")
    assert "where a guess has ln 7 = 1.95" in rows[-1]
    assert runs.minifer("show", "start", "six", "--data", data, "--batch", "16",
                        "--seed", "1").out != done.out


def test_a_network_of_minifers_is_listed_and_drawn(tmp_path):
    done = runs.minifer("show", "network", "six_conv", "--svg", tmp_path / "six.svg")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MFLOP",
                                "memory"]
    assert "1,469,927 parameters (5.9 MB), 1,469,031 of them trainable" in lines[-3]
    assert lines[-1] == f"{tmp_path / 'six.svg'} holds the drawing."
    assert ET.parse(tmp_path / "six.svg").getroot().tag.endswith("svg")


def test_a_model_file_is_listed(here):
    done = runs.minifer("show", "network", here / "dense.npz")
    assert done.code == 0 and "Dense rectify" in done.out


def test_all_networks_without_an_argument_are_known():
    assert {"ck96", "pretrained", "vgg19", "six", "mlp-bn"} <= set(built_in())
    assert not {"resnet", "fcn48_penalty", "FCN48_L2"} & set(built_in())


@pytest.mark.parametrize("words, said", [
    (["six_con"], "Perhaps you meant 'six_conv'?"),
    (["missing.npz"], "missing.npz: could not be read"),
    (["mlp", "--svg", "drawing.png"], "a name that ends in .svg"),
    (["mlp", "--svg", "no/folder/here.svg"], "could not be written")])
def test_what_cannot_be_shown_gets_one_line(words, said):
    done = runs.minifer("show", "network", *words)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
