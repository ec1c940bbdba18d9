"""Evaluation against numbers worked by hand and against slow loops."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from minifer.errors import SettingError, ShapeError
from minifer.evaluation.metrics import (accuracy_interval, confusion_matrix, evaluate,
                                        precision_recall_f1)

# Ten frames of three classes:    a a a a  b b b  c c c
LABELS = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
PREDICTED = [0, 0, 0, 1, 1, 1, 0, 2, 1, 1]
CONFUSION = [[3, 1, 0], [1, 2, 0], [0, 2, 1]]
CLASSES = ("anger", "fear", "joy")


def probabilities(predicted, k=3):
    """Rows that are surest of the given classes."""
    return .1 + .7 * np.eye(k)[predicted]


def random_frames(seed, n=200, k=5):
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(k), size=n)
    return rows, rng.integers(0, k, n), rng.integers(0, 12, n)


def test_confusion_by_hand():
    confusion = confusion_matrix(LABELS, PREDICTED, 3)
    assert confusion.tolist() == CONFUSION
    assert confusion.dtype == np.int64


def test_scores_by_hand():
    precision, recall, f1, support = precision_recall_f1(CONFUSION)
    np.testing.assert_allclose(precision, [3 / 4, 2 / 5, 1])
    np.testing.assert_allclose(recall, [3 / 4, 2 / 3, 1 / 3])
    np.testing.assert_allclose(f1, [3 / 4, 1 / 2, 1 / 2])
    assert support.tolist() == [4, 3, 3]


def test_averages_by_hand():
    result = evaluate(probabilities(PREDICTED), LABELS, CLASSES)
    assert result.n == 10 and result.classes == CLASSES
    assert result.accuracy == 6 / 10
    assert result.balanced_accuracy == pytest.approx((3 / 4 + 2 / 3 + 1 / 3) / 3)
    assert result.macro == pytest.approx((43 / 60, 7 / 12, 7 / 12, 10))
    assert result.weighted == pytest.approx((
        (4 * 3 / 4 + 3 * 2 / 5 + 3) / 10, 6 / 10, (3 + 1.5 + 1.5) / 10, 10))
    assert result.confusion.tolist() == CONFUSION


def test_slow_loops():
    rows, labels, _ = random_frames(1)
    result = evaluate(rows, labels, "abcde")
    counts = np.zeros((5, 5), int)
    for row, label in zip(rows, labels):
        counts[label, max(range(5), key=lambda k: row[k])] += 1
    assert result.confusion.tolist() == counts.tolist()
    for k in range(5):
        called, true = sum(counts[:, k]), sum(counts[k, :])
        precision, recall = counts[k, k] / called, counts[k, k] / true
        f1 = 2 * precision * recall / (precision + recall)
        got = [column[k] for column in result.per_class]
        np.testing.assert_allclose(got, [precision, recall, f1, true])


def test_a_tie_goes_to_the_first_class():
    result = evaluate([[.4, .4, .2]], [0], CLASSES)
    assert result.accuracy == 1


def test_never_predicted_has_precision_zero_and_says_so():
    result = evaluate(probabilities([0, 0, 2]), [0, 1, 2], CLASSES)
    assert result.per_class.precision.tolist() == [.5, 0, 1]
    assert result.per_class.f1[1] == 0
    assert "fear: never predicted" in str(result)


def test_a_class_without_frames_is_left_out_and_says_so():
    result = evaluate(probabilities([0, 0, 1]), [0, 0, 0], CLASSES)
    assert result.balanced_accuracy == pytest.approx(2 / 3)
    assert result.macro == pytest.approx((1, 2 / 3, .8, 3))
    assert "fear: no frames" in str(result) and "joy: no frames" in str(result)


def every_resample(correct, subjects):
    """95 % interval over all the equally likely draws, one after the other."""
    people = sorted(set(subjects))
    accuracies = []
    for draw in itertools.product(people, repeat=len(people)):
        frames = [right for person in draw
                  for right, owner in zip(correct, subjects) if owner == person]
        accuracies.append(sum(frames) / len(frames))
    return np.quantile(accuracies, [.025, .975], method="inverted_cdf")


@pytest.mark.parametrize("correct, subjects", [
    ([1, 1, 1, 0, 0, 1], "aaabbc"),
    ([1, 1, 1, 1, 0, 0, 1, 0, 1, 1], "aaaabbbccd"),
    ([1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1], "abacadbebee"),
])
def test_interval_is_that_of_all_resamples(correct, subjects):
    # The resampled accuracies take few values, so enough draws give exactly
    # the quantiles of the full enumeration.
    got = accuracy_interval(correct, list(subjects), resamples=40000)
    np.testing.assert_allclose(got, every_resample(correct, subjects))


def test_interval_without_subjects_draws_frames():
    correct = [1, 1, 0, 1, 1]
    got = accuracy_interval(correct, resamples=40000)
    np.testing.assert_allclose(got, every_resample(correct, range(5)))
    result = evaluate(probabilities([0, 1]), [0, 0], CLASSES)
    assert result.subjects is None
    assert "bootstrap over frames (no subjects given)" in str(result)


def test_frames_that_share_a_person_widen_the_interval():
    correct = np.repeat([1, 0, 1, 1, 0, 1, 1, 0, 1, 1], 20)
    low, high = accuracy_interval(correct, np.repeat(np.arange(10), 20))
    frame_low, frame_high = accuracy_interval(correct)
    assert high - low > 3 * (frame_high - frame_low)


def test_interval_repeats_with_its_seed():
    correct = np.random.default_rng(3).random(500) < .7
    assert accuracy_interval(correct, seed=1) == accuracy_interval(correct, seed=1)
    assert accuracy_interval(correct, seed=1) != accuracy_interval(correct, seed=2)


def test_an_interval_without_width_is_explained():
    result = evaluate(probabilities([0, 1]), [0, 0], CLASSES, subjects=["x", "x"])
    assert result.interval == (.5, .5)
    assert "no width" in str(result)


def test_few_subjects_are_pointed_out():
    rows, labels, subjects = random_frames(2)
    assert "are few" in str(evaluate(rows, labels, "abcde", subjects % 9))
    assert "are few" not in str(evaluate(rows, labels, "abcde", subjects % 10))


def test_folds_pool_their_frames_and_keep_their_rows():
    rows, labels, subjects = random_frames(4)
    folds = subjects % 3
    result = evaluate(rows, labels, "abcde", subjects, folds=folds)
    assert [row["fold"] for row in result.folds] == [0, 1, 2]
    for row in result.folds:
        alone = evaluate(rows[folds == row["fold"]], labels[folds == row["fold"]],
                         "abcde")
        assert (row["n"], row["accuracy"]) == (alone.n, alone.accuracy)
    pooled = sum(row["n"] * row["accuracy"] for row in result.folds) / 200
    assert result.accuracy == pytest.approx(pooled)
    assert not result.leaky
    assert "fold       n  accuracy" in str(result)


def test_a_subject_in_two_folds_is_a_leak():
    result = evaluate(probabilities([0, 1, 0]), [0, 1, 0], CLASSES,
                      subjects=["x", "y", "x"], folds=[1, 1, 2])
    assert result.leaky
    assert "1 subject(s) stand in more than one fold" in str(result)


def test_text_always_tells_the_circumstances():
    result = evaluate(probabilities(PREDICTED), LABELS, CLASSES,
                      subjects=list("aabbccddee"), protocol="5 folds by subject")
    text = str(result)
    low, high = result.interval
    assert f"60.0% ({low:.1%} … {high:.1%})" in text
    assert "10 frames of 5 subjects, 3 classes" in text
    assert "5 folds by subject" in text
    assert "bootstrap over 5 subjects, 2000 resamples, seed 0" in text
    assert all(name in text for name in CLASSES)
    assert "LEAKY" not in text


def test_leaky_is_stamped():
    result = evaluate(probabilities([0]), [0], CLASSES, leaky=True)
    assert str(result).startswith("*** LEAKY")
    assert result.to_dict()["leaky"] is True


def test_to_dict_survives_json():
    rows, labels, subjects = random_frames(5)
    result = evaluate(rows, labels, "abcde", subjects, "made up", folds=subjects)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record == result.to_dict()
    assert record["accuracy"] == result.accuracy
    assert record["n"] == 200 and record["subjects"] == 12
    assert record["classes"] == list("abcde")
    assert record["protocol"] == "made up"
    assert record["interval"] == list(result.interval)
    assert record["per_class"]["b"]["support"] == int((labels == 1).sum())
    assert record["confusion"] == result.confusion.tolist()
    assert set(record) == {field.name for field in dataclasses.fields(result)}


def test_an_evaluation_is_not_changed_afterwards():
    result = evaluate(probabilities([0]), [0], CLASSES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.accuracy = 1


@pytest.mark.parametrize("change, message", [
    ({"probabilities": np.zeros((2, 4))}, r"expected \(N, 3\)"),
    ({"probabilities": np.zeros(3)}, r"expected \(N, 3\)"),
    ({"probabilities": np.zeros((0, 3)), "labels": []}, "N >= 1"),
    ({"probabilities": [[.1, np.nan, .2]] * 2}, "2 of 2 frames"),
    ({"labels": [0, 1, 2]}, r"labels: expected shape \(2,\)"),
    ({"labels": [[0], [1]]}, r"labels: expected shape \(2,\)"),
    ({"labels": [0, 3]}, "0 … 2, got 0 … 3"),
    ({"labels": [-1, 0]}, "0 … 2, got -1 … 0"),
    ({"labels": [0., 1.]}, "whole class numbers"),
    ({"subjects": ["x"]}, r"subjects: expected shape \(2,\)"),
    ({"subjects": ["x", None]}, "got None"),
    ({"folds": [0, 1, 2]}, r"folds: expected shape \(2,\)"),
])
def test_bad_input_is_refused(change, message):
    given = {"probabilities": probabilities([0, 1]), "labels": [0, 1],
             "classes": CLASSES} | change
    with pytest.raises(ShapeError, match=message):
        evaluate(**given)


def test_single_functions_refuse_bad_input():
    with pytest.raises(ShapeError, match=r"predicted: expected shape \(2,\)"):
        confusion_matrix([0, 1], [0], 2)
    with pytest.raises(ShapeError, match="square"):
        precision_recall_f1(np.ones((2, 3), int))
    with pytest.raises(ShapeError, match="square"):
        precision_recall_f1([[1, -1], [0, 1]])
    with pytest.raises(ShapeError, match="one or more frames"):
        accuracy_interval([])
    with pytest.raises(SettingError, match="resamples"):
        accuracy_interval([1], resamples=0)
