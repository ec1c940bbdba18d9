"""Cross-entropy over maps, where some labels do not count."""

import numpy as np
import pytest

import minifer
from helpers import reference_along
from helpers.tolerances import assert_close
from minifer import objectives, tensor as T
from minifer.errors import LabelError, SettingError

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(2, 3, 4, 5))
LABELS = RNG.integers(0, 3, (2, 4, 5))
LABELS[0, 1] = 255


def expected(weights=None):
    return reference_along.label_loss(reference_along.log_softmax(SCORES, 1), LABELS,
                                      weights, 255)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.5, 2.0])])
def test_a_loss_for_each_pixel(weights):
    loss = objectives.label_crossentropy(SCORES, LABELS, weights, 255)
    assert_close(loss, expected(weights), "reference", "float64", "label_crossentropy")
    counts = np.where(LABELS == 255, 0, np.ones(3)[LABELS % 255] if weights is None
                      else weights[LABELS % 255])
    mean = objectives.label_crossentropy(SCORES, LABELS, weights, 255, "mean")
    np.testing.assert_allclose(mean, expected(weights).sum() / counts.sum())
    total = objectives.label_crossentropy(SCORES, LABELS, weights, 255, "sum")
    np.testing.assert_allclose(total, expected(weights).sum())


def test_one_label_a_sample_is_what_the_other_objective_says():
    scores, labels = SCORES[:, :, 0, 0], LABELS[:, 3, 0]
    np.testing.assert_allclose(objectives.label_crossentropy(scores, labels),
                               objectives.softmax_crossentropy(scores, labels))


def test_what_does_not_count_has_no_gradient():
    s, t = T.tensor4("s"), T.itensor3("t")
    loss = objectives.label_crossentropy(s, t, ignore_index=255, reduction="mean")
    slope = minifer.function([s, t], minifer.grad(loss, s))(SCORES, LABELS)
    assert not slope[0, :, 1].any() and slope[1].any()
    np.testing.assert_allclose(slope.sum(axis=1), 0, atol=1e-12)


def test_what_is_refused():
    with pytest.raises(LabelError, match="expected labels 0 to 2, got 0 to 255"):
        objectives.label_crossentropy(SCORES, LABELS)
    with pytest.raises(SettingError, match="'none', 'mean' or 'sum', got 'max'"):
        objectives.label_crossentropy(SCORES, LABELS, None, 255, "max")
