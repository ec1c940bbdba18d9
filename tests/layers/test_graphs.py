"""Networks that are more than a chain, and the functions that walk them."""

import numpy as np
import pytest

from helpers.layers import numbers
from minifer import init, layers, nonlinearities
from minifer.errors import SettingError, ShapeError, WeightsError
from minifer.layers import (BatchNormLayer, ConcatLayer, DenseLayer, DropoutLayer,
                            ElemwiseSumLayer, InputLayer, Layer, forward,
                            get_all_layers, get_all_param_values, get_all_params,
                            get_output, get_output_shape, set_all_param_values)


def linear(incoming, units, **options):
    return DenseLayer(incoming, units, nonlinearity=None, **options)


def as_arrays(gradients):
    """Gradients by name, to compare."""
    return {param.name: gradient for param, gradient in gradients.items()}


class Spy(Layer):
    """Passes everything on and notes what it was asked."""

    def __init__(self, incoming, scale=1.0, name=None):
        super().__init__(incoming, name)
        self.w = self.add_param(init.Constant(scale), (1,), "w")
        self.asked = []

    def forward(self, x):
        return x * self.w.value, (x,)

    def backward(self, dy, cache, need_dx=True):
        self.asked.append(need_dx)
        (x,) = cache
        dw = np.array([(dy * x).sum()])
        return (dy * self.w.value if need_dx else None), {self.w: dw}


# --- gradients add ----------------------------------------------------------

def test_a_layer_that_feeds_two_gets_the_sum_of_both_gradients():
    x = InputLayer((None, 3))
    h = linear(x, 3, name="h")
    y = ElemwiseSumLayer([h, linear(h, 3, name="up"), h], [2, 1, -5])
    value = numbers((4, 3))
    out, tape = forward(y, value)
    dy = numbers(out.shape, 1)
    found = tape.backward(dy, wrt_inputs=True)
    W, up = h.W.value, y.input_layers[1].W.value
    dh = -3 * dy + dy @ up.T
    np.testing.assert_allclose(found[h.W], value.T @ dh)
    np.testing.assert_allclose(found[h.b], dh.sum(axis=0))
    np.testing.assert_allclose(found.inputs[x], dh @ W.T)


def test_a_shared_parameter_collects_from_every_use():
    x = InputLayer((None, 3))
    one = linear(x, 3, b=None)
    two = linear(one, 3, W=one.W, b=None)
    assert get_all_params(two) == [one.W]
    value, W = numbers((4, 3)), one.W.value
    out, tape = forward(two, value)
    np.testing.assert_allclose(out, value @ W @ W)
    dy = numbers(out.shape, 1)
    found = tape.backward(dy)
    np.testing.assert_allclose(found[one.W],
                               value.T @ (dy @ W.T) + (value @ W).T @ dy)


def test_the_same_layer_twice_in_a_merge():
    h = Spy(InputLayer((None, 2)))
    _, tape = forward(ConcatLayer([h, h]), np.ones((1, 2)))
    found = tape.backward(np.array([[1.0, 2.0, 30.0, 40.0]]), wrt_inputs=True)
    np.testing.assert_array_equal(found.inputs[h.input_layer], [[31, 42]])
    assert h.asked == [True]  # once, with the sum


def test_several_outputs_give_the_sum_of_their_gradients():
    h = DenseLayer(InputLayer((None, 3)), 4, name="h",
                   nonlinearity=nonlinearities.tanh)
    up = DenseLayer(h, 2, name="up", nonlinearity=nonlinearities.tanh)
    x = numbers((5, 3))
    ys, tape = forward([h, up], x)
    dys = [numbers(y.shape, seed) for seed, y in enumerate(ys)]
    both = as_arrays(tape.backward(dys))
    first = as_arrays(forward(h, x)[1].backward(dys[0]))
    second = as_arrays(forward(up, x)[1].backward(dys[1]))
    assert set(both) == {"h.W", "h.b", "up.W", "up.b"}
    for name, gradient in both.items():
        np.testing.assert_allclose(gradient, first.get(name, 0) + second[name])


