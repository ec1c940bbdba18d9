"""Trials on a Dask cluster: what is lost with a worker, who may use it, how it ends.

One cluster of two workers serves all tests here.
"""

import functools
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from helpers import processes, runs, sabotage, searches
from minifer.errors import BackendUnavailable, SettingError
from minifer.search import Dask, cluster, parse_space, search
from minifer.search.security import check_address, read_tls, temporary_tls
from minifer.search.trials import read_record

SPACE = parse_space(searches.SPACE)
MISSING = "pip install 'minifer[cluster]'"


@pytest.fixture(scope="module")
def dask():
    """Two workers; one that is stopped is missed after some seconds."""
    pytest.importorskip("distributed", reason=f"Dask is not installed: {MISSING}")
    pytest.importorskip("cryptography", reason=f"it is not installed: {MISSING}")
    with Dask.local(2, patience=2) as runner:
        yield runner


def scores(result):
    return [trial.score for trial in result.trials]


# --- lost workers -----------------------------------------------------------------

def test_killed_and_stopped_workers_lose_no_trial(dask, tmp_path):
    alone = search(searches.hill, SPACE, trials=12, at_once=4)
    saboteur = sabotage.Saboteur(tmp_path)
    saboteur.start()
    result = search(sabotage.Steps(str(tmp_path)), SPACE, trials=12, at_once=4,
                    runner=dask, folder=tmp_path)
    assert scores(result) == scores(alone)  # bit for bit
    saboteur.join(10)
    assert len(saboteur.victims) == len(sabotage.SIGNS)
    lines = (tmp_path / "trials.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 1 + 12
    assert sorted(read_record(tmp_path / "trials.jsonl")[1]) == list(range(1, 13))
    for file, before in saboteur.victims.items():
        after = sabotage.lines(file)[len(before):]
        again = [line for line in after if line.startswith("start")]
        assert again, "it began once more, on another worker"
        assert not set(before) & set(again)
    files = list(tmp_path.glob("*.log"))
    assert len(files) == 12
    for file in files:  # from its checkpoint: no step is done twice
        steps = [line for line in sabotage.lines(file) if line.startswith("step")]
        assert sorted(steps) == sorted(set(steps)) and len(steps) == sabotage.STEPS
        if file not in saboteur.victims:
            assert sabotage.lines(file).count("end") == 1


def test_a_trial_that_costs_many_workers_is_given_up(dask, monkeypatch, tmp_path):
    """And there are as many workers as before, though Dask itself drops some."""
    from dask import config
    monkeypatch.setattr(cluster, "DEATHS", 2)
    allow = functools.partial(dask._client.run_on_scheduler, searches.allow_failures)
    allow(0)  # so that it comes back after each
    try:
        with config.set({"distributed.deploy.lost-worker-timeout": "10 ms"}):
            outcome, = dict(dask(searches.fatal, {1: {}})).values()
            assert outcome[:2] == (None, "its worker died 2 times")
            processes.wait_for(lambda: len(dask._cluster.workers) < 2)
    finally:
        allow(3)
    both = dict(dask(searches.Waiting(tmp_path), {1: {"until": 2}, 2: {"until": 2}}))
    assert [one.score for one in both.values()] == [0, 0]


# --- what a trial may be ------------------------------------------------------------

def test_failures_are_the_same_as_in_processes(dask):
    proposals = {n: {"lr": lr, "epochs": 35, "batch": batch, "rotation": 8}
                 for n, (lr, batch) in enumerate([(.002, 64), (.002, 128)])}
    ended = dict(dask(searches.deadly, proposals))
    assert ended[0][:2] == (searches.hill(proposals[0]), None)
    assert ended[1][:2] == (None, "its process died with exit code 7")


def test_what_is_no_module_s_may_be_tried_too(dask):
    seven = 7
    assert dict(dask(lambda settings: settings["x"] * seven, {3: {"x": 2}}))[3][0] == 14


def test_what_cannot_travel_is_refused(dask):
    lock = threading.Lock()
    with pytest.raises(SettingError, match="objective: expected .* can be pickled"):
        list(dask(lambda settings: lock, {1: {}}))


def test_threads_are_those_of_the_runner(dask, monkeypatch):
    monkeypatch.setattr(dask, "threads", 3)
    assert dict(dask(searches.threads, {1: {}}))[1][0] == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_trials_end_when_they_are_no_longer_wanted(dask, tmp_path):
    ended = dask(searches.Waiting(tmp_path), {1: {"until": 2}, 2: {}})
    assert next(ended)[0] == 1
    ended.close()
    processes.wait_for(lambda: all(map(processes.ended, tmp_path.iterdir())))


def test_ctrl_c_ends_all_processes_and_the_search_goes_on(dask, tmp_path):
    """They would hold the pipe open."""
    script = searches.TESTS / "helpers" / "searches.py"
    stopped = runs.process(script, tmp_path, "dask", "interrupt", 5)
    count = len(read_record(tmp_path / "trials.jsonl")[1])
    assert 5 <= count < 12 and (stopped.code, stopped.err) == (130, (
        f"stopped after {count} trials: saved in {tmp_path}; --resume continues\n"))
    resumed = search(searches.hill, SPACE, trials=12, seed=4, at_once=4,
                     folder=tmp_path, resume=True, runner=dask)
    assert scores(resumed) == scores(search(searches.hill, SPACE, trials=12, seed=4,
                                            at_once=4))


# --- who may use it -------------------------------------------------------------------

@pytest.mark.parametrize("address, found", [
    ("127.0.0.1:8786", "tcp://127.0.0.1:8786"), ("tcp://[::1]:1", "tcp://[::1]:1"),
    ("localhost:8786", "tcp://localhost:8786")])
def test_a_scheduler_of_this_machine_needs_no_certificate(address, found):
    assert check_address(address, None) == found


@pytest.mark.parametrize("address", ["10.0.0.5:8786", "lab:8786", "tcp://lab.eu:8786",
                                     "tcp://[2001:db8::1]:8786", "0.0.0.0:1"])
def test_others_are_refused_without_tls_and_told_why(address):
    with pytest.raises(SettingError, match="runs code of whoever reaches it"):
        check_address(address, None)
    if "tcp" not in address:
        assert check_address(address, ("a", "b")) == f"tls://{address}"


@pytest.mark.parametrize("address, tls, expected", [
    ("tls://lab:8786", None, "expected --tls-cert and --tls-key"),
    ("tcp://lab:8786", ("a", "b"), "expected tls://"),
    ("tcp://127.0.0.1", None, "HOST:PORT"), ("ws://lab:80", None, "HOST:PORT"),
    ("lab", None, "HOST:PORT"), ("", None, "HOST:PORT"),
    ("tcp://:8786", None, "HOST:PORT"), ("127.0.0.1:x", None, "HOST:PORT")])
def test_what_is_no_address_is_refused(address, tls, expected):
    with pytest.raises(SettingError, match=expected):
        check_address(address, tls)


def test_only_who_has_the_key_may_use_a_cluster(dask, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "TIMEOUT", .5)
    address = dask._client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with temporary_tls(tmp_path) as other:
        assert [os.stat(file).st_mode & 0o77 for file in other] == [0, 0]
        with pytest.raises(BackendUnavailable, match="expected an answer"):
            Dask(address, other)
        with pytest.raises(SettingError, match="a certificate and its key in PEM"):
            read_tls(other[::-1])
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingError, match="docs/clusters.md"):
        read_tls(other)
    with pytest.raises(SettingError, match="expected --tls-cert"):
        Dask(address)


