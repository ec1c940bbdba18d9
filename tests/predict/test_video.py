"""Videos in: every frame once, in its colours, at its time; and faces followed."""

import struct

import numpy as np
import pytest

from helpers import clips
from minifer import faces
from minifer.errors import SettingError, VideoError
from minifer.predict import video
from minifer.predict.predictor import Predictor
from minifer.predict.video import Video, follow

CODES = {".mp4": "mp4v", ".avi": "MJPG", ".mov": "mp4v", ".mkv": "mp4v",
         ".webm": "VP80"}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(clips.save_judge(tmp_path_factory.mktemp("m") / "model.npz"))


# --- in ----------------------------------------------------------------------

@pytest.mark.parametrize("ending", CODES)
def test_every_frame_comes_once_in_its_colours(tmp_path, ending):
    pictures = clips.grounds(10)
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
    clip = Video(clips.write_clip(tmp_path / "c.mp4", clips.grounds(10)), every)
    frames = list(clip)
    assert [frame.number for frame in frames] == numbers
    assert [frame.seconds for frame in frames] == [n / 10 for n in numbers]
    assert clip.total == len(numbers) and clip.fps == pytest.approx(10 / every)
    assert abs(frames[-1].picture[0, 0, 0] - (20 + 15.0 * numbers[-1])) < 6


def cut(path):
    clips.write_clip(path, clips.grounds(10))
    path.write_bytes(path.read_bytes()[:-1000])


def header(path):
    """What a camera leaves whose battery is empty."""
    film = clips.write_clip(path.with_suffix(".avi"), clips.grounds(10), "XVID")
    data = film.read_bytes()
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
        Video(clips.write_clip(tmp_path / "c.mp4", clips.grounds(2)), every)


# --- times -----------------------------------------------------------------------

UNEVEN = [0, 40, 80, 500, 540, 1000, 1500, 2000, 2040, 3000]


def uneven(path, **more):
    """A film whose rate changes."""
    return clips.write_matroska(path, clips.grounds(10), UNEVEN, **more)


@pytest.mark.parametrize("more", [
    {}, {"default_duration": False}, {"default_duration": False, "length": False},
    {"start": 5000}], ids=["plain", "no default", "recorded", "late"])
@pytest.mark.parametrize("every", [1, 3])
def test_times_are_those_in_the_file(tmp_path, more, every):
    """Also in what browsers record, which says 1,000 frames a second."""
    clip = Video(uneven(tmp_path / "c.webm", **more), every)
    frames = list(clip)
    assert [frame.seconds for frame in frames] == [
        ms / 1000 for ms in UNEVEN[::every]]
    assert clip.fps == pytest.approx(25 / every, rel=0.01)
    assert clip.missing is None


def test_a_steady_film_keeps_its_rate_though_its_times_are_rounded(tmp_path):
    """Matroska has milliseconds: 33, 67, 100."""
    clip = Video(clips.write_clip(tmp_path / "c.webm", clips.grounds(12), "VP80", 30))
    assert (clip.fps, clip.total) == (30, 12)
    np.testing.assert_allclose([frame.seconds for frame in clip], np.arange(12) / 30,
                               atol=5.1e-4)


def test_the_number_of_frames_follows_from_the_times(tmp_path):
    """3.04 seconds of 25 frames each would be 76."""
    assert Video(uneven(tmp_path / "c.webm")).total == pytest.approx(10, abs=2)


class FakeCapture:
    """What OpenCV says of a film whose frames have no times, or falling ones."""

    def __init__(self, positions):
        self.positions = iter(positions)

    def get(self, what):
        return next(self.positions)


@pytest.mark.parametrize("positions, seconds", [
    ([0, 0, 0], [0, .1, .2]), ([40, 80, 0], [0, .04, .14]),
    ([0, 500, 100, 700], [0, .5, .6, .7]), ([5000, 5040], [0, .04]),
    ([0, float("nan"), float("inf"), 250], [0, .1, .2, .25])])
def test_time_never_falls_and_never_stands(positions, seconds):
    clock, capture = video._Clock(0.1), FakeCapture(positions)
    assert [clock.seconds(video.load_cv2(), capture) for _ in positions] == seconds


# --- what is missing -------------------------------------------------------------

@pytest.mark.parametrize("ending, code", [(".webm", "VP80"), (".mkv", "mp4v"),
                                          (".avi", "MJPG"), (".avi", "XVID")])
