"""Dropout and batch normalisation: two modes, state, values, refusals."""

import numpy as np
import pytest

import minifer
from helpers import reference
from helpers.layers import check_layer, numbers, refused
from minifer import config, init, layers, nonlinearities, tensor
from minifer.expressions import Param
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            InputLayer, NonlinearityLayer, batch_norm, get_output)
from minifer.random import Stream


# --- dropout ----------------------------------------------------------------

def dropout(shape=(None, 3, 4), **options):
    return DropoutLayer(InputLayer(shape), **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.25, np.float64(0.25)])
@pytest.mark.parametrize("rescale", [True, False])
def test_dropout(rescale, p, dtype):
    x = numbers((50, 3, 4)).astype(dtype)
    mask = Stream(7, "dropout").keep_mask(x.shape, 0.25)
    assert 0 < mask.mean() < 1
    y = get_output(dropout(p=p, rescale=rescale, rng=7), x)
    assert y.dtype == dtype
    np.testing.assert_allclose(
        y, reference.dropout(x, mask, 0.25, rescale), rtol=1e-6)


@pytest.mark.parametrize("options", [{"deterministic": True}, {}])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_dropout_is_identity_for_prediction_or_at_0(p, options):
    layer = dropout(p=p)
    x = numbers((5, 3, 4))
    same = np.array_equal(get_output(layer, x, **options), x)
    assert same == (p == 0 or bool(options))
    assert layer.stream.step == (0 if same else 1)


@pytest.mark.parametrize("shared_axes", [(1,), (1, 2), (-1,), (0, 2)])
def test_dropout_shares_its_mask_along_axes(shared_axes):
    y = get_output(dropout(shared_axes=shared_axes, rng=3), np.ones((8, 3, 4)))
    for axis in shared_axes:
        assert (y == y.take([0], axis)).all()
    assert set(np.unique(y)) == {0, 2}  # both fates occur
    free = [axis for axis in range(3) if axis not in [a % 3 for a in shared_axes]]
    for axis in free:
        assert (y != y.take([0], axis)).any()


def test_dropout_keeps_the_mean():
    y = get_output(dropout(p=0.3, rng=1), np.ones((1000, 3, 4)))
    sigma = np.sqrt(0.3 / 0.7 / y.size)
    assert abs(y.mean() - 1) < 5 * sigma


def test_dropout_goes_on_to_another_mask_each_time():
    layer, x = dropout(rng=1), np.ones((8, 3, 4))
    first, second = get_output(layer, x), get_output(layer, x)
    assert (first != second).any() and layer.stream.step == 2
    layer.stream.step = 0
    np.testing.assert_array_equal(get_output(layer, x), first)


def test_dropouts_of_one_network_differ():
    one, other = dropout(), dropout()
    x = np.ones((8, 3, 4))
    assert (get_output(one, x) != get_output(other, x)).any()


def test_dropout_is_lasagnes_lower_case_name():
    assert layers.dropout is DropoutLayer
    assert dropout().p == 0.5 and dropout().rescale


def test_the_gradient_passes_where_the_unit_stayed():
    layer, x = dropout(p=0.25, rng=1), numbers((8, 3, 4))
    y, tape = layers.forward(layer, x)
    dy = numbers(x.shape, 1)
    dx = tape.backward(dy, wrt_inputs=True).inputs[layer.input_layer]
    np.testing.assert_allclose(dx, np.where(y != 0, dy / 0.75, 0))


@pytest.mark.parametrize("options, fragments", [
    ({"p": 1}, ["[0, 1)", "got 1"]), ({"p": -0.1}, ["[0, 1)", "got -0.1"]),
    ({"p": "0.5"}, ["[0, 1)", "got '0.5'"]), ({"p": float("nan")}, ["got nan"]),
    ({"shared_axes": (3,)}, ["among the 3 axes", "(3,)"]),
    ({"shared_axes": (-4,)}, ["among the 3 axes", "(-4,)"]),
    ({"shared_axes": 1}, ["among the 3 axes", "got 1"])])
def test_dropout_refuses(options, fragments):
    refused(lambda: DropoutLayer((None, 3, 4), name="here", **options), *fragments)


# --- batch norm: values -----------------------------------------------------

@pytest.mark.parametrize("axes, kept", [
    ("auto", (3,)), ((0, 2, 3), (3,)), (0, (3, 4, 2)), ((0, 1, -1), (4,))])
