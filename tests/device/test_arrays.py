"""Devices: names, moves, and what is said when one is missing."""

import sys
import types

import numpy as np
import pytest

from minifer.device import arrays
from minifer.device.emuarray import EmuArray
from minifer.errors import BackendUnavailable, CaptureError, SettingError


@pytest.fixture
def without_cupy(monkeypatch):
    """As if CuPy were not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    arrays._cupy.cache_clear()
    yield
    arrays._cupy.cache_clear()


class CudaError(RuntimeError):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class OutOfMemory(MemoryError):
    pass


@pytest.fixture
def fake_cupy(monkeypatch):
    """A CuPy whose runtime answers as it is told: ``say(count)`` or ``say(error)``."""
    cupy = types.ModuleType("cupy")
    answer = []

    def count():
        if isinstance(answer[-1], Exception):
            raise answer[-1]
        return answer[-1]

    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CudaError)
    memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemory)
    cupy.cuda = types.SimpleNamespace(runtime=runtime, memory=memory)
    cupy.ndarray = type("ndarray", (), {})
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    arrays._cupy.cache_clear()
    yield answer.append
    arrays._cupy.cache_clear()


def test_names():
    assert arrays.resolve("cpu") == "cpu" and arrays.resolve("emu") == "emu"
    with pytest.raises(SettingError, match="expected one of auto, cpu, cuda, emu, got"):
        arrays.resolve("gpu")


@pytest.mark.parametrize("platform, path", [("linux", None), ("win32", "g++")])
def test_the_emulator_needs_a_compiler(platform, path, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(arrays.shutil, "which", lambda name: path)
    with pytest.raises(BackendUnavailable, match="got none. Install it, for instance"):
        arrays.resolve("emu")


def test_without_cupy(without_cupy):
    assert arrays.resolve("auto") == "cpu"
    with pytest.raises(BackendUnavailable, match="pip install .cupy-cuda13x"):
        arrays.resolve("cuda")


@pytest.mark.parametrize("answer, said", [
    (CudaError(35, "insufficient"), "no NVIDIA driver"),
    (CudaError(100, "no device"), "a driver but no GPU"),
    (CudaError(999, "what is this"), "what is this"), (0, "got none")])
def test_without_a_gpu(fake_cupy, answer, said):
    fake_cupy(answer)
    assert arrays.resolve("auto") == "cpu"
    with pytest.raises(BackendUnavailable, match=said) as caught:
        arrays.resolve("cuda")
    assert "\n" not in str(caught.value) and "use device='cpu'" in str(
        caught.value).replace("Use", "use")


def test_with_a_gpu(fake_cupy):
    fake_cupy(1)
    assert arrays.resolve("auto") == arrays.resolve("cuda") == "cuda"


def test_errors_of_cupy_become_one_line(fake_cupy):
    fake_cupy(1)
    with pytest.raises(BackendUnavailable, match="smaller batch"):
        with arrays.explained():
            raise OutOfMemory("2 GiB")
    with pytest.raises(BackendUnavailable, match="nvidia-smi"):
        with arrays.explained():
            raise CudaError(700, "illegal address")
    with pytest.raises(CaptureError, match="launches and array operations"):
        with arrays.explained():
            raise CudaError(900, "cudaErrorStreamCaptureUnsupported")
    with pytest.raises(ZeroDivisionError):
        with arrays.explained():
            1 / 0


def test_memory(fake_cupy):
    assert arrays.memory_free("cpu") == arrays.memory_free("emu") == np.inf
    assert arrays.shared_memory("emu") == 232448
    fake_cupy(1)
    cupy = sys.modules["cupy"]
    cupy.cuda.runtime.memGetInfo = lambda: (1000, 9000)
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 50)
    cupy.cuda.runtime.getDevice = lambda: 1
    cupy.cuda.Device = lambda gpu: types.SimpleNamespace(
        attributes={"MaxSharedMemoryPerBlockOptin": 166911 + gpu})
    assert arrays.memory_free("cuda") == 1050
    assert arrays.shared_memory("cuda") == 166912
    arrays._shared_memory.cache_clear()
    assert arrays.cupy_module() is cupy


def test_moves():
    x = np.arange(6.0).reshape(2, 3)
    there = arrays.to_device(x.T, "emu")
    assert arrays.device_of(there) == "emu" and arrays.on_gpu(there)
    assert there.flags.c_contiguous and there.shape == (3, 2)
    back = arrays.to_host(there)
    assert type(back) is np.ndarray and np.array_equal(back, x.T)
    there[...] = 0
    assert x.any() and back.any(), "memory is shared between devices"
    assert arrays.to_device(there, "emu") is there
    assert arrays.to_host(x) is x and arrays.to_device(x, "cpu") is x
    assert arrays.device_of([1, 2]) == "cpu" and not arrays.on_gpu(3)


def test_contiguous():
    x = arrays.to_device(np.arange(6.0).reshape(2, 3), "emu")
    assert arrays.contiguous(x) is x
    turned = arrays.contiguous(x.T)
    assert turned.flags.c_contiguous and np.array_equal(turned.get(), x.get().T)


# --- EmuArray keeps its distance -----------------------------------------------

@pytest.fixture
def pair():
    x = np.random.default_rng(0).normal(size=(3, 4))
    return x, EmuArray(x.copy())


@pytest.mark.parametrize("f", [
    lambda x: x + 1, lambda x: 2 / x, lambda x: -x, lambda x: x @ x.T, lambda x: x > 0,
    lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, x, 0), lambda x: x.mean(),
    lambda x: x.sum(axis=0), lambda x: np.expand_dims(x, 1), lambda x: x[1:, ::2],
    lambda x: x[x[:, 0].argsort()], lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.split(x, 2, axis=1)[1], lambda x: x.reshape(-1).astype(np.float32),
    lambda x: np.empty_like(x, shape=(2, 2)) * 0, lambda x: x.T.copy(),
    lambda x: np.matmul(x, x.T, out=np.empty_like(x, shape=(3, 3)))])
def test_it_computes_what_numpy_computes(pair, f):
    x, there = pair
    found = f(there)
    assert type(found) is EmuArray
    np.testing.assert_array_equal(found.get(), f(x))
    assert found.dtype == f(x).dtype


def test_in_place_changes_stay_in_place(pair):
    x, there = pair
    view = there[1:]
    view += 1
    view[0] = 7
    np.add(there, 1, out=there)
    assert np.array_equal(there.get()[1], np.full(4, 8.0))
    assert there.get()[2, 0] == x[2, 0] + 1 + 1


def test_what_is_given_comes_back_itself(pair):
    """As with CuPy's arrays, of which many places may know."""
    _, there = pair
    before = there
    there += 1
    there *= there
    assert there is before
    for found in (np.add(there, 1, out=there), np.clip(there, 0, 1, out=there),
                  there.astype(float, copy=False), np.nan_to_num(there, copy=False),
                  np.concatenate([there[:1], there[1:]], out=there)):
        assert found is there
    total = np.empty_like(there, shape=(4,))
    assert there.sum(axis=0, out=total) is total
    assert np.divmod(there, 2, out=(there, None))[0] is there


