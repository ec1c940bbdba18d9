"""Embeddings against loops and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.ops.embedding import embedding_backward, embedding_forward


def check_embedding(x, W):
    check_op(lambda W: embedding_forward(x.astype(W.dtype), W), embedding_backward,
             [W], lambda W: reference.embedding(x, W))


@pytest.mark.parametrize("x, V, D", [
    ([[0, 2, 2], [1, 0, 2]], 3, 4), ([0], 1, 1), ([3, 3, 3], 5, 2), ([[[1]]], 2, 3)])
def test_embedding(x, V, D):
    check_embedding(np.array(x), normal((V, D)))


@RANDOM_SHAPES
@given(data=st.data(), V=st.integers(1, 6), D=st.integers(1, 4))
def test_random_numbers(data, V, D):
    x = data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=20))
    check_embedding(np.array(x), normal((V, D)))


def test_nothing_to_look_up():
    y, cache = embedding_forward(np.zeros((0, 3)), normal((4, 2)))
    assert y.shape == (0, 3, 2)
    np.testing.assert_array_equal(embedding_backward(y, cache), np.zeros((4, 2)))


def test_whole_numbers_by_type_give_the_type_of_the_table():
    y, _ = embedding_forward(np.array([1, 0]), normal((4, 2)).astype(np.float32))
    assert y.dtype == np.float32
