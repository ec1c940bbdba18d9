"""What all commands share: exit codes, pipes, help, no need of examples/."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from helpers import runs
from minifer.commands import bench, cli, gradcheck
from minifer.errors import ShapeError
from minifer.layers import DenseLayer, InputLayer
from minifer.nonlinearities import tanh


def ended(main):
    """How ``run`` ends, and what it says."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            cli.run(main)
        except SystemExit as end:
            return end.code, err.getvalue()
    return 0, err.getvalue()


def raising(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize("main, expected", [
    (lambda: None, (0, "")), (lambda: 1, (1, "")), (lambda: True, (0, "")),
    (raising(ShapeError("expected\n  this.")), (2, "error: expected this.\n")),
    (raising(KeyboardInterrupt()), (130, "stopped\n")),
    (raising(KeyboardInterrupt("saved.")), (130, "saved.\n"))],
    ids=["none", "one", "a bool", "ours", "ctrl-c", "ctrl-c with words"])
def test_exit_codes(main, expected):
    assert ended(main) == expected


def test_a_bug_is_no_user_error():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)


def test_a_reader_that_leaves_is_no_error():
    """``minifer doctor | head -0``: the pipe is closed before anything is said."""
    with subprocess.Popen([sys.executable, "-m", "minifer", "doctor"],
                          env=runs.environment(PYTHONPATH=str(runs.TESTS.parent)),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_help_shows_defaults_where_they_say_something():
    parser = cli.ArgumentParser(prog="x")
    parser.add_argument("--out", default="runs", help="a folder")
    parser.add_argument("--data", help="a table")
    parser.add_argument("--flip", action="store_true", help="mirror")
    parser.add_argument("--epochs", default=0, help="passes")
    text = " ".join(parser.format_help().split())
    assert "a folder (default: runs)" in text and "passes (default: 0)" in text
    assert text.count("default") == 2


def script_ended(*words):
    """How a script ends that has two options, and what it was called with."""
    called = []

    def main(epochs=30, out_folder="runs/story"):
        """Train, and draw.

        At length.
        """
        called.append((epochs, out_folder))
        return called  # no exit code

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.run_script(main, list(words))
        except SystemExit as end:
            code = end.code
    return code, called, out.getvalue(), err.getvalue()


def test_a_script_s_options_are_the_parameters_of_its_main():
    assert script_ended() == (0, [(30, "runs/story")], "", "")
    words = ["--epochs", "2", "--out-folder", "here"]
    assert script_ended(*words) == (0, [(2, "here")], "", "")
    code, called, told, _ = script_ended("--help")
    assert (code, called) == (0, []) and "Train, and draw." in told
    assert "(default: 30)" in told and "At length" not in told


@pytest.mark.parametrize("words, expected", [
    (["--epochs", "0"], "--epochs: expected a whole number >= 1, got 0."),
    (["--epochs", "1.5"], "invalid int value"), (["--steps", "1"], "unrecognized"),
    (["--out-folder", ""], "--out-folder: expected a value, got an empty one")])
def test_a_script_refuses_other_options_in_a_line(words, expected):
    code, called, told, error = script_ended(*words)
    assert (code, called, told) == (2, [], "")
    assert expected in error and error.count("\n") == 1


def test_options_are_not_abbreviated():
    parser = cli.ArgumentParser(prog="x")
    parser.add_argument("--epochs")
    assert ended(lambda: parser.parse_args(["--epo", "3"])) == (
        2, "x: error: unrecognized arguments: --epo 3. See --help.\n")


def test_the_version():
    assert runs.minifer("--version").out.startswith("minifer ")


@pytest.mark.parametrize("right, code", [(True, 0), (False, 1)])
def test_gradcheck_ends_with_1_if_a_gradient_is_wrong(monkeypatch, right, code):
    report = SimpleNamespace(ok=right)
    monkeypatch.setattr(gradcheck, "layers", lambda: [])
    monkeypatch.setattr(gradcheck.gradcheck, "check", lambda *_, **options: report)
    assert runs.minifer("gradcheck").code == code


@pytest.mark.parametrize("right", [True, False])
def test_gradcheck_for_machines(monkeypatch, right):
    """A backward pass that takes tanh for the identity is found, and named."""
    network = DenseLayer(InputLayer((None, 3)), 2, nonlinearity=tanh, name="dense")
    monkeypatch.setattr(gradcheck, "layers", lambda: [("one", network)])
    monkeypatch.setattr(gradcheck.models, "ck96", lambda: network)
    if not right:
        monkeypatch.setattr(type(network.nonlinearity), "backward",
                            lambda self, dy, cache: dy)
    outcome = runs.minifer("gradcheck", "--json")
    told = json.loads(outcome.out)
    assert (outcome.code, told["ok"]) == (0, True) if right else (1, False)
    assert [one["title"] for one in told["checks"]] == [
        "one", "the headline network, ck96"]
    rows = {row["name"]: row for row in told["checks"][0]["rows"]}
    assert rows["dense.W"]["verdict"] == ("ok" if right else "WRONG")
    assert rows["dense.W"]["shape"] == [3, 2] and rows["dense.b"]["probes"] == 2


BENCH = """
import os, signal, sys
print(os.environ["MINIFER_PROG"], *sys.argv[1:], flush=True)
signal.pause() if sys.argv[1] == "wait" else sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout whose bench does next to nothing."""
    path = tmp_path / "examples" / "bench" / "bench.py"
    path.parent.mkdir(parents=True)
    path.write_text(BENCH)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    return path


@pytest.mark.parametrize("code, told", [(0, 0), (2, 2), (130, 130)])
def test_bench_is_the_script_and_ends_as_it_does(checkout, capfd, code, told):
    parser = cli.ArgumentParser(prog="minifer bench")
    assert bench.script([str(code), "--net", "tiny"], parser) == told
    assert capfd.readouterr().out == f"minifer bench {code} --net tiny\n"


def test_ctrl_c_ends_the_bench_too(checkout):
    """It has heard it, or is told; nothing is left running."""
    program = f"""
import pathlib
from minifer.commands import bench, cli
bench.ROOT = pathlib.Path({str(checkout.parents[2])!r})
cli.run(lambda: bench.script(["wait"], cli.ArgumentParser(prog="minifer bench")))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE,
                          env=runs.environment(PYTHONPATH=str(runs.TESTS.parent)),
                          stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"minifer bench wait\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 130
            assert process.stdout.read() == b""  # the script is gone, the pipe closed
        finally:
            process.kill()


def test_bench_without_a_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    code, text = ended(lambda: bench.script([], cli.ArgumentParser()))
    assert code == 2 and "expected a checkout" in text and text.count("\n") == 1


@pytest.mark.parametrize("words", [("train", "ck"), ("train", "fer2013"), (
    "train", "transfer"), ("search",), ("gradcheck",), ("bench",)])
def test_a_script_says_that_it_is_the_command(words):
    outcome = runs.minifer(*words, "--bogus")
    assert outcome.code == 2
    assert outcome.err.startswith(f"minifer {' '.join(words)}: error: ")


def test_no_command_looks_into_examples():
    """But for bench, which starts a script there."""
    program = """
import sys
from minifer.commands import COMMANDS, cli, command
for name in COMMANDS:
    command(name)
print([path for path in sys.path if "examples" in path],
      [name for name, module in sys.modules.items()
       if "/examples/" in str(getattr(module, "__file__", ""))])
"""
    found = runs.process("-c", program, PYTHONPATH=str(runs.TESTS.parent))
    assert found.out == "[] []\n"
