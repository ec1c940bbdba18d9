"""Two arrays element by element, and a rectifier's slopes, against loops."""

import operator

import numpy as np
import pytest

from helpers import reference_images as reference
from helpers.checking import check_op, distinct, off_zero
from minifer.ops import elementwise
from minifer.ops.rectifiers import sloped_rectify_backward, sloped_rectify_forward


def of_each(function):
    """``function`` of two floats, for every place of two arrays."""
    def slow(a, b):
        y = np.zeros(a.shape)
        for at in np.ndindex(a.shape):
            y[at] = function(float(a[at]), float(b[at]))
        return y
    return slow


@pytest.mark.parametrize("name, function", [
    ("add", operator.add), ("subtract", operator.sub), ("multiply", operator.mul),
    ("divide", operator.truediv), ("maximum", max), ("minimum", min)])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2), (1,)])
def test_binary(name, function, shape):
    a, b = off_zero(shape, 1), distinct(shape, 2) + 0.07
    check_op(getattr(elementwise, f"{name}_forward"),
             getattr(elementwise, f"{name}_backward"), [a, b], of_each(function))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_of_equals_the_first_learns(name):
    a = np.array([1.0, -2.0])
    _, cache = getattr(elementwise, f"{name}_forward")(a, a.copy())
    da, db = getattr(elementwise, f"{name}_backward")(np.array([3.0, 4.0]), cache)
    assert da.tolist() == [3, 4] and db.tolist() == [0, 0]


@pytest.mark.parametrize("shape, shared", [
    ((4, 3), (1, 3)), ((2, 3, 4, 5), (1, 3, 1, 1)), ((2, 3, 4), (1, 1, 1)),
    ((2, 3, 4), (2, 3, 4)), ((1, 1), (1, 1))])
def test_sloped_rectify(shape, shared):
    check_op(sloped_rectify_forward, sloped_rectify_backward,
             [off_zero(shape), off_zero(shared, 1)], reference.sloped_rectify)
