"""Class folders as FER2013 is passed around, whole and with faults planted."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from helpers.photos import LARGE, draw_photo
from minifer.data import (FER2013_CLASSES, SplitDataset, load_folders, scan_folders,
                          split_by_subject)
from minifer.errors import DatasetError, ImageError, SettingError
from minifer.faces.images import write_png

pytest.importorskip("cv2")

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


def add(root, name, shift=0, image=PICTURE):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.roll(image, shift))
    return path


@pytest.fixture
def tree(tmp_path):
    """Three classes in two parts; copies in train/happy, test/sad and train/sad."""
    root = tmp_path / "fer"
    for shift, name in enumerate([
            "train/happy/Training_10.png", "train/happy/Training_9.png",
            "train/neutral/Training_3.png", "train/sad/Training_1.png",
            "test/happy/PublicTest_4.png", "test/neutral/PrivateTest_5.png",
            "test/neutral/PublicTest_5.png"]):
        add(root, name, shift)
    add(root, "test/sad/PrivateTest_7.png", 3)   # the picture of train/sad
    return root


def names(data):
    return [str(path).rsplit("/", 1)[1] for path in data.paths]


def test_the_split_is_restored_from_the_names(tree):
    data = load_folders(tree)
    assert isinstance(data, SplitDataset)
    assert data.classes == ("happy", "neutral", "sad")
    assert names(data) == [
        "Training_10.png", "Training_9.png", "Training_3.png", "Training_1.png",
        "PublicTest_4.png", "PrivateTest_5.png", "PublicTest_5.png",
        "PrivateTest_7.png"]
    assert data.labels.tolist() == [0, 0, 1, 2, 0, 1, 1, 2]
    assert data.usage.tolist() == ["train"] * 4 + ["validation", "test", "validation",
                                                   "test"]
    np.testing.assert_array_equal(data.images[2, 0], np.roll(PICTURE, 2))
    assert not any(data.notes.values())


def test_the_order_of_the_classes_can_be_given(tree):
    data = load_folders(tree, classes=("sad", "neutral", "happy"))
    assert data.labels.tolist() == [0, 1, 2, 2, 0, 1, 1, 2]
    assert data.classes[data.labels[0]] == "sad" and "Training_1.png" in data.paths[0]


@RANDOM_SHAPES
@given(st.permutations(FER2013_CLASSES))
def test_any_order_gives_each_file_the_class_of_its_folder(tmp_path_factory, order):
    root = tmp_path_factory.getbasetemp() / "orders"
    if not root.exists():
        for name in FER2013_CLASSES:
            add(root, f"{name}/1.png")
    scan = scan_folders(root, order)
    assert [path.split("/")[-2] for path in scan.paths] == list(order)
    assert [scan.classes[label] for label in scan.labels] == list(order)


def test_alphabetical_order_is_not_that_of_fer2013():
    assert sorted(FER2013_CLASSES) != list(FER2013_CLASSES)


def test_folders_without_parts_or_with_other_words_for_them(tmp_path):
    add(tmp_path / "a", "happy/x.png")
    add(tmp_path / "a", "sad/Training_1.png")
    assert load_folders(tmp_path / "a").usage.tolist() == ["", "train"]
    for part in ("Training", "val", "TEST"):
        add(tmp_path / "b", f"{part}/happy/x.png")
    assert load_folders(tmp_path / "b").usage.tolist() == ["train", "validation",
                                                           "test"]


def test_folders_are_merged(tmp_path):
    for shift, name in enumerate(("joy", "happy", "anger")):
        add(tmp_path, f"{name}/x.png", shift)
    data = load_folders(tmp_path, merge={"joy": "happy"})
    assert data.classes == ("anger", "happy") and data.labels.tolist() == [0, 1, 1]


def test_other_sizes_are_scaled_and_faces_found(tmp_path):
    add(tmp_path, "happy/x.png", image=draw_photo(LARGE))
    add(tmp_path, "happy/y.png")
    assert load_folders(tmp_path, size=96).images.shape == (2, 1, 96, 96)
    data = load_folders(tmp_path, faces="haar", size=96)
    assert names(data) == ["x.png"] and len(data.notes["no_face"]) == 1
    assert data.notes["unreadable"] == []
    shutil.rmtree(tmp_path / "happy")
    add(tmp_path, "happy/y.png")
    with pytest.raises(DatasetError, match="no face found on any of 1 .*'whole'"):
        load_folders(tmp_path, faces="haar")
    with pytest.raises(SettingError, match="'haar', 'whole' or 'either', got 'dnn'"):
        load_folders(tmp_path, faces="dnn")


def test_unreadable_files_are_counted_or_refused(tree):
    cut = tree / "train" / "happy" / "Training_9.png"
    cut.write_bytes(cut.read_bytes()[:90])
    (tree / "test" / "sad" / "PrivateTest_8.jpg").write_bytes(b"")
    data = load_folders(tree)
    assert len(data) == 7 and "Training_9.png" not in names(data)
    first, second = data.notes["unreadable"]
    assert first.startswith(f"{cut}: the image is truncated")
    assert "PrivateTest_8.jpg: the file is empty" in second
    assert data.notes["no_face"] == []
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 1, 2]
    assert "left out, unreadable: 2" in data.summary()
    with pytest.raises(ImageError, match="2 of 9 images cannot be used"):
        load_folders(tree, strict=True)


def test_a_set_of_nothing_but_unreadable_files(tmp_path):
    path = add(tmp_path, "happy/x.png")
    path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match="x.png: expected a JPEG"):
        load_folders(tmp_path)


def test_junk_and_empty_folders_are_listed(tree):
    (tree / "train" / "sad" / "Thumbs.db").write_bytes(b"junk")
    (tree / "train" / "sad" / ".DS_Store").write_bytes(b"junk")
    shutil.rmtree(tree / "test" / "happy")
    (tree / "test" / "happy").mkdir()
    notes = load_folders(tree).notes
    assert notes["not_an_image"] == [str(tree / "train" / "sad" / "Thumbs.db")]
    assert notes["empty_folder"] == [str(tree / "test" / "happy")]


@pytest.mark.parametrize("wrong, says", [
    ("test/sad/Training_2.png", "for test, by its name it is for train"),
    ("train/sad/PublicTest_2.png", "for train, by its name it is for validation"),
    ("train/sad/PrivateTest_2.png", "for train, by its name it is for test")])
def test_a_name_against_its_folder(tree, wrong, says):
    add(tree, wrong)
    with pytest.raises(DatasetError, match=f"{says}. Move it .*test set leaks"):
        load_folders(tree)


def test_augmented_copies_are_noticed_by_their_names(tree):
    add(tree, "train/sad/Training_1.png0.png", 11)
    data = load_folders(tree)
    assert len(data) == 9
    assert "possible augmented copies: 1 files are named like" in data.summary()


def test_a_class_of_the_test_set_that_training_lacks(tree):
    add(tree, "test/hapy/PublicTest_9.png")
    with pytest.raises(DatasetError, match="hapy: expected only the classes happy, ne"):
        load_folders(tree)


def test_classes_that_are_not_there_or_too_many(tree):
    with pytest.raises(DatasetError, match="part train: .*none for anger .there are h"):
        load_folders(tree, classes=("happy", "neutral", "sad", "anger"))
    with pytest.raises(DatasetError, match="only the classes happy, sad, got 'neutr"):
        load_folders(tree, classes=("happy", "sad"))


def test_folders_beside_the_parts(tree):
    (tree / "extra").mkdir()
    with pytest.raises(DatasetError, match="only folders like train and test beside"):
        load_folders(tree)
    (tree / "extra").rmdir()
    (tree / "Training").mkdir()
    with pytest.raises(DatasetError, match="one folder for each part, got Training, t"):
        load_folders(tree)


def test_nothing_there(tmp_path):
    with pytest.raises(DatasetError, match="expected a folder that can be listed, got"):
        load_folders(tmp_path / "none")
    with pytest.raises(DatasetError, match="none for any .there are no folders"):
        load_folders(tmp_path)
    (tmp_path / "happy").mkdir()
    with pytest.raises(DatasetError, match="in CLASS folders, found none"):
        load_folders(tmp_path)


def test_copies_have_one_subject_and_stay_together(tree):
    data = load_folders(tree)
    original = data.subjects[names(data).index("Training_1.png")]
    assert data.subjects[names(data).index("PrivateTest_7.png")] == original
    assert original == "train/sad/Training_1.png"
    assert len(set(data.subjects)) == 7
    one, other = split_by_subject([0] * 8, data.subjects, (0.5, 0.5))
    assert not set(data.subjects[one]) & set(data.subjects[other])
