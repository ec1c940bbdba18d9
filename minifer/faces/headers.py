"""What the first bytes of an image file say of it, before any pixel is decoded.

A picture of half a megabyte can unpack to gigabytes, half a file can decode to half a
face, and a telephone's photo can lie on its side. All three stand in the file's header
or in its structure, and are read here, in a few lines a format.

>>> from minifer.faces.images import encode_png
>>> data = encode_png(np.zeros((30, 40), np.uint8))
>>> header = read_header(data)
>>> header.kind, header.width, header.height, header.trouble
('PNG', 40, 30, '')
>>> read_header(data[:-4]).trouble[:25]
'the image is truncated (o'
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

import numpy as np

__all__ = ["Header", "read_header", "turned"]


class Header(NamedTuple):
    """What a file says of its picture.

    Attributes
    ----------
    kind : str
        Such as ``"PNG"``.
    width, height : int
        In pixels, as they are stored, not yet turned upright.
    trouble : str
        Why the picture is not to be decoded, and what to do, or ``""``.
    turn : (int, int or None), optional
        Quarter turns against the clock, then the axis along which it is mirrored.
        None where OpenCV turns the picture by itself.
    cost : int
        How much memory or time a pixel takes to be decoded, relative to other formats.
    """

    kind: str
    width: int
    height: int
    trouble: str = ""
    turn: tuple | None = None
    cost: int = 1


#: EXIF's orientation -> quarter turns against the clock, then the mirrored axis.
_EXIF = {1: (0, None), 2: (0, 1), 3: (2, None), 4: (0, 0), 5: (1, 0), 6: (3, None),
         7: (1, 1), 8: (1, None)}


def read_header(data: bytes) -> Header | None:
    """What the bytes of an image file say of their picture; None if it is no image.

    Known are the formats that OpenCV reads: JPEG, PNG, BMP, WebP, GIF, TIFF, AVIF,
    JPEG 2000, PNM, PAM, HDR and Sun raster; and some to say why it does not.
    """
    read = next((read for start, read in _READERS if data.startswith(start)),
                _heif if data[4:8] == b"ftyp" else None)
    try:
        header = read and read(data)
    except (struct.error, LookupError, ValueError, TypeError, StopIteration):
        return None
    return header if header and min(header.width, header.height) > 0 else None


def turned(picture: np.ndarray, turn: tuple | None) -> np.ndarray:
    """The picture (H, W, ...) upright, as :class:`Header`'s ``turn`` says."""
    if turn is None:
        return picture
    quarters, axis = turn
    picture = np.rot90(picture, quarters)
    return np.ascontiguousarray(picture if axis is None else np.flip(picture, axis))


def _cut(data):
    return (f"the image is truncated (only {len(data)} bytes are there). Copy or "
            "download it again, or remove it.")


_NO_WHITE = ("the image holds numbers for which no black and white are agreed on "
             "(of 32 bits, signed, or floating). Save it with 8 or 16 bits.")

_HEIC = ("the image is a HEIC photo, which OpenCV cannot read. Save it as JPEG: on an "
         "iPhone in Settings, Camera, Formats, Most Compatible; on a computer with an "
         "image program, or in Python with the package pillow-heif.")

_PREVIEW = ("the image is a camera's raw file, of which OpenCV would read the small "
            "preview alone. Develop it to JPEG.")


