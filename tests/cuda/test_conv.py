"""conv2d on a device against loops and numerical gradients, kernel against kernel."""

import numpy as np
import pytest

from helpers import reference
from helpers.checking import check_op, distinct, normal
from helpers.devices import DEVICES, moved, on_device
from minifer.cuda import conv
from minifer.cuda.emulator import schedule
from minifer.cuda.loader import kernel
from minifer.device.arrays import to_device, to_host
from minifer.errors import KernelError, ShapeError
from minifer.ops import conv as ops
from minifer.ops.conv import conv2d_backward, conv2d_forward
from minifer.ops.windows import pad_hw, window_count

pytestmark = pytest.mark.parametrize("device", DEVICES)

#: x (N, C, H, W), filter, stride, pad: where an index could be one off.
GEOMETRIES = [
    pytest.param((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), id="one pixel"),
    pytest.param((2, 3, 5, 7), (3, 2), (1, 1), (0, 0), id="kh≠kw, H≠W"),
    pytest.param((1, 2, 4, 5), (3, 3), (1, 1), (1, 0), id="N=1, pad rows only"),
    pytest.param((2, 1, 5, 4), (2, 3), (1, 1), (0, 2), id="C=1, pad columns only"),
    pytest.param((2, 2, 3, 4), (3, 4), (1, 1), (0, 0), id="filter = image"),
    pytest.param((1, 1, 2, 2), (4, 5), (1, 1), (1, 2), id="filter > image"),
    pytest.param((1, 2, 3, 2), (2, 2), (1, 1), (3, 3), id="windows of padding"),
    pytest.param((2, 2, 8, 9), (3, 2), (2, 3), (0, 0), id="stride not dividing"),
    pytest.param((1, 3, 7, 7), (3, 5), (2, 1), (1, 2), id="stride and pad"),
    pytest.param((1, 1, 11, 7), (2, 1), (5, 3), (1, 0), id="stride > filter"),
    pytest.param((3, 2, 13, 11), (3, 3), (1, 1), (1, 1), id="several blocks")]


def check_conv(device, x, W, b, **options):
    check_op(*on_device(conv2d_forward, conv2d_backward, device), [x, W, b],
             reference.conv2d, **options)


def windows_of(x_shape, size, stride, pad):
    """What im2col and col2im take behind their array."""
    out_size = tuple(window_count(*axis)
                     for axis in zip(x_shape[2:], size, stride, pad))
    return size, stride, pad, out_size


# --- the op -----------------------------------------------------------------

@pytest.mark.parametrize("x_shape, size, stride, pad", GEOMETRIES)
def test_conv2d(x_shape, size, stride, pad, device):
    W = normal((3, x_shape[1], *size), 2)
    check_conv(device, normal(x_shape, 1), W, normal((3,), 3), stride=stride, pad=pad,
               flip_filters=sum(size) % 2 == 0)


@pytest.mark.parametrize("flip_filters", [True, False])
def test_filters_are_turned_or_not(flip_filters, device):
    check_conv(device, normal((1, 2, 4, 4), 1), normal((1, 2, 3, 2), 2), None,
               flip_filters=flip_filters)


def test_untied_bias(device):
    check_conv(device, normal((3, 2, 6, 5), 1), normal((2, 2, 3, 3), 2),
               normal((2, 3, 2), 3), stride=(2, 2), pad=(1, 0))


@pytest.mark.parametrize("images, parts", [(0.5, 5), (1, 5), (2, 3), (4, 2), (5, 1)])
def test_a_batch_may_be_worked_on_in_any_number_of_parts(images, parts, device,
                                                         monkeypatch):
    x, W, b = normal((5, 2, 4, 3), 1), normal((2, 2, 3, 3), 2), normal((2,), 3)
    seen, im2col = [], conv.im2col
    bytes_per_image = 2 * 3 * 3 * 4 * 3 * 8  # C kh kw Ho Wo float64
    monkeypatch.setattr(conv, "COLUMN_BYTES", int(images * bytes_per_image))
    monkeypatch.setattr(conv, "im2col",
                        lambda x, *rest: seen.append(len(x)) or im2col(x, *rest))
    forward, backward = on_device(conv2d_forward, conv2d_backward, device)
    y, cache = forward(x, W, b, pad=(1, 1))
    assert len(seen) == parts and sum(seen) == 5 and max(seen) <= max(images, 1)
    cpu_y, cpu_cache = conv2d_forward(x, W, b, pad=(1, 1))
    np.testing.assert_allclose(y, cpu_y, rtol=1e-12)
    for found, expected in zip(backward(y, cache), conv2d_backward(cpu_y, cpu_cache)):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_columns_take_a_gigabyte_at_most(device):
    x = np.empty_like(to_device(normal((1, 1, 1, 1)), device), shape=(7, 2, 30, 30))
    x = np.broadcast_to(x[:1], (100_000, 2, 30, 30))  # of the last image only
    parts = conv._chunks(x, (5, 5), (26, 26))
    per_image = 2 * 5 * 5 * 26 * 26 * 8
    assert parts[0].stop * per_image <= 2 ** 30 < (parts[0].stop + 1) * per_image


