"""Losses written down before there are data, and functions made of them."""

import numpy as np
import pytest

import minifer
from helpers.layers import numbers
from helpers.tolerances import assert_close
from minifer import gradcheck, nonlinearities, objectives, tensor, updates
from minifer.errors import NotFiniteError, SettingError, ShapeError
from minifer.expressions import Apply, Variable, evaluate, gradients
from minifer.layers import (BatchNormLayer, DenseLayer, DropoutLayer, InputLayer,
                            Layer, get_all_params, get_output)

X = np.array([[1.0, 2.0], [3.0, 6.0]])


def value_of(expression, **values):
    """The expression where the variables have these values, by name."""
    variables, pending = {}, [expression]
    while pending:
        node = pending.pop()
        pending += node.inputs
        if isinstance(node, Variable):
            variables[node.name] = node
    return minifer.function([variables[n] for n in values], expression)(
        *values.values())


def classifier():
    """A small network, its input and target variables, and its mean loss."""
    x, t = tensor.matrix("x"), tensor.ivector("t")
    h = DenseLayer(InputLayer((None, 3), x), 4, nonlinearity=nonlinearities.tanh,
                   name="h")
    top = DenseLayer(h, 2, nonlinearity=nonlinearities.softmax, name="top")
    loss = objectives.categorical_crossentropy(get_output(top), t).mean()
    return top, x, t, loss


# --- arithmetic -------------------------------------------------------------

@pytest.mark.parametrize("build, expected", [
    (lambda x: x.mean(), 3), (lambda x: x.sum(), 12), (lambda x: -x.mean(), -3),
    (lambda x: 2 * x.sum() + x.mean() * 3, 33), (lambda x: x.sum() / 4, 3),
    (lambda x: x.sum() - x.mean(), 9), (lambda x: x.sum() - 2, 10),
    (lambda x: 2 + x.sum(), 14), (lambda x: 20 - x.sum(), 8),
    (lambda x: sum([x.mean(), x.mean()]), 6), (lambda x: (x + x).sum(), 24),
    (lambda x: tensor.mean(x), 3), (lambda x: tensor.sum(x), 12)])
def test_arithmetic(build, expected):
    found = value_of(build(tensor.matrix("x")), x=X)
    assert found == expected and type(found) is float


def test_arithmetic_on_arrays():
    x = tensor.matrix("x")
    np.testing.assert_array_equal(value_of(2 * x - x / 2, x=X), 1.5 * X)


# --- the names of theano.tensor ---------------------------------------------

@pytest.mark.parametrize("name, ndim", [
    ("vector", 1), ("matrix", 2), ("tensor3", 3), ("tensor4", 4), ("ivector", 1),
    ("lvector", 1)])
def test_variables_know_their_axes(name, ndim):
    variable = getattr(tensor, name)("data")
    assert (variable.name, variable.ndim) == ("data", ndim)
    assert repr(variable) == f"Variable('data', ndim={ndim})"
    assert getattr(tensor, name)().name is None


def test_argmax_eq_and_mean_give_the_accuracy():
    p, t = tensor.matrix("p"), tensor.ivector("t")
    hits = tensor.eq(tensor.argmax(p, axis=1), t)
    values = {"p": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]),
              "t": np.array([1, 0, 0])}
    assert value_of(hits, **values).tolist() == [True, True, False]
    assert value_of(tensor.mean(hits, dtype="float32"), **values) == np.float32(2 / 3)
    assert value_of(tensor.argmax(p, axis=0), p=values["p"]).tolist() == [1, 0]


def test_eq_takes_a_number():
    assert value_of(tensor.eq(tensor.vector("x"), 2),
                    x=np.array([1, 2])).tolist() == [False, True]


# --- gradients --------------------------------------------------------------

def test_gradients_of_a_loss_are_measured_ones():
    with minifer.config.use_floatX("float64"):
        top, x, t, loss = classifier()
    penalty = minifer.regularization.regularize_network_params(
        top, minifer.regularization.l2)
    total = 2 * loss - loss / 3 + 0.1 * penalty
    values = {x: numbers((5, 3)), t: np.array([0, 1, 1, 0, 1])}
    found = gradients(total, evaluate([total], values))
    params = get_all_params(top)
    assert set(found) == set(params)
    report = gradcheck.compare(lambda: float(evaluate([total], values)[total][0]),
                               {p.name: (p.value, found[p]) for p in params})
    assert report.ok, f"\n{report}"


def test_two_passes_through_one_network_add_up():
    top, x, t, loss = classifier()
    both = loss + objectives.categorical_crossentropy(get_output(top), t).mean()
    values = {x: numbers((5, 3)), t: np.array([0, 1, 1, 0, 1])}
    once = gradients(loss, evaluate([loss], values))
    twice = gradients(both, evaluate([both], values))
    for param in get_all_params(top):
        np.testing.assert_allclose(twice[param], 2 * once[param])


