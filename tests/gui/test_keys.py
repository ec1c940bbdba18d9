"""The command ``minifer gui`` as somebody runs it, with a real keyboard."""

import os
import subprocess
import sys
import time

import pytest

from helpers import display, gui_models, runs

pytestmark = pytest.mark.skipif(bool(display.missing()), reason=display.missing())


def xdotool(screen, *words):
    subprocess.run(["xdotool", *words], env=os.environ | {"DISPLAY": screen},
                   check=True, timeout=30, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(not display.has("xdotool"), reason="no xdotool")
def test_the_command(tmp_path):
    screen, models = display.screen(), gui_models.save_models(tmp_path)
    photo = gui_models.save_photo(tmp_path / "two.png", gui_models.two_people())
    window = subprocess.Popen(
        [sys.executable, "-m", "minifer", "gui", photo, "--models", *models],
        env=runs.environment(DISPLAY=screen), cwd=runs.TESTS.parent,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        xdotool(screen, "search", "--sync", "--name", "two.png - minifer")
        xdotool(screen, "key", "ctrl+e")
        xdotool(screen, "search", "--sync", "--onlyvisible", "--name",
                "Export the table")
        time.sleep(1)  # it takes keys a little later; nothing tells from outside
        xdotool(screen, "key", "ctrl+slash")  # select all
        xdotool(screen, "type", str(tmp_path / "typed.csv"))
        xdotool(screen, "key", "Return")
        end = time.monotonic() + 30
        while window.poll() is None and time.monotonic() < end:
            xdotool(screen, "key", "ctrl+q")  # what is being written is still finished
            time.sleep(0.5)  # as long as the dialog is there, it takes the keys
        out, _ = window.communicate(timeout=1)
    finally:
        window.kill()
    assert (window.returncode, out) == (0, "")
    assert len((tmp_path / "typed.csv").read_text().splitlines()) == 1 + 2 * 18