def test_views_of_device_arrays(device):
    def there(array, *axes):  # the same numbers, in another order in memory
        return to_device(array.transpose(*axes).copy(), device).transpose(*axes)

    x, W, b = normal((3, 2, 5, 4), 1), normal((3, 2, 3, 2), 2), normal((3, 3, 3), 3)
    y, cache = conv2d_forward(there(x, 1, 0, 3, 2), there(W, 0, 1, 3, 2),
                              there(b, 0, 2, 1))
    cpu_y, cpu_cache = conv2d_forward(x, W, b)
    np.testing.assert_allclose(to_host(y), cpu_y, rtol=1e-12)
    dy = normal(y.shape, 4)
    for found, expected in zip(conv2d_backward(there(dy, 3, 2, 1, 0), cache),
                               conv2d_backward(dy, cpu_cache)):
        np.testing.assert_allclose(to_host(found), expected, rtol=1e-11, atol=1e-12)


def test_need_dx_false_changes_nothing_else(device):
    forward, _ = on_device(conv2d_forward, None, device)
    x, W, b = normal((2, 2, 5, 4), 1), normal((3, 2, 2, 3), 2), normal((3,), 3)
    y, cache = forward(x, W, b)
    dy = to_device(normal(y.shape, 4), device)
    dx, dW, db = moved(conv2d_backward(dy, cache, need_dx=False), "cpu")
    assert dx is None
    _, dW_too, db_too = moved(conv2d_backward(dy, cache), "cpu")
    np.testing.assert_array_equal(dW, dW_too)
    np.testing.assert_array_equal(db, db_too)


def test_float64_weights_do_not_widen_float32_images(device):
    forward, backward = on_device(conv2d_forward, conv2d_backward, device)
    y, cache = forward(normal((2, 2, 5, 4), 1).astype(np.float32),
                       normal((3, 2, 2, 3), 2), normal((3,), 3))
    assert y.dtype == np.float32
    for gradient in backward(y, cache):
        assert gradient.dtype == np.float32


def test_an_empty_batch_has_empty_outputs(device):
    forward, backward = on_device(conv2d_forward, conv2d_backward, device)
    y, cache = forward(np.zeros((0, 2, 5, 4)), normal((3, 2, 2, 3)), normal((3,)))
    dx, dW, db = backward(y, cache)
    assert (y.shape, dx.shape) == ((0, 3, 4, 2), (0, 2, 5, 4))
    assert not dW.any() and not db.any()


def test_nan_stays_visible(device):
    x = normal((1, 1, 5, 5))
    x[0, 0, 1, 4] = np.nan
    forward, _ = on_device(conv2d_forward, None, device)
    y, _ = forward(x, normal((1, 1, 2, 2)))
    rows, cols = np.nonzero(np.isnan(y[0, 0]))
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [3, 3])


def test_runs_repeat_bit_for_bit(device):
    forward, backward = on_device(conv2d_forward, conv2d_backward, device)
    x, W, b = (normal(shape).astype(np.float32)
               for shape in [(3, 2, 13, 11), (5, 2, 3, 3), (5,)])

    def run():
        y, cache = forward(x, W, b, pad=(1, 1))
        return [array.tobytes() for array in (y, *backward(y, cache))]

    expected = run()
    for order in ("forward", "reverse", "fair", 1):  # on a GPU: four times the same
        with schedule(order, races=True):
            assert run() == expected


# --- the kernels ------------------------------------------------------------

@pytest.mark.parametrize("x_shape, size, stride, pad", GEOMETRIES)
def test_im2col_is_the_cpus_and_the_naive_one(x_shape, size, stride, pad, device):
    x, windows = distinct(x_shape), windows_of(x_shape, size, stride, pad)
    on = to_device(x, device)
    columns = conv.im2col(on, *windows)
    expected = ops.im2col(pad_hw(x, pad), size, stride, windows[-1])
    np.testing.assert_array_equal(
        to_host(columns), np.concatenate(list(expected), axis=1))
    naive = np.full_like(columns, np.nan)
    kernel("conv.cu", "im2col_naive", on)(on, naive, *x_shape, *sum(windows, ()),
                                          threads=naive.size)
    np.testing.assert_array_equal(to_host(naive), to_host(columns))


