"""Batch norm by the statistics of the batch goes with the convolutions beside it."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minifer
from minifer import layers, nonlinearities as f, objectives, tensor, updates
from minifer.compiled.cpu.conv_chain import ConvChain
from minifer.compiled.cpu.plan import CpuPlan
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, ElemwiseSumLayer,
                            InputLayer, MaxPool2DLayer, NonlinearityLayer)

#: What may stand behind a convolution: R is ReLU, N batch norm, P max-pooling.
ORDERS = ["N", "RN", "NR", "RNR", "NP", "RNP", "NRP", "NPR", "RPN", "NN", "NRN"]


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stacked(top, order, name, **options):
    """A convolution and what stands behind it; slopes of either sign."""
    top = Conv2DLayer(top, nonlinearity=None, name=name, **options)
    for place, kind in enumerate(order):
        if kind == "N":
            C = top.output_shape[1]
            top = BatchNormLayer(top, gamma=normal(C, place), beta=normal(C, place + 9),
                                 name=f"{name}.norm{place}")
        elif kind == "R":
            top = NonlinearityLayer(top, f.rectify)
        else:
            top = MaxPool2DLayer(top, 2)
    return top


def pass_through(top, x, threads=2, algorithm="auto", planned=True):
    """Output, running averages and gradients, of a plan or layer by layer."""
    source = layers.get_all_layers(top)[0]
    statistics = layers.get_all_params(top, batch_norm_stat=True)
    before = [p.get_value() for p in statistics]
    if planned:
        plan = CpuPlan([top], {}, (), len(x), True, threads, algorithm)
        (y,) = plan.run({source: x})
        gradients = plan.backward({0: normal(y.shape, 1)})
    else:
        plan = None
        (y,), tape = layers.forward([top], {source: x})
        gradients = tape.backward([normal(y.shape, 1)])
    after = [p.get_value() for p in statistics]
    for p, value in zip(statistics, before):
        p.set_value(value)
    return plan, y, after, {p: np.array(g) for p, g in gradients.items()}


def check(top, x, tolerance=1e-4, rounding=0.03, **options):
    """A plan and layer by layer agree; biases below batch norm have no gradient.

    ``rounding`` is what counts as none, as a share of the largest of all gradients.
    """
    plan, *found = pass_through(top, x, **options)
    _, *expected = pass_through(top, x, planned=False)
    largest = max(np.abs(g).max() for g in expected[2].values())
    pairs = [(found[0], expected[0], 0), *((a, b, 0) for a, b in zip(*(
        one[1] for one in (found, expected))))]
    assert set(found[2]) == set(expected[2])
    pairs += [(found[2][p], expected[2][p], rounding * largest) for p in expected[2]]
    for one, other, size in pairs:
        assert one.shape == other.shape and one.dtype == other.dtype == np.float32
        scale = max(np.abs(other).max(), size)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
    return plan


@pytest.mark.parametrize("C, algorithm", [(8, "winograd"), (8, "row"), (8, "im2col"),
                                          (8, "elements"), (1, "im2col")])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_as_layer_by_layer(order, C, algorithm):
    for size in (12, 14), (13, 11):
        minifer.random.set_rng(3)
        top = InputLayer((None, C, *size))
        top = stacked(top, order, "conv1", num_filters=9, filter_size=3, pad=1)
        top = stacked(top, "RN", "conv2", num_filters=8, filter_size=3, pad=1)
        check(DenseLayer(top, 3), normal((7, C, *size)) + 0.3, algorithm=algorithm)


@st.composite
def bodies(draw):
    """Convolutions with whatever stands behind them, one on another."""
    minifer.random.set_rng(2)
    top = InputLayer((None, draw(st.integers(1, 9)), 12, 14))
    for place in range(draw(st.integers(1, 4))):
        order = draw(st.sampled_from(["", "R", *ORDERS]))
        order = order if min(top.output_shape[2:]) > 3 else order.replace("P", "")
        top = stacked(top, order, f"conv{place}", num_filters=draw(st.integers(1, 9)),
                      filter_size=draw(st.sampled_from([1, 3])), pad="same",
                      stride=draw(st.sampled_from([1, 1, 1, 2])),
                      b=draw(st.sampled_from([None, minifer.init.Constant(0.1)])))
    return DenseLayer(top, 3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(bodies(), st.integers(1, 3))
def test_any_convolutions_one_on_another(top, threads):
    source = layers.get_all_layers(top)[0]
    # A number next to 0 that ReLU judges otherwise would change all that follows.
    check(top, normal((5, *source.shape[1:])), tolerance=2e-3, threads=threads)


def test_nothing_is_kept_but_what_the_convolution_wrote():
    top = InputLayer((None, 1, 48, 48))
    for place, F in enumerate([32, 32, 64, 64], 1):
        top = stacked(top, "RN" if place % 2 else "RNP", f"conv{place}", num_filters=F,
                      filter_size=3, pad=1)
    plan = CpuPlan([DenseLayer(top, 7)], {}, (), 64, True, 2)
    assert [type(step) for step in plan.steps[:-1]] == [ConvChain] * 4
    assert plan.steps[0].name == "conv1 + NonlinearityLayer + conv1.norm1"
    joined = [step.norm.joined for step in plan.steps[:-1]]
    assert joined == [True, True, True, False]
    assert [step.convs[0].x.size > 0 for step in plan.steps[:-1]] == [
        True, False, False, False]  # images as the convolution reads them
    assert all(step.norm.y is None and "on" not in step.convs[0].masks
               for step in plan.steps[:-1])


def test_gradients_lie_where_images_are_done_with_and_threads_share_their_desks():
    top = InputLayer((None, 1, 48, 48))
    for place, F in enumerate([32, 32, 64], 1):
        top = stacked(top, "RNP" if place == 2 else "RN", f"conv{place}", num_filters=F,
                      filter_size=3, pad=1)
    plan = CpuPlan([DenseLayer(top, 7)], {}, (), 64, True, 2)
    norms = [step.norm for step in plan.steps[:-1]]
    for below, above in zip(norms, norms[1:]):
        assert np.shares_memory(below.d, above.z)
    assert not np.shares_memory(norms[-1].d, norms[-1].z)
    assert all(kernel.desk is desk for step in plan.steps[:-1]
               for kernel, desk in zip(step.convs[0].kernels, plan.desks))
    assert plan.nbytes > sum(step.nbytes for step in plan.steps)


@pytest.mark.parametrize("C", [1, 8])
def test_tiles_are_handed_on_as_they_are(C):
    minifer.random.set_rng(3)
    top = InputLayer((None, C, 24, 24))
    for place, order in enumerate(["RN", "RNP", "NR", "RNP", "RN"]):
        top = stacked(top, order, f"conv{place}", num_filters=8 + place, filter_size=3,
                      pad=1)
    plan = check(DenseLayer(top, 3), normal((7, C, 24, 24)) + 0.3)
    assert [(step.norm.side, step.convs[0].tiled) for step in plan.steps[:-1]] == [
        (6, False), (6, True), (6, False), (6, True), (1, False)]


@pytest.mark.parametrize("N, side, fewer", [(2, 6, "images"), (9, 12, "filters")])
@pytest.mark.parametrize("order", ["RN", "NR", "RNP", "NPR"])
def test_images_or_filters_are_scaled_and_weighed_the_fewer(order, N, side, fewer):
    minifer.random.set_rng(3)
    top = InputLayer((None, 24, side, side))
    for place, F in enumerate([24, 16, 24]):
        top = stacked(top, "RN" if place else order, f"conv{place}", num_filters=F,
                      filter_size=3, pad=1)
    plan = check(DenseLayer(top, 3), normal((N, 24, side, side)) + 0.3)
    for step in plan.steps[:-1]:
        assert step.convs[0].scales_images == (fewer == "images")
        assert step.below is None or step.below.weighs == (fewer == "filters")


@pytest.mark.parametrize("gamma, beta", [(0, 1), (1e-6, 1), (1e-6, 0), (0, 0), (-2, 5)])
@pytest.mark.parametrize("relu", ["", "R"])
def test_slopes_that_are_small_beside_the_shift(gamma, beta, relu):
    """Then the filters' gradient does not tell what gradients and images add up to."""
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, 8, 9, 9)), "RN" + relu, "conv1", num_filters=8,
                  filter_size=3, pad=1)
    norm, = (one for one in layers.get_all_layers(top) if type(one) is BatchNormLayer)
    norm.gamma.value[2], norm.beta.value[2] = gamma, beta
    top = stacked(top, "RN", "conv2", num_filters=8, filter_size=3, pad=1)
    check(DenseLayer(top, 3), normal((6, 8, 9, 9)), rounding=0.001)


