"""How fast is minifer here? minifer bench [--against torch] [options].

Times training steps and inference, on random data, and compares with PyTorch, ONNX
Runtime and OpenVINO where they are installed. This is the script
examples/bench/bench.py of a checkout, in a process of its own.
"""

import os
import pathlib
import signal
import subprocess
import sys

from ..errors import BackendUnavailable

#: Runs a script like a command: Ctrl-C while it imports is said in a word, too.
START = """
import runpy, sys
from minifer.commands.cli import run
del sys.argv[0]
sys.path.insert(0, __import__("os").path.dirname(sys.argv[0]))
run(lambda: runpy.run_path(sys.argv[0], run_name="__main__"))
"""
ROOT = pathlib.Path(__file__).resolve().parents[2]


def script(argv, parser):
    """Run it; return its exit code."""
    path = ROOT / "examples" / "bench" / "bench.py"
    if not path.is_file():
        raise BackendUnavailable(
            f"bench: expected a checkout of minifer with {path.relative_to(ROOT)}, got "
            "an installed package without it. Clone the repository, and run `pip "
            "install -e .` there.")
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
            [sys.executable, "-c", START, path, *argv],
            env=os.environ | {"PYTHONPATH": search, "MINIFER_PROG": parser.prog}) as it:
        try:
            code = it.wait()
        except KeyboardInterrupt:  # a terminal has told the script, too
            code = _end(it)
    return code if code >= 0 else 128 - code  # as a shell says it of a signal


def _end(process):
    """Wait for a process that heard Ctrl-C; tell it if it did not."""
    try:
        return process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()
