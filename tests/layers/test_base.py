"""What all layers share: the protocol, parameters, shapes, dtypes, refusals."""

import re

import numpy as np
import pytest

from helpers import reference
from minifer.commands.gradcheck import layers as example_layers
from helpers.layers import (check_layer, example_input, input_of, numbers,
                            refused)
from minifer import config, gradcheck, init, nonlinearities
from minifer.errors import SettingError, ShapeError
from minifer.layers import (DenseLayer, EmbeddingLayer, InputLayer, Layer, MergeLayer,
                            forward, get_output)
from minifer.layers.param import Param, create_param

EVERY_LAYER = [pytest.param(layer, id=title) for title, layer in example_layers()]


# --- helpers of all tests of layers -----------------------------------------


# --- every layer ------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", EVERY_LAYER)
def test_output_shape_tells_the_truth_and_the_dtype_is_kept(layer, dtype):
    x = example_input(layer, 4).astype(dtype)
    for deterministic in (False, True):
        y = get_output(layer, x, deterministic=deterministic)
        assert y.dtype == dtype
        assert y.shape == (4,) + layer.output_shape[1:]
        assert layer.output_shape[0] is None


@pytest.mark.parametrize("layer", EVERY_LAYER)
def test_gradients_have_the_dtype_of_the_input(layer):
    source = input_of(layer)
    x = example_input(layer, 4).astype("float32")
    y, tape = forward(layer, x)
    gradients = tape.backward(np.ones_like(y), wrt_inputs=True)
    assert gradients.inputs[source].dtype == "float32"
    assert gradients.inputs[source].shape == x.shape
    for param, gradient in gradients.items():
        assert (gradient.shape, gradient.dtype) == (param.shape, "float32")


@pytest.mark.parametrize("floatX", ["float32", "float64"])
@pytest.mark.parametrize("layer", EVERY_LAYER)
def test_pixels_become_floatX(layer, floatX):
    pixels = np.abs(example_input(layer, 4) * 60).astype(np.uint8)
    if isinstance(layer, EmbeddingLayer):
        pixels %= layer.input_size
    with config.use_floatX(floatX):
        y = get_output(layer, pixels, deterministic=True)
    assert y.dtype == floatX
    same = get_output(layer, pixels.astype(floatX), deterministic=True)
    np.testing.assert_array_equal(y, same)


# --- the protocol -----------------------------------------------------------

@pytest.mark.parametrize("wrong, meant", [
    ("forwrad", "forward"), ("forwards", "forward"), ("backwards", "backward"),
    ("get_output_shape", "get_output_shape_for"),
    ("get_ouput_for", "get_output_for")])
def test_a_misspelt_hook_is_refused(wrong, meant):
    with pytest.raises(TypeError, match=f"Mine.{wrong}: perhaps you meant '{meant}'"):
        type("Mine", (Layer,), {wrong: lambda self, x: x})


@pytest.mark.parametrize("lone", ["forward", "backward"])
def test_forward_and_backward_come_together(lone):
    with pytest.raises(TypeError, match="Mine: expected forward and backward together"):
        type("Mine", (Layer,), {lone: lambda self, x: x})


def test_other_names_and_both_hooks_are_fine():
    hooks = {"forward": lambda self, x: (x, ()),
             "backward": lambda self, dy, cache: (dy, {}), "fraction": 0.5}
    layer = type("Mine", (Layer,), hooks)((None, 3), name="me")
    assert repr(layer) == "<Mine 'me' (None, 3)>"
    np.testing.assert_array_equal(layer.get_output_for(np.ones((2, 3))), 1)


def test_a_layer_without_hooks_says_so():
    with pytest.raises(NotImplementedError, match="Layer has no forward"):
        Layer((None, 3)).forward(np.ones((1, 3)))
    with pytest.raises(NotImplementedError, match="Layer has no backward"):
        Layer((None, 3)).backward(np.ones((1, 3)), ())


