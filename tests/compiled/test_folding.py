"""Batch norms in convolutions: as layer by layer, and made anew when something changes.
"""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minifer
from minifer import layers, nonlinearities as f, objectives, tensor, updates
from minifer.compiled.cpu.conv_chain import ConvChain
from minifer.compiled.cpu.plan import CpuPlan
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, InputLayer,
                            MaxPool2DLayer, NonlinearityLayer)

#: What may stand behind a convolution: R is ReLU, N batch norm, P max-pooling.
ORDERS = ["N", "NN", "NR", "RN", "NP", "PN", "NRP", "RNP", "RPN", "PNR", "NRNP",
          "NRNPN"]


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def seen(outputs, sign=None):
    """Give every batch norm averages and slopes as if it had learnt, of either sign."""
    for seed, param in enumerate(layers.get_all_params(outputs)):
        if param.name.endswith(("mean", "beta", "b")):
            param.set_value(normal(param.shape, seed))
        elif param.name.endswith("inv_std"):
            param.set_value(np.abs(normal(param.shape, seed)) + .1)
        elif param.name.endswith("gamma"):
            value = normal(param.shape, seed)
            param.set_value(value if sign is None else sign * np.abs(value))


def stacked(top, order, name, **options):
    """A convolution and what stands behind it."""
    top = Conv2DLayer(top, nonlinearity=None, name=name, **options)
    for place, kind in enumerate(order):
        if kind == "N":
            top = BatchNormLayer(top, name=f"{name}.norm{place}")
        elif kind == "R":
            top = NonlinearityLayer(top, f.rectify)
        else:
            top = MaxPool2DLayer(top, 2)
    return top


def planned(outputs, batch=5):
    return CpuPlan([outputs], {"deterministic": True}, (), batch, False, 2)


def eager(outputs, x):
    source = layers.get_all_layers(outputs)[0]
    (y,), _ = layers.forward([outputs], {source: x}, deterministic=True)
    return y


def check(outputs, plan, x):
    source = layers.get_all_layers(outputs)[0]
    found, = plan.run({source: x})
    expected = eager(outputs, x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5 * scale)
    return found


@pytest.mark.parametrize("C, algorithm", [(8, "winograd"), (8, "row"),
                                          (8, "elements"), (1, "im2col")])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_folded_and_as_layer_by_layer(order, C, algorithm):
    source = InputLayer((None, C, 13, 11))
    top = stacked(source, order, "conv", num_filters=9, filter_size=3, pad=1)
    seen(top)
    plan = CpuPlan([top], {"deterministic": True}, (), 5, False, 2, algorithm)
    assert len(plan.steps) == 1 + (order == "PNR")
    check(top, plan, normal((5, C, 13, 11)))


@st.composite
def bodies(draw):
    """Convolutions with whatever stands behind them, one on another."""
    minifer.random.set_rng(2)
    top = InputLayer((None, draw(st.integers(1, 9)), 20, 18))
    for place in range(draw(st.integers(1, 3))):
        order = draw(st.sampled_from(["", "R", *ORDERS]))
        order = order if min(top.output_shape[2:]) > 3 else order.replace("P", "")
        top = stacked(top, order, f"conv{place}", num_filters=draw(st.integers(1, 9)),
                      filter_size=3, pad=draw(st.sampled_from([0, 1, 1])) if
                      min(top.output_shape[2:]) > 4 else 1,
                      b=draw(st.sampled_from([None, minifer.init.Constant(0)])))
    return top


@settings(max_examples=40, deadline=None, derandomize=True)
@given(bodies(), st.sampled_from([None, 1, -1]))
def test_any_convolutions_one_on_another(top, sign):
    seen(top, sign)
    source = layers.get_all_layers(top)[0]
    check(top, planned(top), normal((4, *source.shape[1:])))


def change_by_value(param):
    param.set_value(param.get_value() + 1)


def change_in_place(param):
    param.value[-1] += 1


@pytest.mark.parametrize("change", [change_by_value, change_in_place])
@pytest.mark.parametrize("name", ["conv.W", "conv.b", "conv.norm1.beta",
                                  "conv.norm1.gamma", "conv.norm1.mean",
                                  "conv.norm1.inv_std"])
