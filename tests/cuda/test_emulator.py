"""The emulator of CUDA: every word of the language, its faults, its cache."""

import os
import pathlib
import re
import shutil
import threading

import numpy as np
import pytest

from examples.gpu import cuda_without_gpu
from minifer.commands.cli import run
from minifer.cuda.emulator import EmuModule, available, build, schedule
from minifer.errors import BackendUnavailable, KernelError, SettingError

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

FOLDER = pathlib.Path(__file__).parent / "kernels"
FILE = FOLDER / "emulator.cu"
ORDERS = ["forward", "reverse", "fair", 0, 1, 2**31 - 2]
DOUBLE = {"REAL": "double"}


def launch(name, args, grid=(1, 1, 1), block=(32, 1, 1), shared=0, defines=DOUBLE):
    EmuModule(FILE, defines).get_function(name)(grid, block, args, shared_mem=shared)


def line_of(mark, file=FILE):
    lines = file.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if mark in line)


# --- what a kernel sees ------------------------------------------------------

@pytest.mark.parametrize("order", ORDERS)
def test_every_thread_of_every_block_runs_once(order):
    grid, block = (3, 2, 5), (4, 3, 2)
    n = 30 * 24
    out = np.zeros((n, 9), np.int32)
    with schedule(order):
        launch("places", [out, np.int32(n)], grid, block)
    blocks = np.stack(np.unravel_index(np.arange(30), grid[::-1])[::-1], 1)
    threads = np.stack(np.unravel_index(np.arange(24), block[::-1])[::-1], 1)
    np.testing.assert_array_equal(out[:, :3], np.repeat(blocks, 24, axis=0))
    np.testing.assert_array_equal(out[:, 3:6], np.tile(threads, (30, 1)))
    assert (out[:, 6] == n).all() and (out[:, 7] == 32).all()
    np.testing.assert_array_equal(out[:, 8], 4 * out[:, 0] + out[:, 3])


@pytest.mark.parametrize("width", [32, 8])
@pytest.mark.parametrize("by", [0, 1, 5])
def test_shuffles(by, width):
    x = np.random.default_rng(0).normal(size=64)
    out = np.zeros((64, 5))
    launch("shuffles", [x, out, np.int32(64), np.int32(by), np.int32(width)],
           block=(64, 1, 1))
    for lane in range(64):
        start = lane - lane % width
        for column, source in enumerate([start + by % width, lane - by, lane + by,
                                         lane ^ by]):
            inside = start <= source < start + width
            assert out[lane, column] == x[source if inside else lane]
        assert out[lane, 4] == int(x[lane ^ 1])


def test_votes():
    x = np.random.default_rng(1).integers(0, 2, 64, np.int32)
    x[32:] = 5
    out = np.zeros((64, 4), np.uint32)
    launch("votes", [x, out, np.int32(64)], block=(64, 1, 1))
    first = sum(1 << i for i in range(32) if x[i])
    assert (out[:32, :3] == [first, 1, 0]).all()
    assert (out[32:, :3] == [2**32 - 1, 1, 1]).all()
    assert (out[:16, 3] == first & 0xffff).all()
    assert (out[16:32, 3] == first & 0xffff0000).all()


@pytest.mark.parametrize("order", ORDERS)
def test_atomics(order):
    out = np.zeros(7, np.int32)
    with schedule(order, races=True):
        launch("atomics", [out], block=(100, 1, 1))
    assert out[:6].tolist() == [4950, -200, 99, -99, 255, 7]
    assert 1 <= out[6] <= 100 and (order != "forward" or out[6] == 1)


def test_numbers():
    for real, dtype in (("float", np.float32), ("double", np.float64)):
        y, bits = np.zeros(6, dtype), np.zeros(4, np.uint64)
        launch("numbers", [y, bits], block=(1, 1, 1), defines={"REAL": real})
        info = np.finfo(dtype)
        np.testing.assert_array_equal(y, [np.inf, np.nan, info.max, info.eps, 0.5, 1])
        assert bits.tolist() == [0xD2E7470EE14C6C93 * 0xCA5A826395121157 >> 64,
                                 0xfffffff0 * 0x12345678 >> 32,
                                 8 + 3100 + 40000, 0x3f800001]