def _jpeg(data):
    """Step over the header's segments, then look for the end marker FF D9.

    Searching the whole file would find the end of the thumbnail that cameras
    put into the header. In the pixel data FF is always followed by 00 or by a
    restart number, so FF D9 there is the end and nothing else.
    """
    at, height, width = 2, 1, 1
    while data[at:at + 1] == b"\xff" and data[at + 1:at + 2] != b"\xda":
        kind = data[at + 1] if at + 1 < len(data) else 0
        if kind == 0xff:
            at += 1  # a fill byte
            continue
        if 0xc0 <= kind <= 0xcf and kind not in (0xc4, 0xc8, 0xcc):
            height, width = struct.unpack_from(">HH", data.ljust(at + 9), at + 5)
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    end = data.find(b"\xff\xd9", at)
    scans = data.count(b"\xff\xda", at, max(end, at))  # each goes over all pixels
    return Header("JPEG", width, height, "" if end >= 0 else _cut(data),
                  cost=1 + scans // 20)


def _png(data):
    """Step from chunk to chunk (length, kind, content, checksum) to IEND."""
    at, size, trouble = 8, (1, 1), _cut(data)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind == b"IHDR":
            size = struct.unpack_from(">II", data, at + 8)
        needed = not kind[0] & 0x20  # a capital letter
        if needed and zlib.crc32(data[at + 4:end - 4]) != int.from_bytes(
                data[end - 4:end], "big"):
            trouble = (f"the image is damaged (a wrong checksum at byte {at}). Copy or "
                       "download it again, or remove it.")
            break
        if kind == b"IEND":
            trouble = ""
            break
        at = end
    return Header("PNG", *size, trouble)


def _bmp(data):
    form = "<HH" if int.from_bytes(data[14:18], "little") == 12 else "<ii"
    width, height = struct.unpack_from(form, data, 18)
    return Header("BMP", width, abs(height))


def _webp(data):
    if data[8:12] != b"WEBP":
        raise ValueError("another RIFF file")
    whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    kind, at = data[12:16], 20
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[k:k + 3], "little") for k in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[at + 1:at + 5], "little")
        width, height = 1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)
    else:
        width, height = (side & 0x3fff for side in struct.unpack_from(
            "<HH", data.ljust(at + 10, b"\1"), at + 6))
    turn, at = (0, None), 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            exif = data[at + 8:at + 8 + length].removeprefix(b"Exif\0\0")
            turn = _EXIF.get(_tags(exif).get(274, [1])[0], turn)
        at += 8 + length + length % 2
    return Header("WebP", width, height, "" if whole else _cut(data), turn)


def _gif(data):
    return Header("GIF", *struct.unpack_from("<HH", data, 6))


def _tiff(data):
    tags = _tags(data)
    starts = tags.get(273) or tags.get(324) or [0]
    lengths = tags.get(279) or tags.get(325) or [0]
    trouble = ""
    if max(tags.get(258, [8])) > 16 or max(tags.get(339, [1])) > 1:
        trouble = _NO_WHITE
    elif tags.get(254, [0])[0] & 1 or data[8:10] == b"CR":
        trouble = _PREVIEW
    elif max(map(sum, zip(starts, lengths))) > len(data):
        trouble = _cut(data)
    # A tile is unpacked whole, however small the picture.
    width, height = (max(tags[side][0], tags.get(tile, [0])[0])
                     for side, tile in [(256, 322), (257, 323)])
    return Header("TIFF", width, height, trouble)


#: Kind of picture, size, bits, turn, pieces, tiles, kind of numbers.
_TAGS = {254, 256, 257, 258, 273, 274, 279, 322, 323, 324, 325, 339}


def _tags(data):
    """The numbers of a TIFF file's first directory, tag -> list; EXIF is one, too."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    far, entry, many = ("Q", "HHQ", "Q") if big else ("I", "HHI", "H")
    at, = struct.unpack_from(order + far, data, 8 if big else 4)
    count, = struct.unpack_from(order + many, data, at)
    at += struct.calcsize(order + many)
    tags = {}
    for _ in range(min(count, 1000)):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        value = at + struct.calcsize(order + entry)
        if form and tag in _TAGS and 0 < number <= len(data):
            if number * struct.calcsize(form) > struct.calcsize(far):
                value, = struct.unpack_from(order + far, data, value)
            tags[tag] = list(struct.unpack_from(f"{order}{number}{form}", data, value))
        at += struct.calcsize(order + entry + far)
    return tags


def _heif(data):
    """AVIF: the main picture's size, and how it is turned and mirrored."""
    _, brands = next(_boxes(data))
    if not {b"avif", b"avis"} & {brands[k:k + 4] for k in range(0, len(brands), 4)}:
        return Header("HEIC", 1, 1, _HEIC)
    meta = dict(_boxes(_box(data, b"meta")[4:]))
    main = _number(meta[b"pitm"], 4, 4 if meta[b"pitm"][0] else 2)
    properties = list(_boxes(_box(meta[b"iprp"], b"ipco")))
    width = height = quarters = 0
    axis = None
    for number in _associated(_box(meta[b"iprp"], b"ipma"), main):
        name, body = properties[number - 1]
        if name == b"ispe":
            width, height = struct.unpack_from(">II", body, 4)
        elif name == b"irot":  # mirrored first, it turns the other way
            quarters = (body[0] if axis is None else -body[0]) % 4
        elif name == b"imir":
            axis = body[0] & 1
    return Header("AVIF", width, height, turn=(quarters, axis))


