"""Which files are pictures and which are films, by the ending of their names.

One list for all that looks into folders. A format that OpenCV cannot read stands here
as well: such a file is named as unreadable, with a way out, and never passed over.
"""

from __future__ import annotations

import os

__all__ = ["IMAGE_ENDINGS", "VIDEO_ENDINGS", "is_image", "is_video"]

#: What the installed OpenCV reads, the last two from 4.12 on.
_READ = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif",
         ".tiff", ".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".ras",
         ".sr", ".hdr", ".gif", ".avif")

#: Photos all the same, as telephones, cameras and painters write them.
_UNREAD = (".heic", ".heif", ".hif", ".jxl", ".tga", ".psd", ".xcf", ".ico", ".pcx",
           ".exr", ".pfm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf",
           ".rw2", ".raf", ".svg")

IMAGE_ENDINGS = _READ + _UNREAD

#: Films. All are given to FFmpeg, which looks at what they hold.
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".3gp", ".3g2",
                 ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".vob", ".wmv",
                 ".asf", ".flv", ".f4v", ".ogv", ".mjpg", ".mjpeg", ".mxf", ".y4m",
                 ".qt", ".divx")


def is_image(name: str | os.PathLike) -> bool:
    """Whether a file is a picture by its name, in small or capital letters.

    >>> is_image("PHOTO.JPG"), is_image("photo.heic"), is_image("film.mp4")
    (True, True, False)
    """
    return os.fspath(name).lower().endswith(IMAGE_ENDINGS)


def is_video(name: str | os.PathLike) -> bool:
    """Whether a file is a film by its name, in small or capital letters."""
    return os.fspath(name).lower().endswith(VIDEO_ENDINGS)
