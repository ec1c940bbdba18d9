"""What is cut out around a face: margin, scaling, and the photo's edge."""

import json

import cv2
import numpy as np
import pytest

from helpers.photos import draw_photo
from minifer import data
from minifer.errors import SettingError
from minifer.faces import CropSettings, Preprocessing, cropping, write_png

#: As many programs cut faces out that are not minifer's.
WIDE = CropSettings(size=64, margin=10, scaling="linear", edge="fill")
PHOTO = np.random.default_rng(0).integers(0, 256, (60, 100), dtype=np.uint8)


@pytest.mark.parametrize("margin, rows, columns", [
    (0, (20, 40), (30, 50)), (7, (13, 47), (23, 57)), (0.25, (15, 45), (25, 55))])
def test_a_margin_in_pixels_or_as_a_share(margin, rows, columns):
    found = cropping.crop(PHOTO, (30, 20, 20, 20), columns[1] - columns[0],
                          CropSettings(margin=margin))
    np.testing.assert_array_equal(found, PHOTO[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("box, margin, left, top, side", [
    ((0, 0, 20, 20), 8, 0, 0, 36), ((84, 44, 16, 16), 8, 68, 28, 32),
    ((40, 10, 40, 40), 30, 30, 0, 60)])
def test_with_its_margin_a_face_is_moved_inside(box, margin, left, top, side):
    found = cropping.crop(PHOTO, box, side, CropSettings(margin=margin))
    np.testing.assert_array_equal(found, PHOTO[top:top + side, left:left + side])


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (84, 44, 16, 16), (40, 20, 20, 20),
                                 (-5, 50, 30, 20), (0, 0, 100, 60)])
def test_what_is_beyond_the_edge_is_filled(box):
    x, y, w, h = box
    side = max(w, h) + 20
    left, top = x + (w - side) // 2, y + (h - side) // 2
    grey = round(PHOTO[-2:].mean())
    expected = [[PHOTO[r, c] if 0 <= r < 60 and 0 <= c < 100 else grey
                 for c in range(left, left + side)] for r in range(top, top + side)]
    found = cropping.crop(PHOTO, box, side, WIDE)
    np.testing.assert_array_equal(found, expected)


def test_linear_scaling_looks_at_four_pixels():
    found = cropping.crop(PHOTO, (30, 20, 20, 20), 10,
                          CropSettings(scaling="linear", margin=10))
    mine = PHOTO[10:50, 20:60].astype(float)
    middle = slice(1, None, 4), slice(2, None, 4)  # each pixel is 4 wide
    four = [mine[a::4, b::4] for a in (1, 2) for b in (1, 2)]
    assert mine[middle].shape == found.shape
    assert np.abs(found - np.mean(four, axis=0)).max() <= 1


def test_a_crop_already_is_scaled_as_told():
    whole = CropSettings(size=16, mode="whole", scaling="linear", margin=5)
    crops, boxes = cropping.extract(PHOTO, whole)
    np.testing.assert_array_equal(crops[0], cv2.resize(PHOTO, (16, 16)))
    assert boxes.tolist() == [[0, 0, 100, 60]]


def test_training_and_prediction_cut_the_same(tmp_path):
    photo = draw_photo((110, 60, 150))
    (tmp_path / "faces" / "happy").mkdir(parents=True)
    path = tmp_path / "faces" / "happy" / "a.png"
    write_png(str(path), photo)
    steps = Preprocessing(WIDE)
    stored = Preprocessing.from_dict(json.loads(json.dumps(steps.to_dict())))
    assert stored == steps
    predicted, _ = cropping.extract(photo, stored.crop, "largest")
    prepared, _, _ = cropping.prepare([path], WIDE, cache=tmp_path / "cache")
    read = data.load_folders(tmp_path / "faces", faces=WIDE).images
    for crops in (prepared[0], *read):
        np.testing.assert_array_equal(crops, predicted)
    usual, _ = cropping.extract(photo, CropSettings(size=64), "largest")
    assert (usual != predicted).any()


def test_models_without_the_new_settings_are_as_they_were():
    old = {"size": 96, "mode": "haar", "scale_factor": 1.1, "neighbours": 5,
           "smallest": 0.05, "search_side": 1000}
    assert CropSettings.from_dict(old) == CropSettings()
    assert CropSettings().to_dict() == old
    assert set(WIDE.to_dict()) - set(old) == {"margin", "scaling", "edge"}


@pytest.mark.parametrize("wrong", [
    {"margin": -1}, {"margin": 1.5}, {"margin": float("nan")}, {"margin": True},
    {"margin": "10"}, {"margin": 1e9}, {"scaling": "cubic"}, {"edge": None}])
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingError, match="crop setting (margin|scaling|edge): exp"):
        CropSettings(**wrong)
