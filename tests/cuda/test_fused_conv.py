"""The fused convolution and its data gradient against sums in float64."""

import functools
import re

import numpy as np
import pytest

from helpers.devices import DEVICES
from minifer.cuda import fused_conv, loader
from minifer.cuda.emulator import schedule
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, SettingError, ShapeError

pytestmark = pytest.mark.parametrize("device", DEVICES)

PRECISIONS = ["tf32", "fp32"]

#: x (N, H, W, C), F, filter, pad, pool.
LAYERS = [
    pytest.param((3, 9, 11, 8), 8, (3, 3), (1, 1), True, id="3x3, odd sizes"),
    pytest.param((4, 10, 15, 16), 24, (5, 5), (0, 0), True, id="5x5, tiles straddle"),
    pytest.param((3, 9, 6, 8), 40, (2, 4), (0, 2), False, id="2x4, five slices"),
    pytest.param((5, 3, 27, 16), 16, (3, 1), (0, 0), False, id="one pair of rows"),
    pytest.param((1, 18, 9, 24), 64, (1, 1), (0, 0), True, id="1x1, two slices"),
    pytest.param((2, 8, 10, 8), 8, (7, 6), (6, 3), True, id="7x6, much padding")]


def tf32(x):
    """x rounded to 11 bits, ties away from zero; what the tensor core reads."""
    bits = np.float32(x).view(np.uint32) + np.uint32(0x1000)
    return (bits & np.uint32(0xffffe000)).view(np.float32)


def correlate(x, W, pad):
    """z[n, i, j, f] = sum of x[n, i + u - ph, j + v - pw, c] W[f, c, u, v]."""
    N, H, width, C = x.shape
    F, _, kh, kw = W.shape
    ph, pw = pad
    padded = np.zeros((N, H + 2 * ph, width + 2 * pw, C))
    padded[:, ph:ph + H, pw:pw + width] = x
    z = np.zeros((N, H + 2 * ph - kh + 1, width + 2 * pw - kw + 1, F))
    for n, i, j in np.ndindex(z.shape[:3]):
        window = padded[n, i:i + kh, j:j + kw]
        z[n, i, j] = np.tensordot(window, W.astype(float), ((0, 1, 2), (2, 3, 1)))
    return z


def correlate_backward(dz, W, pad, shape):
    """dx[n, i + u - ph, j + v - pw, c] = sum of dz[n, i, j, f] W[f, c, u, v]."""
    (ph, pw), (N, H, width, C), (kh, kw) = pad, shape, W.shape[2:]
    padded = np.zeros((N, H + 2 * ph, width + 2 * pw, C))
    for n, i, j in np.ndindex(dz.shape[:3]):
        padded[n, i:i + kh, j:j + kw] += np.tensordot(dz[n, i, j], W, (0, 0)
                                                      ).transpose(1, 2, 0)
    return padded[:, ph:ph + H, pw:pw + width]


