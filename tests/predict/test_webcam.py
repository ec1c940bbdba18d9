"""The live loop, without a camera and without a screen."""

import sys
import types

import numpy as np
import pytest

from helpers import clips
from minifer.errors import BackendUnavailable, VideoError
from minifer.predict import webcam
from minifer.predict.predictor import Predictor
from minifer.predict.webcam import Camera, live, open_window


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(clips.save_judge(tmp_path_factory.mktemp("m") / "model.npz"))


def test_each_frame_is_shown_and_recorded_with_its_faces(predictor):
    frames = clips.as_frames(clips.walk(4))
    shown, recorded = [], []
    count = live(predictor, iter(frames), lambda picture: shown.append(picture) or True,
                 lambda picture, seconds: recorded.append((picture, seconds)))
    assert count == len(shown) == len(recorded) == 4
    for frame, picture, (same, seconds) in zip(frames, shown, recorded):
        assert picture is same and seconds == frame.seconds
        changed = (picture != frame.picture).any(axis=2).mean()
        assert 0.01 < changed < 0.9


def test_a_closed_window_ends_it_at_once(predictor):
    """No further frame is asked for."""
    given = iter(clips.as_frames(clips.walk(5)))
    answers = iter([True, False])
    assert live(predictor, given, lambda picture: next(answers)) == 2
    assert next(given).number == 2


def test_no_frames(predictor):
    assert live(predictor, [], lambda picture: True) == 0


# --- the camera --------------------------------------------------------------

class FakeCapture:
    """What OpenCV gives for a camera with three pictures."""

    def __init__(self, opened=True, fps=30.0):
        self.opened, self.fps, self.left, self.released = opened, fps, 3, False

    def isOpened(self):
        return self.opened

    def set(self, what, value):
        return True

    def get(self, what):
        return self.fps

    def read(self):
        self.left -= 1
        picture = np.full((30, 40, 3), (10, 20, 30), np.uint8)  # blue, green, red
        return self.left >= 0, picture if self.left >= 0 else None

    def release(self):
        self.released = True


def test_a_camera_gives_frames_in_red_green_blue(monkeypatch):
    capture = FakeCapture()
    monkeypatch.setattr(webcam, "open_capture", lambda number: capture)
    camera = Camera(0)
    frames = list(camera)
    assert camera.fps == 30
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert frames[0].picture[0, 0].tolist() == [30, 20, 10]
    assert 0 <= frames[0].seconds <= frames[1].seconds <= frames[2].seconds
    assert capture.released


@pytest.mark.parametrize("fps", [0.0, float("nan"), -1.0, 1e9])
def test_a_camera_that_does_not_say_its_rate(monkeypatch, fps):
    monkeypatch.setattr(webcam, "open_capture", lambda number: FakeCapture(fps=fps))
    assert Camera(0).fps == 25


def test_no_camera(capfd):
    with pytest.raises(VideoError, match="camera 97: expected a camera.*--camera"):
        Camera(97)
    assert capfd.readouterr().err == ""


# --- the window --------------------------------------------------------------

def test_no_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendUnavailable, match="DISPLAY"):
        with open_window("title"):
            pass


def without_windows(monkeypatch):
    """A screen, and an OpenCV like the headless one."""
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setattr(webcam, "_cv2_window", lambda title: None)


def test_neither_opencv_nor_tkinter(monkeypatch):
    without_windows(monkeypatch)
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(BackendUnavailable, match="python3-tk.* opencv-python"):
        with open_window("title"):
            pass


def test_tkinter_without_its_screen(monkeypatch):
    without_windows(monkeypatch)
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    with pytest.raises(BackendUnavailable, match="could not be opened"):
        with open_window("title"):
            pass


def test_opencvs_window_is_taken_where_there_is_one(monkeypatch):
    told = []

    def imshow(title, picture):
        told.append(picture[0, 0].tolist())

    cv2 = types.SimpleNamespace(
        error=Exception, WINDOW_AUTOSIZE=1, WND_PROP_VISIBLE=4, COLOR_RGB2BGR=4,
        namedWindow=lambda title, flag: told.append(title), imshow=imshow,
        cvtColor=lambda picture, code: picture[:, :, ::-1],
        waitKey=lambda ms: keys.pop(0),
        getWindowProperty=lambda title, what: seen.pop(0),
        destroyAllWindows=lambda: told.append("closed"))
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setattr(webcam, "load_cv2", lambda: cv2)
    keys, seen = [-1, -1, 27, ord("q")], [1.0, 0.0, 1.0, 1.0]
    picture = np.full((4, 4, 3), (1, 2, 3), np.uint8)
    with open_window("title") as show:
        assert [show(picture) for _ in range(4)] == [True, False, False, False]
    assert told == ["title"] + [[3, 2, 1]] * 4 + ["closed"]
