"""conv2d against loops, scipy and numerical gradients."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import signal

from helpers import reference
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.errors import ShapeError
from minifer.ops import conv
from minifer.ops.conv import conv2d_backward, conv2d_forward


def check_conv(x, W, b, **options):
    check_op(conv2d_forward, conv2d_backward, [x, W, b], reference.conv2d, **options)


# --- the reference itself ---------------------------------------------------

def test_reference_is_scipys_convolution():
    x, W = normal((5, 7), 1), normal((3, 2), 2)
    images, filters = x[None, None], W[None, None]
    np.testing.assert_allclose(reference.conv2d(images, filters)[0, 0],
                               signal.convolve2d(x, W, mode="valid"))
    np.testing.assert_allclose(
        reference.conv2d(images, filters, flip_filters=False)[0, 0],
        signal.correlate2d(x, W, mode="valid"))
    np.testing.assert_allclose(
        reference.conv2d(images, filters, pad=(2, 1), stride=(2, 3))[0, 0],
        signal.convolve2d(x, W, mode="full")[::2, ::3])


def test_a_single_bright_pixel_shows_the_filter():
    W = np.arange(9.0).reshape(1, 1, 3, 3)
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    y, _ = conv2d_forward(x, W, pad=(1, 1))
    np.testing.assert_array_equal(y, W)
    y, _ = conv2d_forward(x, W, pad=(1, 1), flip_filters=False)
    np.testing.assert_array_equal(y, W[:, :, ::-1, ::-1])


# --- named cases ------------------------------------------------------------

@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("x_shape, W_shape, stride, pad", [
    pytest.param((2, 3, 5, 6), (4, 3, 3, 3), (1, 1), (0, 0), id="plain"),
    pytest.param((2, 2, 6, 5), (3, 2, 2, 3), (1, 1), (0, 0), id="kh≠kw, H≠W"),
    pytest.param((1, 2, 4, 5), (2, 2, 3, 2), (1, 1), (1, 1), id="N=1"),
    pytest.param((2, 1, 4, 5), (2, 1, 3, 2), (1, 1), (1, 1), id="C=1"),
    pytest.param((2, 2, 4, 5), (1, 2, 3, 2), (1, 1), (1, 1), id="F=1"),
    pytest.param((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), id="one pixel"),
    pytest.param((2, 3, 4, 3), (2, 3, 1, 1), (1, 1), (0, 0), id="1x1 filter"),
    pytest.param((2, 2, 4, 5), (3, 2, 4, 5), (1, 1), (0, 0), id="filter = image"),
    pytest.param((1, 1, 2, 2), (2, 1, 4, 5), (1, 1), (1, 2), id="filter > image"),
    pytest.param((2, 2, 5, 7), (2, 2, 3, 3), (1, 1), (1, 0), id="pad rows only"),
    pytest.param((2, 2, 5, 7), (2, 2, 3, 3), (1, 1), (0, 2), id="pad columns only"),
    pytest.param((1, 2, 3, 4), (2, 2, 2, 2), (1, 1), (3, 3), id="windows of padding"),
    pytest.param((2, 2, 8, 9), (2, 2, 3, 2), (2, 3), (0, 0), id="stride not dividing"),
    pytest.param((2, 1, 7, 8), (2, 1, 2, 3), (3, 2), (1, 2), id="stride and pad"),
    pytest.param((1, 1, 9, 7), (1, 1, 2, 1), (4, 3), (0, 0), id="stride > filter"),
])
def test_conv2d(x_shape, W_shape, stride, pad, flip_filters):
    x, W, b = normal(x_shape, 1), normal(W_shape, 2), normal(W_shape[:1], 3)
    check_conv(x, W, b, stride=stride, pad=pad, flip_filters=flip_filters)


def test_without_bias():
    check_conv(normal((2, 2, 4, 5), 1), normal((3, 2, 3, 2), 2), None)


def test_untied_bias():
    x, W = normal((3, 2, 6, 5), 1), normal((2, 2, 3, 3), 2)
    check_conv(x, W, normal((2, 3, 2), 3), stride=(2, 2), pad=(1, 0))


@pytest.mark.parametrize("view", [
    pytest.param(lambda x: x[:, :, ::2], id="every second row"),
    pytest.param(lambda x: x[:, :, :, ::-1], id="mirrored"),
    pytest.param(lambda x: x.transpose(0, 1, 3, 2), id="rows and columns swapped"),
    pytest.param(lambda x: x.transpose(1, 0, 2, 3), id="N and C swapped")])
def test_views(view):
    x = view(normal((3, 3, 8, 6), 1))
    W = normal((3, 2, 3, 2), 2).transpose(1, 0, 3, 2)
    check_conv(x, W, normal((2,), 3), pad=(1, 0))


@RANDOM_SHAPES
@given(N=st.integers(1, 3), C=st.integers(1, 3), F=st.integers(1, 3),
       size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       more=st.tuples(st.integers(0, 4), st.integers(0, 4)),
       stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
       flip_filters=st.booleans())
def test_random_shapes(N, C, F, size, more, stride, pad, flip_filters):
    (kh, kw), (h, w) = size, more
    x, W, b = normal((N, C, kh + h, kw + w), 1), normal((F, C, kh, kw), 2), normal((F,))
    check_conv(x, W, b, stride=stride, pad=pad, flip_filters=flip_filters)


# --- what the shapes do not show --------------------------------------------

@pytest.mark.parametrize("images", [0.5, 1, 2, 4, 5, 6])
def test_a_batch_may_be_worked_on_in_any_number_of_parts(images, monkeypatch):
    bytes_per_image = 2 * 3 * 3 * 4 * 3 * 8  # C kh kw Ho Wo float64
    monkeypatch.setattr(conv, "CHUNK_BYTES", int(images * bytes_per_image))
    check_conv(normal((5, 2, 4, 3), 1), normal((2, 2, 3, 3), 2), normal((2,), 3),
               pad=(1, 1))


def test_need_dx_false_changes_nothing_else():
    x, W, b = normal((2, 2, 5, 4), 1), normal((3, 2, 2, 3), 2), normal((3,), 3)
    y, cache = conv2d_forward(x, W, b)
    dy = normal(y.shape, 4)
    dx, dW, db = conv2d_backward(dy, cache, need_dx=False)
    assert dx is None
    _, dW_too, db_too = conv2d_backward(dy, cache)
    np.testing.assert_array_equal(dW, dW_too)
    np.testing.assert_array_equal(db, db_too)


def test_float64_weights_do_not_widen_float32_images():
    x = normal((2, 2, 5, 4), 1).astype(np.float32)
    y, cache = conv2d_forward(x, normal((3, 2, 2, 3), 2), normal((3,), 3))
    assert y.dtype == np.float32
    for gradient in conv2d_backward(y, cache):
        assert gradient.dtype == np.float32


@pytest.mark.parametrize("x_shape", [(2, 3, 5, 5), (2, 2, 1, 5), (2, 2, 5, 1)])
def test_images_that_do_not_fit_are_refused(x_shape):
    with pytest.raises(ShapeError, match="C = 2 and at least 4x4 pixels"):
        conv2d_forward(normal(x_shape), normal((1, 2, 4, 4)), pad=(1, 1))