@pytest.mark.parametrize("x_shape, size, stride, pad", GEOMETRIES)
def test_col2im_is_the_transpose_and_the_naive_one(x_shape, size, stride, pad, device):
    x, windows = distinct(x_shape, 1), windows_of(x_shape, size, stride, pad)
    columns = conv.im2col(to_device(x, device), *windows)
    weights = to_device(distinct(columns.shape, 2), device)
    dx = conv.col2im(weights, x_shape, *windows)
    # <columns, weights> = <x, dx>; the numbers are few bits long, and sums exact.
    assert (to_host(columns) * to_host(weights)).sum() == (x * to_host(dx)).sum()
    weights = to_device(normal(columns.shape).astype(np.float32), device)
    dx = conv.col2im(weights, x_shape, *windows)
    naive = np.full_like(dx, np.nan)
    kernel("conv.cu", "col2im_naive", dx)(weights, naive, *x_shape, *sum(windows, ()),
                                          threads=naive.size)
    assert to_host(naive).tobytes() == to_host(dx).tobytes()


def test_indices_may_pass_32_bits(tmp_path, device):
    file = tmp_path / "taken.cu"
    file.write_text('''
        #include "common.cuh"
        #include "windows.cuh"
        extern "C" __global__ void taken(index_t* k /*[n]*/, int* left /*[n]*/,
                                         int by, index_t n)
        {
            if (GLOBAL_INDEX < n) left[GLOBAL_INDEX] = take(k[GLOBAL_INDEX], by);
        }''')
    numbers = np.array([0, 6, 7, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 8, 2 ** 45])
    k = to_device(numbers, device)
    left = np.empty_like(k, dtype=np.int32)
    kernel(str(file), "taken", k)(k, left, 7, k.size, threads=k.size)
    np.testing.assert_array_equal(to_host(k), numbers // 7)
    np.testing.assert_array_equal(to_host(left), numbers % 7)


# --- refusals ---------------------------------------------------------------

@pytest.mark.parametrize("x_shape, said", [
    ((2, 3, 5, 5), "C = 2 and at least 4x4 pixels"),
    ((2, 2, 1, 5), "C = 2 and at least 4x4 pixels"),
    ((2, 2, 5), r"x \(N, C, H, W\)")])
def test_images_that_do_not_fit_are_refused(x_shape, said, device):
    forward, _ = on_device(conv2d_forward, None, device)
    with pytest.raises(ShapeError, match=said):
        forward(normal(x_shape), normal((1, 2, 4, 4)), pad=(1, 1))


@pytest.mark.parametrize("options", [{"stride": (0, 1)}, {"pad": (0, -1)}])
def test_windows_that_make_no_sense_are_refused(options, device):
    forward, _ = on_device(conv2d_forward, None, device)
    with pytest.raises(ShapeError, match="conv2d: expected a window and a stride"):
        forward(normal((1, 1, 4, 4)), normal((1, 1, 2, 2)), **options)


def test_a_bias_of_another_shape_is_refused(device):
    forward, _ = on_device(conv2d_forward, None, device)
    with pytest.raises(ShapeError, match=r"expected a bias \(3,\) or \(3, 2, 3\)"):
        forward(normal((1, 1, 4, 4)), normal((3, 1, 3, 2)), normal((3, 3, 2)))


def test_whole_numbers_are_refused(device):
    forward, _ = on_device(conv2d_forward, None, device)
    with pytest.raises(KernelError, match="kernel im2col: expected x of float32"):
        forward(np.ones((1, 1, 4, 4), int), normal((1, 1, 2, 2)))


def test_arrays_of_two_devices_are_refused(device):
    x, W = normal((1, 1, 4, 4)), normal((1, 1, 2, 2))
    with pytest.raises(TypeError):
        conv2d_forward(to_device(x, device), W)
    with pytest.raises(KernelError, match="expected arrays on 'cuda' or 'emu'"):
        conv.im2col(x, (2, 2), (1, 1), (0, 0), (3, 3))


def test_columns_and_images_that_do_not_fit_are_refused(device):
    columns = to_device(normal((4, 9)), device)
    with pytest.raises(KernelError, match="kernel col2im: expected columns of"):
        conv.col2im(columns, (1, 1, 5, 4), (2, 2), (1, 1), (0, 0), (4, 3))
    x = to_device(normal((1, 1, 4, 4)), device)
    with pytest.raises(KernelError, match="kernel im2col: expected x contiguous"):
        conv.im2col(x.transpose(0, 1, 3, 2), (2, 2), (1, 1), (0, 0), (3, 3))