def test_an_output_named_twice_counts_twice():
    h = linear(InputLayer((None, 3)), 2)
    x = numbers((4, 3))
    ys, tape = forward([h, h], x)
    assert np.array_equal(*ys)
    twice = tape.backward([np.ones((4, 2)), np.ones((4, 2))])
    once = forward(h, x)[1].backward(np.ones((4, 2)))
    np.testing.assert_allclose(twice[h.W], 2 * once[h.W])


def test_an_output_without_gradient_below_another_is_fine():
    x = InputLayer((None, 3))
    left, right = linear(x, 2, name="left"), linear(x, 2, name="right")
    _, tape = forward([left, right], numbers((4, 3)))
    found = tape.backward([np.ones((4, 2)), np.zeros((4, 2))])
    assert not found[right.W].any() and found[left.W].any()


# --- the tape ---------------------------------------------------------------

def test_walking_back_twice_gives_the_same():
    network = DenseLayer(DropoutLayer(linear(InputLayer((None, 3)), 4)), 2)
    y, tape = forward(network, numbers((5, 3)))
    one, two = (tape.backward(np.ones_like(y)) for _ in range(2))
    assert list(one) == list(two)
    for param in one:
        np.testing.assert_array_equal(one[param], two[param])


def test_two_passes_do_not_disturb_each_other():
    network = DenseLayer(linear(InputLayer((None, 3)), 4), 2)
    x, other = numbers((5, 3)), numbers((5, 3), 1)
    y, tape = forward(network, x)
    expected = tape.backward(np.ones_like(y))
    y, tape = forward(network, x)
    forward(network, other)
    found = tape.backward(np.ones_like(y))
    for param in expected:
        np.testing.assert_array_equal(found[param], expected[param])


def test_gradients_of_the_input_only_on_request():
    x = InputLayer((None, 3))
    _, tape = forward(linear(x, 2), numbers((4, 3)))
    assert tape.backward(np.ones((4, 2))).inputs == {}
    assert tape.backward(np.ones((4, 2)), wrt_inputs=True).inputs[x].shape == (4, 3)


def test_the_lowest_layer_is_spared_its_dx():
    low = Spy(InputLayer((None, 3)))
    high = Spy(low)
    _, tape = forward(high, np.ones((2, 3)))
    found = tape.backward(np.ones((2, 3)))
    assert (low.asked, high.asked) == ([False], [True])
    np.testing.assert_array_equal(found[low.w], [6])
    tape.backward(np.ones((2, 3)), wrt_inputs=True)
    assert low.asked == [False, True]


def test_layers_below_the_wanted_parameters_are_skipped():
    low = Spy(InputLayer((None, 3)))
    middle = Spy(low)
    high = Spy(middle)
    _, tape = forward(high, np.ones((2, 3)))
    found = tape.backward(np.ones((2, 3)), params=[middle.w])
    assert (low.asked, middle.asked, high.asked) == ([], [False], [True])
    np.testing.assert_array_equal(found[middle.w], [6])


def test_a_branch_that_has_nothing_to_learn_is_skipped():
    x = InputLayer((None, 3))
    frozen, learning = Spy(x), linear(x, 3)
    network = ElemwiseSumLayer([frozen, learning])
    y, tape = forward(network, np.ones((2, 3)))
    assert set(tape.backward(np.ones_like(y), params=[learning.W])) >= {learning.W}
    assert frozen.asked == []


def test_a_layer_without_the_need_dx_option_is_called_without_it():
    dropout = DropoutLayer(InputLayer((None, 3)), rng=0)
    assert not dropout.can_skip_dx and linear((None, 3), 2).can_skip_dx
    network = linear(dropout, 2)
    y, tape = forward(network, np.ones((2, 3)))
    assert set(tape.backward(np.ones_like(y))) == {network.W, network.b}


def test_a_gradient_of_another_shape_is_refused():
    _, tape = forward(linear(InputLayer((None, 3)), 2), np.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"shape \(4, 2\), got \(4, 3\)"):
        tape.backward(np.ones((4, 3)))


def test_running_statistics_get_no_gradient():
    bn = BatchNormLayer(InputLayer((None, 3)))
    y, tape = forward(bn, numbers((4, 3)))
    assert set(tape.backward(np.ones_like(y))) == {bn.beta, bn.gamma}