@pytest.mark.parametrize("shape", [
    (None, 0), (None, -3), (None, 2.5), (None, "3"), 5, "abc", None])
@pytest.mark.parametrize("build", [
    Layer, InputLayer, lambda shape, name: MergeLayer([shape], name)])
def test_a_shape_that_is_none_is_refused(build, shape):
    refused(lambda: build(shape, name="here"), repr(shape), "whole numbers > 0")


@pytest.mark.parametrize("incomings", [(), [], None, 3, InputLayer((None, 3))])
def test_a_merge_wants_a_list(incomings):
    refused(lambda: MergeLayer(incomings, name="here"), "at least one incoming layer")


# --- parameters -------------------------------------------------------------

def test_params_are_selected_by_tags():
    layer = Layer((None, 3), name="mine")
    W = layer.add_param(init.Constant(1), (3,), "W")
    b = layer.add_param(init.Constant(0), (3,), "b", regularizable=False)
    mean = layer.add_param(init.Constant(0), (3,), "mean", trainable=False,
                           regularizable=False, statistic=True)
    assert layer.get_params() == [W, b, mean]
    assert layer.get_params(trainable=True) == [W, b]
    assert layer.get_params(trainable=True, regularizable=False) == [b]
    assert layer.get_params(statistic=True) == [mean]
    assert layer.get_params(statistic=False) == [W, b]
    assert [p.name for p in layer.get_params()] == ["mine.W", "mine.b", "mine.mean"]


def test_a_nameless_layer_has_params_with_short_names():
    assert DenseLayer((None, 3), 2).W.name == "W"


def test_param_values_keep_shape_and_dtype():
    param = Param(np.zeros((2, 3), np.float32), "w")
    param.set_value(np.arange(6.0).reshape(2, 3))
    assert param.dtype == "float32" and param.size == 6 and param.shape == (2, 3)
    param.get_value()[...] = 9  # a copy
    np.testing.assert_array_equal(param.value.ravel(), range(6))
    with pytest.raises(ShapeError, match=r"'w': expected shape \(2, 3\), got \(3, 2\)"):
        param.set_value(np.zeros((3, 2)))
    assert repr(param) == "Param('w', shape=(2, 3), float32)"


def test_create_param_takes_an_array_an_initialiser_or_a_param():
    given = np.ones((2, 3))
    copied = create_param(given, (2, 3), "w")
    given[...] = 5
    np.testing.assert_array_equal(copied.value, 1)
    assert copied.dtype == config.floatX
    called = create_param(lambda shape: np.full(shape, 2.0), (2,))
    assert called.value.tolist() == [2, 2]
    assert create_param(copied, (2, 3), "other") is copied
    assert copied.name == "w"


@pytest.mark.parametrize("spec", [
    np.ones((3, 2)), Param(np.ones((3, 2))), lambda shape: np.ones((3, 2)), 1.0])
def test_create_param_refuses_another_shape(spec):
    with pytest.raises(ShapeError, match=r"'w': expected shape \(2, 3\), got"):
        create_param(spec, (2, 3), "w")


@pytest.mark.parametrize("shape", [(2, None), (0, 3), (2.5,)])
def test_create_param_refuses_what_is_no_shape(shape):
    expected = re.escape(f"whole numbers >= 1, got {shape}")
    with pytest.raises(ShapeError, match=expected):
        create_param(init.Constant(0), shape, "w")


def test_floatX_decides_the_type_of_new_parameters():
    with config.use_floatX("float64"):
        assert DenseLayer((None, 3), 2).W.dtype == "float64"
    assert DenseLayer((None, 3), 2).W.dtype == "float32" == config.floatX
    with pytest.raises(SettingError, match="'float16'"):
        with config.use_floatX("float16"):
            pass


def test_floatX_comes_back_after_an_error():
    with pytest.raises(ZeroDivisionError):
        with config.use_floatX("float64"):
            1 / 0
    assert config.floatX == "float32"


