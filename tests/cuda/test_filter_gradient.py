"""The filters' and biases' gradients against sums in float64."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import filter_gradient as module
from minifer.cuda.emulator import schedule
from minifer.cuda.filter_gradient import filter_gradient, tiling, workspace
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, SettingError, ShapeError

pytestmark = pytest.mark.parametrize("device", DEVICES)

PRECISIONS = ["tf32", "fp32"]

#: x (N, H, W, C), F, filter, pad, pool, codes.
LAYERS = [
    pytest.param((2, 10, 12, 8), 8, (3, 3), (1, 1), False, False, id="3x3, no codes"),
    pytest.param((3, 18, 36, 16), 32, (5, 5), (0, 0), True, True, id="5x5, two strips"),
    pytest.param((3, 9, 11, 16), 24, (5, 3), (0, 2), True, True, id="odd sizes"),
    pytest.param((5, 4, 7, 8), 16, (1, 1), (0, 0), False, True, id="1x1"),
    pytest.param((2, 9, 9, 24), 40, (7, 7), (3, 3), True, True, id="7x7"),
    pytest.param((7, 2, 3, 40), 8, (2, 2), (1, 1), True, True, id="many images a band"),
    pytest.param((3, 1, 19, 8), 48, (1, 6), (0, 5), False, True, id="one row"),
    pytest.param((1, 5, 4, 64), 128, (3, 3), (1, 1), False, True, id="many channels")]


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """So that each block has several bands to do, also of small images."""
    monkeypatch.setattr(module, "BLOCKS", 2)


def tf32(x):
    """x rounded to 11 bits, ties away from zero; what the tensor core reads."""
    bits = np.float32(x).view(np.uint32) + np.uint32(0x1000)
    return (bits & np.uint32(0xffffe000)).view(np.float32)


def drawn(x_shape, F, size, pad, pool, codes, whole=False):
    """x, dout, codes: normal numbers, or small whole ones."""
    rng = np.random.default_rng(3)
    sides = [(n + 2 * p - k + 1) // (1 + pool)
             for n, p, k in zip(x_shape[1:3], pad, size)]
    shape = (x_shape[0], *sides, F)
    x, dout = ((rng.integers(-3, 4, s) if whole else rng.normal(size=s)
                ).astype(np.float32) for s in (x_shape, shape))
    if not codes:
        return x, dout, None
    return x, dout, rng.choice([0, 1, 2, 3, 4] if pool else [0, 4], shape
                               ).astype(np.uint8)


def expected(x, dout, codes, size, pad, pool):
    """dW and db by the definition: each number of dout meets one window of x."""
    (kh, kw), (ph, pw), step = size, pad, 2 if pool else 1
    padded = np.pad(x.astype(float), ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    dW = np.zeros((dout.shape[3], x.shape[3], kh, kw))
    db = np.zeros(dout.shape[3])
    for n, i, j, f in np.ndindex(dout.shape):
        e = 0 if codes is None else codes[n, i, j, f]
        if e == 4:
            continue
        top, left, g = step * i + e // 2, step * j + e % 2, float(dout[n, i, j, f])
        dW[f] += g * padded[n, top:top + kh, left:left + kw].transpose(2, 0, 1)
        db[f] += g
    return dW, db


def found(x, dout, codes, size, device, *, pad, pool, precision, flip=False, scale=1.0,
          bias=True):
    """dW and db as the device finds them, on the CPU."""
    F, C = dout.shape[3], x.shape[3]
    dW = to_device(np.full((F, C, *size), np.nan, np.float32), device)
    db = to_device(np.full(F, np.nan, np.float32), device) if bias else None
    work = to_device(np.full(workspace(*x.shape, F, size), np.nan, np.float32), device)
    x, dout, codes = (None if a is None else to_device(a, device)
                      for a in (x, dout, codes))
    filter_gradient(x, dout, codes, dW, db, work, pad=pad, pool=pool, flip=flip,
                    scale=scale, precision=precision)
    return to_host(dW), to_host(db) if bias else None


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("x_shape, F, size, pad, pool, codes", LAYERS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients(x_shape, F, size, pad, pool, codes, precision, device):
    x, dout, codes = drawn(x_shape, F, size, pad, pool, codes)
    with schedule(races=True):
        dW, db = found(x, dout, codes, size, device, pad=pad, pool=pool,
                       precision=precision)
    exact_dW, exact_db = expected(x, dout, codes, size, pad, pool)
    assert error(db, exact_db) < 2e-6
    if precision == "fp32":
        assert error(dW, exact_dW) < 2e-6
        return
    assert 1e-5 < error(dW, exact_dW) < 1e-3
    read_dW, _ = expected(tf32(x), tf32(dout), codes, size, pad, pool)
    assert error(dW, read_dW) < (2e-6 if device == "emu" else 1e-5)


@pytest.mark.parametrize("x_shape, F, size, pad, pool, codes", LAYERS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_whole_numbers_are_summed_exactly(x_shape, F, size, pad, pool, codes,
                                                precision, device):
    x, dout, codes = drawn(x_shape, F, size, pad, pool, codes, whole=True)
    dW, db = found(x, dout, codes, size, device, pad=pad, pool=pool, flip=True,
                   scale=0.5, precision=precision)
    exact_dW, exact_db = expected(x, dout, codes, size, pad, pool)
    np.testing.assert_array_equal(dW, exact_dW[:, :, ::-1, ::-1] / 2)
    np.testing.assert_array_equal(db, exact_db / 2)


def test_the_headline_layer(device):
    x, dout, codes = drawn((1, 46, 46, 32), 32, (5, 5), (0, 0), True, True)
    exact, _ = expected(x, dout, codes, (5, 5), (0, 0), True)
    errors = [error(found(x, dout, codes, (5, 5), device, pad=(0, 0), pool=True,
                          precision=precision)[0], exact) for precision in PRECISIONS]
    assert 1e-4 < errors[0] < 1e-3 and errors[1] < 1e-6


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_order_of_threads_gives_the_same_bits(precision, device):
    layer = (4, 12, 22, 16), 16, (3, 3), (1, 1), True, True
    x, dout, codes = drawn(*layer)

    def run():
        return [a.tobytes() for a in found(x, dout, codes, (3, 3), device, pad=(1, 1),
                                           pool=True, precision=precision)]

    first = run()
    for order in ("forward", "reverse", "fair", 1):
        with schedule(order, races=True):
            assert run() == first


@pytest.mark.parametrize("limit", [60_000, 30_000])
@pytest.mark.parametrize("pool", [False, True])
def test_bands_are_narrower_where_there_is_less_shared_memory(limit, pool, device,
                                                              monkeypatch):
    shape, F = (2, 14, 33, 16), 16
    x, dout, codes = drawn(shape, F, (3, 3), (0, 0), pool, True, whole=True)
    seen, kernel = [], module.kernel

    def spy(*args, **defines):
        seen.append(defines["COLS"])
        return kernel(*args, **defines)

    monkeypatch.setattr(module, "kernel", spy)
    monkeypatch.setattr(module, "shared_memory", lambda device: limit)
    dW, _ = found(x, dout, codes, (3, 3), device, pad=(0, 0), pool=pool,
                  precision="tf32")
    assert (seen[0] < 16) == (limit == 30_000)
    exact, _ = expected(x, dout, codes, (3, 3), (0, 0), pool)
    np.testing.assert_array_equal(dW, exact)


def test_biases_may_be_without_gradients(device):
    layer = (2, 6, 6, 8), 8, (3, 3), (0, 0), False, True
    x, dout, codes = drawn(*layer)
    given = {"pad": (0, 0), "pool": False, "precision": "fp32"}
    with_db, _ = found(x, dout, codes, (3, 3), device, **given)
    dW, db = found(x, dout, codes, (3, 3), device, bias=False, **given)
    assert db is None
    np.testing.assert_array_equal(dW, with_db)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(value, precision, device):
    layer = (2, 7, 6, 8), 16, (3, 3), (1, 1), False, True
    x, dout, codes = drawn(*layer)
    given = {"pad": (1, 1), "pool": False, "precision": precision}
    codes[...] = 0
    spoilt = x.copy()
    spoilt[1, 3, 2, 5] = value
    dW, db = found(spoilt, dout, codes, (3, 3), device, **given)
    bad = ~np.isfinite(dW)
    assert bad[:, 5].all() and not np.delete(bad, 5, axis=1).any()
    assert np.isfinite(db).all()
    spoilt = dout.copy()
    spoilt[1, 3, 2, 9] = value
    dW, db = found(x, spoilt, codes, (3, 3), device, **given)
    bad = ~np.isfinite(dW)
    assert bad[9].all() and not np.delete(bad, 9, axis=0).any()
    assert not np.isfinite(db[9]) and np.isfinite(np.delete(db, 9)).all()


def test_what_goes_nowhere_may_be_anything(device):
    layer = (2, 8, 6, 8), 8, (3, 3), (1, 1), True, True
    x, dout, codes = drawn(*layer)
    given = {"pad": (1, 1), "pool": True, "precision": "fp32"}
    dW, db = found(x, dout, codes, (3, 3), device, **given)
    again = found(x, np.where(codes == 4, np.nan, dout), codes, (3, 3), device, **given)
    np.testing.assert_array_equal(again[0], dW)
    np.testing.assert_array_equal(again[1], db)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_block_has_warps_for_every_row_of_a_filter(precision, device):
    for kh, kw in np.ndindex(8, 8):
        for C, F in [(8, 8), (32, 32), (256, 512), (24, 40)]:
            if kh and kw:
                found = tiling(C, F, kh, kw, precision)
                warps = kh * found["WARPS_F"] * found["WARPS_C"]
                assert kh <= warps <= 20 and 8 * found["TILES_C"] < 2 * C


def test_no_more_blocks_than_bands(device, monkeypatch):
    """Every band belongs to one of them; work beyond that is not touched."""
    x, dout, codes = drawn((2, 14, 20, 8), 8, (3, 3), (0, 0), True, True, whole=True)
    exact, _ = expected(x, dout, codes, (3, 3), (0, 0), True)
    for blocks in (1, 3, 6, 132):
        monkeypatch.setattr(module, "BLOCKS", blocks)
        seen, kernel = [], module.kernel

        def spy(*args, **defines):
            def launch(*args, grid, **how):
                seen.append(grid)
                return kernel_itself(*args, grid=grid, **how)
            kernel_itself = kernel(*args, **defines)
            return launch

        with monkeypatch.context() as patch:
            patch.setattr(module, "kernel", spy)
            dW, _ = found(x, dout, codes, (3, 3), device, pad=(0, 0), pool=True,
                          precision="tf32")
        assert seen[0] == (min(blocks, 6), 1)
        np.testing.assert_array_equal(dW, exact)


def test_images_smaller_than_a_filter_are_refused(device):
    x = np.ones((1, 4, 2, 8), np.float32)
    dout = np.ones((1, 2, 0, 8), np.float32)
    with pytest.raises(ShapeError, match="at least one window of 3x3, got 4x2"):
        found(x, dout, None, (3, 3), device, pad=(0, 0), pool=False, precision="fp32")


def test_what_the_kernel_cannot_do_is_refused(device):
    x, dout, _ = drawn((1, 4, 4, 12), 8, (3, 3), (0, 0), False, False)
    given = {"pad": (0, 0), "pool": False}
    with pytest.raises(ShapeError, match="multiples of 8.* got 12 channels"):
        found(x, dout, None, (3, 3), device, precision="fp32", **given)
    with pytest.raises(SettingError, match="one of tf32, fp32, got 'fp16'"):
        found(x, dout, None, (3, 3), device, precision="fp16", **given)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_images_have_no_gradient(precision, device):
    x, dout, codes = drawn((0, 9, 8, 8), 16, (3, 3), (0, 0), True, True)
    dW, db = found(x, dout, codes, (3, 3), device, pad=(0, 0), pool=True,
                   precision=precision)
    assert not dW.any() and not db.any()


def test_gradients_of_another_shape_are_refused(device):
    x, dout, _ = drawn((1, 6, 6, 8), 8, (3, 3), (0, 0), False, False)
    with pytest.raises(KernelError, match="expected dout of .* = 128 .*, got 96"):
        found(x, dout[:, :, :3].copy(), None, (3, 3), device, pad=(0, 0), pool=False,
              precision="fp32")
