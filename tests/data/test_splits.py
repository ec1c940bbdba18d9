"""Splits: whole, without common subjects, stratified, the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.checking import RANDOM_SHAPES
from minifer.data import EMOTIONS, k_fold, split_by_subject, split_random
from minifer.data.splits import describe
from minifer.errors import DatasetError, MiniferError, SettingError, ShapeError


def like_ck():
    """Labels and subjects with CK+'s numbers: 118 people, 327 sequences."""
    rng = np.random.default_rng(7)
    labels, subjects = [], []
    for label, sequences in enumerate((45, 18, 59, 25, 69, 28, 83)):
        for person in rng.choice(118, sequences, replace=False):
            frames = rng.integers(3, 9)
            labels += [label] * frames
            subjects += [f"S{person:03d}"] * frames
    return np.array(labels), np.array(subjects)


def assert_partition(parts, n):
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part in parts:
        np.testing.assert_array_equal(part, np.sort(part))


def assert_no_common_subject(parts, subjects):
    people = [set(subjects[part]) for part in parts]
    assert sum(map(len, people)) == len(set.union(*people))


def class_shares(parts, labels):
    """(P, K) share of each class that each part got."""
    counts = np.array([np.bincount(labels[part], minlength=labels.max() + 1)
                       for part in parts])
    return counts / counts.sum(axis=0)


@st.composite
def people(draw, least=2):
    """Random labels and subjects; each class that occurs has ``least`` owners."""
    classes = draw(st.integers(1, 4))
    owned = draw(st.lists(st.lists(st.integers(0, classes - 1), min_size=1, max_size=5),
                          min_size=least, max_size=12))
    rows = [(label, f"P{number}") for number, labels in enumerate(owned)
            for label in labels]
    rows += [(label, f"X{number}") for label in range(classes)
             for number in range(label * least, (label + 1) * least)]
    rows = draw(st.permutations(rows))
    return (np.array([label for label, _ in rows]),
            np.array([name for _, name in rows]))


@RANDOM_SHAPES
@given(people(least=3), st.integers(0, 9))
def test_any_split_is_whole_disjoint_and_holds_every_class(data, seed):
    labels, subjects = data
    parts = split_by_subject(labels, subjects, seed=seed)
    assert len(parts) == 3
    assert_partition(parts, len(labels))
    assert_no_common_subject(parts, subjects)
    for part in parts:
        assert set(labels[part]) == set(labels)


@RANDOM_SHAPES
@given(people(), st.integers(2, 6), st.integers(0, 9))
def test_any_fold_is_whole_disjoint_and_trained_on_every_class(data, folds, seed):
    labels, subjects = data
    folds = min(folds, len(set(subjects)))
    parts = k_fold(labels, subjects, folds, seed)
    assert len(parts) == folds and all(len(part) for part in parts)
    assert_partition(parts, len(labels))
    assert_no_common_subject(parts, subjects)
    for part in parts:
        assert set(np.delete(labels, part)) == set(labels)


@RANDOM_SHAPES
@given(people(least=3), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(data, random):
    labels, subjects = data
    order = np.array(random.sample(range(len(labels)), len(labels)))
    for split in (split_by_subject, lambda *rows: k_fold(*rows, folds=2)):
        straight = split(labels, subjects)
        shuffled = split(labels[order], subjects[order])
        for one, other in zip(straight, shuffled):
            assert set(subjects[one]) == set(subjects[order][other])


@RANDOM_SHAPES
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 9))
def test_any_random_split_is_whole_and_holds_every_class(labels, seed):
    labels = np.array(labels * 2)
    parts = split_random(labels, (0.7, 0.3), seed)
    assert_partition(parts, len(labels))
    for part in parts:
        assert set(labels[part]) == set(labels)


def test_shares_are_met_on_numbers_like_those_of_ck():
    labels, subjects = like_ck()
    fractions = np.array([0.6, 0.2, 0.2])
    shares = class_shares(split_by_subject(labels, subjects, fractions), labels)
    assert np.abs(shares - fractions[:, None]).max() < 0.03
    shares = class_shares(k_fold(labels, subjects, 10), labels)
    assert np.abs(shares - 0.1).max() < 0.05


def test_the_seed_decides():
    labels, subjects = like_ck()
    for split in (split_by_subject, k_fold):
        first = split(labels, subjects, seed=1)
        again = split(labels, subjects, seed=1)
        other = split(labels, subjects, seed=2)
        for one, two in zip(first, again):
            np.testing.assert_array_equal(one, two)
        assert set(first[0]) != set(other[0])


def test_leave_one_subject_out():
    labels, subjects = like_ck()
    names = np.unique(subjects)
    parts = k_fold(labels, subjects, len(names))
    assert sorted({*subjects[part]}.pop() for part in parts) == names.tolist()


