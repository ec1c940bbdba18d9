"""A network's graph as SVG, a picture that a browser shows at any size.

What only changes the numbers of the layer below (batch norm, a nonlinearity, dropout)
stands in that layer's box, so that the way of a residual network is seen at a glance.
"""

from __future__ import annotations

from collections import Counter

from ...notebook import escape
from ..base import MergeLayer
from ..conv import BaseConvLayer
from ..dense import DenseLayer
from ..embedding import EmbeddingLayer
from ..input import InputLayer
from ..nin import NINLayer
from ..noise import DropoutLayer, GaussianNoiseLayer
from ..normalization import BatchNormLayer
from ..pool import GlobalPoolLayer, Pool1DLayer, Pool2DLayer, Pool3DLayer
from ..rectifiers import ParametricRectifierLayer, RandomizedRectifierLayer
from ..recurrent.sequence import SequenceLayer
from ..scaling import BiasLayer, ScaleLayer
from ..special import NonlinearityLayer
from ..standardization import LocalResponseNormalization2DLayer, StandardizationLayer
from .layout import layout
from .words import shape_text

__all__ = ["draw"]

#: Layers that stand in the box of the one below.
RIDERS = (BatchNormLayer, BiasLayer, DropoutLayer, GaussianNoiseLayer,
          LocalResponseNormalization2DLayer, NonlinearityLayer,
          ParametricRectifierLayer, RandomizedRectifierLayer, ScaleLayer,
          StandardizationLayer)
#: Fill and edge of the boxes, by what is in them; else the last.
COLOURS = [((InputLayer,), "#f1f1f4", "#77777f"),
           ((BaseConvLayer, NINLayer), "#dcebf7", "#0072b2"),
           ((DenseLayer, EmbeddingLayer), "#fbe5d6", "#d55e00"),
           ((Pool1DLayer, Pool2DLayer, Pool3DLayer, GlobalPoolLayer), "#d9f0e8",
            "#009e73"),
           ((SequenceLayer,), "#f4e0ec", "#b3568a"),
           ((MergeLayer,), "#fdf3cf", "#b08a00"),
           ((object,), "#ffffff", "#77777f")]
#: Pixels: a line of text, the empty border of a box and of the picture.
LINE, PAD, BORDER = 15, 7, 8
#: Pixels of a letter, in the mean, of a name and of other text. No font is asked.
BOLD, LETTER = 7.6, 6.8
LONGEST = 40


def draw(rows, outputs):
    """Draw a network, its inputs at the top.

    Parameters
    ----------
    rows : list of minifer.layers.summaries.LayerRow
    outputs : list of Layer

    Returns
    -------
    str
        A whole SVG file.
    """
    boxes, box_of = _boxes(rows, outputs)
    edges = sorted({(box_of[below], box_of[row.number]) for row in rows
                    for below in row.below if box_of[below] != box_of[row.number]})
    texts = [_texts(box, outputs) for box in boxes]
    sizes = [(max(len(name) * BOLD, *(len(line) * LETTER for line in others)) + 18,
              LINE * (1 + len(others)) + 2 * PAD) for name, *others in texts]
    centres, lines, (width, height) = layout(sizes, edges)
    parts = [f'<path d="{_path(line)}"/>' for line in lines]
    shown = [_box(box, text, centre, size) for box, text, centre, size
             in zip(boxes, texts, centres, sizes)]
    width, height = width + 2 * BORDER, height + 2 * BORDER
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" \
viewBox="{-BORDER} {-BORDER} {width:.0f} {height:.0f}" font-size="12" \
font-family="system-ui, 'Segoe UI', Roboto, 'Noto Sans', Arial, sans-serif">
<defs><marker id="minifer-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" \
markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#85858c"/></marker></defs>
<g fill="none" stroke="#85858c" stroke-width="1.4" marker-end="url(#minifer-arrow)">
{chr(10).join(parts)}
</g>
{chr(10).join(shown)}
</svg>
"""


def _boxes(rows, outputs):
    """Rows box by box, and the box of each row."""
    readers = Counter(below for row in rows for below in set(row.below))
    boxes, box_of = [], []
    for row in rows:
        below = row.below[0] if len(row.below) == 1 else None
        rides = (isinstance(row.layer, RIDERS) and below is not None
                 and readers[below] == 1 and rows[below].layer not in outputs
                 and not isinstance(rows[below].layer, InputLayer))
        if rides:
            box_of.append(box_of[below])
            boxes[box_of[below]].append(row)
        else:
            box_of.append(len(boxes))
            boxes.append([row])
    return boxes, box_of


def _texts(box, outputs):
    """The lines of a box: a name, kinds, the shape of what comes out."""
    first, *riders = box
    lines = [_short(first.name)]
    if first.kind != first.name:
        lines.append(_short(first.kind))
    lines += [_short(row.kind.removeprefix("Nonlinearity ")) for row in riders]
    lines.append(shape_text(box[-1].shape) or "a number")
    if any(row.layer in outputs for row in box):
        lines[-1] += " → output"
    return lines


def _short(text):
    return text if len(text) <= LONGEST else text[:LONGEST - 1] + "…"


def _path(line):
    """Straight within a row, a curve from one row to the next."""
    (x, y), *rest = line
    path = f"M{x:.1f} {y:.1f}"
    for number, (to_x, to_y) in enumerate(rest):
        if number % 2 == 0 or abs(to_x - x) < .05:
            path += f"L{to_x:.1f} {to_y:.1f}" * ((x, y) != (to_x, to_y))
        else:
            middle = (y + to_y) / 2
            path += (f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} "
                     f"{to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return path


def _box(rows, lines, centre, size):
    """A box with its lines; all of it is told where the pointer rests."""
    (x, y), (width, height) = centre, size
    fill, edge = next((fill, edge) for kinds, fill, edge in COLOURS
                      if isinstance(rows[0].layer, kinds))
    told = escape("; ".join(f"{row.name}: {row.kind}" for row in rows))
    top = y - height / 2 + PAD + LINE - 4
    text = "".join(
        f'<text x="{x:.1f}" y="{top + place * LINE:.1f}"{_look(place, lines)}>'
        f"{escape(line)}</text>" for place, line in enumerate(lines))
    return (f'<g text-anchor="middle"><title>{told}</title>'
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}" rx="5" fill="{fill}" '
            f'stroke="{edge}"/>{text}</g>')


def _look(place, lines):
    if place == 0:
        return ' font-weight="600" fill="#1d1d1f"'
    return ' fill="#5c5c66"' if place == len(lines) - 1 else ' fill="#1d1d1f"'
