"""Layers that merge inputs or change the shape alone."""

import numpy as np
import pytest

from helpers.layers import check_layer, numbers, refused
from minifer import layers
from minifer.errors import ShapeError
from minifer.layers import (ConcatLayer, ElemwiseSumLayer, FlattenLayer, InputLayer,
                            NonlinearityLayer, ReshapeLayer, get_output)


def inputs(*shapes):
    return [InputLayer((None,) + shape[1:]) for shape in shapes]


# --- concat -----------------------------------------------------------------

def test_concat_looks_at_what_comes():
    layer = ConcatLayer([(None, None), (None, 2)], axis=1)
    with pytest.raises(ShapeError, match=r"one shape but for axis 1, got \(7, 2\)"):
        layer.forward([np.zeros((7, 2)), np.zeros((6, 2))])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis, shapes", [
    (1, [(2, 3, 4), (2, 1, 4)]), (-1, [(2, 3, 4), (2, 3, 1), (2, 3, 2)]),
    (2, [(2, 3, 4), (2, 3, 1)]), (1, [(2, 3)])])
def test_concat(axis, shapes, dtype):
    sources = inputs(*shapes)
    layer = ConcatLayer(sources, axis)
    xs = [numbers(shape, seed).astype(dtype) for seed, shape in enumerate(shapes)]
    y = get_output(layer, dict(zip(sources, xs)))
    assert y.dtype == dtype and y.shape == (2,) + layer.output_shape[1:]
    # Element by element: input k starts where the inputs before it ended.
    start = 0
    for x in xs:
        for place in np.ndindex(x.shape):
            there = list(place)
            there[axis] += start
            assert y[tuple(there)] == x[place]
        start += x.shape[axis]
    assert start == y.shape[axis]


def test_concat_puts_channels_together_by_default():
    layer = layers.concat(inputs((2, 3, 5, 5), (2, 1, 5, 5)))
    assert layer.axis == 1 and layer.output_shape == (None, 4, 5, 5)


def test_concat_knows_what_the_others_know():
    layer = ConcatLayer([(None, 3, None), (7, 1, 5)])
    assert layer.output_shape == (7, 4, 5)
    assert ConcatLayer([(None, None), (7, 1)]).output_shape == (7, None)
    assert ConcatLayer([(None, 2), (7, 2)], axis=0).output_shape == (None, 2)


@pytest.mark.parametrize("shapes, axis, fragments", [
    ([(None, 3, 4), (None, 1, 5)], 1, ["but for axis 1", "(None, 3, 4), (None, 1, 5)"]),
    ([(None, 3), (None, 3, 4)], 1, ["(None, 3), (None, 3, 4)"]),
    ([(2, 3), (5, 3)], 1, ["(2, 3), (5, 3)"]),
    ([(None, 3)], 2, ["axis among the 2", "got 2"]),
    ([(None, 3)], -3, ["axis among the 2", "got -3"]),
    ([(None, 3)], "1", ["axis among the 2", "got '1'"])])
def test_concat_refuses(shapes, axis, fragments):
    refused(lambda: ConcatLayer(shapes, axis, name="here"), *fragments)


# --- sum --------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("coeffs, factors", [
    (1, (1, 1, 1)), (-2, (-2, -2, -2)), ([1, -2, 0.5], (1, -2, 0.5))])
def test_sum(coeffs, factors, dtype):
    sources = inputs(*[(2, 3, 4)] * 3)
    layer = ElemwiseSumLayer(sources, coeffs)
    xs = [numbers((2, 3, 4), seed).astype(dtype) for seed in range(3)]
    before = [x.copy() for x in xs]
    y = get_output(layer, dict(zip(sources, xs)))
    assert y.dtype == dtype and y.shape == (2,) + layer.output_shape[1:]
    for place in np.ndindex(y.shape):
        expected = sum(f * float(x[place]) for f, x in zip(factors, xs))
        assert y[place] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    for x, old in zip(xs, before):
        np.testing.assert_array_equal(x, old)


@pytest.mark.parametrize("coeffs", [
    np.sqrt(0.5), [np.float64(1.0), np.float64(2.0)]])
def test_numpy_coefficients_do_not_widen_float32(coeffs):
    sources = inputs((2, 3), (2, 3))
    given = dict.fromkeys(sources, np.ones((2, 3), np.float32))
    y, tape = layers.forward(ElemwiseSumLayer(sources, coeffs), given)
    assert y.dtype == "float32"
    found = tape.backward(np.ones_like(y), wrt_inputs=True)
    assert {g.dtype for g in found.inputs.values()} == {np.dtype("float32")}


