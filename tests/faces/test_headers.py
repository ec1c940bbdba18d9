"""What image files say of themselves, read before OpenCV unpacks them."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minifer.errors import ImageError
from minifer.faces import images
from minifer.faces.headers import read_header, turned

cv2 = pytest.importorskip("cv2")

#: One of each kind that OpenCV writes.
ENDINGS = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WebP",
           ".tiff": "TIFF", ".jp2": "JPEG 2000", ".ppm": "PNM", ".pam": "PAM",
           ".ras": "Sun raster", ".hdr": "HDR", ".gif": "GIF", ".avif": "AVIF"}
WRITTEN = [ending for ending in ENDINGS if cv2.haveImageWriter(f"a{ending}")]


def picture(height=40, width=60, colours=True):
    rows, columns = np.mgrid[:height, :width]
    grey = (2 * rows + columns).astype(np.uint8)
    return np.dstack([grey, 255 - grey, grey // 2]) if colours else grey


def encode(pixels, ending, *options):
    return cv2.imencode(ending, pixels, list(options))[1].tobytes()


@pytest.mark.parametrize("colours", [True, False], ids=["colour", "grey"])
@pytest.mark.parametrize("ending", WRITTEN)
def test_the_size_is_that_of_the_decoded_picture(ending, colours):
    if not colours:
        ending = {".ppm": ".pgm"}.get(ending, ending)
    header = read_header(encode(
        picture(37, 53, colours or ending in (".gif", ".avif")), ending))
    assert header.kind == ENDINGS.get(ending, "PNM")
    assert (header.width, header.height, header.trouble) == (53, 37, "")


@pytest.mark.parametrize("ending, options", [
    (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)), (".bmp", ()),
    (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    (".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, 5))])
def test_other_ways_of_the_same_formats(ending, options):
    header = read_header(encode(picture(37, 53), ending, *options))
    assert (header.width, header.height, header.trouble) == (53, 37, "")


@pytest.mark.parametrize("data, size", [
    (b"P2 # a comment\n# another\n 7\t9\n255\n", (7, 9)),
    (b"P7\nHEIGHT 9\nWIDTH 7\nDEPTH 3\nENDHDR\n", (7, 9)),
    (b"BM" + bytes(12) + struct.pack("<IHH", 12, 7, 9), (7, 9)),
    (b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -9), (7, 9)),
    (b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 17, 29, 10, 20, *[0] * 4, 3),
     (7, 9))], ids=["pgm", "pam", "os2", "topdown", "j2k"])
def test_headers_written_by_hand(data, size):
    header = read_header(data)
    assert (header.width, header.height) == size


def tiff(order, tags, big=False):
    """A TIFF file without pixels: tag -> (kind, number)."""
    far, count = ("Q", "Q") if big else ("I", "H")
    data = (b"II" if order == "<" else b"MM") + struct.pack(
        *((order + "HHHQ", 43, 8, 0, 16) if big else (order + "HI", 42, 8)))
    data += struct.pack(order + count, len(tags))
    for tag, (kind, number) in tags.items():
        value = struct.pack(order + {3: "H", 4: "I"}[kind], number)
        data += struct.pack(order + "HH" + far, tag, kind, 1) + value.ljust(
            struct.calcsize(far), b"\0")
    return data + bytes(8)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_tiff_of_either_order_and_size(order, big):
    size = {256: (3, 700), 257: (4, 900)}
    header = read_header(tiff(order, size, big))
    assert (header.width, header.height, header.trouble) == (700, 900, "")
    tiled = read_header(tiff(order, {**size, 322: (4, 60_000), 323: (4, 70_000)}, big))
    assert (tiled.width, tiled.height) == (60_000, 70_000)  # unpacked at once
    raw = read_header(tiff(order, {254: (4, 1), **size}, big))
    assert "raw file" in raw.trouble
    cut = read_header(tiff(order, {**size, 273: (4, 8), 279: (4, 10_000)}, big))
    assert "truncated" in cut.trouble


@pytest.mark.parametrize("data", [
    b"", b"hello", b"BM", b"II*\0", b"RIFF\0\0\0\0WAVE", b"P5", b"P7\n", b"GIF89a",
    b"\0\0\0\x18ftypavif" + bytes(30), b"\xff\x4f\xff\x51",
    tiff("<", {256: (3, 0), 257: (3, 9)}), b"II*\0\xff\xff\xff\xff"])
def test_what_is_no_image_has_no_header(data):
    assert read_header(data) is None


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_is_named_with_a_way_out(brand):
    data = struct.pack(">I8sI", 20, b"ftyp" + brand, 0) + b"mif1" + bytes(100)
    with pytest.raises(ImageError, match="a.heic: .* HEIC photo.*JPEG.*pillow-heif"):
        images.decode(data, "a.heic")


@given(st.sampled_from(WRITTEN), st.data())
@settings(max_examples=300, deadline=None)
def test_no_header_however_damaged_ends_in_another_error(ending, data):
    """What is read of damaged bytes is a header or none."""
    content = bytearray(encode(picture(), ending))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(300, len(content) - 1)))] = data.draw(
            st.integers(0, 255))
    header = read_header(bytes(content[:data.draw(st.integers(0, len(content)))]))
    assert header is None or header.width > 0 and header.height > 0


# --- upright ------------------------------------------------------------------

#: EXIF's orientation -> what makes the picture upright.
UPRIGHT = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
           5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, -1),
           7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: np.rot90}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_webp_photo_is_turned_as_exif_says(orientation, order):
    plain = encode(picture(), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    exif = tiff(order, {274: (3, orientation)})
    size = struct.pack("<I", 59)[:3] + struct.pack("<I", 39)[:3]
    body = (b"WEBPVP8X" + struct.pack("<IB3x", 10, 8) + size + plain[12:]
            + b"EXIF" + struct.pack("<I", len(exif)) + exif)
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    found = images.decode(data, "a.webp", colour=True)
    np.testing.assert_array_equal(found, UPRIGHT[orientation](picture()[:, :, ::-1]))


def box(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def avif(*properties, item=1, wide=False):
    """An AVIF file's header: properties of the main picture, and of a thumbnail."""
    form = ">BxxBIIB" if wide else ">BxxBIHB"
    numbers = range(3, 3 + len(properties))
    ipma = struct.pack(form, wide, 0, 2, 7, 1) + b"\x02" + struct.pack(
        form[0] + form[-2:], item, 1 + len(numbers)) + bytes([1, *numbers])
    return box(b"ftyp", b"avif", bytes(4), b"mif1miaf") + box(
        b"meta", bytes(4),
        box(b"pitm", struct.pack(">Bxxx" + form[-2], wide, item)),
        box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">4xII", 60, 40)),
                         box(b"ispe", struct.pack(">4xII", 6, 4)), *properties),
            box(b"ipma", ipma)))


