"""Batch norm on a GPU goes with what follows it, and images stay channels last."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import config, layers, nonlinearities as f
from minifer.compiled.gpu.images import NormOnGpu
from minifer.compiled.gpu.plan import GpuPlan
from minifer.compiled.gpu.steps import ConvOnGpu
from minifer.device.arrays import to_device, to_host
from minifer.layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                            ElemwiseSumLayer, InputLayer, MaxPool2DLayer,
                            NonlinearityLayer, concat, get_all_params)

on_devices = pytest.mark.parametrize("device", DEVICES)
#: What may stand behind a convolution: R is ReLU, N batch norm, P max-pooling, D
#: dropout.
ORDERS = ["N", "RN", "NR", "RNR", "NP", "RNPD", "NRPD", "NPR", "RPN", "NN", "NRND"]


#: Of the layer that most tests here have, as test_plan_gpu has it: the emulator
#: compiles its kernels once.
C, F, SIZE = 8, 16, (10, 12)


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(config.floatX)


def stacked(top, order, name="conv", num_filters=F, **options):
    """A convolution and what stands behind it; slopes of either sign."""
    top = Conv2DLayer(top, num_filters, 3, pad=1, nonlinearity=None, name=name,
                      **options)
    for place, kind in enumerate(order):
        many = top.output_shape[1]
        top = {"N": lambda: BatchNormLayer(
                   top, gamma=normal(many, place), beta=normal(many, place + 9),
                   mean=normal(many, place + 5),
                   inv_std=np.exp(normal(many, place + 7)), name=f"{name}.norm{place}"),
               "R": lambda: NonlinearityLayer(top, f.rectify),
               "P": lambda: MaxPool2DLayer(top, 2),
               "D": lambda: DropoutLayer(top, 0.3)}[kind]()
    return top


def run(top, x, device, training=True, **options):
    """The plan (None: layer by layer), output, running averages, gradients."""
    source = layers.get_all_layers(top)[0]
    statistics = get_all_params(top, batch_norm_stat=True)
    before = [p.get_value() for p in statistics]
    layers.seed_noise(top, 1)
    layers.helper.move_to(top, device or "cpu")
    if device is None:
        plan, (ys, tape) = None, layers.forward([top], {source: x}, **options)
        gradients = tape.backward([normal(ys[0].shape, 1)]) if training else {}
    else:
        plan = GpuPlan([top], options, (), len(x), training,
                       to_device(np.zeros(1, config.floatX), device), "fp32")
        plan.begin()
        ys = plan.run({source: to_device(x, device)})
        gradients = plan.backward(
            {0: to_device(normal(ys[0].shape, 1), device)}) if training else {}
    found = (to_host(ys[0]), [to_host(p.value).copy() for p in statistics],
             {p: np.array(to_host(np.asarray(g) if device is None else
                                  g.rows(0, len(p.value)) if hasattr(g, "rows") else g))
              for p, g in gradients.items()})
    layers.helper.move_to(top, "cpu")
    for p, value in zip(statistics, before):
        p.set_value(value)
    return plan, *found


def check(top, x, device, tolerance, training=True, **options):
    """A plan does what the layers do one by one on the CPU."""
    plan, y, averages, gradients = run(top, x, device, training, **options)
    _, expected, their_averages, theirs = run(top, x, None, training, **options)
    theirs = {p: theirs[p] for p in get_all_params(top, trainable=True) if training}
    largest = max([np.abs(g).max() for g in theirs.values()], default=0)
    for one, other, size in [
            (y, expected, 0), *((a, b, 0) for a, b in zip(averages, their_averages)),
            *((gradients[p], theirs[p], 0.03 * largest) for p in theirs)]:
        assert one.shape == other.shape and one.dtype == other.dtype == config.floatX
        scale = max(np.abs(other).max(), size)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
    return plan


@on_devices
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_as_layer_by_layer(order, device):
    """In float64, where a difference is a mistake: sizes that halve, and odd ones."""
    with config.use_floatX("float64"):
        for size in (4, 6), (5, 7):
            minifer.random.set_rng(3)
            top = stacked(InputLayer((None, 3, *size)), order, num_filters=8)
            top = DenseLayer(stacked(top, "RN", num_filters=8), 3)
            plan = check(top, normal((4, 3, *size)) + 0.3, device, 1e-10)
    norms = [step for step in plan.steps if isinstance(step, NormOnGpu)]
    assert len(norms) == order.count("N") + 1
    alone = [step for step in plan.steps if "Pool" in step.name or "Dropout" in (
        step.name)]
    assert all("norm" in step.name or order == "RPN" for step in alone)


@on_devices
def test_fused_with_the_convolutions_of_a_network(device):
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, C, *SIZE)), "NR", "conv1")
    top = layers.GlobalPoolLayer(stacked(top, "NRPD", "conv2", num_filters=8))
    plan = check(top, normal((4, C, *SIZE)), device, 1e-4)
    assert [type(step).__name__ for step in plan.steps] == [
        "ConvOnGpu", "NormOnGpu", "ConvOnGpu", "NormOnGpu", "PlainOnGpu"]
    assert "fused norm" in str(plan)
    assert_nothing_is_turned(plan.steps[1:])


def assert_nothing_is_turned(steps):
    """None has made a buffer for images that came in another order."""
    for step in steps:
        assert getattr(step, "x", None) is None and getattr(step, "dout", None) is None


@on_devices
def test_residual_networks_keep_channels_last(device):
    """Sums, ReLU, pools and convolutions of stride 2 do not turn the images."""
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, C, *SIZE)), "NR", "conv1")
    shortcut = stacked(top, "N", "down", stride=2)
    top = ElemwiseSumLayer([stacked(top, "N", "conv2", stride=2), shortcut])
    top = NonlinearityLayer(top, f.rectify)
    pool = layers.Pool2DLayer(top, 3, 1, pad=1, mode="average_inc_pad")
    top = BatchNormLayer(concat([top, pool], name="joined"))
    plan = check(layers.GlobalPoolLayer(top), normal((4, C, *SIZE)), device, 1e-4)
    assert "channels last" in str(plan)
    assert_nothing_is_turned(plan.steps[1:])


@on_devices
def test_a_mean_far_from_0_loses_nothing(device):
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, C, *SIZE)), "NR", b=minifer.init.Constant(300))
    check(layers.GlobalPoolLayer(top), normal((4, C, *SIZE)), device, 2e-3)


@on_devices
def test_norms_behind_dense_layers(device):
    with config.use_floatX("float64"):
        minifer.random.set_rng(3)
        top = DenseLayer(InputLayer((None, 7)), 6, nonlinearity=None)
        top = NonlinearityLayer(BatchNormLayer(top), f.rectify)
        top = DenseLayer(DropoutLayer(top, 0.2), 3)
        plan = check(top, normal((9, 7)), device, 1e-10)
    assert isinstance(plan.steps[1], NormOnGpu)


# --- fixed averages: in prediction, and where a network is frozen ----------------

@on_devices
@pytest.mark.parametrize("order", ORDERS)
def test_prediction_folds_norms_into_the_convolution(order, device):
    minifer.random.set_rng(3)
    top = stacked(InputLayer((None, C, *SIZE)), order)
    plan = check(top, normal((3, C, *SIZE)) + 0.3, device, 1e-5, training=False,
                 deterministic=True)
    if order not in ("RNR", "NRND"):  # what is behind a second ReLU has its own step
        step, = [one for one in plan.steps if "Dropout" not in one.name]
        assert isinstance(step, ConvOnGpu) and step.folding is not None


@on_devices
def test_a_frozen_body_is_folded_and_a_frozen_norm_above_what_learns_is_fixed(device):
    minifer.random.set_rng(3)
    body = stacked(InputLayer((None, C, *SIZE)), "NR", "body")
    layers.freeze(body)
    top = stacked(body, "", "top", num_filters=8)
    top = layers.FrozenBatchNormLayer(top, gamma=normal(8, 1), mean=normal(8, 2))
    top = layers.GlobalPoolLayer(NonlinearityLayer(top, f.rectify))
    plan = check(top, normal((4, C, *SIZE)), device, 1e-4)
    assert plan.steps[0].folding is not None
    assert isinstance(plan.steps[2], NormOnGpu) and plan.steps[2].fixed


@on_devices
def test_learning_through_fixed_averages(device):
    with config.use_floatX("float64"):
        minifer.random.set_rng(3)
        top = stacked(InputLayer((None, 3, 4, 4)), "NRP", num_filters=8)
        top = DenseLayer(top, 3)
        check(top, normal((4, 3, 4, 4)), device, 1e-10, deterministic=True)


@on_devices
def test_a_captured_prediction_sees_new_averages(device):
    def made(device):
        minifer.random.set_rng(3)
        top = stacked(InputLayer((None, 1, 8, 8)), "RNP", num_filters=8)
        source = layers.get_all_layers(top)[0].input_var
        return layers.get_all_layers(top)[-2], minifer.function(
            [source], layers.get_output(top, deterministic=True), device=device)

    (norm, predict), (its_like, slow) = made(device), made("cpu")
    for step in range(4):
        for one in norm, its_like:
            one.mean.set_value(one.mean.get_value() + 0.1)
            one.gamma.set_value(-one.gamma.get_value())
        x = normal((3, 1, 8, 8), step)
        np.testing.assert_allclose(predict(x), slow(x), rtol=0, atol=1e-5)
    assert predict.captured
