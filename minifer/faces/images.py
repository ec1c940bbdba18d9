"""Image files in and out: checked before they are decoded, written whole.

OpenCV decodes; this file adds what it leaves out. OpenCV says ``None`` for
every kind of trouble, may hand back a half-grey picture for a JPEG that was
cut or damaged in the middle, and takes gigabytes for a small file that asks for
them. Here each kind of bad file gets its own one-line
:class:`~minifer.errors.ImageError` that names the file and the remedy.

There is one way from colours to grey, :func:`grey_of`, for files, frames and arrays.

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

import hashlib
import os
import threading

import numpy as np

from .._types import FilePath
from ..errors import BackendUnavailable, ImageError, ShapeError
from ..files import write_bytes
from .headers import read_header, turned
from .quiet import heard

__all__ = ["read_image", "read_colour", "read_bytes", "decode", "content_hash",
           "encode_png", "write_png", "grey_of", "to_grey", "raise_unreadable",
           "load_cv2"]

#: Shorter sides than this cannot show a face (the cascade looks at 24 pixels).
SMALLEST_SIDE = 24

#: More pixels are not decoded: those of a camera of 108 megapixels, and some.
LARGEST = 120_000_000

#: Larger files are not read: such a picture in 16 bits a colour takes less.
LARGEST_FILE = 8 * LARGEST

#: Formats that hold numbers of 16 bits of which fewer may be in use.
_DEEP = ("PNG", "TIFF", "JPEG 2000", "PNM", "PAM")

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
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read at the first video
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
        A file of a format that OpenCV reads (JPEG, PNG, BMP, WebP, TIFF, GIF, AVIF,
        ...), grey or colour; the content decides, not the ending of the name.

    Returns
    -------
    ndarray (H, W), uint8
        0 is black, 255 white, turned as the EXIF orientation says. Colours are
        weighed as :func:`grey_of` does. Of 16 bits so many count as are used: the
        largest value decides whether white is at 8, 10, 12, 14 or 16 bits.

    Raises
    ------
    ImageError
        If the file is missing, a folder, empty, truncated, damaged as far as its
        format tells, not an image, has a side of less than 24 pixels, or more than
        120 million pixels.

    Notes
    -----
    A JPEG has no checksum. Damage is noticed where its codes no longer fit, as nearly
    always when bytes are missing or overwritten; one changed bit may go unnoticed.
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
        If the file is missing, a folder, not readable, empty, or nearly a gigabyte.
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
        size = os.path.getsize(path)
        if size > LARGEST_FILE:
            raise ImageError(f"{path}: {size // 10**6:,d} MB: too large for an image "
                             "that can be decoded. Scale it down.")
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
        As :func:`read_image`.
    """
    cv2 = load_cv2()
    header = read_header(data)
    if header and header.trouble:
        raise ImageError(f"{name}: {header.trouble}")
    if header and header.width * header.height * header.cost > LARGEST:
        raise ImageError(
            f"{name}: {header.width}x{header.height} pixels: too many to be decoded "
            f"({header.kind}). Scale it to at most {LARGEST // header.cost // 10**6} "
            "million pixels.")
    picture, words = _pixels(cv2, data, header) if header else (None, "")
    damage = next((line for line in words.splitlines()
                   if line.startswith(("Corrupt JPEG", "libpng error"))), None)
    if damage:
        raise ImageError(f"{name}: the image is damaged ({damage.strip()}). Copy or "
                         "download it again, or, if it looks right in an image "
                         "program, save it again from there.")
    if picture is None:
        remedy = "Save"
        if header and header.kind in ("GIF", "AVIF"):
            remedy = (f"OpenCV reads {header.kind} from 4.12 on, this is "
                      f"{cv2.__version__}. Update it, or save")
        raise ImageError(
            f"{name}: expected a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF image, got "
            f"{len(data)} bytes that cannot be decoded (they start with "
            f"{data[:4]!r}). {remedy} it as JPEG or PNG from an image program, or "
            "remove it.")
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise ImageError(
            f"{name}: {width}x{height} pixels: too small to hold a face. Use "
            f"an image of at least {SMALLEST_SIDE} pixels a side.")
    if not colour:
        return grey_of(picture)
    return picture if picture.ndim == 3 else np.stack([picture] * 3, axis=2)


def _pixels(cv2, data, header):
    """The upright picture, uint8 (H, W) or RGB (H, W, 3), and the decoder's words."""
    flags = cv2.IMREAD_ANYCOLOR
    if header.kind in _DEEP:
        flags |= cv2.IMREAD_ANYDEPTH
    if header.turn is not None:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION

    def work():
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:  # a damaged file, most likely
            return None

    picture, words = heard(cv2, work)
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        return None, words
    if picture.dtype == np.uint16:
        used = int(picture.max()).bit_length()
        picture = (picture >> max(0, used + used % 2 - 8)).astype(np.uint8)
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return turned(picture, header.turn), words


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


def grey_of(picture: np.ndarray) -> np.ndarray:
    """The grey values of a picture, from a file, a film or a camera.

    .. math:: Y = 0.299\\,R + 0.587\\,G + 0.114\\,B

    the luma of ITU-R BT.601, as OpenCV rounds it: with whole numbers, to the nearest
    but for differences of a hundredth.

    Parameters
    ----------
    picture : ndarray (H, W) or (H, W, 3), uint8
        Grey, which is returned as it is, or red, green, blue.

    Returns
    -------
    ndarray (H, W), uint8
    """
    if picture.ndim == 2:
        return picture
    cv2 = load_cv2()
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def to_grey(batch: np.ndarray) -> np.ndarray:
    """Turn a batch of colour images grey, as :func:`grey_of` does with one picture.

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
    if batch.dtype == np.uint8 and batch.size:
        return np.stack([grey_of(np.ascontiguousarray(image.transpose(1, 2, 0)))
                         for image in batch])[:, None]
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
