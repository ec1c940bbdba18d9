"""Arrays arrive whole, whichever of two streams a GPU hurries on with.

Without a GPU: a model of CUDA's streams. What is put into a stream is done later, when
somebody waits; only events keep two streams in order.
"""

import contextlib
import ctypes
import sys
import types

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.device import arrays
from minifer.device.staging import staging_slots


class Stream:
    def __init__(self, non_blocking=True):
        self.queue = []

    def wait_event(self, event):
        record = event.latest
        self.queue.append(lambda: record is None or record["done"])

    def do(self, action):
        self.queue.append(lambda: action() or True)

    def step(self):
        """Do the next thing, if it need not wait; whether it was done."""
        done = bool(self.queue) and self.queue[0]()
        if done:
            self.queue.pop(0)
        return done


class Gpu:
    """Two streams; ``hasty`` goes first whenever it can."""

    def __init__(self, hasty):
        self.main, self.side = Stream(), Stream()
        self.order = ([self.side, self.main] if hasty == "side"
                      else [self.main, self.side])

    def run_until(self, is_done):
        while not is_done():
            assert any(stream.step() for stream in self.order), "a deadlock"

    def event(gpu, disable_timing=True):
        class Event:
            latest = None

            def record(self, stream=None):
                record = self.latest = {"done": False}
                (stream or gpu.main).do(lambda: record.update(done=True))

            def synchronize(self):
                record = self.latest
                gpu.run_until(lambda: record is None or record["done"])

        return Event()


class Memory(np.ndarray):
    """A GPU's array, as far as a slot knows it."""

    device = contextlib.nullcontext()

    @property
    def data(self):
        def copy(source, size, stream):
            stream.do(lambda: ctypes.memmove(self.ctypes.data, source, size))
        return types.SimpleNamespace(copy_from_host_async=copy)


@pytest.fixture(params=["side", "main"])
def gpu(request, monkeypatch):
    gpu = Gpu(request.param)
    cupy = types.ModuleType("cupy")
    cupy.ndarray = Memory
    cupy.empty = lambda shape, dtype: np.full(shape, 99, dtype).view(Memory)
    cupy.cuda = types.SimpleNamespace(
        Stream=lambda non_blocking: gpu.side, Event=gpu.event,
        alloc_pinned_memory=bytearray, get_current_stream=lambda: gpu.main,
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1,
                                      CUDARuntimeError=RuntimeError),
        memory=types.SimpleNamespace(OutOfMemoryError=MemoryError))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    arrays._cupy.cache_clear()
    yield gpu
    arrays._cupy.cache_clear()


def test_batches_arrive_whole_one_ahead(gpu):
    source, found = np.arange(400).reshape(100, 4), []
    places = staging_slots((7, 4), source.dtype, "cuda")
    batches = [np.arange(100)[first:first + 7] for first in range(0, 100, 7)]
    places[0].load(source, batches[0])
    for number, rows in enumerate(batches):
        with places[number % 2].opened() as there:
            gpu.main.do(lambda n=len(rows), there=there: found.append(
                np.array(there[:n])))
        if number + 1 < len(batches):
            places[(number + 1) % 2].load(source, batches[number + 1])
    gpu.run_until(lambda: len(found) == len(batches))
    for batch, rows in zip(found, batches):
        np.testing.assert_array_equal(batch, source[rows])


def test_a_batch_that_nobody_read_is_replaced(gpu):
    source, found = np.arange(400).reshape(100, 4), []
    place, _ = staging_slots((5, 4), source.dtype, "cuda")
    place.load(source, np.arange(5))
    place.load(source, np.arange(50, 53))
    with place.opened() as there:
        gpu.main.do(lambda: found.append(np.array(there[:3])))
    gpu.run_until(lambda: found)
    np.testing.assert_array_equal(found[0], source[50:53])


@pytest.mark.parametrize("device", DEVICES)
def test_loads_lie_on_the_device(device):
    source = np.asfortranarray(np.random.default_rng(0).normal(size=(20, 3, 2)))
    places = staging_slots((4, 3, 2), np.float64, device, count=3)
    assert len(places) == 3
    for number, rows in enumerate(([3, 3, 19, 0], [7], [5, 1], [2, 4, 8])):
        place = places[number % 3]
        place.load(source, np.array(rows))
        with place.opened() as there:
            assert arrays.device_of(there) == device
            np.testing.assert_array_equal(arrays.to_host(there[:len(rows)]),
                                          source[rows])