@pytest.mark.parametrize("with_beta, with_gamma", [
    (True, True), (False, True), (True, False), (False, False)])
def test_batch_norm(axes, kept, with_beta, with_gamma):
    beta = numbers(kept, 1) if with_beta else None
    gamma = numbers(kept, 2) if with_gamma else None
    x = numbers((5, 3, 4, 2))
    layer = BatchNormLayer(InputLayer((None, 3, 4, 2)), axes, epsilon=0.01,
                           beta=beta, gamma=gamma)
    expected, _, _ = reference.batch_norm(x, gamma, beta, layer.axes, 0.01)
    check_layer(layer, x, expected)


def test_batch_norm_of_a_dense_layer_is_per_unit():
    layer = BatchNormLayer(InputLayer((None, 4)))
    assert layer.axes == (0,) and layer.gamma.shape == (4,)
    x = numbers((6, 4))
    check_layer(layer, x, reference.batch_norm(x, None, None, (0,), 1e-4)[0])


def test_prediction_uses_the_running_averages():
    mean, inv_std = numbers((3,), 1), numbers((3,), 2) ** 2 + 0.5
    beta, gamma = numbers((3,), 3), numbers((3,), 4)
    with config.use_floatX("float64"):
        layer = BatchNormLayer(InputLayer((None, 3, 2)), beta=beta, gamma=gamma,
                               mean=mean, inv_std=inv_std)
    x = numbers((5, 3, 2))
    check_layer(layer, x, reference.batch_norm_fixed(
        x, gamma, beta, mean, inv_std, (0, 2)), deterministic=True)


# --- batch norm: state ------------------------------------------------------

def averages(layer):
    return layer.mean.get_value(), layer.inv_std.get_value()


