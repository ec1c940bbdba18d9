"""Products of matrices of every shape and order, as a graph holds them."""

import numpy as np
import pytest

from helpers.checking import normal
from helpers.devices import DEVICES
from minifer.cuda.emulator import schedule
from minifer.cuda.matmul import matmul
from minifer.device.arrays import to_device, to_host
from minifer.device.graphs import capture

SHAPES = [(1, 1, 1), (3, 5, 7), (64, 64, 16), (65, 63, 17), (2, 130, 33), (70, 1, 129)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("real, limit", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("M, N, K", SHAPES)
def test_of_rows_and_columns(device, real, limit, M, N, K):
    for turned in range(4):
        A, B = normal((M, K), 1).astype(real), normal((K, N), 2).astype(real)
        a = to_device(A.T.copy(), device).T if turned & 1 else to_device(A, device)
        b = to_device(B.T.copy(), device).T if turned & 2 else to_device(B, device)
        graph = capture(device, lambda: matmul(a, b))
        with schedule(races=True):
            graph.launch()
        found = to_host(graph.result)
        assert found.dtype == real and found.flags.c_contiguous
        np.testing.assert_allclose(found, A @ B, atol=limit * K, rtol=limit)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("left, right", [
    ((3, 4, 5), (3, 5, 2)), ((4, 5), (2, 3, 5, 2)), ((3, 4, 5), (2, 3, 5, 2)),
    ((2, 3, 70, 5), (5, 2)), ((1, 4, 5), (3, 5, 2)), ((2, 1, 4, 5), (3, 5, 2)),
    ((2, 1, 4, 5), (2, 3, 5, 2)), ((5,), (5,)), ((4, 5), (5,)), ((5,), (3, 5, 2)),
    ((3, 4, 5), (5,)), ((0, 4, 5), (5, 2))])
def test_of_stacks_and_vectors(device, left, right):
    A, B = normal(left, 1), normal(right, 2)
    a, b = to_device(A, device), to_device(B, device)
    turned = to_device(A.swapaxes(-1, -2).copy(), device).swapaxes(
        -1, -2) if A.ndim > 1 else a
    graphs = [capture(device, lambda one=one: matmul(one, b)) for one in (a, turned)]
    for graph in graphs:
        with schedule(races=True):
            graph.launch()
        assert graph.result.shape == (A @ B).shape
        np.testing.assert_allclose(to_host(graph.result), A @ B, atol=1e-13)


@pytest.mark.parametrize("device", DEVICES)
def test_outside_of_a_capture_and_into_an_array(device):
    A, B = normal((6, 10), 1), normal((10, 4), 2)
    a, b = to_device(A, device)[::2], to_device(B, device)
    wide = to_device(np.zeros((3, 8)), device)
    np.testing.assert_allclose(to_host(matmul(a, b)), A[::2] @ B, rtol=1e-13)
    out = np.zeros_like(b, shape=(3, 4))
    assert matmul(a, b, out=out) is out
    np.testing.assert_allclose(to_host(out), A[::2] @ B, rtol=1e-13)
    graph = capture(device, lambda: matmul(a, b, out=wide[:, ::2]))
    graph.launch()
    np.testing.assert_allclose(to_host(wide)[:, ::2], A[::2] @ B, rtol=1e-12)
    assert not to_host(wide)[:, 1::2].any()
