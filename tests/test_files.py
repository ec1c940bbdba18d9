"""Files are written whole or not at all."""

import csv
import json
import os
import pathlib

import pytest

from minifer.errors import DatasetError, OutputError
from minifer.files import (atomic_path, atomic_write, csv_writer, make_folder,
                           new_folder, write_bytes, write_json, write_text)


def names_in(folder):
    return sorted(os.listdir(folder))


# --- what is written --------------------------------------------------------

def test_bytes_text_and_json(tmp_path):
    write_bytes(tmp_path / "a.bin", b"\x00\xff")
    write_text(str(tmp_path / "b.txt"), "zażółć\n")
    write_json(tmp_path / "c.json", {"imię": "Łucja", "n": [1, 2.5, None]})
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b.txt").read_bytes() == "zażółć\n".encode()
    text = (tmp_path / "c.json").read_text("utf-8")
    assert json.loads(text) == {"imię": "Łucja", "n": [1, 2.5, None]}
    assert "Łucja" in text and text.endswith("\n") and '\n  "n"' in text
    assert names_in(tmp_path) == ["a.bin", "b.txt", "c.json"]


def test_a_name_without_a_folder_is_beside_us(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("here.txt", "x")
    assert names_in(tmp_path) == ["here.txt"]


def test_an_old_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        assert len(names_in(tmp_path)) == 2
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["f"]


# --- what is not ------------------------------------------------------------

@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existed", [True, False])
def test_a_block_that_fails_leaves_all_as_it_was(tmp_path, error, existed):
    path = tmp_path / "f"
    if existed:
        path.write_bytes(b"old")
    with pytest.raises(error):
        with atomic_write(path) as file:
            file.write(b"half")
            raise error
    assert names_in(tmp_path) == (["f"] if existed else [])
    assert not existed or path.read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    message = "f: could not be written .No space.+ untouched"
    with pytest.raises(OutputError, match=message) as caught:
        with atomic_write(path) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and names_in(tmp_path) == ["f"]


def test_a_flush_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    path = tmp_path / "f"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and names_in(tmp_path) == ["f"]


def test_it_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (
            calls.append(name), real(*args)))
    write_bytes(tmp_path / "f", b"x")
    assert calls == ["fsync", "replace"]


def test_what_is_no_json_never_opens_the_file(tmp_path):
    write_json(tmp_path / "f.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "f.json", {"a": object()})
    assert json.loads((tmp_path / "f.json").read_text()) == {"a": 1}


def test_an_inner_output_error_is_passed_on_as_it_is(tmp_path):
    with pytest.raises(OutputError, match="^inner$"):
        with atomic_write(tmp_path / "f"):
            raise OutputError("inner")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("path", ["missing/f", "file/f", "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path, path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="could not be written .+ another folder"):
        write_text(tmp_path / path, "x")
    assert names_in(tmp_path) == ["file"]


# --- folders ----------------------------------------------------------------

def test_make_folder_makes_parents_and_leaves_nothing(tmp_path):
    made = make_folder(tmp_path / "a" / "b")
    assert made == str(tmp_path / "a" / "b")
    assert make_folder(made) == made  # again: no harm
    assert names_in(made) == []
    assert pathlib.Path(made).is_dir()


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_make_folder_refuses_a_file(tmp_path, path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="expected a folder that can be written, got"):
        make_folder(tmp_path / path)


def test_make_folder_refuses_a_folder_it_cannot_write_into(tmp_path, monkeypatch):
    def fail(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(OutputError, match="Permission denied.+another folder"):
        make_folder(tmp_path)


# --- folders, whole or not at all -------------------------------------------

@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_appears_when_the_block_ends(tmp_path, existed, end):
    path = tmp_path / "deep" / "folder"
    if existed:
        path.mkdir(parents=True)
    with new_folder(f"{path}{end}") as new:
        write_text(os.path.join(new, "f"), "x")
        assert not path.exists() or names_in(path) == []
    assert names_in(path) == ["f"] and names_in(tmp_path / "deep") == ["folder"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with new_folder(tmp_path / "folder") as new:
            write_text(os.path.join(new, "f"), "x")
            raise KeyboardInterrupt
    assert names_in(tmp_path) == []


def test_one_new_folder_inside_another(tmp_path):
    """So that a command claims its folder before the work, and a function fills it."""
    with new_folder(tmp_path / "folder") as claimed, new_folder(claimed) as new:
        write_text(os.path.join(new, "f"), "x")
    assert names_in(tmp_path) == ["folder"] and names_in(tmp_path / "folder") == ["f"]


@pytest.mark.parametrize("used", ["file", "folder"])
def test_what_is_in_use_is_left_alone(tmp_path, used):
    path = tmp_path / used
    if used == "folder":
        path.mkdir()
        path = path / "mine"
    path.write_text("mine")
    with pytest.raises(DatasetError, match=f"{used}: expected an empty folder or none"):
        with new_folder(tmp_path / used):
            pass
    assert path.read_text() == "mine" and names_in(tmp_path) == [used]


def test_somebody_else_was_faster(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(OutputError, match="folder: could not be created"):
        with new_folder(path):
            path.mkdir()
            (path / "theirs").write_text("theirs")
    assert names_in(tmp_path) == ["folder"] and names_in(path) == ["theirs"]


# --- tables, and files that others open ---------------------------------------

def test_a_table_keeps_every_name(tmp_path):
    names = ["a,b", 'say "cheese"', "two\nlines", "zażółć", os.fsdecode(b"\xff.png")]
    with csv_writer(tmp_path / "t.csv") as table:
        for name in names:
            table.writerow([name, 1])
    assert b"\xff.png,1\n" in (tmp_path / "t.csv").read_bytes()
    with open(tmp_path / "t.csv", encoding="utf-8", errors="surrogateescape",
              newline="") as file:
        assert [row[0] for row in csv.reader(file)] == names


@pytest.mark.parametrize("opened", [csv_writer, atomic_path])
def test_what_fails_half_way_leaves_all_as_it_was(tmp_path, opened):
    (tmp_path / "f.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        with opened(tmp_path / "f.mp4") as half:
            if opened is atomic_path:
                pathlib.Path(half).write_bytes(b"half")
            else:
                half.writerow(["half"])
            raise KeyboardInterrupt
    assert (tmp_path / "f.mp4").read_bytes() == b"old"
    assert names_in(tmp_path) == ["f.mp4"]


def test_a_file_that_somebody_else_opens_by_name(tmp_path):
    (tmp_path / "f.mp4").write_bytes(b"old")
    with atomic_path(tmp_path / "f.mp4") as name:
        assert name.endswith(".mp4") and os.path.dirname(name) == str(tmp_path)
        pathlib.Path(name).write_bytes(b"new")
        assert (tmp_path / "f.mp4").read_bytes() == b"old"
    assert (tmp_path / "f.mp4").read_bytes() == b"new"
    assert names_in(tmp_path) == ["f.mp4"]


def test_a_file_that_nobody_wrote(tmp_path):
    with pytest.raises(OutputError, match="f.mp4: could not be written"):
        with atomic_path(tmp_path / "f.mp4"):
            pass
