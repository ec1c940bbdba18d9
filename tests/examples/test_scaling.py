"""examples/scaling.py: what it says of what it measures."""

import json

import pytest

from helpers import runs, together


@pytest.fixture
def module():
    """The example as a module."""
    return runs.example("scaling")


def measured(ranks, apart, rate):
    return {"ranks": ranks, "threads": 1, "batch": 8, "apart": apart, "share": 0.05,
            "images_per_second": rate, "speedup": rate / 100, "sum": 0.01,
            "efficiency": rate / 100 / ranks, "all": [rate]}


def test_the_ceiling_tells_what_the_exchange_costs(module):
    found = [measured(1, False, 100), measured(2, False, 170), measured(2, True, 190)]
    line, = module.losses(found)
    assert line == (
        "2 ranks of 1: 1.70 times; without any exchange 1.90. Of what 2 times would "
        "be, the exchange costs 10%, and 5% are lost without it")
    assert not list(module.losses(found[:2]))
    assert [row.split()[-1] for row in module.table(found).splitlines()[1:]] == [
        "5.0%", "5.0%", "none"]


def test_it_measures_ranks_and_processes_apart(tmp_path):
    if together.why_not():
        pytest.skip(together.why_not())
    done = runs.process(runs.EXAMPLES / "scaling.py", "--ranks", 1, 2, "--threads", 1,
                        "--side", 48, "--batch", 4, "--steps", 1, "--rounds", 1,
                        "--ceiling", "--out", tmp_path)
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "scaling.json").read_text("utf-8"))
    assert [(row["ranks"], row["apart"], row["batch"]) for row in rows] == [
        (1, False, 4), (2, False, 4), (2, True, 4)]
    assert "2 ranks of 1: " in done.out and "without any exchange" in done.out
    assert (tmp_path / "scaling.png").exists()