def test_without_keep_only_the_output_is_left():
    x = InputLayer((None, 3))
    h = linear(x, 4)
    top = ElemwiseSumLayer([linear(h, 2), linear(h, 2)])
    y, kept = forward(top, numbers((5, 3)))
    same, freed = forward(top, numbers((5, 3)), keep=False)
    np.testing.assert_array_equal(y, same)
    assert len(kept.values) == 5 and len(kept.caches) == 4
    assert set(freed.values) == {top} and not freed.caches
    _, freed = forward([h, top], numbers((5, 3)), keep=False)
    assert set(freed.values) == {h, top}


# --- get_output -------------------------------------------------------------

def test_get_output_of_several_inputs():
    one, two = InputLayer((None, 3), name="one"), InputLayer((None, 2), name="two")
    both = ConcatLayer([one, two])
    x, y = numbers((4, 3)), numbers((4, 2), 1)
    np.testing.assert_array_equal(get_output(both, {two: y, one: x}), np.hstack([x, y]))
    with pytest.raises(SettingError, match="got 2. Pass a dict"):
        get_output(both, x)
    with pytest.raises(ShapeError, match="InputLayer 'two'"):
        get_output(both, {one: x})


def test_get_output_from_the_middle():
    h = Spy(InputLayer((None, 3)), scale=10.0)
    top = Spy(h, scale=2.0)
    x = numbers((4, 3))
    np.testing.assert_allclose(get_output(top, x), 20 * x)
    np.testing.assert_allclose(get_output(top, {h: x}), 2 * x)
    y, tape = forward(top, {h: x})
    found = tape.backward(np.ones_like(y), wrt_inputs=True)
    assert set(found) == {top.w} and set(found.inputs) == {h}


def test_get_output_of_a_list_is_a_list():
    h = linear(InputLayer((None, 3)), 2)
    ys = get_output([h, h.input_layer], numbers((4, 3)))
    assert [y.shape for y in ys] == [(4, 2), (4, 3)]
    assert isinstance(get_output([h], numbers((4, 3))), list)


def test_logits_leave_out_the_last_nonlinearity_only():
    h = DenseLayer(InputLayer((None, 3)), 4)
    top = DenseLayer(h, 2, nonlinearity=nonlinearities.softmax)
    x = numbers((5, 3))
    z, _ = forward(top, x, logits=True)
    np.testing.assert_allclose(z, get_output(h, x) @ top.W.value)
    np.testing.assert_allclose(nonlinearities.softmax(z), get_output(top, x))


def test_logits_of_a_hidden_output_do_not_reach_the_layers_above():
    h = DenseLayer(InputLayer((None, 3)), 4)
    top = DenseLayer(h, 2)
    alone, _ = forward(top, numbers((5, 3)), logits=True)
    (_, beside), _ = forward([h, top], numbers((5, 3)), logits=True)
    np.testing.assert_allclose(beside, alone)


def test_get_output_shape_of_other_inputs():
    x = InputLayer((None, 1, 9, 9))
    conv = layers.Conv2DLayer(x, 2, 3)
    both = ConcatLayer([conv, conv])
    assert get_output_shape(both) == (None, 4, 7, 7)
    assert get_output_shape(both, (5, 1, 20, 9)) == (5, 4, 18, 7)
    assert get_output_shape([x, both], {x: (5, 1, 9, 9)}) == [
        (5, 1, 9, 9), (5, 4, 7, 7)]
    assert get_output_shape(both, {conv: (1, 2, 3, 4)}) == (1, 4, 3, 4)


@pytest.mark.parametrize("option, hint", [
    ("determinstic", " Perhaps you meant 'deterministic'?"),
    ("batch_norm_use_average", " Perhaps you meant 'batch_norm_use_averages'?"),
    ("colour", "")])
def test_an_option_that_no_layer_knows_warns(option, hint):
    network = BatchNormLayer(linear(InputLayer((None, 3)), 2))
    with pytest.warns(UserWarning) as caught:
        get_output(network, numbers((4, 3)), **{option: True})
    assert [str(w.message) for w in caught] == [
        f"get_output: no layer of this network knows the option '{option}'.{hint}"]


