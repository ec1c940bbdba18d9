"""FER2013's table and FER+'s votes, whole and with every fault planted."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer.data import (FER2013_CLASSES, SOFT_CLASSES, Dataset, SplitDataset,
                          load_fer2013, load_ferplus, split_by_subject)
from minifer.errors import DatasetError, SettingError, ShapeError

ORDER = ("emotion", "pixels", "Usage")
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 1, 48, 48), dtype=np.uint8)
LABELS = [0, 1, 2, 3, 4, 5, 6, 3]
USAGE = ["Training"] * 5 + ["PublicTest"] * 2 + ["PrivateTest"]
PARTS = ["train"] * 5 + ["validation"] * 2 + ["test"]


def text_of(image):
    return " ".join(map(str, image.ravel()))


def rows(images=IMAGES, labels=LABELS, usage=USAGE):
    return [{"emotion": str(label), "pixels": text_of(image), "Usage": word}
            for image, label, word in zip(images, labels, usage)]


def write(path, rows, order=ORDER, header=None, end="\n"):
    lines = [",".join(header or order)]
    lines += [",".join(row[name] for name in order) for row in rows]
    path.write_text(end.join(lines) + end)
    return path


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "fer2013.csv", rows())


def test_the_table_comes_back(table):
    data = load_fer2013(table)
    assert isinstance(data, SplitDataset) and isinstance(data, Dataset)
    np.testing.assert_array_equal(data.images, IMAGES)
    assert data.images.dtype == np.uint8 and data.images.flags.writeable
    assert data.labels.tolist() == LABELS and data.usage.tolist() == PARTS
    assert data.classes == FER2013_CLASSES
    assert FER2013_CLASSES == ("angry", "disgust", "fear", "happy", "sad", "surprise",
                               "neutral")
    assert data.paths[7] == "fer0000007.png"
    assert not any(data.notes.values())
    np.testing.assert_array_equal(data.targets, np.eye(7)[LABELS])
    assert data.summary().endswith("parts: train 5, validation 2, test 1")


def test_the_competition_table_has_blanks_in_its_names(tmp_path):
    path = write(tmp_path / "icml_face_data.csv", rows(),
                 ("emotion", "Usage", "pixels"), ("emotion", " Usage", " pixels"))
    np.testing.assert_array_equal(load_fer2013(path).images, IMAGES)
    assert load_fer2013(path).usage.tolist() == PARTS


def test_quotes_byte_order_marks_carriage_returns_and_empty_lines(tmp_path):
    quoted = [{**row, "pixels": f'"{row["pixels"]}"'} for row in rows()]
    path = write(tmp_path / "a.csv", quoted, end="\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    np.testing.assert_array_equal(load_fer2013(path, strict=True).images, IMAGES)


def test_a_table_without_usage_is_all_for_training(tmp_path):
    data = load_fer2013(write(tmp_path / "train.csv", rows(), ("emotion", "pixels")))
    assert set(data.usage) == {"train"}
    assert "usage: no such column, so all rows are for training" in data.summary()


def test_more_classes_can_be_named(tmp_path):
    path = write(tmp_path / "ckextended.csv", rows(labels=[7] * 8))
    with pytest.raises(DatasetError, match="no good one .bad label 8, first line 2: "):
        load_fer2013(path)
    data = load_fer2013(path, classes=(*FER2013_CLASSES, "contempt"))
    assert data.labels.tolist() == [7] * 8


@pytest.mark.parametrize("words", [
    ("Training", "PublicTest", "PrivateTest"), ("training", "val", "test"),
    ("Train", "Valid", "Test"), ("TRAIN", "validation", "testing"),
    (" train ", "dev", "private test"), ("training", "public_test", "Private-Test")])
def test_plain_words_for_the_parts(tmp_path, words):
    own = dict(zip(("Training", "PublicTest", "PrivateTest"), words))
    table = rows(usage=[own[word] for word in USAGE])
    data = load_fer2013(write(tmp_path / "a.csv", table), strict=True)
    assert data.usage.tolist() == PARTS


@pytest.mark.parametrize("spell", [
    lambda k: f"{k}.0", lambda k: f"{k}.", lambda k: f"{k:.7e}",
    lambda k: FER2013_CLASSES[k], lambda k: FER2013_CLASSES[k].upper(),
    lambda k: f" {FER2013_CLASSES[k].title()} ",
    lambda k: ("anger", "Disgusted", "fearful", "Happiness", "sadness", "surprised",
               "Neutral")[k]])
def test_labels_as_floats_and_words(tmp_path, spell):
    path = write(tmp_path / "a.csv", rows(labels=map(spell, LABELS)))
    data = load_fer2013(path, strict=True)
    assert data.labels.tolist() == LABELS and data.classes == FER2013_CLASSES


def test_plain_names_for_the_columns(tmp_path):
    path = write(tmp_path / "a.csv", rows(), header=("Label", "pixels", "split"))
    data = load_fer2013(path, strict=True)
    assert data.labels.tolist() == LABELS and data.usage.tolist() == PARTS


def test_the_first_bad_row_of_each_kind_is_shown(tmp_path):
    bad = rows()
    for row, (column, text) in enumerate([
            ("emotion", "bored"), ("emotion", "tired"), ("Usage", "never"),
            ("Usage", "seldom"), ("emotion", "calm")]):
        bad[row][column] = text
    notes = load_fer2013(write(tmp_path / "a.csv", bad)).notes
    assert notes["bad_label"][0].endswith("got 'bored'")
    assert notes["bad_label"][1:] == ["line 3", "line 6"]
    assert notes["unknown_usage"][0].endswith("got 'never'")
    assert notes["unknown_usage"][1:] == ["line 5"]
    with pytest.raises(DatasetError, match="bad label 3, first line 2: expected a labe"
                       ".*'bored'; unknown usage 2, first line 4.*'never'"):
        load_fer2013(write(tmp_path / "b.csv", bad[:5]))


FAULTS = [
    ("pixels", "1 2 3", "wrong_number_of_pixels", "expected 2,304 pixels, got 3"),
    ("pixels", "", "wrong_number_of_pixels", "got 0"),
    ("pixels", "7 " * 2305, "wrong_number_of_pixels", "got 2,305"),
    ("pixels", "7 " * 2303 + "x", "bad_pixel", "got 'x'"),
    ("pixels", "7 " * 2304 + "x", "bad_pixel", "got 'x'"),
    ("pixels", "7 " * 2303 + "-7", "bad_pixel", "got '-7'"),
    ("pixels", "7 " * 2303 + "7.5", "bad_pixel", "got '7.5'"),
    ("pixels", "7 " * 2303 + "256", "bad_pixel", "from 0 to 255, got 256"),
    ("pixels", "7 " * 2303 + "9" * 30, "bad_pixel", "from 0 to 255, got 9"),
    ("pixels", "7 " * 2303 + "\u0667", "bad_pixel", "got '\u0667'"),
    ("emotion", "7", "bad_label", "label from 0 to 6 or a word .* angry, got '7'"),
    ("emotion", "-1", "bad_label", "got '-1'"),
    ("emotion", "bored", "bad_label", "got 'bored'"),
    ("emotion", "contempt", "bad_label", "got 'contempt'"),
    ("emotion", "3.5", "bad_label", "got '3.5'"),
    ("emotion", "nan", "bad_label", "got 'nan'"),
    ("emotion", "1_0", "bad_label", "got '1_0'"),
    ("emotion", "", "bad_label", "got ''"),
    ("emotion", "9" * 5000, "bad_label", "got '9{20}'"),
    ("Usage", "Tested", "unknown_usage", "PrivateTest or the like, got 'Tested'"),
    ("Usage", "", "unknown_usage", "got ''"),
    ("Usage", "Training,1", "wrong_number_of_fields", "expected 3 fields, got 4"),
]


@pytest.mark.parametrize("column, text, kind, message", FAULTS)
def test_a_bad_row_is_counted_or_refused(tmp_path, column, text, kind, message):
    bad = rows()
    bad[2][column] = text
    path = write(tmp_path / "fer2013.csv", bad)
    data = load_fer2013(path)
    (found, (line,)), = ((name, lines) for name, lines in data.notes.items() if lines)
    assert found == kind and re.match(f"line 4: expected .*{message[-8:]}", line)
    np.testing.assert_array_equal(data.images, np.delete(IMAGES, 2, axis=0))
    assert data.labels.tolist() == np.delete(LABELS, 2).tolist()
    assert data.paths[2] == "fer0000003.png"  # the number of the row, not of the image
    assert f"left out, {kind.replace('_', ' ')}: 1 (line 4: exp" in data.summary()
    with pytest.raises(DatasetError, match=f"csv, line 4: .*{message}") as error:
        load_fer2013(path, strict=True)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_file_cut_in_the_middle_of_a_row(table):
    table.write_bytes(table.read_bytes()[:-40])
    data = load_fer2013(table)
    assert len(data) == 7
    assert data.notes["wrong_number_of_fields"][0].startswith("line 9: expected 3")


@pytest.mark.parametrize("content, message", [
    ("", "found nothing"),
    ("emotion,pixels,Usage\n", "no rows at all"),
    ("pixels\n1 2 3\n", "found pixels. This is a test table without labels"),
    ("a,b,c\n1,2,3\n", "expected the columns emotion, pixels and Usage, found a, b, c"),
    ('emotion,"pix\n3,1 2', "Usage, found emotion, pix 3,1 2. Is it"),  # in one line
    ('emotion,pixels,Usage\n0,"' + "1 " * 99999, "line 2: expected a row of a CSV"),
    ("emotion,pixels,Usage\n0,1 2,Training\n", "no good one .wrong number of pixels 1"),
])
def test_files_that_are_no_such_table(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message) as error:
        load_fer2013(path)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DatasetError, match="expected a CSV file, got"):
            load_fer2013(path)


def test_memory_stays_near_the_size_of_the_images(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (2000, 1, 48, 48), np.uint8)
    path = write(tmp_path / "big.csv", rows(images, [3] * 2000, ["Training"] * 2000))
    load_fer2013(write(tmp_path / "small.csv", rows()))  # imports are not counted
    tracemalloc.start()
    load_fer2013(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 3 * images.nbytes
    assert peak < 1.5 * images.nbytes


def test_copies_of_one_photo_never_come_apart(tmp_path):
    images = np.concatenate([IMAGES] * 3)
    data = load_fer2013(write(tmp_path / "a.csv", rows(images, [3] * 24,
                                                       ["Training"] * 24)))
    assert data.subjects.tolist() == [f"fer000000{i}.png" for i in range(8)] * 3
    one, other = split_by_subject(data.labels, data.subjects, (0.5, 0.5))
    assert not {x.tobytes() for x in data.images[one]} & {
        x.tobytes() for x in data.images[other]}


# --- FER+ -------------------------------------------------------------------

FERPLUS = ("Usage", "Image name", "neutral", "happiness", "surprise", "sadness",
           "anger", "disgust", "fear", "contempt", "unknown", "NF")


def vote_rows():
    """Ten votes for each of the 8 images."""
    votes = [[10, 0, 0, 0, 0, 0, 0, 0, 0, 0],   # neutral
             [4, 0, 0, 1, 3, 2, 0, 0, 0, 0],    # neutral, anger, disgust; one slip
             [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],   # no face
             [0, 8, 0, 0, 0, 0, 0, 2, 0, 0],    # happiness, contempt
             [0, 2, 2, 0, 0, 0, 0, 0, 6, 0],    # unknown
             [0, 0, 5, 0, 0, 0, 5, 0, 0, 0],    # surprise and fear alike
             [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],    # slips only
             [0, 0, 0, 10, 0, 0, 0, 0, 0, 0]]   # sadness
    return [dict(zip(FERPLUS, [word, "" if i == 2 else f"fer{i:07d}.png",
                               *map(str, row)]))
            for i, (row, word) in enumerate(zip(votes, USAGE))]


@pytest.fixture
def votes(tmp_path):
    return write(tmp_path / "fer2013new.csv", vote_rows(), FERPLUS)


def test_votes_become_soft_labels(table, votes):
    data = load_ferplus(table, votes)
    assert data.classes == SOFT_CLASSES
    kept = [0, 1, 3, 5, 7]
    np.testing.assert_array_equal(data.images, IMAGES[kept])
    assert data.usage.tolist() == [PARTS[i] for i in kept]
    #                    neutral anger contempt disgust fear happy sad surprise
    np.testing.assert_allclose(data.targets, [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [4 / 9, 3 / 9, 0, 2 / 9, 0, 0, 0, 0],
        [0, 0, .2, 0, 0, .8, 0, 0],
        [0, 0, 0, 0, .5, 0, 0, .5],
        [0, 0, 0, 0, 0, 0, 1, 0]], rtol=1e-6)
    assert [SOFT_CLASSES[label] for label in data.labels] \
        == ["neutral", "neutral", "happiness", "fear", "sadness"]
    assert data.notes["no_face"] == ["fer0000002.png"]
    assert data.notes["no_emotion"] == ["fer0000004.png", "fer0000006.png"]
    assert "left out, no emotion: 2" in data.summary()


def test_an_image_without_a_name_is_no_face_whatever_its_votes(table, tmp_path):
    unnamed = vote_rows()
    unnamed[0]["Image name"] = ""
    data = load_ferplus(table, write(tmp_path / "votes.csv", unnamed, FERPLUS))
    assert data.notes["no_face"] == ["fer0000000.png", "fer0000002.png"]
    assert "fer0000000.png" not in data.paths


def test_single_votes_count_when_asked(table, votes):
    data = load_ferplus(table, votes, min_votes=1)
    np.testing.assert_allclose(data.targets[1],
                               [.4, .3, 0, .2, 0, 0, .1, 0], rtol=1e-6)
    assert "fer0000006.png" in data.paths  # eight slips of ten


def test_a_bad_row_of_the_images_does_not_shift_the_votes(tmp_path, votes):
    bad = rows()
    bad[0]["pixels"] = "1 2"
    data = load_ferplus(write(tmp_path / "bad.csv", bad), votes)
    assert data.paths.tolist() == [f"fer000000{i}.png" for i in (1, 3, 5, 7)]
    assert data.targets[0, 1] == np.float32(1 / 3)


@pytest.mark.parametrize("row, column, text, message", [
    (3, "anger", "many", "line 5: expected votes to be whole numbers, got 'many'"),
    (3, "anger", "-1", "line 5: .*got '-1'"),
    (3, "Usage", "Tested", "line 5: expected Usage"),
    (3, "Usage", "PrivateTest", "they differ"),
    (3, "Image name", "fer0000004.png", "expected the image fer0000003.png"),
    (3, "NF", "0,0", "line 5: expected 12 fields, got 13"),
])
def test_votes_with_faults(table, tmp_path, row, column, text, message):
    bad = vote_rows()
    bad[row][column] = text
    path = write(tmp_path / "bad.csv", bad, FERPLUS)
    with pytest.raises(DatasetError, match=message) as error:
        load_ferplus(table, path)
    assert "\n" not in str(error.value)


def test_votes_that_are_too_few_or_another_table(table, tmp_path, votes):
    short = write(tmp_path / "short.csv", vote_rows()[:-1], FERPLUS)
    with pytest.raises(DatasetError, match="a row of the same Usage for each row"):
        load_ferplus(table, short)
    with pytest.raises(DatasetError, match="expected a column 'image name'"):
        load_ferplus(table, table)
    with pytest.raises(DatasetError, match="found none. Download"):
        load_ferplus(table, write(tmp_path / "empty.csv", [], FERPLUS))
    with pytest.raises(DatasetError, match="no image has them with min_votes=11"):
        load_ferplus(table, votes, min_votes=11)
    with pytest.raises(SettingError, match="min_votes: expected a whole number from 1"):
        load_ferplus(table, votes, min_votes=0)


# --- the data set with a split and soft labels ------------------------------

def small(**columns):
    values = {"images": IMAGES[:3], "labels": [0, 1, 1], "classes": ("a", "b"),
              "subjects": list("xyz"), "sequences": list("xyz"), "paths": list("xyz"),
              "usage": ["train", "train", "test"], **columns}
    return SplitDataset(**values)


@RANDOM_SHAPES
@given(st.lists(st.integers(0, 2), max_size=6))
def test_every_column_follows_a_subset(indices):
    data = small(targets=[[.75, .25], [.25, .75], [0, 1]])
    part = data.subset(indices)
    assert type(part) is SplitDataset and len(part) == len(indices)
    for name in ("images", "labels", "subjects", "paths", "usage", "targets"):
        np.testing.assert_array_equal(
            getattr(part, name), getattr(data, name)[np.array(indices, int)])


def test_parts():
    data = small()
    assert data.part("train").labels.tolist() == [0, 1]
    with pytest.raises(DatasetError, match=r"'validation': .*\(train 2, test 1\)"):
        data.part("validation")
    assert small(usage=None).usage.tolist() == ["", "", ""]
    assert "parts" not in small(usage=None).summary()


@pytest.mark.parametrize("columns, error, message", [
    ({"usage": ["train"]}, ShapeError, "expected 3 words of usage"),
    ({"usage": ["train", "test", "exam"]}, DatasetError, "got 'exam'"),
    ({"targets": np.eye(3)}, ShapeError, r"\(N, K\) = \(3, 2\), got shape \(3, 3\)"),
    ({"targets": [[1, 0], [0, 1], [.5, .6]]}, DatasetError, "sum 1, row 2 is"),
    ({"targets": [[1, 0], [0, 1], [-.5, 1.5]]}, DatasetError, "sum 1, row 2 is"),
    ({"targets": [[1, 0], [0, 1], [np.nan, 1]]}, DatasetError, "sum 1, row 2 is"),
    ({"targets": [[1, 0], [1, 0], [0, 1]]}, DatasetError, "row 1 has label 1"),
])
def test_a_split_data_set_checks_itself(columns, error, message):
    with pytest.raises(error, match=message):
        small(**columns)
