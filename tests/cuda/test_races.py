"""Every kernel of the library: no races, one result in every order, no idle barrier."""

import re
import shutil

import numpy as np
import pytest

from minifer.cuda import (activation, conv, depthwise, dropout, filter_gradient,
                          first_conv, fused_conv, gemm, head, image_norm, loader, loss,
                          matmul, norm, pool, reduce, unfold, update, wide_conv,
                          wide_gemm)
from minifer.cuda.emulator import schedule
from minifer.device import arrays
from minifer.device.graphs import capture
from minifer.errors import KernelError
from minifer.ops.unfold import Geometry
from minifer.random import Stream

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

ORDERS = ["forward", "reverse", "fair", 1, 2]


def device(*shape):
    """Random numbers on the emulator, the same at each call."""
    numbers = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    return arrays.to_device(numbers, "emu")


def run_pool(mode):
    sizes = (3, 2), (2, 1), (1, 0), (3, 4)
    y, winner = pool.pool(device(2, 3, 6, 5), *sizes, mode)
    return y, pool.pool_backward(y, winner, (2, 3, 6, 5), *sizes, mode)


def run_conv():
    sizes = (3, 2), (2, 1), (1, 0), (3, 4)
    columns = conv.im2col(device(2, 3, 6, 5), *sizes)
    return columns, conv.col2im(columns, (2, 3, 6, 5), *sizes)


GEOMETRY = Geometry((3, 2), (2, 1), (1, 0), (1, 2))


def run_unfold():
    x = device(2, 3, 6, 5)
    columns = unfold.unfold(x, GEOMETRY, (3, 3))
    unfold.fold(columns, GEOMETRY, x)
    return columns, x


def run_depthwise():
    x, W = device(5, 2, 12, 11), device(4, 1, 3, 2)
    y = depthwise.forward(x, W, GEOMETRY, (6, 9))
    return (y, depthwise.input_gradient(y, W, GEOMETRY, x.shape),
            depthwise.filter_gradient(y, x, W.shape, GEOMETRY))


def run_norm():
    *y, cache = norm.batch_norm_forward(device(7, 3, 9, 9), device(3), device(3),
                                        (0, 2, 3))
    return *y, *norm.batch_norm_backward(y[0], cache)


def run_image_norm():
    """Two pieces of pixels, windows that hang over, two threads for the channels."""
    z, gamma, dy = device(5, 9, 8, 8), device(8), device(5, 4, 4, 8)
    mean, inv_std, sums, dgamma = device(8), device(8), device(2, 8), device(8)
    y, dz, work = device(5, 4, 4, 8), device(5, 9, 8, 8), device(10000)
    image_norm.statistics(z, mean, inv_std, work, epsilon=1e-4, step=2)
    layer = image_norm.Layer(mean, inv_std, gamma, relu=True, pool=True)
    image_norm.forward(z, layer, y)
    image_norm.gradients(dy, z, layer, sums, dgamma, None, work)
    image_norm.input_gradient(dy, z, layer, sums, dz)
    return mean, inv_std, y, sums, dgamma, dz


def run_loss():
    classes = arrays.to_device(np.arange(9) % 7, "emu")
    losses, cache = loss.softmax_crossentropy_forward(device(9, 7), classes)
    return losses, loss.softmax_crossentropy_backward(losses, cache)


def run_dropout():
    y, cache = dropout.dropout_drawn_forward(device(5000), Stream(3), 0.5)
    mask = dropout.keep_mask(y, 5, 4999, 9999, (1, 2), 3)
    return y, dropout.dropout_backward(y, cache), mask


def run_bias():
    y, cache = activation.bias_rectify_forward(device(5, 3, 30, 30), device(3))
    return y, *activation.bias_rectify_backward(y, cache)


def run_matmul():
    A, B = device(70, 40), device(40, 65)
    graph = capture("emu", lambda: matmul.matmul(A, B))  # else it is NumPy's product
    graph.launch()
    return [graph.result]


