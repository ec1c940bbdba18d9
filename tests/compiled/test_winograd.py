"""Winograd's algebra is exact; what float32 loses in it is known and small.

The bound on float32 is a norm, ``|found - exact| < 1e-5 |exact|``: single outputs
near zero may lose more, as in every sum. See docs/how-it-is-fast.md.
"""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import normal
from minifer.compiled.cpu.geometry import Geometry
from minifer.compiled.cpu.program import Program
from minifer.compiled.cpu.sums import ChunkSums
from minifer.compiled.cpu.winograd import WinogradFilters, WinogradKernel
from minifer.ops.winograd import filter_gradient, filter_transform, matrices

# (m, r): outputs of a tile, taps
TILES = [(3, 2), (4, 2), (5, 2), (7, 2), (2, 3), (3, 3), (4, 3), (6, 3), (2, 5), (4, 5)]


# --- one dimension, exact ----------------------------------------------------

@pytest.mark.parametrize("m, r", TILES)
def test_a_tile_is_a_correlation(m, r):
    A, G, B = matrices(m, r)
    n = m + r - 1
    assert (A.shape, G.shape, B.shape) == ((n, m), (n, r), (n, n))
    for seed in range(20):
        d, g = normal(n, seed), normal(r, 100 + seed)
        y, expected = A.T @ ((G @ g) * (B.T @ d)), np.correlate(d, g, "valid")
        np.testing.assert_allclose(y, expected, rtol=1e-12,
                                   atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("m, r", TILES)
def test_the_identity_holds_for_every_tap_and_place(m, r):
    """y is bilinear, so unit vectors prove it: y_i = 1 exactly where l = i + k."""
    A, G, B = matrices(m, r)
    y = np.einsum("ji,jk,lj->ikl", A, G, B)
    i, k, last = np.ogrid[:m, :r, :m + r - 1]
    np.testing.assert_allclose(y, last == i + k, rtol=0, atol=1e-14)


def test_the_matrices_of_lavin_and_gray():
    """F(2, 3) as printed in their paper, but for the signs of two points."""
    A, G, B = matrices(2, 3)
    signs = np.diag(np.sign(G.sum(axis=1)))
    np.testing.assert_array_equal(
        signs @ G, [[1, 0, 0], [.5, .5, .5], [.5, -.5, .5], [0, 0, 1]])
    np.testing.assert_array_equal(np.abs(A.T), [[1, 1, 1, 0], [0, 1, 1, 1]])
    np.testing.assert_array_equal(
        np.abs(B.T), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])


# --- filters -----------------------------------------------------------------

@pytest.mark.parametrize("m, r", TILES)
def test_the_filter_gradient_is_the_adjoint_of_the_transform(m, r):
    """<U(W), X> = <W, gradient(X)> for any W and X."""
    n = m + r - 1
    W, X = normal((3, 2, r, r), 1), normal((n * n, 2, 3), 2)
    forward = np.sum(filter_transform(W, m) * X)
    back = np.sum(W * filter_gradient(X, m, r))
    np.testing.assert_allclose(forward, back, rtol=1e-12)


def test_the_filter_transform_keeps_filter_and_channel_apart():
    W, (_, G, _) = normal((3, 2, 5, 5)), matrices(4, 5)
    U = filter_transform(W, 4)
    assert U.shape == (64, 2, 3)
    np.testing.assert_allclose(U[:, 1, 2].reshape(8, 8), G @ W[2, 1] @ G.T, rtol=1e-12)


# --- the exact result in two dimensions ---------------------------------------

def correlate(x, W):
    """Images (N, C, H, W) with filters (F, C, r, r), a filter element at a time."""
    Ho, Wo = (n - W.shape[2] + 1 for n in x.shape[2:])
    return sum(np.einsum("fc,nchw->nfhw", W[:, :, u, v],
                         x[:, :, u:u + Ho, v:v + Wo], optimize=True)
               for u, v in np.ndindex(W.shape[2:]))


def correlate_backward(dy, x, W):
    """dx and dW of :func:`correlate`."""
    Ho, Wo = dy.shape[2:]
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    for u, v in np.ndindex(W.shape[2:]):
        window = np.s_[:, :, u:u + Ho, v:v + Wo]
        dx[window] += np.einsum("fc,nfhw->nchw", W[:, :, u, v], dy, optimize=True)
        dW[:, :, u, v] = np.einsum("nfhw,nchw->fc", dy, x[window], optimize=True)
    return dx, dW


