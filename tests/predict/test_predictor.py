"""Prediction: a model file alone gives what the network in memory gives."""

import json

import numpy as np
import pytest

from helpers import runs
from helpers.tolerances import assert_close
from minifer import layers
from minifer.data import EMOTIONS
from minifer.errors import MiniferError, ShapeError, WeightsError
from minifer.faces.cropping import CropSettings, extract
from minifer.faces.images import write_png
from minifer.faces.preprocessing import Preprocessing
from minifer.faces.views import views
from minifer.predict.predictor import Face, Photo, Predictor
from minifer.weights.model_file import Model, save_model

FINDS_FACES = Preprocessing(CropSettings(size=24))
FRACTIONS = [0.0625, 0.5, 0.0625, 0.0625, 0.125, 0.125, 0.0625]


@pytest.fixture(scope="module")
def model():
    net = runs.network(size=24, classes=7)
    return Model(net, EMOTIONS, FINDS_FACES.to_dict())


@pytest.fixture
def predictor(model, tmp_path):
    """Made from the file alone."""
    save_model(tmp_path / "model.npz", model)
    return Predictor.load(tmp_path / "model.npz")


@pytest.fixture
def photo(tmp_path):
    """A photo of two people."""
    write_png(tmp_path / "two.png", two_people())
    return tmp_path / "two.png"


def two_people():
    """Side by side, the second one smaller."""
    first, second = runs.faces()[0], runs.faces()[2][::2, ::2]
    picture = np.full((490, 960), 128, np.uint8)
    picture[:, :640] = first
    picture[100:345, 640:] = second
    return picture


def test_a_photo_gives_what_the_network_in_memory_gives(predictor, photo, model):
    crops, boxes = extract(two_people(), FINDS_FACES.crop)
    p = layers.get_output(model.network, crops[:, None].astype(np.float32)
                          * np.float32(1 / 255) - np.float32(0.5), deterministic=True)
    found = predictor.photo(photo)
    assert (found.status, found.name, found.error) == ("ok", str(photo), "")
    assert len(found.faces) == 2
    for face, box, row in zip(found.faces, boxes.tolist(), p, strict=True):
        assert list(face.box) == box
        assert list(face.saturations) == list(EMOTIONS)
        assert_close(list(face.saturations.values()), row, "reference", "float32",
                     "saturations")
    assert Predictor(model).photo(photo) == found


def test_saturations_are_fractions_that_sum_to_one(predictor, photo):
    for face in predictor.photo(photo).faces:
        values = np.array(list(face.saturations.values()))
        assert ((values >= 0) & (values <= 1)).all()
        np.testing.assert_allclose(values.sum(), 1, rtol=1e-6)


def test_the_largest_face_alone(predictor, photo):
    both = predictor.photo(photo)
    only, = predictor.photo(photo, which="largest").faces
    assert only.box == both.faces[0].box
    assert both.faces[0].box[2] > both.faces[1].box[2]


def test_prediction_is_deterministic(predictor, photo):
    assert predictor.photo(photo) == predictor.photo(photo)


def test_the_label_is_what_shows_most():
    assert Face((0, 0, 1, 1), dict(zip(EMOTIONS, FRACTIONS))).label == "contempt"


def test_a_photo_without_a_face(predictor, tmp_path):
    write_png(tmp_path / "wall.png", np.full((200, 300), 128, np.uint8))
    assert predictor.photo(tmp_path / "wall.png") == Photo(
        str(tmp_path / "wall.png"), "no face")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut", None],
                         ids=["empty", "text", "cut", "missing"])
def test_a_photo_that_cannot_be_read(predictor, tmp_path, content):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    found = predictor.photo(path)
    assert (found.name, found.status, found.faces) == (str(path), "unreadable", ())
    assert found.error.startswith(str(path)) and "\n" not in found.error


def test_the_json_form(predictor, photo, tmp_path):
    found = predictor.photo(photo)
    values = json.loads(json.dumps(found.to_dict()))
    assert list(values) == ["photo", "status", "faces"]
    assert (values["photo"], values["status"]) == (str(photo), "ok")
    for entry, face in zip(values["faces"], found.faces, strict=True):
        assert list(entry) == ["box", "saturations", "label"]
        assert [type(n) for n in entry["box"]] == [int] * 4
        assert entry["saturations"] == face.saturations
        assert entry["label"] == face.label
    bad = predictor.photo(tmp_path / "none.png").to_dict()
    assert list(bad) == ["photo", "status", "faces", "error"] and bad["faces"] == []


def test_crops_are_judged_one_by_one(predictor, model):
    crops, _ = runs.pictures(5)
    crops = np.kron(crops, np.ones((1, 1, 3, 3), np.uint8))  # 24×24
    together = predictor.saturations(crops)
    assert len(together) == 5
    for crop, values in zip(crops, together):
        alone, = predictor.saturations(crop[None])
        np.testing.assert_allclose(list(alone.values()), list(values.values()),
                                   rtol=1e-5)


def test_equal_faces_agree_wherever_they_are_judged(predictor):
    """To six digits; and equal calls to the bit."""
    crops = np.random.default_rng(0).integers(0, 256, (19, 1, 24, 24)).astype(np.uint8)
    crops[[3, 15, 16, 18]] = crops[0]
    found = predictor.saturations(crops)
    assert predictor.saturations(crops) == found
    for place in (3, 15, 16, 18):
        np.testing.assert_allclose(list(found[place].values()),
                                   list(found[0].values()), rtol=1e-5)


@pytest.mark.parametrize("shape", [(24, 24), (1, 24, 24), (2, 3, 24, 24)])
def test_crops_of_another_shape(predictor, shape):
    with pytest.raises(ShapeError, match=r"expected crops \(N, 1, S, S\)"):
        predictor.saturations(np.zeros(shape, np.uint8))


def test_a_network_of_another_size_than_its_crops(model, photo):
    steps = Preprocessing(CropSettings(size=32))
    wrong = Model(model.network, EMOTIONS, steps.to_dict())
    with pytest.raises(MiniferError, match=r"24, 24"):
        Predictor(wrong).photo(photo)


@pytest.mark.parametrize("preprocessing", [
    {}, None, {"crop": {}}, {"scale": 1}, {"crop": {}, "scale": "much"},
    {"crop": {"size": "big"}, "scale": 1}, {"crop": 3, "scale": 1},
    {"crop": {"colour": 1}, "scale": 1}])
def test_a_model_that_does_not_say_how_to_prepare(model, preprocessing):
    with pytest.raises(WeightsError, match="preprocessing"):
        Predictor(Model(model.network, EMOTIONS, preprocessing))


def test_bare_weights_cannot_predict(tmp_path, model):
    np.savez(tmp_path / "w.npz", *layers.get_all_param_values(model.network))
    with pytest.raises(WeightsError, match="bare weights"):
        Predictor.load(tmp_path / "w.npz")


def test_preprocessing_scales_pixels():
    pixels = np.array([[[[0, 51, 255]]]], np.uint8)
    scaled = Preprocessing()(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[[[-0.5, -0.3, 0.5]]]], rtol=1e-6)
    assert np.array_equal(pixels, [[[[0, 51, 255]]]])


def test_views_are_averaged(model, predictor):
    crops = np.random.default_rng(3).integers(0, 256, (3, 1, 24, 24), np.uint8)
    wide = Predictor(model, tta=True).saturations(crops)
    each = [predictor.saturations(view) for view in views(crops)]
    for i, found in enumerate(wide):
        for name, p in found.items():
            assert abs(p - np.mean([one[i][name] for one in each])) < 1e-6
    assert wide != predictor.saturations(crops)