def test_running_averages_are_of_mean_and_variance():
    x = numbers((5, 3, 2))
    _, mean, inv_std = reference.batch_norm(x, None, None, (0, 2), 1e-4)
    with config.use_floatX("float64"):
        layer = BatchNormLayer(InputLayer((None, 3, 2)), alpha=0.25)
    for kept in (0.75, 0.75 ** 2):
        get_output(layer, x)
        np.testing.assert_allclose(layer.mean.value, (1 - kept) * mean, rtol=1e-10)
        np.testing.assert_allclose(layer.inv_std.value ** -2,
                                   kept + (1 - kept) * inv_std ** -2, rtol=1e-10)


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_one_small_batch_does_not_ruin_the_averages(mode):
    """A picture in which nothing varies: 1/σ of it is 100, and was averaged."""
    net = BatchNormLayer(InputLayer((None, 2, 3, 3), tensor.tensor4("x")))
    run = minifer.function([net.input_layer.input_var], get_output(net), mode=mode)
    for seed in range(60):
        run(numbers((8, 2, 3, 3), seed).astype("float32"))
    before = net.inv_std.get_value()
    run(np.ones((1, 2, 3, 3), "float32"))
    np.testing.assert_allclose(net.inv_std.value / before, 1 / np.sqrt(.9), rtol=1e-3)


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_one_value_a_channel_moves_no_average(mode):
    net = BatchNormLayer(InputLayer((None, 2, 1, 1), tensor.tensor4("x")))
    run = minifer.function([net.input_layer.input_var], get_output(net), mode=mode)
    run(numbers((4, 2, 1, 1)).astype("float32"))
    before = averages(net)
    run(np.full((1, 2, 1, 1), 7, "float32"))
    for now, old in zip(averages(net), before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("options, uses, updates", [
    ({}, False, True), ({"deterministic": True}, True, False),
    ({"batch_norm_use_averages": True}, True, True),
    ({"batch_norm_update_averages": False}, False, False),
    ({"deterministic": True, "batch_norm_use_averages": False}, False, False),
    ({"deterministic": True, "batch_norm_update_averages": True}, True, True)])
def test_lasagnes_options_choose_what_is_used_and_updated(options, uses, updates):
    layer = BatchNormLayer(InputLayer((None, 3)))
    before, x = averages(layer), numbers((5, 3))
    y = get_output(layer, x, **options)
    # The averages start at mean 0 and deviation 1: using them changes nothing.
    assert np.array_equal(y, x) == uses
    changed = not np.array_equal(before, averages(layer))
    assert changed == updates


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_averages_keep_their_dtype(dtype):
    with config.use_floatX(dtype):
        layer = BatchNormLayer(InputLayer((None, 3)), alpha=np.float64(0.1))
    get_output(layer, numbers((5, 3)))
    assert layer.mean.dtype == layer.inv_std.dtype == dtype


def test_averages_are_not_trained_and_beta_is_not_regularised():
    layer = BatchNormLayer((None, 3), name="bn")
    assert [p.name for p in layer.get_params()] == [
        "bn.beta", "bn.gamma", "bn.mean", "bn.inv_std"]
    assert layer.get_params(trainable=True) == [layer.beta, layer.gamma]
    assert layer.get_params(regularizable=True) == [layer.gamma]
    assert layer.get_params(batch_norm_stat=True) == [layer.mean, layer.inv_std]


@pytest.mark.parametrize("options, fragments", [
    ({"axes": (0, 3)}, ["among the 3", "(0, 3)"]),
    ({"axes": -4}, ["among the 3", "(-4,)"]),
    ({"axes": "all"}, ["among the 3", "'all'"]),
    ({"axes": 0, "incoming": (None, 3, None)}, ["(None, 3, None)", "axes=(0,)"]),
    ({"epsilon": 0}, ["epsilon > 0", "epsilon=0"]),
    ({"epsilon": "small"}, ["epsilon > 0", "'small'"]),
    ({"alpha": 1.5}, ["alpha in [0, 1]", "alpha=1.5"]),
    ({"gamma": np.ones(4)}, ["(3,)", "(4,)"]),
    (dict.fromkeys(("beta", "gamma"), Param(np.ones(3))), ["one parameter as both"])])
def test_batch_norm_refuses(options, fragments):
    options = {"incoming": (None, 3, 4), "name": "here", **options}
    refused(lambda: BatchNormLayer(**options), *fragments)


def test_batch_norm_refuses_another_input_later():
    layer = BatchNormLayer((None, 3, 4), name="here")
    assert layer.get_output_shape_for((7, 3, 9)) == (7, 3, 9)
    for shape in ((None, 4, 4), (None, 3)):
        refused(lambda: layer.get_output_shape_for(shape), "(None, 3, 4)", str(shape))
    with pytest.raises(TypeError, match="positional argument"):
        BatchNormLayer((None, 3), "auto", 1e-4, 0.1, None, None, 0, 1, "name")


# --- batch_norm around a layer ----------------------------------------------

def test_batch_norm_goes_between_a_layer_and_its_nonlinearity():
    conv = Conv2DLayer(InputLayer((None, 2, 5, 5)), 3, 3, name="conv")
    W, b = conv.W, conv.b
    top = batch_norm(conv, epsilon=0.01)
    bn = top.input_layer
    assert isinstance(top, NonlinearityLayer) and isinstance(bn, BatchNormLayer)
    assert (bn.name, top.name, bn.epsilon) == ("conv_bn", "conv_bn_nonlin", 0.01)
    assert layers.get_all_params(top) == [W, bn.beta, bn.gamma, bn.mean, bn.inv_std]
    assert conv.b is None and b not in conv.params
    x = numbers((4, 2, 5, 5))
    z = reference.conv2d(x, W.value)
    y, _, _ = reference.batch_norm(z, None, None, (0, 2, 3), 0.01)
    check_layer(top, x, reference.rectify(y))


def test_batch_norm_of_a_linear_layer_adds_no_nonlinearity():
    dense = DenseLayer((None, 3), 2, nonlinearity=None)
    top = batch_norm(dense, name="mine")
    assert isinstance(top, BatchNormLayer) and top.name == "mine"
    assert dense.nonlinearity is nonlinearities.identity


def test_batch_norm_of_a_layer_without_either():
    top = batch_norm(InputLayer((None, 3)))
    assert isinstance(top, BatchNormLayer) and top.name is None


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_averages_that_know_nothing_begin_with_the_batch(alpha):
    layer = BatchNormLayer(InputLayer((None, 3)), alpha=alpha, inv_std=init.Constant(0))
    get_output(layer, numbers((5, 3)))
    _, _, inv_std = reference.batch_norm(numbers((5, 3)), None, None, (0,), 1e-4)
    np.testing.assert_allclose(layer.inv_std.value, inv_std, rtol=1e-5)
