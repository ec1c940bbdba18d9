"""Convolution in groups, dilated, transposed, of one to three axes, against loops."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import reference, reference_windows
from helpers.checking import RANDOM_SHAPES, check_op, normal
from minifer.errors import ShapeError
from minifer.ops import by_columns
from minifer.ops.conv_nd import (conv_backward, conv_forward, transposed_conv_backward,
                                 transposed_conv_forward)

#: x, W, options: one thing each.
CASES = [
    pytest.param((2, 3, 7), (4, 3, 3), {}, id="one axis"),
    pytest.param((2, 2, 9), (2, 2, 2), dict(stride=(3,), pad=(2,)), id="one, strided"),
    pytest.param((2, 2, 3, 4, 5), (3, 2, 2, 1, 3), {}, id="three axes"),
    pytest.param((1, 2, 5, 4, 6), (2, 2, 2, 3, 2), dict(
        stride=(2, 1, 3), pad=(1, 0, 2)), id="three, strided"),
    pytest.param((2, 4, 5, 6), (6, 2, 3, 2), dict(groups=2, pad=(1, 0)), id="groups"),
    pytest.param((2, 4, 9, 6), (4, 1, 3, 2), dict(groups=4, pad=(1, 0)),
                 id="depthwise"),
    pytest.param((2, 3, 5, 6), (6, 1, 3, 3), dict(groups=3, stride=(1, 2)),
                 id="two filters a channel"),
    pytest.param((2, 3, 11, 6), (3, 1, 3, 2), dict(groups=3, stride=(2, 1), pad=(3, 1)),
                 id="depthwise, strided"),
    pytest.param((2, 3, 9, 6), (3, 1, 3, 2), dict(groups=3, dilation=(2, 3)),
                 id="depthwise, dilated"),
    pytest.param((2, 2, 10), (2, 1, 4), dict(groups=2, pad=(2,)), id="depthwise, 1"),
    pytest.param((1, 2, 6, 3, 4), (2, 1, 2, 2, 3), dict(groups=2, pad=(1, 1, 0)),
                 id="depthwise, 3"),
    pytest.param((2, 1, 8, 5), (6, 1, 3, 3), {}, id="one channel, many filters"),
    pytest.param((1, 2, 8, 9), (3, 2, 3, 2), dict(dilation=(2, 3)), id="dilated"),
    pytest.param((1, 2, 8, 9), (3, 2, 3, 2), dict(
        dilation=(3, 2), stride=(2, 3), pad=(1, 4)), id="dilated, strided, padded"),
    pytest.param((2, 3, 4, 3), (2, 3, 1, 1), {}, id="one pixel"),
    pytest.param((2, 4, 4, 3), (6, 2, 1, 1), dict(groups=2), id="one pixel, groups"),
    pytest.param((2, 4, 5, 3), (2, 4, 1, 1), dict(stride=(2, 1)), id="one, strided"),
    pytest.param((2, 4, 2, 3), (2, 4, 1, 1), dict(pad=(1, 2)), id="one, padded"),
    pytest.param((1, 1, 2, 2), (1, 1, 4, 5), dict(pad=(1, 2)), id="filter > image"),
    pytest.param((1, 2, 3, 4), (2, 1, 2, 2), dict(pad=(3, 3), groups=2),
                 id="windows of padding")]


def check_conv(x, W, b, **options):
    check_op(conv_forward, conv_backward, [x, W, b], reference_windows.conv_nd,
             **options)


def check_transposed(x, W, b, **options):
    check_op(transposed_conv_forward, transposed_conv_backward, [x, W, b],
             reference_windows.transposed_conv_nd, **options)


def test_the_reference_is_that_of_two_dimensions():
    x, W, b = normal((2, 2, 5, 6), 1), normal((3, 2, 2, 3), 2), normal((3,), 3)
    for flip in (True, False):
        np.testing.assert_allclose(
            reference_windows.conv_nd(x, W, b, (2, 1), (1, 0), flip_filters=flip),
            reference.conv2d(x, W, b, (2, 1), (1, 0), flip))


@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("x_shape, W_shape, options", CASES)
def test_conv(x_shape, W_shape, options, flip_filters):
    check_conv(normal(x_shape, 1), normal(W_shape, 2), normal(W_shape[:1], 3),
               flip_filters=flip_filters, **options)


@pytest.mark.parametrize("flip_filters", [True, False])
@pytest.mark.parametrize("x_shape, W_shape, options", [
    pytest.param((2, 3, 4), (3, 2, 3), {}, id="one axis"),
    pytest.param((2, 3, 4, 3), (3, 2, 3, 2), {}, id="two"),
    pytest.param((1, 2, 2, 3, 2), (2, 3, 2, 1, 3), dict(stride=(1, 2, 2)), id="three"),
    pytest.param((2, 2, 4, 3), (2, 2, 3, 4), dict(stride=(2, 3), crop=(1, 2)),
                 id="strided, cropped"),
    pytest.param((2, 2, 4, 3), (2, 2, 2, 1), dict(stride=(3, 2)), id="with gaps"),
    pytest.param((1, 2, 4, 3), (2, 2, 3, 3), dict(
        stride=(3, 2), crop=(1, 0), output_size=(12, 8)), id="larger output"),
    pytest.param((2, 4, 4, 3), (4, 3, 3, 2), dict(groups=2, crop=(1, 0)), id="groups"),
    pytest.param((2, 3, 5, 3), (3, 1, 3, 2), dict(groups=3, stride=(2, 1)),
                 id="depthwise"),
    pytest.param((2, 4, 5, 3), (4, 1, 3, 3), dict(groups=2, crop=(1, 1)),
                 id="two channels a filter"),
    pytest.param((1, 2, 3, 3), (2, 2, 3, 2), dict(dilation=(2, 3), stride=(1, 2)),
                 id="dilated")])
def test_transposed(x_shape, W_shape, options, flip_filters):
    b = normal((W_shape[1] * options.get("groups", 1),), 3)
    check_transposed(normal(x_shape, 1), normal(W_shape, 2), b,
                     flip_filters=flip_filters, **options)


def test_without_bias_and_with_one_for_each_place():
    x, W = normal((2, 2, 6), 1), normal((4, 1, 3), 2)
    check_conv(x, W, None, groups=2)
    check_conv(x, W, normal((4, 4), 3), groups=2)
    check_transposed(x, normal((2, 3, 2), 2), None)
    check_transposed(x, normal((2, 3, 2), 2), normal((3, 7), 3))


@pytest.mark.parametrize("memory", [1, 1000, 2000, 5000, 10 ** 9])
@pytest.mark.parametrize("W_shape, groups", [((6, 1, 3, 2), 6), ((4, 2, 3, 2), 3),
                                             ((3, 2, 3, 2), 3)])
def test_a_batch_may_be_worked_on_in_any_number_of_parts(W_shape, groups, memory,
                                                         monkeypatch):
    W_shape = (W_shape[0] // groups * groups or groups, *W_shape[1:])
    monkeypatch.setattr(by_columns, "CPU_BYTES", memory)
    x, W = normal((5, 6, 5, 4), 1), normal(W_shape, 2)
    y, cache = conv_forward(x, W, groups=groups, pad=(1, 1))
    np.testing.assert_allclose(y, reference_windows.conv_nd(
        x, W, pad=1, groups=groups), rtol=1e-12, atol=1e-12)
    dy = normal(y.shape, 3)
    found = conv_backward(dy, cache)
    monkeypatch.undo()
    for one, other in zip(found[:2], conv_backward(dy, cache)[:2]):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@RANDOM_SHAPES
@given(data=st.data())
def test_random_shapes(data):
    def draw(least, most, n=None):
        one = st.integers(least, most)
        return data.draw(one if n is None else st.tuples(*[one] * n))

    n, groups = draw(1, 3), draw(1, 3)
    N, C, F = draw(1, 2), groups * draw(1, 2), groups * draw(1, 2)
    k, stride, pad = draw(1, 3, n), draw(1, 3, n), draw(0, 2, n)
    dilation = draw(1, 2, n)
    reach = [(size - 1) * d + 1 for size, d in zip(k, dilation)]
    lengths = [max(1, r - 2 * p) + m for r, p, m in zip(reach, pad, draw(0, 3, n))]
    flip = data.draw(st.booleans())
    options = dict(stride=stride, dilation=dilation, groups=groups, flip_filters=flip)
    check_conv(normal((N, C, *lengths), 1), normal((F, C // groups, *k), 2),
               normal((F,)), pad=pad, **options)
    crop = tuple(min(p, (r - 1) // 2) for p, r in zip(pad, reach))
    check_transposed(normal((N, C, *draw(1, 3, n)), 1),
                     normal((C, F // groups, *k), 2), normal((F,)), crop=crop,
                     **options)


# --- what the shapes do not show ----------------------------------------------

@pytest.mark.parametrize("forward, backward, W_shape", [
    (conv_forward, conv_backward, (4, 1, 3, 2)),
    (conv_forward, conv_backward, (4, 1, 1, 1)),
    (transposed_conv_forward, transposed_conv_backward, (2, 3, 3, 2))])
def test_need_dx_false_changes_nothing_else(forward, backward, W_shape):
    x, W = normal((2, 2, 5, 4), 1), normal(W_shape, 2)
    y, cache = forward(x, W, groups=2)
    dy = normal(y.shape, 4)
    dx, dW, db = backward(dy, cache, need_dx=False)
    assert dx is None and db is None
    np.testing.assert_array_equal(dW, backward(dy, cache)[1])


@pytest.mark.parametrize("forward, backward", [
    (conv_forward, conv_backward), (transposed_conv_forward, transposed_conv_backward)])
def test_float64_weights_do_not_widen_and_no_images_give_no_output(forward, backward):
    x = normal((2, 2, 5, 4), 1).astype(np.float32)
    for W_shape in ((2, 2, 3, 2), (2, 2, 1, 1)):
        y, cache = forward(x, normal(W_shape, 2), normal((2,), 3))
        assert y.dtype == np.float32
        assert all(g.dtype == np.float32 for g in backward(y, cache))
        none, cache = forward(x[:0], normal(W_shape, 2))
        assert none.shape == (0, *y.shape[1:])
        dx, dW, _ = backward(none, cache)
        assert dx.shape == (0, 2, 5, 4) and not dW.any()


@pytest.mark.parametrize("x, W, options, said", [
    ((2, 3, 5), (4, 2, 3), {}, r"W \(F, C / groups"),
    ((2, 4, 5), (3, 2, 3), {"groups": 2}, "F a multiple of it"),
    ((2, 3, 5), (4, 3, 6), {}, r"at least \(6,\) once padded by \(0,\)"),
    ((2, 3, 5, 5), (4, 3, 3, 3), {"dilation": (1, 3)}, r"at least \(3, 7\)"),
    ((2, 3), (4, 3), {}, "one to three axes"), ((2, 3, 5), (4, 3, 3, 3), {}, "as many"),
    ((2, 3, 5), (4, 3, 3), {"stride": (0,)}, "strides, dilations and groups >= 1"),
    ((2, 3, 5), (4, 3, 3), {"pad": (1, 1)}, "1 numbers each"),
    ((2, 3, 5), (4, 3, 3), {"groups": 0}, "0 groups"),
    ((2, 3, 5), (4, 3, 3), {"b": np.ones(3)}, r"a bias \(4,\) or \(4, 3\)")])
def test_conv_refuses(x, W, options, said):
    with pytest.raises(ShapeError, match="conv: .*" + said):
        conv_forward(np.ones(x), np.ones(W), **options)


@pytest.mark.parametrize("x, W, options, said", [
    ((2, 3, 5), (2, 3, 3), {}, r"W \(C, F / groups"),
    ((2, 3, 5), (3, 1, 3), {"groups": 2}, "multiple of 2 groups"),
    ((2, 3, 1), (3, 1, 2), {"crop": (1,)}, r"at least one pixel, \(0,\)"),
    ((2, 3, 5), (3, 1, 3), {"stride": (2,), "output_size": (13,)}, r"got \(13,\)"),
    ((2, 3, 5), (3, 1, 3), {"output_size": (6,)}, r"got \(6,\)")])
def test_transposed_refuses(x, W, options, said):
    with pytest.raises(ShapeError, match="transposed_conv: expected .*" + said):
        transposed_conv_forward(np.ones(x), np.ones(W), **options)
