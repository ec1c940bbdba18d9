"""Soft labels: ramps over the sequences of CK+, and filtered photos of the web."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from helpers.ck_tree import Tree, numbers
from helpers.photos import LARGE, SMALL, draw_photo
from minifer.data import (EMOTIONS, SOFT_CLASSES, SplitDataset, load_ck_soft, load_web,
                          ramp)
from minifer.data.readers import webphotos
from minifer.errors import DatasetError, ImageError, SettingError
from minifer.faces.images import write_png

cv2 = pytest.importorskip("cv2")


# --- the ramp ---------------------------------------------------------------

def test_the_worked_example():
    """A sequence "disgust" of 10 frames; frame 6 is 0.4 neutral, rounded."""
    labels = ramp(10, "disgust")
    assert SOFT_CLASSES == ("neutral", "anger", "contempt", "disgust", "fear",
                            "happiness", "sadness", "surprise")
    assert labels[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert labels[9].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(labels[5], [4 / 9, 0, 0, 5 / 9, 0, 0, 0, 0], rtol=1e-6)
    assert np.round(labels[5], 1).tolist() == np.float32(
        [.4, 0, 0, .6, 0, 0, 0, 0]).tolist()


@RANDOM_SHAPES
@given(st.integers(2, 60), st.sampled_from(EMOTIONS))
def test_a_ramp_is_linear_and_sums_to_one(frames, emotion):
    labels = ramp(frames, emotion)
    assert labels.shape == (frames, 8) and labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    share = labels[:, SOFT_CLASSES.index(emotion)]
    np.testing.assert_allclose(share, np.arange(frames) / (frames - 1), rtol=1e-6)
    np.testing.assert_allclose(labels[:, 0], share[::-1], atol=1e-6)


def test_a_single_frame_is_the_labelled_one_and_neutral_stays_neutral():
    assert ramp(1, "fear").tolist() == [[0, 0, 0, 0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(ramp(4, "neutral"), np.eye(8)[[0, 0, 0, 0]])
    np.testing.assert_array_equal(ramp(1, "neutral"), np.eye(8)[:1])


def test_wrong_ramps():
    for frames in (0, -1, 2.0, None):
        with pytest.raises(SettingError, match="frames: expected a whole number"):
            ramp(frames, "fear")
    with pytest.raises(SettingError, match="emotion: expected one of neutral, anger"):
        ramp(3, "happy")


# --- CK+ --------------------------------------------------------------------

@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    tree.add("S005", "001", range(1, 12), 3)                # disgust, 11 frames
    tree.add("S010", "002", [7, 9, 12], 5)                  # happiness, gaps
    tree.add("S010", "004", range(1, 3), 0)                 # neutral
    tree.add("S011", "001", range(1, 5), "")                # no label
    tree.add("S012", "001", [4], 1)                         # anger, one frame
    return tree


def test_whole_sequences_of_ck(tree):
    data = load_ck_soft(tree.images, tree.labels, faces="whole", size=16, cache=False)
    assert isinstance(data, SplitDataset) and data.classes == SOFT_CLASSES
    assert data.images.shape == (17, 1, 16, 16)
    assert numbers(data.paths) == [*range(1, 12), 7, 9, 12, 1, 2, 4]
    np.testing.assert_allclose(data.targets[:11, 3], np.arange(11) / 10, rtol=1e-6)
    np.testing.assert_allclose(data.targets[11:14, [0, 5]], [[1, 0], [.5, .5], [0, 1]])
    np.testing.assert_array_equal(data.targets[14:], np.eye(8)[[0, 0, 1]])
    assert data.labels.tolist() == [0] * 6 + [3] * 5 + [0, 0, 5] + [0, 0, 1]
    assert data.subjects.tolist() == ["S005"] * 11 + ["S010"] * 5 + ["S012"]
    assert data.sequences[11] == "S010_002"
    assert "frames: whole sequences" in data.summary()
    assert data.notes["empty_label_folder"] == ["S011_001"]


def test_a_frame_without_a_face_does_not_bend_the_ramp(tree):
    for number, head in ((2, LARGE), (11, LARGE)):
        path = tree.images / "S005" / "001" / f"S005_001_{number:08d}.png"
        write_png(path, draw_photo(head))
    data = load_ck_soft(tree.images, tree.labels, size=16, cache=False)
    assert numbers(data.paths) == [2, 11] and len(data.notes["no_face"]) == 15
    np.testing.assert_allclose(data.targets[:, 3], [0.1, 1], rtol=1e-6)


def test_no_faces_and_unreadable_frames(tree):
    with pytest.raises(DatasetError, match="no face found on any of 17.*'whole'"):
        load_ck_soft(tree.images, tree.labels, cache=False)
    path = tree.images / "S012" / "001" / "S012_001_00000004.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="S012_001_00000004.png: the file is empty"):
        load_ck_soft(tree.images, tree.labels, cache=False)


# --- photos of the web ------------------------------------------------------

def photo(seed, *heads):
    """A drawn head before a background of its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7), dtype=np.uint8)
    ground = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)
    picture = draw_photo(*heads)
    empty = draw_photo()
    return np.where(picture == empty, ground, picture)