def test_sum_knows_what_the_others_know():
    assert ElemwiseSumLayer([(None, 3, None), (7, None, 5)]).output_shape == (7, 3, 5)


@pytest.mark.parametrize("shapes, coeffs, fragments", [
    ([(None, 3), (None, 4)], 1, ["inputs of one shape", "(None, 3), (None, 4)"]),
    ([(None, 3), (None, 3, 1)], 1, ["inputs of one shape", "(None, 3, 1)"]),
    ([(None, 3), (None, 3)], [1, 2, 3], ["each of the 2", "[1, 2, 3]"])])
def test_sum_refuses(shapes, coeffs, fragments):
    refused(lambda: ElemwiseSumLayer(shapes, coeffs, name="here"), *fragments)


# --- flatten ----------------------------------------------------------------

@pytest.mark.parametrize("outdim, shape, expected", [
    (2, (2, 3, 4, 5), (2, 60)), (3, (2, 3, 4, 5), (2, 3, 20)),
    (4, (2, 3, 4, 5), (2, 3, 4, 5)), (2, (2, 7), (2, 7))])
def test_flatten(outdim, shape, expected):
    x = numbers(shape)
    layer = layers.flatten(InputLayer((None,) + shape[1:]), outdim)
    y = np.array(list(x.flat)).reshape(expected)  # row after row
    check_layer(layer, x, y)


def test_flatten_to_one_axis():
    layer = FlattenLayer(InputLayer((None, 3)), outdim=1)
    assert layer.output_shape == (None,)
    assert get_output(layer, numbers((2, 3))).shape == (6,)


@pytest.mark.parametrize("outdim, fragments", [
    (3, ["outdim=3", "(None, 6)"]), (0, ["outdim", "got 0"]), (1.5, ["outdim", "1.5"])])
def test_flatten_refuses(outdim, fragments):
    refused(lambda: FlattenLayer((None, 6), outdim, name="here"), *fragments)


# --- reshape ----------------------------------------------------------------

@pytest.mark.parametrize("incoming, shape, expected", [
    ((None, 3, 4), ([0], 12), (None, 12)), ((None, 3, 4), ([0], -1), (None, 12)),
    ((None, 3, 4), ([0], [2], [1]), (None, 4, 3)), ((None, 3, 4), (-1, 6), (None, 6)),
    ((None, 3, 4), ([0], 2, -1, 3), (None, 2, 2, 3)), ((2, 3, 4), (4, -1), (4, 6)),
    ((None, 3, 3), ([0], [1], -1), (None, 3, 3)), ((None, 3, 4), (-1,), (None,)),
    ((None, None), ([1], [0]), (None, None))])
def test_reshape(incoming, shape, expected):
    layer = layers.reshape(InputLayer(incoming), shape)
    assert layer.output_shape == expected
    x = numbers([n or 2 for n in incoming])
    y = get_output(layer, x)
    assert y.shape == tuple(n or have for n, have in zip(expected, y.shape))
    np.testing.assert_array_equal(list(y.flat), list(x.flat))


@pytest.mark.parametrize("shape, fragments", [
    (([0], 0), ["> 0, -1, or [i]", "got 0"]), (([0], -2), ["got -2"]),
    (([3], -1), ["axis of the input", "got [3]"]), ((-1, -1), ["at most one -1"]),
    (([0], 5, -1), ["12 elements", "([0], 5, -1)"]), (([0], None), ["got None"]),
    (-1, ["shape", "got -1"])])
def test_reshape_refuses(shape, fragments):
    refused(lambda: ReshapeLayer((None, 3, 4), shape, name="here"), *fragments)


def test_reshape_refuses_another_number_of_elements():
    refused(lambda: ReshapeLayer((2, 3, 4), (5, 5), name="here"),
            "24 elements", "[5, 5]")
    layer = ReshapeLayer(InputLayer((None, 3)), (2, 6), name="late")
    with pytest.raises(ShapeError, match="'late': expected a shape of 9 elements"):
        get_output(layer, numbers((3, 3)))


# --- a nonlinearity alone ---------------------------------------------------

def test_a_nonlinearity_layer_rectifies_unless_told():
    x = numbers((2, 3))
    check_layer(NonlinearityLayer(InputLayer((None, 3))), x, np.where(x > 0, x, 0))
    check_layer(NonlinearityLayer(InputLayer((None, 3)), None), x, x)
