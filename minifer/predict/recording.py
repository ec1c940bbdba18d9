"""Videos out, frame by frame: whole files or none, at the pace of what was seen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._types import FilePath
from ..errors import OutputError, SettingError, VideoError
from ..faces.images import load_cv2
from ..faces.quiet import quiet
from ..files import atomic_path, make_folder, utf8_path
from .containers import is_cut
from .video import open_capture

__all__ = ["write_video", "at_rate"]

#: Ending of the name -> the encoder.
CODES = {".webm": "VP80", ".mp4": "mp4v"}

#: A pause is shown for at most so many seconds: clocks of broken files leap by days.
LONGEST_PAUSE = 60.0


@contextlib.contextmanager
def write_video(path: FilePath, fps: float) -> Iterator[Callable[[np.ndarray], Any]]:
    """Write a video, whole or not at all.

    A ``.webm`` file (VP8) is played by browsers and most players. An ``.mp4`` file
    (MPEG-4 part 2) is written several times faster and edited by more programs, but no
    browser plays it: the encoder that they want is not part of OpenCV's package.

    Parameters
    ----------
    path : str
        Ends in ``.webm`` or ``.mp4``. Replaced when the block ends well. Its folder is
        created if it is missing.
    fps : float
        Frames a second.

    Yields
    ------
    function
        ``write(picture)`` adds a frame, uint8 (H, W, 3), RGB, all of one size. The
        formats want even sides: of an odd one the last row or column is left out.

    Raises
    ------
    SettingError
        If the name has another ending.
    OutputError
        If it cannot be written, or OpenCV lacks the encoder.
    VideoError
        If no frame was written.
    """
    path = os.fspath(path)
    code = CODES.get(os.path.splitext(path)[1].lower())
    if code is None:
        raise SettingError(f"{path}: expected a name that ends in .webm, which "
                           "browsers play, or in .mp4.")
    make_folder(os.path.dirname(path) or ".")
    with atomic_path(path) as temporary:
        writer = _Writer(temporary, fps, code)
        try:
            yield writer.write
        finally:
            if writer.out is not None:
                writer.out.release()
        if not writer.frames:
            raise VideoError(f"{path}: expected frames to write, got none.")
        if not writer.is_whole():
            raise OutputError(f"{path}: the video could not be written. What stood "
                              "there before is untouched; free some space or choose "
                              "another folder.")


class _Writer:
    """OpenCV's writer, opened with the first frame; it reports no trouble by itself."""

    def __init__(self, path, fps, code):
        self.path, self.fps, self.code = path, fps, code
        self.out, self.frames = None, 0

    def write(self, picture):
        cv2 = load_cv2()
        if self.out is None:
            H, W = picture.shape[:2]
            with quiet(cv2), utf8_path(self.path) as name:
                self.out = cv2.VideoWriter(
                    name, cv2.VideoWriter_fourcc(*self.code), self.fps, (W, H))
            if not self.out.isOpened():
                raise OutputError(f"{self.path}: OpenCV {cv2.__version__} cannot write "
                                  f"{W}x{H} pixels as {self.code}. Choose a name that "
                                  f"ends in {' or '.join(CODES)}.")
        self.out.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def is_whole(self):
        """Whether the last frame is there, and the index behind it that finds it."""
        cv2 = load_cv2()
        capture = open_capture(self.path)
        capture.set(cv2.CAP_PROP_POS_FRAMES, self.frames - 1)
        whole = (round(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == self.frames
                 and capture.read()[0] and not is_cut(self.path))
        capture.release()
        return whole


def at_rate(write: Callable[..., Any], fps: float) -> Callable[..., Any]:
    """Bring frames that come now and then to the steady rate of a video.

    Parameters
    ----------
    write : function
        ``write(picture)`` adds a frame to a video.
    fps : float

    Returns
    -------
    function
        ``record(picture, seconds)`` puts a picture where it belongs in time, to the
        nearest frame. Before it, the picture that came last goes on being shown, a
        minute at most; one that comes before its predecessor's frame is over is shown
        only then.

    Examples
    --------
    >>> written = []
    >>> record = at_rate(written.append, fps=10)
    >>> for picture, seconds in [("a", 5.0), ("b", 5.1), ("c", 5.12), ("d", 5.4)]:
    ...     record(picture, seconds)
    >>> "".join(written)
    'abccd'
    """
    state: dict[str, Any] = {"start": None, "written": 0}

    def record(picture, seconds):
        if state["start"] is None:
            state["start"] = seconds
        place = int((seconds - state["start"]) * fps + 0.5)
        too_long = place - state["written"] - int(LONGEST_PAUSE * fps)
        if too_long > 0:
            state["start"] += too_long / fps
            place -= too_long
        while state["written"] < place:
            write(state["last"])
            state["written"] += 1
        if state["written"] == place:
            write(picture)
            state["written"] += 1
        state["last"] = picture
    return record
