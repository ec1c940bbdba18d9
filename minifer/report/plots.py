"""Pictures of a training run, its mistakes and its network.

Every function draws on a matplotlib ``Figure`` of its own, or on the ``ax``
it is given, and never touches pyplot's global state; so the pictures come out
the same in a script, a notebook or a window, with or without a screen.
:func:`save` writes one as PNG. How they look is in :mod:`minifer.report.style`.
"""

import textwrap

import numpy as np

from ..errors import ShapeError
from .annotate import annotate_photo
from .style import (BLUE, GREY, INK, ORANGE, RED, ax_headline, bare, blank,
                    check_picture, headline, save, tidy)

__all__ = ["learning_curves", "confusion_matrix", "filters", "activations",
           "most_wrong", "annotate_photo", "save", "check_picture"]


def learning_curves(history, best_epoch=None, title="Learning curves",
                    subtitle=None):
    """Loss and accuracy after each epoch, side by side.

    Parameters
    ----------
    history : list of dict
        One an epoch: epoch, train_loss, valid_loss, valid_accuracy
        (fraction), seconds, learning_rate. What is missing or None is left
        out of the picture.
    best_epoch : int, optional
        The epoch to mark; by default the (first) one of the highest
        validation accuracy.
    title, subtitle : str
        The subtitle tells epochs, time and learning rate unless given.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ShapeError
        If the history is empty.
    """
    if not history:
        raise ShapeError("history: expected one or more epochs, got none. "
                         "Train for at least one epoch.")
    epochs, train, valid, accuracy = (
        np.array([np.nan if row.get(key) is None else row[key]
                  for row in history], dtype=float)
        for key in ("epoch", "train_loss", "valid_loss", "valid_accuracy"))
    validated = np.isfinite(accuracy).any()
    if best_epoch is None and validated:
        best_epoch = int(epochs[np.nanargmax(accuracy)])

    figure = blank(9, 3.9)
    left, right = figure.subplots(1, 2)
    _curve(left, epochs, train, ORANGE, "training")
    _curve(left, epochs, valid, BLUE, "validation")
    _curve(right, epochs, 100 * accuracy, BLUE, "validation")
    left.set_ylim(bottom=0)
    left.legend(frameon=False, labelcolor="linecolor")
    left.set_ylabel("loss (cross-entropy, nats)", color=GREY)
    right.set_ylabel("accuracy (%)", color=GREY)
    for ax, values in ((left, valid), (right, 100 * accuracy)):
        tidy(ax)
        ax.set_xlabel("epoch", color=GREY)
        ax.xaxis.get_major_locator().set_params(integer=True)
        if validated:
            _mark_best(ax, best_epoch, values[epochs == best_epoch])
    if not validated:
        bare(right)
        right.text(.5, .5, "no validation set", color=GREY, ha="center",
                   transform=right.transAxes)
    headline(figure, title, subtitle or _pace(history))
    return figure


def _pace(history):
    parts = [f"{len(history)} epochs"]
    seconds = [row["seconds"] for row in history if row.get("seconds")]
    if seconds:
        parts.append(f"{np.mean(seconds):.3g} s an epoch")
    rates = [row["learning_rate"] for row in history if row.get("learning_rate")]
    if rates:
        change = f" → {rates[-1]:.3g}" if rates[-1] != rates[0] else ""
        parts.append(f"learning rate {rates[0]:.3g}{change}")
    return " · ".join(parts)


def _curve(ax, epochs, values, color, label):
    if np.isfinite(values).any():
        ax.plot(epochs, values, color=color, label=label, linewidth=1.8,
                marker="o" if len(epochs) < 15 else None, markersize=4)


def _mark_best(ax, epoch, value):
    ax.axvline(epoch, color=GREY, linewidth=.8, linestyle=(0, (4, 3)), zorder=0)
    if len(value) and np.isfinite(value[0]):
        ax.plot(epoch, value[0], "o", color=BLUE, markersize=7,
                markeredgecolor="white", markeredgewidth=1.5)
        unit = "%" if "%" in ax.get_ylabel() else ""
        ax.set_title(f"best epoch {epoch}: {value[0]:.3g}{unit}", loc="left",
                     fontsize=9, color=BLUE)


