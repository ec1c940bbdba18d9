"""Pictures of an evaluation: calibration, accuracies, where a network looked.

They draw what :mod:`minifer.evaluation` computes; save them with
:func:`minifer.report.save`.
"""

import math

import numpy as np

from ..errors import ShapeError
from .style import BLUE, GREY, HAIRLINE, ORANGE, bare, blank, headline, tidy

__all__ = ["reliability_diagram", "accuracy_dots", "heat_map"]


def reliability_diagram(calibration, title="Calibration", subtitle=None):
    """Draw how often a network is right against how sure it is.

    Parameters
    ----------
    calibration : Calibration
    title, subtitle : str
        The subtitle tells the error and n unless given.

    Returns
    -------
    matplotlib Figure
        Save it with :func:`minifer.report.plots.save`.
    """
    counts, bins = calibration.counts, len(calibration.counts)
    left, width = np.arange(bins) / bins, 1 / bins
    figure = blank(5.6, 5.6)
    above, below = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    above.bar(left, calibration.accuracy, width, align="edge", color=BLUE,
              edgecolor="white", label="right")
    above.bar(left, calibration.confidence - calibration.accuracy, width,
              calibration.accuracy, align="edge", facecolor="none", hatch="////",
              edgecolor=ORANGE, linewidth=0, label="gap to how sure it is")
    above.plot([0, 1], [0, 1], color=GREY, linewidth=.8, linestyle=(0, (4, 3)))
    above.set_ylim(0, 1)
    above.set_ylabel("share that is right", color=GREY)
    above.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2)
    below.bar(left, counts, width, align="edge", color=HAIRLINE, edgecolor="white")
    below.set_xlim(0, 1)
    below.set_ylabel("frames", color=GREY)
    below.set_xlabel("how sure the network is (highest probability)", color=GREY)
    for ax in (above, below):
        tidy(ax)
    headline(figure, title, subtitle or f"expected calibration error "
             f"{calibration.error:.1%} · n = {counts.sum()}")
    return figure


def accuracy_dots(names, evaluations, title="Accuracy"):
    """Draw the accuracy of each network and its 95 % interval.

    Parameters
    ----------
    names : sequence of str
    evaluations : sequence of minifer.evaluation.Evaluation
        One for each name, all of the same images.
    title : str
        The subtitle tells n and the protocol.

    Returns
    -------
    matplotlib Figure
        Save it with :func:`minifer.report.plots.save`.
    """
    places = np.arange(len(names))
    centre = np.array([100 * one.accuracy for one in evaluations])
    low, high = 100 * np.array([one.interval for one in evaluations]).T
    figure = blank(8, 1.7 + .5 * len(names))
    ax = figure.subplots()
    ax.hlines(places, low, high, color=BLUE, linewidth=2.5)
    ax.plot(centre, places, "o", color=BLUE, markersize=8, markeredgecolor="white")
    for place, value in zip(places, centre):
        ax.annotate(f"{value:.1f} %", (value, place), (0, 7), ha="center",
                    textcoords="offset points", color=BLUE, fontsize=9)
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - .4, -.6)  # the first on top
    ax.set_xlim(0, 100)
    ax.set_xlabel("images that are classified rightly (%), with 95 % interval",
                  color=GREY)
    tidy(ax)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=HAIRLINE, linewidth=.6)
    first = evaluations[0]
    chance = 100 / len(first.classes)
    ax.axvline(chance, color=GREY, linewidth=.8, linestyle=(0, (4, 3)), zorder=0)
    headline(figure, title, f"n = {first.n} · {first.protocol} · dashed: guessing, "
             f"{math.floor(chance)} %")
    return figure


def heat_map(face, relevance, title="Where the network looked", subtitle=""):
    """A face, and beside it the same with a map of :func:`saliency` laid over it.

    Parameters
    ----------
    face : array, shape (S, S)
        Grey values.
    relevance : array, shape (H, W)
        At least 0, for the same face, be it in another size. Its own highest value
        is drawn as the brightest.
    title, subtitle : str

    Returns
    -------
    matplotlib Figure
        Save it with :func:`minifer.report.plots.save`.

    Raises
    ------
    ShapeError
        If one of the two is not two-dimensional.
    """
    face, relevance = np.asarray(face), np.asarray(relevance, dtype=float)
    if face.ndim != 2 or relevance.ndim != 2:
        raise ShapeError("heat_map: expected a face (S, S) and a map (H, W), got "
                         f"{face.shape} and {relevance.shape}. Take one of the batch.")
    share = relevance / (relevance.max() or 1)
    place = (0, face.shape[1], face.shape[0], 0)
    figure = blank(8.4, 4.5)
    left, right = figure.subplots(1, 2)
    for ax in (left, right):
        ax.imshow(face, cmap="gray", extent=place)
        bare(ax)
    # Where it is nothing, the face is seen; where it is all, only the colour.
    image = right.imshow(share, cmap="inferno", vmin=0, vmax=1, extent=place,
                         alpha=np.sqrt(share) * .85)
    bar = figure.colorbar(image, ax=right, shrink=.8, aspect=25, pad=.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=GREY, labelsize=8)
    bar.set_label("share of the highest value", color=GREY)
    headline(figure, title, subtitle)
    return figure
