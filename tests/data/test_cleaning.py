"""Blank, dark, bright and repeated images, planted one of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer.data import (Dataset, SplitDataset, clean, count_copies, exact_copies,
                          near_copies)
from minifer.data.copies import near_groups, thumbnail
from minifer.errors import DatasetError, SettingError, ShapeError

cv2 = pytest.importorskip("cv2")


def smooth_images(count, seed=0, size=48):
    """Random pictures with large patches, as different as faces are."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (count, 6, 6)).astype(np.float32)
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
                     for image in coarse]).clip(0, 255).astype(np.uint8)[:, None]


def data_of(images, labels=None, usage=None, classes=("happy", "sad")):
    names = [f"{index}.png" for index in range(len(images))]
    labels = [0] * len(images) if labels is None else labels
    return SplitDataset(images, labels, classes, names, names, names, usage=usage)


def kept(data):
    return [int(path.split(".")[0]) for path in data.paths]


def test_each_fault_is_found_and_counted_by_class():
    images = smooth_images(8)
    images[1] = 0                                   # blank, and dark too
    images[2] = 5
    images[2, 0, 0, 0] = 9                          # dark, not blank
    images[3] = 250
    images[3, 0, 0, 0] = 9                          # bright
    images[6] = images[4]                           # a copy, of another class
    images[7] = images[0]                           # a copy of the same class
    data = data_of(images, [0, 0, 1, 1, 0, 1, 1, 0])
    cleaned, report = clean(data)
    assert kept(cleaned) == [0, 4, 5]
    assert {name: counts.tolist() for name, counts in report.dropped.items()} == {
        "blank": [1, 0], "too_dark": [0, 1], "too_bright": [0, 1], "copy": [1, 1]}
    assert report.before.tolist() == [4, 4] and report.conflicts == 1
    assert cleaned.notes["blank"] == ["1.png"] and cleaned.notes["copy"] == [
        "6.png", "7.png"]
    lines = str(report).splitlines()
    assert lines[0].split() == ["class", "before", "blank", "too", "dark", "too",
                                "bright", "copy", "left"]
    assert lines[1].split() == ["happy", "4", "1", "0", "0", "1", "2"]
    assert lines[3].split() == ["all", "8", "1", "1", "1", "2", "3"]
    assert lines[4] == "copies with different labels: 1 groups"
    assert type(cleaned) is SplitDataset and len(data) == 8
    assert "left out, too dark: 1 (2.png)" in cleaned.summary()


def test_the_bounds_themselves_are_outside():
    images = np.zeros((4, 1, 48, 48), np.uint8)
    for image, mean in zip(images, (25.5, 25.6, 229.4, 229.5)):
        high = int(np.ceil(mean))
        image[:] = high
        image.ravel()[:round((high - mean) * 2304)] = high - 1
    assert images[0].mean() / 255 == 0.1 and images[3].mean() / 255 == 0.9
    cleaned, report = clean(data_of(images))
    assert kept(cleaned) == [1, 2]
    assert kept(clean(data_of(images), low=0, high=1)[0]) == [0, 1, 2, 3]


@RANDOM_SHAPES
@given(st.lists(st.integers(0, 255), min_size=1, max_size=20),
       st.floats(0, 0.4), st.floats(0.6, 1))
def test_what_is_left_lies_inside_and_nothing_else_goes(values, low, high):
    images = np.repeat(np.array([128, *values], np.uint8), 48 * 48)
    images = images.reshape(-1, 1, 48, 48)
    cleaned, report = clean(data_of(images), low, high, blanks=False, copies=None)
    expected = [i for i, v in enumerate([128, *values]) if low < v / 255 < high]
    assert kept(cleaned) == expected
    assert report.before[0] == len(expected) + sum(
        counts.sum() for counts in report.dropped.values())


def test_validation_and_test_stay_and_training_gives_way():
    images = smooth_images(6)
    images[3] = images[0]                       # train copy of a later test image
    images[4] = 0                               # blank, in the test set
    images[5] = images[2]                       # twice in the test set
    usage = ["train", "train", "test", "validation", "test", "test"]
    data = data_of(images, usage=usage)
    cleaned, _ = clean(data)
    assert kept(cleaned) == [1, 2, 3, 4, 5]
    cleaned, _ = clean(data, protect=())
    assert kept(cleaned) == [0, 1, 2]
    cleaned, _ = clean(data, protect=("test",))
    assert kept(cleaned) == [0, 1, 2, 4, 5]


def test_a_plain_data_set_is_cleaned_too():
    images = smooth_images(3)
    images[2] = images[0]
    names = list("abc")
    plain = Dataset(images, [0, 0, 0], ("happy",), names, names, names)
    cleaned, _ = clean(plain)
    assert type(cleaned) is Dataset and cleaned.paths.tolist() == ["a", "b"]
    assert kept(clean(data_of(images), copies=None)[0]) == [0, 1, 2]


