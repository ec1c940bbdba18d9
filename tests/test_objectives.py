"""Objectives on arrays and as expressions. Their mathematics: test_ops_loss."""

import numpy as np
import pytest

from helpers import reference
from helpers.devices import DEVICES
from helpers.layers import numbers
from helpers.tolerances import assert_close
from minifer import gradcheck, layers, nonlinearities, objectives, tensor, updates
from minifer.compiled.functions import function
from minifer.device.arrays import to_device, to_host
from minifer.errors import NotFiniteError, SettingError, ShapeError
from minifer.expressions import Param, Variable, evaluate, gradients

CLASSES = np.array([0, 2, 1, 2])
WEIGHTS = np.array([1.0, 0.5, 3.0])


def probabilities(seed=0, shape=(4, 3)):
    return reference.softmax(numbers(shape, seed))


def value_of(objective, *arrays, **options):
    """The objective of variables, computed through a function."""
    variables = [Variable(ndim=a.ndim) for a in arrays]
    return function(variables, objective(*variables, **options))(*arrays)


# --- the same numbers on both ways ------------------------------------------

@pytest.mark.parametrize("name, predictions, targets, options", [
    ("categorical_crossentropy", probabilities(), CLASSES, {}),
    ("categorical_crossentropy", probabilities(), probabilities(1), {}),
    ("categorical_crossentropy", probabilities(), CLASSES, {"class_weights": WEIGHTS}),
    ("softmax_crossentropy", numbers((4, 3)), CLASSES, {}),
    ("softmax_crossentropy", numbers((4, 3)), CLASSES, {"class_weights": WEIGHTS}),
    ("binary_crossentropy", probabilities(), probabilities(1), {}),
    ("sigmoid_crossentropy", numbers((4, 3)), probabilities(1), {}),
    ("squared_error", numbers((4, 3)), numbers((4, 3), 1), {})])
def test_arrays_and_expressions_give_the_references_numbers(
        name, predictions, targets, options):
    objective = getattr(objectives, name)
    expected = getattr(reference, name)(predictions, targets, **options)
    for losses in (objective(predictions, targets, **options),
                   value_of(objective, predictions, targets, **options)):
        assert_close(losses, expected, "reference", "float64", name)
        assert losses.dtype == "float64"
    low = predictions.astype("float32")
    assert objective(low, targets, **options).dtype == "float32"


def test_probabilities_are_not_clipped():
    p = np.array([[0.0, 1.0]])
    with np.errstate(divide="ignore"):
        assert objectives.categorical_crossentropy(p, np.array([0]))[0] == np.inf


def test_a_softmax_and_its_crossentropy_are_fused():
    x, t = tensor.matrix("x"), tensor.ivector("t")
    network = layers.NonlinearityLayer(layers.InputLayer((None, 2), x),
                                       nonlinearities.softmax)
    losses = objectives.categorical_crossentropy(layers.get_output(network), t)
    sure = np.array([[1000.0, -1000.0]])  # the softmax is exactly (1, 0)
    assert function([x, t], losses)(sure, np.array([1])).tolist() == [2000]


def ending_in(f, units, shape=lambda layer: layer):
    """A network whose scores are its inputs, which may have its shape changed."""
    top = layers.DenseLayer(layers.InputLayer((None, units)), units,
                            W=np.eye(units, dtype="float32"), nonlinearity=f)
    return shape(top)


SURE = np.array([[100.0, -17.0], [17.0, -100.0], [-200.0, 200.0]], "float32")


@pytest.mark.parametrize("device", DEVICES + ["cpu"])
@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("units, soft, shape", [
    (1, False, None), (2, True, None), (2, False, layers.FlattenLayer),
    (1, False, lambda top: layers.FlattenLayer(top, 1)),
    (2, True, lambda top: layers.ReshapeLayer(top, (-1, 1)))])
