"""Layers that merge inputs of several sizes, and by any function."""

import operator

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers.checking import RANDOM_SHAPES
from helpers.layers import numbers, refused
from minifer import gradcheck
from minifer.errors import ShapeError
from minifer.layers import (ConcatLayer, ElemwiseMergeLayer, ElemwiseSumLayer,
                            InputLayer, autocrop, autocrop_array_shapes, forward,
                            get_output)

CROPPING = [None, "lower", "center", "upper"]
SHAPES = [(2, 3, 7, 4), (2, 5, 4, 9), (2, 4, 5, 6)]


def merged(layer, *xs):
    """A merging layer's output, of these arrays."""
    return get_output(layer, dict(zip(layer.input_layers, xs)))


def sources(*shapes):
    return [InputLayer((None, *shape[1:])) for shape in shapes]


# --- cropping ---------------------------------------------------------------

def test_autocrop_takes_lower_center_and_upper():
    xs = [numbers(shape, seed) for seed, shape in enumerate(SHAPES)]
    cropped = autocrop(xs, CROPPING)
    places = [np.s_[:, :3, 1:5, :], np.s_[:, :3, :, 5:], np.s_[:, :3, 0:4, 2:]]
    for x, y, place in zip(xs, cropped, places):
        np.testing.assert_array_equal(y, x[place])
    assert autocrop_array_shapes(SHAPES, CROPPING) == [(2, 3, 4, 4)] * 3


def test_autocrop_leaves_what_it_is_not_told():
    xs = [numbers((2, 5, 3)), numbers((1, 4, 9))]
    assert all(a is b for a, b in zip(autocrop(xs, None), xs))
    shapes = [x.shape for x in autocrop(xs, [None, "upper"])]
    assert shapes == [(2, 4, 3), (1, 4, 9)]
    assert autocrop_array_shapes([(2, 5), (1, 4)], None) == [(2, 5), (1, 4)]


def test_an_unknown_length_is_not_the_shortest():
    assert autocrop_array_shapes([(None, 3, 7), (None, None, 5)], [None, "lower",
                                                                  "center"]) == [
        (None, None, 5), (None, None, 5)]


@RANDOM_SHAPES
@given(shapes=st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=3),
       how=st.lists(st.sampled_from(CROPPING), max_size=3))
def test_shapes_are_those_of_the_arrays(shapes, how):
    cropped = autocrop([np.zeros(shape) for shape in shapes], how)
    assert [x.shape for x in cropped] == autocrop_array_shapes(shapes, how)


@pytest.mark.parametrize("shapes, cropping", [
    ([(1, 2), (1, 2, 3)], [None]), ([(1, 2)], ["left"]), ([(1, 2)], [None] * 3),
    ([(1, 2)], "lower")])
def test_autocrop_refuses(shapes, cropping):
    with pytest.raises(ShapeError, match="autocrop: expected "):
        autocrop([np.zeros(shape) for shape in shapes], cropping)
    with pytest.raises(ShapeError, match="autocrop: expected "):
        autocrop_array_shapes(shapes, cropping)


def test_concat_crops_all_but_its_axis():
    layer = ConcatLayer(sources(*SHAPES), 1, CROPPING)
    assert layer.cropping == [None, None, "center", "upper"]
    assert layer.output_shape == (None, 12, 4, 4)
    xs = [numbers(shape, seed) for seed, shape in enumerate(SHAPES)]
    np.testing.assert_array_equal(merged(layer, *xs), np.concatenate(
        [xs[0][:, :, 1:5], xs[1][..., 5:], xs[2][:, :, :4, 2:]], axis=1))


def test_sum_crops_and_its_gradient_is_0_beyond():
    layer = ElemwiseSumLayer(sources((1, 3), (1, 5)), [2, 3], [None, "upper"])
    xs = [numbers((2, 3)), numbers((2, 5), 1)]
    np.testing.assert_allclose(merged(layer, *xs), 2 * xs[0] + 3 * xs[1][:, 2:])
    y, tape = forward(layer, dict(zip(layer.input_layers, xs)))
    found = tape.backward(np.ones_like(y), wrt_inputs=True).inputs
    assert found[layer.input_layers[1]].tolist() == [[0, 0, 3, 3, 3]] * 2


