"""The fused head against its definition in float64."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import head as kernels
from minifer.cuda.emulator import schedule
from minifer.device import arrays
from minifer.errors import KernelError
from minifer.ops import loss as ops

on_devices = pytest.mark.parametrize("device", DEVICES)
NAMES = ["logits", "losses", "dlogits", "dh", "dW", "db"]


def layer(N, D, K, seed=0):
    rng = np.random.default_rng(seed)
    h, W, b = (rng.normal(size=s).astype(np.float32) for s in ((N, D), (D, K), (K,)))
    return h, W, b, rng.integers(0, K, N).astype(np.int32)


def expected(h, W, b, targets, weights=None):
    """By the definition, row by row."""
    h, W = h.astype(float), W.astype(float)
    N, K = len(h), W.shape[1]
    b = np.zeros(K) if b is None else b
    weights = np.ones(K) if weights is None else weights
    z, losses, dz = np.empty((N, K)), np.empty(N), np.empty((N, K))
    for n, t in enumerate(targets):
        z[n] = h[n] @ W + b
        total = np.exp(z[n]).sum()
        losses[n] = weights[t] * (np.log(total) - z[n, t])
        dz[n] = weights[t] * (np.exp(z[n]) / total - (np.arange(K) == t)) / N
    return z, losses, dz, dz @ W.T, h.T @ dz, dz.sum(axis=0)


def run(device, h, W, b, targets, weights=None, without=()):
    """All results as NumPy arrays, by name."""
    (N, D), K = h.shape, W.shape[1]
    shapes = dict(zip(NAMES, [(N, K), (N,), (N, K), (N, D), (D, K), (K,)]))
    found = {name: None if name in without else
             arrays.to_device(np.full(shape, 77, np.float32), device)
             for name, shape in shapes.items()}
    work = np.full(kernels.workspace(N, D, K), 77, np.float32)
    inputs = [None if a is None else arrays.to_device(a, device)
              for a in (h, W, b, targets, weights)]
    kernels.head(*inputs, *found.values(), arrays.to_device(work, device))
    return {name: arrays.to_host(a) for name, a in found.items() if a is not None}


def assert_right(found, answers):
    for name, answer in zip(NAMES, answers):
        difference = np.linalg.norm(found[name] - answer)
        assert difference <= 2e-6 * np.linalg.norm(answer), name


@on_devices
@pytest.mark.parametrize("N, D, K", [(1, 1, 1), (5, 256, 7), (19, 37, 6), (9, 300, 32)])
def test_all_results(device, N, D, K):
    inputs = layer(N, D, K)
    with schedule(races=True):
        found = run(device, *inputs)
    if K == 1:  # one class is certain
        assert all((found[name] == 0).all() for name in NAMES[1:])
    else:
        assert_right(found, expected(*inputs))


@on_devices
def test_class_weights_and_no_bias(device):
    h, W, _, targets = layer(11, 20, 5)
    weights = np.array([0, 0.5, 1, 2, 3], np.float32)
    assert_right(run(device, h, W, None, targets, weights),
                 expected(h, W, None, targets, weights))


@on_devices
def test_the_same_as_the_layers_one_by_one(device):
    h, W, b, targets = layer(10, 33, 7)
    weights = np.linspace(0.5, 2, 7).astype(np.float32)
    losses, cache = ops.softmax_crossentropy_forward(h @ W + b, targets, weights)
    dz = ops.softmax_crossentropy_backward(np.full(10, 0.1, np.float32), cache)
    found = run(device, h, W, b, targets, weights)
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-5)
    np.testing.assert_allclose(found["dlogits"], dz, rtol=1e-4, atol=1e-7)


@on_devices
@pytest.mark.parametrize("N", [513, 1030])
def test_many_rows_of_a_block(device, N):
    inputs = layer(N, 8, 3)
    assert_right(run(device, *inputs), expected(*inputs))


@on_devices
def test_large_scores_do_not_overflow(device):
    h, W, b, targets = layer(6, 40, 4)
    found = run(device, 300 * h, W, b, targets)
    assert all(np.isfinite(a).all() for a in found.values())
    assert found["losses"].max() > 1000


@on_devices
def test_results_that_are_not_wanted(device):
    inputs = layer(9, 30, 7)
    full = run(device, *inputs)
    for without in (NAMES[2:], ["dW"], ["db"], ["dh", "dW", "db"], ["dlogits"]):
        found = run(device, *inputs, without=without)
        assert list(found) == [name for name in NAMES if name not in without]
        for name, array in found.items():
            np.testing.assert_array_equal(array, full[name])


@on_devices
@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(device, wild):
    h, W, b, targets = layer(9, 30, 7)
    h[4, 3] = wild
    with np.errstate(invalid="ignore", over="ignore"):
        found = run(device, h, W, b, targets)
    for name in ("losses", "dlogits", "dh"):
        rows = np.isfinite(found[name].reshape(9, -1)).all(axis=1)
        assert rows.tolist() == [n != 4 for n in range(9)], name
    assert np.isnan(found["dW"]).all() and np.isnan(found["db"]).all()


@on_devices
@pytest.mark.parametrize("number", [-1, 7, 2 ** 31 - 1])
def test_a_number_that_is_no_class_gives_nan(device, number):
    h, W, b, targets = layer(3, 30, 7)
    targets[1] = number
    found = run(device, h, W, b, targets, np.ones(7, np.float32))
    assert np.isnan(found["losses"]).tolist() == [False, True, False]
    assert np.isnan(found["dlogits"][1]).all() and np.isfinite(found["logits"]).all()


@pytest.mark.parametrize("device", DEVICES[:1])
@pytest.mark.parametrize("order", ["reverse", 5])
def test_any_order_of_threads_gives_the_same_bits(device, order):
    inputs = layer(21, 270, 7)
    with schedule(order, races=True):
        found = run(device, *inputs)
    for name, array in run(device, *inputs).items():
        np.testing.assert_array_equal(found[name], array)


def test_what_it_can_do():
    assert kernels.supported(256, 7) and kernels.supported(1024, 8)
    assert not kernels.supported(1025, 7) and not kernels.supported(8, 33)
    assert not kernels.supported(1024, 32)  # no room in shared memory


def test_the_workspace_serves_fewer_rows():
    for N in (1, 64, 512, 520, 5000):
        most = kernels.workspace(N, 4, 3)
        assert all(kernels.workspace(n, 4, 3) <= most for n in range(1, N))


@on_devices
def test_an_array_of_another_size_is_refused(device):
    h, W, b, targets = layer(9, 30, 7)
    with pytest.raises(KernelError, match="expected targets of N = 9 elements, got 8"):
        run(device, h, W, b, targets[:8])
