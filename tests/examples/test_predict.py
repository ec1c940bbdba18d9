"""The command that judges photos: lines, JSON, and photos with boxes drawn."""

import json

import numpy as np
import pytest

from helpers import runs
from minifer.data import EMOTIONS
from minifer.faces.cropping import CropSettings
from minifer.faces.images import read_colour, write_png
from minifer.faces.preprocessing import Preprocessing
from minifer.predict.predictor import Predictor
from minifer.weights.model_file import Model, save_model


@pytest.fixture
def judge(tmp_path):
    """The command with a model that finds faces."""
    steps = Preprocessing(CropSettings(size=24))
    save_model(tmp_path / "model.npz", Model(runs.network(size=24, classes=7),
                                             EMOTIONS, steps.to_dict()))

    def call(*words):
        return runs.command("predict", "--model", tmp_path / "model.npz", "--out",
                            tmp_path / "out", *words)
    return call


@pytest.fixture
def photo(tmp_path):
    write_png(tmp_path / "face.png", runs.faces()[1])
    return tmp_path / "face.png"


@pytest.fixture
def wall(tmp_path):
    write_png(tmp_path / "wall.png", np.full((200, 300), 128, np.uint8))
    return tmp_path / "wall.png"


def test_a_line_for_each_face(judge, photo, wall, tmp_path):
    outcome = judge(photo, wall)
    assert (outcome.code, outcome.err) == (0, "")
    line, no_face = outcome.out.splitlines()
    face, = Predictor.load(tmp_path / "model.npz").photo(photo).faces
    values = "  ".join(f"{name} {face.saturations[name]:.2f}" for name in EMOTIONS)
    assert line == f"{photo}: face at {face.box}: {values}  -> {face.label}"
    assert no_face == f"{wall}: no face"


def test_json_is_all_that_is_printed(judge, photo, wall, tmp_path):
    outcome = judge(photo, wall, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    predictor = Predictor.load(tmp_path / "model.npz")
    found, empty = json.loads(outcome.out)
    assert found == predictor.photo(photo).to_dict()
    assert empty == {"photo": str(wall), "status": "no face", "faces": []}
    face, = found["faces"]
    assert sum(face["saturations"].values()) == pytest.approx(1)


def test_the_photo_is_drawn_on_a_copy(judge, photo, wall, tmp_path):
    before = photo.read_bytes()
    judge(photo, wall)
    assert photo.read_bytes() == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face_faces.png"]
    drawn = read_colour(tmp_path / "out" / "face_faces.png")
    plain = read_colour(photo)
    assert drawn.shape == plain.shape
    changed = (drawn != plain).any(axis=2).mean()
    assert 0.005 < changed < 0.5


@pytest.mark.parametrize("names", [
    ("a/x.png", "b/x.png", "c/x.png"), ("a/x.png", "b/x.png", "c/x_2.png"),
    ("c/x_2.png", "a/x.png", "b/x.png"), ("a/x.png", "a/x.jpg.png", "a/x.v2.png")],
    ids=["three", "a number behind", "a number before", "dots"])
def test_photos_of_one_name_do_not_overwrite_each_other(judge, tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_png(tmp_path / name, runs.faces()[1])
    assert judge(*(tmp_path / name for name in names)).code == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_bad_photo_does_not_stop_the_others(judge, photo, tmp_path, words):
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:2000])
    outcome = judge(tmp_path / "cut.png", photo, tmp_path / "none.png", *words)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    cut, missing = outcome.err.splitlines()
    assert cut.startswith(f"error: {tmp_path / 'cut.png'}") and "truncated" in cut
    assert missing.startswith(f"error: {tmp_path / 'none.png'}: no such file")
    if words:
        assert [entry["status"] for entry in json.loads(outcome.out)] == [
            "unreadable", "ok", "unreadable"]
    else:
        assert outcome.out.count("-> ") == 1
    assert (tmp_path / "out" / "face_faces.png").exists()


def test_as_a_script(judge, photo, tmp_path):
    outcome = runs.process(
        runs.EXAMPLES / "predict.py", photo, "--json", "--model",
        tmp_path / "model.npz", "--out", tmp_path / "out",
        PYTHONPATH=str(runs.TESTS.parent))
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)[0]["status"] == "ok"
