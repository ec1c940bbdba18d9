"""examples/reproduce.py: the right command lines, run whole, and an honest row."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from helpers import runs


def reproduce(*words):
    return runs.process(runs.EXAMPLES / "reproduce.py", *words)


def cells(text):
    """The last row of a Markdown table."""
    return [cell.strip() for cell in text.strip().splitlines()[-1].split("|")[1:-1]]


def test_an_experiment_runs_end_to_end_and_prints_its_row_again(
        folders, tmp_path):  # noqa: F811
    words = ("r-model1", "--data", folders, "--out", tmp_path, "--seed", "3")
    first = reproduce(*words)
    assert first.code == 0, first.err
    record = json.loads((tmp_path / "r-model1" / "run.json").read_text())
    system, what, then, now, n, protocol, seed, epochs, minutes = cells(first.out)
    assert (system, what, then, n, seed) == ("R", "model 1", "20.01 %", "21", "3")
    assert float(now.split("%")[0]) == pytest.approx(
        100 * record["results"]["accuracy"], abs=0.005)
    assert "looked at once" in protocol and "seed 3" in protocol
    assert int(epochs) == record["training"]["epochs"] == 10
    assert int(minutes) == round(record["training"]["seconds"] / 60)
    assert (tmp_path / "r-model1" / "row.md").read_text().strip() in first.out
    # What it ran is printed first, and is what the run wrote down.
    command = first.out.splitlines()[0]
    assert command.startswith("$ python examples/train_fer2013.py --data")
    assert "--model r1 --epochs 10 --schedule cosine --flip" in command
    assert "--last-batch keep" in command and "--seed 3" in command
    again = reproduce(*words, "--resume")
    assert again.code == 0, again.err
    assert cells(again.out) == cells(first.out)
    assert "epoch 1/10" in first.out + first.err
    assert "epoch 1/10" not in again.out + again.err  # nothing was trained


def test_every_experiment_is_a_command_line_that_its_script_takes():
    listed = reproduce("--list").out
    program = f"""
import os, sys
sys.path.insert(0, {str(runs.EXAMPLES)!r})
import reproduce
from minifer.commands.cli import ArgumentParser
from minifer.runs import CK, FER2013, Transfer
for name, one in reproduce.EXPERIMENTS.items():
    args = reproduce.parse([name] + [w for n in one.needs for w in ("--" + n, "x")])
    given = reproduce.words(args, name, False)
    assert os.path.exists(os.path.join(sys.path[0], one.script + ".py"))
    experiment = dict(train_ck=CK, train_fer2013=FER2013, train_transfer=Transfer)
    found = experiment[one.script].parse(given, ArgumentParser())
    assert found.seed == 0 and found.out.endswith(name), name
    print(name)
"""
    found = runs.process("-c", program)
    assert found.code == 0, found.err
    for name in found.out.split():
        assert re.search(rf"^{name} ", listed, re.MULTILINE)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """As ``folders``, with 3 training images and a public test image of a class."""
    return runs.write_fer(tmp_path_factory.mktemp("few") / "fer2013", 3, 1)


def who_is_at_work(folder):
    """The process that has locked a folder; None if there is none."""
    lock = str(folder / ".minifer-lock")
    for one in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(one) == lock:
                return int(one.parts[2])
        except OSError:
            pass  # it has ended


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc here")
def test_nothing_is_lost_when_one_of_several_is_killed(few, tmp_path):
    words = ("f-fcn", "r-model1", "--data", few, "--out", tmp_path, "--jobs", 2)
    (tmp_path / "f-fcn").mkdir()  # without --resume no earlier run is gone on with
    (tmp_path / "f-fcn" / "checkpoint.npz").write_bytes(b"of an earlier run")
    both = subprocess.Popen(
        [sys.executable, *map(str, (runs.EXAMPLES / "reproduce.py", *words))],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while not (tmp_path / "r-model1" / "checkpoint.npz").exists():
            assert both.poll() is None, both.communicate()
            time.sleep(0.02)
        os.kill(who_is_at_work(tmp_path / "r-model1"), signal.SIGKILL)
        out, err = both.communicate(timeout=100)
    finally:
        both.kill()
    assert both.returncode == 2
    assert err.splitlines()[-1] == (
        "error: 1 of 2 experiments did not end: r-model1: its process died with exit "
        "code -9. Mend that, and go on with --resume.")
    first = (tmp_path / "f-fcn" / "row.md").read_text()
    assert out == first and cells(out)[1] == "fully convolutional net"

    resumed = reproduce(*words, "--resume")
    assert resumed.code == 0, resumed.err
    assert "continuing after" in (tmp_path / "r-model1" / "log.txt").read_text()
    assert resumed.out == first + (
        tmp_path / "r-model1" / "row.md").read_text().splitlines()[-1] + "\n"
    record = json.loads((tmp_path / "r-model1" / "run.json").read_text())
    assert record["training"]["epochs"] == 10


@pytest.mark.parametrize("words, said", [
    (("a-six", "a-six", "--data", "x"), "a-six: expected it once"),
    (("a-six", "a-mlp"), "a-six: expected --data"),
    (("a-six", "--data", "x", "--workers", 2), "--workers: it is of --runner dask"),
    ((), "expected the NAME of an experiment, or --list"),
    (("b-net",), "invalid choice: 'b-net'"),
    (("a-six",), "a-six: expected --data"),
    (("s-resnet50", "--data", "x"), "s-resnet50: expected --weights"),
    (("a-six", "--data", "nowhere.csv"), "nowhere.csv")])
def test_wrong_use_takes_one_line(words, said, tmp_path):
    found = reproduce(*words, "--out", tmp_path)
    assert found.code == 2
    assert said in found.err and len(found.err.strip().splitlines()) == 1