def test_a_sigmoid_and_its_crossentropy_are_fused(device, mode, deterministic, units,
                                                  soft, shape):
    network = ending_in(nonlinearities.sigmoid, units, shape or (lambda top: top))
    t, scores = Variable("t"), SURE[:, :units]
    prediction = layers.get_output(network, deterministic=deterministic)
    losses = objectives.binary_crossentropy(prediction, t)
    source = layers.get_all_layers(network)[0].input_var
    params = layers.get_all_params(network)
    weights = np.linspace(1, 2, scores.size if shape else len(scores))
    total = (losses.mean() if shape
             else objectives.aggregate(losses, to_device(weights, device)))
    step = updates.sgd(total, params, learning_rate=1.0)
    train = function([source, t], [total, losses, prediction], step, mode=mode,
                     device=device)
    targets = (scores < 0) * (0.75 if soft else 1.0)
    expected = reference.sigmoid_crossentropy(scores, targets)
    dz = (nonlinearities.sigmoid(scores.astype(float)) - targets) / scores.size
    if not shape:
        dz *= weights[:, None]
        expected_total = (expected * weights[:, None]).mean()
    else:
        expected_total = expected.mean()
    out = layers.get_output_shape(network)
    targets = targets.reshape([-1 if n is None else n for n in out])
    W = params[0].get_value()
    found = train(scores, targets.astype("float32"))
    np.testing.assert_allclose(found[0], expected_total, rtol=1e-6)
    np.testing.assert_allclose(found[1].ravel(), expected.ravel(), rtol=1e-6,
                               atol=1e-43)
    np.testing.assert_allclose(found[2].ravel(), nonlinearities.sigmoid(scores).ravel(),
                               rtol=1e-6)
    np.testing.assert_allclose(W - params[0].get_value(), scores.T @ dz, rtol=1e-4,
                               atol=1e-5)
    np.testing.assert_allclose(-params[1].get_value(), dz.sum(axis=0), rtol=1e-5,
                               atol=1e-6)


@pytest.mark.parametrize("device", DEVICES + ["cpu"])
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_each_of_several_outputs_is_fused(device, mode):
    x = layers.InputLayer((None, 2))
    eye = np.eye(2, dtype="float32")
    tops = [layers.DenseLayer(x, 2, W=eye, nonlinearity=f) for f in (
        nonlinearities.softmax, nonlinearities.sigmoid, nonlinearities.rectify)]
    t, b = tensor.ivector("t"), tensor.matrix("b")
    one, two, three = layers.get_output(tops)
    losses = [objectives.categorical_crossentropy(one, t),
              objectives.binary_crossentropy(two, b)]
    loss = losses[0].mean() + losses[1].mean()
    params = layers.get_all_params(tops)
    train = function([x.input_var, t, b], [*losses, three],
                     updates.sgd(loss, params[:4], 0.1), mode=mode, device=device)
    found = train(SURE, np.array([1, 1, 0]), (SURE < 0).astype("float32"))
    np.testing.assert_allclose(found[0], [117, 117, 400], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.abs(SURE), rtol=1e-6)
    np.testing.assert_array_equal(found[2], np.maximum(SURE, 0))


def test_a_sigmoid_that_others_read_is_not_left_out():
    low = layers.DenseLayer(layers.InputLayer((None, 2)), 2,
                            nonlinearity=nonlinearities.sigmoid)
    top = layers.DenseLayer(low, 2, nonlinearity=nonlinearities.sigmoid)
    both = layers.get_output([low, top])
    source, x = low.input_layer.input_var, numbers((3, 2)).astype("float32")
    found = function([source], both)(x)
    expected = layers.get_output([low, top], x)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-6)


class Hidden(nonlinearities.Nonlinearity):
    """A nonlinearity that nothing is fused with."""


@pytest.mark.parametrize("device", DEVICES + ["cpu"])
@pytest.mark.parametrize("f, objective, targets, message", [
    ("sigmoid", "binary_crossentropy", [[0.0, 1], [0, 1], [1, 1]],
     "4 predictions are 0 or 1, .* targets are not. End the network in a sigmoid"),
    ("softmax", "categorical_crossentropy", [[0.0, 1], [0, 1], [1, 0]],
     "3 predictions are 0, .* targets are not. End the network in a softmax"),
    ("identity", "binary_crossentropy", [[0.0, 1], [0, 1], [1, 1]],
     "predictions .*from -200 to 200"),
    ("sigmoid", "sigmoid_crossentropy", [[-1.0, 1], [-1, 1], [1, 1]],
     "targets .*from -1 to 1"),
    ("sigmoid", "binary_crossentropy", [[0.0, np.nan], [0, 1], [1, 1]],
     "The values given for 't' are not either")])
def test_the_true_cause_of_what_is_not_finite_is_said(device, f, objective, targets,
                                                      message):
    f = nonlinearities.identity if f == "identity" else Hidden(f)
    network, t = ending_in(f, 2), tensor.matrix("t")
    loss = getattr(objectives, objective)(layers.get_output(network), t).mean()
    source = layers.get_all_layers(network)[0].input_var
    train = function([source, t], loss, updates.sgd(
        loss, layers.get_all_params(network), 0.1), device=device)
    with pytest.raises((NotFiniteError, ShapeError), match=message):
        train(SURE, np.array(targets, "float32"))


