"""minifer predict: photos, folders, patterns and videos; tables, copies, exit codes."""

import csv
import json
import os

import cv2
import numpy as np
import pytest

from helpers import clips, runs
from minifer.data import EMOTIONS
from minifer.data.readers.listing import expand
from minifer.faces.images import encode_png, write_png
from minifer.predict.predictor import Predictor
from minifer.predict.video import Video

WALL = np.full((60, 80), 128, np.uint8)


@pytest.fixture
def judge(tmp_path):
    """The command with a model that finds faces."""
    model = clips.save_judge(tmp_path / "model.npz")
    return lambda *words: runs.minifer("predict", "--model", model, *words)


@pytest.fixture
def album(tmp_path):
    """A folder with a face, two faces, a wall, a cut photo, and what is no photo."""
    folder = tmp_path / "album"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    face = encode_png(clips.person(0))
    both = np.concatenate([clips.person(0), clips.person(1)], axis=1)
    for name, data in [("b.png", face), ("a.JPG", encode_png(WALL)),
                       ("sub/cut.png", face[:900]), ("sub/both.png", encode_png(both)),
                       ("notes.txt", b"Dear diary"), ("sub/.hidden/c.png", face)]:
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def clip(tmp_path):
    return clips.write_clip(tmp_path / "clip.avi", clips.walk(6), "MJPG")


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- what paths mean ---------------------------------------------------------

def test_folders_patterns_and_names(album, monkeypatch):
    def names(*words):
        found, _ = expand([album / word for word in words], (".png", ".jpg"))
        return [os.path.relpath(path, album) for path in found]

    assert names("") == ["a.JPG", "b.png", "sub/both.png", "sub/cut.png"]
    assert names("*.png", "sub") == ["b.png", "sub/both.png", "sub/cut.png"]
    assert names("**/*.png") == ["b.png", "sub/both.png", "sub/cut.png"]
    assert names("s*") == ["sub/both.png", "sub/cut.png"]
    assert names("notes.txt", "none.png", "no*ne") == ["notes.txt", "none.png", "no*ne"]


def test_a_name_that_looks_like_a_pattern(tmp_path):
    for name in ("a[1].png", "a1.png"):
        write_png(tmp_path / name, WALL)
    assert expand([tmp_path / "a[1].png"], ()) == ([str(tmp_path / "a[1].png")], [])


def test_links_that_lead_in_circles(album):
    (album / "sub" / "loop").symlink_to(album)
    found, others = expand([album], (".png", ".jpg"))
    assert len(found) == 4 and others == [str(album / "notes.txt")]


# --- photos ------------------------------------------------------------------

def test_a_folder_gets_a_row_each(judge, album, tmp_path):
    outcome = judge(album, "--csv", tmp_path / "new" / "t.csv")
    assert outcome.code == 0
    rows = table(tmp_path / "new" / "t.csv")
    assert list(rows[0]) == ["photo", "status", "faces", "label", *EMOTIONS, "error"]
    assert [(os.path.basename(row["photo"]), row["status"], row["faces"])
            for row in rows] == [("a.JPG", "no face", "0"), ("b.png", "ok", "1"),
                                 ("both.png", "ok", "2"),
                                 ("cut.png", "unreadable", "0")]
    predictor = Predictor.load(tmp_path / "model.npz")
    for row in rows:
        photo = predictor.photo(row["photo"])
        assert row["error"] == photo.error
        if photo.faces:
            assert row["label"] == photo.faces[0].label
            values = [float(row[name]) for name in EMOTIONS]
            np.testing.assert_allclose(
                values, list(photo.faces[0].saturations.values()), atol=1e-6)
        else:
            assert {row[name] for name in ("label", *EMOTIONS)} == {""}
    *lines, summary = outcome.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(album / name) for name in ("a.JPG", "b.png", "sub/both.png",
                                       "sub/both.png")]
    assert summary == ("4 photos: 2 ok, 1 no face, 1 unreadable; "
                       "1 other file (notes.txt)")
    error, = outcome.err.splitlines()
    assert error.startswith(f"error: {album / 'sub' / 'cut.png'}")
    assert not (tmp_path / "album_faces.png").exists()


def test_json_is_all_that_is_printed(judge, album, tmp_path):
    outcome = judge(album, "--json", "--which", "largest")
    entries = json.loads(outcome.out)
    assert [entry["status"] for entry in entries] == ["no face", "ok", "ok",
                                                      "unreadable"]
    assert [len(entry["faces"]) for entry in entries] == [0, 1, 1, 0]
    assert outcome.err.splitlines()[-1].startswith("4 photos: 2 ok")


