"""minifer gui, where no window can be opened: one line, and what to do."""

import sys

import pytest

from minifer.commands import cli


def gui(capsys, *words):
    with pytest.raises(SystemExit) as end:
        cli.main(["gui", *words])
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return end.value.code, err


def test_without_tkinter(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    code, line = gui(capsys, "photo.jpg")
    assert code == 1
    assert line.startswith("error: The window needs tkinter")
    assert "apt-get install python3-tk" in line


@pytest.mark.parametrize("display", ["", ":99999"])
def test_without_a_display(capsys, monkeypatch, display):
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    monkeypatch.setenv("DISPLAY", display)
    code, line = gui(capsys)
    assert code == 1
    assert line.startswith("error: The window needs a display")
    assert "DISPLAY=:0" in line


@pytest.mark.parametrize("words, expected", [
    (("--scale", "9"), "scale: expected 0.5 to 4"), (("--scale", "nan"), "0.5 to 4"),
    (("--device", "abacus"), "--device"), (("--models",), "--models"),
    (("a.png", "b.png"), "b.png")])
def test_wrong_options(capsys, words, expected):
    code, line = gui(capsys, *words)
    assert code == 2 and expected in line