def test_an_option_that_a_layer_knows_does_not_warn():
    network = BatchNormLayer(InputLayer((None, 3)))
    get_output(network, numbers((4, 3)), batch_norm_update_averages=False)
    with pytest.warns(UserWarning, match="'batch_norm_update_averages'"):
        get_output(network.input_layer, numbers((4, 3)),
                   batch_norm_update_averages=False)


# --- get_all_layers and parameters ------------------------------------------

def test_layers_come_inputs_first_and_left_to_right():
    one, two = InputLayer((None, 3)), InputLayer((None, 3))
    left, right = linear(one, 2), linear(two, 2)
    top = ElemwiseSumLayer([left, right, right])
    assert get_all_layers(top) == [one, left, two, right, top]
    assert get_all_layers([right, top]) == [two, right, one, left, top]
    assert get_all_layers(top, treat_as_input=[left]) == [left, two, right, top]


def test_a_deep_network_needs_no_deep_stack():
    layer = InputLayer((None, 3))
    for _ in range(5000):
        layer = Spy(layer)
    y, tape = forward(layer, np.ones((1, 3)))
    assert len(tape.backward(np.ones_like(y))) == 5000


def test_params_come_layer_by_layer_in_the_order_they_were_added():
    x = InputLayer((None, 1, 5, 5))
    network = layers.batch_norm(layers.Conv2DLayer(x, 2, 3, name="conv"))
    network = DenseLayer(network, 3, name="dense")
    assert [p.name for p in get_all_params(network)] == [
        "conv.W", "conv_bn.beta", "conv_bn.gamma", "conv_bn.mean", "conv_bn.inv_std",
        "dense.W", "dense.b"]
    assert [p.name for p in get_all_params(network, trainable=True)] == [
        "conv.W", "conv_bn.beta", "conv_bn.gamma", "dense.W", "dense.b"]
    assert [p.name for p in get_all_params(network, regularizable=True)] == [
        "conv.W", "conv_bn.gamma", "dense.W"]
    assert layers.count_params(network) == 18 + 8 + 54 + 3
    assert layers.count_params(network, regularizable=True) == 18 + 2 + 54


def test_values_go_out_and_in():
    network = linear(linear(InputLayer((None, 3)), 4), 2)
    values = get_all_param_values(network)
    values[0][...] = 7  # copies: the network does not notice
    assert (get_all_params(network)[0].value != 7).all()
    set_all_param_values(network, [v.astype("float64") for v in values])
    assert get_all_params(network)[0].dtype == "float32"
    np.testing.assert_array_equal(get_all_param_values(network)[0], 7)


@pytest.mark.parametrize("spoil, message", [
    (lambda values: values[:-1], "expected 4 arrays, got 3"),
    (lambda values: values + values[:1], "expected 4 arrays, got 5"),
    (lambda values: values[:2] + [values[2].T] + values[3:],
     r"expected shape \(4, 2\) for array 2 \('top.W'\), got \(2, 4\)"),
    (lambda values: values[:3] + [values[3].reshape(1, 2)],
     r"expected shape \(2,\) for array 3 \('top.b'\), got \(1, 2\)"),
    (lambda values: values[:3] + [[0.0, 0.0]], "'top.b'.*got <class 'list'>")])
def test_wrong_values_change_nothing(spoil, message):
    network = linear(linear(InputLayer((None, 3)), 4), 2, name="top")
    before = get_all_param_values(network)
    with pytest.raises(WeightsError, match=message):
        set_all_param_values(network, spoil([v + 1 for v in before]))
    for value, old in zip(get_all_param_values(network), before):
        np.testing.assert_array_equal(value, old)


# --- noise ------------------------------------------------------------------

def test_seed_noise_starts_all_masks_anew():
    def build():
        network = DropoutLayer(InputLayer((None, 50)))
        return DropoutLayer(network, rescale=False)

    one, other, x = build(), build(), np.ones((4, 50))
    layers.seed_noise(one, 5)
    layers.seed_noise(other, 5)
    first = get_output(one, x)
    np.testing.assert_array_equal(first, get_output(other, x))
    assert (first != get_output(one, x)).any()
    layers.seed_noise(one, 5)
    np.testing.assert_array_equal(first, get_output(one, x))
    layers.seed_noise(one, 6)
    assert (first != get_output(one, x)).any()
    assert (one.stream.key != one.input_layer.stream.key).all()