def _associated(ipma, item):
    """The numbers of an item's properties, counted from 1, in their order."""
    wide, long = ipma[0] > 0, ipma[3] & 1
    at = 8
    for _ in range(_number(ipma, 4, 4)):
        here = _number(ipma, at, 4 if wide else 2)
        at += 4 if wide else 2
        count, at = ipma[at], at + 1
        size = 2 if long else 1
        numbers = [_number(ipma, at + k * size, size) for k in range(count)]
        if here == item:
            return [number & (0x7fff if long else 0x7f) for number in numbers]
        at += count * size
    raise ValueError("no properties")


def _boxes(data):
    """Name and content of each box: length, name, content."""
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        head = 16 if length == 1 else 8
        if length == 1:
            length = _number(data, at + 8, 8)
        end = at + length if length else len(data)
        if end < at + head:
            raise ValueError("a box shorter than its head")
        yield name, data[at + head:end]
        at = end


def _box(data, name):
    return next(body for found, body in _boxes(data) if found == name)


def _number(data, at, size):
    if at + size > len(data):
        raise ValueError("cut")
    return int.from_bytes(data[at:at + size], "big")


def _jpeg2000(data):
    """Its decoder keeps 32 bits of each pixel's channels."""
    at = data.index(b"\xff\x4f\xff\x51")
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    channels, = struct.unpack_from(">H", data, at + 40)
    return Header("JPEG 2000", right - left, bottom - top, cost=max(4, channels))


def _pnm(data):
    found = re.match(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)",
                     data[:10_000])
    return Header("PNM", int(found[1]), int(found[2]))


def _pam(data):
    head = data[:10_000].partition(b"ENDHDR")[0]
    width, height = (int(re.search(word + rb"\s+(\d+)", head)[1])
                     for word in (b"WIDTH", b"HEIGHT"))
    return Header("PAM", width, height)


def _sun(data):
    return Header("Sun raster", *struct.unpack_from(">II", data, 4))


def _radiance(data):
    """Radiance HDR, whose 1 is white; OpenCV makes 255 of it."""
    found = re.search(rb"\n[-+]([XY]) (\d+) [-+][XY] (\d+)\n", data[:10_000])
    sides = int(found[2]), int(found[3])
    return Header("HDR", *(sides if found[1] == b"X" else sides[::-1]), cost=4)


def _floating(data):
    return Header("floating", 1, 1, _NO_WHITE)


_READERS = [
    (b"\xff\xd8", _jpeg), (b"\x89PNG\r\n\x1a\n", _png), (b"BM", _bmp),
    (b"RIFF", _webp), (b"GIF8", _gif), (b"II*\0", _tiff), (b"MM\0*", _tiff),
    (b"II+\0", _tiff), (b"MM\0+", _tiff),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _jpeg2000), (b"\xff\x4f\xff\x51", _jpeg2000),
    (b"P7", _pam), *((b"P%d" % kind, _pnm) for kind in range(1, 7)),
    (b"\x59\xa6\x6a\x95", _sun), (b"#?R", _radiance), (b"PF", _floating),
    (b"Pf", _floating), (b"\x76\x2f\x31\x01", _floating)]
