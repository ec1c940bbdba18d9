"""minifer webcam: what it shows, records and says when something is missing."""

import contextlib
import os

import pytest

from helpers import clips, runs
from minifer.commands import webcam
from minifer.errors import BackendUnavailable
from minifer.predict.video import Video


class FakeCamera:
    """A camera that somebody walks past, and that is unplugged or Ctrl-C pressed."""

    fps = 10
    frames, stop = 6, None

    def __init__(self, number):
        self.number = number

    def __iter__(self):
        yield from clips.as_frames(clips.walk(self.frames) if self.frames else [])
        if self.stop:
            raise self.stop


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """The command, with a camera and a window that notes what it is shown."""
    model = clips.save_judge(tmp_path / "model.npz")
    shown = []

    @contextlib.contextmanager
    def window(title):
        yield lambda picture: shown.append(picture) or True

    monkeypatch.setattr(webcam, "Camera", FakeCamera)
    monkeypatch.setattr(webcam, "open_window", window)

    def call(*words):
        return runs.minifer("webcam", "--model", model, *words)

    call.shown, call.model = shown, model
    return call


def test_it_shows_what_the_camera_sees(watch):
    assert watch() == (0, "", "")
    assert len(watch.shown) == 6


def test_it_records_what_it_shows(watch, tmp_path):
    assert watch("--record", tmp_path / "r.mp4").code == 0
    frames = list(Video(tmp_path / "r.mp4"))
    assert len(frames) == 6
    for frame, picture in zip(frames, watch.shown):
        assert abs(frame.picture[:244].astype(int) - picture[:244]).mean() < 8


def test_ctrl_c_keeps_the_recording(watch, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeCamera, "stop", KeyboardInterrupt)
    outcome = watch("--record", tmp_path / "r.mp4")
    assert outcome.code == 130 and outcome.err == "stopped\n"
    assert Video(tmp_path / "r.mp4").total == 6


def one_line(outcome, code, *words):
    assert outcome.code == code and outcome.out == ""
    line, = outcome.err.splitlines()
    assert line.startswith("error: ") and all(word in line for word in words)


def test_a_camera_that_gives_no_picture(watch, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeCamera, "frames", 0)
    one_line(watch("--record", tmp_path / "r.mp4"), 1, "camera 0", "no picture")
    assert not (tmp_path / "r.mp4").exists()


def test_no_camera(watch, monkeypatch):
    monkeypatch.undo()
    one_line(runs.minifer("webcam", "--model", watch.model, "--camera", 97), 1,
             "camera 97")


def test_no_window(watch, tmp_path, monkeypatch):
    def none(title):
        raise BackendUnavailable("A window needs a screen.")

    monkeypatch.setattr(webcam, "open_window", none)
    one_line(watch("--record", tmp_path / "r.mp4"), 1, "a screen")
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("words, names", [
    (("--record", "r.avi"), ".mp4"), (("--smooth", "-1"), "smooth"),
    (("--camera", "x"), "--camera"), (("--device", "abacus"), "--device")])
def test_wrong_options(watch, words, names):
    outcome = watch(*words)
    assert outcome.code == 2 and names in outcome.err and outcome.err.count("\n") == 1


def test_no_model(tmp_path):
    outcome = runs.minifer("webcam", "--model", tmp_path / "none.npz")
    one_line(outcome, 2, "none.npz", "No such file")
