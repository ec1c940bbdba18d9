"""Videos in and out, frame by frame: a few frames are in memory, never all.

OpenCV decodes and encodes. Pictures here are RGB, as everywhere in minifer.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._types import FilePath
from ..errors import OutputError, SettingError, VideoError
from ..faces.images import load_cv2, quiet
from ..files import atomic_path, make_folder, utf8_path
from .tracking import Tracker

__all__ = ["VIDEO_ENDINGS", "Frame", "Video", "open_capture", "write_video", "follow"]

#: Files that are taken for videos.
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


class Frame(NamedTuple):
    """One picture of a video.

    Attributes
    ----------
    number : int
        Counted from 0, with the frames that are skipped.
    seconds : float
        Since the first frame.
    picture : ndarray (H, W, 3), uint8
        Red, green, blue.
    """

    number: int
    seconds: float
    picture: np.ndarray


class Video:
    """A video file, to iterate over its frames.

    Parameters
    ----------
    path : str
    every : int, default 1
        Take frame 0 and every ``every``-th after it.

    Attributes
    ----------
    fps : float
        Taken frames a second.
    total : int
        Taken frames, as the file says; it may be wrong, or 0 if it does not say.

    Raises
    ------
    VideoError
        If there is no such file, or no frame in it that can be decoded.
    SettingError
        If ``every`` is not a whole number from 1.
    """

    def __init__(self, path: FilePath, every: int = 1):
        if type(every) is not int or every < 1:
            raise SettingError(f"video: expected every = 1, 2, 3, …, got {every!r}.")
        self.path, self.every = os.fspath(path), every
        cv2 = load_cv2()
        with self._opened() as capture:
            self.file_fps = capture.get(cv2.CAP_PROP_FPS)
            frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if not capture.read()[0]:
                raise self._error("it holds no frame that can be decoded")
        if not 0 < self.file_fps < 10000:  # also NaN
            raise self._error(f"it says {self.file_fps} frames a second")
        self.fps, self.total = self.file_fps / every, -(-frames // every)

    def __iter__(self):
        """Yield each :class:`Frame`, up to the end or the first damaged one."""
        cv2 = load_cv2()
        with self._opened() as capture:
            number = 0
            while capture.grab():
                if number % self.every == 0:
                    ok, picture = capture.retrieve()
                    if not ok:
                        break
                    yield Frame(number, number / self.file_fps,
                                cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
                number += 1

    @contextlib.contextmanager
    def _opened(self):
        if not os.path.isfile(self.path):
            raise self._error("there is a folder" if os.path.isdir(self.path)
                              else "there is no such file")
        capture = open_capture(self.path)
        try:
            if not capture.isOpened():
                raise self._error("it cannot be decoded")
            yield capture
        finally:
            capture.release()

    def _error(self, what):
        return VideoError(f"{self.path}: expected a video that can be read "
                          f"({' '.join(VIDEO_ENDINGS)}), but {what}.")


def open_capture(source: str | int) -> Any:
    """OpenCV's capture of a file name or a camera's number; no words on the screen.

    Parameters
    ----------
    source : str or int

    Returns
    -------
    cv2.VideoCapture
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read at the first video
    cv2 = load_cv2()
    if not isinstance(source, str):
        if sys.platform.startswith("linux") and not os.path.exists(
                f"/dev/video{source}"):
            return cv2.VideoCapture()  # of nothing; some drivers end the process
        with quiet(cv2):
            return cv2.VideoCapture(source, cv2.CAP_ANY)
    # Other decoders that OpenCV would try next complain on the terminal.
    with quiet(cv2), utf8_path(source) as name:
        return cv2.VideoCapture(name, cv2.CAP_FFMPEG)


@contextlib.contextmanager
def write_video(path: FilePath, fps: float) -> Iterator[Callable[[np.ndarray], Any]]:
    """Write an ``.mp4`` file (MPEG-4 part 2), whole or not at all.

    Parameters
    ----------
    path : str
        Replaced when the block ends well. Its folder is created if it is missing.
    fps : float
        Frames a second.

    Yields
    ------
    function
        ``write(picture)`` adds a frame, uint8 (H, W, 3), RGB, all of one size. The
        format wants even sides: of an odd one the last row or column is left out.

    Raises
    ------
    SettingError
        If the name does not end in ``.mp4``.
    OutputError
        If it cannot be written.
    VideoError
        If no frame was written.
    """
    path = os.fspath(path)
    if not path.lower().endswith(".mp4"):
        raise SettingError(f"{path}: expected a name that ends in .mp4.")
    make_folder(os.path.dirname(path) or ".")
    with atomic_path(path) as temporary:
        writer = _Writer(temporary, fps)
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

    def __init__(self, path, fps):
        self.path, self.fps, self.out, self.frames = path, fps, None, 0

    def write(self, picture):
        cv2 = load_cv2()
        if self.out is None:
            H, W = picture.shape[:2]
            with quiet(cv2), utf8_path(self.path) as name:
                self.out = cv2.VideoWriter(
                    name, cv2.VideoWriter_fourcc(*"mp4v"), self.fps, (W, H))
        self.out.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def is_whole(self):
        """Whether the last frame is there, and the index behind it that finds it."""
        cv2 = load_cv2()
        capture = open_capture(self.path)
        capture.set(cv2.CAP_PROP_POS_FRAMES, self.frames - 1)
        whole = (capture.get(cv2.CAP_PROP_FRAME_COUNT) == self.frames
                 and capture.read()[0])
        capture.release()
        return whole


def follow(predictor: Any, frames: Iterable[Frame], smooth: float = 0.5,
           which: str = "all", batch_size: int = 4,
           threads: int | None = None) -> Iterator[tuple[Frame, Any]]:
    """Judge the faces on frames, and follow each from frame to frame.

    Parameters
    ----------
    predictor : minifer.predict.Predictor
    frames : iterable of Frame
        A :class:`Video`, a camera, anything.
    smooth : float, default 0.5
        Seconds over which saturations are smoothed; see
        :class:`~minifer.predict.tracking.Tracker`.
    which, batch_size, threads
        As for :meth:`~minifer.predict.Predictor.faces`. For a camera, a batch of 1
        and no threads: nothing is read ahead, and nothing is late.

    Yields
    ------
    frame : Frame
    faces : list of minifer.predict.tracking.Track
        Sorted by number: a face keeps its place and, drawn, its colour.
    """
    tracker = Tracker(smooth)
    for frame, faces in predictor.faces(frames, _grey, which, batch_size, threads):
        tracks = tracker.update(faces, frame.seconds)
        yield frame, sorted(tracks, key=lambda track: track.number)


def _grey(frame):
    cv2 = load_cv2()
    return cv2.cvtColor(frame.picture, cv2.COLOR_RGB2GRAY)