def test_the_true_cause_of_a_gradient_that_is_not_finite_is_said():
    network, t = ending_in(Hidden("sigmoid"), 1), tensor.matrix("t")
    loss = objectives.binary_crossentropy(layers.get_output(network), t).mean()
    source = layers.get_all_layers(network)[0].input_var
    train = function([source, t], loss, updates.sgd(
        loss, layers.get_all_params(network), 0.1))
    with pytest.raises(NotFiniteError, match="gradient of 'W'.*network in a sigmoid"):
        train(np.array([[-100.0]], "float32"), np.ones((1, 1), "float32"))


def test_a_number_can_be_the_target():
    np.testing.assert_array_equal(objectives.squared_error(np.array([1.0, 3.0]), 1.0),
                                  [0, 4])


@pytest.mark.parametrize("targets", [np.zeros(3, int), np.zeros((4, 2)), np.zeros(())])
def test_targets_of_another_shape_are_refused(targets):
    with pytest.raises(ShapeError):
        objectives.categorical_crossentropy(probabilities(), targets)


# --- aggregate --------------------------------------------------------------

@pytest.mark.parametrize("mode, weights, expected", [
    ("mean", None, 2.5), ("sum", None, 10), ("mean", [1, 2, 0, 5], 15 / 4),
    ("sum", [1, 2, 0, 5], 15), ("normalized_sum", [1, 2, 0, 5], 15 / 8)])
def test_aggregate(mode, weights, expected):
    losses = np.array([4.0, 3.0, 2.0, 1.0])
    weights = None if weights is None else np.array(weights, float)
    assert objectives.aggregate(losses, weights, mode) == pytest.approx(expected)
    assert value_of(objectives.aggregate, losses, weights=weights,
                    mode=mode) == pytest.approx(expected)


@pytest.mark.parametrize("mode", ["mean", "sum", "normalized_sum"])
def test_aggregate_with_weights_that_come_with_the_batch(mode):
    losses, weights = np.array([4.0, 3.0]), np.array([1.0, 3.0])
    expected = objectives.aggregate(losses, weights, mode)
    assert value_of(objectives.aggregate, losses, weights,
                    mode=mode) == pytest.approx(expected)


def test_the_gradient_of_aggregate_is_the_weights():
    network = layers.DenseLayer(layers.InputLayer((None, 3)), 1, nonlinearity=None)
    flat = layers.FlattenLayer(network, 1)
    loss = objectives.aggregate(layers.get_output(flat), np.array([1.0, 2.0, 5.0]),
                                mode="normalized_sum")
    source = network.input_layer.input_var
    found = gradients(loss, evaluate([loss], {source: np.eye(3)}))
    np.testing.assert_allclose(found[network.W][:, 0], [1 / 8, 2 / 8, 5 / 8])
    np.testing.assert_allclose(found[network.b], [1])


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_weights_of_the_samples_weigh_all_losses_of_a_sample(shape):
    losses = np.arange(12.0).reshape(4, 3)
    expected = (losses * np.array([[1], [2], [0], [5]])).mean()
    weights = np.broadcast_to(np.array([[1], [2], [0], [5]]), (4, 3))
    weights = weights[:, 0] if shape == (4,) else weights[:, :shape[1]]
    assert objectives.aggregate(losses, weights) == expected
    assert value_of(objectives.aggregate, losses, weights=weights) == expected


@pytest.mark.parametrize("shape", [(3,), (1,), (), (1, 3), (4, 2), (4, 3, 1)])
def test_weights_that_do_not_fit_are_refused(shape):
    # (4, 1) losses times (4,) weights would broadcast to (4, 4).
    for losses in (np.ones((4, 3)), np.ones((4, 1)), np.ones(4)):
        if shape != losses.shape and losses.shape[1:] != shape[1:]:
            with pytest.raises(ShapeError, match="aggregate: expected a weight"):
                objectives.aggregate(losses, np.ones(shape))


def test_aggregate_refuses():
    with pytest.raises(SettingError, match="'mean', 'sum' or 'normalized_sum', got 'x"):
        objectives.aggregate(np.ones(3), mode="xyz")
    with pytest.raises(SettingError, match="expects weights"):
        objectives.aggregate(np.ones(3), mode="normalized_sum")


# --- accuracy ---------------------------------------------------------------

P = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])


@pytest.mark.parametrize("top_k, expected", [
    (1, [0, 0, 0, 1]), (2, [0, 1, 1, 1]), (3, [1, 1, 1, 1])])
