"""Who is killed says nothing; the witness does, once."""

import contextlib
import socket
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from minifer.ranks import watchdog, witness

LINE = "rank {} of 3: it was killed or crashed, perhaps for want of memory: all ranks "


@pytest.fixture(params=[False, True], ids=["here", "apart"])
def apart(request):
    return request.param


@contextlib.contextmanager
def three(apart):
    """Three ranks with a witness, in this process; and where it is."""
    place = witness.start(3, apart=apart)
    ranks = [witness.Witness(rank, 3, place) for rank in range(3)]
    try:
        yield ranks, place
        until(lambda: is_gone(place))
    finally:
        for one in ranks:
            one.link.close()


def until(what):
    """Wait until something is so, for some seconds."""
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(place):
    """Whether nobody listens any more where a witness was."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", place[1])) != 0


@pytest.mark.parametrize("killed", [0, 2])
def test_a_rank_that_goes_without_a_word_is_named_once(apart, capfd, killed):
    with three(apart) as (ranks, _):
        ranks.pop(killed).link.close()
        for one in ranks:
            until(one.saw_a_death)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(LINE.format(killed))


def test_who_says_farewell_may_go(apart, capfd):
    with three(apart) as (ranks, _):
        for one in ranks:
            one.leave()
            one.link.close()
    assert capfd.readouterr().err == ""


def test_after_a_reason_nothing_more_is_said(apart, capfd):
    with three(apart) as (ranks, place):
        ranks[1].leave(witness.REASON)
        until(lambda: is_gone(place))
        assert not any(one.saw_a_death() for one in ranks)
    assert capfd.readouterr().err == ""


def test_strangers_are_not_heard(apart, capfd):
    with three(apart) as (ranks, place):
        for words in b"0" * 40, b"", place[2].encode() + b"       x":
            with socket.create_connection(("127.0.0.1", place[1])) as one:
                one.sendall(words)
        for one in ranks:
            one.leave()
    assert capfd.readouterr().err == ""


def test_a_rank_that_cannot_reach_it_has_one_of_its_own(capfd):
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


def test_the_watchdog_ends_all_when_it_hears_of_a_death(monkeypatch):
    """Launchers that let the others live, as srun without -K, are not waited for."""
    monkeypatch.setattr(watchdog, "PERIOD", 0.01)
    said = []
    comm = SimpleNamespace(rank=0, size=2, Isend=mock.Mock(), Iprobe=lambda rank: False)
    dog = watchdog.Watchdog(comm, said.append)
    dog.witness = SimpleNamespace(saw_a_death=lambda: not said)
    dog.start()
    until(lambda: said)
    dog.stop()
    assert said == [""]