def test_a_rare_class_reaches_every_part_past_people_with_many_images():
    labels = [0] * 300 + [1] * 3 + [0, 1] * 20
    subjects = (["big"] * 300 + ["a", "b", "c"] + ["big"] * 40)
    labels += [0, 0]
    subjects += ["d", "e"]
    labels, subjects = np.array(labels), np.array(subjects)
    for seed in range(10):
        for part in split_by_subject(labels, subjects, (0.8, 0.1, 0.1), seed):
            assert set(labels[part]) == {0, 1}


def test_a_class_of_too_few_subjects_is_named():
    labels = np.array([0, 0, 0, 1, 1])
    subjects = np.array(["a", "b", "c", "a", "a"])
    with pytest.raises(DatasetError, match=r"class 'contempt' \(index 1\) has 1 "
                                           "subject, a split into 3 parts needs 3"):
        split_by_subject(labels, subjects, classes=EMOTIONS)
    with pytest.raises(DatasetError, match="class 1 has 1 subject, cross.* needs 2"):
        k_fold(labels, subjects, 2)
    with pytest.raises(DatasetError, match=r"'contempt' \(index 1\) has 2 images, a"):
        split_random(labels, classes=EMOTIONS)


@pytest.mark.parametrize("seed", range(20))
def test_one_unlucky_order_is_not_the_end(seed):
    """One order in four deals these five people out so that no part lacks a class."""
    subjects, labels = np.nonzero([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 1],
                                   [1, 1, 1, 1], [1, 1, 0, 1]])
    for part in split_by_subject(labels, subjects, seed=seed):
        assert set(labels[part]) == {0, 1, 2, 3}


def test_no_way_to_deal_out():
    """Three classes, each shown by two of three people, in two parts."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    subjects = np.array(["a", "b", "b", "c", "a", "c"])
    with pytest.raises(DatasetError, match="every part get class"):
        split_by_subject(labels, subjects, (0.5, 0.5))
    with pytest.raises(DatasetError, match="two folds get class"):
        k_fold(labels, subjects, 2)
    assert len(k_fold(labels, subjects, 3)) == 3


def test_classes_without_images_are_left_aside():
    labels, subjects = np.array([0, 0, 6, 6]), np.array(["a", "b", "a", "b"])
    assert_partition(split_by_subject(labels, subjects, (0.5, 0.5)), 4)
    assert_partition(k_fold(labels, subjects, 2), 4)


def test_random_split_meets_its_shares_class_by_class():
    labels = np.repeat([0, 1, 2], [500, 50, 5])
    shares = class_shares(split_random(labels, (0.6, 0.2, 0.2), seed=3), labels)
    np.testing.assert_allclose(shares, np.tile([[0.6], [0.2], [0.2]], 3))


def test_random_split_is_drawn_by_the_seed():
    labels = np.repeat([0, 1], 50)
    parts = [split_random(labels, (0.5, 0.5), seed)[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert set(parts[0]) != set(parts[2])


def test_random_split_leaves_no_part_without_a_class():
    labels = np.repeat([0, 1], [3, 4])
    parts = split_random(labels, (0.98, 0.01, 0.01))
    assert [np.bincount(labels[part]).tolist() for part in parts] \
        == [[1, 2], [1, 1], [1, 1]]


@pytest.mark.parametrize("fractions", [
    (0.6, 0.2), (1.0,), (0.8, 0.2, 0.0), (1.2, -0.2), (), 0.5,
    (float("nan"), 0.5)])
def test_wrong_fractions(fractions):
    rows = np.arange(9)
    with pytest.raises(SettingError, match="two or more shares above 0 with sum 1"):
        split_random(rows, fractions)
    with pytest.raises(SettingError, match="two or more shares above 0 with sum 1"):
        split_by_subject(rows, rows, fractions)


@pytest.mark.parametrize("folds", [1, 0, -3, 4, 2.0, None])
def test_wrong_folds(folds):
    with pytest.raises(SettingError, match="expected 2 to 3, the number of subjects"):
        k_fold([0, 0, 0, 0], ["a", "b", "c", "c"], folds)


@pytest.mark.parametrize("labels, subjects", [
    ([0, 1], ["a"]), ([[0]], [["a"]]), ([0.5, 1], ["a", "b"]), ([-1, 1], ["a", "b"]),
    ([], [])])
def test_wrong_rows(labels, subjects):
    for split in (split_by_subject, k_fold):
        with pytest.raises((ShapeError, DatasetError), match="^split: expected"):
            split(labels, subjects)


def test_the_protocol_has_a_name():
    assert describe("subject", (0.8, 0.2), seed=4) \
        == "subject-disjoint 80/20 split, seed 4"
    assert describe("k-fold", folds=5) \
        == "5-fold cross-validation, subject-disjoint, seed 0"
    assert "LEAKY" in describe("random")
    with pytest.raises(MiniferError, match="got 'subjects'"):
        describe("subjects")