# --- input ------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(2, 1, 5), (2, 1, 5, 7), (3, 2, 5, 6), (2, 3)])
def test_an_input_of_another_shape_is_refused(shape):
    layer = InputLayer((None, 1, 5, 6), name="here")
    refused(lambda: get_output(layer, np.zeros(shape)), "(None, 1, 5, 6)", str(shape))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_whole_numbers_become_floats(dtype):
    x = np.array([[0, 1, 1]], dtype)
    y = get_output(InputLayer((None, 3)), x)
    assert y.dtype == config.floatX
    np.testing.assert_array_equal(y, x)


# --- dense ------------------------------------------------------------------

@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape, units", [((3, 4), 2), ((1, 1), 1), ((2, 2, 3, 4), 5)])
def test_dense(shape, units, bias):
    layer = DenseLayer(InputLayer((None,) + shape[1:]), units, nonlinearity=None,
                       b=numbers((units,), 1) if bias else None)
    x = numbers(shape)
    check_layer(layer, x, reference.dense(
        x.reshape(len(x), -1), layer.W.value, layer.b.value if bias else None))


def test_dense_flattens_channel_by_channel_and_row_by_row():
    W = np.zeros((2 * 3 * 4, 1))
    W[1 * 12 + 2 * 4 + 3] = 1  # channel 1, row 2, column 3
    layer = DenseLayer(InputLayer((None, 2, 3, 4)), 1, W=W, nonlinearity=None)
    x = numbers((5, 2, 3, 4))
    np.testing.assert_array_equal(get_output(layer, x)[:, 0], x[:, 1, 2, 3])


def test_dense_rectifies_by_default_and_starts_with_bias_0():
    layer = DenseLayer(InputLayer((None, 3)), 50)
    assert layer.nonlinearity is nonlinearities.rectify
    assert not layer.b.value.any()
    y = get_output(layer, numbers((4, 3)))
    assert y.min() == 0 < y.max()


def test_dense_without_bias_has_one_parameter():
    layer = DenseLayer((None, 3), 2, b=None)
    assert layer.b is None and layer.get_params() == [layer.W]


@pytest.mark.parametrize("build, fragments", [
    (lambda: DenseLayer((None, 3), 0, name="here"), ["num_units", "got 0"]),
    (lambda: DenseLayer((None, 3), 2.5, name="here"), ["num_units", "got 2.5"]),
    (lambda: DenseLayer((None, 3), True, name="here"), ["num_units", "got True"]),
    (lambda: DenseLayer((3,), 2, name="here"), ["at least 2 axes", "(3,)"]),
    (lambda: DenseLayer((None, None), 2, name="here"), ["(None, None)"]),
    (lambda: DenseLayer((None, 3), 2, W=np.ones((2, 3)), name="here"),
     ["(3, 2)", "(2, 3)"]),
    (lambda: DenseLayer((None, 3), 2, b=np.ones(3), name="here"), ["(2,)", "(3,)"])])
def test_dense_refuses(build, fragments):
    refused(build, *fragments)


def test_a_nonlinearity_without_a_gradient_is_refused():
    with pytest.raises(SettingError, match="forward and backward, got <built-in"):
        DenseLayer((None, 3), 2, nonlinearity=len)
    for function in (len, np.exp, lambda x: 3, "rectify"):
        with pytest.raises(SettingError, match="expected .* forward and backward, got"):
            DenseLayer((None, 3), 2, nonlinearity=function)


def test_a_nonlinearity_may_be_a_function_of_expressions():
    layer = DenseLayer(InputLayer((None, 3)), 2, nonlinearity=lambda z: z * 2 + 1)
    x = numbers((4, 3))
    z = get_output(DenseLayer(layer.input_layer, 2, layer.W, nonlinearity=None), x)
    np.testing.assert_allclose(get_output(layer, x), 2 * z + 1)
    assert gradcheck.check(layer, tolerance=1e-6).ok


# --- dense with several leading axes ----------------------------------------

