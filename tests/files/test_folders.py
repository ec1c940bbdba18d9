"""Folders: one program at a time, whole or not at all."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from helpers import runs
from minifer.errors import DatasetError, OutputError
from minifer.files import (hold_folder, lock_folder, new_folder, release_folders,
                           write_text)


def names_in(folder):
    return sorted(os.listdir(folder))


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


def test_a_link_to_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new_folder(tmp_path / "link") as new:
        write_text(os.path.join(new, "f"), "x")
    assert (tmp_path / "link").is_symlink() and names_in(tmp_path / "real") == ["f"]


def test_two_who_make_one_folder(tmp_path):
    with new_folder(tmp_path / "folder"):
        with pytest.raises(OutputError, match="folder: another run"):
            with new_folder(tmp_path / "folder"):
                pass
    assert names_in(tmp_path) == ["folder"]


# --- locks ----------------------------------------------------------------------

HOLD = """
import sys
from minifer.files import lock_folder
with lock_folder(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_ends_the_lock(tmp_path, sign):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path],
                          env=runs.environment(PYTHONPATH=str(runs.TESTS.parent)),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(OutputError, match="another run of minifer is at work"):
            with lock_folder(tmp_path):
                pass
        other.send_signal(sign)
        other.wait(timeout=30)
    with lock_folder(tmp_path):
        pass
    assert names_in(tmp_path) == []


def test_who_has_the_lock_may_call_others_that_want_it(tmp_path):
    (tmp_path / "link").symlink_to(".")
    with lock_folder(tmp_path), lock_folder(tmp_path / "link"):
        pass
    assert names_in(tmp_path) == ["link"]


def test_another_thread_may_not(tmp_path):
    said = []

    def other():
        try:
            with lock_folder(tmp_path):
                pass
        except OutputError as error:
            said.append(str(error))

    with lock_folder(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(said) == 1 and "another run" in said[0]


def test_a_folder_is_held_until_the_command_has_ended(tmp_path):
    (tmp_path / "report.md").mkdir()
    with pytest.raises(OutputError, match="report.md: could not be written .there is"):
        hold_folder(tmp_path, ["report.md"])
    hold_folder(tmp_path, ["other.md"])
    assert len(names_in(tmp_path)) == 2
    release_folders()
    assert names_in(tmp_path) == ["report.md"]
