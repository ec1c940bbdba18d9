"""Tables of a notebook: what a network, a plan or a result looks like in Jupyter.

A notebook asks things for ``_repr_html_``. Whatever a table holds is text: a layer that
is called ``<b>`` shows as it is called.

>>> print(table(["layer", "n"], [["<b>", 3]]))
<table style="font-variant-numeric:tabular-nums"><thead><tr>\
<th style="text-align:left">layer</th><th style="text-align:right">n</th>\
</tr></thead><tbody>
<tr><td style="text-align:left">&lt;b&gt;</td><td style="text-align:right">3</td></tr>
</tbody></table>
"""

import html
import numbers
from typing import NamedTuple

from .errors import visible

__all__ = ["Cell", "escape", "paragraph", "table"]

STYLE = "font-variant-numeric:tabular-nums"


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


def table(header, rows):
    """A table; numbers stand on the right.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequences
        A cell is a text, a number or a :class:`Cell`; None leaves it empty.

    Returns
    -------
    str
    """
    rows = [[one if isinstance(one, Cell) else Cell(one) for one in row]
            for row in rows]
    sides = ["right" if all(map(_is_number, column)) and len(column) else "left"
             for column in zip(*rows)] or ["left"] * len(header)
    head = "".join(f'<th style="text-align:{side}">{escape(name)}</th>'
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
    return f'<td style="text-align:{side}{cell.style}">{escape(value)}</td>'


def _is_number(cell):
    """Whether a cell holds a number, also one that is written out, or nothing."""
    if cell.value is None or isinstance(cell.value, numbers.Number):
        return True
    text = str(cell.value).rstrip("%").replace(",", "").strip()
    if text in ("", "?"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
