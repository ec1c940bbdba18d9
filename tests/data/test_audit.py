"""The audit: every kind of fault planted and found, a clean set silent."""

import numpy as np
import pytest

from helpers.planting import CLASSES, N, audited, columns, kinds, only
from minifer.data import SplitDataset
from minifer.data.auditing import audit, parts_of
from minifer.errors import DatasetError, SettingError


def test_a_clean_set_is_silent():
    report = audited()
    assert report.findings == () and not report.severe
    assert str(report).endswith("nothing found")
    assert {name: counts.tolist() for name, counts in report.counts.items()} == {
        "train": [40] * 3, "validation": [20] * 3, "test": [20] * 3}
    for free, honest, common in report.neighbour.values():
        assert free == honest and common == 1 / 3 and free < .6


def test_other_clean_sets_are_silent_too():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = columns()
        order = rng.permutation(N)
        for name in ("images", "subjects", "sequences", "paths"):
            values[name] = values[name][order]
        assert audit(SplitDataset(**values)).findings == ()


# --- leaks ------------------------------------------------------------------

def test_an_image_in_two_parts():
    report = audit(SplitDataset(**columns()), [range(120), range(118, 240)])
    finding = only(report, "overlap")
    assert finding.severity == "severe" and finding.rows.tolist() == [118, 119]
    assert finding.text == "2 images stand in both train and test."
    assert set(kinds(report)) == {"overlap", "memory"}  # and not as copies
    everything = audit(SplitDataset(**columns()), [range(N), range(N)])
    assert kinds(everything) == ["overlap", "memory"]


def test_a_person_on_both_sides():
    def plant(values):
        values["subjects"][[180, 181, 182]] = values["subjects"][[3, 3, 4]]

    report = audited(plant)
    finding = only(report, "subjects")
    assert finding.severity == "severe" and finding.rows.tolist() == [180, 181, 182]
    assert finding.text == "3 of 60 images (5.0 %) of test show 2 subjects of train."
    assert set(kinds(report)) <= {"subjects", "memory"} and report.severe


def test_a_recording_on_both_sides():
    def plant(values):
        values["sequences"][130] = values["sequences"][7]

    report = audited(plant)
    finding = only(report, "sequences")
    assert finding.severity == "severe" and finding.rows.tolist() == [130]
    assert "of validation show 1 sequence of train." in finding.text
    assert set(kinds(report)) <= {"sequences", "memory"}


def test_the_same_photo_on_both_sides():
    def plant(values):
        values["images"][180:186] = values["images"][0:6]
        values["subjects"][180:186] = values["subjects"][0:6]  # as loaders have it

    report = audited(plant)
    finding = only(report, "exact copies")
    assert finding.severity == "severe" and finding.rows.tolist() == [*range(180, 186)]
    assert finding.text.startswith("6 of 60 images (10.0 %) of test have the same pix")
    assert set(kinds(report)) == {"exact copies", "memory"}  # no "subjects" twice
    free, honest, _ = report.neighbour["test"]
    assert .05 < free - honest <= .1
    assert only(report, "memory").text.endswith(
        f": {100 * (free - honest):.1f} points measure memory.")


def test_nearly_the_same_photo_on_both_sides():
    def plant(values):
        image = values["images"][0].astype(float)
        values["images"][180] = image * .9 + 30
        values["images"][181] = values["images"][1]

    report = audited(plant)
    assert only(report, "near copies").rows.tolist() == [180]
    assert only(report, "near copies").severity == "severe"
    assert only(report, "exact copies").rows.tolist() == [181]
    assert "near copies" not in kinds(audited(plant, near=False))


def test_photos_that_repeat_within_a_part():
    def plant(values):
        values["images"][[60, 90]] = values["images"][30]

    report = audited(plant)
    assert kinds(report) == ["repeated"] and not report.severe
    finding = report.findings[0]
    assert finding.severity == "note" and finding.rows.tolist() == [60, 90]
    assert "2 of 120 images (1.7 %) of train repeat" in finding.text


