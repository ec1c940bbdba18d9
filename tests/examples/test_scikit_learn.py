"""examples/scikit_learn.py: it searches, and says what it has found."""

import pytest

from helpers import runs

pytest.importorskip("sklearn", reason="scikit-learn is not installed: "
                                      "pip install minifer[sklearn]")


def test_it_finds_a_network(capsys):
    search = runs.example("scikit_learn").main(subjects=6, epochs=1, jobs=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[4] == f"best: {search.best_params_}"
