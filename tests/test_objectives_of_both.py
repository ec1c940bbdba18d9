"""Objectives whose targets and weights may be made of parameters, or be of any type."""

import numpy as np
import pytest

from helpers.devices import DEVICES
from helpers.layers import numbers
from minifer import gradcheck, layers, objectives, tensor, updates
from minifer.compiled.functions import function
from minifer.device.arrays import to_host
from minifer.errors import ShapeError
from minifer.expressions import Param, Variable, all_below, evaluate, gradients

WEIGHTS = np.array([1.0, 0.5, 3.0])


def softmax(x):
    return tensor.nnet.softmax(x)


def sigmoid(x):
    return tensor.nnet.sigmoid(x)


OF_BOTH = {
    "entropy": lambda w, c: objectives.categorical_crossentropy(
        softmax(w), softmax(w), class_weights=WEIGHTS),
    "of probabilities": lambda w, c: objectives.categorical_crossentropy(
        softmax(w) * 1, softmax(2 * w)),
    "of scores": lambda w, c: objectives.softmax_crossentropy(w, softmax(w)),
    "binary entropy": lambda w, c: objectives.binary_crossentropy(
        sigmoid(w), sigmoid(w)),
    "binary, of probabilities": lambda w, c: objectives.binary_crossentropy(
        sigmoid(w) * 1, sigmoid(-w)),
    "one target": lambda w, c: objectives.binary_crossentropy(
        sigmoid(w), sigmoid(c[0, 0])),
    "a column of targets": lambda w, c: objectives.sigmoid_crossentropy(
        c, sigmoid(w[:, 0])),
    "a row of weights": lambda w, c: objectives.aggregate(
        w ** 2, tensor.exp(c.flatten()), "normalized_sum"),
    "a column of weights": lambda w, c: objectives.aggregate(w ** 2, c, "sum"),
    "a weight each": lambda w, c: objectives.aggregate(w ** 2, tensor.exp(w))}


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("name", OF_BOTH)
def test_gradients_of_targets_and_weights(name, device):
    params = [Param(numbers((4, 3)), "w"), Param(numbers((4, 1), 1), "c")]
    loss = OF_BOTH[name](*params).mean()
    params = [param for param in params if param in all_below([loss])]
    found = gradients(loss, evaluate([loss], {}))
    report = gradcheck.compare(lambda: float(loss), {
        p.name: (p.value, found[p]) for p in params})
    assert report.ok, f"\n{report}"
    for param in params:
        param.to_device(device)
    there = gradients(loss, evaluate([loss], {}))
    for param, gradient in found.items():
        np.testing.assert_allclose(to_host(there[param]), gradient, rtol=1e-9,
                                   atol=1e-12)


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
def test_a_network_learns_from_targets_that_are_a_parameter(device):
    """On a device, its last layer and the loss are one step for class numbers alone."""
    x = Variable("x", 2, "floatX")
    teacher = Param(numbers((4, 3)).astype("float32"), "teacher")
    network = layers.DenseLayer(layers.InputLayer((None, 2), x), 3, nonlinearity=None)
    loss = objectives.softmax_crossentropy(layers.get_output(network),
                                           softmax(teacher)).mean()
    data, before = numbers((4, 2)).astype("float32"), teacher.get_value().copy()
    slope = function([x], tensor.grad(loss, teacher), mode="eager")(data)
    params = [*layers.get_all_params(network), teacher]
    for param in params:
        param.to_device(device)
    function([x], loss, updates=updates.sgd(loss, params, 0.5))(data)
    assert np.abs(slope).max() > 1e-3
    np.testing.assert_allclose(teacher.get_value(), before - 0.5 * slope, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float32"])
def test_labels_of_any_type(dtype):
    labels, z = np.array([0, 1, 1], dtype), np.array([0.5, -2.0, 3.0])
    np.testing.assert_allclose(objectives.binary_hinge_loss(z, labels), [1.5, 3, 0])
    np.testing.assert_allclose(objectives.huber_loss(
        np.array([0, 3, 0], "uint8"), labels), [0, 1.5, 0.5])


def test_answers_that_are_right_or_wrong_take_weights():
    right = objectives.binary_accuracy(np.array([0.2, 0.7, 0.4]), np.array([0, 1, 1]))
    assert objectives.aggregate(right, np.array([0.5, 0.2, 0.3]), "sum") == 0.7
    assert objectives.aggregate(np.array([1, 2, 3]), np.full(3, 0.5)) == 1


@pytest.mark.parametrize("shape", [(3, 1), (3, 3)])
def test_accuracy_wants_as_many_classes(shape):
    with pytest.raises(ShapeError, match=r"expected targets \(3,\) or \(3, 4\)"):
        objectives.categorical_accuracy(numbers((3, 4)), np.ones(shape, int))
