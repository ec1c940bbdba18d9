"""Threads leave out the core of the one who calls them, who waits where it is."""

import os
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from minifer.device import cores
from minifer.device.cores import ApartPool, settle


@pytest.fixture
def machine(monkeypatch):
    """Three cores; ``at`` is where everybody is, ``bound`` what was asked for."""
    machine = SimpleNamespace(at=0, allowed={0, 1, 2}, bound=[])
    monkeypatch.setattr(cores, "getcpu", lambda: machine.at)
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: machine.allowed,
                        raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *args: machine.bound.append(
        args), raising=False)
    return machine


def test_threads_leave_out_the_callers_core_wherever_it_goes(machine):
    with ApartPool(1) as pool:
        thread = pool.submit(threading.get_native_id).result()
        assert machine.bound == [(thread, {1, 2})]
        assert pool.submit(abs, -1).result() == 1
        machine.at = 2
        assert pool.submit(abs, -2).result() == 2
    assert machine.bound == [(thread, {1, 2}), (thread, {0, 1})]


@pytest.mark.parametrize("allowed", [{0}, {0, 1}])
def test_more_threads_than_other_cores_run_where_they_like(machine, allowed):
    machine.allowed = allowed
    with ApartPool(2) as pool:
        assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
    assert machine.bound == []


def test_who_waits_stays_and_is_free_again(machine, monkeypatch):
    future, waits = Future(), threading.Event()

    def bind(*args):
        machine.bound.append(args)
        waits.set()

    def end():
        waits.wait()
        future.set_result(1)

    monkeypatch.setattr(os, "sched_setaffinity", bind)
    threading.Thread(target=end).start()
    settle([future])
    assert future.done() and machine.bound == [(0, {0}), (0, {0, 1, 2})]
    settle([future])  # nothing to wait for
    assert len(machine.bound) == 2


def test_a_system_that_forbids_it_is_not_asked_why(machine, monkeypatch):
    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with ApartPool(1) as pool:
        futures = [pool.submit(abs, -n) for n in range(3)]
        settle(futures)
    assert [one.result() for one in futures] == [0, 1, 2]


def test_without_affinities_it_is_a_pool(machine, monkeypatch):
    monkeypatch.setattr(cores, "getcpu", None)
    with ApartPool(2) as pool:
        futures = [pool.submit(abs, -n) for n in range(3)]
        settle(futures)
    assert [one.result() for one in futures] == [0, 1, 2] and machine.bound == []


@pytest.mark.skipif(cores.getcpu is None, reason="needs Linux's affinities")
def test_on_this_machine_nobody_is_bound_in_the_end():
    before = os.sched_getaffinity(0)
    with ApartPool(1) as pool:
        for _ in range(20):
            future = pool.submit(os.sched_getaffinity, 0)
            settle([future])
            assert future.result() <= before == os.sched_getaffinity(0)