@pytest.mark.parametrize("order", ["N", "RN", "NR", "RNP"])
def test_a_mean_far_from_0_loses_nothing(order):
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, 8, 12, 12)), order, "conv", num_filters=8,
                  filter_size=3, pad=0, b=minifer.init.Constant(3000))
    check(DenseLayer(top, 3), normal((6, 8, 12, 12)), tolerance=2e-3, rounding=1)


def test_a_channel_that_never_varies():
    top = stacked(InputLayer((None, 8, 8, 8)), "RNP", "conv", num_filters=8, b=None,
                  filter_size=3, pad=1, W=minifer.init.Constant(-1))
    check(DenseLayer(top, 3), np.abs(normal((3, 8, 8, 8))))


def test_one_that_two_read_is_written_out():
    norm = stacked(InputLayer((None, 8, 9, 9)), "N", "conv", num_filters=8,
                   filter_size=3, pad=1)
    above = Conv2DLayer(norm, 8, 3, pad=1, name="above")
    plan = check(DenseLayer(ElemwiseSumLayer([norm, above]), 3), normal((4, 8, 9, 9)))
    assert not plan.steps[0].norm.joined


def test_a_frozen_body_below_stays_as_it_is():
    body = stacked(InputLayer((None, 3, 9, 9)), "RN", "body", num_filters=8,
                   filter_size=3)
    layers.freeze(body)
    check(DenseLayer(stacked(body, "RN", "top", num_filters=8, filter_size=3), 3),
          normal((4, 3, 9, 9)))


