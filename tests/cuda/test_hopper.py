"""What Hopper added, on the emulator: boxes, barriers, products of four warps.

The layouts are compared with PTX's words, and each rule is seen to be kept: a kernel
that breaks one is a fault.
"""

import pathlib
import re
import shutil

import numpy as np
import pytest

from helpers.tf32 import error, tf32
from minifer.cuda.emulator import EmuModule, schedule
from minifer.cuda.tensor_map import TensorMap
from minifer.device import arrays
from minifer.errors import KernelError

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

FILE = pathlib.Path(__file__).parent / "kernels" / "hopper.cu"
ORDERS = ["forward", "reverse", "fair", 1, 2]


MISTAKES = re.search(r"enum Mistake {(.*?)}", FILE.read_text(), re.DOTALL)[1].replace(
    ",", " ").split()


def launch(name, args, block=128, shared=32 * 1024):
    EmuModule(FILE).get_function(name)((1, 1, 1), (block, 1, 1), args,
                                       shared_mem=shared)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def matrix_map(matrix, rows, **options):
    return TensorMap(arrays.to_device(matrix, "emu"), (*matrix.shape[::-1], 1),
                     (32, rows, 1), **options)


def ring(a, b, stages=2, mistake="NONE"):
    """a bᵀ for a and b (64, K)."""
    y = np.empty((64, 64), np.float32)
    launch("ring", [matrix_map(a, 64), matrix_map(b, 64, rounds=True), y,
                    *map(np.int32, (-(-a.shape[1] // 32), stages,
                                    MISTAKES.index(mistake)))], 160,
           1024 + stages * 2 * 8192)
    return y


# --- what it does ---------------------------------------------------------------------

@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_ring_of_boxes_and_products(order, stages):
    a, b = normal(64, 132), normal(64, 132, seed=1)   # the last box is not full
    with schedule(order, races=True):
        found = ring(a, b, stages)
    assert error(found, tf32(a).astype(float) @ tf32(b).astype(float).T) <= 2e-6


def picture(b, swizzle, lead, stride):
    """Shared memory with b (8, n) by PTX's words, piece by piece of 16 bytes.

    Without a swizzle 8 rows of a piece lie in a row, the other piece of the row
    ``lead`` bytes on. With one of 32, 64 or 128 bytes a row has so many; bits 4 to 6
    (5, 4) of the address are combined with bits 7 to 9 (8, 7). The next 8 rows are
    ``stride`` on.
    """
    n = b.shape[1]
    memory = np.full(n // 8 * stride // 4 + lead // 4, np.nan, np.float32)
    for row in range(n):
        for piece in range(2):
            place = row // 8 * stride + (
                row % 8 * swizzle + piece * 16 if swizzle else
                row % 8 * 16 + piece * lead)
            if swizzle:
                place ^= (place >> 7 & swizzle // 16 - 1) << 4
            memory[place // 4:place // 4 + 4] = b[4 * piece:4 * piece + 4, row]
    return memory


@pytest.mark.parametrize("swizzle, code, lead, stride", [
    (0, 0, 128, 256), (0, 0, 1024, 128), (32, 3, 0, 256), (64, 2, 0, 512),
    (128, 1, 0, 1024), (128, 1, 0, 2048)])
def test_descriptors_name_all_layouts(swizzle, code, lead, stride):
    a, b = normal(64, 8), normal(8, 64, seed=1)
    memory, d = picture(b, swizzle, lead, stride), np.empty((64, 64), np.float32)
    descriptor = lead // 16 << 16 | stride // 16 << 32 | code << 62
    launch("described", [a, memory, d, np.int32(memory.size), np.uint64(descriptor)],
           shared=4 * memory.size)
    cut = [(m.view(np.uint32) & np.uint32(0xffffe000)).view(np.float32).astype(float)
           for m in (a, b)]
    assert error(d, cut[0] @ cut[1]) <= 2e-6


@pytest.mark.parametrize("at", [(0, 0, 0), (-3, 0, 1), (8, -2, 0), (32, 3, 1),
                                (0, 0, 2), (64, 0, 0)])
def test_outside_of_the_array_a_box_is_zero(at):
    x = normal(3, 6, 40)                                # planes, rows, columns
    out, rows = np.empty((2, 4, 32), np.float32), 8
    launch("box", [TensorMap(arrays.to_device(x, "emu"), (40, 6, 3), (32, 4, 2)), out,
                   np.int32(rows), *map(np.int32, at)], block=1)
    around = np.zeros((3 + 8, 6 + 16, 40 + 128), np.float32)
    around[4:7, 8:14, 64:104] = x
    column, row, plane = at[0] + 64, at[1] + 8, at[2] + 4
    np.testing.assert_array_equal(
        out, around[plane:plane + 2, row:row + 4, column:column + 32])


def test_rows_may_have_gaps_and_numbers_may_be_rounded_on_the_way():
    x, out = normal(4, 48), np.empty((4, 32), np.float32)
    launch("box", [TensorMap(arrays.to_device(x, "emu"), (36, 4, 1), (32, 4, 1),
                             strides=(48, 192), rounds=True), out, np.int32(4),
                   *map(np.int32, (8, 0, 0))], block=1)
    expected = np.zeros((4, 32), np.float32)
    expected[:, :28] = tf32(x[:, 8:36])
    np.testing.assert_array_equal(out, expected)


# --- what it refuses ------------------------------------------------------------------

FAULTS = {
    "WRONG_PHASE": "where a copy is under way|more arrive at an mbarrier",
    "NO_WAIT_FOR_EMPTY": "a copy to where a|more arrive at an mbarrier",
    "NO_FENCE_OF_BARRIERS": "a copy's mbarrier uses byte 0 of shared memory, where "
                            "thread 0 stored with no fence_async",
    "STORES_WITHOUT_FENCE": "a product uses byte .* thread 0 stored with no fence_",
    "NO_WGMMA_FENCE": "does not begin with wgmma_fence",
    "MIDDLE_OF_A_PATTERN": "begins in the middle of a pattern of 1024 bytes",
    "TOO_FEW_BYTES": "a phase of an mbarrier that nobody completes",
    "TOO_MANY_BYTES": "a phase of an mbarrier that nobody completes",
    "CHANGES_REGISTERS": "registers were changed while a product read them",
    "STORES_TOO_EARLY": "which a product still reads",
    "ARRIVES_TOO_EARLY": "a copy to where a product still reads",
    "ARRIVES_TOO_OFTEN": "nobody completes|a copy to where a product still reads",
    "A_WARP_MISSES": "of a group",
    "NO_WGMMA_WAIT": "where a product still reads|nobody waited for this product"}


@pytest.mark.parametrize("order", ["forward", 3])
@pytest.mark.parametrize("mistake", MISTAKES[1:])
def test_a_broken_rule_is_a_fault(mistake, order):
    with schedule(order), pytest.raises(KernelError, match=FAULTS[mistake]) as info:
        ring(normal(64, 160), normal(64, 160, seed=1), mistake=mistake)
    assert "hopper.cu" in str(info.value)


@pytest.mark.parametrize("sizes, strides", [
    ((36, 4, 1), (42, 168)),      # rows that begin anywhere
    ((0, 4, 1), (48, 192))])
def test_a_map_that_tma_cannot_use_is_refused(sizes, strides):
    with pytest.raises(KernelError, match="multiples of 16 bytes"):
        TensorMap(arrays.to_device(normal(4, 48), "emu"), sizes, (32, 4, 1),
                  strides).encoded()


def test_a_map_stays_within_its_array():
    with pytest.raises(KernelError, match="array of 200 numbers .* got 192"):
        TensorMap(arrays.to_device(normal(4, 48), "emu"), (50, 4, 1), (32, 4, 1))
