"""Videos in and out: every frame once, in its colours, whole files or none."""

import os

import numpy as np
import pytest

from helpers import clips
from minifer import faces
from minifer.errors import OutputError, SettingError, VideoError
from minifer.predict import video
from minifer.predict.predictor import Predictor
from minifer.predict.video import VIDEO_ENDINGS, Video, follow, write_video

CODES = {".mp4": "mp4v", ".avi": "MJPG", ".mov": "mp4v", ".mkv": "mp4v",
         ".webm": "VP80"}


def grounds(count, shape=(48, 64)):
    """Pictures of one colour each, red rising, blue falling."""
    pictures = np.zeros((count, *shape, 3), np.uint8)
    for k, picture in enumerate(pictures):
        picture[:] = 20 + 15 * k, 60, 230 - 15 * k
    return list(pictures)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(clips.save_judge(tmp_path_factory.mktemp("m") / "model.npz"))


# --- in ----------------------------------------------------------------------

@pytest.mark.parametrize("ending", VIDEO_ENDINGS)
def test_every_frame_comes_once_in_its_colours(tmp_path, ending):
    pictures = grounds(10)
    clip = Video(clips.write_clip(tmp_path / f"c{ending}", pictures, CODES[ending]))
    frames = list(clip)
    assert (clip.fps, clip.total) == (10, 10)
    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.seconds for frame in frames] == [k / 10 for k in range(10)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.picture.dtype == np.uint8 and frame.picture.shape == picture.shape
        np.testing.assert_allclose(frame.picture.mean((0, 1)), picture[0, 0], atol=6)


@pytest.mark.parametrize("every, numbers", [(2, [0, 2, 4, 6, 8]), (3, [0, 3, 6, 9]),
                                            (10, [0]), (50, [0])])
def test_every_other_frame(tmp_path, every, numbers):
    clip = Video(clips.write_clip(tmp_path / "c.mp4", grounds(10)), every)
    frames = list(clip)
    assert [frame.number for frame in frames] == numbers
    assert [frame.seconds for frame in frames] == [n / 10 for n in numbers]
    assert clip.total == len(numbers) and clip.fps == pytest.approx(10 / every)
    assert abs(frames[-1].picture[0, 0, 0] - (20 + 15.0 * numbers[-1])) < 6


def cut(path):
    clips.write_clip(path, grounds(10))
    path.write_bytes(path.read_bytes()[:-1000])


def header(path):
    """What a camera leaves whose battery is empty."""
    data = clips.write_clip(path.with_suffix(".avi"), grounds(10), "XVID").read_bytes()
    path.write_bytes(data[:data.index(b"movi") + 4])


@pytest.mark.parametrize("make, words", [
    (lambda path: None, "no such file"), (lambda path: path.mkdir(), "a folder"),
    (lambda path: path.write_bytes(b""), "cannot be decoded"),
    (lambda path: path.write_bytes(b"Dear reader"), "cannot be decoded"),
    (cut, "cannot be decoded"), (header, "no frame")],
    ids=["missing", "folder", "empty", "text", "cut", "header"])
def test_what_is_no_video(tmp_path, make, words):
    make(tmp_path / "v.mp4")
    with pytest.raises(VideoError, match=words) as caught:
        Video(tmp_path / "v.mp4")
    assert str(caught.value).startswith(str(tmp_path / "v.mp4"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_a_wrong_step(tmp_path, every):
    with pytest.raises(SettingError, match="every"):
        Video(clips.write_clip(tmp_path / "c.mp4", grounds(2)), every)


# --- out ---------------------------------------------------------------------

def test_what_is_written_can_be_read(tmp_path):
    pictures = grounds(7)
    with write_video(tmp_path / "new" / "out.mp4", fps=12.5) as write:
        for picture in pictures:
            write(picture)
    back = Video(tmp_path / "new" / "out.mp4")
    assert (back.fps, back.total) == (12.5, 7)
    for frame, picture in zip(back, pictures, strict=True):
        np.testing.assert_allclose(frame.picture.mean((0, 1)), picture[0, 0], atol=6)


@pytest.mark.parametrize("error", [KeyboardInterrupt, VideoError])
def test_a_block_that_fails_leaves_all_as_it_was(tmp_path, error):
    (tmp_path / "out.mp4").write_bytes(b"what stood here before")
    with pytest.raises(error):
        with write_video(tmp_path / "out.mp4", 10) as write:
            write(grounds(1)[0])
            assert len(os.listdir(tmp_path)) == 2
            raise error
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"what stood here before"


def test_a_video_that_was_cut_while_written_is_not_kept(tmp_path, monkeypatch):
    """OpenCV says nothing of a full disk."""
    whole = video._Writer.is_whole

    def fill_the_disk(writer):
        os.truncate(writer.path, os.path.getsize(writer.path) - 100)
        return whole(writer)

    monkeypatch.setattr(video._Writer, "is_whole", fill_the_disk)
    with pytest.raises(OutputError, match="out.mp4: the video could not be written"):
        with write_video(tmp_path / "out.mp4", 10) as write:
            for picture in grounds(5):
                write(picture)
    assert os.listdir(tmp_path) == []


def test_no_frames(tmp_path):
    with pytest.raises(VideoError, match="got none"):
        with write_video(tmp_path / "out.mp4", 10):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name, error, words", [
    ("out.avi", SettingError, "ends in .mp4"),
    ("/proc/none/o.mp4", OutputError, "folder")])
def test_names_that_cannot_be_written(tmp_path, name, error, words):
    with pytest.raises(error, match=words):
        with write_video(tmp_path / name, 10):
            raise AssertionError("said before any work")


# --- followed ----------------------------------------------------------------

def test_a_face_is_followed_and_smoothed(predictor):
    """As the tracker does with the faces of each frame alone."""
    frames = clips.as_frames(clips.walk(8))
    found = list(follow(predictor, iter(frames), smooth=0.5))
    assert [frame.number for frame, _ in found] == list(range(8))
    alone = [face for _, (face,) in predictor.faces(
        frames, lambda frame: frame.picture[:, :, 0], threads=0)]
    s = np.array(list(alone[0].saturations.values()))
    for k, (_, (track,)) in enumerate(found):
        assert (track.number, track.box) == (1, alone[k].box)
        x = np.array(list(alone[k].saturations.values()))
        s = s + (1 - np.exp(-0.1 / 0.5)) * (x - s) if k else s
        np.testing.assert_allclose(list(track.saturations.values()), s, rtol=1e-5)
    assert 12 < alone[-1].box[0] - alone[0].box[0] < 30  # it walked 21 pixels


def test_two_faces_keep_their_numbers(predictor):
    found = list(follow(predictor, clips.as_frames(clips.walk(5, people=(0, 1)))))
    left = [[(track.number, track.box[0] < 320) for track in tracks]
            for _, tracks in found]
    assert all(one == left[0] for one in left)
    assert [number for number, _ in left[0]] == [1, 2]


@pytest.mark.parametrize("threads, most", [(0, 1), (2, 4 + 4 + 4)])
def test_few_frames_are_in_memory(predictor, threads, most, monkeypatch):
    monkeypatch.setattr(video, "_grey", lambda frame: np.zeros((40, 40), np.uint8))
    taken = 0

    def camera():
        for frame in clips.as_frames(grounds(1)) * 60:
            assert camera.given - taken < most
            camera.given += 1
            yield frame

    camera.given = 0
    batch = 4 if threads else 1
    for _ in follow(predictor, camera(), batch_size=batch, threads=threads):
        taken += 1
    assert taken == 60


def test_frames_are_made_grey_as_photos_are(predictor, monkeypatch):
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    grey = video._grey(clips.as_frames([picture])[0])
    expected = faces.to_grey(picture.transpose(2, 0, 1)[None])[0, 0]
    assert np.abs(grey.astype(int) - expected).max() <= 1
