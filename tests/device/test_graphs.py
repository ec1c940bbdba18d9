"""A captured task does, launch by launch, what running it does, and nothing before."""

import contextlib
import sys
import types

import numpy as np
import pytest

from helpers.checking import normal
from helpers.devices import DEVICES
from minifer.cuda import activation, dropout, kernel, loss, pool
from minifer.cuda.emulator import schedule
from minifer.cuda.scalars import send
from minifer.device import arrays as backend
from minifer.device import graphs
from minifer.device.emuarray import EmuArray
from minifer.device.graphs import capture
from minifer.device.pools import Pools
from minifer.errors import BackendUnavailable, CaptureError, KernelError, SettingError
from minifer.random import Stream

on_devices = pytest.mark.parametrize("device", DEVICES)


def arrays(device):
    """What tasks work on."""
    return types.SimpleNamespace(**{
        name: backend.to_device(value.copy(), device) for name, value in {
            "x": normal((4, 6), 1).astype("float32"),
            "y": normal((4, 6), 2).astype("float32"),
            "total": np.zeros(6, np.float32), "rate": np.array([0.5], np.float32),
            "count": np.zeros(1, np.int32), "targets": np.array([3, 1], np.int32),
            "numbers": np.zeros(3)}.items()})


def contents(a):
    return {name: backend.to_host(value) for name, value in vars(a).items()}


def assert_same(found, expected):
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# --- tasks -------------------------------------------------------------------

def in_place(a):
    a.x += 1
    a.x *= a.rate
    a.y -= a.x * 2
    a.count += 1


def assignments(a):
    a.x[...] = a.x - a.rate * a.y
    a.y[1:, ::2] = a.x[:3, 1::2]
    a.y[0, 2] = a.rate[0]
    a.y[...] = np.where(a.x > 0.5, 0, a.y)
    a.total[2] += 3


def functions(a):
    np.add(a.x, a.y, out=a.y)
    a.total[0] += np.dot(a.x[0], a.y[0])  # of vectors: not cuBLAS's
    a.total[...] = np.maximum(a.y, 0).sum(axis=0) / np.sqrt((a.x * a.x).mean())
    np.copyto(a.x, np.where(a.x > 0, a.x, a.rate * a.y))
    a.count[0] = np.argmax(a.total)
    np.sum(a.x, axis=0, out=a.total)


def views(a):
    flat = a.x.reshape(-1)
    flat[:6] += a.total
    a.total[...] = a.x.T.reshape(6, 4).copy()[:, 1]
    a.x.T[0] = 7
    left, right = np.split(a.y, 2, axis=1)
    left += right.astype(np.float64).astype(np.float32, copy=False)


def new_arrays(a):
    scratch = np.empty_like(a.x, shape=(6,))
    scratch[...] = a.total
    zeros = np.zeros_like(a.x)
    zeros += a.x
    both = np.concatenate([zeros, a.y], axis=0)
    both[0] = scratch
    a.y[...] = both[2:6]
    a.total += both.sum(axis=0)
    a.x.fill(2)
    a.x -= np.take(both, a.count, axis=0)
    a.total[...] = np.divmod(a.total, a.rate)[1]


def launches(a):
    """A step of a small network without weights."""
    y, cache = activation.rectify_forward(a.x)
    kept = np.empty_like(y, bool)
    dropout.draw_mask(kept, 20000, Stream(3, "noise").key, a.numbers, 1)
    y, kept = dropout.dropout_forward(y, kept, np.float32(2))
    small, winner = pool.pool(y.reshape(2, 2, 2, 3), (2, 2), (1, 1), (0, 0), (1, 2),
                              "max")
    losses, given = loss.softmax_crossentropy_forward(small.reshape(2, 4), a.targets)
    dsmall = loss.softmax_crossentropy_backward(np.ones_like(losses) / 2, given)
    dy = pool.pool_backward(dsmall.reshape(small.shape), winner, (2, 2, 2, 3), (2, 2),
                            (1, 1), (0, 0), (1, 2), "max").reshape(4, 6)
    a.x -= a.rate * activation.rectify_backward(dropout.dropout_backward(dy, kept),
                                                cache)
    a.total[0] += losses.sum()


