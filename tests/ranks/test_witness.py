"""Who is killed says nothing; a witness does, once, before the launcher knows."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from types import SimpleNamespace

import pytest

from minifer.ranks import watchdog, witness

LINE = "rank {} of 3: it was killed or crashed, perhaps for want of memory: all ranks "


@pytest.fixture(params=[False, True], ids=["here", "apart"])
def apart(request):
    return request.param


@contextlib.contextmanager
def three(apart):
    """Three ranks with their witnesses, in this process; the first is the judge's."""
    first = witness.Witness(0, 3, apart=apart)
    ranks = [first, *(witness.Witness(rank, 3, first.place) for rank in (1, 2))]
    links = [one.link for one in ranks]
    try:
        yield ranks
        for link in links:  # the witnesses have gone, those of the living, too
            until(lambda link=link: link.fileno() < 0 or is_over(link))
        until(lambda: is_gone(first.place))
    finally:
        for link in links:
            link.close()


def until(what):
    """Wait until something is so, for some seconds."""
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_over(link):
    """Whether the other end is gone."""
    with contextlib.suppress(BlockingIOError):
        return link.recv(1) == b""
    return False


def is_gone(place):
    """Whether nobody listens any more where the judge was."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", place[1])) != 0


def test_a_rank_that_is_stopped_while_it_starts_its_witness():
    link, theirs = socket.socketpair()
    with link, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", witness.__file__, "0", "2",
             str(theirs.fileno())], pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
    assert process.communicate(timeout=10) == (None, b"")


@pytest.mark.parametrize("killed", [0, 2])
def test_a_rank_that_goes_without_a_word_is_named_once(apart, capfd, killed):
    with three(apart) as ranks:
        ranks.pop(killed).link.close()
        for one in ranks:
            until(one.saw_a_death)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(LINE.format(killed))


def test_of_all_that_the_launcher_ends_then_nothing_is_said(apart, capfd):
    with three(apart) as ranks:
        for one in ranks[1], ranks[0], ranks[2]:
            one.link.close()
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_who_says_farewell_may_go(apart, capfd):
    with three(apart) as ranks:
        for one in ranks:
            one.leave()
            one.link.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("who", [0, 1])
def test_after_a_reason_nothing_more_is_said(apart, capfd, who):
    with three(apart) as ranks:
        ranks[who].leave(witness.REASON)
        until(lambda: is_gone(ranks[0].place))
        assert not any(one.saw_a_death() for one in ranks)
    assert capfd.readouterr().err == ""


def test_strangers_are_not_heard(apart, capfd):
    with three(apart) as ranks:
        _, port, password = ranks[0].place
        for words in b"0" * 40, password[:-1].encode(), b"":
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(words)
        for one in ranks:
            one.leave()
    assert capfd.readouterr().err == ""


def test_one_that_cannot_reach_the_judge_speaks_unasked(capfd):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    alone = witness.Witness(2, 3, (["127.0.0.1"], port, "password"))
    alone.link.close()
    said = []

    def heard():
        said.append(capfd.readouterr().err)
        return said[-1]

    until(heard)
    assert said[-1].startswith(LINE.format(2))


FORKS = """if True:
    import os, signal, sys
    from minifer.ranks.witness import Witness
    rank = Witness(0, 3)
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_a_child_of_a_rank_does_not_keep_it_alive():
    rank = subprocess.Popen([sys.executable, "-c", FORKS], text=True,
                            stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert rank.stderr.readline().startswith(LINE.format(0))
    assert rank.communicate() == (None, "")  # the child ends, too


DIES = """if True:
    import os, signal
    from minifer.ranks.witness import Witness
    first = Witness(0, 3)
    second = Witness(1, 3, first.place)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("_", range(3))
def test_the_launcher_learns_of_a_death_after_the_line(_):
    """MPICH's looks at three descriptors: it may end all as soon as one is closed."""
    manager, theirs = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    with manager, theirs:
        rank = subprocess.Popen(
            [sys.executable, "-c", DIES], stdout=out[1], stderr=err[1],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PMI_FD": str(theirs.fileno())})
        theirs.close()
        os.close(out[1])
        os.close(err[1])
        manager.settimeout(20)
        assert manager.recv(1) == b""  # closed
        os.set_blocking(err[0], False)
        said = os.read(err[0], 1000).decode()  # there already
        assert os.read(out[0], 1) == b""
        os.close(out[0])
        os.close(err[0])
        assert rank.wait() == -signal.SIGKILL
    assert said.count("\n") == 1 and " of 3: it was killed" in said


class Ring:
    """In the place of an MPI communicator: one of some ranks, threads of this process.
    """

    def __init__(self, rank, boxes):
        self.rank, self.size, self.boxes = rank, len(boxes), boxes

    def Isend(self, array, rank):
        self.boxes[rank].append(array.copy())
        return SimpleNamespace(Test=lambda: True)

    def Iprobe(self, rank):
        return bool(self.boxes[self.rank])

    def Recv(self, array, rank):
        array[:] = self.boxes[self.rank].popleft()


def test_the_watchdog_ends_all_when_it_hears_of_a_death(monkeypatch):
    """Launchers that let the others live, as srun without -K, are not waited for."""
    monkeypatch.setattr(watchdog, "PERIOD", 0.01)
    said = []
    dog = watchdog.Watchdog(Ring(0, [deque()]), said.append)
    dog.witness = SimpleNamespace(saw_a_death=lambda: not said)
    dog.start()
    until(lambda: said)
    dog.stop()
    assert said == [""]


def test_watchdogs_leave_nothing_unheard(monkeypatch):
    """UCX warns of it on standard error, when MPI ends."""
    monkeypatch.setattr(watchdog, "PERIOD", 0.01)
    boxes = [deque() for _ in range(3)]
    dogs = [watchdog.Watchdog(Ring(rank, boxes), None) for rank in range(3)]
    for dog in dogs:
        dog.start()
    for dog in dogs:
        time.sleep(0.02)
        dog.stopping.set()  # not all at the same moment
    for dog in dogs:
        dog.join(10)
    assert boxes == [deque()] * 3
