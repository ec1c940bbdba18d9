"""What a report says, apart from how it is written down.

A report is a title and a list of blocks: text (str), :class:`Note`, :class:`Table`,
:class:`Items`, :class:`Code`, :class:`Picture`, and a :class:`Section` of such. Here
they become Markdown, in :mod:`minifer.report.html` a page.

>>> print(to_markdown("Scores", [Section("Classes", [Table(["name", "n"],
...                                                        [[Strong("joy"), 3]])])]))
# Scores
<BLANKLINE>
## Classes
<BLANKLINE>
| name | n |
| --- | ---: |
| **joy** | 3 |
<BLANKLINE>
"""

import numbers
import urllib.parse
from typing import NamedTuple

from ..errors import visible

__all__ = ["Strong", "Mono", "Note", "Table", "Items", "Code", "Picture", "Section",
           "pairs", "is_number", "plain", "to_markdown"]


class Strong(str):
    """A cell or item that stands out."""


class Mono(str):
    """A cell or item that is a name of the computer's: a file, an option."""


class Note(NamedTuple):
    """What must not be overlooked: a word, and the sentence."""

    label: str
    text: str


class Table(NamedTuple):
    """A header and rows of cells. The first column names the rows."""

    header: list
    rows: list
    shaded: bool = False  # counts, to be coloured by their share of the row


class Items(NamedTuple):
    """A list of points."""

    items: list


class Code(NamedTuple):
    """A command line."""

    text: str


class Picture(NamedTuple):
    """A file in the folder of the report, and what it shows."""

    name: str
    caption: str


class Section(NamedTuple):
    """A heading and blocks. Nothing is written where they are empty."""

    title: str
    blocks: list


def pairs(values):
    """A table of name -> value of what is known; None is what is not."""
    return Table(["", ""], [[name.replace("_", " "), value]
                            for name, value in values.items() if value is not None])


def is_number(value):
    """Whether a cell is aligned to the right: numbers and per cents."""
    return isinstance(value, numbers.Real) or str(value).endswith("%")


def plain(value):
    """A cell as text on one line, controls shown; floats to six digits."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return visible(" ".join(text.split()))


def to_markdown(title, blocks):
    """Write a report as Markdown.

    Parameters
    ----------
    title : str
    blocks : list of blocks
        Empty ones are left out.

    Returns
    -------
    str
    """
    return _join([f"# {_inline(title)}", *map(_markdown, blocks)]) + "\n"


def _join(parts):
    return "\n\n".join(filter(None, parts))


def _markdown(block):
    match block:
        case Section(title, blocks):
            body = _join(map(_markdown, blocks))
            return body and f"## {title}\n\n{body}"
        case Note(label, text):
            return f"> **{label}** {text}"
        case Table(header, rows):
            return _table(header, [list(row) for row in rows])
        case Items(items):
            return "\n".join(f"- {_inline(item, False)}" for item in items)
        case Code(text):
            return text and f"```sh\n{visible(text)}\n```"
        case Picture(name, caption):
            caption = _inline(caption)
            return f"![{caption}]({urllib.parse.quote(name)})\n\n*{caption}*"
    return block


def _table(header, rows):
    """A table with numbers aligned to the right; nothing if it is empty."""
    if not rows:
        return ""
    rule = ["---:" if all(map(is_number, column)) else "---" for column in zip(*rows)]
    return "\n".join("| " + " | ".join(map(_inline, row)) + " |"
                     for row in [header, rule, *rows])


def _inline(value, in_cell=True):
    """Text on one line that cannot break a table."""
    text = plain(value)
    if in_cell:
        text = text.replace("|", "\\|").replace("<", "&lt;")
    around = "**" if isinstance(value, Strong) else "`" * isinstance(value, Mono)
    return f"{around}{text}{around}"