def run_update():
    p, g = device(300), device(300)
    fine, skipped = (arrays.to_device(np.ones(n, np.int32), "emu") for n in (2, 1))
    numbers, squares = (arrays.to_device(np.ones(n), "emu") for n in (8, 64))
    update.limit_norm(g, squares, fine, numbers)
    update.step("sgd", p, g, [], fine, numbers)
    g[::2] = np.nan
    update.note_finite(g, fine)
    update.note_step(None, fine, skipped)
    update.step("sgd", p, g, [], fine, numbers)
    return p, g, fine, skipped


def run_gemm():
    x, dz, W, dW = device(40, 20), device(40, 8), device(20, 8), device(20, 8)
    y, db, work = device(40, 8), device(8), device(gemm.workspace(40, 20, 8))
    numbers = arrays.to_device(np.ones(8), "emu")
    fine = arrays.to_device(np.ones(2, np.int32), "emu")
    gemm.forward(x, W, None, y, work, precision="tf32")
    gemm.bias_gradient(dz, db)
    gemm.weight_gradient_update(x, dz, W, [dW], fine, numbers, "momentum",
                                precision="tf32")
    return y, db, W, dW, fine


def run_head():
    h, W, dW, work = device(9, 30), device(30, 7), device(30, 7), device(1000)
    logits, losses = device(9, 7), device(9)
    targets = arrays.to_device(np.arange(9, dtype=np.int32) % 7, "emu")
    head.head(h, W, None, targets, None, logits, losses, None, None, dW, None, work)
    return logits, losses, dW


def new(*shape, dtype=np.float32):
    return arrays.to_device(np.zeros(shape, dtype), "emu")


def run_fused_conv():
    """Two octets of channels each way, in images that share tiles."""
    x, W, b = device(3, 7, 8, 16), device(16, 16, 3, 2), device(16)
    out, codes = new(3, 2, 3, 16), new(3, 2, 3, 16, dtype=np.uint8)
    packed, turned, dx = new(W.size), new(W.size), new(*x.shape)
    sizes = {"filter_size": (3, 2), "pad": (0, 0), "pool": True, "precision": "tf32"}
    fused_conv.pack_filters(W, packed, turned, flip=False)
    fused_conv.forward(x, packed, b, out, codes, relu=True, **sizes)
    fused_conv.input_gradient(out, codes, turned, dx, **sizes)
    return out, codes, dx


def run_wide_conv():
    x, W, b = device(2, 4, 6, 32), device(32, 32, 3, 3), device(32)
    out, codes, packed = new(2, 1, 2, 32), new(2, 1, 2, 32, dtype=np.uint8), new(W.size)
    macros, *_ = fused_conv.compiled_for(x.shape, out.shape, filter_size=(3, 3),
                                         pad=(0, 0), pool=True, precision="tf32")
    fused_conv.pack_filters(W, packed, None, flip=False)
    wide_conv.forward(x, packed, b, out, codes, macros, pool=True, relu=True, keep=None,
                      scale=1)
    return out, codes


def run_wide_gemm():
    """More steps than stages."""
    x, dz, W, dW, dx = (device(*shape) for shape in (
        (130, 160), (130, 36), (160, 36), (160, 36), (130, 160)))
    work = new(130, 36)
    wide_gemm.forward(x, W, work, 1, 32)
    wide_gemm.input_gradient(dz, W, dx, 32)
    wide_gemm.weight_gradient(x, dz, dW, 32)
    return work, dx, dW


def run_filter_gradient():
    """More bands than blocks; then no band at all, when only the sums are written."""
    results = []
    for N in (3, 0):
        x, dout = device(N, 6, 7, 8), device(N, 4, 5, 8)
        dW, db = new(8, 8, 3, 3), new(8)
        work = new(filter_gradient.workspace(N, 6, 7, 8, 8, (3, 3)))
        filter_gradient.filter_gradient(x, dout, None, dW, db, work, pad=(0, 0),
                                        pool=False, flip=True, precision="fp32")
        results += [dW, db]
    return results


