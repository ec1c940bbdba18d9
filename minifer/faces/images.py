"""Image files in and out: checked before they are decoded, written whole.

OpenCV decodes; this file adds what it leaves out. OpenCV says ``None`` for
every kind of trouble and may hand back a half-grey picture for a JPEG that was
cut in the middle. Here each kind of bad file gets its own one-line
:class:`~minifer.errors.ImageError` that names the file and the remedy.

>>> import numpy as np
>>> data = encode_png(np.full((30, 40), 7, np.uint8))
>>> decode(data, "grey.png").shape
(30, 40)
>>> decode(data[:50], "cut.png")
Traceback (most recent call last):
    ...
minifer.errors.ImageError: cut.png: the image is truncated (only 50 bytes are \
there). Copy or download it again, or remove it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading

import numpy as np

from .._types import FilePath
from ..errors import BackendUnavailable, ImageError, ShapeError
from ..files import write_bytes

__all__ = ["read_image", "read_colour", "read_bytes", "decode", "content_hash",
           "encode_png", "write_png", "to_grey", "raise_unreadable", "load_cv2",
           "quiet"]

#: Shorter sides than this cannot show a face (the cascade looks at 24 pixels).
SMALLEST_SIDE = 24

REMEDY_CV2 = 'pip install "opencv-python-headless<5"'

_importing = threading.Lock()


def load_cv2():
    """Return the OpenCV module, imported only now (it is slow to import).

    Raises
    ------
    BackendUnavailable
        If OpenCV is not installed.
    """
    # While one thread imports OpenCV, whose loader takes its place in sys.modules and
    # only then adds cv2.data, another would get it half done.
    try:
        with _importing:
            import cv2
    except ImportError as error:
        raise BackendUnavailable(
            f"Images need OpenCV, which cannot be imported ({error}). "
            f"Install it: {REMEDY_CV2}") from error
    return cv2


def read_image(path: FilePath) -> np.ndarray:
    """Read an image file as grey values.

    Parameters
    ----------
    path : str or path-like
        A JPEG, PNG, BMP or WebP file, grey or colour; the content decides,
        not the ending of the name.

    Returns
    -------
    ndarray (H, W), uint8
        0 is black, 255 white, turned as the EXIF orientation says.

    Raises
    ------
    ImageError
        If the file is missing, a folder, empty, truncated, not an image, or
        has a side of less than 24 pixels.
    """
    return decode(read_bytes(path), path)


def read_colour(path: FilePath) -> np.ndarray:
    """Read an image file in colour, to draw on.

    Returns
    -------
    ndarray (H, W, 3), uint8
        Channels in the order red, green, blue (OpenCV's own order is the
        reverse). A grey file gives three equal channels.

    Raises
    ------
    ImageError
        As :func:`read_image`.
    """
    return decode(read_bytes(path), path, colour=True)


def read_bytes(path):
    """Return the content of an image file, or say why there is none.

    Raises
    ------
    ImageError
        If the file is missing, a folder, not readable, or empty.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise ImageError(f"{path}: expected an image file, got a folder. "
                         "Name the file inside it.")
    if not os.path.exists(path):
        raise ImageError(f"{path}: no such file. Check the path.")
    if not os.path.isfile(path):  # a pipe or a device would block for ever
        raise ImageError(f"{path}: expected an image file, got a pipe or a "
                         "device. Save the image to a file first.")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ImageError(f"{path}: could not be read ({error.strerror}). "
                         "Check its permissions and the disk.") from error
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes). Copy or "
                         "download it again, or remove it.")
    return data


