"""Embeddings on a device, against loops."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, normal
from helpers.devices import DEVICES, moved, on_device
from minifer.device.arrays import to_device, to_host
from minifer.ops.embedding import embedding_backward, embedding_forward

on_each_device = pytest.mark.parametrize("device", DEVICES)


@on_each_device
@pytest.mark.parametrize("x, V, D", [
    ([[0, 2, 2], [1, 0, 2]], 3, 4), ([0], 1, 1), ([3, 3, 1], 5, 200)])
def test_embedding(x, V, D, device):
    def forward(W):
        there = to_device(np.array(x).astype(W.dtype), device)
        return embedding_forward(there, W)
    check_op(*on_device(forward, embedding_backward, device), [normal((V, D))],
             lambda W: reference.embedding(np.array(x), W))


@on_each_device
def test_what_is_no_row_is_not_read(device):
    x = np.array([0, 3, -1, 0.5, np.nan, np.inf, 2])
    y, cache = embedding_forward(*moved([x, normal((3, 2))], device))
    wrong = np.isnan(to_host(y)).all(axis=1)
    np.testing.assert_array_equal(wrong, [False, True, True, True, True, True, False])
    dW = embedding_backward(to_device(np.ones((7, 2)), device), cache)
    np.testing.assert_array_equal(to_host(dW), [[1, 1], [0, 0], [1, 1]])
