"""The model in the box: what it is, and that commands take it."""

import os

import numpy as np
import pytest

from helpers import clips, runs
from minifer import models
from minifer.faces.images import write_png
from minifer.predict.predictor import Predictor


def test_it_is_small_and_says_what_made_it():
    assert os.path.getsize(models.PRETRAINED) <= 3e6
    model = models.pretrained()
    assert model.classes == ("angry", "disgust", "fear", "happy", "neutral", "sad",
                             "surprise")
    assert model.notes["command"].startswith("python examples/train_fer2013.py --data ")
    assert model.network is not models.pretrained().network
    with np.load(models.PRETRAINED) as file:
        assert {file[name].dtype.name for name in file.files
                if name.startswith("arr_")} == {"float16"}


@pytest.mark.parametrize("words", [["predict"], [runs.EXAMPLES / "predict.py"]])
def test_photos_are_judged_by_it_where_no_model_is_given(words, tmp_path):
    write_png(tmp_path / "face.png", clips.person(0))
    options = [tmp_path / "face.png", "--out", tmp_path / "out"]
    done = (runs.minifer(*words, *options) if words == ["predict"] else
            runs.process(*words, *options))
    assert done.code == 0, done.err
    face, = Predictor(models.pretrained()).photo(tmp_path / "face.png").faces
    assert f"face at {face.box}" in done.out and f"-> {face.label}" in done.out
    assert words != ["predict"] or "the model that comes with minifer" in done.err


def test_a_picture_of_its_size_is_a_face_already(tmp_path):
    crop = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    write_png(tmp_path / "crop.png", crop)
    predictor = Predictor(models.pretrained())
    face, = predictor.photo(tmp_path / "crop.png").faces
    said, = predictor.saturations(crop[None, None])
    assert face.box == (0, 0, 48, 48) and face.saturations == said
