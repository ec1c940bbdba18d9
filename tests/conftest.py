"""Let the tests import minifer from the checkout and their own helpers; seed each."""

import pathlib
import signal
import sys
import zlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

# Started in the background by a shell, tests would hand on that Ctrl-C is ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded(request):
    """Draw weights from a seed of the test's own name: no order of tests changes it."""
    from minifer import random
    random.set_rng(zlib.crc32(request.node.name.encode()))