TASKS = [in_place, assignments, functions, views, new_arrays, launches]


@on_devices
@pytest.mark.parametrize("task", TASKS)
def test_launching_is_running(device, task):
    ran, launched = arrays(device), arrays(device)
    task(arrays(device))  # so that everything is compiled
    graph = capture(device, lambda: task(launched))
    for step, rate in enumerate((0.5, -2.0, 0.25)):
        for a in (ran, launched):
            a.rate[...] = rate
            send(a.numbers, 1, [step])
        task(ran)
        graph.launch()
        assert_same(contents(launched), contents(ran))


@on_devices
@pytest.mark.parametrize("task", TASKS)
def test_a_capture_does_nothing(device, task):
    a = arrays(device)
    task(arrays(device))
    capture(device, lambda: task(a))
    assert_same(contents(a), contents(arrays(device)))


@on_devices
def test_what_a_task_returns_is_filled_by_each_launch(device):
    x = backend.to_device(np.array([1.0, 2.0]), device)
    graph = capture(device, lambda: (x * 2, {"sum": x.sum()}))
    if device == "emu":
        assert np.isnan(graph.result[0].get()).all()
        assert np.isnan(graph.result[1]["sum"].get())
    for factor in (1, 5):
        x[...] = backend.to_device(factor * np.array([1.0, 2.0]), device)
        graph.launch()
        double, sums = graph.result
        assert backend.to_host(double).tolist() == [2 * factor, 4 * factor]
        assert float(sums["sum"]) == 3 * factor


@pytest.mark.parametrize("task, nodes", [
    (lambda x: None, 0), (lambda x: x.reshape(2, 2).T[0, 1:], 0),
    (lambda x: (x.shape, len(x), np.ndim(x), x.dtype, x.flags.c_contiguous), 0),
    (lambda x: np.empty_like(x), 0), (lambda x: x.astype(x.dtype, copy=False), 0),
    (lambda x: x.astype(np.float32), 1), (lambda x: np.zeros_like(x), 1),
    (lambda x: x + 1, 1), (lambda x: x.__setitem__(0, 1.0), 1), (lambda x: x.copy(), 1),
    (lambda x: x.T.reshape(4, 1).sum(axis=0), 1), (lambda x: -x * x, 2),
    (lambda x: backend.contiguous(x), 0), (lambda x: np.copyto(x, 1.0), 1),
    (lambda x: np.clip(x, 0, 1, x), 1), (lambda x: np.add.at(x, 0, 1), 1),
    (lambda x: x[::2], 0), (lambda x: x[np.argmax(x)], 2)])
def test_nodes_are_what_a_gpu_would_do(task, nodes):
    x = EmuArray(normal((4,), 1))
    assert capture("emu", lambda: task(x)).nodes == nodes


@pytest.mark.parametrize("device", DEVICES[:1])
def test_launches_are_nodes_and_run_under_todays_schedule(device, tmp_path):
    path = tmp_path / "race.cu"
    path.write_text('extern "C" __global__ void race(float* x /*[n]*/, int n)'
                    "{ x[0] = threadIdx.x; }")
    x = backend.to_device(np.zeros(4, np.float32), device)
    graph = capture(device, lambda: kernel(str(path), "race", x)(x, 4, threads=32))
    assert graph.nodes == 1 and x[0].get() == 0
    graph.launch()
    with schedule(races=True), pytest.raises(KernelError, match="race"):
        graph.launch()


# --- what a capture cannot hold ----------------------------------------------

REFUSED = {
    "get": lambda x: x.get(), "item": lambda x: x[0].item(), "float": lambda x: float(
        x.sum()), "int": lambda x: int(x[0]), "bool": lambda x: bool((x > 0).all()),
    "if": lambda x: 1 if x[0] > 0 else 2,
    "tolist": lambda x: x.tolist(), "to_host": backend.to_host,
    "to_device": lambda x: x + backend.to_device(np.ones(4), backend.device_of(x)),
    "mask": lambda x: x[x > 0], "nonzero": lambda x: np.nonzero(x),
    "set mask": lambda x: x.__setitem__(x > 0, 0), "where": lambda x: np.where(x > 0),
    "fill": lambda x: x.fill(x[0]), "product": lambda x: x.reshape(2, 2) @ x[:2],
    "dot": lambda x: np.dot(x.reshape(2, 2), x[:2]),
    "tensordot": lambda x: np.tensordot(x.reshape(2, 2), x.reshape(2, 2), 1),
    "send": lambda x: send(x, 0, [1.0]),
    "capture": lambda x: capture(backend.device_of(x), lambda: x + 1)}
