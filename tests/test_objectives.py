"""Objectives on arrays and as expressions. Their mathematics: test_ops_loss."""

import numpy as np
import pytest

from helpers import reference
from helpers.layers import numbers
from helpers.tolerances import assert_close
from minifer import layers, nonlinearities, objectives, tensor
from minifer.compiled.functions import function
from minifer.errors import SettingError, ShapeError
from minifer.expressions import evaluate, gradients

CLASSES = np.array([0, 2, 1, 2])
WEIGHTS = np.array([1.0, 0.5, 3.0])


def probabilities(seed=0, shape=(4, 3)):
    return reference.softmax(numbers(shape, seed))


def value_of(objective, *arrays, **options):
    """The objective of variables, computed through a function."""
    variables = [tensor.Variable(ndim=a.ndim) for a in arrays]
    return function(variables, objective(*variables, **options))(*arrays)


# --- the same numbers on both ways ------------------------------------------

@pytest.mark.parametrize("name, predictions, targets, options", [
    ("categorical_crossentropy", probabilities(), CLASSES, {}),
    ("categorical_crossentropy", probabilities(), probabilities(1), {}),
    ("categorical_crossentropy", probabilities(), CLASSES, {"class_weights": WEIGHTS}),
    ("softmax_crossentropy", numbers((4, 3)), CLASSES, {}),
    ("softmax_crossentropy", numbers((4, 3)), CLASSES, {"class_weights": WEIGHTS}),
    ("binary_crossentropy", probabilities(), probabilities(1), {}),
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
