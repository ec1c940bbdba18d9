"""A student's file that forks, forges, floods or is none: found out, and ended."""

import os
import sys
import time

import numpy as np
import pytest

from helpers.solutions import RELU, examine, run, spoil
from minifer import exercises
from minifer.errors import SettingError
from minifer.exercises import running
from minifer.exercises.channel import ForgedError, Receiver, Sender
from minifer.exercises.student import Student

FORKING = """
import os, time
if os.fork() == 0:
    {}
    while time.sleep(0.1) is None:
        open("alive", "w").write(str(time.monotonic()))
while not os.path.exists("alive"):
    time.sleep(0.01)
"""
on_posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@on_posix
@pytest.mark.parametrize("leave, end", [
    ("pass", ""), ("pass", "while True: pass"), ("os.setsid()", "os._exit(7)"),
    ("os.setsid(); os.fork() and os._exit(0)", ""),
    ("os.setsid(); os.fork() and os._exit(0)", "os._exit(7)")])
def test_all_that_a_file_has_started_is_ended(leave, end, tmp_path, monkeypatch):
    if leave != "pass" and not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc to find what has left the group")
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    limit = 2 if "while" in end else 60
    found = run(FORKING.format(leave) + RELU + end, tmp_path, limit)
    assert time.monotonic() - start < 60
    if end == "":
        assert all(f.passed for f in found) and len(found) == 8
    else:
        assert ("exit code 7" if "7" in end else "more than 2 s") in found[-1].text
    last = (tmp_path / "alive").read_text()
    time.sleep(0.3)
    assert (tmp_path / "alive").read_text() == last


@on_posix
def test_a_fork_that_goes_on_with_the_checks_tells_nothing(tmp_path):
    found = run("import os\nos.fork()\n" + RELU, tmp_path)
    assert len(found) == 8 and all(f.passed for f in found)


FORGERIES = {
    "every descriptor": """
import os
for line in (b'["finding", ["speed", true, ""]]\\n["end"]\\n',
             b"x" * 64 + b' [0, "end"]\\n'):
    for fd in range(3, 64):
        try: os.write(fd, line)
        except OSError: pass
""",
    "half a line": """
import os
for fd in range(3, 64):
    try: os.write(fd, b"half")
    except OSError: pass
""",
    "a long line": """
import os
for fd in range(3, 64):
    try: os.set_blocking(fd, False); [os.write(fd, b"x" * 60000) for _ in range(99)]
    except OSError: pass
""",
    "with the key": """
import gc, os, sys
places = [*os.environ.values(), *sys.argv, os.sys.stdin.read(), *vars(gc).values()]
with open("/proc/self/cmdline" if os.path.isdir("/proc/self") else os.devnull) as file:
    places.append(file.read())
raise KeyError("here" if any("K" * 32 in str(place) for place in places) else "no key")
"""}


@on_posix
@pytest.mark.parametrize("kind", FORGERIES)
def test_what_a_file_writes_is_no_result(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "new_key", lambda: b"K" * 32)
    wrong = spoil(RELU, ("return y, (x, y)", "return 2 * y, (x, y)"))
    found = run(FORGERIES[kind] + wrong, tmp_path, 5)
    assert not found[-1].passed
    assert found[0].check == "the file loads" and len(found) == 1
    assert ("descriptor that it has not opened" in found[0].text
            or "'no key'" in found[0].text or "more than 5 s" in found[0].text)


def test_results_come_from_the_sender_in_order():
    reading, writing = os.pipe()
    sender = Sender(writing, b"k" * 32)
    for text in "one", "two", "three":
        sender.send(text)
    os.close(writing)
    with open(reading, "rb") as pipe:
        one, two, three = pipe.read().splitlines()
    receiver = Receiver(b"k" * 32)
    assert receiver.read(one) == ["one"]
    for line in (one, three, b"", b" ", two + b" ", two[1:], b"[1, 2]", b"\xff"):
        with pytest.raises(ForgedError):
            receiver.read(line)
    assert receiver.read(two) == ["two"] and receiver.read(three) == ["three"]


