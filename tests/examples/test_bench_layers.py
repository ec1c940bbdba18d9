"""The bench of single layers: what it needs, what it refuses, and a row of it."""

import sys

import pytest

from helpers import runs
from minifer.errors import BackendUnavailable


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))
    return runs.example("bench/layers")


def test_it_needs_pytorch(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailable, match="expected PyTorch to compare with"):
        bench.main(["--only", "1x1"])


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--only", "nothing"]])
def test_what_it_refuses(bench, words, capsys):
    with pytest.raises(SystemExit):
        bench.main(words)
    assert "expected --rounds and --threads of 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GRU", "8 groups"])
def test_a_row(bench, name, capsys):
    pytest.importorskip("torch")
    row, = bench.main(["--only", name, "--rounds", "1", "--threads", "1"])
    assert name in row["name"] and row["ratio"] == row["torch"] / row["minifer"]
    assert f"{row['ratio']:>8.2f}" in capsys.readouterr().out
