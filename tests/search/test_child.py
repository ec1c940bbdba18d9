"""A trial in a child: it ends with its parent, or when it hears nothing of it."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from helpers import sabotage, searches
from helpers.processes import ended, wait_for
from minifer.search.child import Job, run_job

BEST = {"lr": .002, "epochs": 35, "batch": 64, "rotation": 8}


def job(objective, settings=BEST, folder="/nowhere", patience=30):
    return Job(pickle.dumps(objective), settings, folder, patience)


def test_a_child_scores_as_its_parent_does(capfd):
    outcome = run_job(job(searches.talkative), 1, lambda: True)
    assert outcome.score == searches.hill(BEST) and outcome.reason is None
    assert capfd.readouterr().err == "tried\n"  # its output is not taken for a score


def test_its_threads_and_its_folder(tmp_path):
    assert run_job(job(searches.threads), 3, lambda: True).score == 3
    there = job(sabotage.Steps(".", 0), folder=str(tmp_path))
    assert run_job(there, 1, lambda: True).score == searches.hill(BEST)
    assert len(list(tmp_path.glob("*.log"))) == 1


def test_failures_are_outcomes():
    died = run_job(job(searches.deadly, BEST | {"batch": 128}), 1, lambda: True)
    assert died[:2] == (None, "its process died with exit code 7")
    raised = run_job(job(searches.cliff, BEST | {"lr": .05}), 1, lambda: True)
    assert raised[:2] == (None, "FloatingPointError: the loss is NaN")
    strange = run_job(Job(b"no pickle", BEST, ".", 30), 1, lambda: True)
    assert strange.score is None and "UnpicklingError" in strange.reason


def test_a_child_that_is_killed_is_an_outcome_unless_its_parent_is_to_end():
    killed = job(searches.suicidal)
    outcome = run_job(killed, 1, lambda: True)
    assert outcome[:2] == (None, "its process died with exit code -9")
    assert run_job(killed, 1, lambda: False) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_not_wanted_any_more_ends(tmp_path):
    answers = iter([True, True])

    def wanted():
        return next(answers, False)

    assert run_job(job(searches.Waiting(str(tmp_path))), 1, wanted) is None
    assert all(map(ended, tmp_path.iterdir()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_ends_with_its_parent_or_after_silence(sign, tmp_path):
    program = ("from helpers import searches; from minifer.search.child import *; "
               "import pickle; run_job(Job(pickle.dumps(searches.Waiting("
               f"{str(tmp_path)!r})), {{}}, '.', 1.), 1, lambda: True)")
    path = os.pathsep.join([str(searches.TESTS), str(searches.TESTS.parent)])
    parent = subprocess.Popen([sys.executable, "-c", program],
                              env=os.environ | {"PYTHONPATH": path})
    try:
        wait_for(lambda: list(tmp_path.iterdir()))
        child, = (int(file.name) for file in tmp_path.iterdir())
        for deaf in signal.SIGINT, signal.SIGTERM:  # they are meant for the parent
            os.kill(child, deaf)
        time.sleep(.1)
        assert not ended(child)
        parent.send_signal(sign)
        wait_for(lambda: ended(child))
        if sign == signal.SIGSTOP:  # the parent goes on and begins the trial again
            parent.send_signal(signal.SIGCONT)
            wait_for(lambda: len(list(tmp_path.iterdir())) > 1)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: all(map(ended, tmp_path.iterdir())))
