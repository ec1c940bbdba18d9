"""Local response normalisation against loops and numerical gradients."""

import pytest
from hypothesis import given, strategies as st

from helpers import reference_images as reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.ops.response import response_norm_backward, response_norm_forward


def check(shape, seed=0, **options):
    options = {"alpha": 0.3, "k": 1.5, "beta": 0.75, "n": 3} | options
    check_op(response_norm_forward, response_norm_backward, [normal(shape, seed)],
             reference.response_norm, **options)


@pytest.mark.parametrize("options", [
    {}, {"n": 1}, {"n": 5}, {"n": 99}, {"alpha": 0.0}, {"beta": 0.0}, {"beta": -0.5},
    {"alpha": 1e-4, "k": 2.0, "beta": 0.75, "n": 5}])
@pytest.mark.parametrize("shape", [(2, 7, 3, 2), (1, 1, 2, 2), (3, 4, 1, 1)])
def test_response_norm(shape, options):
    check(shape, **options)


@RANDOM_SHAPES
@given(shape=st.tuples(*[st.integers(1, n) for n in (3, 9, 3, 4)]),
       half=st.integers(0, 6), seed=st.integers(0, 99))
def test_any_shape(shape, half, seed):
    check(shape, seed, n=2 * half + 1)