def test_augmented_copies_that_left_their_source():
    def plant(values):
        values["paths"][180] = "000.jpg.mirror.png"
        values["paths"][7] = "181.jpg.turn+10.png"
        values["paths"][182] = values["paths"][8] = "gone.jpg.mirror.png"
        values["paths"][9] = "010.jpg.mirror.png"  # beside its source

    report = audited(plant)
    finding = only(report, "augmented copies")
    assert finding.severity == "severe"
    assert sorted(finding.rows) == [7, 8, 180, 182]
    assert finding.text.startswith("4 copies in train or test have, by name, the photo")
    assert set(kinds(report)) <= {"augmented copies", "memory"}


def test_a_neighbour_made_from_the_same_photo_is_no_stranger():
    def plant(values):
        import cv2
        turn = cv2.getRotationMatrix2D((11.5, 11.5), 10, 1)
        for i in range(180, N):  # smooth, so that a turned image is like itself
            smooth = cv2.GaussianBlur(values["images"][i, 0], (0, 0), 4)
            values["images"][i, 0] = cv2.normalize(smooth, None, 0, 255,
                                                   cv2.NORM_MINMAX)
            values["images"][i - 180, 0] = cv2.warpAffine(
                values["images"][i, 0], turn, (24, 24), borderMode=cv2.BORDER_REFLECT)
        values["paths"][:60] = [f"{path}.turn+10.png"
                                for path in values["paths"][180:]]

    free, honest, _ = audited(plant, near=False).neighbour["test"]
    assert free > .9 and honest < .6


def test_memory_is_what_the_neighbour_owes_to_people_it_knows():
    def plant(values):  # all test images are taken of people of the training part
        noise = np.random.default_rng(1).normal(0, 2, (60, 1, 24, 24))
        values["images"][180:] = (values["images"][:60] + noise).clip(0, 255)
        values["subjects"][180:] = values["subjects"][:60]
        values["labels"][180:210] = (values["labels"][:30] + 1) % 3

    report = audited(plant)
    free, honest, common = report.neighbour["test"]
    assert free == .5 and honest == neighbour_by_definition(plant)
    assert "scores 50.0 % on test, and " in only(report, "memory").text
    assert "memory" not in [f.kind for f in report.findings if "validation" in f.text]


@pytest.mark.parametrize("column", ["subjects", "sequences", None])
def test_who_is_no_stranger(column):
    def plant(values):
        values["images"][180:] = values["images"][:60] // 2
        if column:
            values[column][180:] = values[column][:60]

    free, honest, _ = audited(plant, near=False).neighbour["test"]
    assert free == 1 and (honest < .6 if column else honest == 1)


def test_without_strangers_nothing_can_be_copied():
    def plant(values):
        values["subjects"][:] = "Ann"

    assert audited(plant).neighbour["test"][1] == 0


def neighbour_by_definition(plant):
    """1-NN by correlation of 16x16 means, without the twin, on the test part."""
    import cv2
    values = columns()
    plant(values)
    small = [cv2.resize(image[0].astype(np.float32), (16, 16),
                        interpolation=cv2.INTER_AREA).ravel()
             for image in values["images"]]
    right = 0
    for i in range(180, N):
        others = [j for j in range(120) if j != i - 180]
        like = [np.corrcoef(small[i], small[j])[0, 1] for j in others]
        right += values["labels"][others[np.argmax(like)]] == values["labels"][i]
    return right / 60


# --- labels, blanks, classes ------------------------------------------------

def test_equal_images_with_different_labels():
    def plant(values):
        values["images"][[1, 2]] = values["images"][0]
        values["images"][4] = values["images"][3]
        values["labels"][:5] = [0, 1, 1, 2, 2]

    report = audited(plant)
    finding = only(report, "conflicting labels")
    assert finding.severity == "warning" and sorted(finding.rows) == [0, 1, 2]
    assert finding.text == ("1 group of equal images has different labels "
                            "(happy/sad 1).")
    assert set(kinds(report)) == {"conflicting labels", "repeated"}


