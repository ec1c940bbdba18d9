"""Many photos: one result each, in order, the same as one at a time; flat memory."""

import numpy as np
import pytest

from helpers import clips, runs
from minifer import layers, nonlinearities
from minifer.errors import SettingError
from minifer.faces.cropping import CropSettings
from minifer.faces.images import encode_png, write_png
from minifer.faces.preprocessing import ColourPreprocessing, Preprocessing
from minifer.predict.predictor import BATCH, Predictor
from minifer.weights.model_file import Model


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(clips.save_judge(tmp_path_factory.mktemp("m") / "model.npz"))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """19 files: faces, two faces, walls, and all that is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    png = encode_png(clips.person(0))
    content = {"one": png, "wall": encode_png(np.full((60, 80), 128, np.uint8)),
               "other": encode_png(clips.person(1)), "empty": b"", "text": b"Dear",
               "both": encode_png(np.hstack([clips.person(0), clips.person(1)])),
               "cut": png[:900], "tiny": encode_png(np.zeros((2, 2), np.uint8))}
    paths = []
    for number, (name, data) in enumerate(list(content.items()) * 2):
        paths.append(folder / f"{number:02d}_{name}.png")
        paths[-1].write_bytes(data)
    return [*paths, folder / "missing.png", folder, paths[0]]


def same(a, b):
    """Equal, but for the rounding of another batch size."""
    assert (a.name, a.status, a.error) == (b.name, b.status, b.error)
    assert [face.box for face in a.faces] == [face.box for face in b.faces]
    for one, other in zip(a.faces, b.faces):
        np.testing.assert_allclose(list(one.saturations.values()),
                                   list(other.saturations.values()), rtol=1e-5)


@pytest.mark.parametrize("batch_size, threads", [(1, 0), (4, 2), (100, 3), (5, 0)])
def test_each_photo_gets_what_it_gets_alone(predictor, paths, batch_size, threads):
    found = list(predictor.photos(paths, batch_size=batch_size, threads=threads))
    assert [photo.name for photo in found] == [str(path) for path in paths]
    for photo, path in zip(found, paths, strict=True):
        same(photo, predictor.photo(path))
    expected = {"one": "ok", "other": "ok", "both": "ok", "wall": "no face"}
    for photo, path in zip(found, paths):
        status = expected.get(path.stem[3:], "unreadable")
        assert photo.status == status
        assert bool(photo.error) == (status == "unreadable")
    assert len(found[5].faces) == 2


def test_the_faces_of_several_photos_are_judged_together(predictor, paths, monkeypatch):
    sizes = []
    judge = predictor.saturations
    monkeypatch.setattr(predictor, "saturations",
                        lambda crops: sizes.append(len(crops)) or judge(crops))
    list(predictor.photos(paths, batch_size=100))
    assert sizes == [9]


def test_the_largest_face_alone(predictor, paths):
    both, = predictor.photos(paths[5:6])
    largest, = predictor.photos(paths[5:6], which="largest")
    assert largest.faces[0].box == both.faces[0].box
    assert (len(both.faces), len(largest.faces)) == (2, 1)


def test_any_number_without_reading_far_ahead(predictor, paths):
    """Of a long folder, little is read ahead."""
    read = []

    def folder():
        for _ in range(100):
            read.append(1)
            yield paths[1]

    photos = predictor.photos(folder(), batch_size=3, threads=2)
    for taken in range(1, 30):
        assert next(photos).status == "no face"
        assert len(read) <= taken + 2 * 3 + 2 * 2
    photos.close()


def test_no_photos(predictor):
    assert list(predictor.photos([])) == []


def test_a_photo_of_50_megapixels(predictor, tmp_path):
    """The face is found in a small copy, and its box is that of the photo."""
    huge = np.full((6000, 8400), 128, np.uint8)
    huge[1000:4920, 2000:7120] = np.kron(runs.faces()[0], np.ones((8, 8), np.uint8))
    write_png(tmp_path / "huge.png", huge)
    photo, = predictor.photos([tmp_path / "huge.png"])
    x, y, w, h = photo.faces[0].box
    assert photo.status == "ok" and w > 1500
    assert 2000 < x < x + w < 7120 and 1000 < y < y + h < 4920


def test_more_faces_than_are_judged_at_once(predictor):
    crops = np.random.default_rng(0).integers(
        0, 256, (2 * BATCH + 3, 1, 24, 24)).astype(np.uint8)
    together = predictor.saturations(crops)
    assert len(together) == len(crops)
    p = layers.get_output(predictor.model.network, Preprocessing()(crops),
                          deterministic=True)
    np.testing.assert_allclose([list(row.values()) for row in together], p, rtol=1e-5)


def test_a_model_of_colour_photos(paths):
    steps = ColourPreprocessing.imagenet("torch", CropSettings(size=48), size=32)
    network = layers.DenseLayer(layers.InputLayer((None, 3, 32, 32)), 7,
                                nonlinearity=nonlinearities.softmax)
    model = Model(network, tuple("abcdefg"), steps.to_dict())
    photos = list(Predictor(model).photos(paths[:6]))
    assert [photo.status for photo in photos] == [
        "ok", "no face", "ok", "unreadable", "unreadable", "ok"]
    for face in (face for photo in photos for face in photo.faces):
        assert sum(face.saturations.values()) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": 1.5},
                                   {"threads": -1}, {"threads": True},
                                   {"which": "some"}])
def test_wrong_settings(predictor, paths, wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        list(predictor.photos(paths[:1], **wrong))