# --- what is missing ------------------------------------------------------------------

def test_a_worker_without_the_folder_or_the_version_ends_the_search(dask, monkeypatch):
    monkeypatch.setattr(dask, "folder", "/nowhere")
    with pytest.raises(BackendUnavailable, match="no folder /nowhere.*all machines"):
        list(dask(searches.hill, {1: {}}))
    monkeypatch.setattr(dask, "folder", None)
    monkeypatch.setattr(cluster, "__version__", "0.0")
    with pytest.raises(BackendUnavailable, match="expected 0.0. Install the same"):
        list(dask(searches.hill, {1: {}}))


def test_no_scheduler_is_told_in_one_line(dask, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", .2)
    with pytest.raises(BackendUnavailable, match="tcp://127.0.0.1:1: expected an ans"):
        Dask("127.0.0.1:1")


@pytest.mark.parametrize("library", ["distributed", "cryptography"])
def test_without_dask_the_error_says_how_to_get_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    for start in Dask.local, lambda: Dask("127.0.0.1:1"), lambda: Dask.slurm("lab", 1):
        with pytest.raises(BackendUnavailable, match=re.escape(MISSING)):
            start()


def test_without_slurm_the_error_says_so(dask, monkeypatch, tmp_path):
    if not importlib.util.find_spec("dask_jobqueue"):
        pytest.skip(f"dask-jobqueue is not installed: {MISSING}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="the command sbatch"):
        Dask.slurm("lab", 2, folder=tmp_path)
    assert not list(tmp_path.glob(".tls*"))
    # Importing dask-jobqueue made it an exit with code 0.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_dask_is_not_imported_unless_asked_for():
    program = ("import sys; from minifer import search; import minifer.commands.search;"
               "search.search(len, {'n': search.Int(1, 2)}); search.Dask; "
               "print({'dask', 'distributed', 'cloudpickle'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", program], text=True, check=True,
                          capture_output=True, cwd=searches.TESTS.parent)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("words", [
    ["--scheduler", "127.0.0.1:1"], ["--slurm", "lab", "--workers", "2"],
    ["--workers", "2"], ["--threads", "2"], ["--runner", "processes", "--workers", "2"],
    ["--runner", "dask", "--jobs", "2"], ["--runner", "dask", "--slurm", "lab"],
    ["--runner", "dask", "--scheduler", "127.0.0.1:1", "--workers", "2"],
    ["--runner", "dask", "--sbatch=--time=1"], ["--runner", "dask", "--tls-key", "k"],
    ["--runner", "dask", "--tls-cert", "c", "--tls-key", "k"],
    ["--runner", "dask", "--scheduler", "lab:1", "--tls-cert", "c"],
    ["--runner", "dask", "--scheduler", "127.0.0.1:1", "--slurm", "lab"]])
def test_options_that_contradict_each_other_are_refused(words, tmp_path):
    refused = runs.minifer("search", "--out", tmp_path, *words)
    assert refused.code == 2 and refused.err.startswith("error: --")
    assert refused.err.count("\n") == 1
