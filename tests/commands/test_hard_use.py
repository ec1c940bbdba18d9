"""Odd names, full disks, readers that leave, two at once: nothing lost, one line."""

import contextvars
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import minifer
from helpers import runs
from minifer.commands import cli
from minifer.faces.images import write_png
from minifer.files import lock_folder, read_csv
from minifer.weights.model_file import save_model

#: Bytes of an old encoding, two signs between which matplotlib sees a formula, and an
#: order to clear the screen.
ODD = os.fsdecode(b"Zdj\xeacia $x_{$ \x1b[2J")
SHOWN = r"Zdj\udceacia $x_{$ \x1b[2J"


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A data set in a folder with such a name, and a network that learns at once."""
    monkeypatch.setenv("MINIFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(minifer.models, "ck96", lambda num_classes: runs.network(
        classes=num_classes, size=96))
    (tmp_path / ODD).mkdir()
    runs.write_ck(tmp_path / ODD)
    return tmp_path / ODD


def of(folder):
    """The options that name its data."""
    return "--images", folder / "images", "--labels", folder / "labels"


def train(folder, *more):
    return runs.minifer("train", "ck", *of(folder), "--faces", "whole", "--batch", 4,
                        "--epochs", 1, "--out", folder / "out", *more)


def test_odd_names_lose_nothing(odd):
    """Training, eval and compare, their reports, tables and pictures."""
    told = train(odd)
    assert told.code == 0 and f"{SHOWN}/out/report.md holds the report" in told.out
    model = odd / "out" / "model.npz"
    told = [told, runs.minifer("eval", "--model", model, *of(odd), "--out", odd / "ev"),
            runs.minifer("compare", model, model, *of(odd), "--out", odd / "cmp")]
    for one in told:
        assert one.code == 0, one
        one.out.encode("utf-8")
        assert "\x1b" not in one.out + one.err
    for name in ("out/report.md", "out/report.html", "ev/report.html",
                 "cmp/compare.md"):
        text = (odd / name).read_text("utf-8")
        assert SHOWN in text and "\x1b" not in text
    settings = json.loads((odd / "out" / "run.json").read_text("utf-8"))["settings"]
    assert settings["images"] == str(odd / "images")
    header, first, *_ = read_csv(odd / "ev" / "predictions.csv")
    assert first[0].startswith(str(odd)) and header[0] == "path"


def test_a_report_that_cannot_be_written_is_known_before_the_training(odd):
    (odd / "out" / "report.html").mkdir(parents=True)
    told = train(odd)
    assert told.code == 2 and "report.html: could not be written" in told.err
    assert "finding faces" not in told.err


def test_who_reads_the_result_may_leave_before_it_is_there(odd, monkeypatch):
    """All is written before the first word of it is printed."""
    class Gone:
        def write(self, text):
            if "accuracy" in text:
                raise BrokenPipeError(32, "Broken pipe")

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "ck", *map(str, of(odd)), "--faces", "whole", "--batch", "4",
                  "--epochs", "1", "--out", str(odd / "out")])
    assert end.value.code == 141
    assert {"report.md", "report.html", "run.json"} <= set(os.listdir(odd / "out"))


@pytest.mark.parametrize("command", [
    ("train", "ck"), ("train", "ck", "--resume"), ("search", "--trials", "2"),
    ("eval", "--model", "m.npz"), ("compare", "m.npz", "m.npz"),
    ("data", "audit", "x")])
def test_a_folder_in_use_is_left_to_who_uses_it(tmp_path, command):
    """Of another thread here; tests/files has other processes, and kills."""
    with lock_folder(tmp_path):
        (tmp_path / ".checkpoint.npz.01234567.tmp").touch()
        told = contextvars.Context().run(
            runs.minifer, *command, "--out", tmp_path)
    assert told.code == 2 and told.err.count("\n") == 1
    assert "another run of minifer is at work in this folder" in told.err
    assert os.listdir(tmp_path) == [".checkpoint.npz.01234567.tmp"]


# --- what is printed ------------------------------------------------------------

def started(*words, **streams):
    return subprocess.Popen([sys.executable, "-m", "minifer", *map(str, words)],
                            env=runs.environment(PYTHONPATH=str(runs.TESTS.parent)),
                            **streams)


@pytest.fixture
def photos(tmp_path):
    """Photos without a face, and a model."""
    save_model(tmp_path / "m.npz", runs.model(runs.network()))
    (tmp_path / "p").mkdir()
    for name in ("=1+1", "\x1b[2J", "two\nlines", os.fsdecode(b"\xea")):
        write_png(tmp_path / "p" / f"{name}.png", np.full((48, 48), 99, np.uint8))
    return tmp_path


@pytest.mark.parametrize("full", [False, True])
def test_a_table_is_whole_though_nobody_reads_what_is_printed(photos, full):
    words = "predict", photos / "p", "--model", photos / "m.npz", "--csv", "t.csv"
    with open("/dev/full", "wb") as disk:
        with started(*words, stdout=disk if full else subprocess.PIPE, cwd=photos,
                     stderr=subprocess.PIPE) as process:
            if not full:
                process.stdout.close()
            err = process.stderr.read().decode()
    assert (process.returncode, err) == (
        (2, "error: standard output could not be written (No space left on device).\n")
        if full else (141, ""))
    names = [row[0] for row in read_csv(photos / "t.csv")[1:]]
    assert sorted(map(os.path.basename, names)) == sorted(os.listdir(photos / "p"))


def test_names_are_shown_and_not_sent(photos):
    told = runs.minifer("predict", photos / "p", "--model", photos / "m.npz")
    assert r"/\x1b[2J.png: " in told.out and r"/two\nlines.png: " in told.out
    assert told.out.count("\n") == 5 and "\x1b" not in told.out
    told = runs.minifer("predict", "\x1b[2J\r\n.png", "--model", photos / "m.npz",
                        "--json")
    assert "\x1b" not in told.err and r"error: \x1b[2J\r\n.png: no such" in told.err
    assert runs.minifer("eval", "\x1b[2J").err.count("\x1b") == 0


@pytest.mark.parametrize("words", [("--help",), ("doctor", "--help"), ("--version",)])
def test_help_on_a_full_disk(words):
    with open("/dev/full", "wb") as disk:
        with started(*words, stdout=disk, stderr=subprocess.PIPE) as process:
            err = process.stderr.read()
    assert process.returncode == 2 and err.count(b"\n") == 1


def test_a_program_without_streams_ends_as_it_should(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: print("x") or 3)
    assert end.value.code == 3


def test_a_log_on_a_full_disk_stops_nothing(monkeypatch):
    with open("/dev/full", "w", buffering=1) as disk:
        monkeypatch.setattr(sys, "stderr", disk)
        cli.run(lambda: print("epoch 1", file=sys.stderr, flush=True))


def test_a_file_that_nobody_expected_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: open(tmp_path / "none"))
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'none'}: No such file or directory.\n")


# --- Ctrl-C ---------------------------------------------------------------------

@pytest.mark.parametrize("module, said", [("minifer.errors", ""),
                                          ("numpy", "stopped\n")])
def test_ctrl_c_while_it_is_imported(module, said):
    program = f"""
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["minifer", "doctor"]
from minifer.__main__ import main
main()
"""
    told = runs.process("-c", program, PYTHONPATH=str(runs.TESTS.parent))
    assert told == (130, "", said)


# --- options --------------------------------------------------------------------

@pytest.mark.parametrize("words", [
    ("train", "ck", "--out", ""), ("train", "ck", "--weights="),
    ("search", "--out", ""), ("predict", "p.png", "--model", ""), ("predict", ""),
    ("eval", "--model", ""), ("eval", "--model", "m", "--data", "a", ""),
    ("show", "filters", "--model", "m", "--out", ""),
    ("data", "faces", "p", "--out", ""), ("check", "conv", "--template", "")])
def test_empty_values(words):
    told = runs.minifer(*words)
    assert told.code == 2 and told.err.count("\n") == 1
    assert "expected a value, got an empty one" in told.err
    options = [word.partition("=")[0] for word in words if word[:2] == "--"]
    assert (options or ["paths"])[-1] in told.err


@pytest.mark.parametrize("words", [
    ("predict", "p.png"), ("train", "ck"), ("eval", "--model", "m.npz"),
    ("compare", "a.npz", "b.npz"),
    ("show", "filters", "--model", "m.npz", "--out", "x"),
    ("webcam",), ("search",), ("gradcheck",)])
def test_threads_are_looked_at_before_the_work(monkeypatch, words):
    monkeypatch.setenv("MINIFER_NUM_THREADS", "²")
    told = runs.minifer(*words)
    assert told.code == 2 and told.out == ""
    assert told.err.startswith("error: MINIFER_NUM_THREADS: ")


@pytest.mark.parametrize("number", [-1, 100, 200, 10 ** 20])
def test_no_such_number_of_a_camera(number):
    told = runs.minifer("webcam", "--camera", number)
    assert told.code == 2 and f"a number from 0 to 99, got {number}" in told.err


@pytest.mark.parametrize("words", [
    ("predict", "p.png", "--csv"), ("predict", "p.png", "--out"),
    ("show", "filters", "--model", "m.npz", "--out"), ("webcam", "--record"),
    ("check", "conv", "--template"), ("check", "conv")])
def test_a_pipe_is_refused_as_a_file(tmp_path, words):
    path = tmp_path / "fifo.png"
    os.mkfifo(path)
    told = runs.minifer(*words, path)
    assert told.code == 2 and told.err.count("\n") == 1 and "fifo.png: " in told.err
    assert os.listdir(tmp_path) == ["fifo.png"]


def test_a_template_on_a_full_disk(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", fail)
    told = runs.minifer("check", "conv", "--template", tmp_path / "conv.py")
    assert told.code == 2 and "could not be made (No space" in told.err
    assert os.listdir(tmp_path) == []
