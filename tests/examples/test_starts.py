"""examples/starts.py: two starts of one network, on the same images."""

import numpy as np

from helpers import runs


def test_it_trains_from_both_starts_and_draws(folders, tmp_path):
    done = runs.command("starts", "mlp", "--data", folders, "--steps", "50",
                        "--out", tmp_path)
    assert done.code == 0, done.err
    head, *rows = done.out.splitlines()
    assert len(rows) == 2
    assert [row[14:23].strip() for row in rows] == ["Lasagne's", "its own"]
    losses = np.array([[float(word) for word in row[23:47].split()] for row in rows])
    assert (losses > 0).all() and losses[0, 0] != losses[1, 0]
    assert all("start: loss" in row for row in rows)
    assert (tmp_path / "starts.png").read_bytes().startswith(b"\x89PNG")


def test_too_few_steps_are_refused(folders, tmp_path):
    done = runs.command("starts", "mlp", "--data", folders, "--steps", "9",
                        "--out", tmp_path)
    assert done.code == 2 and "--steps of 50 or more" in done.err