def test_copies_are_sought_among_what_is_left():
    images = smooth_images(4)
    images[0] = 3                                       # as dark as ...
    images[1] = 3                                       # ... its copy
    images[3] = images[2]
    cleaned, report = clean(data_of(images), blanks=False)
    assert kept(cleaned) == [2]
    assert report.dropped["too_dark"][0] == 2 and report.dropped["copy"][0] == 1


def test_near_copies_go_when_asked():
    images = smooth_images(3)
    images[2] = np.clip(images[0].astype(int) + 12, 0, 255)
    assert kept(clean(data_of(images))[0]) == [0, 1, 2]
    assert kept(clean(data_of(images), copies="near")[0]) == [0, 1]


@pytest.mark.parametrize("options, message", [
    ({"low": 0.9, "high": 0.1}, "low, high: expected 0 <= low < high <= 1"),
    ({"low": -0.1}, "low, high"), ({"high": 25}, "low, high"),
    ({"low": float("nan")}, "low, high"), ({"copies": "all"}, "got 'all'")])
def test_wrong_settings(options, message):
    with pytest.raises(SettingError, match=message):
        clean(data_of(smooth_images(2)), **options)


def test_nothing_left():
    with pytest.raises(DatasetError, match="all 2 are blank, too dark"):
        clean(data_of(np.zeros((2, 1, 48, 48), np.uint8)))


# --- copies -----------------------------------------------------------------

@RANDOM_SHAPES
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_exact_copies_point_to_the_first_of_their_kind(kinds):
    images = smooth_images(5)[kinds]
    first = exact_copies(images)
    assert first.tolist() == [kinds.index(kind) for kind in kinds]
    np.testing.assert_array_equal(near_copies(images), first)


def test_one_pixel_makes_an_image_another():
    images = smooth_images(1)[[0, 0]]
    images[1, 0, 47, 47] ^= 1
    assert exact_copies(images).tolist() == [0, 1]
    assert near_copies(images).tolist() == [0, 0]


def changed(name, image):
    """The same picture after what happens to pictures."""
    if name == "brighter":
        return np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8)
    if name == "less contrast":
        return (image * 0.6 + 40).astype(np.uint8)
    if name == "compressed":
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY,
                                                         30])[1], 0)
    if name == "watermark":
        mark = cv2.putText(image.copy(), "abc", (4, 40), 0, 0.4, 255)
        return cv2.addWeighted(image, 0.7, mark, 0.3, 0)
    return cv2.flip(image, 1)


@pytest.mark.parametrize("change, near", [
    ("brighter", True), ("less contrast", True), ("compressed", True),
    ("watermark", True), ("mirrored", False)])
def test_what_near_copies_see_through(change, near):
    images = smooth_images(20)
    images[19, 0] = changed(change, images[3, 0])
    first = near_copies(images)
    assert (first[19] == 3) == near
    assert first[:19].tolist() == list(range(19))  # different pictures stay apart
    assert exact_copies(images)[19] == 19


def test_pictures_of_other_sizes_have_comparable_thumbnails():
    small, large = smooth_images(1, size=48)[0, 0], smooth_images(1, size=200)[0, 0]
    assert thumbnail(small) @ thumbnail(large) > 0.99
    assert np.linalg.norm(thumbnail(large)) == pytest.approx(1, rel=1e-6)


def test_groups_are_joined_along_a_chain_and_blank_images_resemble_nothing():
    a, c = np.eye(256, dtype=np.float32)[:2]
    b = (a + c) / np.sqrt(2)
    assert near_groups([c, a, b], 0.7).tolist() == [0, 0, 0]
    assert near_groups([c, a, b], 0.8).tolist() == [0, 1, 2]
    blank = np.full((2, 1, 48, 48), [[[[7]]], [[[9]]]], np.uint8)
    assert near_copies(blank).tolist() == [0, 1]
    assert near_copies(blank[[0, 0]]).tolist() == [0, 0]


def test_blocks_change_nothing(monkeypatch):
    images = smooth_images(7)[[0, 1, 2, 1, 3, 0, 2]]
    whole = near_copies(images)
    monkeypatch.setattr("minifer.data.copies.BLOCK", 2)
    np.testing.assert_array_equal(near_copies(images), whole)
    assert whole.tolist() == [0, 1, 2, 1, 4, 0, 2]


def test_copies_across_parts():
    first = np.array([0, 1, 0, 3, 0, 1, 6])
    usage = np.array(["train"] * 4 + ["test"] * 3)
    assert count_copies(first, usage) == {
        "train": 1, "test": 0, ("train", "test"): 2, ("test", "train"): 3}


def test_what_copies_refuse():
    with pytest.raises(SettingError, match="threshold: .*got 1.5"):
        near_copies(smooth_images(2), threshold=1.5)
    with pytest.raises(ShapeError, match=r"\(N, 1, H, W\) of uint8, got float64"):
        near_copies(smooth_images(2).astype(float))
    with pytest.raises(ShapeError, match=r"images \(N, C, H, W\), got shape \(48, 48"):
        exact_copies(smooth_images(1)[0, 0])
