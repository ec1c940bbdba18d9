"""Videos in, frame by frame: a few frames are in memory, never all.

OpenCV decodes. Pictures here are RGB, as everywhere in minifer.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._types import FilePath
from ..errors import SettingError, VideoError
from ..faces.images import LARGEST, grey_of, load_cv2
from ..faces.quiet import quiet
from ..files import utf8_path
from .containers import family, is_cut
from .tracking import Tracker

__all__ = ["Frame", "Video", "open_capture", "follow"]

#: So many frames are looked at to find out a film's rate.
PROBE = 60


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

    Times are those in the file: many films, such as those of telephones and browsers,
    have no steady rate. Pixels that are not square are stretched until they are.

    Parameters
    ----------
    path : str
    every : int, default 1
        Take frame 0 and every ``every``-th after it.

    Attributes
    ----------
    fps : float
        Taken frames a second that suit a copy: the film's rate if it is steady, else
        that of its quick passages.
    total : int
        Taken frames, as the file says or its length tells; it may be wrong, or 0 if
        nothing tells.

    Raises
    ------
    VideoError
        If there is no such file, or no frame in it that can be decoded, or what it
        says of its rate or its pixels cannot be.
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
            self.aspect = self._aspect(cv2, capture)
            size = [int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH,
                                                        cv2.CAP_PROP_FRAME_HEIGHT)]
            if size[0] * size[1] * max(self.aspect, 1 / self.aspect) > LARGEST:
                raise self._error(f"its frames have {size[0]}x{size[1]} pixels, too "
                                  "many to be decoded")
            if not capture.read()[0]:
                raise self._error("it holds no frame that can be decoded")
            if not 0 < self.file_fps < 10000:  # also NaN
                raise self._error(f"it says {self.file_fps} frames a second")
            clock = _Clock(1 / self.file_fps)
            times = [clock.seconds(cv2, capture)]
            while len(times) < PROBE and capture.grab():
                times.append(clock.seconds(cv2, capture))
        self.family = family(self.path)
        self.file_frames, pace = _rates(times, self.file_fps, frames, self.family)
        self.length = frames / self.file_fps
        self.fps, self.total = pace / every, -(-self.file_frames // every)
        self._gap = 1 / pace
        self._seen = self._last = self._pause = 0

    def __iter__(self):
        """Yield each :class:`Frame`, up to the end or the first damaged one."""
        cv2 = load_cv2()
        with self._opened() as capture:
            clock = _Clock(self._gap)
            self._seen = self._last = self._pause = 0
            while capture.grab():
                seconds = clock.seconds(cv2, capture)
                if self._seen % self.every == 0:
                    ok, picture = capture.retrieve()
                    if not ok:
                        break
                    yield Frame(self._seen, seconds, self._square(cv2, picture))
                self._pause = max(self._pause, seconds - self._last)
                self._last = seconds
                self._seen += 1

    @property
    def missing(self) -> tuple[int, int] | None:
        """Frames that were read, and frames that there should be, if they are fewer.

        Known when the film was iterated over to its end. An MP4 file counts its
        frames; an AVI file says how long it is; of these and of Matroska and WebM,
        missing bytes are noticed. The second number is 0 if the file was cut and does
        not say how many there should be.
        """
        short = is_cut(self.path)
        if self.family == "mp4":
            short |= self._seen < self.file_frames
        elif self.family != "matroska":  # which counts from its recorder's start
            patience = 1.5 * max(self._pause, self._gap)
            if self.family != "avi":  # whose sound may be the longer
                patience += min(1, self.length / 10)
            short |= self.length - self._last > patience
        complete = 0 < self.file_frames <= self._seen
        return (self._seen, self.file_frames) if short and not complete else None

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

    def _aspect(self, cv2, capture):
        """Width of a pixel by its height, of the upright picture."""
        wide, high = (capture.get(side) for side in (cv2.CAP_PROP_SAR_NUM,
                                                     cv2.CAP_PROP_SAR_DEN))
        if not (wide > 0 and high > 0):
            return 1.0  # it does not say
        if not 1 / 8 <= wide / high <= 8:
            raise self._error(f"it says its pixels are {wide:g}:{high:g}")
        turned = (capture.get(cv2.CAP_PROP_ORIENTATION_AUTO)
                  and capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180)
        return high / wide if turned else wide / high

    def _square(self, cv2, picture):
        """The picture in RGB, with pixels as wide as they are high."""
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        if self.aspect == 1:
            return picture
        height, width = picture.shape[:2]
        return cv2.resize(picture, (round(width * max(1, self.aspect)),
                                    round(height * max(1, 1 / self.aspect))))

    def _error(self, what):
        return VideoError(f"{self.path}: expected a video that can be read (.mp4, "
                          f".mov, .avi, .mkv, .webm, ...), but {what}.")


class _Clock:
    """Seconds since the first frame, from the position that a capture tells.

    Some files have frames without a time, or times that fall: then the usual gap
    passes. ``gap`` is that, in seconds.
    """

    def __init__(self, gap):
        self.gap, self.first, self.last = gap, None, None

    def seconds(self, cv2, capture):
        position = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self.first is None:
            self.first, self.last = position, 0.0
        else:
            now = round(position - self.first, 6)
            self.last = (now if self.last < now < math.inf
                         else round(self.last + self.gap, 6))
        return self.last


def _rates(times, fps, frames, family):
    """How many frames there should be, and the pace that suits a copy.

    A file without a steady rate often says 1,000 frames a second, or a mean that is
    much slower than its quick passages.
    """
    gaps = np.diff(times)
    if not len(gaps):
        return frames, min(fps, 1000)
    quick = float(np.quantile(gaps, 0.2))
    pace = fps if abs(fps * quick - 1) < 0.15 else min(max(1 / quick, 1), 60)
    steady = abs(fps * float(np.median(gaps)) - 1) < 0.1
    if not steady and family != "mp4":  # the number was made from length and rate
        frames = round(frames / fps / gaps.mean())
    return frames, pace


def open_capture(source: str | int) -> Any:
    """OpenCV's capture of a file name or a camera's number; no words on the screen.

    Parameters
    ----------
    source : str or int

    Returns
    -------
    cv2.VideoCapture
    """
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
    return grey_of(frame.picture)
