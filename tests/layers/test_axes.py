"""Layers that reorder, pad or cut axes."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers.checking import RANDOM_SHAPES
from helpers.layers import check_layer, numbers, refused
from minifer import layers
from minifer.layers import (DimshuffleLayer, FlattenLayer, InputLayer, PadLayer,
                            ReshapeLayer, SliceLayer, get_output)


def image(*shape):
    return InputLayer((None, *(shape or (2, 3, 4))))


# --- dimshuffle -------------------------------------------------------------

@pytest.mark.parametrize("pattern, shape", [
    ((0, 2, 3, 1), (None, 3, 4, 2)), ((0, "x", 3, 1, "x", 2), (None, 1, 4, 2, 1, 3)),
    ((3, 2, 1, 0), (4, 3, 2, None))])
def test_dimshuffle(pattern, shape):
    layer, x = layers.dimshuffle(image(), pattern), numbers((5, 2, 3, 4))
    assert layer.output_shape == shape
    y = get_output(layer, x)
    assert y.shape == tuple(5 if n is None else n for n in shape)
    for at in np.ndindex(y.shape):
        there = [0] * 4
        for place, axis in zip(at, pattern):
            if axis != "x":
                there[axis] = place
        assert y[at] == x[tuple(there)]


def test_dimshuffle_leaves_out_axes_of_one():
    x = numbers((5, 1, 3))
    layer = DimshuffleLayer(InputLayer((None, 1, 3)), (2, 0))
    np.testing.assert_array_equal(get_output(layer, x), x[:, 0].T)
    unknown = DimshuffleLayer(InputLayer((None, None, 3), name="x"), (2, 0),
                              name="here")
    np.testing.assert_array_equal(get_output(unknown, x), x[:, 0].T)
    refused(lambda: get_output(unknown, numbers((5, 2, 3))), "axes of length 1",
            "(5, 2, 3)")


@pytest.mark.parametrize("pattern, fragments", [
    ((0, 1), ["axes of length 1", "(None, 2, 3, 4)"]), ((0, 1, 1, 2, 3), ["once"]),
    ((0, 1, 2, 4), ["the 4 axes"]), ((0, 1, 2, -1), ["the 4 axes"]),
    ((0, 1, 2, "y"), ["'x'"]), ("0123", ["pattern as a tuple"])])
def test_dimshuffle_refuses(pattern, fragments):
    refused(lambda: DimshuffleLayer((None, 2, 3, 4), pattern, name="here"), *fragments)


# --- reshape and flatten ----------------------------------------------------

@pytest.mark.parametrize("incoming, shape, expected", [
    ((None, None, 4), ([0], [1], -1), (None, None, 4)),
    ((None, None, 4), ([0], [0], -1), (None, None, None)),
    ((None, None, 4), ([0], -1), (None, None)),
    ((None, 4), ([0], [0], -1), (None, None, None)),
    ((None, 6), (-1, [1], 1), (None, 6, 1)), ((2, 6), ([0], [0], -1), (2, 2, 3)),
    ((None, 12), ([0], np.int64(3), np.int32(4)), (None, 3, 4))])
def test_what_copies_of_axes_leave_for_the_rest(incoming, shape, expected):
    assert ReshapeLayer(incoming, shape).output_shape == expected


def test_a_copied_axis_cancels_before_data_come():
    refused(lambda: ReshapeLayer((None, 12), ([0], 5), name="here"), "12 elements")
    refused(lambda: ReshapeLayer((None, 3), ([2], -1), name="here"), "axis of the")
    layer = ReshapeLayer((None, 3, 4), ([2], -1), name="here")
    refused(lambda: layer.get_output_shape_for((None, 3)), "got [2]")


def test_flatten_refuses_an_input_of_fewer_axes_later():
    layer = FlattenLayer((None, 3, 4), 3, name="here")
    refused(lambda: layer.get_output_shape_for((None, 3)), "at least outdim=3")


@RANDOM_SHAPES
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_reshape_tells_the_shape_in_advance(shape, data):
    """Whatever of the input's shape is known, what is known of the output's is right.
    """
    known = [n if data.draw(st.booleans()) else None for n in shape]
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), max_size=3, unique=True))
    parts = [[axis] for axis in axes] + [-1]
    layer = ReshapeLayer(InputLayer(known), data.draw(st.permutations(parts)))
    y = get_output(layer, np.zeros(shape))
    assert all(n in (None, have) for n, have in zip(layer.output_shape, y.shape,
                                                    strict=True))


# --- pad --------------------------------------------------------------------

@pytest.mark.parametrize("options, widths", [
    ({"width": 2}, [(0, 0), (0, 0), (2, 2), (2, 2)]),
    ({"width": (1, 3)}, [(0, 0), (0, 0), (1, 1), (3, 3)]),
    ({"width": [(1, 2), 0], "val": -1.5}, [(0, 0), (0, 0), (1, 2), (0, 0)]),
    ({"width": ((0, 2),), "batch_ndim": 1}, [(0, 0), (0, 2), (0, 0), (0, 0)]),
    ({"width": 0}, [(0, 0)] * 4)])
def test_pad(options, widths):
    x = numbers((5, 2, 3, 4))
    whole = np.full([n + a + b for n, (a, b) in zip(x.shape, widths)],
                    options.get("val", 0.0))
    whole[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths))] = x
    check_layer(layers.pad(image(), **options), x, whole)
    unknown = PadLayer((None, 2, None, 4), **options)
    assert unknown.output_shape[2] is None


@pytest.mark.parametrize("options, fragments", [
    ({"width": -1}, ["width", "got -1"]), ({"width": (1, 2, 3)}, ["(1, 2, 3)"]),
    ({"width": 1.5}, ["got 1.5"]), ({"width": [(1, 2, 3)]}, ["[(1, 2, 3)]"]),
    ({"width": 1, "batch_ndim": 5}, ["batch_ndim", "0 to 4"]),
    ({"width": 1, "val": "0"}, ["val as a finite number", "'0'"])])
def test_pad_refuses(options, fragments):
    refused(lambda: PadLayer((None, 2, 3, 4), name="here", **options), *fragments)


# --- slice ------------------------------------------------------------------

@pytest.mark.parametrize("indices, axis, place, shape", [
    (0, 1, np.s_[:, 0], (None, 3, 4)), (-1, -1, np.s_[..., -1], (None, 2, 3)),
    (slice(0, 1), 1, np.s_[:, :1], (None, 1, 3, 4)),
    (slice(None, None, -2), 2, np.s_[:, :, ::-2], (None, 2, 2, 4)),
    (slice(-2, None), -1, np.s_[..., -2:], (None, 2, 3, 2)),
    (slice(1, 3), 0, np.s_[1:3], (None, 2, 3, 4)), (1, 0, np.s_[1], (2, 3, 4))])
def test_slice(indices, axis, place, shape):
    layer, x = SliceLayer(image(), indices, axis), numbers((5, 2, 3, 4))
    assert layer.output_shape == shape
    np.testing.assert_array_equal(get_output(layer, x), x[place])


@pytest.mark.parametrize("indices, axis, fragments", [
    (3, 2, ["within an axis of 3", "got 3"]), (-4, 2, ["got -4"]),
    (slice(3, None), 2, ["take something of an axis of 3"]),
    (1.0, 2, ["indices as a whole number", "1.0"]), (None, 2, ["got None"]),
    (slice(0, 2, 0), 2, ["indices"]), (slice("a"), 2, ["indices"]),
    (0, 4, ["axis among the 4", "got 4"])])
def test_slice_refuses(indices, axis, fragments):
    refused(lambda: SliceLayer((None, 2, 3, 4), indices, axis, name="here"), *fragments)


def test_an_element_that_comes_too_late_is_refused():
    layer = SliceLayer(InputLayer((None, None)), 3, name="here")
    assert layer.output_shape == (None,)
    refused(lambda: get_output(layer, numbers((2, 3))), "within an axis of 3")


@pytest.mark.parametrize("layer", [
    PadLayer((None, 2, 3), 1, name="here"), SliceLayer((None, 2, 3), 0, name="here")])
def test_another_number_of_axes_is_refused(layer):
    refused(lambda: layer.get_output_shape_for((None, 2)), "axes", "(None, 2)")
