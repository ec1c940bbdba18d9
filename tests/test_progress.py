"""Progress: a bar on a terminal, whole lines elsewhere, nothing without a console."""

import io
import sys

import pytest

from helpers import runs
from minifer.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, total, enabled=True):
    """What a stream holds after a task of ``total`` steps."""
    report = Progress(enabled, stream).callback("reading")
    for done in range(1, total + 1):
        report(done, total)
    return stream.getvalue()


def test_a_pipe_gets_whole_lines_now_and_then():
    assert shown(io.StringIO(), 100).splitlines() == [
        f"reading: {done}/100" for done in (25, 50, 75, 100)]
    assert shown(io.StringIO(), 1) == "reading: 1/1\n"
    text = shown(io.StringIO(), 1003)
    assert text.endswith("reading: 1003/1003\n") and len(text.splitlines()) <= 5
    assert "\r" not in text and "\x1b" not in text


def test_a_terminal_gets_a_bar_that_leaves_no_trace():
    text = shown(Terminal(), 3)
    assert "reading:   0%" in text
    assert text.endswith("\r") and "\n" not in text


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_quiet_is_quiet(stream):
    stream = stream()
    assert shown(stream, 4, enabled=False) == ""
    Progress(False, stream).line("words")
    with Progress(False, stream).bar(3, "epoch") as bar:
        bar.update(1)
    assert stream.getvalue() == ""


def test_a_bar_is_silent_in_a_pipe():
    stream = io.StringIO()
    with Progress(stream=stream).bar(3, "epoch") as bar:
        bar.update(3)
    assert stream.getvalue() == ""


def test_a_program_without_a_console(monkeypatch):
    """pythonw and windowed programs have no standard error at all."""
    monkeypatch.setattr(sys, "stderr", None)
    progress = Progress()
    progress.line("nobody hears it")
    progress.callback("reading")(1, 1)


def test_bars_leave_no_semaphore_behind():
    """A process that is ended before its time could not give it back."""
    told = runs.process("-c", """
import multiprocessing
import multiprocessing.resource_tracker as tracker
multiprocessing.set_start_method("spawn")  # as in the processes of a search
from minifer.progress import Progress
with Progress().bar(3, "x") as bar:
    bar.update(1)
print(tracker._resource_tracker._fd)
""", PYTHONPATH=str(runs.TESTS.parent))
    assert told.out == "None\n"


def test_a_name_that_would_control_the_terminal_is_shown(capsys):
    Progress(stream=sys.stderr).line("\x1b[2J\udcea")
    assert capsys.readouterr().err == "\\x1b[2J\\udcea\n"
