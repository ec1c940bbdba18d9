"""Sums of images go with the ReLU behind them and the batch norms below."""

import numpy as np
import pytest

import minifer
from helpers.residuals import NETWORKS, SIZE, conv, normal, stages
from minifer import layers, nonlinearities as f, objectives, tensor, updates
from minifer.compiled.cpu.plan import CpuPlan
from minifer.compiled.cpu.residual import SumStep
from minifer.layers import (Conv2DLayer, DenseLayer, ElemwiseSumLayer, GlobalPoolLayer,
                            InputLayer)


def pass_through(top, x, threads=2, planned=True):
    """Output and gradients, of a plan or layer by layer."""
    source = layers.get_all_layers(top)[0]
    statistics = layers.get_all_params(top, batch_norm_stat=True)
    before, plan = [p.get_value() for p in statistics], None
    if planned:
        plan = CpuPlan([top], {}, (), len(x), True, threads)
        (y,) = plan.run({source: x})
        found = plan.backward({0: normal(y.shape, 1)})
    else:
        (y,), tape = layers.forward([top], {source: x})
        found = tape.backward([normal(y.shape, 1)])
    for p, value in zip(statistics, before):
        p.set_value(value)
    return plan, y, {p: np.array(g) for p, g in found.items()}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_sums_are_as_layer_by_layer(network, threads):
    minifer.random.set_rng(1)
    top = network(conv(InputLayer((None, 8, *SIZE)), 8, relu=True))
    top, x = DenseLayer(GlobalPoolLayer(top), 3), normal((7, 8, *SIZE))
    plan, y, found = pass_through(top, x, threads)
    _, right, expected = pass_through(top, x, planned=False)
    np.testing.assert_allclose(y, right, rtol=0, atol=1e-5 * np.abs(right).max())
    assert found.keys() == expected.keys()
    largest = max(np.abs(g).max() for g in expected.values())
    for p in expected:
        scale = max(np.abs(expected[p]).max(), 0.03 * largest)
        np.testing.assert_allclose(found[p], expected[p], rtol=0, atol=2e-4 * scale)
    sums = [step for step in plan.steps if isinstance(step, SumStep)]
    assert len(sums) == sum(type(one) is ElemwiseSumLayer
                            for one in layers.get_all_layers(top))


@pytest.mark.parametrize("options", [{"coeffs": 2}, {"coeffs": [1, -1]},
                                     {"cropping": [None, None, "lower", None]}])
def test_other_sums_stay_what_they_are(options):
    source = InputLayer((None, 8, *SIZE))
    branch = Conv2DLayer(source, 8, 3, pad="valid" if "cropping" in options else "same")
    if "cropping" in options:
        branch = layers.PadLayer(branch, ((0, 1), (1, 1)))
    top = DenseLayer(ElemwiseSumLayer([branch, source], **options), 3)
    x = normal((4, 8, *SIZE))
    plan, y, _ = pass_through(top, x)
    assert not any(isinstance(step, SumStep) for step in plan.steps)
    np.testing.assert_allclose(y, pass_through(top, x, planned=False)[1], rtol=1e-4,
                               atol=1e-5)


def test_what_two_read_takes_one_gradient_on_another_in_place():
    """No batch of gradients is made to add two up: the convolution adds as it goes."""
    source = conv(InputLayer((None, 8, *SIZE)), 8, relu=True)
    top = DenseLayer(stages(source), 3)
    plan = CpuPlan([top], {}, (), 4, True, 1)
    (y,) = plan.run({layers.get_all_layers(top)[0]: normal((4, 8, *SIZE))})
    sizes = []

    def keep(gradients, key, gradient):
        sizes.append(key in gradients)
        gradients[key] = gradient

    from minifer.ops import backpropagation
    before, backpropagation.collect = backpropagation.collect, keep
    try:
        plan.backward({0: y}, keep=lambda *_: None)
    finally:
        backpropagation.collect = before
    assert sizes and not any(sizes)


def test_the_gradient_lies_where_the_sum_was():
    top = DenseLayer(stages(conv(InputLayer((None, 8, *SIZE)), 8, relu=True)), 3)
    plan = CpuPlan([top], {}, (), 4, True, 1)
    plan.run({layers.get_all_layers(top)[0]: normal((4, 8, *SIZE))})
    *sums, last = [step for step in plan.steps if isinstance(step, SumStep)]
    for step in sums:
        assert step.dx is None and step.some
        assert all(np.shares_memory(norm.d, step.y) and norm.y is None
                   for norm in step.some)
    assert not np.shares_memory(last.d, last.y)  # the dense layer may keep it


def trained(mode, steps=6, **options):
    minifer.random.set_rng(7)
    x, y = tensor.tensor4("x"), tensor.ivector("y")
    top = stages(conv(InputLayer((None, 8, *SIZE), x), 8, relu=True))
    top = DenseLayer(GlobalPoolLayer(top), 3, nonlinearity=f.softmax)
    loss = objectives.categorical_crossentropy(layers.get_output(top), y).mean()
    params = layers.get_all_params(top, trainable=True)
    train = minifer.function([x, y], loss, updates.nesterov_momentum(
        loss, params, 0.002, 0.9), mode=mode, **options)
    data, labels = normal((9, 8, *SIZE)), np.arange(9) % 3
    return [train(data[:size], labels[:size]) for size in [9, 4, 1, 9, 7, 9][:steps]]


def test_training_is_as_layer_by_layer_and_repeats_bit_for_bit():
    first = trained("compiled", threads=2)
    assert first == trained("compiled", threads=2)
    np.testing.assert_allclose(first, trained("eager"), rtol=2e-3)
