"""Files are written whole or not at all."""

import json
import os
import pathlib

import pytest

from minifer.errors import OutputError
from minifer.files import (atomic_path, atomic_write, check_target, csv_writer,
                           make_folder, remove_leftovers, write_bytes, write_json,
                           write_new, write_text)


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


# --- files that others open ---------------------------------------------------

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


# --- names, pipes, devices ------------------------------------------------------

LATIN = os.fsdecode(b"Zdj\xeacia")  # Polish, as it was written before Unicode


def test_a_name_in_an_old_encoding_is_written_out(tmp_path):
    """In JSON so that it comes back as it was."""
    (tmp_path / LATIN).mkdir()
    write_json(tmp_path / LATIN / "a.json", {"name": LATIN})
    write_text(tmp_path / "a.txt", LATIN)
    assert json.loads((tmp_path / LATIN / "a.json").read_text("utf-8")) == {
        "name": LATIN}
    assert (tmp_path / "a.txt").read_bytes() == b"Zdj\\udceacia"


def test_a_pipe_whose_reader_has_gone_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(BrokenPipeError):
        with atomic_write(tmp_path / "f"):
            raise BrokenPipeError(32, "Broken pipe")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("write", [write_text, check_target, write_new])
def test_a_device_or_a_pipe_is_left_as_it_is(tmp_path, write):
    """A rename over /dev/null, which root may do, would be its end."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", os.devnull):
        with pytest.raises(OutputError, match=f"{path}: could not be "):
            write(path, "x") if write is not check_target else write(path)
        assert not os.path.isfile(path)
    assert names_in(tmp_path) == ["fifo"]


def test_of_a_link_the_file_is_replaced_that_it_leads_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "f")
    check_target(tmp_path / "link")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "f").read_text() == "x"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="loop: could not be written .Too many"):
        write_text(tmp_path / "loop", "x")


@pytest.mark.parametrize("path", ["", "folder/", "folder", "file/f"])
def test_a_target_is_refused_before_the_work(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        check_target(path)


def test_a_target_is_proved_and_not_made(tmp_path):
    check_target(tmp_path / "new" / "f")
    assert names_in(tmp_path / "new") == []


def test_the_longest_name_can_be_written(tmp_path):
    write_text(tmp_path / ("ż" * 127), "x")
    assert names_in(tmp_path) == ["ż" * 127]


def test_what_is_there_is_never_written_over(tmp_path):
    write_new(tmp_path / "f", "zażółć")
    with pytest.raises(OutputError, match="f: could not be made .File exists"):
        write_new(tmp_path / "f", "other")
    assert (tmp_path / "f").read_text("utf-8") == "zażółć"


def test_a_full_disk_leaves_no_half_of_a_new_file(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="f: could not be made .No space"):
        write_new(tmp_path / "f", "x")
    assert names_in(tmp_path) == []


def test_leftovers_are_those_of_the_dead(tmp_path):
    """Another program may write the same file at this moment."""
    (tmp_path / ".f.0123abcd.tmp").touch()
    with atomic_write(tmp_path / "f") as file:
        file.write(b"alive")
        remove_leftovers(tmp_path / "f")
        assert len(names_in(tmp_path)) == 1
    assert names_in(tmp_path) == ["f"]
