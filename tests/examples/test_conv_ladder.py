"""The ladder of a convolution: every rung is right, and a wrong one is refused."""

import contextlib
import io
import json

import numpy as np
import pytest

from helpers import reference, runs
from helpers.checking import normal
from minifer.faces.images import read_image


@pytest.fixture
def ladder(monkeypatch):
    """The example as a module."""
    monkeypatch.syspath_prepend(str(runs.EXAMPLES / "bench"))
    return runs.example("bench/conv_ladder")


@pytest.fixture
def climbed(ladder, tmp_path):
    """A short run: what it printed and returned, and the picture it drew."""
    picture, out = tmp_path / "a.png", io.StringIO()
    with contextlib.redirect_stdout(out):
        report = ladder.main(["--repeats", "1", "--out", str(picture)])
    return out.getvalue(), report, picture


def test_the_table_has_a_line_for_each_rung(ladder, climbed):
    text, report, _ = climbed
    assert set(report) == {"machine", "threads", "repeats", "seed", "mflop", "layer",
                           "rows"}
    assert [row["name"] for row in report["rows"]] == [*ladder.CONVOLUTIONS,
                                                       *ladder.LAYERS]
    lines = text.splitlines()
    assert lines[0].startswith(report["machine"]) and "one thread" in lines[0]
    for row in report["rows"]:
        line, = [line for line in lines if line.startswith("  " + row["name"] + " ")]
        assert float(line.split()[-1]) == float(f"{row['error']:.0e}")
    assert "scaled" in next(line for line in lines if "loops" in line)


def test_the_numbers_belong_together(ladder, climbed):
    _, report, _ = climbed
    assert report["mflop"] == pytest.approx(2 * 42 * 42 * 32 * 32 * 25 / 1e6)
    for row in report["rows"]:
        assert set(row) == {"name", "what", "ms", "gflops", "error"}
        assert row["ms"] * row["gflops"] == pytest.approx(report["mflop"])
        assert 0 < row["error"] < ladder.LARGEST_ERROR
    kinds = [row["what"] for row in report["rows"]]
    assert kinds == ["convolution"] * 5 + ["whole layer"] * 3


def test_only_the_loops_are_scaled(ladder, monkeypatch):
    """With each timing 1 ms, the loops take as many as there are crops."""
    monkeypatch.setattr(ladder, "medians", lambda rungs, _: dict.fromkeys(rungs, 1.0))
    loops, *others = [row["ms"] for row in ladder.climb(repeats=1, seed=0)]
    assert loops == 32 * 42 * 42 / (2 * 4 * 4) and set(others) == {1.0}


def test_the_picture_is_not_blank(climbed):
    grey = read_image(climbed[-1])
    ink = (np.abs(grey - np.median(grey)) > 30).mean()
    assert min(grey.shape) > 400 and 0.02 < ink < 0.5


def test_the_loops_are_the_definition(ladder):
    x, W = normal((32, 46, 46), 1), normal((32, 32, 5, 5), 2)
    expected = reference.conv2d(x[None, :, :8, :8], W[:2], flip_filters=False)[0]
    found = ladder.loops(x, W)()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_truth_is_the_definition(ladder):
    x, W = normal((32, 46, 46), 1), normal((32, 32, 5, 5), 2)
    b = normal(32, 3)
    y, pooled = ladder.truth(x, W, b)
    assert y.shape == (32, 42, 42) and pooled.shape == (32, 21, 21)
    corner = reference.conv2d(x[None, :, -8:, -8:], W[-2:], b[-2:], flip_filters=False)
    np.testing.assert_allclose(y[-2:, -4:, -4:] + b[-2:, None, None], corner[0],
                               rtol=1e-12)
    corner = reference.rectify(reference.pool2d(corner, (2, 2)))
    np.testing.assert_allclose(pooled[-2:, -2:, -2:], corner[0], rtol=1e-12)


@pytest.mark.parametrize("group, name", [("CONVOLUTIONS", "lowered along the rows"),
                                         ("LAYERS", "F(4×4, 5×5), fused")])
def test_a_wrong_rung_is_refused(ladder, monkeypatch, group, name):
    """One number of all is a tenth too large."""
    build = getattr(ladder, group)[name]

    def wrong(*arrays):
        def layer():
            y = rung().copy()
            y[-1, -1, np.argmax(y[-1, -1])] *= 1.1
            return y
        rung = build(*arrays)
        return layer

    monkeypatch.setitem(getattr(ladder, group), name, wrong)
    monkeypatch.setattr(ladder, "medians", None)  # not timed
    with pytest.raises(ArithmeticError, match="This rung has a mistake") as error:
        ladder.climb(repeats=1, seed=0)
    assert str(error.value).startswith(name)


@pytest.mark.parametrize("words", [["--repeats", 0], ["--repeats", "many"],
                                   ["--out", "ladder.jpg"], ["--threads", 2]])
def test_bad_options_end_with_2(ladder, words):
    outcome = runs.command("bench/conv_ladder", *words)
    assert outcome.code == 2 and outcome.out == ""
    assert len(outcome.err.splitlines()) == 1 and "--help" in outcome.err


def test_as_a_script(tmp_path):
    outcome = runs.process(runs.EXAMPLES / "bench" / "conv_ladder.py", "--repeats", 1,
                           PYTHONPATH=str(runs.TESTS.parent))
    assert outcome.code == 0, outcome.err
    assert outcome.err == "" and "F(4×4, 5×5), fused" in outcome.out


def test_the_numbers_as_json(ladder):
    outcome = runs.command("bench/conv_ladder", "--repeats", 1, "--json")
    assert outcome.code == 0, outcome.err
    names = [row["name"] for row in json.loads(outcome.out)["rows"]]
    assert names == [*ladder.CONVOLUTIONS, *ladder.LAYERS]