def test_blank_images():
    def plant(values):
        values["images"][[5, 6, 130]] = np.array([0, 77, 0]).reshape(3, 1, 1, 1)

    report = audited(plant)
    assert kinds(report) == ["blank"]  # the two black ones are no copies
    finding = report.findings[0]
    assert finding.severity == "warning" and finding.rows.tolist() == [5, 6, 130]
    assert finding.text == "3 images of a single grey value (train 2, validation 1)."


@pytest.mark.parametrize("part, rows, severity, end", [
    ("train", range(120), "severe", "cannot be learnt."),
    ("test", range(180, 240), "warning", "cannot be measured.")])
def test_a_class_is_missing(part, rows, severity, end):
    def plant(values):
        values["labels"][list(rows)] %= 2

    found = [f for f in audited(plant).findings if f.kind == "missing class"]
    assert len(found) == 1 and found[0].severity == severity
    assert found[0].text == f"{part} has no image of fear, which {end}"


def test_classes_out_of_balance():
    def plant(values):
        values["labels"] = np.where(np.arange(N) % 12 == 0, 2, np.arange(N) % 2)

    report = audited(plant)
    assert kinds(report) == ["class balance"] * 3
    assert report.findings[0].severity == "note"
    assert "train has 6.0 times as many images of sad (60) as of fear (10)" in str(
        report)


def test_parts_with_other_shares_of_the_classes():
    def plant(values):
        values["labels"][180:] = np.repeat([0, 1, 2], [40, 10, 10])

    report = audited(plant)
    found = [f for f in report.findings if f.kind == "class shares"]
    assert set(kinds(report)) == {"class shares"}
    assert found[0].severity == "warning" and found[0].text == (
        "test has other shares of the classes than train: 33 % of its images would "
        "have to change class.")


# --- statistics -------------------------------------------------------------

def blurred(values):
    import cv2
    for image in values["images"][:120]:
        soft = cv2.GaussianBlur(image[0].astype(float), (0, 0), .6)
        soft = (soft - soft.mean()) / soft.std() * image.std() + image.mean()
        image[0] = soft.clip(0, 255)


def darker(values):
    values["images"][180:] = values["images"][180:] - 25.


def paler(values):
    images = values["images"][180:].astype(float)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    values["images"][180:] = mean + (images - mean) * .6


@pytest.mark.parametrize("plant, kind, word, other", [
    (blurred, "sharpness", "sharper", "validation differs very much from train"),
    (darker, "brightness", "darker", "test differs very much from validation"),
    (paler, "contrast", "poorer in contrast", "test differs very much from valid")])
def test_parts_that_look_different(plant, kind, word, other):
    report = audited(plant)
    assert kinds(report) == [kind] * 2
    assert f"test differs very much from train: its images are {word} in" in str(report)
    assert other in str(report) and report.findings[0].severity == "severe"


def test_the_size_of_a_difference_is_by_definition():
    def measure(images):
        return [image.mean() for image in images]

    values = columns()
    darker(values)
    train, test = (measure(values["images"][rows]) for rows in (slice(120),
                                                                slice(180, N)))
    odds = np.mean([a > b for a in train for b in test])
    assert (f"test differs very much from train: its images are darker in "
            f"{100 * odds:.0f} % of random pairs (alike would be 50 %); medians "
            f"{np.median(train) / 255:.3f} in train, {np.median(test) / 255:.3f} in "
            "test." in str(audited(darker)))


def test_the_size_of_a_difference_is_said():
    severities = {}
    for step in (12, 17, 26):
        def plant(values):
            values["images"][120:] = values["images"][120:] + float(step)
            values["usage"][120:] = "test"
        finding = only(audited(plant), "brightness")
        severities[finding.severity] = finding.text.split(" from")[0]
    assert severities == {"note": "test differs a little",
                          "warning": "test differs much",
                          "severe": "test differs very much"}


