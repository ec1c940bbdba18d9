"""Every kernel compiles for every architecture, without spills, within its budget."""

import importlib.metadata
import sys

import pytest

from helpers import budgets
from helpers.kernel_variants import FILES
from helpers.runs import TESTS
from minifer.cuda import loader, nvrtc
from minifer.cuda.nvrtc import Usage
from minifer.errors import BackendUnavailable, KernelError

REALS = ("float", "double")


def _why_not():
    """What keeps the compiler from running here, or None."""
    try:
        nvrtc.version()
    except BackendUnavailable as error:
        return str(error)


if _why_not():
    pytest.skip(_why_not(), allow_module_level=True)

#: In double for the first and the last architecture: what those between need there is
#: never more than four registers above. Files with macros are in test_sass.py.
CASES = [(file, arch, real) for file in FILES
         for arch in nvrtc.architectures() if nvrtc.fits(file, arch)
         for real in nvrtc.reals(file)
         if real == "float" or arch not in nvrtc.architectures()[1:-1]]


def planted(name):
    return str(TESTS / "cuda" / "kernels" / f"nvrtc_{name}.cu")


@pytest.mark.parametrize("file, arch, real", CASES, ids=str)
def test_kernels_fit(file, arch, real):
    usages = nvrtc.compile_file(file, arch, real)
    assert set(usages) == set(loader.signatures(file))
    assert budgets.complaints(file, usages) == []


def test_there_are_kernels_and_budgets_only_for_those():
    assert FILES
    known = {(file, name) for file in FILES for name in loader.signatures(file)}
    assert set(budgets.EXCEPTIONS) <= known
    assert all(budget.reason for budget in budgets.EXCEPTIONS.values())


def test_architectures_are_three_old_ones_and_the_newest():
    turing, ampere, hopper, newest = nvrtc.architectures()
    assert (turing, ampere, hopper) == (75, 80, 90) and newest >= 100


# --- what is planted is found -----------------------------------------------

@pytest.mark.parametrize("arch", nvrtc.architectures())
@pytest.mark.parametrize("real", REALS)
def test_a_spill_is_found(arch, real):
    usages = nvrtc.compile_file(planted("spills"), arch, real)
    assert usages["spills"].spilled > 0
    complaint, = budgets.complaints("planted.cu", usages)
    assert complaint.startswith("planted.cu: spills spills ")


def test_an_array_whose_index_is_not_known_is_found(tmp_path):
    path = tmp_path / "indexed.cu"
    path.write_text('extern "C" __global__ void indexed(REAL* y /*[64]*/, int n)'
                    "{ REAL held[64]; for (int i = 0; i < 64; i++) "
                    "held[(i * n) % 64] = y[i]; y[0] = held[n]; }")
    usages = nvrtc.compile_file(str(path), 90)
    assert usages["indexed"].spilled == 64 * 4
    assert len(budgets.complaints("planted.cu", usages)) == 1


@pytest.mark.parametrize("arch", nvrtc.architectures())
def test_a_kernel_over_its_budget_is_found_and_its_neighbour_is_not(arch):
    usages = nvrtc.compile_file(planted("greedy"), arch)
    assert usages["greedy"].registers > budgets.DEFAULT.registers
    assert usages["modest"] == Usage(usages["modest"].registers, spilled=0, shared=256)
    complaint, = budgets.complaints("planted.cu", usages)
    assert "greedy uses" in complaint and "budget is 64" in complaint


def test_an_exception_raises_the_budget_of_one_kernel(monkeypatch):
    usages = {"one": Usage(100, 0, 0), "other": Usage(100, 0, 0)}
    monkeypatch.setitem(budgets.EXCEPTIONS, ("a.cu", "one"), budgets.Budget(100, "so"))
    complaint, = budgets.complaints("a.cu", usages)
    assert complaint.startswith("a.cu: other uses 100 registers")


def test_double_takes_twice_the_shared_memory():
    shared = [nvrtc.compile_file(planted("greedy"), 90, real)["modest"].shared
              for real in REALS]
    assert shared == [256, 512]


