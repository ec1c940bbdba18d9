"""What started this process, and what that means where MPI finds other ranks."""

import os
import subprocess
import sys
import threading
import time

import pytest

from helpers import together
from minifer.errors import BackendUnavailable, SettingError
from minifer.ranks import launcher, mpi, watchdog


@pytest.mark.parametrize("size, environ", [
    (1, {}), (2, {"PMI_SIZE": "2"}), (4, {"OMPI_COMM_WORLD_SIZE": "4"}),
    (1, {"SLURM_NTASKS": "1"}), (3, {"SLURM_STEP_NUM_TASKS": "3"}),
    # In a job of 8, mpiexec -n 2 says what counts.
    (2, {"PMI_SIZE": "2", "SLURM_NTASKS": "8"}), (5, {"PMI_SIZE": ""})])
def test_what_fits_is_let_through(size, environ):
    launcher.check(size, "MPICH", environ)


@pytest.mark.parametrize("size, environ, words", [
    (1, {"PMI_SIZE": "2"}, "find the 2 ranks of mpiexec, got 1. Start it with the "
                           "mpiexec of MPICH"),
    (1, {"OMPI_COMM_WORLD_SIZE": "2"}, "the 2 ranks of Open MPI's mpiexec, got 1"),
    (1, {"SLURM_STEP_NUM_TASKS": "2"}, "2 ranks of srun, got 1. .* srun --mpi=pmi2"),
    (1, {"SLURM_NTASKS": "2"}, "sbatch's script, got 1. Put srun --mpi=pmi2"),
    (3, {"PMI_SIZE": "2"}, "find the 2 ranks of mpiexec, got 3"),
    (2, {"PMI_SIZE": "1"}, "find the 1 ranks of mpiexec, got 2")])
def test_other_ranks_than_the_launcher_started_are_refused(size, environ, words):
    with pytest.raises(SettingError, match=words):
        launcher.check(size, "MPICH", environ)


def test_without_mpi4py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BackendUnavailable, match="mpi4py .* pip install mpi4py"):
        mpi.load()


@pytest.mark.parametrize("environ, begins", [
    ({}, None), ({"PMI_SIZE": "1", "PMI_RANK": "0"}, None),
    ({"PMI_SIZE": "4", "PMI_RANK": "0"}, "rank 0 of 4: has waited 30 seconds for all "
                                         "that mpiexec started"),
    ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}, "rank 1 of 4: has waited"),
    ({"PMI_SIZE": "4", "PMI_RANK": "2"}, None)])
def test_two_ranks_say_that_they_wait(environ, begins):
    said = launcher.said_of_waiting(30., environ)
    assert said is None if begins is None else said.startswith(begins)


@pytest.mark.parametrize("mpich", [True, False])
def test_mpichs_launcher_is_told_to_end_all(mpich):
    reads, writes = os.pipe()
    try:
        name = "MPI_LOCALNRANKS" if mpich else "SLURM_STEP_NUM_TASKS"
        launcher.end_all(2, {"PMI_FD": str(writes), name: "2"})
    finally:
        os.close(writes)
    with open(reads, "rb") as said:
        assert said.read() == b"cmd=abort exitcode=2\n" * mpich


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "inf", ""])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match="MINIFER_RANKS_LIMIT: expected seconds"):
        watchdog.limit({"MINIFER_RANKS_LIMIT": text})


def test_a_limit_is_read():
    assert watchdog.limit({}) == 30
    assert watchdog.limit({"MINIFER_RANKS_LIMIT": "2.5"}) == 2.5


def command(*words, **environ):
    return subprocess.run([sys.executable, "-m", "minifer", "train", "ck", *words],
                          env=together.environment(**environ), text=True,
                          capture_output=True)


def test_processes_that_would_train_side_by_side_are_refused(tmp_path):
    done = command("--out", tmp_path / "x", PMI_SIZE="2")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "expected --ranks mpi where mpiexec starts 2 processes" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_launcher_that_mpi_does_not_know_is_refused(tmp_path):
    pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install minifer[mpi]")
    done = command("--ranks", "mpi", "--out", tmp_path / "x", SLURM_STEP_NUM_TASKS="2")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "find the 2 ranks of srun, got 1" in done.stderr
    assert not (tmp_path / "x").exists()


def test_nothing_of_mpi_is_imported_unless_asked_for():
    program = ("import sys; from minifer.training import Trainer; "
               "from minifer.runs import CK; import minifer.commands.train; "
               "print([n for n in sys.modules if 'mpi4py' in n or 'ranks.' in n])")
    done = subprocess.run([sys.executable, "-c", program], text=True,
                          capture_output=True, check=True)
    assert "mpi" not in done.stdout.replace("minifer", "")


def test_last_words_wait_for_whoever_reads_them():
    """A launcher drops what it has not read when ranks are aborted."""
    reads, writes = os.pipe()
    try:
        os.write(writes, b"it went wrong")
        began = time.monotonic()
        reader = threading.Timer(0.1, os.read, (reads, 100))
        reader.start()
        launcher.wait_until_read(writes, 10)
        assert 0.1 <= time.monotonic() - began < 5
        reader.join()

        os.write(writes, b"nobody reads")
        began = time.monotonic()
        launcher.wait_until_read(writes, 0.05)
        assert 0.05 <= time.monotonic() - began < 5
        with open(os.devnull, "w") as file:
            launcher.wait_until_read(file.fileno(), 10)  # no pipe
    finally:
        os.close(reads)
        os.close(writes)
