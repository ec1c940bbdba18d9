"""Videos out: whole files or none, at the pace of what was seen."""

import os

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import clips
from minifer.errors import OutputError, SettingError, VideoError
from minifer.predict import recording
from minifer.predict.recording import at_rate, write_video
from minifer.predict.video import Video


@pytest.mark.parametrize("ending", [".webm", ".mp4"])
def test_what_is_written_can_be_read(tmp_path, ending, capfd):
    pictures = clips.grounds(7)
    with write_video(tmp_path / "new" / f"out{ending}", fps=12.5) as write:
        for picture in pictures:
            write(picture)
    back = Video(tmp_path / "new" / f"out{ending}")
    assert capfd.readouterr().err == ""
    assert (back.fps, back.total) == (12.5, 7)
    for frame, picture in zip(back, pictures, strict=True):
        np.testing.assert_allclose(frame.picture.mean((0, 1)), picture[0, 0], atol=6)


@pytest.mark.parametrize("error", [KeyboardInterrupt, VideoError])
def test_a_block_that_fails_leaves_all_as_it_was(tmp_path, error):
    (tmp_path / "out.mp4").write_bytes(b"what stood here before")
    with pytest.raises(error):
        with write_video(tmp_path / "out.mp4", 10) as write:
            write(clips.grounds(1)[0])
            assert len(os.listdir(tmp_path)) == 2
            raise error
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"what stood here before"


def test_a_webm_is_what_browsers_play(tmp_path):
    """VP8 in WebM, of the pixels and the rate that were asked for."""
    with write_video(tmp_path / "o.webm", 29.97) as write:
        for picture in clips.grounds(3, (49, 65)):
            write(picture)
    data = (tmp_path / "o.webm").read_bytes()
    assert b"\x42\x82\x84webm" in data and b"V_VP8" in data
    back = Video(tmp_path / "o.webm")
    assert back.fps == pytest.approx(29.97) and back.total == 3
    assert next(iter(back)).picture.shape == (48, 64, 3)  # even sides


@pytest.mark.parametrize("ending", [".webm", ".mp4"])
def test_a_video_that_was_cut_while_written_is_not_kept(tmp_path, monkeypatch, ending):
    """OpenCV says nothing of a full disk."""
    whole = recording._Writer.is_whole

    def fill_the_disk(writer):
        os.truncate(writer.path, os.path.getsize(writer.path) - 100)
        return whole(writer)

    monkeypatch.setattr(recording._Writer, "is_whole", fill_the_disk)
    with pytest.raises(OutputError, match="out.*: the video could not be written"):
        with write_video(tmp_path / f"out{ending}", 10) as write:
            for picture in clips.grounds(5):
                write(picture)
    assert os.listdir(tmp_path) == []


def test_no_frames(tmp_path):
    with pytest.raises(VideoError, match="got none"):
        with write_video(tmp_path / "out.mp4", 10):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name, error, words", [
    ("out.avi", SettingError, "ends in .webm.*or in .mp4"),
    ("/proc/none/o.mp4", OutputError, "folder")])
def test_names_that_cannot_be_written(tmp_path, name, error, words):
    with pytest.raises(error, match=words):
        with write_video(tmp_path / name, 10):
            raise AssertionError("said before any work")


def test_an_encoder_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(recording.CODES, ".webm", "none")
    with pytest.raises(OutputError, match="OpenCV .* cannot write 64x48 pixels"):
        with write_video(tmp_path / "out.webm", 10) as write:
            write(clips.grounds(1)[0])
    assert os.listdir(tmp_path) == []


# --- at its pace -----------------------------------------------------------------

@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=40), st.sampled_from([5, 25, 30]))
def test_at_each_moment_the_latest_picture_is_shown(gaps, fps):
    """Numbers for pictures: each at its time, to the nearest frame."""
    times = np.cumsum([7, *gaps])
    written = []
    record = at_rate(written.append, fps)
    for number, seconds in enumerate(times):
        record(number, seconds)
    places = ((times - times[0]) * fps + 0.5).astype(int)
    assert len(written) == places[-1] + 1
    assert written[0] == 0
    for place, number in enumerate(written[1:], 1):
        if place in places:
            assert number in np.flatnonzero(places == place)
        else:  # nothing new: what came last, and may not have been shown yet
            assert number == np.flatnonzero(places < place)[-1]


@pytest.mark.parametrize("fps", [10, 24, 25, 29.97, 30, 50, 60])
def test_a_steady_film_is_copied_frame_by_frame(fps):
    """Though its times are whole milliseconds."""
    written = []
    record = at_rate(written.append, fps)
    for number in range(500):
        record(number, round(number / fps, 3))
    assert written == list(range(500))


def test_a_leap_of_a_broken_clock_does_not_fill_the_disk():
    written = []
    record = at_rate(written.append, 2)
    for number, seconds in enumerate([0, 1, 95443.7, 95444.7]):
        record(number, seconds)
    assert 100 < len(written) < 130 and written[-3:] == [2, 2, 3]
