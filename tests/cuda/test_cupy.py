"""What CuPy itself does on a GPU, or on the stand-in of ``make cupy-check``."""

import contextlib
import ctypes

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import kernel
from minifer.device import arrays
from minifer.device.graphs import capture
from minifer.device.pools import POOLS
from minifer.device.staging import staging_slots
from minifer.errors import BackendUnavailable, CaptureError, KernelError


@pytest.fixture(autouse=True, params=DEVICES[1:])
def device(request):
    """The only one that has a CuPy."""
    return request.param


@pytest.fixture
def cupy():
    return arrays.cupy_module()


def gpu(*shape, fill=1.0):
    return arrays.to_device(np.full(shape, fill, np.float32), "cuda")


# --- errors, in one line ------------------------------------------------------------

def test_a_launch_that_the_driver_refuses_is_explained(tmp_path):
    path = tmp_path / "fill.cu"
    path.write_text('extern "C" __global__ void fill(float* x /*[n]*/, int n) {}')
    x = gpu(4)
    with pytest.raises(BackendUnavailable, match="INVALID_VALUE.*nvidia-smi") as caught:
        kernel(str(path), "fill", x)(x, x.size, grid=1, block=2048)
    assert "\n" not in str(caught.value)


def test_a_kernel_that_does_not_compile_is_explained(tmp_path):
    path = tmp_path / "wrong.cu"
    path.write_text('extern "C" __global__ void wrong(float* x /*[n]*/, int n) {oh}')
    x = gpu(4)
    with pytest.raises(KernelError, match="NVRTC accepts, got .*error") as caught:
        kernel(str(path), "wrong", x)(x, x.size, grid=1)
    assert "\n" not in str(caught.value)


def test_errors_of_the_libraries_are_explained(cupy):
    from cupy_backends.cuda.libs import cublas, nvrtc
    for error in (cublas.CUBLASError(1), nvrtc.NVRTCError(7)):
        with pytest.raises(BackendUnavailable, match="that fit the GPU.*pip") as caught:
            with arrays.explained():
                raise error
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", [
    lambda x: x @ x, lambda x: x.get(), lambda x: float(x[0, 0]),
    lambda x: arrays.cupy_module().cuda.get_current_stream().synchronize(),
    lambda x: arrays.cupy_module().asarray([1.0, 2.0])])
def test_what_a_capture_cannot_hold_is_explained(task):
    x = gpu(2, 2)
    task(x)
    with pytest.raises(CaptureError, match="^capture: expected only") as caught:
        capture("cuda", lambda: task(x))
    assert "\n" not in str(caught.value)
    graph = capture("cuda", lambda: np.add(x, 1, out=x))
    graph.launch()
    assert arrays.to_host(x).tolist() == [[2, 2], [2, 2]]


# --- memory ---------------------------------------------------------------------------

def test_dropped_graphs_give_their_memory_back(cupy):
    x = gpu(300_000)

    def free():
        POOLS.give_back(cupy)
        return cupy.cuda.runtime.memGetInfo()[0]

    capture("cuda", lambda: (x * 2 + 1) * x)  # so that everything is compiled
    before = free()
    for _ in range(3):
        capture("cuda", lambda: (x * 2 + 1) * x)
    assert free() == before
    kept = capture("cuda", lambda: x * 2).result
    assert free() < before, "an array that lives has lost its memory"
    del kept
    assert free() == before


def test_the_next_capture_takes_the_memory_of_a_dropped_graph(cupy):
    x, free = gpu(300_000), []
    for _ in range(4):
        capture("cuda", lambda: (x * 2 + 1) * x)
        free.append(cupy.cuda.runtime.memGetInfo()[0])
    assert len(set(free[1:])) == 1


def test_the_pools_of_graphs_are_counted(cupy):
    x = gpu(1_000_000)
    used, bytes_used = POOLS.used(cupy), x.nbytes
    graph = capture("cuda", lambda: x * 2)
    assert POOLS.used(cupy) >= used - POOLS.used(cupy) % 1 and graph.nodes
    assert POOLS.living[-1].total_bytes() >= bytes_used
    most = arrays.memory_used("cuda")
    del graph
    POOLS.give_back(cupy)
    assert POOLS.used(cupy) < most and arrays.memory_used("cuda") == most


def test_a_gpu_is_asked_once_for_its_shared_memory(cupy, monkeypatch):
    asked, real = [], cupy.cuda.Device
    monkeypatch.setattr(cupy.cuda, "Device",
                        lambda *gpu: asked.append(gpu) or real(*gpu))
    arrays._shared_memory.cache_clear()
    assert arrays.shared_memory("cuda") == arrays.shared_memory("cuda") >= 48 * 1024
    assert len(asked) == 1


# --- two streams ----------------------------------------------------------------------

@contextlib.contextmanager
def late(which):
    """On the stand-in: the legacy stream (1), or all others (2), work late."""
    order = getattr(ctypes.CDLL("libcuda.so.1"), "standin_order", None)
    if order is None:
        pytest.skip("needs the stand-in: a GPU does not let its order be chosen")
    before = order(which)
    try:
        yield
    finally:
        order(before)


@pytest.mark.parametrize("which", range(4))
def test_a_slot_is_not_loaded_before_its_memory_is_free(which):
    source = np.arange(5000.0)
    with late(which):
        old = arrays.to_device(source, "cuda")
        place = old.data.ptr
        old *= 3               # late: still to be done when its memory is given away
        del old
        slot, = staging_slots((5000,), np.float64, "cuda", 1)
        assert slot.there.data.ptr == place
        slot.load(source, np.arange(5000))
        with slot.opened() as there:
            found = arrays.to_host(there)
    assert found.tolist() == source.tolist()


@pytest.mark.parametrize("which", range(4))
def test_a_slot_that_is_dropped_does_not_write_to_memory_of_others(which, cupy):
    like = gpu(1)
    with late(which):
        slot, = staging_slots((5000,), np.float64, "cuda", 1)
        place, here = slot.there.data.ptr, slot.here.ctypes.data
        slot.load(np.arange(5000.0), np.arange(5000))
        del slot
        taken = np.zeros_like(like, dtype=np.float64, shape=(5000,))
        assert taken.data.ptr == place
        pinned = cupy.cuda.alloc_pinned_memory(5000 * 8)
        assert pinned.ptr == here
        arrays.synchronize("cuda")
        assert not arrays.to_host(taken).any()