def test_a_single_element_is_a_view(pair):
    _, there = pair
    first = there[0, 0]
    there[0, 0] = 7
    assert first.shape == () and float(first) == 7 and type(first) is EmuArray


@pytest.mark.parametrize("f", [
    lambda a, b: a + b, lambda a, b: b + a, lambda a, b: np.maximum(a, b),
    lambda a, b: np.concatenate([a, b]), lambda a, b: np.asarray(a),
    lambda a, b: np.stack([b, a]), lambda a, b: a.__setitem__(..., b),
    lambda a, b: b.__setitem__(..., a), lambda a, b: a[np.array([0, 1])],
    lambda a, b: np.add(b, 1, out=a)])
def test_it_does_not_mix_with_numpy(pair, f):
    x, there = pair
    with pytest.raises(TypeError, match="EmuArray|mix|to_host"):
        f(there, x)


def test_scalars_and_numbers(pair):
    x, there = pair
    assert type(there.sum()) is EmuArray and float(there.sum()) == x.sum()
    assert there.shape == (3, 4) and there.ndim == 2 and len(there) == 3
    assert there.sum().item() == x.sum() and bool((there == there).all())
    assert [row.get().tolist() for row in there] == x.tolist()
    with pytest.raises(AttributeError):
        there.no_such_thing