def test_several_outputs_of_one_pass():
    x = tensor.matrix("x")
    h = DropoutLayer(DenseLayer(InputLayer((None, 3), x), 4))
    top = DenseLayer(h, 2)
    low, high = get_output([h, top])
    run = minifer.function([x], [low, high])
    below, above = run(numbers((5, 3)))
    # one mask for both, for it is one pass
    np.testing.assert_allclose(above, nonlinearities.rectify(below @ top.W.value))
    loss = low.sum() + high.sum() * 2
    found = gradients(loss, evaluate([loss], {x: numbers((5, 3))}))
    assert len(found) == 4


def test_an_argmax_passes_no_gradient():
    top, x, t, loss = classifier()
    hits = tensor.mean(tensor.eq(tensor.argmax(get_output(top), axis=1), t),
                       dtype="float64")
    done = evaluate([hits], {x: numbers((2, 3)), t: np.array([0, 1])})
    assert gradients(hits, done) == {}


def test_a_loss_for_each_sample_is_no_loss():
    x = tensor.vector("x")
    with pytest.raises(SettingError, match=r"scalar loss, got shape \(3,\).+mean"):
        gradients(x, evaluate([x], {x: np.ones(3)}))


# --- get_output without data ------------------------------------------------

@pytest.mark.parametrize("nonlinearity", [
    nonlinearities.rectify, nonlinearities.softmax, None])
def test_an_output_expression_has_the_outputs_values(nonlinearity):
    network = DenseLayer(InputLayer((None, 3)), 4, nonlinearity=nonlinearity)
    x = numbers((5, 3)).astype("float32")
    expression = get_output(network)
    found = minifer.function([network.input_layer.input_var], expression)(x)
    assert_close(found, get_output(network, x), "reference", "float32", "output")
    assert found.dtype == "float32"


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_variables_given_take_the_place_of_the_layers_own(mode):
    network, x = DenseLayer(InputLayer((None, 3)), 4), tensor.matrix("x")
    data = numbers((5, 3)).astype("float32")
    expected = get_output(network, data)
    for inputs in x, {network.input_layer: x}:
        found = minifer.function([x], get_output(network, inputs), mode=mode)(data)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = minifer.function([x], get_output(network, x), mode=mode)(data)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    params = get_all_params(network)
    loss = objectives.squared_error(get_output(network, x), 0.).mean()
    train = minifer.function([x], loss, updates.sgd(loss, params, 0.1), mode=mode)
    assert train(data) > train(data)


def test_a_softmax_of_ones_own_layer_is_applied_once():
    class Mine(Layer):
        nonlinearity = nonlinearities.softmax

        def forward(self, x):
            return self.nonlinearity.forward(x)

        def backward(self, dy, cache):
            return self.nonlinearity.backward(dy, cache), {}

    network = Mine(InputLayer((None, 3)))
    expression = get_output(network)
    x = numbers((5, 3))
    np.testing.assert_allclose(
        minifer.function([network.input_layer.input_var], expression)(x),
        get_output(network, x))


def test_deterministic_is_part_of_the_expression():
    network = DropoutLayer(InputLayer((None, 50)))
    sure, noisy = get_output(network, deterministic=True), get_output(network)
    run = minifer.function([network.input_layer.input_var], [sure, noisy])
    x = np.ones((3, 50))
    one, two = run(x), run(x)
    np.testing.assert_array_equal(one[0], x)
    assert (one[1] != two[1]).any()


def test_an_input_has_its_variable_from_the_start():
    network = InputLayer((None, 3, 2), name="in")
    assert repr(network.input_var) == "Variable('in.input', ndim=3)"
    assert InputLayer((None, 3)).input_var.name == "input"


def test_an_input_variable_of_other_axes_is_refused():
    with pytest.raises(ShapeError, match="input_var of 2 axes.+got one of 4"):
        InputLayer((None, 3), tensor.tensor4("x"))


def test_a_misspelt_option_warns_once():
    network = DropoutLayer(InputLayer((None, 3)))
    with pytest.warns(UserWarning, match="Perhaps you meant 'deterministic'"):
        output = get_output(network, determinstic=True)
    minifer.function([network.input_layer.input_var], output)(np.ones((1, 3)))


# --- function ---------------------------------------------------------------