def test_a_changed_parameter_is_noticed(name, change):
    top = stacked(InputLayer((None, 8, 9, 9)), "RN", "conv", num_filters=8,
                  filter_size=3)
    seen(top)
    plan, x = planned(top), normal((2, 8, 9, 9))
    before = check(top, plan, x)
    param, = [one for one in layers.get_all_params(top) if one.name == name]
    change(param)
    assert np.abs(check(top, plan, x) - before).max() > .01


def test_slopes_that_change_their_sign_are_noticed():
    top = stacked(InputLayer((None, 8, 12, 12)), "RNP", "conv", num_filters=8,
                  filter_size=3)
    plan, x = planned(top), normal((2, 8, 12, 12))
    for sign in (1, -1, None, 1):
        seen(top, sign)
        check(top, plan, x)


def test_filters_are_transformed_once_until_they_change(monkeypatch):
    top = stacked(InputLayer((None, 8, 9, 9)), "RN", "conv", num_filters=8,
                  filter_size=3)
    plan, x, calls = planned(top), normal((2, 8, 9, 9)), []
    conv, = plan.steps[0].convs
    transform = conv.filters.set
    monkeypatch.setattr(conv.filters, "set",
                        lambda *given: calls.append(given) or transform(*given))
    source = layers.get_all_layers(top)[0]
    for _ in range(3):
        plan.run({source: x})
    assert len(calls) == 1
    conv.conv.W.value[0] += 1
    plan.run({source: x})
    assert len(calls) == 2


def test_prediction_follows_training():
    """A function that predicts, between steps of another that trains."""
    source = InputLayer((None, 1, 12, 12), tensor.tensor4("x"))
    top = stacked(source, "RNP", "a", num_filters=8, filter_size=3)
    top = DenseLayer(stacked(top, "NR", "b", num_filters=8, filter_size=3), 3,
                     nonlinearity=f.softmax)
    x, y = source.input_var, tensor.ivector("y")
    loss = objectives.categorical_crossentropy(layers.get_output(top), y).mean()
    params = layers.get_all_params(top, trainable=True)
    train = minifer.function([x, y], loss, updates.adam(loss, params, .01))
    predict = minifer.function([x], layers.get_output(top, deterministic=True))
    images, labels = normal((6, 1, 12, 12)), np.arange(6) % 3
    for _ in range(4):
        np.testing.assert_allclose(predict(images), eager(top, images), rtol=0,
                                   atol=1e-5)
        train(images, labels)


def test_a_frozen_body_is_folded_in_training_too():
    body = stacked(InputLayer((None, 2, 10, 10)), "NR", "a", num_filters=8,
                   filter_size=3)
    seen(body)
    layers.freeze(body)
    top = DenseLayer(stacked(body, "RN", "b", num_filters=8, filter_size=3), 3)
    plan = CpuPlan([top], {}, (), 5, True, 2)
    assert isinstance(plan.steps[0], ConvChain) and len(plan.steps) == 2
    assert [len(conv.norms.layers) for conv in plan.steps[0].convs] == [1, 0]
    x = normal((5, 2, 10, 10))
    source = layers.get_all_layers(top)[0]
    (y,), tape = layers.forward([top], {source: x})
    found, = plan.run({source: x})
    np.testing.assert_allclose(found, y, rtol=0, atol=3e-5 * np.abs(y).max())
    expected, gradients = tape.backward([np.ones_like(y)]), plan.backward(
        {0: np.ones_like(y)})
    assert set(gradients) == set(expected)
    for param, gradient in expected.items():
        np.testing.assert_allclose(gradients[param], gradient, rtol=0,
                                   atol=1e-4 * max(1, np.abs(gradient).max()))


def test_a_norm_that_others_read_stays_a_step():
    conv = Conv2DLayer(InputLayer((None, 2, 8, 8)), 8, 3, name="conv")
    norm = BatchNormLayer(conv, name="norm")
    seen(norm)
    plan = CpuPlan([conv, norm], {"deterministic": True}, (), 3, False, 2)
    assert len(plan.steps) == 2
    x = normal((3, 2, 8, 8))
    found = plan.run({layers.get_all_layers(norm)[0]: x})
    np.testing.assert_allclose(found[1], eager(norm, x), rtol=0, atol=1e-5)
