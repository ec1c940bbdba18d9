"""The first convolution and its gradients against sums in float64."""

import numpy as np
import pytest

from helpers import reference
from helpers.devices import DEVICES
from minifer.cuda import first_conv
from minifer.cuda.emulator import schedule
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, ShapeError

pytestmark = pytest.mark.parametrize("device", DEVICES)

#: x (N, H, W, C), F, filter, pad, relu, pool, dropout.
LAYERS = [
    pytest.param((2, 20, 22, 1), 32, (5, 5), (0, 0), True, True, True, id="headline's"),
    pytest.param((2, 13, 12, 3), 8, (3, 3), (1, 1), True, False, True, id="8 filters"),
    pytest.param((2, 9, 19, 2), 24, (7, 4), (3, 0), False, True, True, id="no ReLU"),
    pytest.param((3, 5, 4, 4), 48, (1, 1), (0, 0), True, True, False, id="1x1"),
    pytest.param((1, 3, 132, 1), 40, (2, 7), (1, 6), False, False, False, id="wide"),
    pytest.param((1, 8, 9, 4), 8, (7, 7), (6, 6), True, True, False, id="7x7x4")]


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """So that each block has several bands to do, also of small images."""
    monkeypatch.setattr(first_conv, "BLOCKS", 2)


def drawn(x_shape, F, size, pad, drop=False, pool=False, whole=False):
    """x, W, b, keep: normal numbers, or small whole ones."""
    rng = np.random.default_rng(7)
    keep = rng.random((x_shape[0], F, *out_size(x_shape, size, pad, pool))) < 0.6
    return *((rng.integers(-3, 4, shape) if whole else rng.normal(size=shape)
              ).astype(np.float32) for shape in (x_shape, (F, x_shape[3], *size), (F,))
             ), keep if drop else None


def out_size(x_shape, size, pad, pool):
    return tuple((n + 2 * p - k + 1) // (1 + pool)
                 for n, p, k in zip(x_shape[1:3], pad, size))