def test_shared_memory_is_nan_until_written():
    out = np.zeros((3, 32, 2))
    launch("unwritten", [out, np.int32(96)], grid=(3, 1, 1), shared=32 * 8)
    assert (out[:, :16] == np.arange(16)[:, None]).all()
    assert np.isnan(out[:, 16:]).all()


def test_the_tensor_core_has_the_layout_of_ptx():
    rng = np.random.default_rng(2)
    a = rng.integers(-99, 99, (16, 8)).astype(np.float32)
    b = rng.integers(-99, 99, (8, 8)).astype(np.float32)
    d = np.zeros((16, 8), np.float32)
    for cut in (0, 1):
        launch("product", [a, b, d, np.int32(cut)])
        np.testing.assert_array_equal(d, a @ b)


def test_the_tensor_core_cuts_13_bits():
    a = np.full((16, 8), 1 + 2**-10 + 2**-11, np.float32)
    b, d = np.eye(8, dtype=np.float32), np.zeros((16, 8), np.float32)
    launch("product", [a, b, d, np.int32(1)])
    assert (d == 1 + 2**-10).all()
    launch("product", [a, b, d, np.int32(0)])
    assert (d == 1 + 2**-9).all()


def test_to_tf32_rounds_to_nearest_and_ties_away():
    tie = 2.0 ** -11
    x = np.array([1, 1 + tie, 1 + 0.99 * tie, -1 - tie, -1 - 3 * tie, 0, -0.0, np.inf,
                  -np.inf, np.nan, 3e-39], np.float32)
    x[9:10].view(np.uint32)[:] = 0x7fffffff  # the NaN of a GPU: + 1 would be -0
    y = np.zeros_like(x)
    launch("rounded", [x, y, np.int32(x.size)])
    np.testing.assert_array_equal(y[:10], [1, 1 + 2 * tie, 1, -1 - 2 * tie,
                                           -1 - 4 * tie, 0, 0, np.inf, -np.inf, np.nan])
    assert y[10] == pytest.approx(3e-39, rel=2e-3) and np.signbit(y[6])


def test_a_table_of_constants_may_be_read():
    y = np.zeros(4, np.int32)
    launch("table", [y, np.int32(4)])
    assert y.tolist() == [0, 1, 4, 27]


# --- arrays ------------------------------------------------------------------

def test_one_array_may_be_given_twice_and_arrays_may_overlap():
    x = np.arange(8.0)
    launch("one_more", [x, x, np.int32(8)])
    assert x.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    x[:] = 0
    launch("one_more", [x[:4], x[1:5], np.int32(4)])  # each reads what the last wrote
    assert x.tolist() == [0, 1, 2, 3, 4, 0, 0, 0]
    launch("one_more", [x[:4], x[4:], np.int32(4)])
    assert x.tolist() == [0, 1, 2, 3, 1, 2, 3, 4]


def test_inputs_may_be_read_only_and_outputs_not():
    x, y = np.arange(3.0), np.zeros(3)
    x.flags.writeable = False
    launch("one_more", [x, y, np.int32(3)])
    assert y.tolist() == [1, 2, 3]
    with pytest.raises(KernelError, match="argument 1 to be writeable"):
        launch("one_more", [y, x, np.int32(3)])


def test_a_fault_leaves_the_arrays_as_they_were():
    x, y = np.arange(3.0), np.zeros(2)
    with pytest.raises(KernelError, match="writes element 2 of y, which has 2"):
        launch("one_more", [x, y, np.int32(3)])
    assert y.tolist() == [0, 0]


def test_arrays_of_no_elements():
    launch("one_more", [np.zeros(0), np.zeros(0), np.int32(0)])
    with pytest.raises(KernelError, match="reads element 0 of x, which has 0"):
        launch("one_more", [np.zeros(0), np.zeros(1), np.int32(1)])


def test_four_at_once_must_be_aligned():
    x, y = np.arange(16, dtype=np.float32), np.zeros(20, np.float32)
    launch("four_at_once", [x, y[:16], np.int32(16)], block=(4, 1, 1))
    assert y[:4].tolist() == [3, 2, 1, 0]
    with pytest.raises(KernelError, match="touches a .*float4.* at an address that is "
                       "no multiple of 16"):
        launch("four_at_once", [x, y[1:17], np.int32(16)], block=(4, 1, 1))


# --- faults ------------------------------------------------------------------

