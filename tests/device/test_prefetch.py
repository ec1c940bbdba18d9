"""Work ahead on threads: in order, bounded, and every result or error comes out."""

import threading

import pytest

from minifer.device.prefetch import prefetch


def test_results_come_in_order_whoever_is_first():
    """The first item is ready last."""
    others = threading.Barrier(3)
    done = threading.Event()

    def work(item):
        if item == 0:
            done.wait(10)
        elif item < 4:
            others.wait(10)
            done.set()
        return item

    assert list(prefetch(work, range(9), threads=4)) == list(range(9))


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_no_more_is_read_than_the_limit(limit):
    read = []

    def items():
        for item in range(50):
            read.append(item)
            yield item

    results = prefetch(abs, items(), threads=2, limit=limit)
    for taken, _ in enumerate(results, 1):
        assert len(read) <= taken + limit
    assert len(read) == 50


def test_without_threads_nothing_is_ahead():
    read = []
    results = prefetch(read.append, range(5), threads=0)
    next(results)
    assert read == [0]


def test_an_error_comes_in_the_place_of_its_result():
    results = prefetch(lambda x: 1 / x, [1, 2, 0, 4], threads=2)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_whoever_stops_early_leaves_no_thread():
    before = set(threading.enumerate())
    results = prefetch(abs, range(1000), threads=3)
    next(results)
    results.close()
    assert set(threading.enumerate()) == before
