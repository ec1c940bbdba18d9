"""examples/lasagne/: each story learns in a few steps, and leaves its files."""

import ast
import math

import numpy as np
import pytest

from helpers import runs
from minifer import layers
from minifer.faces.images import read_image

STORIES = sorted(path.stem for path in (runs.EXAMPLES / "lasagne").glob("*.py"))


def story(name):
    return runs.example(f"lasagne/{name}")


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_short_and_imports_as_a_lasagne_script(name):
    text = (runs.EXAMPLES / "lasagne" / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) <= 100
    names = {(one.name, one.asname) for node in ast.parse(text).body
             if isinstance(node, ast.Import) for one in node.names}
    assert names >= {("minifer", "lasagne"), ("minifer", "theano"),
                     ("minifer.tensor", "T")}


def test_mlp_and_cnn_learn_and_their_weights_can_be_loaded(tmp_path, capsys):
    script = story("mlp_and_cnn")
    found = script.main(epochs=60, subjects=8, out=str(tmp_path))
    told = capsys.readouterr().out.splitlines()[1:]
    for name, build, line in (("mlp", script.build_mlp, told[0]),
                              ("cnn", script.build_cnn, told[1])):
        assert line.startswith(f"{name}, ") and "moved by two pixels" in line
        assert float(line.split("loss ")[1].split(";")[0]) < 0.7  # log(3) = 1.1 before
        assert found[name][0] > 0.5  # by chance a third
        with np.load(tmp_path / f"{name}.npz") as file:
            layers.set_all_param_values(build(None), list(file.values()))


def test_moved_images_are_moved():
    image = np.zeros((1, 1, 28, 28), "float32")
    image[0, 0, 10, 20] = 1
    places = [np.argwhere(one[0]).tolist() for one in story("mlp_and_cnn").moved(image)]
    assert places == [[[12, 20]], [[8, 20]], [[10, 22]], [[10, 18]]]


def test_autoencoder_finds_faces_in_noise(tmp_path, capsys):
    found = story("autoencoder").main(epochs=60, subjects=4, out=str(tmp_path))
    assert found["after training"] < 0.8 * found["before training"]
    assert found["after training"] < 0.9 * found["the mean face for each"]
    assert found["after training"] < 0.1 * found["the noisy faces"]
    assert math.isclose(found["the noisy faces"], 0.25, rel_tol=0.1)
    assert f"{found['after training']:.4f}  after training" in capsys.readouterr().out
    assert read_image(tmp_path / "faces.png").std() > 20


def test_spatial_transformer_learns_and_shows_where_it_looks(tmp_path, capsys):
    script = story("spatial_transformer")
    found = script.main(epochs=80, images=50, out=str(tmp_path))
    told = capsys.readouterr().out.splitlines()
    for (loss, right), line in zip(found, told, strict=True):
        assert loss < 1.2  # log(10) = 2.3 at the beginning
        assert line.endswith(f"loss {loss:.3f}, {right:.1%} of 500 other digits right")
    assert read_image(tmp_path / "looks.png").std() > 20


def test_drawn_digits_are_ten_different_ones_and_on_the_canvas():
    script = story("spatial_transformer")
    assert len(set(script.DIGITS)) == 10
    images, labels = script.draw_digits(20, np.random.default_rng(0))
    assert images.shape == (20, 1, 40, 40) and labels.shape == (20,)
    assert images.min() == 0 and images.max() == 1


def test_two_networks_approach_the_real_numbers(tmp_path, capsys):
    script = story("two_networks")
    before, after, of_real = script.main(steps=600, out=str(tmp_path))
    assert after < 0.6 * before and of_real < 0.1
    assert f"{after:.3f} after" in capsys.readouterr().out
    assert read_image(tmp_path / "numbers.png").std() > 20


def test_the_distance_is_how_far_numbers_are_carried():
    distance = story("two_networks").distance
    a = np.array([[3.0], [1.0], [2.0]])
    assert distance(a, a[::-1]) == 0 and distance(a, a + 2) == 2


def test_char_lstm_learns_words(tmp_path, capsys):
    script = story("char_lstm")
    found = script.main(steps=80, units=64, out=str(tmp_path))
    (_, before, *_), (_, after, share, text) = found[0], found[-1]
    assert math.isclose(before, math.log2(len(script.SIGNS)), rel_tol=0.02)
    assert after < 0.6 * before and share > found[0][2]
    assert f"\n    {text}\n" in capsys.readouterr().out
    assert (tmp_path / "written.txt").read_text("utf-8").endswith(f"{text}\n")


def test_words_of_the_tale_are_counted_without_those_given_and_the_last():
    share = story("char_lstm").share_of_words
    assert share("x y a lamp moom moon sl") == 0.75 and share("x y lamb sl") == 0
