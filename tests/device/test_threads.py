"""Threads do each share once, end together, and hand on what goes wrong."""

import functools
import itertools
import threading
import time
from unittest import mock

import numpy as np
import pytest

from minifer.compiled.cpu.program import Desk, Program
from minifer.compiled.cpu.sums import ChunkSums
from minifer.device import threads
from minifer.device.arrays import resolve
from minifer.device.threads import Helper, Workers, default_threads
from minifer.errors import SettingError


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("total, least", [(0, 1), (1, 1), (7, 1), (64, 9)])
def test_shares_cover_a_range_once(count, total, least):
    seen = np.zeros(total, int)

    def task(worker, start, stop):
        assert count * least > total or stop - start >= least
        seen[start:stop] += 1

    Workers(count).run(task, total, least)
    np.testing.assert_array_equal(seen, 1)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("chunks", [1, 2, 9, 100])
def test_every_chunk_is_done_once(count, chunks):
    seen = []
    Workers(count).run_chunks(lambda worker, chunk: seen.append(chunk), chunks)
    assert sorted(seen) == list(range(chunks))


def test_a_worker_that_is_held_up_loses_its_last_chunks_to_others():
    others_are_done, did = threading.Event(), {0: [], 1: []}

    def task(worker, chunk):
        did[worker].append(chunk)
        if worker == 0:
            assert others_are_done.wait(10)
        elif sum(map(len, did.values())) == 8:
            others_are_done.set()

    Workers(2).run_chunks(task, 8)
    assert did == {0: [0], 1: [4, 5, 6, 7, 3, 2, 1]}


@pytest.mark.parametrize("bad", [0, 1])
def test_nobody_works_on_after_an_error_arrives(bad):
    done = []

    def task(worker, chunk):
        if worker == bad:
            raise ZeroDivisionError(worker)
        time.sleep(0.05)
        done.append(chunk)

    with pytest.raises(ZeroDivisionError, match=str(bad)):
        Workers(2).run_chunks(task, 2)
    assert len(done) == 1


@pytest.mark.parametrize("images", [7, 6, 3, 1])
def test_sums_are_those_of_the_chunks_in_order(images):
    values = np.random.default_rng(0).standard_normal((7, 3, 4)).astype(np.float32)
    sums, desk = ChunkSums((2, 1, 4), chunks=3, chunk=3), Desk()
    sums.parts[:] = np.nan  # a chunk's first images write
    for i in [i for i in (6, 3, 4, 5, 0, 1, 2) if i < images]:  # by chunk
        part, do = sums.of(slice(i, i + 1)), Program()
        part.add(do, part.dU, desk, np.positive, values[i, :2, None])
        part.add(do, part.db, desk, np.positive, values[i, 2])
        do.run()
    expected = 0
    for start in range(0, images, 3):
        part = 0
        for value in values[start:min(start + 3, images)]:
            part = part + value
        expected = expected + part
    found = sums.in_all(images, Workers(2))
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_array_equal(found.dU, expected[:2, None])
    np.testing.assert_array_equal(found.db, expected[2])


@pytest.mark.parametrize("text", ["²", "٣", "0", "-1", "1000000", "1" * 5000, "", " ",
                                  "1e3", "1_0", "x"])
def test_what_is_no_number_of_threads(monkeypatch, text):
    monkeypatch.setenv("MINIFER_NUM_THREADS", text)
    with pytest.raises(SettingError, match="MINIFER_NUM_THREADS: expected a whole num"):
        default_threads()
    with pytest.raises(SettingError):  # before any work
        resolve("cpu")