def test_one_output_or_a_list_of_them():
    x = tensor.matrix("x")
    assert minifer.function([x], x.mean())(X) == 3
    assert minifer.function([x], [x.mean()])(X) == [3]
    assert minifer.function([x], [x.mean(), x.sum()])(X) == [3, 12]


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_training_takes_a_step_after_the_loss(mode):
    top, x, t, loss = classifier()
    params = get_all_params(top, trainable=True)
    data, labels = numbers((5, 3)).astype("float32"), np.array([0, 1, 1, 0, 1])
    look = minifer.function([x, t], loss, mode=mode)
    train = minifer.function([x, t], loss, updates.sgd(loss, params, 0.5), mode=mode)
    before = look(data, labels)
    assert train(data, labels) == before  # the loss of before the step
    assert look(data, labels) < before
    losses = [train(data, labels) for _ in range(20)]
    assert losses == sorted(losses, reverse=True)
    assert all(p.dtype == "float32" for p in params)


def test_a_wrong_number_of_values_is_refused():
    x, y = tensor.matrix("x"), tensor.matrix("y")
    with pytest.raises(SettingError, match="expected 2 values, got 1"):
        minifer.function([x, y], x.mean())(X)


def test_a_value_with_other_axes_is_refused():
    x = tensor.tensor4("x")
    with pytest.raises(SettingError, match=r"4 axes for 'x', got shape \(2, 2, 1\)"):
        minifer.function([x], x.mean())(X[:, :, None])


def test_a_batch_of_another_shape_is_refused_by_the_input_layer():
    top, x, t, loss = classifier()
    with pytest.raises(ShapeError, match=r"\(None, 3\), got \(2, 2\)"):
        minifer.function([x, t], loss)(X, np.array([0, 1]))


def test_a_variable_that_is_no_input_is_named():
    x, y = tensor.matrix("x"), tensor.matrix("y")
    run = minifer.function([x], x.mean() + y.mean())
    with pytest.raises(SettingError, match="value for the variable 'y'"):
        run(X)


def test_inputs_must_be_variables():
    with pytest.raises(SettingError, match="expected variables as inputs, got 'x'"):
        minifer.function(["x"], tensor.matrix("x").mean())


def test_a_parameter_the_loss_does_not_know_is_named():
    top, x, t, loss = classifier()
    other = DenseLayer((None, 3), 2, name="other")
    train = minifer.function([x, t], loss, updates.sgd(loss, [other.W], 0.1))
    with pytest.raises(SettingError, match="does not depend on 'other.W'"):
        train(numbers((2, 3)), np.array([0, 1]))


# --- not finite -------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spoil, place", [
    (lambda top, x: x.__setitem__((1, 1), np.nan), "the input of layer <InputLayer"),
    (lambda top, x: top.W.value.__setitem__((0, 0), np.inf),
     "parameter 'top.W' of layer <DenseLayer 'top'"),
    (lambda top, x: top.input_layer.b.value.__setitem__(0, np.nan),
     "parameter 'h.b' of layer <DenseLayer 'h'")])
def test_a_loss_that_is_not_finite_is_blamed_and_nothing_changes(spoil, place, dtype):
    top, x, t, loss = classifier()
    params = get_all_params(top)
    step = updates.momentum(loss, params, learning_rate=0.1)
    train = minifer.function([x, t], loss, step)
    data = numbers((3, 3)).astype(dtype)
    spoil(top, data)
    before = [p.get_value() for p in params]
    with np.errstate(invalid="ignore"):
        with pytest.raises(NotFiniteError, match=place):
            train(data, np.array([0, 1, 1]))
    assert step.state["t"] == 0
    for param, old in zip(params, before):
        np.testing.assert_array_equal(param.value, old)


def test_running_averages_survive_a_loss_that_is_not_finite():
    x = tensor.matrix("x")
    network = BatchNormLayer(InputLayer((None, 3), x))
    loss = get_output(network).mean()
    params = get_all_params(network, trainable=True)
    train = minifer.function([x], loss, updates.sgd(loss, params, 0.1))
    with pytest.raises(NotFiniteError):
        train(np.full((2, 3), np.nan))
    assert np.isfinite(network.mean.value).all()
    assert np.isfinite(network.inv_std.value).all()


def test_a_gradient_that_is_not_finite_changes_nothing():
    def explode(dy, cache):
        return np.full_like(cache[0], np.inf)

    network = DenseLayer(InputLayer((None, 3)), 2)
    loss = Apply(lambda y: (y, (y,)), explode, get_output(network)).mean()
    params = get_all_params(network)
    train = minifer.function([network.input_layer.input_var], loss,
                             updates.sgd(loss, params, 0.1))
    with np.errstate(invalid="ignore"), pytest.raises(NotFiniteError, match="gradient"):
        train(np.ones((2, 3)))
    assert all(np.isfinite(p.value).all() for p in params)