@pytest.mark.parametrize("build", [
    lambda **options: ConcatLayer([(None, 3, 7), (None, 3, 5)], **options),
    lambda **options: ElemwiseSumLayer([(None, 3, 7), (None, 3, 5)], **options),
    lambda **options: ElemwiseMergeLayer([(None, 3, 7), (None, 3, 5)], np.add,
                                         **options)])
def test_cropping_is_refused_where_it_does_not_fit(build):
    assert build(cropping=[None, None, "lower"]).output_shape[2] == 5
    refused(lambda: build(name="here"), "(None, 3, 7), (None, 3, 5)")
    for wrong in ("center", [None, None, "left"], [None] * 4, 3):
        refused(lambda: build(cropping=wrong, name="here"), "cropping", repr(wrong))


def test_a_name_is_given_by_its_keyword():
    for build in (ConcatLayer, ElemwiseSumLayer):
        layer = build([(None, 3, 7), (None, 3, 5)], 1, [None, None, "center"])
        assert layer.name is None and layer.cropping == [None, None, "center"]
        with pytest.raises(TypeError, match="positional argument"):
            build([(None, 3)], 1, None, "name")


# --- any function -----------------------------------------------------------

@pytest.mark.parametrize("function", [
    np.multiply, operator.mul, "multiply", lambda a, b: (a - b) * 2 + 1,
    (lambda a, b: (a * b, (a, b)), lambda dy, ab: (dy * ab[1], dy * ab[0]))])
def test_functions_of_two(function):
    layer = ElemwiseMergeLayer(sources(*[(1, 3, 4)] * 3), function)
    a, b, c = xs = [numbers((2, 3, 4), seed) for seed in range(3)]
    product = a * b * c
    if getattr(function, "__name__", "") == "<lambda>":
        product = (((a - b) * 2 + 1) - c) * 2 + 1
    np.testing.assert_allclose(merged(layer, *xs), product, rtol=1e-12)
    assert merged(layer, *[x.astype("float32") for x in xs]).dtype == "float32"
    assert gradcheck.check(layer, tolerance=1e-6).ok


def test_of_one_input_it_is_a_copy():
    layer, x = ElemwiseMergeLayer(sources((1, 3)), np.maximum), numbers((2, 3))
    y = merged(layer, x)
    np.testing.assert_array_equal(y, x)
    assert y is not x and gradcheck.check(layer).ok


@pytest.mark.parametrize("build", [
    lambda layers: ElemwiseMergeLayer(layers, np.multiply),
    lambda layers: ElemwiseSumLayer(layers, [2, -1, 3])])
def test_axes_of_one_are_as_long_as_the_others(build):
    layer = build(sources((1, 1, 4), (1, 3, 1), (1, 3, 4)))
    assert layer.output_shape == (None, 3, 4)
    xs = [numbers(shape, 1) for shape in ((2, 1, 4), (2, 3, 1), (2, 3, 4))]
    expected = (xs[0] * xs[1] * xs[2] if type(layer) is ElemwiseMergeLayer
                else 2 * xs[0] - xs[1] + 3 * xs[2])
    np.testing.assert_allclose(merged(layer, *xs), expected, rtol=1e-12)
    assert gradcheck.check(layer).ok
    assert build([(1, 3), (None, 3), (None, 1)]).output_shape == (None, 3)


@pytest.mark.parametrize("function, fragments", [
    (np.arctan2, ["fails on minifer's expressions", "backward(dy, cache)"]),
    (lambda a, b: 5, ["makes int of minifer's expressions"]), (None, ["got None"]),
    ("plus", ["got 'plus'"])])
def test_a_function_without_a_gradient_is_refused(function, fragments):
    refused(lambda: ElemwiseMergeLayer([(None, 3), (None, 3)], function, name="here"),
            "merge_function as a function with a gradient", *fragments)
