"""Dense layers on the tensor cores against obvious products in float64."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.steps import RULES
from helpers.tf32 import error, tf32
from minifer import updates
from minifer.cuda import gemm, loader
from minifer.cuda.emulator import schedule
from minifer.device import arrays as backend
from minifer.errors import KernelError, SettingError
from minifer.layers.param import Param
from minifer.ops.outer_product import OuterProductOnDevice

on_devices = pytest.mark.parametrize("device", DEVICES)
precisions = pytest.mark.parametrize("precision", ["fp32", "tf32"])

#: N, D, U, channels
SIZES = [(5, 36, 8, 1),       # less than a tile in every direction
         (70, 100, 68, 4),    # a little more than one, in rows of whole 16 bytes
         (3, 67, 7, 1),       # rows that begin anywhere
         (66, 36, 130, 4)]
sizes = pytest.mark.parametrize("N, D, U, channels", SIZES)


def seen(precision, *arrays):
    """The arrays as the tensor core sees them, in float64."""
    return [(tf32(a) if precision == "tf32" else a).astype(np.float64) for a in arrays]


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


def rows_of(D, channels):
    """The row of W for each input of x, from the definition."""
    return np.array([k % channels * (D // channels) + k // channels for k in range(D)])


def put(device, *arrays):
    found = [None if a is None else backend.to_device(np.array(a), device)
             for a in arrays]
    return found if len(found) > 1 else found[0]


def empty(device, *shape, dtype=np.float32):
    """An array that holds what must be overwritten."""
    return put(device, np.full(shape, 77, dtype))


def run_forward(device, x, W, b=None, *, channels=1, precision="fp32", keep=None,
                **options):
    (N, D), U = x.shape, W.shape[1]
    out, codes = empty(device, N, U), empty(device, N, U, dtype=np.uint8)
    work = empty(device, gemm.workspace(N, D, U))
    gemm.forward(*put(device, x, W, b), out, work, channels=channels, codes=codes,
                 keep=None if keep is None else put(device, keep), precision=precision,
                 **options)
    return backend.to_host(out), backend.to_host(codes)


# --- the three products -----------------------------------------------------

@on_devices
@precisions
@sizes
def test_forward(device, precision, N, D, U, channels):
    x, W, b = arrays((N, D), (D, U), (U,))
    x64, W64 = seen(precision, x, W)
    expected = x64 @ W64[rows_of(D, channels)] + b
    with schedule(races=True):
        found, codes = run_forward(device, x, W, b, channels=channels,
                                   precision=precision)
    assert error(found, expected) <= 2e-6 and not codes.any()
    assert error(found, x.astype(float) @ W[rows_of(D, channels)] + b) <= 1e-3


@on_devices
@precisions
@sizes
def test_input_gradient(device, precision, N, D, U, channels):
    dz, W = arrays((N, U), (D, U))
    dz64, W64 = seen(precision, dz, W)
    dx = empty(device, N, D)
    with schedule(races=True):
        gemm.input_gradient(*put(device, dz, W), dx, channels=channels,
                            precision=precision)
    assert error(dx, dz64 @ W64[rows_of(D, channels)].T) <= 2e-6


@on_devices
@precisions
@sizes
def test_weight_gradient(device, precision, N, D, U, channels):
    x, dz = arrays((N, D), (N, U))
    x64, dz64 = seen(precision, x, dz)
    expected = np.empty((D, U))
    expected[rows_of(D, channels)] = x64.T @ dz64
    dW = empty(device, D, U)
    with schedule(races=True):
        gemm.weight_gradient(*put(device, x, dz), dW, channels=channels,
                             precision=precision)
    assert error(dW, expected) <= 2e-6


@on_devices
@precisions
def test_a_large_tile(device, precision):
    N, D, U = 130, 260, 129
    assert gemm.tile_for(N, U, D) is gemm.LARGE is not gemm.tile_for(D, U, N)
    x, W = arrays((N, D), (D, U))
    x64, W64 = seen(precision, x, W)
    assert error(run_forward(device, x, W, precision=precision)[0], x64 @ W64) <= 2e-6
    W, dx = np.ascontiguousarray(W.T), empty(device, N, U)
    gemm.input_gradient(*put(device, x, W), dx, precision=precision)
    assert error(dx, x64 @ W64) <= 2e-6


@on_devices
@precisions
def test_a_long_sum_in_pieces(device, precision):
    N, D, U = 3, 1111, 9
    assert gemm.splits_for(N, D, U) == 4
    x, W, b = arrays((N, D), (D, U), (U,))
    x64, W64 = seen(precision, x, W)
    found, _ = run_forward(device, x, W, b, precision=precision)
    assert error(found, x64 @ W64 + b) <= 2e-6


@on_devices
def test_the_errors_that_the_documentation_names(device):
    N, D, U = 8, 3000, 16
    x, W = arrays((N, D), (D, U))
    exact = x.astype(float) @ W
    assert error(run_forward(device, x, W, precision="fp32")[0], exact) < 1e-6
    assert 1e-4 < error(run_forward(device, x, W, precision="tf32")[0], exact) < 5e-4


# --- what follows the product -----------------------------------------------

@on_devices
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("drop", [False, True])
def test_relu_dropout_and_codes(device, relu, drop):
    N, D, U = 9, 20, 13
    x, W, b = arrays((N, D), (D, U), (U,))
    drawn = np.random.default_rng(1).integers(0, 2, (N, U)).astype(bool)
    keep = drawn if drop else None
    z = x.astype(float) @ W + b
    lives = np.ones_like(z, bool) if not relu else z > 0
    lives &= True if keep is None else keep
    found, codes = run_forward(device, x, W, b, relu=relu, keep=keep, scale=1.25)
    assert error(found, np.where(lives, z * (1.25 if drop else 1), 0)) <= 2e-6
    np.testing.assert_array_equal(codes, np.where(lives, 0, 4))
    dout, dz = arrays((N, U), seed=2)[0], empty(device, N, U)
    gemm.mask_gradient(*put(device, dout, codes), dz, scale=1.25)
    np.testing.assert_array_equal(backend.to_host(dz),
                                  np.where(lives, dout * np.float32(1.25), 0))


@on_devices
def test_relu_at_0_has_no_slope(device):
    found, codes = run_forward(device, np.zeros((2, 4), np.float32),
                               np.ones((4, 3), np.float32), relu=True)
    assert (found == 0).all() and (codes == 4).all()


@on_devices
@pytest.mark.parametrize("N, U", [(1, 1), (70, 33), (32, 64)])
def test_bias_gradient(device, N, U):
    dz, = arrays((N, U))
    db = empty(device, U)
    with schedule(races=True):
        gemm.bias_gradient(put(device, dz), db)
    assert error(db, dz.astype(float).sum(axis=0)) <= 2e-6


@on_devices
@precisions
@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(device, precision, wild):
    x, W, dz = arrays((3, 40), (40, 5), (3, 5))
    x[1, 7] = wild
    keep = np.zeros((3, 5), bool)
    for options in ({}, {"relu": True}, {"keep": keep}):
        with np.errstate(invalid="ignore"):
            found, _ = run_forward(device, x, W * np.sign(W[7]), precision=precision,
                                   **options)
        wild_rows = ~np.isfinite(found).all(axis=1)
        assert wild_rows.tolist() == [False, True, False]
    dW, dx, db = empty(device, 40, 5), empty(device, 3, 40), empty(device, 5)
    gemm.weight_gradient(*put(device, x, dz), dW, precision=precision)
    assert np.flatnonzero(~np.isfinite(backend.to_host(dW)).all(axis=1)).tolist() == [7]
    dz[2, 4] = wild
    gemm.input_gradient(*put(device, dz, W), dx, precision=precision)
    assert np.flatnonzero(~np.isfinite(backend.to_host(dx)).all(axis=1)).tolist() == [2]
    gemm.bias_gradient(put(device, dz), db)
    assert np.isfinite(backend.to_host(db)).tolist() == [True] * 4 + [False]


# --- the update in the epilogue ---------------------------------------------

def ready(rule, device, W):
    """An update at work on one matrix, on a device."""
    update = RULES[rule]([Param(W.copy(), "W")])
    update.to_device(device)
    return update


@on_devices
@pytest.mark.parametrize("rule", ["sgd", "nesterov_momentum", "adam", "amsgrad"])
def test_the_update_is_that_of_the_stored_gradient(device, rule):
    N, D, U, channels = 10, 72, 12, 3
    (W,) = arrays((D, U))
    fused, stored = (ready(rule, device, W) for _ in range(2))
    for seed in range(3):
        x, dz = put(device, *arrays((N, D), (N, U), seed=seed))
        fused([OuterProductOnDevice(x, dz, channels)])
        gemm.weight_gradient(x, dz, stored.buffers.targets[stored.params[0]],
                             channels=channels, precision="fp32")
        stored(stored.buffers.targets)
    arrays_of = [[u.params[0].value, *(u.state[s][0] for s in u.slots)]
                 for u in (fused, stored)]
    for one, other in zip(*arrays_of, strict=True):
        np.testing.assert_allclose(backend.to_host(one), backend.to_host(other),
                                   rtol=2e-6, atol=1e-7)
    assert not np.allclose(fused.params[0].get_value(), W)


@on_devices
@precisions
@pytest.mark.parametrize("U", [7, 8])
def test_an_element_that_is_not_finite_stays_and_is_noted(device, precision, U):
    x, dz, W = arrays((4, 9), (4, U), (9, U))
    x[1, 3] = np.nan
    update = ready("momentum", device, W)
    gemm.weight_gradient_update(
        *put(device, x, dz), update.params[0].value, update.state["velocity"],
        update.buffers.finite, update.buffers.numbers, "momentum", precision=precision)
    assert backend.to_host(update.buffers.finite).tolist() == [1, 0]
    velocity = backend.to_host(update.state["velocity"][0])
    np.testing.assert_array_equal(update.params[0].get_value()[3], W[3])
    np.testing.assert_array_equal(velocity, 0)  # numbers are 0 so far
    update.buffers.numbers[:2] = 0.5
    gemm.weight_gradient_update(
        *put(device, x, dz), update.params[0].value, update.state["velocity"],
        update.buffers.finite, update.buffers.numbers, "momentum", precision=precision)
    moved = (update.params[0].get_value() != W).any(axis=1)
    assert moved.tolist() == [row != 3 for row in range(9)]


@on_devices
def test_nothing_moves_while_not_fine(device):
    x, dz, W = arrays((4, 9), (4, 8), (9, 8))
    update, gradients = ready("adam", device, W), put(device, x, dz)
    dz[0, 0] = np.inf
    update([OuterProductOnDevice(*put(device, x, dz))])
    np.testing.assert_array_equal(update.params[0].get_value(), W)
    update([OuterProductOnDevice(*gradients)])
    np.testing.assert_array_equal(update.params[0].get_value(), W)
    assert not update.buffers.all_finite() and update.buffers.clear_not_finite() == 2
    update([OuterProductOnDevice(*gradients)])
    assert update.buffers.all_finite() and (update.params[0].get_value() != W).all()


@on_devices
def test_what_overflows_within_the_product_is_found_after_the_step(device):
    big = np.full((4, 8), 1e30, np.float32)
    update = ready("sgd", device, np.ones((8, 8), np.float32))
    update([OuterProductOnDevice(*put(device, big, big))])
    assert not update.buffers.all_finite()
    np.testing.assert_array_equal(update.params[0].get_value(), 1)


@on_devices
@pytest.mark.parametrize("limit", [None, 0.5])
def test_fused_and_other_parameters_in_one_step(device, limit):
    def params():
        return [Param(a, f"p{i}") for i, a in enumerate(
            arrays((3, 3), (20, 5), (7,), (5, 6), (6,)))]

    here, there = (updates.adam(params(), 0.1) for _ in range(2))
    there.to_device(device)
    here.max_total_norm = there.max_total_norm = limit
    for seed in range(2):
        x, dz, h, dy, *rest = arrays((4, 20), (4, 5), (4, 5), (4, 6), (3, 3), (7,),
                                     (6,), seed=seed)
        here([rest[0], x.T @ dz, rest[1], h.T @ dy, rest[2]])
        x, dz, h, dy, *rest = put(device, x, dz, h, dy, *rest)
        there([rest[0], OuterProductOnDevice(x, dz), rest[1],
               OuterProductOnDevice(h, dy), rest[2]])
    for one, other in zip(here.params, there.params):
        np.testing.assert_allclose(other.get_value(), one.value, rtol=1e-4, atol=1e-4)


# --- orders, refusals -------------------------------------------------------

def everything(N=70, D=40, U=68):
    """Bits of all that the kernels make."""
    x, W, b, dz = arrays((N, D), (D, U), (U,), (N, U))
    dW, dx, db = (empty("emu", *s) for s in ((D, U), (N, D), (U,)))
    update = ready("momentum", "emu", W)
    update.buffers.advance()
    gemm.weight_gradient(*put("emu", x, dz), dW, precision="tf32")
    gemm.input_gradient(*put("emu", dz, W), dx, precision="tf32")
    gemm.bias_gradient(put("emu", dz), db)
    gemm.weight_gradient_update(*put("emu", x, dz), update.params[0].value,
                                update.state["velocity"], update.buffers.finite,
                                update.buffers.numbers, "momentum", precision="tf32")
    out, codes = run_forward("emu", x, W, b, relu=True)
    return [backend.to_host(a).tobytes() for a in (out, codes, dW, dx, db,
                                                   update.params[0].value)]


@pytest.mark.parametrize("device", DEVICES[:1])
@pytest.mark.parametrize("order", ["reverse", 3])
def test_any_order_of_threads_gives_the_same_bits(device, order):
    with schedule(order, races=True):
        found = everything()
    assert found == everything()


@on_devices
def test_fewer_images_than_the_workspace_is_for(device):
    x, W = arrays((2, 600), (600, 8))
    work = empty(device, 16)
    out = empty(device, 2, 8)
    gemm.forward(*put(device, x, W), None, out, work, precision="fp32")
    assert error(out, x.astype(float) @ W) <= 2e-6
    with pytest.raises(KernelError, match="at least 16 floats, got 15"):
        gemm.forward(*put(device, x, W), None, out, work[:15], precision="fp32")
    with pytest.raises(SettingError, match="'tf32' or 'fp32', got 'fp16'"):
        gemm.forward(*put(device, x, W), None, out, work, precision="fp16")


@pytest.mark.parametrize("tile", [gemm.SMALL, gemm.LARGE])
def test_a_tile_divides_evenly_and_fits(tile):
    for vector in (1, 4):
        for columns in (tile.BM, tile.BN, tile.BK):
            assert tile.threads * vector % columns == 0
    assert tile.BM % (16 * tile.WARPS_M) == tile.BN % (8 * tile.WARPS_N) == 0
    largest = max(tile.shared(a, b) for a in (0, 1) for b in (0, 1))
    assert largest <= 99 * 1024     # of any GPU that has these tensor cores
    assert set(tile._fields) < set(loader.source_of("gemm.cuh").split())