def save(root, name, image):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, image)
    return path


@pytest.fixture
def web(tmp_path):
    root = tmp_path / "web"
    save(root, "neutral expression/a.png", photo(1, LARGE))
    save(root, "neutral human face/b.png", photo(2, LARGE))
    save(root, "sad human face/c.png", photo(3, LARGE))
    save(root, "happy/d.png", photo(4, LARGE))
    save(root, "surprise/e.png", photo(5, LARGE))
    return root


def left(data):
    return [str(path).rsplit("/", 1)[1] for path in data.paths]


def test_queries_are_merged_into_emotions(web):
    data = load_web(web, size=32)
    assert dict(zip(left(data), (SOFT_CLASSES[label] for label in data.labels))) == {
        "a.png": "neutral", "b.png": "neutral", "c.png": "sadness",
        "d.png": "happiness", "e.png": "surprise"}
    assert data.images.shape == (5, 1, 32, 32)
    np.testing.assert_array_equal(data.targets, np.eye(8)[data.labels])
    assert len(set(data.subjects)) == 5 and not any(data.notes.values())
    assert "contempt" in data.summary()


def test_each_filter_takes_its_photo(web, monkeypatch):
    monkeypatch.setattr(webphotos, "LARGEST_FILE", 200_000)
    taken = {
        "too_large": save(web, "happy/k1.png", np.random.default_rng(0).integers(
            0, 256, (500, 500), dtype=np.uint8)),
        "too_small": save(web, "happy/k2.png", photo(6, LARGE)[:20, :200]),
        "no_face": save(web, "happy/k3.png", photo(7)),
        "several_faces": save(web, "happy/k4.png", photo(8, SMALL, LARGE)),
        "duplicate": save(web, "surprise/k6.png", photo(1, LARGE) // 2 + 60),
        "known": save(web, "happy/k7.png", photo(9, LARGE)),
        "unreadable": save(web, "happy/k8.png", photo(10, LARGE))}
    taken["unreadable"].write_bytes(taken["unreadable"].read_bytes()[:400])
    elsewhere = save(web.parent, "ck.png", cv2.resize(photo(9, LARGE), (640, 480)))
    data = load_web(web, size=32, known=[elsewhere])
    assert sorted(left(data)) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    for reason, path in taken.items():
        assert data.notes[reason] == [str(path)], reason
        assert f"left out, {reason.replace('_', ' ')}: 1" in data.summary()


def test_empty_files_and_bad_bytes_are_unreadable(web):
    for name, content in (("x.png", b""), ("y.jpg", b"\xff\xd8\xff no picture")):
        (web / "happy" / name).write_bytes(content)
    assert len(load_web(web, size=32).notes["unreadable"]) == 2


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def test_a_file_that_claims_to_be_huge_is_unreadable(web):
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0)
    path = web / "happy" / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    assert load_web(web, size=32).notes["unreadable"] == [str(path)]


def test_what_web_refuses(web, tmp_path):
    with pytest.raises(SettingError, match="threshold"):
        load_web(web, threshold=0)
    with pytest.raises(ImageError, match="none.png: no such file"):
        load_web(web, known=[tmp_path / "none.png"])
    save(web, "joyful/z.png", photo(6, LARGE))
    with pytest.raises(DatasetError, match="a query or a class .*got 'joyful'. Add it"):
        load_web(web)
    assert len(load_web(web, size=16, merge={
        **webphotos.QUERIES, "joyful": "happiness"})) == 6
    save(tmp_path, "faceless/happy/a.png", photo(1))
    with pytest.raises(DatasetError, match="all 1 were left out .no face 1"):
        load_web(tmp_path / "faceless")


def test_progress_is_told(web):
    steps = []
    load_web(web, size=16, progress=lambda *step: steps.append(step))
    assert steps == [(done, 5) for done in range(1, 6)]