@pytest.mark.parametrize("shape, axes, leading", [
    ((4, 3, 5), 2, (4, 3)), ((4, 3, 5), -1, (4, 3)), ((4, 3, 5), -2, (4,)),
    ((4, 2, 3, 5), 2, (4, 2)), ((4, 2, 3, 5), 3, (4, 2, 3)), ((1, 1, 1), 2, (1, 1)),
    ((4, 5), -1, (4,))])
@pytest.mark.parametrize("f", [nonlinearities.tanh, nonlinearities.softmax, None])
def test_dense_keeps_leading_axes(shape, axes, leading, f):
    layer = DenseLayer(InputLayer((None,) + shape[1:]), 3, numbers(
        (int(np.prod(shape[len(leading):])), 3), 1), numbers((3,), 2), f, axes)
    assert layer.output_shape == (None, *leading[1:], 3)
    x = numbers(shape)
    z = reference.dense(x.reshape(int(np.prod(leading)), -1), layer.W.value,
                        layer.b.value)
    y = z if f is None else getattr(reference, f.name)(z)
    check_layer(layer, x, y.reshape(*leading, 3))


def test_dense_without_leading_axes_multiplies_all_there_is():
    layer = DenseLayer(InputLayer((2, 3)), 4, num_leading_axes=0, nonlinearity=None)
    x = numbers((2, 3))
    assert layer.output_shape == (4,) and layer.W.shape == (6, 4)
    y, tape = forward(layer, x)
    np.testing.assert_allclose(y, x.reshape(6) @ layer.W.value)
    gradients = tape.backward(np.ones(4), wrt_inputs=True)
    assert gradients.inputs[layer.input_layer].shape == (2, 3)


def test_dense_of_sequences_of_any_length():
    layer = DenseLayer(InputLayer((None, None, 5)), 3, num_leading_axes=2)
    assert layer.output_shape == (None, None, 3)
    for T in (1, 4):
        assert get_output(layer, numbers((2, T, 5))).shape == (2, T, 3)


@pytest.mark.parametrize("axes, fragments", [
    (2, ["num_leading_axes", "(None, 3)", "got 2"]), (-3, ["got -3"]), (1.0, ["1.0"]),
    (True, ["got True"]), ("name", ["'name'"])])
def test_dense_refuses_leading_axes(axes, fragments):
    refused(lambda: DenseLayer((None, 3), 2, num_leading_axes=axes, name="here"),
            *fragments)


def test_dense_wants_to_know_the_axes_that_it_multiplies():
    refused(lambda: DenseLayer((None, 3, None), 2, num_leading_axes=2, name="here"),
            "leading 2", "(None, 3, None)")


# --- embeddings -------------------------------------------------------------

def test_an_embedding_looks_rows_up():
    layer = EmbeddingLayer(InputLayer((None, 3)), 5, 2, numbers((5, 2)))
    assert layer.output_shape == (None, 3, 2)
    x = np.array([[0, 4, 4], [1, 0, 3]])
    check_layer(layer, x, reference.embedding(x, layer.W.value))


@pytest.mark.parametrize("wrong", [5, -1, 0.5, np.nan, np.inf])
def test_an_embedding_refuses_what_is_no_row(wrong):
    layer = EmbeddingLayer(InputLayer((None, 3)), 5, 2)
    with pytest.raises(ShapeError, match=f"from 0 to 4, .+ got {wrong}"):
        get_output(layer, np.array([[0.0, wrong, 1.0]]))


@pytest.mark.parametrize("sizes, fragments", [
    ((0, 2), ["input_size", "got 0"]), ((5, 1.5), ["output_size", "got 1.5"]),
    ((1 << 24, 1 << 0), []), (((1 << 24) + 1, 2), ["16,777,216", "16,777,217"])])
def test_an_embedding_has_sizes(sizes, fragments):
    def build():
        return EmbeddingLayer((None, 3), *sizes, W=lambda shape: np.zeros(shape, "f"),
                              name="here")
    refused(build, *fragments) if fragments else build()
