"""Calibration: the expected calibration error by hand, and its picture."""

import numpy as np
import pytest

from minifer.errors import SettingError, ShapeError
from minifer.evaluation.calibration import calibrate
from minifer.report import plots
from minifer.report.evaluation_plots import reliability_diagram


def rows(*sure):
    """Two classes; the network says class 0, so surely."""
    return np.array([[p, 1 - p] for p in sure])


def test_the_error_by_hand():
    """Bins of a tenth: 4 frames sure to .95, 3 of them right; 1 at .6 that is right."""
    result = calibrate(rows(.95, .95, .95, .95, .6), [0, 0, 0, 1, 0], bins=10)
    assert result.counts.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 4]
    assert result.accuracy[[5, 9]].tolist() == [1, .75]
    np.testing.assert_allclose(result.confidence[[5, 9]], [.6, .95])
    assert np.isnan(result.accuracy[0])
    assert result.error == pytest.approx(.8 * .2 + .2 * .4)
    assert "error 24.0%: on average over 5 frames, in 10 bins" in str(result)


def test_who_is_as_sure_as_right_has_no_error():
    assert calibrate(rows(.75, .75, .75, .75), [0, 0, 0, 1]).error == 0
    assert calibrate(np.eye(3), [0, 1, 2]).error == 0


def test_it_is_its_definition():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 200)
    labels = rng.integers(0, 4, 200)
    expected = 0
    for b in range(15):
        inside = [i for i in range(200) if b / 15 < p[i].max() <= (b + 1) / 15]
        if inside:
            accuracy = np.mean([p[i].argmax() == labels[i] for i in inside])
            sure = np.mean([p[i].max() for i in inside])
            expected += len(inside) / 200 * abs(accuracy - sure)
    assert calibrate(p, labels).error == pytest.approx(expected)


def test_float32_that_sums_a_little_above_one():
    p = np.array([[1.0000001, 0]], np.float32)
    assert calibrate(p, [0]).confidence[-1] == 1


@pytest.mark.parametrize("p, labels", [
    ([.5, .5], [0]), (np.zeros((0, 2)), []), (rows(.5), [0, 1]), ([[2., -1]], [0]),
    ([[np.nan, .5]], [0])])
def test_what_is_no_probability_is_refused(p, labels):
    with pytest.raises(ShapeError, match="calibrate: expected probabilities"):
        calibrate(p, labels)


def test_no_bins_are_refused():
    with pytest.raises(SettingError, match="bins: expected 1 or more, got 0"):
        calibrate(rows(.5), [0], bins=0)


def test_the_picture_is_drawn(tmp_path):
    figure = reliability_diagram(calibrate(rows(.95, .6), [0, 1]))
    heights = [bar.get_height() for bar in figure.axes[0].containers[0]]
    assert np.nansum(heights) == 1 and np.isnan(heights[0])
    assert "error 32.5% · n = 2" in [text.get_text() for text in figure.texts][1]
    plots.save(figure, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 5000
