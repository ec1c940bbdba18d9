"""Finding, cropping and preparing faces, on drawn ones that the cascade finds."""

import json
import os

import numpy as np
import pytest

from helpers import runs
from helpers.photos import LARGE, SMALL, draw_photo
from minifer.errors import BackendUnavailable, SettingError, ShapeError
from minifer.faces import cascades, cropping
from minifer.faces.cache import CropCache, cache_folder
from minifer.faces.cropping import CropSettings
from minifer.faces.images import encode_png, write_png

cv2 = pytest.importorskip("cv2")

WHOLE = CropSettings(size=32, mode="whole")


def centre(box):
    x, y, width, height = box
    return np.array([x + width / 2, y + height / 2])


def test_all_faces_the_largest_first():
    boxes = cropping.find_faces(draw_photo(SMALL, LARGE), which="all")
    assert boxes.shape == (2, 4) and boxes.dtype == np.int64
    for box, (x, y, side) in zip(boxes, (LARGE, SMALL)):
        assert np.abs(centre(box) - (x + side / 2, y + side / 2)).max() < 0.12 * side
        assert side < box[2] < 1.5 * side
    one = cropping.find_faces(draw_photo(SMALL, LARGE), which="largest")
    np.testing.assert_array_equal(one, boxes[:1])


def find(monkeypatch, *boxes):
    """All faces of a photo on which the cascade finds these boxes."""
    class Cascade:
        def detectMultiScale(self, photo, **options):
            return boxes

    monkeypatch.setattr(cascades, "load", lambda name: Cascade())
    return cropping.find_faces(np.zeros((100, 100), np.uint8), which="all").tolist()


def test_equal_faces_come_in_reading_order(monkeypatch):
    boxes = find(monkeypatch, (50, 60, 30, 30), (9, 60, 30, 30), (70, 5, 30, 30),
                 (0, 0, 50, 50))
    assert [box[:2] for box in boxes] == [[0, 0], [70, 5], [9, 60], [50, 60]]


def test_a_part_of_a_face_is_no_face(monkeypatch):
    face, eye, beside, mostly_in = [0, 0, 60, 60], [9, 9, 20, 20], [50, 5, 20, 20], [
        49, 35, 20, 20]
    assert find(monkeypatch, eye, face, beside, mostly_in) == [face, beside]


def test_no_face_on_a_blank_photo():
    blank = np.full((100, 120), 128, np.uint8)
    crops, boxes = cropping.extract(blank)
    assert crops.shape == (0, 96, 96) and crops.dtype == np.uint8
    assert boxes.shape == (0, 4)


def test_a_huge_photo_is_searched_small_and_cropped_from_its_own_pixels():
    photo = draw_photo(LARGE)
    huge = cv2.resize(photo, None, fx=10, fy=10)
    crops, boxes = cropping.extract(huge, which="largest")
    expected, expected_boxes = cropping.extract(photo, which="largest")
    assert np.abs(boxes / 10 - expected_boxes).max() < 12
    np.testing.assert_array_equal(crops[0], cropping.crop(huge, boxes[0], 96))
    x, y, w, h = boxes[0]
    assert 0 <= x and x + w <= 4000 and 0 <= y and y + h <= 3000


def test_smallest_face_is_a_share_of_the_shorter_side():
    photo = draw_photo(SMALL, LARGE)  # faces of about 96 and 187 of 300 pixels
    assert len(cropping.find_faces(photo, CropSettings(smallest=0.5), "all")) == 1


def test_crop_is_square_and_keeps_proportions():
    photo = np.tile(np.arange(100, dtype=np.uint8), (60, 1))
    tall = cropping.crop(photo, (40, 10, 10, 40), 40)  # 40 wide around column 45
    np.testing.assert_array_equal(tall[0], np.arange(25, 65))


@pytest.mark.parametrize("box, first, last", [
    ((-10, 0, 30, 30), 0, 29), ((90, 0, 30, 30), 70, 99), ((0, 0, 100, 100), 20, 79)])