def test_accuracy(top_k, expected):
    targets = np.array([0, 2, 1, 0])
    distributions = np.eye(3)[targets]
    for given in (targets, distributions):
        found = objectives.categorical_accuracy(P, given, top_k)
        assert found.tolist() == expected and found.dtype == "float64"
        assert value_of(objectives.categorical_accuracy, P, given,
                        top_k=top_k).tolist() == expected


def test_of_equals_the_first_class_wins():
    even = np.full((1, 3), 1 / 3)
    assert objectives.categorical_accuracy(even, np.array([0])) == [1]
    assert objectives.categorical_accuracy(even, np.array([1])) == [0]


def test_accuracy_refuses_other_targets():
    with pytest.raises(ShapeError, match=r"\(4,\) or \(4, 3\), got \(3,\)"):
        objectives.categorical_accuracy(P, np.zeros(3, int))


# --- hinge, Huber, accuracy ---------------------------------------------------------

def both_ways(objective, *arrays, **options):
    """The value on arrays, which is the same as that of expressions."""
    found = objective(*arrays, **options)
    np.testing.assert_allclose(value_of(objective, *arrays, **options), found)
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize("delta", [1, 0.5])
def test_binary_hinge_loss(delta):
    z, t = numbers((5, 2)), numbers((5, 2), 1) > 0
    expected = np.maximum(0, delta - np.where(t, z, -z))
    hinge = objectives.binary_hinge_loss
    np.testing.assert_allclose(
        both_ways(hinge, z, t.astype(float), delta=delta, log_odds=True), expected)
    np.testing.assert_allclose(
        both_ways(hinge, z, 2.0 * t - 1, delta=delta, binary=False), expected)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(
        both_ways(hinge, p, t.astype(float), delta=delta, log_odds=False), expected)


@pytest.mark.parametrize("delta", [1, 0.5])
def test_huber_loss(delta):
    p, t = numbers((5, 2)) * 2, numbers((5, 2), 1)
    e = np.abs(p - t)
    expected = np.where(e <= delta, 0.5 * e ** 2, delta * (e - 0.5 * delta))
    np.testing.assert_allclose(both_ways(objectives.huber_loss, p, t, delta=delta),
                               expected)


def test_multiclass_hinge_loss():
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    found = both_ways(objectives.multiclass_hinge_loss, p, np.array([1, 2]), delta=0.4)
    np.testing.assert_allclose(found, [0, 0.5])


def test_binary_accuracy():
    p, t = np.array([[0.2], [0.5], [0.9]]), np.array([0, 1, 0])
    assert both_ways(objectives.binary_accuracy, p, t).tolist() == [
        [True], [True], [False]]
    assert objectives.binary_accuracy(p, t, threshold=0.6).tolist() == [
        [True], [False], [False]]


@pytest.mark.parametrize("name", ["squared_error", "binary_crossentropy", "huber_loss",
                                  "binary_hinge_loss"])
def test_targets_of_a_single_output_may_be_a_vector(name):
    objective = getattr(objectives, name)
    p, t = np.array([[0.2], [0.7], [0.9]]), np.array([0.0, 1.0, 1.0])
    np.testing.assert_allclose(both_ways(objective, p, t), objective(p, t[:, None]))


@pytest.mark.parametrize("name", ["huber_loss", "binary_hinge_loss"])
def test_other_shapes_are_refused(name):
    with pytest.raises(ShapeError, match=r"shape \(3, 2\).+ got \(3,\)"):
        getattr(objectives, name)(np.ones((3, 2)), np.ones(3))


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("name, options", [
    ("squared_error", {}), ("huber_loss", {"delta": 0.3}),
    ("binary_hinge_loss", {"delta": 0.7}), ("multiclass_hinge_loss", {})])
def test_their_gradients_are_measured_ones(name, options, device):
    p = Param(to_device(numbers((4, 3)), device), "p")
    t = np.array([0, 2, 1, 1]) if name.startswith("multi") else numbers((4, 3), 1)
    loss = (getattr(objectives, name)(p, t, **options)).sum()
    found = to_host(gradients(loss, evaluate([loss], {}))[p])
    p.to_device("cpu")
    report = gradcheck.compare(lambda: float(loss), {"p": (p.value, found)})
    assert report.ok, f"\n{report}"


def test_a_squared_error_goes_back_to_both():
    a, b = (tensor.vector(name) for name in "ab")
    loss = objectives.squared_error(a, b).sum()
    given = {a: np.array([1.0, 2.0]), b: np.array([0.5, 4.0])}
    da, db = (tensor.grad(loss, one).eval(given) for one in (a, b))
    np.testing.assert_allclose(da, [1, -4])
    np.testing.assert_allclose(db, -da)
