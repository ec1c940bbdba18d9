"""Tables of a notebook: what a network, a plan or a result looks like in Jupyter.

A notebook asks things for ``_repr_html_``. Whatever a table holds is text: a layer that
is called ``<b>`` shows as it is called.

>>> print(table(["layer"], [["<b>"]]))
<table style="font-variant-numeric:tabular-nums"><thead><tr>\
<th style="padding:.1em .5em;text-align:left">layer</th></tr></thead><tbody>
<tr><td style="padding:.1em .5em;text-align:left">&lt;b&gt;</td></tr>
</tbody></table>
"""

import html
import numbers
from typing import NamedTuple

from .errors import visible

__all__ = ["Cell", "escape", "paragraph", "table"]

STYLE = "font-variant-numeric:tabular-nums"
CELL = "padding:.1em .5em;text-align:"


class Cell(NamedTuple):
    """A cell that looks otherwise than its neighbours."""

    value: object
    style: str = ""  # CSS


def escape(text):
    r"""A text as it may stand in HTML, in SVG, and in their attributes.

    What controls a terminal, and what no XML file may hold, is written out.

    >>> escape('a < "b"\x00')
    'a &lt; &quot;b&quot;\\x00'
    """
    text = visible(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    return html.escape(text)


def table(header, rows, right=()):
    """A table; numbers stand on the right.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequences
        A cell is a text, a number or a :class:`Cell`; None leaves it empty.
    right : collection of str
        Columns that stand on the right, too.

    Returns
    -------
    str
    """
    rows = [[one if isinstance(one, Cell) else Cell(one) for one in row]
            for row in rows]
    columns = list(zip(*rows)) or [()] * len(header)
    sides = ["right" if name in right or column and all(map(_is_number, column))
             else "left" for name, column in zip(header, columns)]
    head = "".join(f'<th style="{CELL}{side}">{escape(name)}</th>'
                   for name, side in zip(header, sides))
    body = "\n".join(f"<tr>{''.join(map(_cell, row, sides))}</tr>" for row in rows)
    return (f'<table style="{STYLE}"><thead><tr>{head}</tr></thead><tbody>\n'
            f"{body}\n</tbody></table>")


def paragraph(text):
    """A paragraph of text; its lines stay lines.

    >>> paragraph("1 < 2")
    '<p>1 &lt; 2</p>'
    """
    return f"<p>{'<br>'.join(map(escape, text.splitlines()))}</p>"


def _cell(cell, side):
    value = "" if cell.value is None else cell.value
    return f'<td style="{CELL}{side}{cell.style}">{escape(value)}</td>'


def _is_number(cell):
    """Whether a cell holds a number, also one that is written out, or nothing."""
    if cell.value is None or isinstance(cell.value, numbers.Number):
        return True
    try:
        float(str(cell.value).rstrip("%").replace(",", "") or 0)
    except ValueError:
        return False
    return True
