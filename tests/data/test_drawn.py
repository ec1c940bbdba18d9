"""Drawn faces: the layout of CK+, determinism, continuation, and real detection."""

import dataclasses
import json
import os
import re

import cv2
import numpy as np
import pytest

from minifer.data import drawn
from minifer.data.drawn import make_faces
from minifer.data.drawn.drawing import Portrait, draw_sitting
from minifer.data.drawn.people import (EMOTIONS, NUM_UNITS, draw_peak, draw_person,
                                       intensities)
from minifer.data.drawn.shape import face_shape
from minifer.errors import DatasetError, SettingError

SMALL = dict(subjects=2, emotions=["anger", "surprise"], frames=(2, 3), seed=5)


def read_tree(folder):
    """All files below ``folder`` as {relative path: bytes}."""
    tree = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                tree[os.path.relpath(path, folder)] = file.read()
    return tree


def pictures(tree):
    return {path: data for path, data in tree.items() if path.endswith(".png")}


def decode(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A set of all emotions: (folder, images_root, labels_root)."""
    folder = tmp_path_factory.mktemp("faces")
    return (folder, *make_faces(folder, subjects=4, frames=(4, 6), seed=3))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    make_faces(folder, **SMALL)
    return folder


@pytest.fixture(scope="module")
def frontal():
    """A portrait that looks straight into a perfect camera, 100 pixels a unit."""
    person = draw_person(np.random.default_rng(1))
    sitting = draw_sitting(np.random.default_rng(1))
    return Portrait(person, dataclasses.replace(
        sitting, x=320, y=240, scale=1.0, roll=0.0, yaw=0.0, noise=0.0, blur=0.5))


def sequences(images_root):
    """Paths of the frames of every sequence, in order."""
    for parent, _, names in sorted(os.walk(images_root)):
        if names:
            yield [os.path.join(parent, name) for name in sorted(names)]


def test_layout_is_that_of_ck(faces):
    folder, images_root, labels_root = faces
    assert images_root == os.path.join(folder, "cohn-kanade-images")
    assert labels_root == os.path.join(folder, "Emotion")
    count = 0
    for frames in sequences(images_root):
        names = [os.path.relpath(path, images_root) for path in frames]
        numbers = []
        for name in names:
            match = re.fullmatch(r"(S\d{3})/(\d{3})/\1_\2_(\d{8})\.png",
                                 name.replace(os.sep, "/"))
            numbers.append(int(match.group(3)))
        assert numbers == list(range(1, len(frames) + 1))
        assert 4 <= len(frames) <= 6
        label = os.path.join(labels_root, names[-1].replace(".png", "_emotion.txt"))
        assert os.listdir(os.path.dirname(label)) == [os.path.basename(label)]
        with open(label, newline="") as file:
            assert re.fullmatch(r"   [1-7]\.0000000e\+00\n", file.read())
        count += 1
    assert 4 * 6 <= count <= 4 * 7


def test_pictures_are_grey_and_640_by_490(small):
    for data in pictures(read_tree(small)).values():
        picture = decode(data)
        assert picture.shape == (490, 640) and picture.dtype == np.uint8


def test_labels_name_the_emotion_that_is_drawn(tmp_path):
    for code, emotion in enumerate(EMOTIONS, 1):
        _, labels = make_faces(tmp_path / emotion, subjects=2, emotions=[emotion],
                               frames=(2, 2))
        texts = set(read_tree(labels).values())
        assert texts == {f"   {code}.0000000e+00\n".encode()}


def test_classes_are_roughly_balanced():
    settings = drawn._check(60, EMOTIONS, (8, 12), 0)
    shown = [sequence.emotion for sequence in drawn._plan(settings)]
    counts = [shown.count(name) for name in EMOTIONS]
    assert 0.8 * max(counts) <= min(counts) and max(counts) <= 60
    assert len(shown) < 60 * 7      # some subjects lack an emotion, as in CK+


def test_same_seed_same_bytes(small, tmp_path):
    make_faces(tmp_path, **SMALL, threads=1)
    assert read_tree(tmp_path) == read_tree(small)


def test_another_seed_draws_another_face(small, tmp_path):
    make_faces(tmp_path, **SMALL | {"seed": 6})
    theirs, ours = read_tree(tmp_path), read_tree(small)
    assert all(theirs[path] != ours[path] for path in pictures(theirs) if path in ours)


def test_a_subject_does_not_depend_on_the_others(small, tmp_path):
    make_faces(tmp_path, **SMALL | {"subjects": 1})
    fewer = pictures(read_tree(tmp_path))
    more = pictures(read_tree(small))
    assert fewer and fewer.items() <= more.items()


def test_an_interrupted_drawing_is_continued(small, tmp_path, monkeypatch):
    class Interrupted(Exception):
        pass

    def stop(done, total):
        raise Interrupted

    with pytest.raises(Interrupted):
        make_faces(tmp_path, **SMALL, threads=1, progress=stop)
    begun = pictures(read_tree(tmp_path))
    assert begun.items() < pictures(read_tree(small)).items()
    victim = sorted(begun)[0]       # a frame missing in the middle is redrawn
    os.remove(tmp_path / victim)
    written = []
    write = drawn.write_bytes
    monkeypatch.setattr(drawn, "write_bytes",
                        lambda path, data: (written.append(path), write(path, data)))
    make_faces(tmp_path, **SMALL)
    assert read_tree(tmp_path) == read_tree(small)
    kept = {os.path.join(tmp_path, path) for path in begun if path != victim}
    assert kept.isdisjoint(written) and str(tmp_path / victim) in written


def test_a_finished_set_is_left_alone(small, monkeypatch):
    monkeypatch.setattr(drawn, "_draw_sequence", None)
    make_faces(small, **SMALL)


def test_progress_counts_sequences(tmp_path):
    calls = []
    make_faces(tmp_path, **SMALL | {"subjects": 1},
               progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_other_settings_are_refused(small):
    with pytest.raises(DatasetError, match=r"seed: 5, wanted 6.*delete"):
        make_faces(small, **SMALL | {"seed": 6})


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="found 'thesis.txt'"):
        make_faces(tmp_path, **SMALL)
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"finished":', "[" * 100_000,
                                  '{"finished": 1}', '{"finished": "yes"}'],
                         ids=lambda text: text[:20])
def test_a_damaged_marker_is_refused(tmp_path, text):
    (tmp_path / "made-by-minifer.json").write_text(text)
    with pytest.raises(DatasetError, match="made-by-minifer.json.*Choose an"):
        make_faces(tmp_path, **SMALL)


def test_the_marker_says_what_was_drawn(small):
    with open(small / "made-by-minifer.json", encoding="utf-8") as file:
        marker = json.load(file)
    assert marker["finished"] is True and marker["seed"] == 5
    assert "no evidence" in marker["what"]


@pytest.mark.parametrize("bad, name", [
    ({"subjects": 0}, "subjects"), ({"subjects": 1000}, "subjects"),
    ({"subjects": 2.5}, "subjects"), ({"subjects": True}, "subjects"),
    ({"emotions": []}, "emotions"), ({"emotions": ["joy"]}, "emotions"),
    ({"emotions": ["fear", "fear"]}, "emotions"), ({"emotions": 3}, "emotions"),
    ({"frames": (1, 3)}, "frames"), ({"frames": (5, 4)}, "frames"),
    ({"frames": 8}, "frames"), ({"frames": (2, 100)}, "frames"),
    ({"seed": -1}, "seed"), ({"seed": "a"}, "seed"), ({"threads": 0}, "threads")])
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, bad, name):
    with pytest.raises(SettingError, match=f"^{name}: expected"):
        make_faces(tmp_path / "new", **SMALL | bad)
    assert not (tmp_path / "new").exists()


def test_neutral_comes_first_and_the_peak_last(faces):
    """Frames drift away from the first one, far beyond the sensor's noise."""
    for frames in sequences(faces[1]):
        first, *_, before, last = [cv2.GaussianBlur(
            cv2.imread(path, cv2.IMREAD_GRAYSCALE).astype(np.float32), (0, 0), 2)
            for path in frames]
        moved = np.abs(last - first).max()
        assert moved > 15
        assert np.abs(last - before).max() < moved


def test_intensities_rise_from_neutral_to_peak():
    rng = np.random.default_rng(0)
    for count in (2, 8, 12, 40):
        for _ in range(20):
            ramp = intensities(count, rng)
            assert ramp[0] == 0 and ramp[-1] == 1 and (np.diff(ramp) >= 0).all()
            late = ramp[-int(np.ceil(0.3 * count)):]
            assert late.min() > 0.75


def test_every_subject_of_every_seed_is_somebody_else():
    people = [drawn._person(seed, subject).skin
              for seed in (0, 1) for subject in (1, 2, 3)]
    assert len(set(people)) == 6
    assert drawn._person(0, 1).skin == people[0]


# Where a picture changes when one action unit moves: (top, bottom) in face units.
FOREHEAD, LIDS, MOUTH = (-0.8, -0.12), (-0.2, 0.2), (0.6, 1.6)
NOSE = (-0.2, 0.95)     # and the upper lip, which AU9 lifts too


@pytest.mark.parametrize("unit, place", [
    (1, FOREHEAD), (2, FOREHEAD), (4, FOREHEAD), (5, LIDS), (7, LIDS), (9, NOSE),
    (10, MOUTH), (12, MOUTH), (14, MOUTH), (15, MOUTH), (16, MOUTH), (17, MOUTH),
    (20, MOUTH), (23, MOUTH), (24, MOUTH), (25, MOUTH), (26, MOUTH), (27, MOUTH)])
def test_an_action_unit_moves_its_part_of_the_face(frontal, unit, place):
    units = np.zeros((NUM_UNITS, 2))
    neutral = frontal.frame(units).astype(float)
    units[unit] = 1
    change = cv2.GaussianBlur(np.abs(frontal.frame(units) - neutral), (0, 0), 2)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert change.max() > 10
    assert place[0] < (row - 240) / 100 < place[1]


@pytest.mark.parametrize("moved, top, bottom", [
    ((1, 2), -0.70, -0.58), ((9,), -0.12, 0.06)])   # forehead, bridge of the nose
def test_the_skin_folds_where_it_is_pushed_together(frontal, moved, top, bottom):
    units = np.zeros((NUM_UNITS, 2))
    part = slice(int(240 + 100 * top), int(240 + 100 * bottom)), slice(315, 325)
    before = frontal.frame(units)[part].astype(float)
    units[list(moved)] = 1
    after = frontal.frame(units)[part].astype(float)
    roughness = [np.abs(np.diff(x, 2, axis=0)).mean() for x in (before, after)]
    assert roughness[1] > 2 * roughness[0]


@pytest.mark.parametrize("unit", [1, 2, 4, 5, 6, 7, 12, 14, 15, 20])
def test_the_sides_of_a_face_move_on_their_own(frontal, unit):
    units = np.zeros((NUM_UNITS, 2))
    neutral = frontal.frame(units).astype(float)
    units[unit, 1] = 1
    change = np.abs(frontal.frame(units) - neutral)
    assert change[:, 330:].sum() > 2 * change[:, :310].sum()


def test_the_muscles_pull_the_right_way():
    """Higher on the face is smaller y; the points are those of the right side."""
    person = draw_person(np.random.default_rng(0))

    def shape(**units):
        array = np.zeros((NUM_UNITS, 2))
        for name, value in units.items():
            array[int(name[2:])] = value
        return face_shape(person, array)

    def corner(shape):
        return shape.seam[-1]

    def opening(shape):
        return (shape.eyes[1].lower - shape.eyes[1].upper)[:, 1].max()

    rest = shape()
    inner, outer = (rest.brows[1][k, 1] for k in (0, 8))
    assert shape(AU1=1).brows[1][0, 1] < inner - 0.1
    assert shape(AU2=1).brows[1][8, 1] < outer - 0.1
    assert shape(AU4=1).brows[1][0, 1] > inner + 0.1
    assert shape(AU1=1, AU4=1).brows[1][0, 1] < inner - 0.05    # oblique: sadness
    assert opening(shape(AU5=1)) > 1.3 * opening(rest)
    assert opening(shape(AU6=1)) < opening(rest) > opening(shape(AU7=1))
    assert corner(shape(AU12=1))[1] < corner(rest)[1] - 0.1
    assert corner(shape(AU12=1))[0] > corner(rest)[0] + 0.05
    assert corner(shape(AU15=1))[1] > corner(rest)[1] + 0.1
    assert corner(shape(AU20=1))[0] > corner(rest)[0] + 0.05
    assert rest.gap == 0 < shape(AU25=1).gap < shape(AU26=1).gap
    assert shape(AU27=1).chin > rest.chin + 0.1
    lip = shape(AU24=1).lip_lower[:, 1]
    assert np.ptp(lip) < np.ptp(rest.lip_lower[:, 1])


def test_contempt_is_one_sided_and_nothing_else_is():
    rng = np.random.default_rng(0)
    person = draw_person(rng)
    for emotion in EMOTIONS:
        peak = draw_peak(emotion, person, rng)
        assert peak.shape == (NUM_UNITS, 2) and peak.min() >= 0
        lopsided = np.abs(peak[:, 0] - peak[:, 1]).max()
        assert (lopsided > 0.4) == (emotion == "contempt")


def test_the_face_detector_finds_the_faces(faces):
    """At least 98 % of the frames, at the head and of steady size."""
    detector = cv2.CascadeClassifier(os.path.join(
        cv2.data.haarcascades, "haarcascade_frontalface_default.xml"))
    found, total = [], 0
    for frames in sequences(faces[1]):
        for path in (frames[0], frames[-1]):
            total += 1
            boxes = detector.detectMultiScale(
                cv2.imread(path, cv2.IMREAD_GRAYSCALE), scaleFactor=1.1, minNeighbors=5)
            if len(boxes):
                found.append(max(boxes, key=lambda box: box[2] * box[3]))
    assert len(found) >= 0.98 * total
    x, y, width, height = np.array(found, float).T
    assert (np.abs(x + width / 2 - 320) < 110).all()
    assert (np.abs(y + height / 2 - 255) < 110).all()
    assert width.min() > 160 and width.max() < 330
