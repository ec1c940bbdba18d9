"""Memory without a name that processes have in common."""

import os

import numpy as np
import pytest

from minifer.errors import BackendUnavailable
from minifer.ranks import Ranks
from minifer.ranks.memory import Made, common_memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"),
                                reason="this system has no memory without a name")


@pytest.fixture
def pair():
    """A piece of memory, and how another process would open it."""
    made = Made(100)
    place = made.make()
    yield made, Made(100), place
    made.close()


def test_what_one_writes_the_other_reads_and_nothing_has_a_name(pair):
    made, opened, place = pair
    opened.open(*place)
    opened.close()
    made.bytes[3] = 7
    assert made.why is None and opened.why is None and opened.bytes[3] == 7
    assert "minifer" not in " ".join(os.listdir("/dev/shm"))


@pytest.mark.parametrize("wrong", [
    lambda process, file, token, why: (process, file, bytes(16), why),
    lambda process, file, token, why: (process, 9999, token, why),
    lambda process, file, token, why: (process, file, token, "no memory left")])
def test_what_is_not_the_same_is_refused(pair, wrong):
    _, opened, place = pair
    opened.open(*wrong(*place))
    opened.close()
    assert opened.why


def test_memory_of_another_size_is_refused(pair):
    other = Made(200)
    other.open(*pair[2])
    other.close()
    assert "another process's file" in other.why


def test_it_begins_with_zeros():
    assert np.array_equal(common_memory(Ranks(), 5000), np.zeros(5000, np.uint8))


def test_all_ranks_hear_of_one_that_has_none():
    ranks = Ranks()
    ranks.gather = lambda value: [value, "a machine that is far away"]
    with pytest.raises(BackendUnavailable, match="in common, got a machine that is"):
        common_memory(ranks, 100)
