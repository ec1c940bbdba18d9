"""Every lesson runs from top to bottom, quickly and quietly, and ends in exercises."""

import os
import re
import subprocess
import sys

import pytest

from helpers import runs

#: The exercise's name in ``minifer check NAME FILE``.
CHECK = re.compile(r"minifer check ([a-z]\w*)(?= \w+\.py)")
LESSONS = sorted((runs.TESTS.parent / "docs" / "lessons").glob("plot_*.py"))


def names(path):
    return path.stem.removeprefix("plot_")


def test_the_lessons_are_numbered_without_gaps():
    numbers = [int(names(path).split("_")[0]) for path in LESSONS]
    assert numbers == list(range(1, len(LESSONS) + 1)) and len(LESSONS) >= 5


@pytest.mark.parametrize("path", LESSONS, ids=names)
def test_a_lesson_runs_quickly_and_quietly(path, tmp_path):
    """Elsewhere, without a screen; what it asserts is tested with it.

    Seconds where nobody else is at work; a slow processor that others use too may take
    minutes.
    """
    env = {**os.environ, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "default"}
    env.pop("DISPLAY", None)
    done = subprocess.run([sys.executable, path], cwd=tmp_path, env=env, text=True,
                          encoding="utf-8", capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.strip()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", LESSONS, ids=names)
def test_a_lesson_ends_in_exercises_and_asserts_what_it_says(path):
    text = path.read_text("utf-8")
    number = names(path).split("_")[0]
    assert text.startswith(f'r"""\n{number}. ') or text.startswith(f'"""\n{number}. ')
    *_, exercises = text.split("# Exercises\n# -----")
    assert exercises != text and 2 <= len(re.findall(r"^# \d\. ", exercises, re.M)) <= 4
    assert "# %%" not in exercises and "\nassert " in text


def test_exercises_name_checks_that_exist():
    checks = pytest.importorskip("minifer.exercises", reason="no minifer.exercises yet")
    text = " ".join(path.read_text("utf-8").replace("\n#", "") for path in LESSONS)
    named = set(CHECK.findall(text))
    assert {"dense", "conv", "adam"} <= named <= set(checks.EXERCISES)