@pytest.mark.parametrize("name, args, shared, said", [
    ("one_more", [None, np.zeros(2), np.int32(2)], 0, "reads 8 bytes at .*, where no"),
    ("past_dynamic", [np.zeros(32), np.int32(32)], 31 * 8,
     f"emulator.cu:{line_of('// past dynamic')}: writes byte 248 of the dynamic shared "
     "memory, which has 248"),
    ("columns", [np.zeros(32, np.int32), np.int32(1)], 0,
     rf"emulator.cu:{line_of('// columns')}: index 8 is outside of 'int \[8\]'"),
    ("near", [np.zeros(4, np.int32), np.int32(4)], 0,
     f"emulator.cu:{line_of('// shared')}: writes byte 16 of second, which has 16"),
    ("near", [np.zeros(4, np.int32), np.int32(-1)], 0, "writes byte -4 of second"),
    ("before", [np.zeros(3), np.int32(3)], 0, "reads element -3 of y, which has 3"),
    ("far", [np.zeros(100000), np.ones(100000), np.int32(120000)], 0,
     "reads element 120000 of x, which has 100000"),
    ("far", [np.zeros(100000), np.ones(100000), np.int32(-20000)], 0,
     "reads element -20000 of x, which has 100000"),
    ("part", [np.zeros(3), np.int32(3)], 0,
     r"emulator_part.cuh:6: writes element 3 of y, which has 3"),
    ("stuck", [np.zeros(1, np.int32), np.int32(0)], 0,
     f"emulator.cu:{line_of('// half here')}: divergent barrier: it waits for thread "
     rf"\(16, 0, 0\), which waits at emulator.cu:{line_of('// half here') + 1}"),
    ("stuck", [np.zeros(1, np.int32), np.int32(1)], 0,
     "mask 00000001 leaves out lane 1, which gives it"),
    ("stuck", [np.zeros(1, np.int32), np.int32(2)], 0,
     f"emulator.cu:{line_of('// alone')}: divergent warp: lane 0 waits for lane 1, "
     f"which waits at emulator.cu:{line_of('// alone') + 1}"),
    ("stuck", [np.zeros(1, np.int32), np.int32(3)], 0,
     "divergent warp: lane 2 waits for lane 0, which waits at .*"),
    ("stuck", [np.zeros(1, np.int32), np.int32(4)], 0,
     "divergent warp: lane 0 waits for lane 1, which waits at .* with another mask"),
])
def test_faults_name_kernel_thread_and_line(name, args, shared, said):
    with pytest.raises(KernelError, match=rf"^kernel {name}, block \(0, 0, 0\), thread "
                       rf"\(\d+, 0, 0\), emulator.*\.cuh?:\d+: .*") as caught:
        launch(name, args, shared=shared)
    assert re.search(said, str(caught.value)), caught.value


def test_an_index_beyond_a_local_array():
    y = np.zeros(8, np.int32)
    launch("columns", [y, np.int32(3)], block=(8, 1, 1))
    with pytest.raises(KernelError, match=rf"cu:{line_of('// sums')}: index 4 is outs"):
        launch("columns", [y, np.int32(4)], block=(8, 1, 1))


def test_after_faults_all_goes_on_as_before():
    function = EmuModule(FILE, DOUBLE).get_function("stuck")
    y, maps = np.zeros(1, np.int32), pathlib.Path("/proc/self/maps")
    for i in range(100):
        with pytest.raises(KernelError):
            function((1, 1, 1), (32, 1, 1), [y, np.int32(0)])
        if i == 0:
            before = len(maps.read_text())
    assert len(maps.read_text()) < 1.5 * before  # the stacks are used again
    function((1, 1, 1), (32, 1, 1), [y, np.int32(9)])
    assert y.tolist() == [1]


@pytest.mark.parametrize("grid, block, args, said", [
    ((1, 1, 1), (1025, 1, 1), [], "1 to 1024 threads in a block, got 1025"),
    ((1, 1, 1), (0, 1, 1), [], "1 to 1024 threads in a block, got 0"),
    ((0, 1, 1), (1, 1, 1), [], "at least one block, got none"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(1)], "3 arguments, got 1"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(1), np.zeros(1), 1], "argument 2 as a NumPy int"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(1), np.zeros(1), np.int64(1)], "of 4 bytes"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(1), np.zeros(1), np.float32(1)], "int of 4 bytes"),
    ((1, 1, 1), (1, 1, 1), [[1.0], np.zeros(1), np.int32(1)], "argument 0 as a contig"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(4)[::2], np.zeros(1), np.int32(1)], "contiguous"),
    ((1, 1, 1), (1, 1, 1), [np.zeros(1, "f4"), np.zeros(1), np.int32(1)], "of 8 bytes"),
])
def test_wrong_calls_are_refused(grid, block, args, said):
    with pytest.raises(KernelError, match=f"^kernel one_more: expected .*{said}"):
        launch("one_more", args, grid, block)


