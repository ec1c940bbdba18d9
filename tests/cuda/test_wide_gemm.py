"""Large dense layers on Hopper's tensor cores against obvious products in float64."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.steps import RULES
from helpers.tf32 import error, tf32
from minifer.cuda import gemm, loader, wide_gemm
from minifer.cuda.emulator import schedule
from minifer.device import arrays as backend
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProductOnDevice

on_devices = pytest.mark.parametrize("device", DEVICES)

#: N, D, U, channels
sizes = pytest.mark.parametrize("N, D, U, channels", [
    (5, 36, 8, 1),          # less than a tile in every direction, and than a step
    (70, 192, 132, 32)])    # a little more than one; boxes of 32 channels


@pytest.fixture(autouse=True)
def on_hopper(request):
    device = getattr(request.node, "callspec", None)
    device = device and device.params.get("device", "emu")
    if device == "cuda" and backend.compute_capability("cuda") != 90:
        pytest.skip("needs a GPU of compute capability 9.0")


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


def put(device, *arrays):
    found = [backend.to_device(a, device) for a in arrays]
    return found if len(found) > 1 else found[0]


def empty(device, *shape):
    """An array that holds what must be overwritten."""
    return put(device, np.full(shape, 77, np.float32))


def rows_of(D, channels):
    """The row of W for each input of x, from the definition."""
    return np.array([k % channels * (D // channels) + k // channels for k in range(D)])


def seen(*arrays):
    """The arrays as the tensor core sees them, in float64."""
    return [tf32(a).astype(np.float64) for a in arrays]


# --- the three products ---------------------------------------------------------------

@on_devices
@sizes
@pytest.mark.parametrize("splits", [1, 2])
def test_forward(device, N, D, U, channels, splits):
    x, W = arrays((N, D), (D, U))
    x64, W64 = seen(x, W)
    work = empty(device, splits, N, U)
    with schedule(races=True):
        found = wide_gemm.forward(*put(device, x, W), work, splits, channels)
    assert found == splits
    assert error(backend.to_host(work).sum(axis=0),
                 x64 @ W64[rows_of(D, channels)]) <= 2e-6


@on_devices
@sizes
def test_input_gradient(device, N, D, U, channels):
    dz, W = arrays((N, U), (D, U))
    dz64, W64 = seen(dz, W)
    dx = empty(device, N, D)
    with schedule(races=True):
        wide_gemm.input_gradient(*put(device, dz, W), dx, channels)
    assert error(dx, dz64 @ W64[rows_of(D, channels)].T) <= 2e-6


@on_devices
@sizes
def test_weight_gradient(device, N, D, U, channels):
    x, dz = arrays((N, D), (N, U))
    x64, dz64 = seen(x, dz)
    expected = np.empty((D, U))
    expected[rows_of(D, channels)] = x64.T @ dz64
    dW = empty(device, D, U)
    with schedule(races=True):
        wide_gemm.weight_gradient(*put(device, x, dz), dW, channels)
    assert error(dW, expected) <= 2e-6


@on_devices
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_the_update_is_that_of_the_stored_gradient(device, rule):
    N, D, U, channels = 66, 96, 68, 32
    W, = arrays((D, U))
    fused, stored = (RULES[rule]([Param(W.copy(), "W")]) for _ in range(2))
    for update in (fused, stored):
        update.to_device(device)
    for seed in range(2):
        x, dz = put(device, *arrays((N, D), (N, U), seed=seed))
        fused([OuterProductOnDevice(x, dz, channels, "tf32")])
        wide_gemm.weight_gradient(x, dz, stored.buffers.targets[stored.params[0]],
                                  channels)
        stored(stored.buffers.targets)
    pairs = [[u.params[0].value, *(u.state[s][0] for s in u.slots)]
             for u in (fused, stored)]
    for one, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(backend.to_host(one), backend.to_host(other),
                                   rtol=2e-6, atol=1e-7)
    assert not np.allclose(fused.params[0].get_value(), W)


@on_devices
@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(device, wild):
    x, W, dz = arrays((66, 96), (96, 68), (66, 68))
    x[1, 7] = dz[2, 4] = wild
    work, dW, dx = (empty(device, *s) for s in ((66, 68), (96, 68), (66, 96)))
    with np.errstate(invalid="ignore"):
        wide_gemm.forward(*put(device, x, W), work, 1, 32)
        wide_gemm.input_gradient(*put(device, dz, W), dx, 32)
        wide_gemm.weight_gradient(*put(device, x, dz), dW, 32)
    fine = [np.isfinite(backend.to_host(a)) for a in (work, dx, dW)]
    assert np.flatnonzero(~fine[0].all(axis=1)).tolist() == [1]
    assert np.flatnonzero(~fine[1].all(axis=1)).tolist() == [2]
    assert np.flatnonzero(~fine[2][:, 0]).tolist() == [rows_of(96, 32)[7]]
    assert np.flatnonzero(~fine[2][0]).tolist() == [4]


# --- the door -------------------------------------------------------------------------

@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that are launched."""
    names, real = [], loader.Kernel.__call__

    def call(self, *args, **how):
        names.append(self.name)
        return real(self, *args, **how)

    monkeypatch.setattr(loader.Kernel, "__call__", call)
    return names