IROT = [box(b"irot", bytes([quarters])) for quarters in range(4)]
IMIR = [box(b"imir", bytes([axis])) for axis in range(2)]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("properties, upright", [
    ([], lambda x: x), ([IROT[1]], np.rot90), ([IROT[3]], lambda x: np.rot90(x, -1)),
    ([IMIR[0]], np.flipud), ([IMIR[1]], np.fliplr),
    ([IROT[1], IMIR[0]], lambda x: np.flipud(np.rot90(x))),
    ([IMIR[0], IROT[1]], lambda x: np.rot90(np.flipud(x)))])
def test_an_avif_says_how_it_is_turned_and_mirrored(properties, upright, wide):
    header = read_header(avif(*properties, wide=wide))
    assert (header.kind, header.width, header.height) == ("AVIF", 60, 40)
    np.testing.assert_array_equal(turned(picture(), header.turn), upright(picture()))


@pytest.mark.skipif(".avif" not in WRITTEN, reason="this OpenCV knows no AVIF")
@pytest.mark.parametrize("quarters", range(4))
def test_a_turned_avif_is_decoded_upright(quarters):
    """OpenCV leaves it on its side."""
    data = encode(picture(), ".avif")
    at, end = data.index(b"colr") - 4, data.index(b"ipma") - 4
    turn, plain = (images.decode(
        data[:at] + box(b"irot", bytes([k])) + box(b"free", bytes(end - at - 17))
        + data[end:].replace(b"\x01\x02\x83\x04", b"\x01\x02\x83\x84"),  # essential
        "a.avif", colour=True) for k in (quarters, 0))
    np.testing.assert_array_equal(turn, np.rot90(plain, quarters))
    assert abs(plain.astype(int) - picture()[:, :, ::-1]).mean() < 5