def run_first_conv():
    x, W, b = device(3, 9, 10, 2), device(16, 2, 3, 3), device(16)
    out, codes = new(3, 4, 5, 16), new(3, 4, 5, 16, dtype=np.uint8)
    dW, db = new(*W.shape), new(16)
    work = new(first_conv.workspace(3, 9, 10, 2, 16, (3, 3)))
    sizes = {"pad": (1, 1), "flip": True, "pool": True}
    first_conv.forward(x, W, b, out, codes, relu=True, **sizes)
    first_conv.filter_gradient(x, out, codes, dW, db, work, **sizes)
    return out, codes, dW, db


def run_mask():
    mask = new(5000, dtype=np.uint8)
    dropout.draw_mask(mask, 9999, (1, 2), arrays.to_device(np.ones(1), "emu"), 0)
    return [mask]


#: What runs the kernels of a file, or those that include it.
LIBRARY = {
    "matmul.cu": run_matmul, "unfold.cu": run_unfold, "depthwise.cu": run_depthwise,
    "conv.cu": run_conv, "norm.cu": run_norm, "loss.cu": run_loss,
    "activation.cu": run_bias, "update.cu": run_update, "head.cu": run_head,
    "dropout.cu": lambda: [*run_dropout(), *run_mask()],
    "gemm.cu": run_gemm, "gemm.cuh": run_gemm, "gemm_update.cu": run_gemm,
    "fused_conv.cu": run_fused_conv, "fused_conv.cuh": run_fused_conv,
    "filter_gradient.cu": run_filter_gradient, "first_conv.cu": run_first_conv,
    "wide_conv.cu": run_wide_conv, "wide_gemm.cu": run_wide_gemm,
    "partial.cuh": lambda: [*run_filter_gradient(), *run_first_conv()],
    "pool.cu": lambda: [*run_pool("max"), *run_pool("average_inc_pad")],
    "image_norm.cu": run_image_norm, "image_norm.cuh": run_image_norm,
    "reduce.cu": lambda: [reduce.sum_over(device(40, 3, 9, 9), axes)
                          for axes in ((0, 2, 3), (0,), (1, 2, 3), (0, 1, 2, 3))]}


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """So that each has more than one piece of work."""
    for module in filter_gradient, first_conv:
        monkeypatch.setattr(module, "BLOCKS", 2)


def bits_of(results):
    return [arrays.to_host(array).tobytes() for array in results]


@pytest.mark.parametrize("name", [name for name in LIBRARY if name.endswith(".cu")])
def test_the_library_gives_the_same_bits_in_every_order(name):
    with schedule("forward"):
        expected = bits_of(LIBRARY[name]())
    for order in ORDERS:
        with schedule(order, races=True):
            assert bits_of(LIBRARY[name]()) == expected, order


BARRIERS = [(path.name, match.start()) for path in sorted(loader.FOLDER.glob("*.cu*"))
            for match in re.finditer(r"__syncthreads\(\);", path.read_text())]


@pytest.fixture
def other_kernels(tmp_path, monkeypatch):
    """A copy of the library's kernels, which are used while this test runs."""
    caches = (loader.source_of, loader.signatures, loader._kernel, loader._module)
    for path in loader.FOLDER.glob("*.cu*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("file, place", BARRIERS)
def test_each_barrier_of_the_library_is_missed(file, place, other_kernels):
    """Take one away: the race check tells."""
    text = (other_kernels / file).read_text()
    text = text[:place] + text[place:].replace("__syncthreads();", "", 1)
    (other_kernels / file).write_text(text)
    with schedule("forward", races=True), pytest.raises(KernelError, match="race: "):
        for call in [LIBRARY[file]] if file in LIBRARY else LIBRARY.values():
            call()