def test_differences_too_small_to_matter_are_silent():
    """Chance alone would not do it, but what of that?"""
    rng = np.random.default_rng(4)
    n = 6000
    light = rng.uniform(90, 160, n) + np.where(np.arange(n) < n // 2, 0, 4)
    names = np.array([f"{i}.jpg" for i in range(n)])
    few_more = [1000, 1000, 1000, 1150, 1000, 850]
    data = SplitDataset(
        (light[:, None, None, None] + rng.normal(0, 20, (n, 1, 8, 8))).astype(np.uint8),
        np.repeat([0, 1, 2, 0, 1, 2], few_more), CLASSES, names, names, names,
        usage=np.repeat(["train", "test"], n // 2))
    assert audit(data, near=False).findings == ()


def test_images_of_one_person_are_one_witness():
    def plant(values):
        darker(values)
        values["subjects"][180:] = np.repeat(["x", "y"], 30)

    assert audited(plant).findings == ()


def test_equal_parts_differ_in_nothing():
    """No number for a rank where all values are equal."""
    values = columns()
    tile = np.random.default_rng(3).permutation(np.arange(576) % 256).astype(np.uint8)
    values["images"] = np.stack([np.roll(tile, 24 * i).reshape(1, 24, 24)
                                 for i in range(24)] * 10)
    assert "brightness" not in kinds(audit(SplitDataset(**values), near=False))


# --- the report -------------------------------------------------------------

def test_the_worst_comes_first_and_everything_is_printed():
    def plant(values):
        values["images"][60] = values["images"][30]
        values["images"][180] = values["images"][0]
        values["images"][5] = 0

    report = audited(plant)
    order = ["severe", "warning", "note"]
    levels = [order.index(finding.severity) for finding in report.findings]
    assert levels == sorted(levels) and set(levels) == {0, 1, 2}
    lines = str(report).splitlines()
    assert lines[0].split() == ["part", "images", *CLASSES]
    assert lines[1].split() == ["train", "120", "40", "40", "40"]
    assert "test" in lines[5] and "strangers only" in lines[5]
    assert lines[6:] == [str(finding) for finding in report.findings]


def test_rows_are_those_of_the_data_set_given():
    values = columns()
    values["images"][200] = values["images"][100]
    report = audit(SplitDataset(**values), {"a": range(90, 120), "b": range(190, 220)})
    assert only(report, "exact copies").rows.tolist() == [200]
    assert list(report.counts) == ["a", "b"] and report.counts["a"].sum() == 30


def test_parts_come_from_usage_or_by_name_or_in_order():
    values = columns()
    data = SplitDataset(**values)
    assert list(parts_of(data)) == ["train", "validation", "test"]
    assert list(parts_of(data, [[0], [1], [2]])) == ["train", "validation", "test"]
    assert parts_of(data, {"fold 1": (5, 3, 3)})["fold 1"].tolist() == [3, 5]
    assert list(parts_of(data, {"test": [0], "train": [1]})) == ["train", "test"]
    assert list(parts_of(data, {"b": [0], "a": [1]})) == ["b", "a"]
    whole = audit(SplitDataset(**{**values, "usage": None}))
    assert list(whole.counts) == ["all"] and whole.findings == ()
    assert whole.neighbour == {}


@pytest.mark.parametrize("parts, message", [
    ([[0]], "two or three of them"), ([[0]] * 4, "got 4"),
    ({"train": []}, "numbers of images for 'train'"),
    ({"train": [.5]}, "float64"), ({"train": [[1]]}, "shape .1, 1."),
    ({"train": [N]}, "from 0 to 239 for 'train', got 240 to 240"),
    ({"train": [-1]}, "got -1 to -1")])
def test_parts_that_are_none(parts, message):
    with pytest.raises(SettingError, match=message):
        audit(SplitDataset(**columns()), parts)


def test_data_that_are_none():
    with pytest.raises(DatasetError, match="one image or more, got none"):
        audit(SplitDataset(**columns()).subset([]))
    with pytest.raises(DatasetError, match="expected a Dataset"):
        audit(columns())