@pytest.mark.parametrize("text, count", [("1", 1), (" 3", 3), ("007", 7), ("64", 64)])
def test_a_number_of_threads(monkeypatch, text, count):
    monkeypatch.setenv("MINIFER_NUM_THREADS", text)
    assert default_threads() == count


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_several_blas_that_of_numpy_is_told(monkeypatch, order):
    """SciPy's and OpenCV's wheels bring their own, and load it sooner or later."""
    libraries = [{"user_api": "blas", "internal_api": "openblas", "version": version,
                  "architecture": "Haswell", "num_threads": 3,
                  "filepath": f"/lib/site-packages/{name}.libs/libopenblas.so"}
                 for version, name in (("1", "scipy"), ("2", "numpy"), ("3", "cv2"))]
    fake = mock.Mock(info=lambda: [{"user_api": "openmp"},
                                   *(libraries[place] for place in order)])
    monkeypatch.setattr(threads, "_controller", lambda: fake)
    assert threads.blas_kernels() == ("openblas 2 Haswell", 3)


def test_without_a_blas_that_can_be_told_there_is_no_name(monkeypatch):
    fake = mock.Mock(info=lambda: [{"user_api": "openmp"}])
    monkeypatch.setattr(threads, "_controller", lambda: fake)
    assert threads.blas_kernels() == ("", 1)


# --- a helper -----------------------------------------------------------------

@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_helper_does_each_task_once(count):
    done, helper = [], Helper(count)
    handles = [helper.submit(functools.partial(done.append, i)) for i in range(20)]
    helper.need(handles[7])
    assert 7 in done
    helper.finish(handles)
    helper.finish(handles)
    assert sorted(done) == list(range(20))


def test_who_waits_for_a_helper_does_the_rest():
    helper, held = Helper(2), threading.Event()
    first = helper.submit(held.wait)
    second = helper.submit(threading.get_ident)
    seen = []
    third = helper.submit(lambda: seen.append(threading.get_ident()))
    helper.need(third)  # while the other thread is held up
    assert seen == [threading.get_ident()]
    held.set()
    helper.finish([first, second, third])


@pytest.mark.parametrize("count", [1, 2])
def test_what_fails_in_a_helper_is_told(count):
    def fail():
        raise ValueError("told")
    helper = Helper(count)
    with pytest.raises(ValueError, match="told"):
        helper.finish([helper.submit(fail)])


def test_nothing_is_begun_when_one_has_failed():
    def fail():
        raise ValueError("told")

    def hold():
        begun.set()
        held.wait()
    helper, begun, held, seen = Helper(2), threading.Event(), threading.Event(), []
    handles = [helper.submit(hold), helper.submit(lambda: seen.append(1)),
               helper.submit(fail)]
    begun.wait()
    threading.Timer(0.02, held.set).start()
    with pytest.raises(ValueError, match="told"):
        helper.finish(handles)
    assert held.is_set()
    helper.finish([helper.submit(lambda: None)])
    assert seen == []


def test_a_helper_at_work_is_not_woken_again(monkeypatch):
    woken, done, helper = [], [], Helper(2)
    monkeypatch.setattr(threads, "_pool", lambda count: mock.Mock(submit=woken.append))
    for i in range(3):
        helper.submit(functools.partial(done.append, i))
    work, = woken
    work()
    assert done == [0, 1, 2]
    helper.submit(functools.partial(done.append, 3))
    assert len(woken) == 2 and done == [0, 1, 2]


def test_a_helper_keeps_memory_where_asked_to():
    like = np.zeros(2, np.float32)
    helper = Helper(keeps=True)
    a = helper.empty("a", like, (2, 3))
    assert (a.shape, a.dtype) == ((2, 3), np.float32)
    assert helper.empty("a", like, (2, 3)) is a
    assert helper.empty("b", like, (2, 3)) is not a
    assert helper.empty("a", like, (4,)).shape == (4,)
    turned = np.zeros((3, 2), np.float32).T  # not in the order of its axes
    for one in helper, Helper():
        assert one.empty("c", turned, (2, 3)).flags.c_contiguous
    assert Helper().empty("a", like, (2, 3)) is not Helper().empty("a", like, (2, 3))
