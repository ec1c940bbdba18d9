"""Pictures and films, which OpenCV and FFmpeg decode."""

import math
import struct

import numpy as np

from fuzz.readers.base import Reader, Wrong, numbers, shapes
from helpers import clips
from helpers.photos import draw_photo
from minifer.faces.cropping import CropSettings, extract
from minifer.faces.images import load_cv2, read_colour, read_image
from minifer.predict.video import Video

__all__ = ["PICTURES"]

EXIF = (b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")


def make_picture(ending, *options, change=None):
    """A photo of a drawn face, written by OpenCV."""
    def make(folder):
        cv2 = load_cv2()
        grey = draw_photo((50, 30, 60), height=120, width=160)
        picture = grey if ending == "pgm" else np.stack(
            [grey, np.roll(grey, 9), grey // 2 + 60], axis=2)
        content = cv2.imencode("." + ending, picture, options)[1].tobytes()
        path = folder / f"photo.{ending}"
        path.write_bytes(change(content) if change else content)
        return path
    return make


def with_exif(jpeg):
    """The photo lies on its side, a segment says."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(EXIF) + 2) + EXIF + jpeg[2:]


def make_deep_png(folder):
    path, cv2 = folder / "photo.png", load_cv2()
    grey = draw_photo((50, 30, 60), height=120, width=160).astype(np.uint16) * 257
    path.write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    return path


def read_picture(path):
    grey, colour = read_image(path), read_colour(path)
    if (*grey.shape, 3) != colour.shape or {grey.dtype, colour.dtype} != {
            np.dtype(np.uint8)}:
        raise Wrong(f"{shapes({'grey': grey, 'colour': colour})}")
    crops, boxes = extract(grey, CropSettings(size=24))
    return [grey.shape, crops.shape], numbers([grey, colour, crops, boxes])


def make_film(ending, code):
    def make(folder):
        pictures = [picture[::4, ::4] for picture in clips.walk(12)]
        return clips.write_clip(folder / f"film.{ending}", pictures, code)
    return make


def read_film(path):
    film, structure, content = Video(path), [], []
    for number, seconds, picture in film:
        if not (math.isfinite(seconds) and picture.dtype == np.uint8):
            raise Wrong(f"frame {number} at {seconds} s, {picture.dtype}")
        structure.append((number, round(seconds, 6), picture.shape))
        content.append(picture.sum(dtype=np.int64))
    return [film.fps, film.total, structure], numbers(content)


def pictures():
    """A reader for each kind of picture that this OpenCV writes."""
    cv2 = load_cv2()
    for name, kind, ending, *options in (
            ("JPEG", "", "jpg"), ("progressive JPEG", "", "jpg",
                                  cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
            ("PNG", "png", "png"), ("BMP", "", "bmp"), ("TIFF", "", "tiff"),
            ("WebP", "", "webp"), ("GIF", "", "gif"), ("AVIF", "", "avif"),
            ("JPEG 2000", "", "jp2"), ("PGM", "text", "pgm"), ("HDR", "", "hdr"),
            ("Sun raster", "", "sr")):
        if cv2.haveImageWriter("x." + ending):
            yield Reader(name, kind, make_picture(ending, *options), read_picture,
                         "OpenCV")
    yield Reader("JPEG with EXIF", "", make_picture("jpg", change=with_exif),
                 read_picture, "OpenCV")
    yield Reader("16-bit PNG", "png", make_deep_png, read_picture, "OpenCV")


def films():
    """A reader for each kind of film that OpenCV's wheels write."""
    for ending, code in (("mp4", "mp4v"), ("mov", "mp4v"), ("mkv", "MJPG"),
                         ("avi", "MJPG"), ("avi", "XVID"), ("webm", "VP80"),
                         ("webm", "VP90")):
        yield Reader(f"film, {ending} of {code}", "", make_film(ending, code),
                     read_film, "FFmpeg")


PICTURES = [*pictures(), *films()]