ONLY_EMU = {
    "method": lambda x: x.reshape(2, 2).dot(x[:2]),
    "einsum": lambda x: np.einsum("i,i", x, x),
    "solve": lambda x: np.linalg.inv(x.reshape(2, 2)), "list": lambda x: x[[0, 1]],
    "set list": lambda x: x.__setitem__([0, 1], 0), "flat": lambda x: x.flat[0],
    "sort": lambda x: np.sort(x), "unique": lambda x: np.unique(x),
    "equal": lambda x: np.array_equal(x, x),
    "bytes": lambda x: x.tobytes(), "out": lambda x: np.matmul(
        x.reshape(2, 2), x.reshape(2, 2), out=x.reshape(2, 2))}


@on_devices
@pytest.mark.parametrize("what", [*REFUSED, *ONLY_EMU])
def test_what_waits_or_copies_is_refused(device, what):
    if device == "cuda" and what in ONLY_EMU:
        pytest.skip("CuPy has its own ways with these")
    x = backend.to_device(np.arange(4.0), device)

    def task():
        np.multiply(x, 3, out=x)
        (REFUSED | ONLY_EMU)[what](x)

    with pytest.raises(CaptureError, match="^capture: expected only") as caught:
        capture(device, task)
    assert "\n" not in str(caught.value)
    assert backend.to_host(x).tolist() == [0, 1, 2, 3], "the task has been done"
    graph = capture(device, lambda: np.multiply(x, 3, out=x))  # as if nothing had been
    graph.launch()
    assert backend.to_host(x).tolist() == [0, 3, 6, 9]


@on_devices
def test_copies_between_host_and_device_are_named(device):
    x = backend.to_device(np.arange(4.0), device)
    for task, said in [(lambda: backend.to_host(x), "copied to the host, which waits"),
                       (lambda: backend.to_device([1.0], device), "copied from the")]:
        with pytest.raises(CaptureError, match=said):
            capture(device, task)


def test_a_product_by_cublas_is_named():
    x, W = EmuArray(normal((3, 4))), EmuArray(normal((4, 2)))
    with pytest.raises(CaptureError, match="got matmul, which is cuBLAS's"):
        capture("emu", lambda: x @ W)


@on_devices
def test_errors_of_the_task_itself_come_through(device):
    x = backend.to_device(np.zeros(3, np.float32), device)

    def wrong():
        x.fill(1)
        activation.bias_add(x.reshape(1, 3), x[:2])

    for error, task in [(KernelError, wrong), (ZeroDivisionError, lambda: 1 / 0)]:
        with pytest.raises(error):
            capture(device, task)
    assert not backend.to_host(x).any()


@on_devices
def test_a_graph_is_not_launched_inside_a_capture(device):
    x = backend.to_device(np.zeros(3), device)
    graph = capture(device, lambda: x.fill(1))
    with pytest.raises(CaptureError, match="the launch of a graph"):
        capture(device, graph.launch)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_only_devices_capture(device):
    with pytest.raises(SettingError, match="'cuda' or 'emu', got"):
        capture(device, lambda: None)


# --- what CUDA is asked for, without a GPU -------------------------------------

class CudaError(RuntimeError):
    status = 901