def expected(x, W, b, keep, *, pad, flip, relu, pool, scale):
    """The output and the codes, from the definitions; float64."""
    z = reference.conv2d(x.transpose(0, 3, 1, 2), W, None, (1, 1), pad, flip)
    code = np.zeros(z.shape, int)
    if pool:
        N, F, H, width = z.shape
        windows = (z[:, :, :H // 2 * 2, :width // 2 * 2]
                   .reshape(N, F, H // 2, 2, width // 2, 2).swapaxes(3, 4)
                   .reshape(N, F, H // 2, width // 2, 4))
        z, code = windows.max(-1), windows.argmax(-1)
    if b is not None:
        z = z + b[:, None, None]
    if relu:
        z, code = np.maximum(z, 0), np.where(z > 0, code, 4)
    if keep is not None:
        z, code = np.where(keep, z * scale, 0), np.where(keep, code, 4)
    return z.transpose(0, 2, 3, 1), code.transpose(0, 2, 3, 1)


def forward(x, W, b, keep, device, *, pad, pool, codes=True, **options):
    """The output and the codes as the device finds them, on the CPU."""
    shape = (len(x), *out_size(x.shape, W.shape[2:], pad, pool), len(W))
    out = to_device(np.full(shape, np.nan, np.float32), device)
    codes = to_device(np.full(shape, 9, np.uint8), device) if codes else None
    x, W, b, keep = (None if a is None else to_device(a, device)
                     for a in (x, W, b, keep))
    first_conv.forward(x, W, b, out, codes, pad=pad, pool=pool, keep=keep, **options)
    return to_host(out), None if codes is None else to_host(codes)


def gradients(x, dout, codes, size, device, *, pad, pool, flip=False, scale=1.0,
              bias=True):
    """dW and db as the device finds them, on the CPU."""
    F, C = dout.shape[3], x.shape[3]
    dW = to_device(np.full((F, C, *size), np.nan, np.float32), device)
    db = to_device(np.full(F, np.nan, np.float32), device) if bias else None
    work = np.full(first_conv.workspace(*x.shape, F, size), np.nan, np.float32)
    x, dout, codes, work = (None if a is None else to_device(a, device)
                            for a in (x, dout, codes, work))
    first_conv.filter_gradient(x, dout, codes, dW, db, work, pad=pad, pool=pool,
                               flip=flip, scale=scale)
    return to_host(dW), to_host(db) if bias else None


def expected_gradients(x, dout, codes, size, pad, pool):
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


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("x_shape, F, size, pad, relu, pool, drop", LAYERS)
@pytest.mark.parametrize("flip", [True, False])
def test_forward(x_shape, F, size, pad, relu, pool, drop, flip, device):
    x, W, b, keep = drawn(x_shape, F, size, pad, drop, pool)
    options = {"pad": pad, "flip": flip, "relu": relu, "pool": pool, "scale": 1.25}
    with schedule(races=True):
        out, codes = forward(x, W, b, keep, device, **options)
    exact, exact_codes = expected(x, W, b, keep, **options)
    assert error(out, exact) < 1e-6
    np.testing.assert_array_equal(codes, exact_codes)


@pytest.mark.parametrize("x_shape, F, size, pad, relu, pool, drop", LAYERS)
def test_gradients(x_shape, F, size, pad, relu, pool, drop, device):
    x, W, b, keep = drawn(x_shape, F, size, pad, drop, pool)
    options = {"pad": pad, "flip": True, "relu": relu, "pool": pool, "scale": 1.25}
    out, codes = expected(x, W, b, keep, **options)
    dout = np.random.default_rng(8).normal(size=out.shape).astype(np.float32)
    codes = codes.astype(np.uint8) if relu or pool or drop else None
    with schedule(races=True):
        dW, db = gradients(x, dout, codes, size, device, pad=pad, pool=pool, flip=True,
                           scale=1.25)
    exact_dW, exact_db = expected_gradients(x, dout, codes, size, pad, pool)
    assert error(dW, 1.25 * exact_dW[:, :, ::-1, ::-1]) < 1e-6
    assert error(db, 1.25 * exact_db) < 1e-6


@pytest.mark.parametrize("x_shape, F, size, pad, relu, pool, drop", LAYERS)
def test_small_whole_numbers_are_exact(x_shape, F, size, pad, relu, pool, drop, device):
    """And ties are many: the gradient goes to the first maximum."""
    x, W, b, keep = drawn(x_shape, F, size, pad, drop, pool, whole=True)
    options = {"pad": pad, "flip": False, "relu": relu, "pool": pool, "scale": 2.0}
    out, codes = forward(x, W, b, keep, device, **options)
    exact, exact_codes = expected(x, W, b, keep, **options)
    np.testing.assert_array_equal(out, exact)
    np.testing.assert_array_equal(codes, exact_codes)
    dout = np.random.default_rng(8).integers(-3, 4, out.shape).astype(np.float32)
    for found, wanted in zip(
            gradients(x, dout, codes, size, device, pad=pad, pool=pool),
            expected_gradients(x, dout, codes, size, pad, pool)):
        np.testing.assert_array_equal(found, wanted)


def test_every_order_of_threads_gives_the_same_bits(device):
    x, W, b, _ = drawn((3, 9, 10, 2), 16, (3, 3), (1, 1))
    options = {"pad": (1, 1), "pool": True}
    dout = np.random.default_rng(8).normal(size=(3, 4, 5, 16)).astype(np.float32)

    def run():
        out, codes = forward(x, W, b, None, device, flip=True, relu=True, **options)
        return [a.tobytes() for a in (
            out, codes, *gradients(x, dout, codes, (3, 3), device, **options))]

    first = run()
    for order in ("forward", "reverse", "fair", 1):
        with schedule(order, races=True):
            assert run() == first


def test_biases_and_codes_may_be_missing(device):
    x, W, b, _ = drawn((2, 6, 7, 1), 8, (3, 3), (0, 0))
    options = {"pad": (0, 0), "flip": False, "relu": True, "pool": True}
    with_zeros = forward(x, W, 0 * b, None, device, **options)
    out, codes = forward(x, W, None, None, device, codes=False, **options)
    assert codes is None
    np.testing.assert_array_equal(out, with_zeros[0])
    given = {"pad": (0, 0), "pool": True}
    dW, db = gradients(x, out, with_zeros[1], (3, 3), device, bias=False, **given)
    assert db is None
    np.testing.assert_array_equal(
        dW, gradients(x, out, with_zeros[1], (3, 3), device, **given)[0])


@pytest.mark.parametrize("pool", [True, False])
def test_nan_stays_visible(pool, device):
    x, W, b, keep = drawn((2, 8, 8, 1), 8, (3, 3), (0, 0), True, pool)
    options = {"pad": (0, 0), "flip": False, "relu": True, "pool": pool, "scale": 2.0}
    _, codes = forward(x, W, b, keep, device, **options)
    x[1, 4, 5] = np.nan
    out, _ = forward(x, W, b, keep, device, **options)
    seen = np.isnan(out[1]).all(-1)
    rows, cols = np.nonzero(seen)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (
        (1, 2, 1, 2) if pool else (2, 4, 3, 5))
    assert seen.sum() == (4 if pool else 9) and np.isfinite(out[~np.isnan(out)]).all()
    assert not np.isnan(out[0]).any()
    dout = np.ones(out.shape, np.float32)
    dW, db = gradients(x, dout, codes, (3, 3), device, pad=(0, 0), pool=pool)
    assert np.isnan(dW).any() and np.isfinite(db).all()
    dout[0, 1, 1, 3], codes[0, 1, 1, 3] = np.nan, 0
    x[1, 4, 5] = 0
    dW, db = gradients(x, dout, codes, (3, 3), device, pad=(0, 0), pool=pool)
    assert np.isnan(dW[3]).all() and np.isfinite(np.delete(dW, 3, axis=0)).all()
    assert np.isnan(db[3]) and np.isfinite(np.delete(db, 3)).all()


def test_what_goes_nowhere_may_be_anything(device):
    x, *_ = drawn((2, 8, 6, 3), 8, (3, 3), (1, 1))
    rng = np.random.default_rng(8)
    dout = rng.normal(size=(2, 4, 3, 8)).astype(np.float32)
    codes = rng.integers(0, 5, dout.shape, np.uint8)
    given = {"pad": (1, 1), "pool": True}
    first = gradients(x, dout, codes, (3, 3), device, **given)
    dout[codes == 4] = np.nan
    for a, b in zip(first, gradients(x, dout, codes, (3, 3), device, **given)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer, possible", [
    ((1, 32, 5, 5, (0, 0)), True), ((4, 8, 7, 7, (6, 6)), True),
    ((5, 8, 3, 3, (1, 1)), False), ((3, 12, 3, 3, (1, 1)), False),
    ((3, 16, 8, 3, (0, 0)), False), ((3, 16, 3, 3, (3, 0)), False)])
def test_supported(layer, possible, device):
    assert first_conv.supported(*layer) == possible


def test_what_the_kernels_cannot_do_is_refused(device):
    x, W, b, _ = drawn((1, 4, 4, 5), 8, (3, 3), (0, 0))
    with pytest.raises(ShapeError, match="1 to 4 channels.* got 5 channels"):
        forward(x, W, b, None, device, pad=(0, 0), flip=False, relu=True, pool=False)


def test_no_images_have_no_output_and_no_gradient(device):
    x, W, b, _ = drawn((0, 7, 8, 2), 8, (3, 3), (0, 0))
    out, codes = forward(x, W, b, None, device, pad=(0, 0), flip=False, relu=True,
                         pool=True)
    dW, db = gradients(x, out, codes, (3, 3), device, pad=(0, 0), pool=True)
    assert out.shape == (0, 2, 3, 8) and not dW.any() and not db.any()


def test_images_smaller_than_a_filter_are_refused(device):
    x, W, b, _ = drawn((1, 2, 4, 1), 8, (2, 2), (0, 0))
    with pytest.raises(ShapeError, match="at least one window of 3x2, got 2x4"):
        forward(x, np.zeros((8, 1, 3, 2), np.float32), b, None, device, pad=(0, 0),
                flip=False, relu=True, pool=False)


def test_outputs_of_another_shape_are_refused(device):
    x, W, b, _ = drawn((1, 6, 6, 1), 8, (3, 3), (0, 0))
    out = to_device(np.zeros((1, 4, 3, 8), np.float32), device)
    with pytest.raises(KernelError, match="expected out of .* = 128 .*, got 96"):
        first_conv.forward(*(to_device(a, device) for a in (x, W, b)), out, None,
                           pad=(0, 0), flip=False, relu=True, pool=False)
