"""NCCL's ranks, on the emulator, with a stand-in for NCCL."""

import shutil
import sys

import numpy as np
import pytest

from helpers import nccl, together
from minifer.errors import SettingError
from minifer.ranks import connect
from minifer.ranks.nccl import take_gpu

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_two_of_them_train_as_one_rank_does(tmp_path):
    if together.why_not():
        pytest.skip(together.why_not())
    found = together.outcomes(2, tmp_path, *nccl.SCENARIOS, script=nccl.__file__)
    for make, dtype in nccl.TRAINED:
        name = f"{make}-{dtype}"
        alone = together.trained(nccl.NETWORKS[make], dtype, connect("alone"), 2, n=11,
                                 batch=4)
        for one in found[name]:
            for key, value in alone.items():
                np.testing.assert_allclose(one[key], value, TOLERANCE[dtype],
                                           TOLERANCE[dtype], err_msg=f"{name}, {key}")
            # Of 6 steps, of batches of two sizes, 2 are taken at once, 2 are noted and
            # launched, and 2 launched again.
            ways = one["ways"]
            assert ways["plain"] and ways["noted"] == ways["graph"] / 2 == (
                ways["plain"] if dtype == "float32" else 0)

    for arrays, ways in found["sums"]:
        for number, array in enumerate(arrays):
            whole = np.arange(12).reshape(3, 4)
            assert array.dtype == ("float32", "float64", "int32")[number // 2]
            taken = array[:, 1:3] if number % 2 == 0 else array
            expected = whole[:, 1:3] if number % 2 == 0 else whole
            np.testing.assert_array_equal(taken, 3 * expected)
        assert ways == {"plain": 2}  # integers, and the host's arrays, by MPI
    assert all("ranks call it differently" in said for said in found["mixed"])


@pytest.mark.parametrize("number, ranks, before, after", [
    (1, 2, None, "1"), (0, 2, None, "0"), (1, 2, "4,7", "7"), (1, 2, "5", "5"),
    (1, 2, "", ""), (0, 1, None, None), (0, 1, "2,3", "2,3")])
def test_a_rank_takes_its_gpu(monkeypatch, number, ranks, before, after):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    environ = {} if before is None else {"CUDA_VISIBLE_DEVICES": before}
    take_gpu(number, ranks, environ)
    assert environ.get("CUDA_VISIBLE_DEVICES") == after


def test_more_ranks_than_gpus_are_refused():
    with pytest.raises(SettingError, match="each of 3 ranks of a machine, got 2"):
        take_gpu(2, 3, {"CUDA_VISIBLE_DEVICES": "0,1"})


def test_a_gpu_is_chosen_before_cupy_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", object())
    with pytest.raises(SettingError, match="Call minifer.ranks.connect"):
        take_gpu(1, 2, {})
    take_gpu(1, 2, {"CUDA_VISIBLE_DEVICES": "5"})  # the launcher has chosen
