"""The table of a network's layers, as text and as HTML."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import config
from ...errors import visible
from ...notebook import paragraph, table
from ..base import Layer, Layers
from ..helper import count_params, get_all_params
from ..tape import as_list, get_all_layers
from .costs import products_of, shapes_of
from .drawing import draw
from .words import bytes_text, kind_of, shape_text

__all__ = ["LayerRow", "Summary", "summary"]


#: Columns of numbers.
RIGHT = ("", "output", "parameters", "MFLOP", "memory")


@dataclass(frozen=True)
class LayerRow:
    """A layer, as :class:`Summary` lists it.

    Attributes
    ----------
    number : int
        Its place, from 0.
    layer : Layer
    kind : str
        Its class and main options, such as ``"Conv2D 3×3 rectify"``.
    below : tuple of int
        Places of the layers that it reads.
    shape : tuple
        Output shape; without the first axis, the batch.
    parameters : int
        Values in parameters that no layer before it has.
    mflop : float or None
        Multiplications and additions of products with weights, an image, in millions.
    nbytes : int or None
        Bytes of its output, an image.
    """

    number: int
    layer: Layer
    kind: str
    below: tuple
    shape: tuple
    parameters: int
    mflop: float | None
    nbytes: int | None

    @property
    def name(self) -> str:
        """The layer's name, or its class where it has none."""
        return self.layer.name or type(self.layer).__name__


@dataclass(frozen=True)
class Summary:
    """What :func:`summary` found; ``str()`` is a table, and a notebook shows HTML.

    Attributes
    ----------
    rows : list of LayerRow
        Every layer after its inputs.
    outputs : list of Layer
    parameters, trainable : int
        Values in all parameters, each counted once; and in those that learn.
    parameter_bytes : int
        Memory of the parameters.
    mflop : float
        The sum over the layers where it is known, an image.
    output_bytes : int
        Memory of the outputs of all layers together, an image. Training keeps them for
        the way back, layer by layer; caches (masks, columns of filters) come on top.
    peak_bytes : int
        The most that outputs take at once where each is let go when its last reader
        has run, as in prediction.
    """

    rows: list
    outputs: list
    parameters: int
    trainable: int
    parameter_bytes: int
    mflop: float
    output_bytes: int
    peak_bytes: int

    @property
    def unknown(self) -> list:
        """The rows whose MFLOP or memory are not known; sums leave them out."""
        return [row for row in self.rows if None in (row.mflop, row.nbytes)]

    @property
    def notes(self) -> list:
        """The lines below the table: the sums, and what they leave out."""
        still = self.parameters - self.trainable
        learn = (f"{self.trainable:,} of them trainable" if still
                 else "all of them trainable")
        lines = [f"{self.parameters:,} parameters ({bytes_text(self.parameter_bytes)}),"
                 f" {learn}; {_mflop_text(self.mflop) or 0} MFLOP an image",
                 f"outputs of an image: {bytes_text(self.output_bytes)} in all, as in "
                 f"training; at most {bytes_text(self.peak_bytes)} at once in "
                 "prediction"]
        if self.unknown:
            names = ", ".join(row.name for row in self.unknown[:3])
            more = ", …" * (len(self.unknown) > 3)
            lines.append(f"not known, and in no sum: {visible(names)}{more}")
        return lines

    def _cells(self):
        """Header, and rows of text."""
        reads = any(row.below != ((row.number - 1,) if row.number else ())
                    for row in self.rows)
        header = ["", "layer", "kind", *["reads"] * reads, "output", "parameters",
                  "MFLOP", "memory"]
        rows = []
        for row in self.rows:
            below = "" if row.below == (row.number - 1,) else (
                ", ".join(map(str, row.below)))
            rows.append([str(row.number), visible(row.name), visible(row.kind),
                         *[below] * reads, shape_text(row.shape),
                         f"{row.parameters:,}" if row.parameters else "",
                         _mflop_text(row.mflop),
                         bytes_text(row.nbytes)])
        return header, rows

    def __str__(self):
        header, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(header, *rows)]
        sides = [">" if name in RIGHT else "<" for name in header]
        lines = ["  ".join(f"{cell:{side}{width}}" for cell, side, width
                           in zip(row, sides, widths)).rstrip()
                 for row in [header, *rows]]
        return "\n".join(lines + self.notes)

    def to_svg(self) -> str:
        """The network's graph, from its inputs down to its outputs, as an SVG file."""
        return draw(self.rows, self.outputs)

    def _repr_html_(self) -> str:
        header, rows = self._cells()
        # Inside a page it is no file of its own.
        picture = self.to_svg().partition("?>")[2]
        return (table(header, rows, RIGHT) + paragraph("\n".join(self.notes))
                + f"<details><summary>the graph</summary>{picture}</details>")


def summary(network: Layers, input_shapes: Any = None) -> Summary:
    """List a network's layers with output shape, parameters, MFLOP and memory.

    ``print`` it, or let a notebook show it; ``to_svg()`` draws the graph.

    Parameters
    ----------
    network : Layer or list of Layer
        The output(s).
    input_shapes : tuple or dict of Layer -> tuple, optional
        Shapes of the inputs, where their layers leave lengths open: without them MFLOP
        and memory of what depends on these are not known.

    Returns
    -------
    Summary

    Notes
    -----
    A product counts as two: F filters of k×k on C channels, at H×W places, take
    2·F·C·k²·H·W, whether their zeros of padding are skipped or not. Only products with
    weights count. Memory is that of the outputs, in the parameters' type; a million
    bytes are a MB.

    Examples
    --------
    >>> from minifer.models import six_conv
    >>> found = summary(six_conv())
    >>> found.parameters, round(found.mflop, 1)
    (1469927, 173.6)
    """
    order = get_all_layers(network)
    shapes = shapes_of(order, input_shapes)
    place = {layer: number for number, layer in enumerate(order)}
    params = get_all_params(network)
    item = np.dtype(params[0].dtype if params else config.floatX).itemsize
    # The images of the batch for which the shapes are: those of the first input.
    batch = next((shape[0] for shape in shapes.values() if shape), None) or 1
    rows, seen = [], set[Any]()
    for layer in order:
        shape, new = shapes[layer], {*layer.get_params()} - seen
        seen |= new
        products = products_of(layer, shapes)
        size = None if None in shape[1:] else item * math.prod(
            n or 1 for n in shape) // batch
        rows.append(LayerRow(
            place[layer], layer, kind_of(layer),
            tuple(place[one] for one in layer.incomings if one is not None),
            tuple(shape[1:]), sum(p.size for p in new),
            None if products is None else products / batch / 1e6, size))
    outputs = as_list(network)
    return Summary(
        rows, outputs, count_params(network), count_params(network, trainable=True),
        sum(p.size * np.dtype(p.dtype).itemsize for p in params),
        sum(row.mflop or 0 for row in rows), sum(row.nbytes or 0 for row in rows),
        _peak(rows, [place[one] for one in outputs]))


def _mflop_text(mflop):
    if mflop is None:
        return "?"
    if not mflop:
        return ""
    return f"{mflop:,.2f}" if mflop >= 0.01 else "<0.01"


def _peak(rows, outputs):
    """The most that outputs take at once, each kept until its last reader has run."""
    left = Counter(below for row in rows for below in set(row.below))
    left.update(outputs)
    held, most = 0, 0
    for row in rows:
        held += row.nbytes or 0
        most = max(most, held)
        for below in set(row.below):
            left[below] -= 1
            if not left[below]:
                held -= rows[below].nbytes or 0
    return most