def trained(order, steps, mode="compiled", sizes=(12,), **options):
    """Losses and parameters of a short training run; slopes change their signs."""
    minifer.random.set_rng(7)
    x, y = tensor.tensor4("x"), tensor.ivector("y")
    top = stacked(InputLayer((None, 8, 12, 12), x), order, "conv1", num_filters=8,
                  filter_size=3, pad=1)
    top = stacked(top, "RNP", "conv2", num_filters=8, filter_size=3, pad=1)
    top = DenseLayer(top, 3, nonlinearity=f.softmax)
    loss = objectives.categorical_crossentropy(layers.get_output(top), y).mean()
    params = layers.get_all_params(top, trainable=True)
    train = minifer.function([x, y], loss, updates.nesterov_momentum(
        loss, params, 0.002, 0.9), mode=mode, **options)
    data, labels = normal((12, 8, 12, 12)), np.arange(12) % 3
    losses = [train(data[:sizes[i % len(sizes)]], labels[:sizes[i % len(sizes)]])
              for i in range(steps)]
    return losses, layers.get_all_param_values(top)


@pytest.mark.parametrize("order", ["RNP", "NR"])
def test_training_is_as_layer_by_layer_in_batches_of_any_size(order):
    sizes = 12, 5, 1, 7
    planned, _ = trained(order, 12, threads=2, sizes=sizes)
    eager, _ = trained(order, 12, mode="eager", sizes=sizes)
    np.testing.assert_allclose(planned, eager, rtol=2e-3, atol=1e-5)


def test_runs_repeat_bit_for_bit_and_threads_change_rounding_only():
    first, weights = trained("RNP", 5, threads=2)
    again, same = trained("RNP", 5, threads=2)
    assert first == again
    assert all((a == b).all() for a, b in zip(weights, same))
    alone, _ = trained("RNP", 5, threads=1)
    np.testing.assert_allclose(first, alone, rtol=1e-4)
