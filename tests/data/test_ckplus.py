"""CK+ trees as users have them, whole and broken; pictures drawn here."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from helpers.ck_tree import PICTURE, Tree, numbers
from helpers.photos import LARGE, draw_photo
from minifer import data
from minifer.data import EMOTIONS, Dataset, load_ck, scan_ck
from minifer.errors import (DatasetError, ImageError, LabelError, SettingError,
                            ShapeError)
from minifer.faces.images import write_png

pytest.importorskip("cv2")


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    tree.add("S005", "001", range(1, 12), 3)             # disgust, 11 frames
    tree.add("S010", "002", [7, 9, 12], 5, ending="jpg")  # happiness, gaps
    tree.add("S010", "004", range(1, 5), 0)              # neutral
    tree.add("S011", "001", range(1, 5), "")             # folder without label
    tree.add("S012", "001", range(1, 5))                 # no folder
    return tree


def test_the_last_30_percent_of_labelled_sequences(tree):
    scan = tree.scan()
    assert numbers(scan.paths) == [8, 9, 10, 11, 12]  # ceil(3.3) = 4, ceil(0.9) = 1
    assert [scan.classes[label] for label in scan.labels] \
        == ["disgust"] * 4 + ["happiness"]
    assert scan.subjects == ["S005"] * 4 + ["S010"]
    assert scan.sequences == ["S005_001"] * 4 + ["S010_002"]
    assert scan.classes == EMOTIONS
    notes = scan.notes
    assert notes["labelled_neutral"] == ["S010_004"]
    assert notes["empty_label_folder"] == ["S011_001"]
    assert notes["no_label_folder"] == ["S012_001"]


@pytest.mark.parametrize("code, name", list(enumerate(EMOTIONS, start=1)))
def test_every_code(tmp_path, code, name):
    tree = Tree(tmp_path)
    tree.add("S005", "001", [1], code)
    assert tree.scan().classes[tree.scan().labels[0]] == name


@pytest.mark.parametrize("frames, last, used", [
    (1, 0.3, 1), (3, 0.3, 1), (10, 0.3, 3), (11, 0.3, 4), (25, 0.28, 7),
    (5, 1, 5), (9, 1e-6, 1)])
def test_how_many_frames_a_share_is(tmp_path, frames, last, used):
    tree = Tree(tmp_path)
    tree.add("S005", "001", range(1, frames + 1), 3)
    assert numbers(tree.scan(last=last).paths) \
        == list(range(frames - used + 1, frames + 1))


def test_frames_are_sorted_by_number_not_by_name(tmp_path):
    tree = Tree(tmp_path)
    tree.add("S005", "001", [1], 3)
    for number in (2, 9, 10, 100):
        write_png(tree.images / "S005" / "001" / f"S005_001_{number}.png", PICTURE)
    assert numbers(tree.scan(last=1).paths) == [1, 2, 9, 10, 100]


def test_neutral_frames_come_from_the_start_and_from_sequences_labelled_0(tree):
    scan = tree.scan(neutral=0.25)
    assert scan.classes == ("neutral",) + EMOTIONS
    by_sequence = {}
    for path, label, sequence in zip(scan.paths, scan.labels, scan.sequences):
        by_sequence.setdefault(sequence, []).append((numbers([path])[0], label))
    assert by_sequence == {
        "S005_001": [(1, 0), (2, 0), (3, 0), (8, 3), (9, 3), (10, 3), (11, 3)],
        "S010_002": [(7, 0), (12, 5)],
        "S010_004": [(1, 0), (3, 0), (4, 0)]}
    assert scan.notes["labelled_neutral"] == []


def test_the_peak_comes_first_in_a_sequence_of_one_frame(tmp_path):
    tree = Tree(tmp_path)
    tree.add("S005", "001", [4], 7)
    assert tree.scan(last=0.5, neutral=0.5).labels == [7]


@pytest.mark.parametrize("shares", [
    {"last": 0}, {"last": -0.1}, {"last": 1.1}, {"last": float("nan")},
    {"neutral": -0.1}, {"neutral": 1.5}, {"last": 0.6, "neutral": 0.5}])
def test_shares_out_of_range(tree, shares):
    with pytest.raises(SettingError, match="^(last|neutral).*expected"):
        tree.scan(**shares)


@pytest.mark.parametrize("images", ["cohn-kanade-images", "extended-cohn-kanade-images",
                                    "CK+/cohn-kanade-images"])
@pytest.mark.parametrize("labels", ["Emotion", "Emotion_labels",
                                    "Emotion_labels/Emotion"])
def test_folder_names_as_users_have_them(tmp_path, images, labels):
    tree = Tree(tmp_path, images, labels)
    tree.add("S0005", "001", [1, 2], 3)
    expected = tree.scan().paths
    assert len(expected) == 1
    image_parent = tree.images.parent
    for label_root in (tree.labels.parent, tmp_path, tree.labels):
        assert scan_ck(image_parent, label_root).paths == expected


def test_any_folder_names_will_do(tmp_path):
    tree = Tree(tmp_path, "pictures", "marks")
    tree.add("Ana.Maria", "a_b", [1, 2], 3, ending="JPEG")
    assert tree.scan().sequences == ["Ana.Maria_a_b"]


def test_junk_is_ignored_and_misnamed_images_are_listed(tree):
    for root in (tree.images, tree.labels):
        for name in (".DS_Store", "._S005_001_00000001.png", "Thumbs.db", "._x.txt"):
            (root / "S005" / "001" / name).write_bytes(b"junk")
            (root / name).write_bytes(b"junk")
        (root / "__MACOSX" / "001").mkdir(parents=True)
    wrong = tree.images / "S005" / "001" / "S006_001_00000012.png"
    wrong.write_bytes(b"of another subject")
    scan = tree.scan()
    assert numbers(scan.paths) == [8, 9, 10, 11, 12]
    assert scan.notes["wrong_name"] == [str(wrong)]


def test_labels_without_images_are_listed(tree):
    tree.add("S999", "001", [1], 3)
    (tree.images / "S999" / "001" / "S999_001_00000001.png").unlink()
    assert tree.scan().notes["label_without_images"] == ["S999_001"]


@pytest.mark.parametrize("text, held", [
    ("\n", "nothing"), ("happy", "'happy'"), ("nan", "'nan'"), ("3.5", "'3.5'"),
    ("9", "'9'"), ("-1", "'-1'"), ("inf", "'inf'"), ("3\n4\n", "'3..4'"),
    ("\0\0", "")])
def test_a_label_file_that_is_no_code(tree, text, held):
    tree.add("S005", "002", [1], text=text)
    message = f"S005_002_00000001_emotion.txt: expected one number.*holds .*{held}"
    with pytest.raises(LabelError, match=message) as caught:
        tree.scan()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["   3.0000000e+00\n", "3", "\ufeff3.0\r\n", "3e0"])
def test_a_label_file_that_is_one(tmp_path, text):
    tree = Tree(tmp_path)
    tree.add("S005", "001", [1], text=text)
    assert tree.scan().labels == [2]


def test_two_label_files_or_one_of_another_sequence(tree):
    folder = tree.labels / "S005" / "001"
    (folder / "S005_001_00000002_emotion.txt").write_text("3")
    with pytest.raises(LabelError, match="expected one label file, got 2"):
        tree.scan()
    for path in folder.iterdir():
        path.unlink()
    (folder / "S006_001_00000002_emotion.txt").write_text("3")
    with pytest.raises(LabelError, match="starts with S005_001_"):
        tree.scan()


def test_roots_that_do_not_fit(tree, tmp_path):
    with pytest.raises(DatasetError, match="image files SUBJECT/SEQ.*found nothing"):
        scan_ck(tmp_path / "nowhere", tree.labels)
    with pytest.raises(DatasetError, match="label files SUBJECT/SEQ.*found nothing"):
        scan_ck(tree.images, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="found a file"):
        scan_ck(tmp_path / "file", tree.labels)
    with pytest.raises(DatasetError, match="expected images SUBJECT.*found none. Give"):
        scan_ck(tree.labels, tree.labels)
    with pytest.raises(DatasetError, match="none of the 5 sequences.*second folder"):
        scan_ck(tree.images, tree.images)
    (tmp_path / "other" / "anger" / "1").mkdir(parents=True)
    with pytest.raises(DatasetError, match="such as S005.001.*none of 5 sequences has"):
        scan_ck(tree.images, tmp_path / "other")


def test_images_that_are_all_named_otherwise_are_counted(tmp_path, tree):
    folder = tmp_path / "flat" / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="1 images are named otherwise"):
        scan_ck(tmp_path / "flat", tree.labels)


def test_load_gives_a_data_set(tree):
    steps = []
    loaded = tree.load(progress=lambda *step: steps.append(step))
    assert isinstance(loaded, Dataset) and len(loaded) == 5
    assert loaded.images.shape == (5, 1, 16, 16) and loaded.images.dtype == np.uint8
    assert loaded.labels.tolist() == [2, 2, 2, 2, 4]
    assert loaded.labels.dtype == np.int64
    assert loaded.sequences.tolist() == ["S005_001"] * 4 + ["S010_002"]
    assert numbers(loaded.paths) == [8, 9, 10, 11, 12]
    assert loaded.notes["no_face"] == []
    assert steps[-1] == (5, 5)
    assert len({image.tobytes() for image in loaded.images}) == 5


def test_images_without_a_face_are_listed_not_silently_dropped(tree):
    with pytest.raises(DatasetError, match="no face found on any of 5.*'whole'"):
        load_ck(tree.images, tree.labels, cache=False)
    path = tree.images / "S010" / "002" / "S010_002_00000012.jpg"
    write_png(path, draw_photo(LARGE))
    loaded = load_ck(tree.images, tree.labels, cache=False)
    assert loaded.paths.tolist() == [str(path)] and loaded.labels.tolist() == [4]
    assert loaded.subjects.tolist() == ["S010"]
    assert loaded.sequences.tolist() == ["S010_002"]
    assert numbers(loaded.notes["no_face"]) == [8, 9, 10, 11]
    assert "left out, no face: 4" in loaded.summary()


def test_all_unreadable_images_are_named_at_once(tree):
    for number in (8, 9, 10, 11):
        path = tree.images / "S005" / "001" / f"S005_001_{number:08d}.png"
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match="4 of 5 images.*00000008.png: the image is "
                                         "truncated.*00000010.png"):
        tree.load()


def test_wrong_way_to_find_faces(tree):
    with pytest.raises(SettingError, match="'haar', 'whole' or 'either', got 'dnn'"):
        load_ck(tree.images, tree.labels, faces="dnn")


def test_summary_and_subset(tree):
    loaded = tree.load()
    lines = loaded.summary().splitlines()
    assert lines[0] == "5 images of 16x16, 7 classes, 2 subjects, 2 sequences"
    assert "  disgust              4   80.0 %  1 subject" in lines
    assert "frames: last 30 % of each sequence" in lines
    assert "left out, no label folder: 1 (S012_001)" in lines
    for indices in ([4, 0], np.array([True, False, False, False, True])):
        part = loaded.subset(indices)
        assert sorted(part.labels) == [2, 4] and part.classes == loaded.classes
    assert len(loaded.subset([])) == 0
    assert loaded.subset([]).summary().startswith("0 images")


def test_the_fingerprint_is_that_of_images_and_labels(tree):
    loaded = tree.load()
    elsewhere = dataclasses.replace(loaded, paths=["elsewhere"] * len(loaded))
    assert elsewhere.fingerprint == loaded.fingerprint
    others = (dataclasses.replace(loaded, images=255 - loaded.images),
              dataclasses.replace(loaded, labels=6 - loaded.labels),
              loaded.subset([1, 0, 2, 3, 4]))
    assert all(other.fingerprint != loaded.fingerprint for other in others)


def test_a_data_set_checks_itself(tree):
    loaded = tree.load()
    with pytest.raises(ShapeError, match="expected 5 subjects"):
        dataclasses.replace(loaded, subjects=["a"])
    with pytest.raises(ShapeError, match=r"expected images \(N, 1, S, S\)"):
        dataclasses.replace(loaded, images=loaded.images.astype(float))
    with pytest.raises(DatasetError, match="labels 0 to 6 for 7 classes, got 0 to 7"):
        dataclasses.replace(loaded, labels=[0, 1, 2, 3, 7])


def test_public_names_come_from_their_files():
    from minifer.data import splits, drawn
    from minifer.data.readers import ckplus
    assert data.load_ck is ckplus.load_ck and data.k_fold is splits.k_fold
    assert data.make_faces is drawn.make_faces
    assert all(hasattr(data, name) for name in data.__all__)
    assert set(data.__all__) <= set(dir(data))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        data.nothing


@pytest.mark.parametrize("module", ["minifer.data", "minifer.faces",
                                    "minifer.data.readers.ckplus",
                                    "minifer.data.splits"])
def test_importing_does_not_wait_for_opencv(module):
    code = f"import sys, {module}; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False,
                          cwd=pathlib.Path(data.__file__).parents[2]).returncode == 0
