"""Decoders in C are kept off the terminal, and what they say is heard."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers.tree import ROOT
from minifer.faces.quiet import SILENT, heard, quiet

cv2 = pytest.importorskip("cv2")


def damaged():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    return np.frombuffer(data[:1500] + data[1700:], np.uint8)


def decode():
    return cv2.imdecode(damaged(), cv2.IMREAD_COLOR)


def test_what_libjpeg_says_is_heard_and_not_shown(capfd):
    picture, words = heard(cv2, decode)
    assert picture.shape == (64, 64, 3)
    assert words.startswith("Corrupt JPEG data: ")
    assert heard(cv2, lambda: 7) == (7, "")
    with quiet(cv2):
        decode()
    assert capfd.readouterr().err == ""


def test_afterwards_all_is_as_it_was(capfd):
    heard(cv2, decode)
    decode()
    assert capfd.readouterr().err.startswith("Corrupt JPEG data")


def test_what_python_prints_meanwhile_is_shown(capfd):
    with quiet(cv2):
        os.write(2, b"of another thread")
    assert capfd.readouterr().err == "of another thread"


def test_an_error_puts_all_back(capfd):
    with pytest.raises(KeyboardInterrupt):
        with quiet(cv2):
            raise KeyboardInterrupt
    decode()
    assert capfd.readouterr().err.startswith("Corrupt JPEG data")


def test_the_log_level_of_opencv_is_put_back_when_threads_overlap():
    logging = getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.12 in cv2 itself
    warnings = 3
    before = logging.setLogLevel(warnings)
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with quiet(cv2):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(10)
    with quiet(cv2):
        pass
    assert logging.getLogLevel() == SILENT
    leave.set()
    thread.join()
    assert logging.setLogLevel(before) == warnings


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_amid_it_hears_and_speaks():
    program = """
import os, sys, threading, warnings
import cv2
sys.path.insert(0, "tests")
from minifer.faces.quiet import heard, quiet
from faces.test_quiet import decode
warnings.simplefilter("ignore")  # that a process with threads forks
inside, leave = threading.Event(), threading.Event()
def stay():
    with quiet(cv2):
        inside.set()
        leave.wait(10)
thread = threading.Thread(target=stay)
thread.start()
inside.wait(10)
child = os.fork()
if not child:
    heard(cv2, decode)
    decode()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave.set()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True,
                          text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "7\n", done.stderr
    assert done.stderr.startswith("Corrupt JPEG data") and done.stderr.count("\n") == 1