def test_the_exact_result_is_that_of_the_loops():
    x, W = normal((2, 3, 6, 7), 1), normal((4, 3, 3, 3), 2)
    y = correlate(x, W)
    np.testing.assert_allclose(y, reference.conv2d(x, W, flip_filters=False),
                               rtol=1e-12)
    dy = normal(y.shape, 3)
    dx, dW = correlate_backward(dy, x, W)  # <dy, y> is linear in x, and in W
    np.testing.assert_allclose(np.sum(dx * x), np.sum(dy * y), rtol=1e-12)
    np.testing.assert_allclose(np.sum(dW * W), np.sum(dy * y), rtol=1e-12)


# --- the kernel in float32 ----------------------------------------------------

#: C, H, W, F, r, padding of the convolutions that the library was made for.
LAYERS = {
    "ck96 conv2": (32, 46, 46, 32, 5, 0),
    "fer48 conv2": (32, 46, 46, 64, 3, 0), "fer48 conv3": (64, 22, 22, 128, 3, 0),
    "fer48 conv4": (128, 10, 10, 128, 3, 0),
    "48 same, 32 to 64": (32, 48, 48, 64, 3, 1),
    "six conv2": (32, 48, 48, 32, 3, 1), "six conv3": (32, 24, 24, 64, 3, 1),
    "six conv4": (64, 24, 24, 64, 3, 1), "six conv5": (64, 12, 12, 128, 3, 1),
    "six conv6": (128, 12, 12, 128, 3, 1),
    "96 conv2": (32, 96, 96, 64, 3, 1), "96 conv4": (128, 48, 48, 256, 3, 1),
    "96 conv5": (256, 24, 24, 512, 3, 1), "96 conv6": (512, 24, 24, 256, 3, 1),
    "96 conv7": (256, 12, 12, 128, 3, 1),
    "odd": (64, 23, 23, 128, 3, 0), "oblong": (8, 9, 14, 9, 5, 2),
    "one tile": (8, 4, 4, 8, 3, 1)}


def run_kernel(x, W, dy, pad, m):
    """y, dx and dW of a WinogradKernel, all images in one group."""
    (N, C, H, Wd), (F, _, r, _) = x.shape, W.shape
    g = Geometry(H, Wd, C, F, r, r, 1, 1, pad, pad, False, m)
    padded = np.zeros((N, *g.padded, C), np.float32)
    padded[:, pad:pad + H, pad:pad + Wd] = x.transpose(0, 2, 3, 1)
    filters, do = WinogradFilters(g), Program()
    filters.set(W, np.zeros(F, np.float32))
    kernel = WinogradKernel(g, N, training=True)
    tiles = kernel.forward(do, padded, filters)  # (m, m, N, th, tw, F)
    do.run()
    th, tw = g.tiles
    image = tiles.transpose(2, 5, 3, 0, 4, 1).reshape(N, F, th * m, tw * m)
    y = image[:, :, :g.conv_size[0], :g.conv_size[1]].copy()

    image = np.zeros((N, F, th * m, tw * m), np.float32)
    image[:, :, :dy.shape[2], :dy.shape[3]] = dy
    dY, do = kernel.gradient_buffer(N), Program()
    dY[...] = image.reshape(N, F, th, m, tw, m).transpose(3, 5, 0, 2, 4, 1)
    sums = ChunkSums(filters.gradient_shape, 1, N)
    dx = kernel.backward(do, padded, dY, filters, sums.of(slice(0, N)), need_dx=True)
    do.run()
    dx = dx[:, pad:pad + H, pad:pad + Wd].transpose(0, 3, 1, 2)
    dW = np.empty_like(W)
    filters.gradient(sums.of(slice(0, N)).dU, dW)
    return y, dx, dW


