"""The emulator finds the mistakes people make, and accepts what is sound."""

import pathlib
import re
import shutil

import numpy as np
import pytest

from minifer.cuda.emulator import EmuModule, schedule
from minifer.errors import KernelError

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

FILE = pathlib.Path(__file__).parent / "kernels" / "planted.cu"
ORDERS = ["forward", "reverse", "fair", 1, 2]
NUMBERS = np.random.default_rng(5).standard_normal(1024).astype(np.float32)
WHOLE = np.random.default_rng(6).integers(-99, 99, 1024, np.int32)
SIZE = np.int64(1024)


def inputs_of(name):
    """Of a kernel: blocks, input, output before, and output after."""
    tiles = NUMBERS.reshape(8, 128)
    empty = np.full(1024, np.nan, np.float32)
    return {
        "neighbours": (1, NUMBERS, empty, tiles + np.roll(tiles, -1, axis=1)),
        "pipeline": (1, NUMBERS, empty, 2 * NUMBERS),
        "row_sums": (8, NUMBERS, empty[:32], folded(NUMBERS.reshape(32, 32))),
        "largest": (8, WHOLE, np.zeros(8, np.int32), WHOLE.reshape(8, 128).max(1)),
        "spread": (8, WHOLE, np.zeros(1024, np.int32), np.full(1024, WHOLE[0])),
        "reversed": (8, NUMBERS, empty, NUMBERS.reshape(-1, 32)[:, ::-1]),
        "positives": (8, NUMBERS, np.zeros(1, np.int32), (NUMBERS > 0).sum()),
    }[name]


def folded(rows):
    """Sums in the order of a shuffle: the second half onto the first, and so on."""
    while rows.shape[1] > 1:
        half = rows.shape[1] // 2
        rows = rows[:, :half] + rows[:, half:]
    return rows


def run(name, fault=None, races=False, order="forward"):
    """The output of a kernel with a planted fault, and what it should be."""
    function = EmuModule(FILE, {fault: 1} if fault else {}).get_function(name)
    blocks, x, y, expected = inputs_of(name)
    y = y.copy()
    with schedule(order, races=races):
        function((blocks, 1, 1), (128, 1, 1), [x, y, SIZE])
    return y, np.asarray(expected, y.dtype).reshape(y.shape)


def line_of(mark):
    """The number of the line of the planted file that has this comment."""
    lines = FILE.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if f"  // {mark}" in line)


@pytest.mark.parametrize("races", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["neighbours", "pipeline", "row_sums", "largest",
                                  "spread", "reversed", "positives"])
def test_sound_kernels_are_never_reported(name, order, races):
    y, expected = run(name, order=order, races=races)
    np.testing.assert_array_equal(y, expected)


FAULTS = [
    # kernel, planted fault, line of the fault, message, whether a race
    ("neighbours", "NO_BARRIER_BEFORE", "stage",
     r"race: writes byte 4 of tile, which thread \(0, 0, 0\) reads at "
     "planted.cu:{use}, and nothing says who comes first", True),
    ("neighbours", "NO_BARRIER_AFTER", "stage",
     r"race: writes byte 4 of tile, which thread \(0, 0, 0\) reads at "
     "planted.cu:{use}, and nothing says who comes first", True),
    ("neighbours", "WRONG_INDEX", "wrong index",
     "reads element 1024 of x, which has 1024", False),
    ("neighbours", "SMALL_SHARED", "stage",
     r"index 127 is outside of 'float \[127\]'", False),
    ("row_sums", "DIVERGENT_SHUFFLE", "shuffle",
     "shuffle from lane 31, which does not take part", False),
    ("largest", "DIVERGENT_BARRIER", "divergent",
     r"divergent barrier: it waits for thread \(32, 0, 0\), which has ended", False),
    ("largest", "RACE_BETWEEN_WARPS", "leave",
     r"race: writes byte 4 of found, which thread \(0, 0, 0\) reads at "
     "planted.cu:{look}", True),
    ("spread", "OVERWRITTEN_IN_WARP", "overwrite",
     r"race: writes byte 0 of value, which thread \(126, 0, 0\) reads", True),
    ("spread", "OVERWRITTEN_IN_BLOCK", "overwrite",
     r"race: writes byte 0 of value, which thread \(95, 0, 0\) reads", True),
    ("reversed", "RACE_IN_WARP", "read", "race: reads byte .* of row", True),
    ("reversed", "RACE_AFTER_SYNC", "read",
     r"race: reads byte 60 of row, which thread \(15, 0, 0\) writes at "
     "planted.cu:{once more}", True),
    ("positives", "RACE_BETWEEN_BLOCKS", "count",
     r"race: reads element 0 of count, which thread \(0, 0, 0\) of block \(\d, 0, 0\) "
     "writes", True),
]


@pytest.mark.parametrize("name, fault, mark, said, race", FAULTS,
                         ids=[fault for _, fault, *_ in FAULTS])
@pytest.mark.parametrize("order", ["forward", 1])
def test_planted_faults_are_found(name, fault, mark, said, race, order):
    said = re.sub(r"\{([\w ]+)\}", lambda match: str(line_of(match[1])), said)
    with pytest.raises(KernelError) as caught:
        run(name, fault, races=race, order=order)
    message = str(caught.value)
    if order == "forward":
        assert re.search(rf"^kernel {name}, block \(\d, 0, 0\), thread \(\d+, 0, 0\), "
                         rf"planted.cu:{line_of(mark)}: {said}", message), message
    assert "\n" not in message and message.endswith(".")


@pytest.mark.parametrize("name, fault", [
    ("neighbours", "NO_BARRIER_BEFORE"), ("neighbours", "NO_BARRIER_AFTER"),
    ("pipeline", "NO_WAIT"), ("pipeline", "WAIT_FOR_LESS"),
    ("largest", "RACE_BETWEEN_WARPS")])
def test_races_show_in_the_result_too(name, fault):
    """Without the race check some order gives it away: there is NaN, or old data."""
    results = [run(name, fault, order=order) for order in ORDERS]
    assert any(not np.array_equal(y, expected) for y, expected in results)
    if fault in ("NO_BARRIER_BEFORE", "NO_WAIT", "WAIT_FOR_LESS"):
        assert any(np.isnan(y).any() for y, _ in results)


def test_a_module_can_always_seek_races():
    function = EmuModule(FILE, {"RACE_IN_WARP": 1}, "thread").get_function("reversed")
    with pytest.raises(KernelError, match="race"):
        function((8, 1, 1), (128, 1, 1), [NUMBERS, np.empty_like(NUMBERS), SIZE])
