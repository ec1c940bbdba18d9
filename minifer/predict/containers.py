"""Whether a film's file has all the bytes that it says it has.

Decoders play what is there and stop without a word. The three families of files that
hold nearly all films begin their parts with a length, so what is missing shows.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from .._types import FilePath

__all__ = ["family", "is_cut"]


def family(path: FilePath) -> str:
    """``"mp4"``, ``"matroska"`` (WebM, too), ``"avi"``, or ``""`` for any other."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:] == b"AVI ":
        return "avi"
    return "mp4" if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") else ""


def is_cut(path: FilePath) -> bool:
    """Whether bytes are missing, by the lengths that the file's parts give.

    False also where it does not say, as in other families.
    """
    part = {"mp4": _mp4_part, "avi": _avi_part, "matroska": _matroska_part}.get(
        family(path))
    size, at = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while part and at < size:
            file.seek(at)
            try:
                length = part(file)
            except struct.error:  # the head of a part is cut
                return True
            if length is None:
                return False
            at += length
    return at > size


def _mp4_part(file: BinaryIO):
    """Length of a box; None for the last one, which goes to the end."""
    length, _ = struct.unpack(">I4s", file.read(8))
    if length == 1:
        length, = struct.unpack(">Q", file.read(8))
    return length if length >= 8 else None


def _avi_part(file: BinaryIO):
    """Length of a RIFF chunk; None for what follows and is none."""
    name, length = struct.unpack("<4sI", file.read(8))
    return 8 + length + length % 2 if name == b"RIFF" and length else None


def _matroska_part(file: BinaryIO):
    """Length of an element: name, length and content; of one without, of its head.

    So of a recording whose end was not known one goes on with the elements inside.
    """
    start = file.tell()
    _variable(file)
    length, unknown = _variable(file)
    return file.tell() - start + (0 if unknown else length)


def _variable(file):
    """A number of one to eight bytes, as many as zeros lead it; and is it all ones?"""
    first, = struct.unpack("B", file.read(1))
    count = 8 - first.bit_length()
    rest = file.read(count)
    if len(rest) < count or count > 7:
        raise struct.error("cut")
    bits = 7 * (count + 1)
    number = int.from_bytes(bytes([first]) + rest, "big") & (1 << bits) - 1
    return number, number == (1 << bits) - 1