def confusion_matrix(confusion, classes, title="Confusion matrix",
                     protocol=None, ax=None):
    """Draw what is taken for what: counts, and per cent of the true class.

    Parameters
    ----------
    confusion : array of int, shape (K, K)
        Rows true, columns predicted.
    classes : sequence of K str
    title, protocol : str
        The subtitle tells n, the accuracy and the protocol.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ShapeError
        If the matrix is not (K, K).
    """
    confusion = np.asarray(confusion)
    k = len(classes)
    if confusion.shape != (k, k):
        raise ShapeError(
            f"confusion: expected ({k}, {k}) for {k} classes, got "
            f"{confusion.shape}. Make one with evaluation.confusion_matrix().")
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    ax = ax or blank(2.2 + .78 * k, 1.9 + .68 * k).subplots()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(confusion):
        color = "white" if share[i, j] > .55 else INK if count else "#b5b5b5"
        ax.text(j, i, f"{count}", ha="center", va="bottom" if count else "center",
                color=color, fontsize=11)
        if count:
            ax.text(j, i + .08, f"{share[i, j]:.0%}", ha="center", va="top",
                    color=color, fontsize=8)
    names = [f"{name} ({n})" for name, n in zip(classes, confusion.sum(axis=1))]
    ax.set_yticks(range(k), names)
    ax.set_xticks(range(k), classes, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_ylabel("true (frames)", color=GREY)
    ax.set_xlabel("predicted", color=GREY)
    tidy(ax, frame=False)
    n = int(confusion.sum())
    right = f"n = {n} · {np.trace(confusion) / max(n, 1):.1%} right"
    # A line that is wider than the cells would leave them no room.
    ax_headline(ax, title, [right, *textwrap.wrap(protocol or "", max(30, 14 * k))])
    return ax


def filters(W, title="Filters", count=32):
    """Show the weights of a convolution as a grid.

    One input channel: filter after filter, in rows. Several: filters along
    one side, channels along the other. Blue is negative, red positive, white
    zero, on one scale for all.

    Parameters
    ----------
    W : array, shape (F, C, kh, kw)
        As stored; a layer with flip_filters=True applies them turned round.
    title : str
    count : int, default 32
        How many filters, and channels, at most.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ShapeError
        If W has not four dimensions.
    """
    W = np.asarray(W, dtype=float)
    if W.ndim != 4 or W.size == 0:
        raise ShapeError(f"W: expected (F, C, kh, kw), got shape {W.shape}. "
                         "Give the weights of a convolution.")
    shown = W[:count, :count]
    f, c, kh, kw = shown.shape
    sides = ["filter", "input channel"]  # down, across
    if c == 1:
        columns = int(np.ceil(np.sqrt(2 * f)))
    elif f > c:  # a wide picture is easier to look at than a tall one
        shown, columns, sides = shown.swapaxes(0, 1), f, sides[::-1]
    else:
        columns = c
    picture = _mosaic(shown.reshape(f * c, kh, kw), columns)
    tall, wide = picture.shape
    figure = blank(8, 1 + 7 * tall / wide)
    ax = figure.subplots()
    reach = np.abs(shown).max() or 1.
    image = ax.imshow(picture, cmap="RdBu_r", vmin=-reach, vmax=reach)
    bare(ax)
    if c > 1:
        ax.set_ylabel(sides[0], color=GREY)
        ax.set_xlabel(sides[1], color=GREY)
    bar = figure.colorbar(image, ax=ax, shrink=.6, aspect=25, pad=.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=GREY, labelsize=8)
    bar.set_label("weight", color=GREY)
    cut = "" if W.shape[:2] == (f, c) else f", first {f} × {c} shown"
    headline(figure, title, f"{W.shape[0]} filters of {kh} × {kw} on "
             f"{W.shape[1]} channel{'s' * (W.shape[1] > 1)}{cut}")
    return figure


def activations(maps, face, title="What the layer sees"):
    """A face beside the maps that a layer makes of it.

    Parameters
    ----------
    maps : array, shape (C, H, W)
        Output of a layer for this face. Each map is drawn on its own scale.
    face : array, shape (H, W)
    title : str

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ShapeError
        If maps is not (C, H, W) or face is not (H, W).
    """
    maps, face = np.asarray(maps, dtype=float), np.asarray(face)
    if maps.ndim != 3 or face.ndim != 2:
        raise ShapeError(
            "activations: expected maps (C, H, W) and a face (H, W), got "
            f"{maps.shape} and {face.shape}. Take one face out of the batch.")
    low, high = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    silent = int((high == low).sum())
    scaled = (maps - low[:, None, None]) / np.maximum(
        high - low, np.finfo(float).tiny)[:, None, None]
    figure = blank(11, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=[1, 2])
    left.imshow(face, cmap="gray")
    right.imshow(_mosaic(scaled, int(np.ceil(np.sqrt(2 * len(maps))))),
                 cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    for ax in (left, right):
        bare(ax)
    c, h, w = maps.shape
    headline(figure, title, f"{c} maps of {h} × {w}, each from its least "
             f"(black) to its greatest value · {silent} silent")
    return figure


def most_wrong(images, probabilities, labels, classes, count=12,
               title="Most confidently wrong", protocol=None):
    """Gallery of the mistakes the network was surest of.

    Parameters
    ----------
    images : array, shape (N, S, S)
    probabilities : array, shape (N, K)
    labels : array of int, shape (N,)
    classes : sequence of K str
    count : int, default 12
        Pictures at most.
    title, protocol : str
        The subtitle tells how many were wrong, and the protocol.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    """
    images, probabilities, labels = map(np.asarray, (images, probabilities, labels))
    if (images.ndim != 3 or labels.shape != images.shape[:1]
            or probabilities.shape != (len(labels), len(classes))):
        raise ShapeError(
            f"most_wrong: expected images (N, S, S), probabilities (N, "
            f"{len(classes)}) and labels (N,), got {images.shape}, "
            f"{probabilities.shape} and {labels.shape}. Give one row a frame.")
    predicted = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:count]
    columns = min(6, max(4, len(chosen)))
    rows = -(-len(chosen) // columns)
    figure = blank(1.65 * columns, 2.15 * rows + .7)
    for place, i in enumerate(chosen):
        ax = figure.add_subplot(rows, columns, place + 1)
        ax.set_axis_off()
        ax.imshow(images[i], cmap="gray")
        ax.set_title(f"{classes[predicted[i]]} {sure[i]:.0%}", color=RED,
                     fontsize=10, fontweight="bold", pad=4)
        ax.text(.5, -.04, f"true: {classes[labels[i]]}", color=INK, fontsize=9,
                ha="center", va="top", transform=ax.transAxes)
    parts = [f"{len(wrong)} of n = {len(labels)} wrong", protocol]
    headline(figure, title, " · ".join(filter(None, parts)))
    return figure


def _mosaic(tiles, columns):
    """Lay tiles (n, h, w) out in rows, with a gap of one pixel of NaN."""
    n, h, w = tiles.shape
    rows = -(-n // columns)
    picture = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (h + 1), (i % columns) * (w + 1)
        picture[top:top + h, left:left + w] = tile
    return picture
