"""A picture of a search: the score of each trial, and the best so far.

It is drawn as :mod:`minifer.report.plots` draws; :func:`minifer.report.save` saves it.
"""

import textwrap

import numpy as np

from ..errors import ShapeError
from ..search.loop import settings_text
from .style import BLUE, GREY, ORANGE, RED, blank, headline, tidy

__all__ = ["search_curve"]


def search_curve(trials, title="Search", score="score"):
    """The score of each trial, the best so far, and which trials failed.

    Parameters
    ----------
    trials : list of Trial
        By number; one or more succeeded.
    title : str
    score : str
        What the score is, for the axis.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ShapeError
        If no trial has a score.
    """
    scores = np.array([np.nan if one.score is None else one.score for one in trials])
    if not np.isfinite(scores).any():
        raise ShapeError("search_curve: expected one trial or more with a score, got "
                         "none. Draw a search that found something.")
    number = np.arange(1, len(scores) + 1)
    best = int(np.nanargmax(scores))
    failed = np.isnan(scores)

    figure = blank(8, 4)
    ax = figure.subplots()
    so_far = np.fmax.accumulate(scores)
    ax.step(number, so_far, where="post", color=BLUE, linewidth=1.8,
            label="best so far")
    ax.plot(number, scores, "o", color=ORANGE, markersize=5, label="a trial")
    ax.plot(number[best], scores[best], "o", color=BLUE, markersize=8,
            markeredgecolor="white", markeredgewidth=1.5)
    if failed.any():
        ax.plot(number[failed], np.zeros(failed.sum()), "x", color=RED, clip_on=False,
                transform=ax.get_xaxis_transform(), label="failed", zorder=3)
    tidy(ax)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("trial", color=GREY)
    ax.set_ylabel(score, color=GREY)
    ax.set_xlim(.5, len(scores) + .5)
    ax.legend(frameon=False, labelcolor="linecolor", ncols=3, loc="lower left",
              bbox_to_anchor=(-.01, 1))  # above, where it covers no trial
    found = (f"best {scores[best]:.4g} in trial {number[best]} of {len(scores)}: "
             f"{settings_text(trials[best].settings)}")
    headline(figure, title, textwrap.shorten(found, 110, placeholder=" …"))
    return figure