def test_a_file_says_from_which_architecture_on_it_compiles():
    file = planted("newer")
    assert nvrtc.needed(file) == 80
    assert nvrtc.needed(planted("greedy")) == 0
    nvrtc.compile_file(file, 80)
    with pytest.raises(KernelError, match="sm_75.*requires .target sm_80"):
        nvrtc.compile_file(file, 75)


def test_a_file_says_that_it_is_for_one_architecture_alone():
    assert [arch for arch in (80, 90, 100) if nvrtc.fits("wide_gemm.cu", arch)] == [90]
    assert [arch for arch in (75, 80, 90) if nvrtc.fits("gemm.cu", arch)] == [80, 90]
    with pytest.raises(KernelError, match="sm_80"):
        nvrtc.compile_file("wide_gemm.cu", 80)


def test_products_that_wait_for_one_another_are_found():
    """The text is ptxas's, of a kernel that wanted too many registers."""
    usages = nvrtc.read_log("""
ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are \
serialized due to insufficient register resources for the wgmma pipeline in the \
function 'greedy'
ptxas info    : Compiling entry function 'greedy' for 'sm_90a'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 60 registers, used 1 barriers
ptxas info    : Compiling entry function 'modest' for 'sm_90a'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 60 registers, used 1 barriers
""")
    assert usages["greedy"].serial and not usages["modest"].serial
    complaint, = budgets.complaints("planted.cu", usages)
    assert complaint.startswith("planted.cu: greedy makes one product after the other")


def test_a_file_says_that_it_is_for_float_alone():
    assert nvrtc.reals(planted("products")) == ("float",)
    assert nvrtc.reals(planted("greedy")) == REALS
    assert {real for file, _, real in CASES if file == "pool.cu"} == (
        set(REALS))


def test_what_does_not_compile_is_named_with_its_line():
    with pytest.raises(KernelError, match=r"nvrtc_wrong.cu\(5\).*nobody") as info:
        nvrtc.compile_file(planted("wrong"), 90)
    assert "\n" not in str(info.value)


def test_a_macro_reaches_the_text(tmp_path):
    path = tmp_path / "tile.cu"
    path.write_text('extern "C" __global__ void tile(REAL* y /*[1]*/)'
                    "{ __shared__ REAL t[TILE]; t[threadIdx.x] = 1; "
                    "__syncthreads(); *y = t[0]; }")
    usage = nvrtc.compile_file(str(path), 90, "double", TILE=32)["tile"]
    assert usage.shared == 32 * 8


# --- without the compiler ---------------------------------------------------

@pytest.fixture
def forgotten():
    """NVRTC not loaded yet, and not again afterwards."""
    caches = nvrtc.version, nvrtc.architectures, nvrtc._nvrtc, nvrtc.disassembler
    for function in caches:
        function.cache_clear()
    yield
    for function in caches:
        function.cache_clear()


def test_without_the_bindings_it_says_what_to_install(monkeypatch, forgotten):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'minifer\[nvrtc\]'"):
        nvrtc.version()


def test_without_the_library_it_says_what_to_install(monkeypatch, forgotten):
    from cuda import bindings

    def missing():
        raise RuntimeError("no libnvrtc found\nand a long list of places")

    monkeypatch.setattr(bindings.nvrtc, "nvrtcVersion", missing)
    with pytest.raises(BackendUnavailable, match=r"no libnvrtc found\. pip") as info:
        nvrtc.architectures()
    assert "\n" not in str(info.value)


def test_without_the_disassembler_it_says_what_to_install(monkeypatch, forgotten):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendUnavailable, match=r"pip install 'minifer\[nvrtc\]'"):
        nvrtc.instructions(planted("greedy"), "greedy", 90)


def test_a_toolkit_s_disassembler_will_do(monkeypatch, forgotten, tmp_path):
    path = tmp_path / "nvdisasm"
    path.write_text("#!/bin/sh\necho 'no such cubin' >&2; exit 1\n")
    path.chmod(0o755)
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvrtc.disassembler() == str(path)
    with pytest.raises(KernelError, match="nvdisasm: .*, got no such cubin"):
        nvrtc._disassembled(b"no machine code")