def pooled(z):
    """The maxima of 2x2 windows, and which of the four is the first of them."""
    N, H, W, F = z.shape
    windows = (z[:, :H // 2 * 2, :W // 2 * 2].reshape(N, H // 2, 2, W // 2, 2, F)
               .transpose(0, 1, 3, 5, 2, 4).reshape(N, H // 2, W // 2, F, 4))
    return windows.max(-1), windows.argmax(-1)


def unpooled(dout, codes, shape, pool):
    """dout where the codes say, in zeros of the shape (N, H, W, F)."""
    step, dz = 2 if pool else 1, np.zeros(shape)
    for n, i, j, f in np.ndindex(dout.shape):
        e = codes[n, i, j, f]
        if e < 4:
            dz[n, step * i + e // 2, step * j + e % 2, f] = dout[n, i, j, f]
    return dz


def out_shape(x_shape, F, filter_size, pad, pool):
    """Of what comes out of a layer, (N, Ho, Wo, F); and before pooling."""
    sizes = [n + 2 * p - k + 1 for n, p, k in zip(x_shape[1:3], pad, filter_size)]
    return ((x_shape[0], *(n // (1 + pool) for n in sizes), F), (x_shape[0], *sizes, F))


def pack(W, device, flip=False):
    W = to_device(W, device)
    packed, transposed = (np.full_like(W, np.nan, shape=W.size) for _ in range(2))
    fused_conv.pack_filters(W, packed, transposed, flip=flip)
    return packed, transposed


def forward(x, W, b, device, *, pad, pool, precision, relu=True, keep=None, scale=1.0,
            flip=False, codes=True):
    """out and codes, on the CPU again."""
    shape, _ = out_shape(x.shape, len(W), W.shape[2:], pad, pool)
    out = to_device(np.full(shape, 99, np.float32), device)
    codes = to_device(np.full(shape, 99, np.uint8), device) if codes else None
    b, keep = (None if one is None else to_device(one, device) for one in (b, keep))
    fused_conv.forward(to_device(x, device), pack(W, device, flip)[0], b, out, codes,
                       filter_size=W.shape[2:], pad=pad, relu=relu, pool=pool,
                       keep=keep, scale=scale, precision=precision)
    return to_host(out), None if codes is None else to_host(codes)


def input_gradient(dout, codes, W, x_shape, device, *, pad, pool, precision, scale=1.0,
                   flip=False):
    dx = to_device(np.full(x_shape, np.nan, np.float32), device)
    codes = None if codes is None else to_device(codes, device)
    fused_conv.input_gradient(
        to_device(dout, device), codes, pack(W, device, flip)[1], dx,
        filter_size=W.shape[2:], pad=pad, pool=pool, scale=scale, precision=precision)
    return to_host(dx)


def drawn(x_shape, F, filter_size, pad, pool, whole=False):
    """x, W, b, keep, dout, codes; of small whole numbers, or normal."""
    rng = np.random.default_rng(0)
    shape, _ = out_shape(x_shape, F, filter_size, pad, pool)

    def numbers(*size):
        return (rng.integers(-2, 3, size) if whole else rng.normal(size=size)
                ).astype(np.float32)

    return (numbers(*x_shape), numbers(F, x_shape[3], *filter_size), numbers(F),
            rng.random((shape[0], F, *shape[1:3])) < 0.75, numbers(*shape),
            rng.choice(np.uint8([0, 1, 2, 3, 4] if pool else [0, 4]), shape))


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


# --- values -----------------------------------------------------------------

@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("x_shape, F, filter_size, pad, pool", LAYERS)
def test_whole_numbers_come_out_exactly(x_shape, F, filter_size, pad, pool, precision,
                                        device):
    x, W, b, keep, dout, codes = drawn(x_shape, F, filter_size, pad, pool, whole=True)
    z = correlate(x, W, pad)
    best, place = pooled(z) if pool else (z, np.zeros(z.shape))
    best += b
    mask = keep.transpose(0, 2, 3, 1)
    expected = np.where(mask, 2 * np.maximum(best, 0), 0)
    options = dict(pad=pad, pool=pool, precision=precision)
    with schedule(races=True):
        out, found = forward(x, W, b, device, keep=keep, scale=2.0, **options)
        dx = input_gradient(dout, codes, W, x.shape, device, scale=2.0, **options)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(found, np.where(mask & (best > 0), place, 4))
    dz = 2 * unpooled(dout, codes, z.shape, pool)
    np.testing.assert_array_equal(dx, correlate_backward(dz, W, pad, x.shape))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("x_shape, F, filter_size, pad, pool", LAYERS)
def test_rounding_is_what_the_precision_says(x_shape, F, filter_size, pad, pool,
                                             precision, device):
    x, W, b, _, dout, codes = drawn(x_shape, F, filter_size, pad, pool)
    options = dict(pad=pad, pool=pool, precision=precision)
    out, _ = forward(x, W, b, device, relu=False, **options)
    dx = input_gradient(dout, codes, W, x.shape, device, **options)

    def exact(rounded):
        z = correlate(rounded(x), rounded(W), pad)
        dz = unpooled(rounded(dout), codes, z.shape, pool)
        return ((pooled(z)[0] if pool else z) + b,
                correlate_backward(dz, rounded(W).astype(float), pad, x.shape))

    for found, expected, plain in zip((out, dx), exact(
            tf32 if precision == "tf32" else np.float32), exact(np.float32)):
        assert relative(found, expected) <= 2e-6
        assert relative(found, plain) <= (1e-3 if precision == "tf32" else 2e-6)


def small(whole=True):
    """A layer whose tiles hold three images, as (x, W, b, keep, dout, codes)."""
    return drawn((3, 9, 11, 8), 8, (3, 3), (1, 1), True, whole)


SMALL = {"pad": (1, 1), "pool": True, "precision": "tf32"}


def test_without_relu_bias_mask_and_codes(device):
    x, W, _, _, _, _ = small()
    best, place = pooled(correlate(x, W, (1, 1)))
    out, codes = forward(x, W, None, device, relu=False, **SMALL)
    np.testing.assert_array_equal(out, best)
    np.testing.assert_array_equal(codes, place)
    out, _ = forward(x, W, None, device, codes=False, scale=5.0, **SMALL)
    np.testing.assert_array_equal(out, np.maximum(best, 0))


def test_the_gradient_of_a_linear_layer_needs_no_codes(device):
    x_shape, F, filter_size, pad, pool = LAYERS[2].values
    x, W, _, _, dout, _ = drawn(x_shape, F, filter_size, pad, pool, whole=True)
    dx = input_gradient(dout, None, W, x.shape, device, pad=pad, pool=False,
                        precision="tf32")
    np.testing.assert_array_equal(dx, correlate_backward(dout, W, pad, x.shape))


def test_turned_filters(device):
    x, W, b, _, dout, codes = small()
    turned = np.ascontiguousarray(W[:, :, ::-1, ::-1])
    for flipped, plain in zip(
            (*forward(x, W, b, device, flip=True, **SMALL),
             input_gradient(dout, codes, W, x.shape, device, flip=True, **SMALL)),
            (*forward(x, turned, b, device, **SMALL),
             input_gradient(dout, codes, turned, x.shape, device, **SMALL))):
        np.testing.assert_array_equal(flipped, plain)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_order_of_threads_changes_no_bit(precision, device):
    x, W, b, _, dout, codes = small(whole=False)
    options = {**SMALL, "precision": precision}
    found = []
    for order in ("forward", "reverse", "fair", 7):
        with schedule(order):
            found.append((*forward(x, W, b, device, **options),
                          input_gradient(dout, codes, W, x.shape, device, **options)))
    for other in found[1:]:
        for one, same in zip(other, found[0]):
            np.testing.assert_array_equal(one, same)


def test_the_first_of_equals_is_the_maximum(device):
    x, W, b = np.ones((1, 8, 8, 8)), np.ones((8, 8, 1, 1)), np.zeros(8)
    _, codes = forward(*map(np.float32, (x, W, b)), device, pad=(0, 0), pool=True,
                       precision="fp32")
    assert not codes.any()


# --- NaN --------------------------------------------------------------------

@pytest.mark.parametrize("precision", PRECISIONS)
def test_nan_goes_where_its_pixel_goes(precision, device):
    x, W, b, keep, _, _ = small()
    x[1, 4, 6, 3] = np.nan
    expected = np.isnan(correlate(x, W, (1, 1)))[:, :8, :10].reshape(3, 4, 2, 5, 2, 8)
    options = {**SMALL, "precision": precision}
    out, codes = forward(x, W, b, device, keep=keep, **options)
    np.testing.assert_array_equal(np.isnan(out), expected.any((2, 4)))
    assert np.isnan(out).sum() == 4 * 8
    first = expected.transpose(0, 1, 3, 5, 2, 4).reshape(*codes.shape, 4).argmax(-1)
    seen = np.isnan(out) & keep.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(codes[seen], first[seen])


def test_nan_goes_back_where_its_code_says(device):
    _, W, _, _, dout, codes = small()
    dout[1, 2, 3, 5], codes[1, 2, 3, 5] = np.nan, 2    # row 5, column 6
    dout[2, 2, 3, 5], codes[2, 2, 3, 5] = np.nan, 4    # nowhere
    dx = input_gradient(dout, codes, W, (3, 9, 11, 8), device, **SMALL)
    where = np.argwhere(np.isnan(dx).any(-1))
    assert {tuple(one) for one in where} == {
        (1, i, j) for i in (4, 5, 6) for j in (5, 6, 7)}


# --- what is possible -------------------------------------------------------

@pytest.mark.parametrize("expected, arguments", [
    (True, (8, 8, 1, 1, (0, 0))), (True, (256, 40, 7, 7, (6, 6))),
    (False, (1, 8, 3, 3, (0, 0))), (False, (8, 12, 3, 3, (0, 0))),
    (False, (0, 8, 3, 3, (0, 0))), (False, (8, 8, 8, 3, (0, 0))),
    (False, (8, 8, 3, 3, (3, 0))), (False, (8, 8, 3, 3, (0, 3)))])
def test_supported(expected, arguments, device):
    assert fused_conv.supported(*arguments) is expected


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("H, W", [(7, 7), (7, 300), (300, 7), (46, 46)])
@pytest.mark.parametrize("F", [8, 32])
@pytest.mark.parametrize("memory", [99 * 1024, 227 * 1024])
def test_there_are_tiles_for_all_sizes(memory, F, H, W, k, precision, device):
    for p, pool in ((0, False), (k - 1, False), (k // 2, True)):
        pad = p, p
        shape, _ = out_shape((2, H, W, F), F, (k, k), pad, pool)
        _, *both = fused_conv.compiled_for((2, H, W, F), shape, filter_size=(k, k),
                                           pad=pad, pool=pool, precision=precision,
                                           memory=memory)
        for tiles in both:
            assert tiles.shared <= memory and tiles.threads <= 256


def test_the_file_compiles_alone_for_the_layer_it_names(device):
    macros, _, _ = fused_conv.compiled_for(
        (1, 46, 46, 32), (1, 21, 21, 32), filter_size=(5, 5), pad=(0, 0), pool=True,
        precision="tf32")
    text = loader.source_of("fused_conv.cu")
    assert dict(re.findall(r"#define (\w+) +(\d+)", text)) == {
        name: str(value) for name, value in macros.items()}


def test_what_does_not_fit_is_refused(device):
    x, W, b, _, dout, codes = small()
    call = functools.partial(forward, x, W, b, device)
    with pytest.raises(SettingError, match="'tf32' or 'fp32', got 'half'"):
        call(**{**SMALL, "precision": "half"})
    with pytest.raises(ShapeError, match="larger than the padding"):
        call(**{**SMALL, "pad": (3, 0)})
    with pytest.raises(SettingError, match="codes with pool"):
        input_gradient(dout, None, W, x.shape, device, **SMALL)
    with pytest.raises(ShapeError, match=r"\(3, 4, 5, 8\).*got \(3, 4, 4, 8\)"):
        input_gradient(np.ascontiguousarray(dout[:, :, :4]), codes, W, x.shape, device,
                       **SMALL)
    with pytest.raises(KernelError, match="expected b of FILTERS = 8"):
        forward(x, W, b[:4], device, **SMALL)
    with pytest.raises(KernelError, match="expected x of float32"):
        forward(x.astype(float), W, b, device, **SMALL)
