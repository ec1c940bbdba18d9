"""minifer data: audit, faces, folders and soft, on small data sets of each kind."""

import csv
import json
import os

import numpy as np
import pytest

from helpers import runs
from minifer import data, faces
from minifer.errors import DatasetError, SettingError
from minifer.faces.images import read_image, write_png
from minifer.files import read_csv


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Nothing of the user's is read or written."""
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))


def noise(n, side=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), np.uint8)


def table(path, usages, bad=0):
    """Write a table like fer2013.csv, its last rows without good labels."""
    rows = [f"{9 if k >= len(usages) - bad else k % 7},"
            f"{' '.join(map(str, image.ravel()))},{usage}"
            for k, (image, usage) in enumerate(zip(noise(len(usages)), usages))]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


USAGES = ["Training"] * 14 + ["PublicTest"] * 7 + ["PrivateTest"] * 7


# --- audit ---------------------------------------------------------------------

def test_a_clean_table_is_audited(tmp_path):
    outcome = runs.minifer("data", "audit", table(tmp_path / "f.csv", USAGES),
                           "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("28 images of 48x48, 7 classes")
    assert "parts: train 14, validation 7, test 7" in outcome.out
    assert outcome.out.endswith("nothing found\n")
    assert sorted(os.listdir(tmp_path / "out")) == [
        "audit.txt", "brightness.png", "classes.png", "samples.png"]
    assert (tmp_path / "out" / "audit.txt").read_text() == outcome.out
    assert min(read_image(tmp_path / "out" / "samples.png").shape) > 300


def test_what_is_severe_ends_with_1(tmp_path):
    """The first test image stands in the training part, too."""
    lines = table(tmp_path / "f.csv", USAGES).read_text().splitlines()
    lines[-1] = lines[1].replace("Training", "PrivateTest")
    (tmp_path / "f.csv").write_text("\n".join(lines))
    outcome = runs.minifer("data", "audit", tmp_path / "f.csv", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 1 and found["severe"] is True
    assert found["counts"]["train"] == [2] * 7
    assert set(found["neighbour"]["test"]) == {"accuracy", "strangers_only",
                                               "commonest_class"}
    copies = next(one for one in found["findings"] if one["kind"] == "exact copies")
    assert copies["severity"] == "severe" and copies["rows"] == [27]


def test_bad_rows_are_counted_or_refused(tmp_path):
    path = table(tmp_path / "f.csv", ["Training"] * 9, bad=2)
    outcome = runs.minifer("data", "audit", path)
    assert "left out, bad label: 2 (line 9: expected a label from 0" in outcome.out
    assert "got '9', line 10)" in outcome.out
    outcome = runs.minifer("data", "audit", path, "--strict")
    assert outcome.code == 2 and "f.csv, line 9: expected a label" in outcome.err


@pytest.mark.parametrize("split, code", [("random", 1), ("subject", 0)])
def test_a_split_of_ck_is_audited(tmp_path, split, code):
    """Five people show seven expressions each, on two frames."""
    images, labels = runs.write_ck(tmp_path, codes=range(1, 8))
    outcome = runs.minifer("data", "audit", images, labels, "--faces", "whole",
                           "--split", split, "--no-near", "--seed", 1)
    assert outcome.code == code, outcome
    assert ("severe   subjects" in outcome.out) == bool(code)


def test_each_kind_is_loaded_by_its_own_loader(tmp_path):
    images, labels = runs.write_ck(tmp_path, side=32)
    ck = data.load(images, labels, faces="whole")
    assert len(ck) == 10 and ck.classes == data.EMOTIONS
    for name, folder in (("cohn-kanade-images", images), ("Emotion", labels)):
        (tmp_path / "both").mkdir(exist_ok=True)
        os.rename(folder, tmp_path / "both" / name)
    both = data.load(tmp_path / "both", faces="whole")
    np.testing.assert_array_equal(both.images, ck.images)
    csv = data.load(table(tmp_path / "f.csv", USAGES))
    assert csv.usage.tolist().count("test") == 7
    data.save_folders(csv, tmp_path / "folders")
    assert len(data.load(tmp_path / "folders")) == 28
    soft = data.load_ck_soft(tmp_path / "both", tmp_path / "both", "whole", size=24)
    data.save_samples(soft, tmp_path / "all" / "ck")
    samples = data.load(tmp_path / "all")
    assert len(samples) == 20 and samples.classes == data.SOFT_CLASSES


def test_augmented_copies_stay_with_their_photo(tmp_path):
    folder = tmp_path / "train" / "sad"
    folder.mkdir(parents=True)
    for number, image in enumerate(noise(2)):
        write_png(folder / f"{number}.png", image)
    data.augment_offline(tmp_path / "train", angles=())
    assert len(set(data.load(tmp_path).subjects)) == 2


@pytest.mark.parametrize("kind", ["table", "samples"])
def test_faces_are_not_looked_for_in_crops(tmp_path, kind):
    path = table(tmp_path / "f.csv", USAGES)
    if kind == "samples":
        (tmp_path / "ck").mkdir()
        path = tmp_path
    with pytest.raises(SettingError, match="holds face crops already"):
        data.load(path, faces="haar")


# --- faces ---------------------------------------------------------------------

@pytest.fixture
def photos(tmp_path):
    """Two faces in folders of classes, one without, one cut, and a text."""
    folder = tmp_path / "photos"
    for name, photo in zip(("calm/a.png", "wow/a.png"), runs.faces()):
        (folder / name).parent.mkdir(parents=True)
        write_png(folder / name, photo)
    write_png(folder / "calm" / "b.png", np.full((60, 60), 90, np.uint8))
    (folder / "cut.JPG").write_bytes(b"\xff\xd8")
    (folder / "notes.txt").write_text("mine")
    (folder / ".DS_Store").write_text("hidden")
    return folder


def rows_of(out):
    with open(out / "faces.csv", newline="", encoding="utf-8") as file:
        return {row["photo"]: row for row in csv.DictReader(file)}


def test_no_photo_is_lost(photos, tmp_path):
    out = tmp_path / "out"
    outcome = runs.minifer("data", "faces", photos, "--out", out, "--size", 48)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == (
        "5 files: 2 ok, 1 unreadable, 1 no image, 1 no face")
    assert f"unreadable: {photos}/cut.JPG: " in outcome.out
    rows = rows_of(out)
    assert {name: row["status"] for name, row in rows.items()} == {
        "calm/a.png": "ok", "wow/a.png": "ok", "calm/b.png": "no face",
        "cut.JPG": "unreadable", "notes.txt": "no image"}
    row = rows["wow/a.png"]
    assert row["crop"] == "wow/a.png.face1.png" and row["face"] == "1"
    expected, boxes = faces.extract(runs.faces()[1], faces.CropSettings(48))
    np.testing.assert_array_equal(read_image(out / row["crop"]), expected[0])
    assert [int(row[key]) for key in ("x", "y", "width", "height")] == list(boxes[0])
    assert "truncated" in rows["cut.JPG"]["error"] and not rows["cut.JPG"]["crop"]
    assert data.load_folders(out, size=48).classes == ("calm", "wow")


def test_strict_writes_nothing(photos, tmp_path):
    outcome = runs.minifer("data", "faces", photos, "--out", tmp_path / "out",
                           "--strict")
    assert outcome.code == 2 and "cut.JPG: the image is truncated" in outcome.err
    assert sorted(os.listdir(tmp_path)) == ["photos"]


def test_all_faces_or_the_largest(tmp_path):
    small, large = runs.faces()[:2]
    (tmp_path / "photos").mkdir()
    both = np.zeros((490, 960), np.uint8)
    both[:, :640] = large
    both[:245, 640:] = small[::2, ::2]
    write_png(tmp_path / "photos" / "two.png", both)
    one, = data.save_faces(tmp_path / "photos", tmp_path / "all")
    assert one.crops == ("two.png.face1.png", "two.png.face2.png")
    assert one.boxes[0][2] > one.boxes[1][2]
    outcome = runs.minifer("data", "faces", tmp_path / "photos", "--out",
                           tmp_path / "one", "--largest", "--json")
    found, = json.loads(outcome.out)
    assert found["boxes"] == [list(one.boxes[0])] and found["status"] == "ok"


def test_no_face_at_all_ends_with_1(tmp_path):
    (tmp_path / "photos").mkdir()
    write_png(tmp_path / "photos" / "b.png", np.full((60, 60), 90, np.uint8))
    outcome = runs.minifer("data", "faces", tmp_path / "photos", "--out",
                           tmp_path / "out")
    assert outcome.code == 1 and "0 faces and faces.csv" in outcome.out
    assert list(rows_of(tmp_path / "out")) == ["b.png"]


def test_a_name_that_is_no_unicode(tmp_path):
    (tmp_path / "photos").mkdir()
    with open(os.path.join(os.fsencode(tmp_path), b"photos", b"\xff.png"), "wb"):
        pass
    done = runs.process("-m", "minifer", "data", "faces", tmp_path / "photos", "--out",
                        tmp_path / "out", PYTHONPATH=str(runs.TESTS.parent))
    assert done.code == 1 and "unreadable: " in done.out and done.err.count("\n") == 1
    assert "\n\\udcff.png,unreadable," in (tmp_path / "out" / "faces.csv").read_text()
    assert read_csv(tmp_path / "out" / "faces.csv")[1][0] == os.fsdecode(b"\xff.png")


def test_an_interrupted_search_leaves_nothing(photos, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        data.save_faces(photos, tmp_path / "out", progress=stop)
    assert sorted(os.listdir(tmp_path)) == ["photos"]


# --- folders -------------------------------------------------------------------

def test_class_folders_come_back(tmp_path):
    outcome = runs.minifer("data", "folders", table(tmp_path / "f.csv", USAGES),
                           "--out", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.out.endswith(f"28 images written into {tmp_path / 'out'}\n")
    assert read_image(tmp_path / "out/train/disgust/Training_0000001.png").shape == (
        48, 48)
    back = data.load_folders(tmp_path / "out", classes=data.FER2013_CLASSES)
    there = data.load_fer2013(tmp_path / "f.csv")
    assert not any(back.notes.values())
    for part in ("train", "validation", "test"):
        theirs, ours = there.part(part), back.part(part)
        order = np.lexsort((theirs.paths, theirs.labels))
        np.testing.assert_array_equal(ours.images, theirs.images[order])
        np.testing.assert_array_equal(ours.labels, theirs.labels[order])


def test_bad_rows_keep_the_numbers_of_the_others(tmp_path):
    path = table(tmp_path / "f.csv", ["Training"] * 3 + ["Nonsense", "PublicTest"])
    outcome = runs.minifer("data", "folders", path, "--out", tmp_path / "out")
    assert "left out, unknown usage: 1 (line 5: expected Usage" in outcome.out
    assert (tmp_path / "out/test/sad/PublicTest_0000004.png").exists()
    outcome = runs.minifer("data", "folders", path, "--out", tmp_path / "strict",
                           "--strict")
    assert outcome.code == 2 and "line 5: expected Usage" in outcome.err
    assert sorted(os.listdir(tmp_path)) == ["f.csv", "out"]


@pytest.mark.parametrize("change, says", [
    ({"usage": ["train", ""]}, "images in no part"),
    ({"classes": ("a", "b/c")}, "'b/c'"), ({"paths": ["p1", "q1"]}, "the same")])
def test_what_cannot_be_class_folders(tmp_path, change, says):
    columns = {"images": noise(2)[:, None], "labels": [0, 0], "classes": ("a", "b"),
               "subjects": ["p", "q"], "sequences": ["p", "q"], "paths": ["p1", "q2"],
               "usage": ["train", "train"]}
    with pytest.raises(DatasetError, match=says):
        data.save_folders(data.SplitDataset(**columns | change), tmp_path / "out")
    assert os.listdir(tmp_path) == []


# --- soft ----------------------------------------------------------------------

def test_soft_samples_come_back(tmp_path):
    images, labels = runs.write_ck(tmp_path, frames=3, side=32)
    outcome = runs.minifer("data", "soft", "--images", images, "--labels", labels,
                           "--faces", "whole", "--size", 24, "--test", 0.4, "--out",
                           tmp_path / "samples" / "ck")
    assert outcome.code == 0
    assert "18 training and 12 test samples written into" in outcome.out
    train, test = data.load_samples(tmp_path / "samples")
    assert (len(train), len(test)) == (18, 12) and train.images.shape[2] == 24
    assert set(np.unique(train.targets)) == {0, 0.5, 1}