def run_products(device, N, D, U, channels, precision):
    """All four products by gemm's door: forward, dx, dW."""
    x, W, b, dz = arrays((N, D), (D, U), (U,), (N, U))
    out, dx, dW = (empty(device, *s) for s in ((N, U), (N, D), (D, U)))
    work = empty(device, gemm.workspace(N, D, U))
    x, W, b, dz = put(device, x, W, b, dz)
    options = {"channels": channels, "precision": precision}
    gemm.forward(x, W, b, out, work, relu=True, **options)
    gemm.input_gradient(dz, W, dx, **options)
    gemm.weight_gradient(x, dz, dW, **options)
    update = RULES["adam"]([Param(np.ones((D, U), np.float32), "W")])
    update.to_device(device)
    update.buffers.advance()
    gemm.weight_gradient_update(
        x, dz, update.params[0].value, [update.state[slot][0] for slot in update.slots],
        update.buffers.finite, update.buffers.numbers, "adam", **options)
    return [backend.to_host(a) for a in (out, dx, dW, update.params[0].value)]


@on_devices
def test_large_products_in_tf32_are_wide(device, launched):
    size = 68, 576, 72, 32
    found = run_products(device, *size, "tf32")
    assert {name for name in launched if name.startswith("wide")} == {
        "wide_forward", "wide_input_gradient", "wide_turn", "wide_weight_gradient",
        "wide_weight_update"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide_gemm, "compute_capability", lambda device: 80)
        for one, other in zip(found, run_products(device, *size, "tf32")):
            assert error(one, other) <= 2e-6   # both round just so


@pytest.mark.parametrize("N, D, U, channels, precision, capability, is_chosen", [
    (68, 96, 72, 32, "tf32", 90, True), (68, 96, 72, 1, "tf32", 90, True),
    (68, 96, 72, 32, "fp32", 90, False),
    (68, 96, 72, 32, "tf32", 80, False), (68, 96, 72, 32, "tf32", 100, False),
    (68, 96, 72, 8, "tf32", 90, False),        # no boxes of 32 channels
    (68, 96, 70, 32, "tf32", 90, False),       # rows of W begin anywhere
    (68, 98, 72, 1, "tf32", 90, False),        # those of x and dx do
    (63, 96, 72, 32, "tf32", 90, False)])      # tiles would be empty for the most part
def test_who_is_chosen(monkeypatch, N, D, U, channels, precision, capability,
                       is_chosen):
    monkeypatch.setattr(wide_gemm, "compute_capability", lambda device: capability)
    for shapes in [(N, D), (D, U)], [(N, U), (D, U)], [(N, D), (N, U)]:
        assert wide_gemm.chosen(*put("emu", *arrays(*shapes)), D, channels,
                                precision) == is_chosen


def test_an_array_that_begins_anywhere_is_not_chosen():
    x, dz, dW = arrays((64, 64), (64, 64), (1 + 64 * 64,))
    x, dz, dW = put("emu", x, dz, dW)
    assert wide_gemm.chosen(x, dz, 64, 1, "tf32", dW[:-1].reshape(64, 64))
    assert not wide_gemm.chosen(x, dz, 64, 1, "tf32", dW[1:].reshape(64, 64))
    assert not wide_gemm.chosen(dW[1:].reshape(64, 64), dz, 64, 1, "tf32")


def test_a_tile_fits():
    for wide in (64, 128):
        assert wide_gemm.shared(wide) <= 227 * 1024
