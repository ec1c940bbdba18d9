"""The convolution by Hopper's wgmma against sums in float64."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from helpers.devices import DEVICES
from helpers.tf32 import error, tf32
from minifer.cuda import fused_conv, loader, wide_conv
from minifer.cuda.emulator import schedule
from minifer.device import arrays as backend

on_devices = pytest.mark.parametrize("device", DEVICES)

#: x (N, H, W), filter, pad, pool. 65 images are two groups of 64.
layers = pytest.mark.parametrize("shape, size, pad, pool", [
    ((65, 9, 11), (5, 5), (0, 0), True),     # a row and a column too many
    ((3, 5, 6), (3, 3), (1, 1), False),      # an odd number of rows, zeros around
    ((2, 6, 40), (1, 1), (0, 0), True)])     # several blocks side by side


@pytest.fixture(autouse=True)
def few_images_will_do(request, monkeypatch):
    device = getattr(request.node, "callspec", None)
    device = device and device.params.get("device", "emu")
    if device == "cuda" and backend.compute_capability("cuda") != 90:
        pytest.skip("needs a GPU of compute capability 9.0")
    monkeypatch.setattr(wide_conv, "chosen", lambda x, out, size, precision: True)


def drawn(shape, size, whole=False):
    """x, W, b, keep and what else a layer of 32 channels and 32 filters needs."""
    rng = np.random.default_rng(0)

    def numbers(*shape):
        return (rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)
                ).astype(np.float32)

    return numbers(*shape, 32), numbers(32, 32, *size), numbers(32), rng


def correlate(x, W, pad):
    """Of (N, H, W, C), with zeros around it, in float64."""
    x = np.pad(x.astype(float), ((0, 0), *((p, p) for p in pad), (0, 0)))
    windows = sliding_window_view(x, W.shape[2:], (1, 2))
    return np.einsum("nijcuv,fcuv->nijf", windows, W.astype(float), optimize=True)


def pooled(z):
    """The maxima of 2x2 windows, and which of the four is the first of them."""
    N, H, W, F = z.shape
    windows = (z[:, :H // 2 * 2, :W // 2 * 2].reshape(N, H // 2, 2, W // 2, 2, F)
               .transpose(0, 1, 3, 5, 2, 4).reshape(N, H // 2, W // 2, F, 4))
    return windows.max(-1), windows.argmax(-1)


def run(device, x, W, b, out_shape, *, pad, pool, relu=True, keep=None, scale=1.0,
        after=None):
    """out and codes."""
    x, W, b, keep, after = (None if a is None else backend.to_device(a, device)
                            for a in (x, W, b, keep, after))
    out = backend.to_device(np.full(out_shape, 99, np.float32), device)
    codes = backend.to_device(np.full(out_shape, 99, np.uint8), device)
    packed = np.full_like(W, np.nan, shape=W.size)
    fused_conv.pack_filters(W, packed, None, flip=False)
    fused_conv.forward(x, packed, b, out, codes, filter_size=W.shape[2:], pad=pad,
                       relu=relu, pool=pool, keep=keep, scale=scale, after=after,
                       precision="tf32")
    return backend.to_host(out), backend.to_host(codes)


@on_devices
@layers
def test_whole_numbers_come_out_exactly(device, shape, size, pad, pool):
    """Codes say the first of equal numbers in a window, of which there are many."""
    x, W, b, rng = drawn(shape, size, whole=True)
    z = correlate(x, W, pad)
    best, place = pooled(z) if pool else (z, np.zeros(z.shape))
    best = best + b
    keep = rng.random((len(best), 32, *best.shape[1:3])) < 0.75
    alive = (best > 0) & keep.transpose(0, 2, 3, 1)
    with schedule(races=True):
        out, codes = run(device, x, W, b, best.shape, pad=pad, pool=pool, keep=keep,
                         scale=2.0)
    np.testing.assert_array_equal(out, np.where(alive, 2 * best, 0))
    np.testing.assert_array_equal(codes, np.where(alive, place, 4))


@on_devices
@pytest.mark.parametrize("wild", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_wins_its_window(device, wild):
    x, W, b, _ = drawn((2, 6, 40), (1, 1))
    x[1, wild[0], wild[1], 5] = np.nan
    out, codes = run(device, x, W, b, (2, 3, 20, 32), pad=(0, 0), pool=True)
    assert np.isnan(out[1, 0, 0]).all() and np.isnan(out).sum() == 32
    assert (codes[1, 0, 0] == 2 * wild[0] + wild[1]).all()


# --- the door -------------------------------------------------------------------------

@pytest.mark.parametrize("N, C, F, size, precision, capability, is_chosen", [
    (64, 32, 32, (5, 5), "tf32", 90, True), (64, 32, 32, (7, 3), "tf32", 90, True),
    (63, 32, 32, (5, 5), "tf32", 90, False), (64, 32, 64, (3, 3), "tf32", 90, False),
    (64, 64, 32, (3, 3), "tf32", 90, False), (64, 32, 32, (5, 6), "tf32", 90, False),
    (64, 32, 32, (5, 5), "fp32", 90, False), (64, 32, 32, (5, 5), "tf32", 80, False),
    (64, 32, 32, (5, 5), "tf32", 100, False)])
def test_who_is_chosen(monkeypatch, N, C, F, size, precision, capability, is_chosen):
    monkeypatch.undo()
    monkeypatch.setattr(wide_conv, "compute_capability", lambda device: capability)
    x, out = (backend.to_device(np.empty((N, 8, 8, n), np.float32), "emu")
              for n in (C, F))
    assert wide_conv.chosen(x, out, size, precision) == is_chosen


@on_devices
def test_a_chosen_layer_is_computed_here(device, monkeypatch):
    monkeypatch.undo()
    names, real = [], loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda self, *args, **how: (
        names.append(self.name), real(self, *args, **how))[1])
    x, W, b, _ = drawn((64, 3, 4), (2, 2))
    z = pooled(correlate(tf32(x), tf32(W), (0, 0)))[0] + b
    out, _ = run(device, x, W, b, z.shape, pad=(0, 0), pool=True, relu=False)
    assert names == ["fused_pack", "wide_conv_forward"] and error(out, z) <= 2e-6
    assert 1e-4 < error(out, pooled(correlate(x, W, (0, 0)))[0] + b) < 5e-4


@on_devices
@pytest.mark.parametrize("relu", [False, True])
def test_what_is_folded_behind_pooling_is_done_as_without(device, relu, monkeypatch):
    x, W, b, rng = drawn((64, 3, 4), (2, 2))
    after = rng.normal(size=(3, 32)).astype(np.float32)
    wide = run(device, x, W, b, (64, 1, 1, 32), pad=(0, 0), pool=True, relu=relu,
               after=after)
    monkeypatch.setattr(wide_conv, "chosen", lambda *layer: False)
    other = run(device, x, W, b, (64, 1, 1, 32), pad=(0, 0), pool=True, relu=relu,
                after=after)
    assert error(wide[0], other[0]) <= 2e-6
    np.testing.assert_array_equal(wide[1], other[1])


def test_columns_are_cut_so_that_all_multiprocessors_have_some():
    assert wide_conv.chunk(64, 42, 42, 5) < wide_conv.chunk(2048, 42, 42, 5) <= 42
    assert wide_conv.chunk(1, 1, 1, 1) == 2