@pytest.mark.parametrize("source, text", [
    ("import os\nos.closerange(0, 99)\nwhile True: pass\n", "more than 1 s"),
    ("import os\nos.closerange(0, 99)\nos._exit(3)\n", "exit code 3"),
    ("import signal\nsignal.raise_signal(signal.SIGTERM)\n", "SIGTERM"),
    ("raise KeyboardInterrupt\n", "line 1: KeyboardInterrupt"),
    ("class E(BaseException):\n    def __str__(self): raise self\nraise E\n",
     "line 3: E: it has no text"),
    ("raise ValueError('\\udc80 \\x1b[2J ' + 5000 * 'x')\n", "udc80 \\x1b[2J xx")])
def test_a_file_that_ends_oddly_is_told_in_a_line(source, text, tmp_path):
    finding, = run(source, tmp_path, 1)
    assert not finding.passed and text in finding.text, finding
    assert finding.text.isprintable() and len(finding.text) <= 1000


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_memory_and_written_files_have_limits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "student.py"
    path.write_text("import numpy\nx = numpy.empty(3 * 2**29, 'u1')\n" + RELU)
    finding, = exercises.run_file("relu", str(path), memory=1)
    assert "line 2: " in finding.text and "MemoryError" in finding.text
    assert all(f.passed for f in exercises.run_file("relu", str(path), memory=3))
    path.write_text("with open('large', 'wb') as f:\n    f.truncate(2**30)\n")
    finding, = exercises.run_file("relu", str(path))
    assert "File too large" in finding.text


def test_prints_have_a_limit(tmp_path, capsys):
    found = run("print('first')\nfor _ in range(3000): print(1000 * '-')\n" + RELU,
                tmp_path)
    assert all(f.passed for f in found)
    err = capsys.readouterr().err
    assert err.startswith("first\n") and len(err) < 1.1e6
    assert err.endswith("(it prints more than 1,000,000 bytes: the rest is cut)\n")


@pytest.mark.parametrize("result", [
    "[[1], [1, 2]]", "type('A', (), {'__array__': 1})()", "np.array(['a'])", "{}",
    "np.ma.masked_all(3)", "np.recarray((2,), [('a', int)])", "(x for x in ())"])
def test_whatever_a_function_returns_is_judged(result, tmp_path):
    last = examine("relu", spoil(RELU, ("return y, (x, y)", f"return {result}, x")),
                   tmp_path)[-1]
    assert not last.passed and last.text.isprintable()


@pytest.mark.parametrize("spoilt", ["relu_forward = max", "relu_forward = np.maximum",
                                    "relu_forward = print", "np.seterr(all='raise')"])
def test_whatever_a_file_does_is_judged(spoilt, tmp_path):
    with np.errstate():
        found = examine("relu", RELU + spoilt + "\n", tmp_path)
    assert found[-1].passed == ("seterr" in spoilt) and found[-1].text.isprintable()


def test_a_file_is_read_in_its_encoding(tmp_path):
    path = tmp_path / "student.py"
    for data in (b"\xef\xbb\xbf" + RELU.encode(), RELU.replace("\n", "\r\n").encode(),
                 b"# coding: latin-1\n# \xe9\n" + RELU.encode(),
                 b"# \xc3\xa9\n" + RELU.encode()):
        path.write_bytes(data)
        assert all(f.passed for f in exercises.exercise("relu").examine(str(path)))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(SettingError, match="fifo: .* got a device or a pipe"):
            list(exercises.run_file("relu", str(tmp_path / "fifo")))
    with pytest.raises(SettingError, match="Python file, got a folder"):
        Student(tmp_path).load()
    (tmp_path / "long.py").write_text("x = 1\n" * 200_000)
    with pytest.raises(SettingError, match="at most 1,000,000 bytes"):
        Student(tmp_path / "long.py").load()


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_a_file_that_python_cannot_read_is_told(error, tmp_path, monkeypatch):
    def fail(*args):
        raise error
    monkeypatch.setattr("ast.parse", fail)
    finding, = examine("relu", RELU, tmp_path)
    assert "nested too deeply" in finding.text
