"""A camera, a window, and the loop between them.

The loop takes frames from anywhere and shows them anywhere, so that it can be
tried without a camera and without a window.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import BackendUnavailable, SettingError, VideoError
from ..faces.images import load_cv2
from ..report.annotate import annotate_faces
from .video import Frame, follow, open_capture

__all__ = ["Camera", "check_camera", "live", "open_window"]

#: Frames a second of a recording, where the camera does not say.
USUAL_RATE = 25.0


class Camera:
    """A camera, to iterate over what it sees now.

    Parameters
    ----------
    number : int, default 0
        Number of the camera in the system, 0 to 99.

    Attributes
    ----------
    fps : float
        Frames a second, as the camera says; else 25.

    Raises
    ------
    SettingError
        If that is no such number.
    VideoError
        If there is no such camera, or another program has it.
    """

    def __init__(self, number: int = 0):
        check_camera(number)
        cv2 = load_cv2()
        self.number, self._capture = number, open_capture(number)
        if not self._capture.isOpened():
            raise VideoError(f"camera {number}: expected a camera, found none that "
                             "can be opened. Connect one, close programs that use it, "
                             "or name another with --camera.")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # now, not a moment ago
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 240 else USUAL_RATE

    def __iter__(self):
        """Yield each :class:`~.video.Frame` until the camera gives none."""
        cv2 = load_cv2()
        started = time.monotonic()
        try:
            for number in itertools.count():
                ok, picture = self._capture.read()
                if not ok:
                    return
                yield Frame(number, time.monotonic() - started,
                            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        finally:
            self._capture.release()


def check_camera(number):
    """Refuse what OpenCV would not take for a camera's number.

    It reads 200 as "camera 0 of another driver", and some drivers end the process.

    Raises
    ------
    SettingError
        If that is no whole number from 0 to 99.
    """
    if type(number) is not int or not 0 <= number <= 99:
        raise SettingError(f"camera: expected a number from 0 to 99, got {number!r}.")


def live(predictor: Any, frames: Iterable[Frame],
         show: Callable[..., Any] | None = None,
         record: Callable[..., Any] | None = None, smooth: float = 0.5,
         which: str = "all") -> int:
    """Judge frame after frame; show and record each with boxes and bars.

    Parameters
    ----------
    predictor : minifer.predict.Predictor
    frames : iterable of minifer.predict.video.Frame
    show : function, optional
        ``show(picture)``, uint8 (H, W, 3) RGB, says whether to go on.
    record : function, optional
        ``record(picture, seconds)``
    smooth, which
        As for :func:`minifer.predict.video.follow`.

    Returns
    -------
    int
        How many frames there were.
    """
    count = 0
    for frame, faces in follow(predictor, frames, smooth, which, batch_size=1,
                               threads=0):
        count += 1
        picture = annotate_faces(frame.picture, faces, bars=True)
        if record:
            record(picture, frame.seconds)
        if show and not show(picture):
            break
    return count


# --- windows -------------------------------------------------------------------

@contextlib.contextmanager
def open_window(title: str) -> Iterator[Callable[..., Any]]:
    """A window for pictures: OpenCV's own, or else one of tkinter.

    Yields
    ------
    function
        ``show(picture)``, uint8 (H, W, 3) RGB; False once the window was closed, or
        Esc or q pressed.

    Raises
    ------
    BackendUnavailable
        If neither is there, or there is no screen.
    """
    if sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        # OpenCV's Qt would end the program here.
        raise BackendUnavailable("A window needs a screen, and none is there (DISPLAY "
                                 "is not set). Run it on a desktop, or ssh -X.")
    window = _cv2_window(title) or _tk_window(title)
    try:
        yield window.show
    finally:
        window.close()


def _cv2_window(title):
    """OpenCV's window; None where it was built without, as the headless one is."""
    cv2 = load_cv2()
    try:
        cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE)
    except cv2.error:
        return None
    return _Cv2Window(title)


class _Cv2Window:
    def __init__(self, title):
        self.title, self.cv2 = title, load_cv2()

    def show(self, picture):
        cv2 = self.cv2
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) not in (27, ord("q")) and (
            cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1)

    def close(self):
        self.cv2.destroyAllWindows()


def _tk_window(title):
    try:
        import tkinter
    except ImportError as error:
        raise BackendUnavailable(
            "A window needs tkinter (apt install python3-tk) or an OpenCV with windows "
            "(pip install 'opencv-python<5' in place of opencv-python-headless): both "
            f"are missing ({error}).") from error
    try:
        return _TkWindow(tkinter, title)
    except tkinter.TclError as error:
        raise BackendUnavailable(f"A window could not be opened: {error}.") from error


class _TkWindow:
    def __init__(self, tkinter, title):
        self.tkinter, self.open = tkinter, True
        self.root = tkinter.Tk()
        self.root.title(title)
        self.image = tkinter.PhotoImage(master=self.root)
        tkinter.Label(self.root, image=self.image, borderwidth=0).pack()
        self.root.protocol("WM_DELETE_WINDOW", self.stop)
        for key in ("<Escape>", "q"):
            self.root.bind(key, self.stop)

    def stop(self, event=None):
        self.open = False

    def show(self, picture):
        height, width = picture.shape[:2]
        self.image.configure(data=b"P6 %d %d 255\n" % (width, height)
                             + picture.tobytes())  # a PPM file, which Tk reads
        self.root.update()
        return self.open

    def close(self):
        self.root.destroy()