def relative_error(found, exact):
    assert found.shape == exact.shape and found.dtype == np.float32
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def check_kernel(C, H, Wd, F, r, pad, m):
    x = normal((2, C, H, Wd), 1).astype(np.float32)
    W = (normal((F, C, r, r), 2) / np.sqrt(C * r * r)).astype(np.float32)
    wide = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    y = correlate(wide, W.astype(np.float64))
    dy = normal(y.shape, 3).astype(np.float32)
    dx, dW = correlate_backward(dy.astype(np.float64), wide, W.astype(np.float64))
    dx = dx[:, :, pad:pad + H, pad:pad + Wd]
    for name, found, exact in zip(("y", "dx", "dW"), run_kernel(x, W, dy, pad, m),
                                  (y, dx, dW)):
        error = relative_error(found, exact)
        assert error < 1e-5, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_float32_is_close_at_the_layers_we_have(layer):
    check_kernel(*layer, m=4)
    if layer[4] == 3:
        check_kernel(*layer, m=6)


@pytest.mark.parametrize("m", [3, 4, 5, 7])
def test_filters_of_two_by_two(m):
    """The phases of a transposed convolution with filters of 4 by 4 and strides of 2.
    """
    check_kernel(64, 24, 24, 128, 2, 1, m)


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("layer", ["ck96 conv2", "six conv6", "odd", "oblong"])
def test_small_tiles_as_well(layer, m):
    layer = LAYERS[layer]
    check_kernel(*layer, m=m if layer[4] == 3 else 2)


@pytest.mark.parametrize("m", [2, 3, 4, 6])
def test_tiles_and_images_are_convolved_alike(m):
    """Tiles hold what they read, and hand to their neighbours what is theirs."""
    g = Geometry(12, 24, 8, 9, 3, 3, 1, 1, 1, 1, False, m)
    (th, tw), x = g.tiles, normal((2, 12, 24, 8), 1).astype(np.float32)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.empty((2, m + 2, m + 2, th, tw, 8), np.float32)
    for i, j in np.ndindex(m + 2, m + 2):
        windows[:, i, j] = padded[:, i:i + m * th:m, j:j + m * tw:m]
    dY = normal((m, m, 2, th, tw, 9), 2).astype(np.float32)
    filters, found = WinogradFilters(g), []
    filters.set(normal((9, 8, 3, 3)).astype(np.float32), np.zeros(9, np.float32))
    for images in padded, windows:
        kernel, do = WinogradKernel(g, 2, training=True), Program()
        sums = ChunkSums(filters.gradient_shape, 1, 2).of(slice(0, 2))
        y = kernel.forward(do, images, filters)
        do.run()
        y, do = y.copy(), Program()
        dx = kernel.backward(do, images, dY.copy(), filters, sums, True)
        do.run()
        found.append((y, dx.copy(), sums.dU))
    (y, dx, dU), (tiled, dtiles, dsums) = found
    dx = dx[:, 1:-1, 1:-1].reshape(2, th, m, tw, m, 8).transpose(0, 2, 4, 1, 3, 5)
    for one, other in (y, tiled), (dx, dtiles), (dU, dsums):
        assert np.linalg.norm(one - other) < 3e-6 * np.linalg.norm(one)


def test_gradients_of_several_groups_add_up():
    """Sums gather over the groups: one image twice, or two at once."""
    g = Geometry(9, 8, 8, 8, 3, 3, 1, 1, 0, 0, False, 4)
    x = normal((2, *g.padded, 8), 1).astype(np.float32)
    dY = normal((4, 4, 2, *g.tiles, 8), 2).astype(np.float32)
    filters, one, two = (WinogradFilters(g), WinogradKernel(g, 1, training=True),
                         WinogradKernel(g, 2, training=True))
    filters.set(normal((8, 8, 3, 3)).astype(np.float32), np.zeros(8, np.float32))
    found = []
    for kernel, groups in (one, [slice(0, 1), slice(1, 2)]), (two, [slice(0, 2)]):
        chunks = ChunkSums(filters.gradient_shape, 1, 2)
        for images in groups:
            do, d, sums = Program(), dY[:, :, images].copy(), chunks.of(images)
            assert kernel.backward(do, x[images], d, filters, sums, False) is None
            do.run()
        found.append(chunks.of(slice(0, 2)).dU)
    apart, at_once = found
    np.testing.assert_allclose(apart, at_once, rtol=0,
                               atol=1e-6 * np.abs(at_once).max())
