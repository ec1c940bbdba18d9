"""However a rank ends, all end soon, and a run can be continued."""

import os
import random
import signal
import subprocess
import time

import pytest

from helpers import runs, together
from minifer.progress import Progress
from minifer.training.checkpoint import peek


@pytest.fixture(scope="module")
def started():
    """Skip where ranks cannot be started."""
    reason = together.why_not()
    if reason:
        pytest.skip(reason)


def is_alive(path):
    """Whether the process whose number stands in a file is still there."""
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def last_lines(done):
    return [line for line in done.stderr.splitlines() if not line.startswith("epoch")]


def test_an_error_of_one_rank_ends_all(started, tmp_path):
    done = together.start(2, together.__file__, tmp_path, "raises")
    assert done.returncode == 1
    lines = [line for line in last_lines(done) if line]
    assert lines[0].startswith("rank 1 of 2: Traceback")
    assert lines[-1] == "ZeroDivisionError: it went wrong"


def test_a_rank_that_leaves_ends_all(started, tmp_path):
    done = together.start(2, together.__file__, tmp_path, "leaves")
    assert done.returncode == 1
    assert last_lines(done) == [
        "rank 0 of 2: rank 1 has ended while the others train: all ranks end."]


def test_a_rank_that_cannot_be_set_up_ends_all(started):
    program = ("import os; os.environ['MINIFER_NETWORK_GBITS'] = os.environ['PMI_RANK']"
               "; from minifer.ranks import connect; connect('mpi')")
    done = together.start(2, "-c", program)
    assert done.returncode == 2 and last_lines(done) == [
        "rank 0 of 2: error: MINIFER_NETWORK_GBITS: expected Gbit/s, more than 0, got "
        "'0'."]


def test_ctrl_c_to_a_rank_that_waits_for_the_others_end_ends_all(started):
    """Rank 0 may still be writing a report, which it then leaves undone."""
    program = ("import signal, time; from minifer.ranks import connect\n"
               "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
               "if connect('mpi').writes: time.sleep(60)\n"
               "else: signal.setitimer(signal.ITIMER_REAL, .2)")
    done = together.start(2, "-c", program)
    assert done.returncode == 130 and last_lines(done) == ["rank 1 of 2: stopped"]


def test_a_command_that_fails_before_it_comes_to_mpi_ends_all(started, tmp_path):
    program = ("import os, sys; sys.argv[1:] = ['train', 'ck', '--ranks', 'mpi', "
               "'--out', sys.argv[1], *['--bla'] * int(os.environ['PMI_RANK'])]; "
               "from minifer.commands.cli import main; main()")
    done = together.start(2, "-c", program, tmp_path / "out")
    assert done.returncode == 2 and last_lines(done) == [
        "minifer train ck: error: unrecognized arguments: --bla. See --help."]
    assert not (tmp_path / "out").exists()


SAYS = {signal.SIGKILL: "rank {0} of 2: it was killed or crashed, perhaps for want of "
                        "memory: all ranks end. What had been saved stands; --resume "
                        "goes on.",
        signal.SIGSTOP: "rank {0} has said nothing for"}


@pytest.mark.parametrize("number, limit, rank", [
    (signal.SIGKILL, 5, 0), (signal.SIGKILL, 5, 1), (signal.SIGSTOP, 8, 1)])
def test_a_rank_that_is_killed_or_stopped_ends_all(started, tmp_path, number, limit,
                                                   rank):
    checkpoint = tmp_path / "endless" / "checkpoint.npz"
    ranks = subprocess.Popen(
        together.command(2, together.__file__, tmp_path, "endless"), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=together.environment(
            MINIFER_RANKS_LIMIT="2" if number == signal.SIGSTOP else "30"))
    try:
        while not checkpoint.exists():
            assert ranks.poll() is None, ranks.communicate()
            time.sleep(0.05)
        time.sleep(random.random() / 4)  # at any moment
        os.kill(int((tmp_path / f"pid-{rank}").read_text()), number)
        began = time.monotonic()
        _, said = ranks.communicate(timeout=30)
        while any(is_alive(tmp_path / f"pid-{one}") for one in range(2)):
            assert time.monotonic() - began < limit
            time.sleep(0.02)
        assert time.monotonic() - began < limit
    finally:
        ranks.kill()
    assert ranks.returncode
    said = [line for line in said.splitlines()
            if line and not line.startswith("epoch")]
    assert len(said) == 1 and SAYS[number].format(rank) in said[0]
    epochs = peek(checkpoint)["epoch"]
    result, _ = runs.train(tmp_path / "endless", epochs + 1, progress=Progress())
    assert len(result.history) == epochs + 1


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc here")
def test_ranks_leave_no_memory_behind(started):
    """Or it fills up, and a job of Slurm that is queued again does not start."""
    program = ("from minifer.ranks import connect; connect('mpi').gather(0); "
               "import os; print([line for line in open('/proc/self/maps') if os.path."
               "exists(line.split(None, 5)[-1].strip()) and '/dev/shm/' in line])")
    done = together.start(2, "-c", program)
    assert done.returncode == 0, done.stderr
    assert "".join(done.stdout.split()) == "[][]"
