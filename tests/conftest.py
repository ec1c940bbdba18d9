"""Let the tests import minifer from the checkout and their own helpers; seed each."""

import os
import pathlib
import signal
import sys
import zlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

# Where tests run side by side, BLAS's threads would take each other's cores and wait
# for them: one each, before NumPy is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

#: Scripts with make targets of their own, not tests.
collect_ignore = ["fuzz"]

# Started in the background by a shell, tests would hand on that Ctrl-C is ignored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded(request):
    """Draw weights from a seed of the test's own name: no order of tests changes it."""
    from minifer import random
    random.set_rng(zlib.crc32(request.node.name.encode()))


def pytest_addoption(parser):
    parser.addoption("--device",
                     help="only tests that are parametrised for this device")


def pytest_collection_modifyitems(items, config):
    """Keep those of --device. Begin with the slowest files: at the end no process is
    left alone with one."""
    device = config.getoption("--device")
    if device is not None:
        items[:] = [item for item in items if hasattr(item, "callspec")
                    and item.callspec.params.get("device") == device]
    slow = "test_lessons", "test_plan_gpu", "test_train_fer2013", "test_gpu_check"
    items.sort(key=lambda item: item.path.stem not in slow)
