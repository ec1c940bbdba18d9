"""From CUDA text to a checked call: what does not fit the signature never starts."""

import doctest

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import loader
from minifer.cuda.emulator import available
from minifer.cuda.loader import Parameter, kernel, size_of
from minifer.device import arrays as backend
from minifer.errors import KernelError

TEXT = '''
#include "common.cuh"
#ifndef VALUE
#define VALUE 0
#endif

// y = factor x, and n in every element of count
extern "C" __global__ void scale(const real* x /*[n*2]*/,
                                 real* __restrict__ y /*[n*2]*/, int* count /*[n]?*/,
                                 real factor, index_t n)
{
    index_t i = GLOBAL_INDEX;
    if (i < 2 * n) y[i] = factor * x[i];
    if (count && i < n) count[i] = (int)n;
}

extern "C" __global__ void fill(unsigned char* mask /*[rows*(columns/2)]*/, int rows,
                                int columns)
{
    index_t i = GLOBAL_INDEX;
    if (i < rows * (columns / 2)) mask[i] = VALUE;
}
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scale.cu"
    path.write_text(TEXT)
    return str(path)


def arrays(device, dtype="float32"):
    x = backend.to_device(np.arange(6, dtype=dtype), device)
    count = backend.to_device(np.zeros(3, np.int32), device)
    return x, np.empty_like(x), count


def test_signatures_are_read(file):
    found = loader.signatures(file)
    assert list(found) == ["scale", "fill"]
    x, y, count, factor, n = found["scale"]
    assert (x.type, x.name, x.size, x.pointer, x.optional) == (
        "real", "x", "n*2", True, False)
    assert (y.name, count.optional, factor.pointer, n.type) == (
        "y", True, False, "index_t")
    assert found["fill"][0].dtype("float32") == np.uint8
    assert factor.dtype("float64") == np.float64


@pytest.mark.parametrize("text, said", [
    ("const real* x", "number of elements"), ("size_t n", "expected a type"),
    ("real", "expected a type")])
def test_a_signature_that_says_too_little_is_refused(text, said):
    with pytest.raises(KernelError, match=said):
        Parameter(text)


@pytest.mark.parametrize("text, value", [
    ("N*C", 35), ("N*(C+1)/2", 20), ("(N*C)/2", 17), ("N - 1", 4), ("12", 12),
    ("N%3 * C", 14), ("N // 2", 2)])
def test_sizes(text, value):
    assert size_of(text, {"N": 5, "C": 7}) == value


@pytest.mark.parametrize("text", ["N*K", "f(N)", "N**2", "1.5", "__import__('os')"])
def test_sizes_are_only_arithmetic(text):
    with pytest.raises(KernelError, match="whole-number parameters"):
        size_of(text, {"N": 5})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_call(file, device, dtype):
    x, y, count = arrays(device, dtype)
    kernel(file, "scale", x)(x, y, count, 2.5, 3, threads=6)
    assert y.get().tolist() == [0, 2.5, 5, 7.5, 10, 12.5] and y.dtype == dtype
    assert count.get().tolist() == [3, 3, 3]
    kernel(file, "scale", x)(x, y, None, -1, 3, threads=6, block=4)
    assert y.get().tolist() == [0, -1, -2, -3, -4, -5]
    kernel(file, "scale", x)(x[:0], y[:0], None, 1, 0, threads=0)  # nothing to do


@pytest.mark.parametrize("device", DEVICES)
def test_macros_make_another_kernel(file, device):
    x, mask = arrays(device)[0], backend.to_device(np.zeros(4, bool), device)
    for value in (1, 0):
        fill = kernel(file, "fill", x, VALUE=value)
        fill(mask, 2, 5, grid=(2, 1, 1), block=(2, 1, 1))
        assert mask.get().tolist() == [bool(value)] * 4
    assert kernel(file, "fill", x, VALUE=1) is kernel(file, "fill", x, VALUE=1)


@pytest.mark.parametrize("device", DEVICES)
def test_what_does_not_fit_is_refused(file, device):
    x, y, count = arrays(device)
    call = kernel(file, "scale", x)
    wide = backend.to_device(np.zeros((6, 2), np.float32), device)
    for args, said in [
            ((x, y, count, 1.0), "5 arguments .x, y, count, factor, n., got 4"),
            ((x, y, count, 1.0, 2), r"x of n\*2 = 4 elements, got 6"),
            ((x, y[:4], count, 1.0, 3), "y of .* elements, got 4"),
            ((x, y, y[:3], 1.0, 3), "count of int32, got float32"),
            ((x, y.astype(np.float64), count, 1.0, 3), "y of float32, got float64"),
            ((x, wide[:, 0], count, 1.0, 3), "y contiguous"),
            ((None, y, count, 1.0, 3), "x on .* got none"),
            ((x.get(), y, count, 1.0, 3), "x on .* got it on 'cpu'"),
            ((x, y, count, 1.0, 2 ** 70), "n as index_t")]:
        with pytest.raises(KernelError, match=f"^kernel scale: expected.*{said}"):
            call(*args, threads=6)
    assert not count.get().any()


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_not_there_is_said(file, device):
    x = arrays(device)[0]
    with pytest.raises(KernelError, match="expected a kernel 'scael', got only scale"):
        kernel(file, "scael", x)
    with pytest.raises(KernelError, match="no_such.cu: expected a CUDA source"):
        kernel("no_such.cu", "scale", x)
    with pytest.raises(KernelError, match="to_device"):
        kernel(file, "scale", x.get())
    with pytest.raises(KernelError, match="float32 or float64 arrays, got float16"):
        kernel(file, "scale", x.astype(np.float16))


# --- shared memory -----------------------------------------------------------

LARGE = '''
#include "common.cuh"
extern "C" __global__ void backwards(const float* x /*[n]*/, float* y /*[n]*/, int n)
{
    DYN_SHARED(float, tile);
    for (int i = threadIdx.x; i < n; i += blockDim.x) tile[i] = x[i];
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = tile[n - 1 - i];
}
'''


@pytest.mark.parametrize("device", DEVICES)
def test_a_block_can_have_as_much_shared_memory_as_there_is(device, tmp_path):
    path = tmp_path / "large.cu"
    path.write_text(LARGE)
    most = backend.shared_memory(device)
    for size in (most, 64 * 1024, 1024):
        x = backend.to_device(np.arange(size // 4, dtype=np.float32), device)
        y = np.empty_like(x)
        kernel(str(path), "backwards", x)(x, y, x.size, grid=1, shared=size)
        assert y.get().tolist() == x.get().tolist()[::-1]
    with pytest.raises(KernelError, match=f"at most {most} bytes of .*got {most + 4}"):
        kernel(str(path), "backwards", x)(x, y, x.size, grid=1, shared=most + 4)


def test_a_gpu_is_asked_for_much_shared_memory_once(monkeypatch):
    asked = []

    class Function:
        max_dynamic_shared_size_bytes = 49152

        def __setattr__(self, name, value):
            asked.append(value)
            super().__setattr__(name, value)

        def __call__(self, grid, block, args, shared_mem):
            assert shared_mem <= self.max_dynamic_shared_size_bytes

    monkeypatch.setattr(loader, "shared_memory", lambda device: 200000)
    gpus = iter([0] * 9)
    monkeypatch.setattr(loader, "current_gpu", lambda device: next(gpus))
    call = loader.Kernel("f", (), Function(), "cuda", "float32")
    for shared in (0, 49152, 49153, 150000, 60000, 200000):
        call(grid=1, shared=shared)
    assert asked == [49153, 150000, 200000]
    with pytest.raises(KernelError, match="at most 200000 bytes"):
        call(grid=1, shared=200001)


@pytest.mark.skipif(not available(), reason="needs g++")
def test_what_the_readme_shows_runs():
    done = doctest.testfile(str(loader.FOLDER / "README.md"), module_relative=False)
    assert done.attempted > 5 and not done.failed