def test_crop_at_the_edge_is_moved_not_stretched(box, first, last):
    photo = np.tile(np.arange(100, dtype=np.uint8), (60, 1))
    side = last - first + 1
    np.testing.assert_array_equal(cropping.crop(photo, box, side)[0],
                                  np.arange(first, last + 1))


def test_shrinking_averages_areas():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 200
    assert (cropping.crop(board.astype(np.uint8), (0, 0, 64, 64), 16) == 100).all()


def test_whole_mode_takes_the_image_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (64, 128), dtype=np.uint8)
    crops, boxes = cropping.extract(photo, WHOLE, "all")
    assert boxes.tolist() == [[0, 0, 128, 64]]
    means = photo.reshape(32, 2, 32, 4).mean(axis=(1, 3))
    assert np.abs(crops[0] - means).max() <= 0.5


@pytest.mark.parametrize("photo", [
    np.zeros((50, 50)), np.zeros((50, 50, 3), np.uint8), np.zeros((0, 5), np.uint8),
    [[1, 2], [3, 4]]])
def test_wants_grey_uint8(photo):
    for function in (cropping.find_faces, cropping.extract):
        with pytest.raises(ShapeError, match=r"expected a photo \(H, W\) of uint8"):
            function(photo)
    with pytest.raises(ShapeError, match="expected a photo"):
        cropping.crop(photo, (0, 0, 2, 2), 8)


def test_wrong_words_and_boxes_are_refused():
    photo = np.zeros((50, 50), np.uint8)
    with pytest.raises(SettingError, match="'largest' or 'all', got 'first'"):
        cropping.extract(photo, which="first")
    for box in [(50, 0, 9, 9), (0, -9, 9, 9), (0, 0, 0, 9)]:
        with pytest.raises(ShapeError, match="50x50 pixels"):
            cropping.crop(photo, box, 8)


@pytest.mark.parametrize("wrong", [
    {"mode": "dlib"}, {"size": 0}, {"size": 96.0}, {"size": True},
    {"neighbours": True}, {"scale_factor": 1.0}, {"smallest": 1.5}, {"neighbours": "5"},
    {"scale_factor": float("nan")}])
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingError, match="expected"):
        CropSettings(**wrong)


def test_settings_survive_json():
    settings = CropSettings(size=48, mode="whole", smallest=0.2)
    again = CropSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings
    with pytest.raises(SettingError, match="got also .'tilt'."):
        CropSettings.from_dict({"size": 48, "tilt": 3})


@pytest.mark.parametrize("break_opencv, message", [
    (lambda patch: patch.delattr(cv2, "CascadeClassifier"), "no CascadeClassifier"),
    (lambda patch: patch.setattr(cv2.data, "haarcascades", "/none"), "without haar"),
    (lambda patch: patch.delattr(cv2, "data"), "without haar")])
def test_without_the_cascade_the_remedy_is_named(monkeypatch, break_opencv, message):
    monkeypatch.setattr(cascades, "_thread", type("Empty", (), {})())
    break_opencv(monkeypatch)
    with pytest.raises(BackendUnavailable, match=message + ".*headless<5"):
        cropping.find_faces(np.zeros((50, 50), np.uint8))


# --- eyes ------------------------------------------------------------------------

def test_a_drawn_person_has_two_eyes():
    for photo in runs.faces():
        box, = cropping.find_faces(photo)
        left, right = cropping.find_eyes(photo, box)
        x, y, width, height = box
        assert x < centre(left)[0] < x + width / 2 < centre(right)[0] < x + width
        assert all(y < centre(eye)[1] < y + .6 * height for eye in (left, right))


def test_eyes_on_a_huge_photo_are_those_on_a_small_one():
    photo = runs.faces()[0]
    box, = cropping.find_faces(photo)
    huge = cv2.resize(photo, None, fx=8, fy=8)
    eyes = cropping.find_eyes(huge, 8 * box)[[0, -1]]
    assert np.abs(eyes / 8 - cropping.find_eyes(photo, box)).max() < .1 * box[2]


