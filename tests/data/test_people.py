"""Names of known data sets tell who is on a photo, and words what they mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from helpers.planting import audited, only
from minifer.data import (SplitDataset, audit, load, load_folders, save_folders,
                          split_by_subject)
from minifer.data.readers.people import people, person_of
from minifer.data.readers.words import SYNONYMS, alike, meaning, spelled_as
from minifer.errors import DatasetError
from minifer.faces.images import write_png

NAMES = {
    "S010_004_00000019.png": ("CK+", "S010", "S010_004"),
    "s010_004_00000019.JPG": ("CK+", "S010", "S010_004"),
    "S0123_002_00000001.jpg": ("CK+", "S0123", "S0123_002"),
    "anger/S010_004_00000019.png.mirror.png": ("CK+", "S010", "S010_004"),
    "S010_004_00000019 (1).png": ("CK+", "S010", "S010_004"),
    "S010_004_00000019.png.face1.png": ("CK+", "S010", "S010_004"),
    "KA.AN1.39.tiff": ("JAFFE", "KA", None),
    "YM.SU3.60.png": ("JAFFE", "YM", None),
    "AF01ANS.JPG": ("KDEF", "F01", "AF01AN"),
    "BF01ANS.JPG": ("KDEF", "F01", "BF01AN"),  # the same woman, another day
    "AM35SUFR.JPG": ("KDEF", "M35", "AM35SU"),
    "AF01ANHL.JPG": ("KDEF", "F01", "AF01AN"),
    "Rafd090_01_Caucasian_female_angry_frontal.jpg": (
        "RaFD", "01", "01_CAUCASIAN_FEMALE_ANGRY_FRONTAL"),
    "01F_AN_C.BMP": ("NimStim", "01F", None),
    "F0001_AN01WH_F2D.bmp": ("BU-3DFE", "F0001", None)}


@pytest.mark.parametrize("name, expected", NAMES.items(), ids=NAMES)
def test_names_of_known_sets(name, expected):
    assert tuple(person_of(name)) == expected


@pytest.mark.parametrize("name", [
    "Training_10019449.jpg", "PublicTest_58895662.jpg", "fer0000007.png", "0.png",
    "train_00001_aligned.jpg", "image0000006.jpg", "S010_004.png", "S10_4_19.png",
    "S010_004_000000190.png", "KA.XX1.39.tiff", "AF01ANX.JPG", "AF01XXS.JPG",
    "S010/anger.png", "happy_KA.AN1.39.png", "AF01ANSO.JPG", "", ".png"])
def test_other_names_tell_nothing(name):
    assert person_of(name) is None


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8)


def write(root, name, number):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_png(root / name, picture(number))


@pytest.fixture
def ck48(tmp_path):
    """As CK+48: 12 people, of each the last three frames of one or two sequences."""
    number = 0
    for person in range(12):
        for take, emotion in [(1, "anger"), (2, "happy")][:1 + person % 2]:
            for frame in (17, 18, 19):
                number += 1
                write(tmp_path, f"{emotion}/S{person:03d}_{take:03d}_{frame:08d}.png",
                      number)
    return tmp_path


def test_subjects_and_sequences_of_class_folders(ck48):
    data = load_folders(ck48)
    assert len(data) == 54
    assert len(set(data.subjects)) == 12 and len(set(data.sequences)) == 18
    assert "12 subjects, 18 sequences" in data.summary()
    assert data.notes["subjects"] == "12 people by the names of 54 files (CK+)"
    parts = split_by_subject(data.labels, data.subjects, (.5, .5))
    assert not set(data.subjects[parts[0]]) & set(data.subjects[parts[1]])
    assert load(ck48).subjects.tolist() == data.subjects.tolist()


def test_the_audit_sees_a_person_on_both_sides(ck48):
    data = load_folders(ck48)
    assert only(audit(data, [range(0, 54, 2), range(1, 54, 2)]), "subjects")


def test_copies_of_persons_and_of_nobody_stay_together(ck48):
    write(ck48, "happy/copy.png", 1)          # looks like S000
    write(ck48, "anger/S011_009_00000001.png", 4)  # looks like S001
    for name in ("a", "b"):
        write(ck48, f"happy/{name}.png", 99)  # nobody knows whom they show
    write(ck48, "anger/0.png", 10)            # comes first, looks like S002
    data = load_folders(ck48)
    who = dict(zip((path.rsplit("/", 1)[1] for path in data.paths), data.subjects))
    assert who["copy.png"] == who["S000_001_00000017.png"] == "S000"
    assert who["a.png"] == who["b.png"] == "happy/a.png"
    assert who["0.png"] == who["S002_001_00000017.png"] == "S002"
    linked = {who[name] for name in who if name.startswith(("S011", "S001"))}
    assert len(linked) == 1 and linked < {"S001", "S011"}
    assert "4 files tell of none" in data.notes["subjects"]


@RANDOM_SHAPES
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1,
                max_size=25))
def test_what_looks_the_same_or_is_named_the_same_has_one_subject(images):
    """Person 0 stands for a name that tells of nobody."""
    names = np.array([f"S{who:03d}_001_{row:08d}.png" if who else f"x{row}.png"
                      for row, (who, _) in enumerate(images)])
    pixels = [number for _, number in images]
    copies = np.array([pixels.index(number) for number in pixels])
    subjects, sequences, _ = people(names, copies)
    for i in range(len(images)):
        for j in range(i):
            if pixels[i] == pixels[j] or images[i][0] == images[j][0] != 0:
                assert subjects[i] == subjects[j]
    assert len(sequences) == len(names)
    # no more than what is linked by a chain of such pairs
    rest, groups = {*range(len(images))}, 0
    while rest:
        groups, chain = groups + 1, [rest.pop()]
        while chain:
            i = chain.pop()
            near = {j for j in rest if pixels[i] == pixels[j]
                    or images[i][0] == images[j][0] != 0}
            rest -= near
            chain += near
    assert len(set(subjects.tolist())) == groups


# --- classes that mean the same ----------------------------------------------

def test_words_and_their_meanings():
    words = [word for name, others in SYNONYMS.items() for word in (name, *others)]
    assert len(set(words)) == len(words)
    assert alike(SYNONYMS) == [] and alike(["a", "A", "a"]) == [["a", "A"]]
    for word in words:
        assert meaning(word.title()) == meaning(f" {word} ") == meaning(word)
        assert spelled_as(word.upper(), list(SYNONYMS)) == meaning(word)
    assert spelled_as("joy", ["happy", "Joy"]) == "Joy"
    assert spelled_as("calm", list(SYNONYMS)) is None


@pytest.fixture
def spelled(tmp_path):
    for number, name in enumerate([
            "train/Happy", "train/happy", "train/anger", "train/sad", "test/happy",
            "test/angry", "test/sad"]):
        write(tmp_path, f"{name}/x{number}.png", number)
    return tmp_path


def test_classes_that_mean_the_same_are_always_reported(spelled):
    (spelled / "test" / "angry").rename(spelled / "train" / "angry")
    data = load_folders(spelled)
    assert data.classes == ("Happy", "anger", "angry", "happy", "sad")
    assert ("classes that may be one: Happy and happy; angry and anger (merge_alike"
            in data.summary())
    report = str(audit(data))
    assert "Happy (1), happy (2) are 2 classes" in report
    assert "warning  class spellings: anger (1), angry (1) are 2 classes" in report


def test_they_are_merged_by_wish_and_reported_too(spelled):
    with pytest.raises(DatasetError, match="got 'angry'.*merge_alike.*'anger'"):
        load_folders(spelled)
    for read in load_folders, load:
        data = read(spelled, merge_alike=True)
        assert data.classes == ("anger", "happy", "sad")
        assert [data.classes[k] for k in data.labels] == [
            "anger", "happy", "happy", "sad", "anger", "happy", "sad"]
        assert "merged classes: Happy into happy; angry into anger" in data.summary()
        assert "class spellings" not in str(audit(data))


def test_given_classes_are_spelled_as_they_are(spelled):
    order = ("sadness", "Anger", "joy")
    data = load_folders(spelled, order, merge_alike=True)
    assert data.classes == order
    assert data.labels[:4].tolist() == [0, 1, 2, 2]
    apart = ("Happy", "happy", "anger", "sad", "angry")
    (spelled / "train" / "angry").mkdir()
    assert load_folders(spelled, apart, merge_alike=True).classes == apart


def test_a_clean_set_has_no_such_remark():
    assert "class spellings" not in str(audited())


# --- classes without a folder ------------------------------------------------

def test_a_class_may_be_absent_where_that_is_allowed(ck48):
    order = ("fear", "happy", "anger")
    with pytest.raises(DatasetError, match="found none for fear"):
        load_folders(ck48, order)
    data = load_folders(ck48, order, absent=True)
    assert data.classes == order and set(data.labels.tolist()) == {1, 2}
    assert data.notes["classes without an image"] == "fear"
    with pytest.raises(DatasetError, match="only the classes anger, got 'happy'"):
        load_folders(ck48, ("anger",), absent=True)
    with pytest.raises(DatasetError, match="found none for fear"):
        load_folders(ck48, ("fear",), absent=True)


def test_saved_folders_have_all_classes(tmp_path):
    names = [f"{n}.png" for n in range(3)]
    data = SplitDataset(np.stack([picture(n)[None] for n in range(3)]), [0, 2, 2],
                        ("angry", "fear", "happy"), names, names, names,
                        usage=["train", "train", "test"])
    save_folders(data, tmp_path / "out")
    back = load_folders(tmp_path / "out")
    assert back.classes == data.classes and back.labels.tolist() == [0, 2, 2]
