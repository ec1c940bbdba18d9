"""Augmentation: every image its own draw, whatever the batch; copies on disk."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer.data import augment as module, load_folders, split_by_subject
from minifer.data.augment import Augmentation, brighten, erase, offline, warp
from minifer.data.augment.offline import augment_offline, keep_together, source_of
from minifer.errors import DatasetError, OutputError, SettingError, ShapeError
from minifer.faces import images as image_files

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), np.uint8)
ALL = Augmentation(flip=True, rotation=15, shift=.1, zoom=(.9, 1.2), brightness=.4,
                   erase=.5, seed=3)
SETTINGS = {"flip": {"flip": True}, "rotation": {"rotation": 20.},
            "shift": {"shift": .2}, "zoom": {"zoom": (.7, 1.4)},
            "brightness": {"brightness": .5}, "erase": {"erase": 1}}


# --- online -----------------------------------------------------------------

def test_no_settings_change_nothing():
    before = IMAGES.copy()
    views = Augmentation()(IMAGES, range(12), epoch=1)
    np.testing.assert_array_equal(views, IMAGES)
    assert not np.shares_memory(views, IMAGES) and views.dtype == np.uint8
    ALL(IMAGES, range(12), epoch=1)
    np.testing.assert_array_equal(IMAGES, before)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_image_has_its_own_draw(settings):
    views = Augmentation(**settings)(IMAGES[[0] * 12], range(12), epoch=1)
    kinds = len({view.tobytes() for view in views})
    assert kinds == (2 if "flip" in settings else 12)


@RANDOM_SHAPES
@given(st.lists(st.integers(0, 11), min_size=1, max_size=12), st.integers(1, 4))
def test_a_view_depends_on_number_and_epoch_alone(numbers, workers):
    whole = ALL(IMAGES, range(12), epoch=2, workers=1)
    views = ALL(IMAGES[numbers], numbers, epoch=2, workers=workers)
    np.testing.assert_array_equal(views, whole[numbers])


def test_another_epoch_seed_or_number_is_another_draw():
    views = ALL(IMAGES, range(12), epoch=2)
    for other in (ALL(IMAGES, range(12), epoch=3),
                  ALL(IMAGES, range(12, 24), epoch=2),
                  Augmentation(**{**vars(ALL), "seed": 4})(IMAGES, range(12), 2)):
        assert not any(np.array_equal(a, b) for a, b in zip(views, other))


def test_the_number_of_threads_follows_the_size(monkeypatch):
    """Starting threads takes longer than a small batch."""
    started = []

    class Pool(module.ThreadPoolExecutor):
        def __init__(self, workers):
            started.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 3)
    for side, threads in ((48, []), (400, [2]), (1200, [3])):
        images = np.zeros((8, 1, side, side), np.uint8)
        Augmentation(flip=True)(images, range(8), epoch=0)
        assert started == threads
        started.clear()


def test_draws_do_not_change_between_versions():
    views = Augmentation(flip=True, seed=7)(IMAGES, range(12), epoch=5)
    flipped = [not np.array_equal(a, b) for a, b in zip(views, IMAGES)]
    np.testing.assert_array_equal(views[flipped], IMAGES[flipped][..., ::-1])
    assert "".join(map(str, np.array(flipped, int))) == "111100000101"


def test_a_setting_leaves_the_draws_of_the_others_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "warp",
                        lambda image, **draw: calls.append(draw) or image)
    for brightness, share in ((0, 0), (.5, 1)):
        Augmentation(rotation=15, shift=.1, zoom=(.8, 1.5), brightness=brightness,
                     erase=share)(IMAGES[:5], range(5), epoch=1, workers=1)
    assert calls[:5] == calls[5:]


def test_draws_fill_their_ranges(monkeypatch):
    calls, factors = [], []
    monkeypatch.setattr(module, "warp",
                        lambda image, **draw: calls.append(draw) or image)
    monkeypatch.setattr(module, "brighten",
                        lambda image, factor: factors.append(factor) or image)
    Augmentation(rotation=15, shift=.1, zoom=(.8, 1.5), brightness=.4)(
        np.zeros((2000, 1, 2, 2), np.uint8), range(2000), epoch=1, workers=1)
    drawn = {name: [call[name] for call in calls] for name in calls[0]}
    for values, low, high in ((drawn["degrees"], -15, 15), (drawn["right"], -.1, .1),
                              (drawn["down"], -.1, .1), (drawn["zoom"], .8, 1.5),
                              (factors, .6, 1.4)):
        span = high - low
        assert low <= min(values) < low + .01 * span
        assert high - .01 * span < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < .03 * span
    columns = np.array([*drawn.values(), factors])
    assert np.abs(np.corrcoef(columns) - np.eye(5)).max() < .1


def test_half_are_mirrored_and_a_share_erased():
    many = np.tile(IMAGES[:1], (2000, 1, 1, 1))
    for settings, share in (({"flip": True}, .5), ({"erase": .25}, .25)):
        views = Augmentation(**settings)(many, range(2000), epoch=1)
        assert abs((views != many).any(axis=(1, 2, 3)).mean() - share) < .04


def test_mirrored_and_erased_are_drawn_apart():
    image = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    views = Augmentation(flip=True, erase=.5)(
        np.tile(image, (2000, 1, 1, 1)), range(2000), epoch=1)
    # a row of pixels that go on falling was mirrored, whatever was erased
    mirrored = (views[:, 0, :, ::-1] == image[0, 0]).mean(axis=(1, 2)) > .5
    erased = ~((views == image) | (views == image[..., ::-1])).all(axis=(1, 2, 3))
    assert abs(erased[mirrored].mean() - .5) < .06


def test_channels_move_together():
    views = Augmentation(flip=True, rotation=20, shift=.1, zoom=(.8, 1.2))(
        np.repeat(IMAGES, 3, axis=1), range(12), epoch=1)
    np.testing.assert_array_equal(views[:, 0], views[:, 2])


def test_no_corner_is_black():
    grey = np.full((20, 1, 32, 24), 90, np.uint8)
    views = Augmentation(rotation=180, shift=.5, zoom=(.5, 2))(grey, range(20), 1)
    np.testing.assert_array_equal(views, grey)


def test_turning_is_anticlockwise_about_the_middle():
    image = IMAGES[0]
    np.testing.assert_array_equal(warp(image, 90)[0], np.rot90(image[0]))
    np.testing.assert_array_equal(warp(image, -180)[0], image[0, ::-1, ::-1])
    assert warp(image) is image


def test_shifts_go_right_and_down_and_reflect_at_the_edge():
    image = IMAGES[0]
    padded = np.pad(image[0], ((0, 0), (8, 0)), mode="reflect")[:, :32]
    np.testing.assert_array_equal(warp(image, right=8 / 32)[0], padded)
    padded = np.pad(image[0], ((4, 0), (0, 0)), mode="reflect")[:32]
    np.testing.assert_array_equal(warp(image, down=4 / 32)[0], padded)


def test_a_zoom_magnifies_about_the_middle():
    ramp = np.arange(33, dtype=np.uint8)[None, None] * np.ones((1, 33, 1), np.uint8)
    row = warp(4 * ramp, zoom=2)[0, 16].astype(int)
    np.testing.assert_array_equal(row, 64 + 2 * np.arange(-16, 17))


def test_grey_values_are_cut_off_not_wrapped():
    assert brighten(np.array([0, 100, 101, 200], np.uint8), 1.5).tolist() == [
        0, 150, 152, 255]
    assert brighten(np.array([9], np.uint8), 0).tolist() == [0]
    assert brighten(IMAGES, 1) is IMAGES


@RANDOM_SHAPES
@given(st.lists(st.floats(0, 1 - 2**-53), min_size=4, max_size=4), st.integers(1, 30),
       st.integers(1, 30))
def test_a_rectangle_is_erased_inside_the_image(draw, H, W):
    image = np.full((1, H, W), 300, np.int16)  # a value that noise never has
    erased = erase(image, *draw, np.random.default_rng(0))
    assert (image == 300).all()
    rows, columns = np.nonzero(erased[0] != 300)
    h, w = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == h * w
    if min(H, W) == 30:
        assert .5 * .02 < h * w / (H * W) < .35


def test_erased_rectangles_follow_the_paper():
    rng = np.random.default_rng(1)
    image = np.full((1, 200, 200), 300, np.int16)
    areas, ratios, tops = [], [], []
    for draw in rng.random((500, 4)):
        rows, columns = np.nonzero(erase(image, *draw, rng)[0] != 300)
        h, w = np.ptp(rows) + 1, np.ptp(columns) + 1
        areas.append(h * w / 200 ** 2)
        ratios.append(h / w)
        tops.append(rows[0])
    assert .015 < min(areas) < .03 and .3 < max(areas) < .34
    assert .28 < min(ratios) < .33 and 3 < max(ratios) < 3.5
    assert abs(np.mean(np.log(ratios))) < .1
    assert min(tops) < 5 and max(tops) > 150


@pytest.mark.parametrize("settings, message", [
    ({"flip": .5}, "flip: expected True or False, got 0.5"),
    ({"rotation": -1}, "rotation: expected a number from 0 to 180, got -1"),
    ({"rotation": True}, "rotation: .*got True"),
    ({"shift": 1.1}, "shift: expected a number from 0 to 1"),
    ({"brightness": float("nan")}, "brightness: .*got nan"),
    ({"erase": "half"}, "erase: .*got 'half'"),
    ({"zoom": 1.2}, "zoom: expected two magnifications"),
    ({"zoom": (1.2, .8)}, "zoom: "),
    ({"zoom": (0, 1)}, "zoom: "),
    ({"zoom": ("a", "b")}, "zoom: "),
    ({"seed": -1}, "seed: "),
])
def test_settings_out_of_range(settings, message):
    with pytest.raises(SettingError, match=message) as error:
        Augmentation(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("images, numbers, epoch, workers, error", [
    (IMAGES / 255, range(12), 1, None, ShapeError),
    (IMAGES[:, 0], range(12), 1, None, ShapeError),
    (IMAGES, range(11), 1, None, ShapeError),
    (IMAGES, np.arange(12) - 1, 1, None, SettingError),
    (IMAGES, np.arange(12.), 1, None, SettingError),
    (IMAGES, range(12), -1, None, SettingError),
    (IMAGES, range(12), 1.0, None, SettingError),
    (IMAGES, range(12), True, None, SettingError),
    (IMAGES, range(12), 1, 0, SettingError),
])
def test_batches_that_are_none(images, numbers, epoch, workers, error):
    with pytest.raises(error, match="expected"):
        Augmentation()(images, numbers, epoch, workers)


def test_an_empty_batch_stays_empty():
    assert ALL(IMAGES[:0], [], epoch=1).shape == (0, 1, 32, 32)


# --- offline ----------------------------------------------------------------

@pytest.fixture
def photos(tmp_path):
    """A set of class folders: 4 photos a class for training, 2 for testing."""
    rng = np.random.default_rng(5)
    for part, prefix, number in (("train", "Training", 4), ("test", "PublicTest", 2)):
        for name in ("happy", "sad"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(number):
                image_files.write_png(folder / f"{prefix}_{i}.png", rng.integers(
                    0, 256, (48, 48), np.uint8))
    return tmp_path


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_copies_stand_beside_their_photos(photos):
    before, test = listing(photos / "train"), listing(photos / "test")
    ticks = []
    report = augment_offline(photos / "train", progress=lambda *t: ticks.append(t))
    assert (report.sources, report.written, report.unreadable) == (8, 24, ())
    assert report.kinds == ("mirror", "turn-10", "turn+10")
    assert ticks == [(i, 8) for i in range(1, 9)]
    assert "24 copies (mirror, turn-10, turn+10) of 8 photos, 32 images" in str(report)
    after = listing(photos / "train")
    note = json.loads(after.pop("augmentation.json"))
    assert note["written"] == 24 and note["kinds"] == list(report.kinds)
    assert len(after) == 32 and before.items() <= after.items()
    assert listing(photos / "test") == test
    photo = image_files.read_image(photos / "train/happy/Training_1.png")
    for kind, expected in (("mirror", photo[:, ::-1]),
                           ("turn+10", warp(photo[None], 10)[0]),
                           ("turn-10", warp(photo[None], -10)[0])):
        copy = image_files.read_image(photos / f"train/happy/Training_1.png.{kind}.png")
        np.testing.assert_array_equal(copy, expected)
    assert len(load_folders(photos)) == 36


def test_fer2013_becomes_four_times_as_large():
    kinds = offline._kinds(True, (-10, 10))
    assert 28_709 * (1 + len(kinds)) == 114_836


@pytest.mark.parametrize("name", ["test", "validation", "all", "trained"])
def test_only_training_folders_are_touched(tmp_path, photos, name):
    (photos / "train").rename(tmp_path / "photos")
    (photos / "test").rename(tmp_path / "elsewhere")
    (photos / "photos").rename(tmp_path / name)
    before = listing(photos)
    with pytest.raises(DatasetError, match=f"training folder, .*got '{name}'"):
        augment_offline(photos / name)
    assert listing(photos) == before


def test_the_folder_above_is_no_training_folder(photos):
    (photos / "train" / "train").mkdir()
    (photos / "train" / "happy").rename(photos / "train" / "train" / "happy")
    with pytest.raises(DatasetError, match="expected only folders like"):
        augment_offline(photos / "train")


def test_a_link_does_not_make_the_test_set_a_training_set(photos):
    (photos / "a").mkdir()
    os.symlink(photos / "test", photos / "a" / "train")
    with pytest.raises(DatasetError, match="called train or training, got 'test'"):
        augment_offline(photos / "a" / "train")


@pytest.mark.parametrize("name, message", [
    ("PublicTest_9.png", "by its name it is for validation"),
    ("PrivateTest_9.png", "by its name it is for test"),
    ("Training_1.jpg0.jpg", "named like a copy of another"),
    ("Training_1.png.turn+30.png", "augmented before .turn.30"),
])
def test_strange_files_in_the_training_folder(photos, name, message):
    image_files.write_png(photos / "train" / "sad" / name, IMAGES[0, 0])
    before = listing(photos)
    with pytest.raises(DatasetError, match=message) as error:
        augment_offline(photos / "train")
    assert listing(photos) == before and "\n" not in str(error.value)


def test_not_twice(photos):
    augment_offline(photos / "train", angles=())
    before = listing(photos)
    for settings in ({"angles": ()}, {}):
        with pytest.raises(DatasetError, match="it was augmented before .mirror"):
            augment_offline(photos / "train", **settings)
    assert listing(photos) == before


def test_a_broken_off_run_goes_on(photos, monkeypatch):
    written = []

    def no_space(path, image):
        if len(written) == 5:
            raise OutputError(f"{path}: could not be written")
        written.append(path)
        image_files.write_png(path, image)

    monkeypatch.setattr(offline, "write_png", no_space)
    with pytest.raises(OutputError):
        augment_offline(photos / "train", workers=1)
    assert len(listing(photos / "train")) == 8 + 5  # and no report
    monkeypatch.undo()
    assert augment_offline(photos / "train").sources == 8
    assert len(listing(photos / "train")) == 32 + 1


def test_unreadable_photos_are_told(photos):
    (photos / "train" / "sad" / "Training_0.png").write_bytes(b"no picture")
    report = augment_offline(photos / "train")
    assert report.sources == 8 and report.written == 21
    assert "no copies: " in str(report) and "Training_0.png" in report.unreadable[0]


@pytest.mark.parametrize("settings, message", [
    ({"mirror": False, "angles": ()}, "so there is nothing to do"),
    ({"angles": (0,)}, "other than 0"),
    ({"angles": (181,)}, "from -180 to 180"),
    ({"angles": (-181,)}, "whole number >= -180"),
    ({"angles": (2.5,)}, "got 2.5"),
    ({"workers": 0}, "workers: expected a whole number >= 1"),
])
def test_offline_settings(photos, settings, message):
    with pytest.raises(SettingError, match=message):
        augment_offline(photos / "train", **settings)


@pytest.mark.parametrize("name, source", [
    ("a.jpg.mirror.png", "a.jpg"), ("d/a.PNG.turn-5.png", "d/a.PNG"),
    ("a.jpg", "a.jpg"), ("mirror.png", "mirror.png"), ("a.mirror.png", "a.mirror.png"),
    ("a.jpg.turn5.png", "a.jpg.turn5.png"), ("a.jpg.mirror.jpg", "a.jpg.mirror.jpg"),
])
def test_source_by_name(name, source):
    assert source_of(name) == source


def test_copies_stay_with_their_source_in_a_split(photos):
    augment_offline(photos / "train")
    data = load_folders(photos / "train")
    sources = np.array([source_of(path) for path in data.paths])
    together = keep_together(data)

    def shared(subjects):
        one, other = split_by_subject(data.labels, subjects, (.5, .5), seed=1)
        return set(sources[one]) & set(sources[other])

    assert shared(data.subjects) and not shared(together.subjects)
    assert len(set(together.sequences)) == 8
    photo = data.paths == sources
    np.testing.assert_array_equal(together.subjects[photo], data.subjects[photo])
    orphans = keep_together(data.subset(~photo))
    assert len(set(orphans.subjects)) == 8
