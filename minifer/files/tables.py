r"""Tables as CSV, which a spreadsheet opens without harm.

A spreadsheet takes a cell that begins with ``=`` for a formula, and runs it; so it does
with ``+``, ``-`` and ``@``. Names of files and classes may begin so, and may come from
strangers. A text that begins with such a sign, or with blanks and such a sign, gets a
``'`` in front, as spreadsheets themselves mark text; so does one that begins with
``'``. Numbers are left as they are. What is no valid Unicode, or controls a terminal,
is written as ``\udcb3`` or ``\x1b``. :func:`read_csv` takes all this back, so that
names come out as they were.

>>> print(csv_text([["photo", "score"], ["=1+1.png", -0.5]]), end="")
photo,score
'=1+1.png,-0.5
"""

import contextlib
import csv
import io
import re
import types

from ..errors import DatasetError
from .reading import open_file
from .whole import atomic_write

__all__ = ["csv_writer", "csv_text", "read_csv"]

# Signs as wide as a Chinese letter count, too: some spreadsheets take them for these.
_FORMULA = re.compile(r"\s*[=+\-@'＝＋－＠]")
# Controls but for the end of a line, halves of letters, and what looks like the marks
# that stand for them.
_ODD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
                  r"|\\(?=x[0-9a-f]{2}|ud[89a-f][0-9a-f]{2})")
_MARK = re.compile(r"\\(?:x([0-9a-f]{2})|u(d[89a-f][0-9a-f]{2}))")


def _cell(value):
    """A cell as it is written."""
    if not isinstance(value, str):
        return value
    text = _ODD.sub(lambda odd: f"\\x{ord(odd[0]):02x}" if odd[0] < "\u0100"
                    else f"\\u{ord(odd[0]):04x}", value)
    return f"'{text}" if _FORMULA.match(value) or value[:1].isspace() else text


def _value(cell):
    """What was written as this cell, as text."""
    return _MARK.sub(lambda mark: chr(int(mark[1] or mark[2], 16)),
                     cell.removeprefix("'"))


class _Table:
    """Rows that become text; ``write`` gets one a call."""

    def __init__(self, write):
        self._writer = csv.writer(types.SimpleNamespace(write=write),
                                  lineterminator="\n")

    def writerow(self, values):
        self._writer.writerow(map(_cell, values))


@contextlib.contextmanager
def csv_writer(path):
    """Open a table that replaces ``path``, whole, when the block ends well.

    Yields
    ------
    object
        ``.writerow(values)`` adds a row; nothing is kept in memory.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_write(path) as file:
        yield _Table(lambda row: file.write(row.encode("utf-8")))


def csv_text(rows):
    """Rows as the text of a table."""
    text = io.StringIO()
    table = _Table(text.write)
    for row in rows:
        table.writerow(row)
    return text.getvalue()


def read_csv(path):
    """Read a table that minifer wrote: its rows, with names as they were.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    list of list of str
        The first row is the header.

    Raises
    ------
    DatasetError
        If it cannot be read, or is no table.
    """
    try:
        with open_file(path, "r", newline="", encoding="utf-8") as file:
            return [list(map(_value, row)) for row in csv.reader(file, strict=True)]
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: expected a table that minifer wrote, got "
                           f"'{getattr(error, 'strerror', None) or error}'. Check the "
                           "path.") from error
