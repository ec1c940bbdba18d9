"""Pictures of a data set: its classes, its brightness, and some of its images.

All three work for any :class:`~minifer.data.dataset.Dataset`; the parts are given as
to :func:`minifer.data.audit`. Save them with :func:`minifer.report.save`.
"""

import textwrap

import numpy as np

from ..data.auditing import parts_of
from ..errors import SettingError
from ..random import Stream
from .style import BLUE, GREY, HAIRLINE, INK, ORANGE, RED, blank, headline, tidy

__all__ = ["class_bars", "brightness_boxes", "sample_grid"]

#: Colours of the parts, told apart by colour-blind eyes and in grey.
COLORS = (BLUE, ORANGE, GREY, RED)


def class_bars(data, parts=None, title="Images of each class"):
    """Bars with the share of each class in each part, and its number of images.

    Parameters
    ----------
    data, parts
        As for :func:`~minifer.data.auditing.audit`.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    parts = parts_of(data, parts)
    K = len(data.classes)
    figure = blank(max(6, .45 + .42 * K * (1 + len(parts))), 3.8)
    ax = figure.subplots()
    for i, (part, rows) in enumerate(parts.items()):
        counts = np.bincount(data.labels[rows], minlength=K)
        bars = ax.bar(_places(K, len(parts), i), 100 * counts / len(rows),
                      .94 * _width(len(parts)), color=_color(i),
                      label=f"{part} ({len(rows):,d})")
        ax.bar_label(bars, [f"{count:,d}" for count in counts], padding=2, fontsize=7,
                     color=INK)
    _name_classes(ax, data.classes, parts)
    ax.set_ylabel("share of the part (%)", color=GREY)
    headline(figure, title, f"n = {sum(map(len, parts.values())):,d} · number of "
             "images above each bar")
    return figure


def brightness_boxes(data, parts=None, low=0.1, high=0.9, title="Brightness"):
    """Box plots of the mean grey value of the images of each class and part.

    A box holds the middle half of the images, its line is the median, the
    whiskers reach the last image within 1.5 boxes, and what lies beyond is an
    outlier, a circle (Tukey's box plot).

    Parameters
    ----------
    data, parts
        As for :func:`~minifer.data.auditing.audit`.
    low, high : float, 0 to 1
        Drawn as lines: :func:`~minifer.data.auditing.cleaning.clean` keeps what lies
        between them.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    parts = parts_of(data, parts)
    K = len(data.classes)
    mean = data.images.reshape(len(data), -1).mean(axis=1) / 255
    figure = blank(max(6, .45 + .42 * K * (1 + len(parts))), 4.2)
    ax = figure.subplots()
    for limit in (low, high):
        ax.axhline(limit, color=RED, linewidth=.8, linestyle=(0, (4, 3)), zorder=1)
    for i, (part, rows) in enumerate(parts.items()):
        ax.bar([0], [0], color=_color(i), label=f"{part} ({len(rows):,d})")
        ax.boxplot([mean[rows[data.labels[rows] == k]] for k in range(K)],
                   positions=_places(K, len(parts), i), manage_ticks=False,
                   widths=.8 * _width(len(parts)), patch_artist=True,
                   boxprops={"facecolor": _color(i), "edgecolor": _color(i)},
                   whiskerprops={"color": GREY}, capprops={"visible": False},
                   medianprops={"color": "white", "linewidth": 1.6},
                   flierprops={"marker": "o", "markersize": 2.5, "alpha": .5,
                               "markeredgecolor": _color(i)})
    _name_classes(ax, data.classes, parts)
    ax.set_ylim(-.02, 1.02)  # outliers are whole circles
    ax.set_ylabel("mean grey value (0 black, 1 white)", color=GREY)
    rows = np.concatenate(list(parts.values()))
    outside = int(((mean[rows] <= low) | (mean[rows] >= high)).sum())
    headline(figure, title, f"n = {len(rows):,d} · {outside:,d} outside {low:g} to "
             f"{high:g} (dashed)")
    return figure


def sample_grid(data, per_class=5, seed=0, title="Some images of each class"):
    """Some images of each class, drawn at random, a row a class.

    Parameters
    ----------
    data : Dataset
    per_class : int >= 1
        If a class has fewer, its row is shorter.
    seed : int
        Another seed draws others.
    title : str

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    SettingError
        If ``per_class`` is no such number.
    """
    if not isinstance(per_class, (int, np.integer)) or per_class < 1:
        raise SettingError(
            f"per_class: expected a whole number >= 1, got {per_class!r}.")
    K = len(data.classes)
    figure = blank(1.2 + .95 * per_class, .95 * K + .6)
    axes = figure.subplots(K, per_class, squeeze=False)
    stream = Stream(seed, "sample grid")
    for k, row in enumerate(axes):
        there = np.flatnonzero(data.labels == k)
        chosen = stream.generator(k).permutation(there)[:per_class]
        for ax in row:
            ax.set_axis_off()
        for ax, i in zip(row, chosen):
            ax.imshow(data.images[i, 0], cmap="gray", vmin=0, vmax=255)
        row[0].text(-.12, .5, textwrap.fill(data.classes[k], 11), ha="right",
                    va="center", color=INK, fontsize=9, transform=row[0].transAxes)
    headline(figure, title, f"{per_class} a class, seed {seed}")
    return figure


def _width(P):
    """Width of a bar, so that the P bars of a class fill 0.8 of its place."""
    return .8 / P


def _places(K, P, i):
    """Places of the bars of part i for the classes 0 to K-1."""
    return np.arange(K) + _width(P) * (i - (P - 1) / 2)


def _color(i):
    return COLORS[i % len(COLORS)]


def _name_classes(ax, classes, parts):
    tidy(ax)
    ax.spines["left"].set_color(HAIRLINE)
    ax.set_xticks(range(len(classes)), classes)
    ax.set_xlim(-.6, len(classes) - .4)
    if len(parts) > 1:
        ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right",
                  ncols=len(parts), bbox_to_anchor=(1, 1.12))
