"""A number is one in whatever form it comes, on every device."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import objectives
from minifer.tensor import scalar, vector

VALUES = np.array([1.0, -2.0, 4.0], "float32")
TWO = np.array(2.0)  # of no axes

CASES = {
    "added": (lambda x, s: x + TWO, VALUES + 2),
    "before": (lambda x, s: TWO - x, 2 - VALUES),
    "times": (lambda x, s: x * np.float64(2), VALUES * 2),
    "power": (lambda x, s: x ** TWO, VALUES ** 2),
    "compared": (lambda x, s: x * (x > TWO), [0, 0, 4]),
    "weights": (lambda x, s: objectives.aggregate(x, weights=np.array([2.0, 1, 0])), 0),
    "squared error": (lambda x, s: objectives.squared_error(x, TWO),
                      (VALUES - 2) ** 2),
    "given": (lambda x, s: x * s + TWO, VALUES * 3 + 2)}


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("name", CASES)
def test_a_number_of_no_axes(name, device):
    make, expected = CASES[name]
    x, s = vector("x"), scalar("s")
    y = make(x, s) + 0 * s
    found = minifer.function([x, s], [y, minifer.grad((y * y).sum(), x)],
                             device=device)(VALUES, np.array(3.0, "float32"))
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    assert np.isfinite(found[1]).all() and found[1].shape == (3,)
