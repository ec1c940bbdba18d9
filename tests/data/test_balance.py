"""Class weights: by the formula, of class numbers and of soft labels."""

import numpy as np
import pytest

from minifer.data import balanced_weights
from minifer.errors import SettingError


def test_each_class_counts_as_much_as_any_other():
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    weights = balanced_weights(labels)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 10 / 3], rtol=1e-15)
    np.testing.assert_allclose(np.bincount(labels, weights[labels]), 10 / 3)
    assert np.isclose(weights[labels].mean(), 1)
    np.testing.assert_array_equal(balanced_weights([2, 0, 1], 3), [1, 1, 1])


def test_soft_labels_count_by_their_shares():
    np.testing.assert_allclose(
        balanced_weights([[.5, .5], [1, 0], [1, 0], [.5, .5]]), [4 / 6, 2])
    np.testing.assert_array_equal(balanced_weights(np.eye(3)[[0, 0, 1, 2]]),
                                  balanced_weights([0, 0, 1, 2]))


def test_a_class_that_does_not_occur_changes_nothing():
    np.testing.assert_allclose(balanced_weights([0, 0, 0, 2], num_classes=4),
                               [4 / 6, 1, 2, 1])


@pytest.mark.parametrize("targets, classes", [
    ([], None), ([], 3), ([-1, 0], None), ([0.5, 1.0], None), ([0, 3], 3), (3, None),
    ([[0, 0]], 2), ([[1, 0]], 3), (np.zeros((0, 2)), 2), (["joy"], None),
    ([[np.nan, 1]], 2)])
def test_targets_that_are_none_are_refused(targets, classes):
    with pytest.raises(SettingError, match="class weights: expected") as error:
        balanced_weights(targets, classes)
    assert "\n" not in str(error.value)