def test_wrong_names_are_refused():
    with pytest.raises(KernelError, match="expected a kernel 'one_mroe'"):
        EmuModule(FILE, DOUBLE).get_function("one_mroe")
    with pytest.raises(KernelError, match="no.cu: expected a CUDA source"):
        EmuModule(FOLDER / "no.cu")
    with pytest.raises(SettingError, match="sanitize"):
        EmuModule(FILE, DOUBLE, sanitize="memory")
    for order in ("sideways", -1, 2**31):
        with pytest.raises(SettingError, match="schedule"):
            with schedule(order):
                pass


# --- the machine below -------------------------------------------------------

def test_python_threads_may_launch_at_once():
    function = EmuModule(FILE, DOUBLE).get_function("one_more")
    arrays = [np.full(1000, float(i)) for i in range(4)]

    def work(x):
        for _ in range(50):
            function((8, 1, 1), (128, 1, 1), [x, x, np.int32(1000)])

    workers = [threading.Thread(target=work, args=(x,)) for x in arrays]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [set(x) for x in arrays] == [{50.0 + i} for i in range(4)]


def test_other_processors_switch_by_ucontext(monkeypatch):
    monkeypatch.setattr(build, "RUNTIME", (*build.COMMON, "-O0", "-DEMU_UCONTEXT"))
    symbols = build._tool("nm", "-D", str(build.runtime_library()))
    assert any("swapcontext" in line for line in symbols)
    test_votes()
    test_after_faults_all_goes_on_as_before()


def test_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "RUNTIME", (*build.COMMON, "-O0"))  # g++ is done sooner
    build.kernel_library(FILE, DOUBLE)
    folder = tmp_path / "minifer" / "emu"
    made = sorted(folder.iterdir())
    assert [path.suffix for path in made] == [".so", ".so"]
    monkeypatch.setattr(build.subprocess, "run", None)   # g++ is not asked again
    assert build.kernel_library(FILE, DOUBLE) in made
    assert sorted(folder.iterdir()) == made


def test_a_change_of_what_is_included_is_noticed(tmp_path):
    (tmp_path / "part.cuh").write_text("#define VALUE 1\n")
    file = tmp_path / "whole.cu"
    file.write_text('#include "part.cuh"\nextern "C" __global__ void value(int* y)\n'
                    "{\n    *y = VALUE;\n}\n")
    y = np.zeros(1, np.int32)
    for value in (1, 2):
        (tmp_path / "part.cuh").write_text(f"#define VALUE {value}\n")
        EmuModule(file).get_function("value")((1, 1, 1), (1, 1, 1), [y])
        assert y.tolist() == [value]


def test_what_is_no_cuda_is_said_in_one_line(tmp_path):
    file = tmp_path / "broken.cu"
    file.write_text('extern "C" __global__ void f(int* y) { *y = missing; }\n')
    with pytest.raises(KernelError, match="broken.cu: expected .* g.. accepts, got .*"
                       "error: 'missing' was not declared") as caught:
        EmuModule(file)
    assert "\n" not in str(caught.value)


def test_the_example_tells_its_story(capsys):
    cuda_without_gpu.main([])
    lines = capsys.readouterr().out.splitlines()
    sums = [[float(word) for word in re.findall(r"[\d.]{4,}|nan", line)]
            for line in lines if "[" in line]
    numpy, kernel, reverse, forward = sums
    assert numpy == pytest.approx(kernel, rel=1e-6) and len(kernel) == 4
    assert reverse == kernel and np.isnan(forward).all()
    assert re.search(r"^kernel block_sums, .*, block_sums.cu:5: race: ", lines[-1])


def test_without_a_compiler_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("PATH", os.devnull)
    assert not available()
    with pytest.raises(BackendUnavailable, match="g\\+\\+.*apt install g\\+\\+"):
        EmuModule(FILE, DOUBLE)
    with pytest.raises(SystemExit) as stop:
        run(lambda: cuda_without_gpu.main([]))
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
