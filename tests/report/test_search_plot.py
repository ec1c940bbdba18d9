"""The picture of a search: each trial's score, and the best so far."""

import pytest

from minifer.report.search_plot import search_curve
from minifer.search.trials import Trial


def test_the_picture_shows_scores_the_best_so_far_and_failures():
    scores = [.2, None, .5, .4, None, .6]
    trials = [Trial(n, {"lr": .1 * n}, score, 1., "", None, 0)
              for n, score in enumerate(scores, 1)]
    figure = search_curve(trials, "Search", "accuracy")
    ax, = figure.axes
    best, points, mark, failed = ax.lines
    assert list(best.get_ydata()) == [.2, .2, .5, .5, .5, .6]
    assert list(points.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert points.get_ydata()[[0, 2, 3, 5]].tolist() == [.2, .5, .4, .6]
    assert (mark.get_xdata(), mark.get_ydata()) == ([6], [.6])
    assert list(failed.get_xdata()) == [2, 5]
    words = [text.get_text() for text in figure.texts]
    assert words == ["Search", "best 0.6 in trial 6 of 6: lr=0.6"]
    assert ax.get_ylabel() == "accuracy"


def test_nothing_found_cannot_be_drawn():
    with pytest.raises(ValueError, match="with a score"):
        search_curve([Trial(1, {}, None, 1., "failed", "no", 0)])