def test_copies_are_written_only_if_asked_for(judge, album, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert judge(album).code == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert judge(album, album / "b.png", "--out", tmp_path / "out").code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["b_2_faces.png", "b_faces.png",
                                                    "both_faces.png"]


@pytest.mark.parametrize("name", ["sub/cut.png", "a.JPG", "none.png", "notes.txt",
                                  "*.gif"])
def test_code_1_if_nothing_was_judged(judge, album, name):
    outcome = judge(album / name)
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert outcome.out.splitlines()[-1].startswith("1 photo: 0 ok")


def test_an_empty_folder(judge, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = judge(tmp_path / "empty", "--csv", tmp_path / "t.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert "empty: expected photos or videos, found none" in outcome.err
    assert not (tmp_path / "t.csv").exists()


def test_a_table_is_written_whole_or_not_at_all(judge, album, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("what stood here before")
    monkeypatch.setattr(Predictor, "saturations", lambda *crops: runs.interrupt())
    assert judge(album, "--csv", tmp_path / "t.csv").code == 130
    assert (tmp_path / "t.csv").read_text() == "what stood here before"
    assert not list(tmp_path.glob(".t.csv*"))


def test_no_file_of_a_folder_is_passed_over_in_silence(judge, tmp_path):
    """What OpenCV reads is judged; the rest is named or counted."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    person = clips.person(0)
    for name, ending in [("a.jfif", ".jpg"), ("b.jpe", ".jpg"), ("c.tif", ".tif"),
                         ("D.JPG", ".jpg")]:
        cv2.imencode(ending, person)[1].tofile(folder / name)
    (folder / "e.heic").write_bytes(b"\0\0\0\x14ftypheic\0\0\0\0mif1" + bytes(50))
    for name in ("x.pdf", "y.docx", "z"):
        (folder / name).write_bytes(b"something")
    for name in ("f.m4v", "g.3gp"):
        clips.write_clip(tmp_path / "film.mp4", clips.walk(2)).rename(folder / name)
    outcome = judge(folder)
    assert outcome.out.splitlines()[-1] == (
        "5 photos and 2 videos: 6 ok, 0 no face, 1 unreadable; "
        "3 other files (x.pdf, y.docx, ...)")
    error, = outcome.err.splitlines()
    assert "e.heic: the image is a HEIC photo" in error and "pillow-heif" in error


# --- videos ------------------------------------------------------------------

def test_a_video_gets_a_row_for_each_face_and_frame(judge, clip, tmp_path):
    outcome = judge(clip, "--csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert outcome.code == 0
    rows = table(tmp_path / "t.csv")
    assert list(rows[0]) == ["video", "frame", "seconds", "face", "left", "top",
                             "width", "height", "label", *EMOTIONS]
    assert [row["frame"] for row in rows] == list("012345")
    assert [float(row["seconds"]) for row in rows] == [0, .1, .2, .3, .4, .5]
    assert {row["face"] for row in rows} == {"1"}
    assert sum(float(rows[3][name]) for name in EMOTIONS) == pytest.approx(1, abs=1e-5)
    copy = Video(tmp_path / "out" / "clip_faces.webm")
    assert (copy.total, copy.fps) == (6, 10)
    for frame, plain in zip(copy, clips.walk(6), strict=True):
        changed = abs(frame.picture[:244].astype(int) - plain[:244]).max(axis=2) > 60
        assert 0.005 < changed.mean() < 0.5
    line, summary = outcome.out.splitlines()
    assert line.startswith(f"{clip}: face 1: 6 frames, 0.0 to 0.5 s: anger ")
    assert summary == "1 video: 1 ok, 0 no face, 0 unreadable"


def test_the_json_of_a_video_is_the_mean_of_its_rows(judge, clip, tmp_path):
    outcome = judge(clip, "--json", "--csv", tmp_path / "t.csv")
    entry, = json.loads(outcome.out)
    face, = entry.pop("faces")
    assert entry == {"video": str(clip), "status": "ok", "frames": 6}
    assert [face[key] for key in ("face", "frames", "from", "to")] == [1, 6, 0.0, 0.5]
    for name in EMOTIONS:
        mean = np.mean([float(row[name]) for row in table(tmp_path / "t.csv")])
        assert face["saturations"][name] == pytest.approx(mean, abs=1e-5)
    assert face["label"] == max(EMOTIONS, key=face["saturations"].get)


def test_every_second_frame(judge, clip, tmp_path):
    judge(clip, "--every", 2, "--csv", tmp_path / "t.csv", "--out", tmp_path)
    assert [row["frame"] for row in table(tmp_path / "t.csv")] == list("024")
    copy = Video(tmp_path / "clip_faces.webm")
    assert (copy.total, copy.fps) == (3, 5)


def test_smoothing_can_be_turned_off(judge, clip, tmp_path):
    values = {}
    for smooth in ("0", "5"):
        judge(clip, "--smooth", smooth, "--csv", tmp_path / "t.csv")
        rows = table(tmp_path / "t.csv")
        values[smooth] = np.ptp([float(row["anger"]) for row in rows])
    assert values["5"] < 0.5 * values["0"]


def test_a_bad_video_does_not_stop_the_others(judge, clip, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"Dear reader")
    wall = clips.write_clip(tmp_path / "wall.mp4", [np.stack([WALL] * 3, 2)] * 2)
    outcome = judge(tmp_path / "bad.mp4", wall, clip, "--out", tmp_path / "out",
                    "--csv", tmp_path / "t.csv")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == f"{wall}: no face"
    assert outcome.out.splitlines()[-1] == (
        "3 videos: 1 ok, 1 no face, 1 unreadable")
    error, = outcome.err.splitlines()
    assert error.startswith(f"error: {tmp_path / 'bad.mp4'}: expected a video")
    assert {row["video"] for row in table(tmp_path / "t.csv")} == {str(clip)}
    assert sorted(os.listdir(tmp_path / "out")) == ["clip_faces.webm",
                                                    "wall_faces.webm"]


def test_a_film_that_was_cut_is_not_simply_ok(judge, tmp_path):
    path = clips.write_clip(tmp_path / "c.avi", clips.walk(9), "MJPG")
    path.write_bytes(path.read_bytes()[:2 * path.stat().st_size // 3])
    outcome = judge(path, "--json")
    entry, = json.loads(outcome.out)
    assert 3 < entry["frames"] < 8
    assert entry["status"] == f"ok, {entry['frames']} of 9 frames"
    outcome = judge(path)
    assert outcome.out.splitlines()[-2:] == [
        f"{path}: {entry['status']}",
        "1 video: 1 ok, 0 no face, 0 unreadable, 1 not whole"]


def test_times_and_pace_of_a_film_whose_rate_changes(judge, tmp_path):
    """As a browser records it; its copy is as long and pauses where it does."""
    times = [0, 40, 80, 500, 540, 1000]
    film = clips.write_matroska(tmp_path / "r.webm", clips.walk(6), times,
                                default_duration=False, length=False)
    outcome = judge(film, "--csv", tmp_path / "t.csv", "--out", tmp_path)
    assert [float(row["seconds"]) for row in table(tmp_path / "t.csv")] == [
        ms / 1000 for ms in times]
    assert "face 1: 6 frames, 0.0 to 1.0 s" in outcome.out
    copy = Video(tmp_path / "r_faces.webm")
    assert (copy.fps, copy.total) == (25, 26)
    pictures = [frame.picture.astype(int) for frame in copy]
    changes = [k for k in range(1, 26)
               if abs(pictures[k] - pictures[k - 1]).mean() > 1]
    assert changes == [1, 2, 12 + 1, 13 + 1, 25]


# --- wrong use ---------------------------------------------------------------

@pytest.mark.parametrize("words, name", [
    (("--every", "0"), "--every"), (("--every", "x"), "--every"),
    (("--smooth", "-1"), "smooth"), (("--smooth", "nan"), "smooth"),
    (("--which", "some"), "--which"), (("--device", "abacus"), "--device"),
    (("--csv", "/proc/none/t.csv"), "/proc/none"), (("--out", "/proc/none"), "/proc"),
    (("--model", "none.npz"), "none.npz")])
def test_wrong_options_are_refused_before_any_work(judge, album, words, name):
    outcome = judge(album, *words)
    assert (outcome.code, outcome.out) == (2, "")
    line, = outcome.err.splitlines()
    assert "error: " in line and name in line


def test_no_paths():
    outcome = runs.minifer("predict")
    assert outcome.code == 2 and "PATH" in outcome.err and outcome.err.count("\n") == 1


def test_one_table_for_photos_and_videos_is_refused(judge, album, clip, tmp_path):
    outcome = judge(album, clip, "--csv", tmp_path / "t.csv")
    assert outcome.code == 2 and "4 photos and 1 video" in outcome.err
    assert judge(album, clip).code == 0


def test_nothing_of_the_libraries_below_is_seen(tmp_path):
    """In a process of its own: FFmpeg writes to the terminal by itself."""
    clips.save_judge(tmp_path / "model.npz")
    (tmp_path / "bad.mp4").write_bytes(b"Dear reader")
    (tmp_path / "bad.avi").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "run.py").write_text("import sys\n"
                                     "from minifer.commands.cli import main\n"
                                     "main(sys.argv[1:])\n")
    outcome = runs.process(
        tmp_path / "run.py", "predict", tmp_path / "bad.mp4", tmp_path / "bad.avi",
        "--model", tmp_path / "model.npz", PYTHONPATH=str(runs.TESTS.parent))
    assert outcome.code == 1
    assert [line[:7] for line in outcome.err.splitlines()] == ["error: "] * 2