@pytest.fixture
def cuda(monkeypatch):
    """A CuPy that notes what it is asked for."""
    log = []
    note = types.SimpleNamespace(log=log, end_fails=False, no_memory=False)

    class Stream(contextlib.nullcontext):
        def __init__(self, non_blocking):
            super().__init__()
            assert non_blocking

        def begin_capture(self):
            log.append("begin")

        def end_capture(self):
            log.append("end")
            if note.end_fails:
                raise CudaError("cudaErrorStreamCaptureInvalidated")
            return types.SimpleNamespace(
                upload=lambda: log.append("upload"),
                launch=lambda: log.append("launch"),
                debug_dot_str=lambda: 'digraph dot {\n"graph_1_node_0"[label="a"];\n'
                '"graph_1_node_1"[label="b"];\n"graph_1_node_0" -> "graph_1_node_1";}')

    @contextlib.contextmanager
    def using_allocator(allocator):
        log.append("own pool")
        note.allocate = allocator
        try:
            yield
        finally:
            log.append("shared pool")

    def memory(size):
        if note.no_memory:
            error = CudaError("out of memory")
            error.status = 2
            raise error
        return size

    cupy = types.ModuleType("cupy")
    cupy.ndarray = type("ndarray", (), {})
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(
        free_all_blocks=lambda: log.append("free"), total_bytes=lambda: 0)
    cupy.cuda = types.SimpleNamespace(
        Stream=Stream, using_allocator=using_allocator, Memory=memory,
        MemoryPointer=lambda memory, offset: (memory, offset),
        MemoryPool=lambda block: types.SimpleNamespace(
            malloc=block, free_all_blocks=lambda: log.append("emptied"),
            total_bytes=lambda: 0),
        memory=types.SimpleNamespace(OutOfMemoryError=MemoryError),
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1,
                                      CUDARuntimeError=CudaError))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(graphs, "POOLS", Pools())
    backend._cupy.cache_clear()
    yield note
    backend._cupy.cache_clear()


def test_cuda_captures_in_a_stream_and_a_pool_of_its_own(cuda):
    graph = capture("cuda", lambda: cuda.log.append("task") or cuda.allocate(64))
    graph.launch()
    graph.launch()
    assert cuda.log == ["free", "own pool", "begin", "task", "end", "shared pool",
                        "upload", "launch", "launch"]
    assert graph.result == (64, 0) and graph.nodes == 2


def test_the_memory_of_a_dropped_graph_is_given_back_at_the_next_capture(cuda):
    graph = capture("cuda", lambda: None)
    del graph
    assert "emptied" not in cuda.log
    with pytest.raises(ZeroDivisionError):
        capture("cuda", lambda: 1 / 0)
    assert cuda.log.count("emptied") == 1
    kept = capture("cuda", lambda: None)
    assert cuda.log.count("emptied") == 2, "the pool of a capture that failed"
    capture("cuda", lambda: None)
    assert cuda.log.count("emptied") == 2 and kept.nodes


@pytest.mark.parametrize("error, said", [
    (NotImplementedError("calling cuBLAS API during stream capture is currently "
                         "unsupported"), "got 'calling cuBLAS API"),
    (RuntimeError("the current stream is capturing, so synchronous API calls are "
                  "disallowed"), "got 'the current stream is capturing"),
    (CudaError("cudaErrorStreamCaptureUnsupported"), "CaptureUnsupported")])
@pytest.mark.parametrize("end_fails", [True, False])
def test_a_capture_that_fails_ends(cuda, error, said, end_fails):
    cuda.end_fails = end_fails

    def task():
        raise error

    with pytest.raises(CaptureError, match=said):
        capture("cuda", task)
    assert cuda.log[-2:] == ["end", "shared pool"]
    cuda.end_fails = False
    capture("cuda", lambda: None)


def test_a_capture_that_cuda_finds_invalid_at_its_end_is_refused(cuda):
    cuda.end_fails = True
    with pytest.raises(CaptureError, match="Invalidated"):
        capture("cuda", lambda: None)


def test_too_little_memory_is_said(cuda):
    cuda.no_memory = True
    with pytest.raises(BackendUnavailable, match="64 bytes of GPU memory, got none"):
        capture("cuda", lambda: cuda.allocate(64))
    assert cuda.log[-2:] == ["end", "shared pool"]


def test_other_errors_of_a_task_on_cuda_come_through(cuda):
    for error in (ZeroDivisionError("no"), RuntimeError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            capture("cuda", lambda: (_ for _ in ()).throw(error))
        assert cuda.log[-2:] == ["end", "shared pool"]