def decode(data: bytes, name: FilePath, colour: bool = False) -> np.ndarray:
    """Decode the bytes of an image file.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str or path-like
        What messages call it.
    colour : bool
        Return (H, W, 3) red-green-blue instead of (H, W) grey.

    Returns
    -------
    ndarray (H, W) or (H, W, 3), uint8

    Raises
    ------
    ImageError
        If ``data`` is truncated, not an image, or too small.
    """
    cv2 = load_cv2()
    if not _is_whole(data):
        raise ImageError(
            f"{name}: the image is truncated (only {len(data)} bytes are "
            "there). Copy or download it again, or remove it.")
    flag = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    with quiet(cv2):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        except cv2.error:  # such as more pixels than OpenCV agrees to hold
            image = None
    if image is None:
        raise ImageError(
            f"{name}: expected a JPEG, PNG, BMP or WebP image, got {len(data)} "
            f"bytes that cannot be decoded (they start with {data[:4]!r}). "
            "Save it again from an image program, or remove it.")
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise ImageError(
            f"{name}: {width}x{height} pixels: too small to hold a face. Use "
            f"an image of at least {SMALLEST_SIDE} pixels a side.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if colour else image


def content_hash(data):
    """Return the SHA-256 of ``data`` (bytes) as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def encode_png(image):
    """Return ``image`` as the bytes of a PNG file.

    Parameters
    ----------
    image : ndarray (H, W) or (H, W, 3), uint8
        Grey, or red-green-blue.

    Raises
    ------
    ShapeError
        If ``image`` has another shape or type, or no pixels.
    """
    image = np.asarray(image)
    grey = image.ndim == 2
    if (image.dtype != np.uint8 or image.size == 0
            or not (grey or image.ndim == 3 and image.shape[2] == 3)):
        raise ShapeError(
            "encode_png: expected uint8 pixels of shape (H, W) or (H, W, 3), got "
            f"{image.dtype} of shape {image.shape}. Round and clip to 0…255 first.")
    cv2 = load_cv2()
    if not grey:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", image)[1].tobytes()


def write_png(path: FilePath, image: np.ndarray) -> None:
    """Write ``image`` (as for :func:`encode_png`) to ``path``, whole or not at all.

    Raises
    ------
    ShapeError
        If ``image`` is no uint8 picture.
    OutputError
        If the file cannot be written.
    """
    write_bytes(path, encode_png(image))


def to_grey(batch: np.ndarray) -> np.ndarray:
    """Turn a batch of colour images grey.

    .. math:: Y = 0.299\\,R + 0.587\\,G + 0.114\\,B

    the luma of ITU-R BT.601, as OpenCV and the JPEG format use it.

    Parameters
    ----------
    batch : ndarray (N, K, H, W), any real dtype
        K = 3: red, green, blue; K = 1: returned as it is.

    Returns
    -------
    ndarray (N, 1, H, W), same dtype
        Rounded to the nearest for integer types.

    Raises
    ------
    ShapeError
        If ``batch`` is not (N, 1, H, W) or (N, 3, H, W).

    Examples
    --------
    >>> to_grey(np.array([255, 0, 0], np.uint8).reshape(1, 3, 1, 1)).item()
    76
    """
    batch = np.asarray(batch)
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise ShapeError(
            "to_grey: expected images (N, K, H, W) with K = 1 (grey) or 3 (red, "
            f"green, blue), got shape {batch.shape}.")
    if batch.shape[1] == 1:
        return batch
    red, green, blue = (batch[:, k:k + 1] for k in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    if np.issubdtype(batch.dtype, np.integer):
        grey = np.rint(grey)
    return grey.astype(batch.dtype)


def raise_unreadable(errors, total):
    """Raise one ImageError for all of ``errors``, if there are any.

    Parameters
    ----------
    errors : list of ImageError
        As ``faces.prepare`` returns them.
    total : int
        How many files were asked for.

    Raises
    ------
    ImageError
        Naming the first three.
    """
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    first = "; ".join(str(error) for error in errors[:3])
    raise ImageError(
        f"{len(errors)} of {total} images cannot be used: {first}"
        f"{' …' if len(errors) > 3 else ''} Replace or remove them and start "
        "again: the good ones are kept and not searched twice.")


def _is_whole(data):
    """Whether an image file has its end; junk behind the end is tolerated."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_is_whole(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_is_whole(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True  # OpenCV refuses a cut BMP, and anything that is no image


def _jpeg_is_whole(data):
    """Step over the header segments, then look for the end marker FF D9.

    Searching the whole file would find the end of the thumbnail that cameras
    put into the header. In the pixel data FF is always followed by 00 or by a
    restart number, so FF D9 there is the end and nothing else.
    """
    at = 2
    while data[at:at + 1] == b"\xff" and data[at + 1:at + 2] != b"\xda":
        if data[at + 1:at + 2] == b"\xff":
            at += 1  # a fill byte
        else:
            at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return data.find(b"\xff\xd9", at) >= 0


def _png_is_whole(data):
    """Step from chunk to chunk (length, kind, content, checksum) to IEND."""
    at = 8
    while at + 12 <= len(data):
        kind = data[at + 4:at + 8]
        at += 12 + int.from_bytes(data[at:at + 4], "big")
        if kind == b"IEND":
            return at <= len(data)
    return False


SILENT = 0  # OpenCV's number for it
_quiet_lock = threading.Lock()
_quiet_now = {"users": 0, "level": None}


@contextlib.contextmanager
def quiet(cv2):
    """Keep OpenCV's warnings off the screen in a block: our error says it better.

    The level is global, so the first thread in sets it and the last thread
    out puts the old one back.
    """
    logging = getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.12 in cv2 itself
    with _quiet_lock:
        if _quiet_now["users"] == 0:
            _quiet_now["level"] = logging.setLogLevel(SILENT)
        _quiet_now["users"] += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_now["users"] -= 1
            if _quiet_now["users"] == 0:
                logging.setLogLevel(_quiet_now["level"])