@pytest.mark.parametrize("share", [0.5, 0.67, 0.9])
def test_a_film_that_was_cut_says_how_much_is_there(tmp_path, ending, code, share):
    path = clips.write_clip(tmp_path / f"c{ending}", clips.noise(30), code)
    whole = Video(path)
    assert len(list(whole)) == 30 and whole.missing is None
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    clip = Video(path)
    read = len(list(clip))
    assert 0.3 * share < read / 30 < share + 0.1
    assert clip.missing == (read, 30)


@pytest.mark.parametrize("ending, code", [(".webm", "VP80"), (".avi", "MJPG")])
def test_a_film_without_its_middle(tmp_path, ending, code):
    data = clips.write_clip(tmp_path / "whole", clips.noise(30), code, ending=ending)
    data = data.read_bytes()
    third = len(data) // 3
    (tmp_path / f"c{ending}").write_bytes(data[:third] + data[2 * third:])
    clip = Video(tmp_path / f"c{ending}")
    read = len(list(clip))
    assert clip.missing == (read, 30) and read < 30


def test_a_recording_that_was_cut(tmp_path):
    """It does not say how long it is, but its last picture is not whole."""
    path = clips.write_matroska(tmp_path / "r.webm", clips.noise(10), UNEVEN,
                                default_duration=False, length=False)
    path.write_bytes(path.read_bytes()[:2 * path.stat().st_size // 3])
    clip = Video(path)
    read = len(list(clip))
    assert 4 < read < 8 and clip.missing == (read, 0)


def test_an_mp4_that_ends_before_its_own_count(tmp_path):
    """Its frames are overwritten; the index behind them still counts 10."""
    path = clips.write_clip(tmp_path / "c.mp4", clips.noise(10))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start + (end - start) // 2:end] = bytes(end - start - (end - start) // 2)
    path.write_bytes(bytes(data))
    clip = Video(path)
    read = len(list(clip))
    assert read < 10 and clip.missing == (read, 10)


def test_an_avi_shorter_than_it_says(tmp_path):
    path = clips.write_clip(tmp_path / "c.avi", clips.grounds(10), "MJPG")
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32
    assert struct.unpack_from("<I", data, at) == (10,)
    struct.pack_into("<I", data, at, 25)
    path.write_bytes(bytes(data))
    clip = Video(path)
    assert len(list(clip)) == 10 and clip.missing == (10, 25)


# --- the shape of pixels ---------------------------------------------------------

def disc(height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < 15 ** 2
    return (40 + 170 * inside).astype(np.uint8)


@pytest.mark.parametrize("aspect, shape", [
    ("1:1", (48, 64)), ("0:0", (48, 64)), ("4:3", (48, 85)), ("1:2", (96, 64))])
def test_pixels_that_are_not_square_are_stretched(tmp_path, aspect, shape):
    path = clips.write_y4m(tmp_path / "c.y4m", [disc()] * 2, aspect)
    frame, _ = Video(path)
    assert frame.picture.shape == (*shape, 3)
    bright = frame.picture[:, :, 0] > 120
    stretch = shape[1] / 64 / (shape[0] / 48)
    wide, high = np.ptp(np.nonzero(bright)[1]), np.ptp(np.nonzero(bright)[0])
    assert wide / high == pytest.approx(stretch, abs=0.08)


def test_a_webm_says_how_wide_it_is_shown(tmp_path):
    path = uneven(tmp_path / "c.webm", shown=96)
    assert next(iter(Video(path))).picture.shape == (48, 96, 3)


def test_pixels_of_an_impossible_shape(tmp_path):
    path = clips.write_y4m(tmp_path / "c.y4m", [disc()], "1:100")
    with pytest.raises(VideoError, match="c.y4m: .* says its pixels are 1:100"):
        Video(path)


def test_frames_of_too_many_pixels(tmp_path, monkeypatch):
    path = clips.write_y4m(tmp_path / "c.y4m", [disc()], "2:1")
    monkeypatch.setattr(video, "LARGEST", 48 * 64 * 2 - 1)
    with pytest.raises(VideoError, match="frames have 64x48 pixels, too many"):
        Video(path)


def turn(path, matrix):
    """Set the matrix by which players turn an MP4 film."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at:at + 36] = b"".join(struct.pack(">i", int(value * 65536))
                                for value in matrix[:6]) + bytes(8) + b"\x40\0\0\0"
    path.write_bytes(bytes(data))


def test_a_film_of_a_telephone_held_upright(tmp_path):
    path = clips.write_clip(tmp_path / "c.mp4", [np.dstack([disc()] * 3)] * 2)
    turn(path, (0, 1, 0, -1, 0, 0))
    assert next(iter(Video(path))).picture.shape == (64, 48, 3)


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
        for frame in clips.as_frames(clips.grounds(1)) * 60:
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
