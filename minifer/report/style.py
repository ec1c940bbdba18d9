"""How all pictures look: colours, titles, what is left out; and how they are saved.

Colours are told apart by colour-blind eyes (Okabe and Ito,
https://jfly.uni-koeln.de/color/).

>>> figure = blank(4, 3)
>>> ax = figure.subplots()
>>> tidy(ax)
>>> headline(figure, "Loss", "40 epochs")
>>> [text.get_text() for text in figure.texts]
['Loss', '40 epochs']
"""

import os
import re

from .. import files
from ..errors import SettingError, visible

__all__ = ["blank", "headline", "ax_headline", "tidy", "bare", "save",
           "check_picture"]

BLUE, ORANGE, RED = "#0072B2", "#E69F00", "#D55E00"
INK, GREY, HAIRLINE = "#222222", "#6b6b6b", "#d9d9d9"


def blank(width, height):
    """An empty figure, free of pyplot.

    Parameters
    ----------
    width, height : float
        Size in inches.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.get_layout_engine().set(w_pad=.1, h_pad=.08)
    return figure


def headline(figure, title, subtitle=""):
    """Write title and subtitle at the top left, in a band of their own.

    Parameters
    ----------
    figure : matplotlib Figure
        A figure made by :func:`blank`.
    title, subtitle : str
    """
    inch = 1 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - .58 * inch))
    figure.text(.012, 1 - .1 * inch, title, va="top", color=INK, fontsize=13,
                fontweight="bold")
    figure.text(.012, 1 - .36 * inch, subtitle, va="top", color=GREY, fontsize=9)


def ax_headline(ax, title, lines=()):
    """The same above one axes, which may share its figure with others.

    Parameters
    ----------
    ax : matplotlib Axes
    title : str
    lines : sequence of str
        Below the title.
    """
    ax.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold",
                 pad=9 + 13 * len(lines))
    ax.annotate("\n".join(lines), (0, 1), (0, 6), xycoords="axes fraction",
                textcoords="offset points", color=GREY, fontsize=9)


def tidy(ax, frame=True):
    """Keep the data, drop the scaffolding.

    Parameters
    ----------
    ax : matplotlib Axes
    frame : bool, default True
        Keep the axes' lines, and grid lines at the heights that are numbered.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(visible=frame, color=HAIRLINE)
    ax.tick_params(length=0, labelcolor=INK, labelsize=9)
    ax.set_axisbelow(True)
    if frame:
        ax.grid(axis="y", color=HAIRLINE, linewidth=.6)


def bare(ax):
    """Drop everything but the picture on a matplotlib Axes."""
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])


def save(figure, path):
    """Write a figure to ``path`` as PNG, whole or not at all.

    Parameters
    ----------
    figure : matplotlib Figure or Axes
        What :func:`blank` or a function of :mod:`minifer.report.plots` returned.
    path : str or path-like
        Ends in ``.png``. The same figure gives the same bytes.

    Raises
    ------
    SettingError
        If the path does not end in ``.png``.
    OutputError
        If the file cannot be written.
    """
    _check_name(path)
    _show_names(figure.figure)
    with files.atomic_write(path) as file:
        figure.figure.savefig(file, format="png", facecolor="white",
                              metadata={"Software": None})


def check_picture(path):
    """Prove that a picture can be written there, before the work of drawing it.

    Raises
    ------
    SettingError, OutputError
        As :func:`save`.
    """
    _check_name(path)
    files.check_target(path)


def _check_name(path):
    if not os.fspath(path).lower().endswith(".png"):
        raise SettingError(f"{path}: expected a name that ends in .png. "
                           "Pictures are written as PNG only.")


def _show_names(figure):
    """Let names that stand in a picture be text, whatever is in them.

    Matplotlib takes what is between two ``$`` for a formula, and stops at half letters.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator, FuncFormatter

    def shown(text):
        text = visible(text, "\n")
        return text if "\\math" in text else re.sub(r"(?<!\\)\$", r"\\$", text)

    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            # Where ticks have names, an axis writes them again before it is drawn.
            if (isinstance(axis.get_major_locator(), FixedLocator)
                    and isinstance(axis.get_major_formatter(), FuncFormatter)):
                axis.set_ticklabels([shown(label.get_text())
                                     for label in axis.get_ticklabels()])
    for text in figure.findobj(Text):
        text.set_text(shown(text.get_text()))
