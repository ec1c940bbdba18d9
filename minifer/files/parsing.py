"""Files are read by one door, and what fails behind it is one line.

>>> from minifer.errors import WeightsError
>>> with reading("no.npz", "an .npz file", WeightsError) as file:
...     file.read()
Traceback (most recent call last):
    ...
minifer.errors.WeightsError: no.npz: could not be read (No such file or directory).
"""

import contextlib
import json
import os
import zipfile

from ..errors import MiniferError, one_line, quoted
from .reading import open_file

__all__ = ["reading", "naming", "read_bytes", "read_json", "parse_json", "open_zip"]

#: How many times as long deflated bytes can become, by the format.
DEFLATE = 1032


@contextlib.contextmanager
def reading(path, kind, error, remedy="Get or write it again."):
    """Open a file for a block that parses it; any failure becomes one error.

    Parameters
    ----------
    path : str or path-like
    kind : str
        What is expected, such as ``"a whole .npz file"``.
    error : class
        The :class:`MiniferError` to raise.
    remedy : str
        What to do, a sentence.

    Yields
    ------
    file
        A binary file that can be rewound.

    Raises
    ------
    MiniferError
        The given one if the file cannot be opened, is no regular file (a pipe
        would be waited for, a device may never end), or the block fails in any way:
        damaged files make parsers raise whatever comes. An error that the block
        raises on purpose keeps its class and gets the file's name.
    """
    try:
        file = open_file(os.fspath(path))  # a number would be an open file
    except (OSError, ValueError, TypeError) as caught:  # the last of no path at all
        why = getattr(caught, "strerror", None) or one_line(caught)
        raise error(f"{path}: could not be read ({why}).") from caught
    try:
        with file, naming(path):
            yield file
    except MiniferError:
        raise
    except Exception as caught:
        raise error(f"{path}: expected {kind}, got a damaged file or one of another "
                    f"kind ({one_line(caught)}). {remedy}") from caught


@contextlib.contextmanager
def naming(path):
    """Put a file's name before the text of a MiniferError that the block raises."""
    try:
        yield
    except MiniferError as caught:
        if str(caught).startswith(str(path)):
            raise
        raise type(caught)(f"{path}: {caught}") from caught


def read_bytes(file, most, what):
    """All that is left in ``file``; ValueError if that is more than ``most`` bytes."""
    content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes of {what}")
    return content


def parse_json(text):
    """What JSON says, as bytes in UTF-8 or as str; no name may stand twice.

    Raises
    ------
    ValueError, RecursionError
        If it is no JSON. Use it inside :func:`reading`.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice in an object")
    return found


def read_json(path, kind, error, remedy="Get or write it again."):
    """A small JSON file, an object, as a dict. For the rest see :func:`reading`."""
    with reading(path, kind, error, remedy) as file:
        found = parse_json(read_bytes(file, 1 << 24, "JSON"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found


def open_zip(file):
    """A zip archive whose entries are known to be no larger than they can be.

    Parameters
    ----------
    file : file
        Binary, such as :func:`reading` yields.

    Returns
    -------
    zipfile.ZipFile

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If two entries have one name, an entry is encrypted or packed by another
        method than deflate, overlaps others, or would unpack to more than its bytes
        can hold. Nothing has been unpacked then.
    """
    size = file.seek(0, os.SEEK_END)
    archive = zipfile.ZipFile(file)
    entries = archive.infolist()
    for one in entries:
        largest = {zipfile.ZIP_STORED: one.compress_size,
                   zipfile.ZIP_DEFLATED: DEFLATE * one.compress_size}
        if one.flag_bits & 1 or one.compress_type not in largest:
            raise ValueError(f"{quoted(one.filename)} is encrypted or packed in "
                             "another way than .zip files usually are")
        if one.file_size > largest[one.compress_type]:
            raise ValueError(f"{quoted(one.filename)} promises {one.file_size:,} bytes "
                             f"and has {one.compress_size:,}")
    if len({one.filename for one in entries}) < len(entries):
        raise ValueError("two entries of one name")
    if sum(one.compress_size for one in entries) > size:
        raise ValueError("entries that overlap or leave the file")
    return archive