def test_no_eyes_where_they_are_painted_over():
    photo = runs.faces()[0].copy()
    box, = cropping.find_faces(photo)
    x, y, width, height = box
    photo[y + height // 4:y + height // 2, x:x + width] = 150
    assert cropping.find_eyes(photo, box).shape == (0, 4)


def test_eyes_of_a_face_at_the_edge_and_of_no_face():
    photo = np.full((60, 50), 128, np.uint8)
    assert cropping.find_eyes(photo, (-5, -5, 70, 90)).shape == (0, 4)
    with pytest.raises(ShapeError, match="50x60 pixels"):
        cropping.find_eyes(photo, (50, 0, 9, 9))
    with pytest.raises(ShapeError, match="expected a photo"):
        cropping.find_eyes(photo / 2, (0, 0, 9, 9))


# --- prepare and its cache -------------------------------------------------------


@pytest.fixture
def album(tmp_path):
    """Photos with two faces, one and none, and one file that is no image."""
    folder = tmp_path / "album"
    folder.mkdir()
    photos = {"b.png": draw_photo(SMALL, LARGE), "a.png": draw_photo(SMALL),
              "none.png": np.full((90, 90), 128, np.uint8)}
    for name, photo in photos.items():
        write_png(folder / name, photo)
    (folder / "bad.png").write_bytes(b"not an image")
    return [folder / name for name in ("b.png", "bad.png", "none.png", "a.png")]


def test_prepare_crops_in_order_and_counts_what_it_cannot(album, tmp_path):
    steps = []
    crops, found, errors = cropping.prepare(
        album, cache=tmp_path / "cache", progress=lambda *step: steps.append(step))
    assert crops.shape == (4, 1, 96, 96) and crops.dtype == np.uint8
    assert found.tolist() == [True, False, False, True]
    assert len(errors) == 1 and "bad.png: expected a JPEG" in str(errors[0])
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    expected, _ = cropping.extract(draw_photo(SMALL, LARGE), which="all")
    np.testing.assert_array_equal(crops[0], expected[:1])
    assert not crops[1:3].any()


def test_the_number_of_threads_and_the_cache_change_nothing(album, tmp_path):
    album = album * 5
    reference = cropping.prepare(album, cache=False, workers=1)
    for options in [{"cache": False, "workers": 8}, {"cache": tmp_path / "cache"},
                    {"cache": tmp_path / "cache"}]:
        crops, found, errors = cropping.prepare(album, **options)
        np.testing.assert_array_equal(crops, reference[0])
        np.testing.assert_array_equal(found, reference[1])
        assert [str(e) for e in errors] == [str(e) for e in reference[2]]


def test_opencv_keeps_its_number_of_threads(album):
    before = cv2.getNumThreads()
    cropping.prepare(album, cache=False)
    assert cv2.getNumThreads() == before


@pytest.fixture
def searches(monkeypatch):
    """Count how many photos are really searched."""
    calls, extract = [], cropping.extract

    def counting(*arguments):
        calls.append(1)
        return extract(*arguments)
    monkeypatch.setattr(cropping, "extract", counting)
    return calls


def test_a_second_call_searches_nothing(album, tmp_path, searches):
    cropping.prepare(album, cache=tmp_path / "cache")
    assert len(searches) == 3
    cropping.prepare(album, cache=tmp_path / "cache")
    assert len(searches) == 3  # the photo without a face is remembered as well


def test_changed_files_and_settings_are_searched_anew(album, tmp_path, searches,
                                                      monkeypatch):
    cache = tmp_path / "cache"
    cropping.prepare(album[:1], cache=cache)
    write_png(album[0], draw_photo(SMALL))
    cropping.prepare(album[:1], cache=cache)
    cropping.prepare(album[:1], CropSettings(neighbours=4), cache=cache)
    monkeypatch.setattr(cropping, "CROP_VERSION", cropping.CROP_VERSION + 1)
    cropping.prepare(album[:1], cache=cache)
    assert len(searches) == 4


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"",
                                    lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_entry_is_computed_again(album, tmp_path, searches, damage):
    first, _, _ = cropping.prepare(album[:1], cache=tmp_path)
    entry, = (path for path in (tmp_path / "crops").rglob("*") if path.is_file())
    entry.write_bytes(damage(entry.read_bytes()))
    again, _, _ = cropping.prepare(album[:1], cache=tmp_path)
    np.testing.assert_array_equal(again, first)
    assert len(searches) == 2
    cropping.prepare(album[:1], cache=tmp_path)
    assert len(searches) == 2  # and the entry was mended


def test_an_interrupted_preparation_continues(album, tmp_path, searches):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cropping.prepare(album, cache=tmp_path, progress=interrupt, workers=1)
    before = len(searches)
    assert before >= 1
    cropping.prepare(album, cache=tmp_path, workers=1)
    assert len(searches) == 3  # nothing was searched twice


def test_a_cache_that_cannot_be_written_warns_once(album, tmp_path):
    (tmp_path / "file").write_bytes(b"")  # a file where the folder should be
    with pytest.warns(UserWarning, match="not kept.*MINIFER_CACHE") as warned:
        _, found, _ = cropping.prepare(album, cache=tmp_path / "file")
    assert len(warned) == 1 and found.sum() == 2


def test_after_a_failed_write_no_other_is_tried(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = CropCache(tmp_path / "file", 4)
    cache.put("aa", np.zeros((1, 4, 4), np.uint8))
    assert "could not be" in cache.problem or "expected a folder" in cache.problem
    (tmp_path / "file").unlink()
    cache.put("aa", np.zeros((1, 4, 4), np.uint8))
    assert cache.get("aa") is None


def test_prepare_of_nothing():
    crops, found, errors = cropping.prepare([], WHOLE, cache=False)
    assert crops.shape == (0, 1, 32, 32) and found.shape == (0,) and errors == []


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path, album):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINIFER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == str(tmp_path / ".cache" / "minifer")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == str(tmp_path / "xdg" / "minifer")
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == str(tmp_path / "mine")
    cropping.prepare(album[:1], WHOLE)
    assert any((tmp_path / "mine").rglob("*"))


def test_cache_keeps_several_crops_and_none(tmp_path):
    cache = CropCache(tmp_path, 4)
    two = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    cache.put("aa", two)
    cache.put("bb", two[:0])
    np.testing.assert_array_equal(cache.get("aa"), two)
    assert cache.get("bb").shape == (0, 4, 4)
    assert cache.get("cc") is None
    assert CropCache(tmp_path, 5).get("aa") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_in_the_cache_is_not_waited_for(tmp_path):
    (tmp_path / "aa").mkdir()
    os.mkfifo(tmp_path / "aa" / "aa")
    assert CropCache(tmp_path, 4).get("aa") is None


def test_training_and_prediction_see_the_same_pixels(tmp_path):
    photo = draw_photo(LARGE)
    write_png(tmp_path / "p.png", photo)
    trained, _, _ = cropping.prepare([tmp_path / "p.png"], cache=False)
    stored = CropSettings.from_dict(json.loads(json.dumps(CropSettings().to_dict())))
    predicted, _ = cropping.extract(photo, stored, "all")
    np.testing.assert_array_equal(trained[0], predicted)
    assert encode_png(predicted[0])


def test_either_mode_finds_faces_on_photos_and_takes_small_squares_as_they_are():
    settings = CropSettings(size=48, mode="either")
    photo = runs.faces()[0]
    for found, searched in zip(cropping.extract(photo, settings),
                               cropping.extract(photo, CropSettings(size=48))):
        np.testing.assert_array_equal(found, searched)
    for side in (20, 48):
        small = np.random.default_rng(side).integers(0, 256, (side, side), np.uint8)
        crops, boxes = cropping.extract(small, settings)
        assert boxes.tolist() == [[0, 0, side, side]]
        np.testing.assert_array_equal(
            crops,
            cropping.extract(small, CropSettings(size=48, mode="whole"))[0])
    assert not len(cropping.find_faces(np.full((49, 49), 99, np.uint8), settings))
    assert not len(cropping.find_faces(np.full((40, 48), 99, np.uint8), settings))
