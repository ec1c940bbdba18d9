"""A planned network gives what the eager one gives, but for rounding."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minifer
from minifer import layers, models, nonlinearities as f, objectives, tensor, updates
from minifer.compiled.cpu import fused_conv
from minifer.compiled.cpu.choice import choose
from minifer.compiled.cpu.plan import CpuPlan
from minifer.device.threads import default_threads
from minifer.errors import SettingError
from minifer.layers import (BatchNormLayer, ConcatLayer, Conv2DLayer, DenseLayer,
                            DropoutLayer, ElemwiseSumLayer, GlobalPoolLayer, InputLayer,
                            MaxPool2DLayer, NonlinearityLayer, Pool2DLayer, batch_norm)

THREADS = 2


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(actual, expected, what, size=0.0):
    """Equal but for float32 rounding, Winograd's included (see test_winograd).

    ``size`` is that of larger numbers which cancelled in the expected ones.
    """
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, what
    scale = max(np.abs(expected).max(), size) or 1.0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-5 * scale,
                               err_msg=what)


def compare(outputs, x, training=True, algorithm="auto", cancels=False):
    """Run a plan and the eager pass on the same input and upstream gradients.

    Where gradients may cancel to nothing but rounding, as below two batch norms in a
    row, errors are held against the largest gradient of all.
    """
    outputs = outputs if isinstance(outputs, list) else [outputs]
    source, = [one for one in layers.get_all_layers(outputs)
               if isinstance(one, InputLayer)]
    streams = [one.stream for one in layers.get_all_layers(outputs)
               if hasattr(one, "stream")]
    statistics = [p for p in layers.get_all_params(outputs, batch_norm_stat=True)]
    start = [p.get_value() for p in statistics]
    ys, tape = layers.forward(outputs, {source: x}, deterministic=not training)
    after = [p.get_value() for p in statistics]
    averaged = {one.mean: one.alpha * np.abs(tape.values[one.input_layer]).max()
                for one in layers.get_all_layers(outputs) if hasattr(one, "inv_std")}
    for stream in streams:
        stream.step -= training
    for p, value in zip(statistics, start):
        p.set_value(value)
    plan = CpuPlan(outputs, {"deterministic": not training}, (), len(x), training,
                   THREADS, algorithm)
    found = plan.run({source: x})
    for planned, y in zip(found, ys):
        close(planned, y, "output")
    for p, value in zip(statistics, after):
        close(p.value, value, p.name or "statistic", averaged.get(p, 0.0))
    if training:
        dys = [normal(y.shape, 1 + i) for i, y in enumerate(ys)]
        expected = tape.backward(dys)
        gradients = plan.backward(dict(enumerate(dys)))
        assert set(gradients) == set(expected)
        size = max((np.abs(g).max() for g in expected.values()), default=0) * cancels
        for param, gradient in expected.items():
            close(gradients[param], gradient, param.name or repr(param.shape), size)
    return plan


def image(C, H, W):
    return InputLayer((None, C, H, W))


CONVS = {
    "first layer": (1, 20, 19, dict(num_filters=5, filter_size=5)),
    "colour": (3, 14, 15, dict(num_filters=4, filter_size=3, pad=1)),
    "3x3": (8, 13, 17, dict(num_filters=9, filter_size=3)),
    "3x3 same": (8, 13, 16, dict(num_filters=9, filter_size=3, pad="same")),
    "3x3 full": (16, 7, 8, dict(num_filters=8, filter_size=3, pad="full")),
    "5x5": (8, 12, 15, dict(num_filters=8, filter_size=5)),
    "5x5 same": (9, 11, 11, dict(num_filters=8, filter_size=5, pad="same")),
    "1x1": (8, 9, 7, dict(num_filters=6, filter_size=1)),
    "1x1 stride": (8, 9, 7, dict(num_filters=6, filter_size=1, stride=2)),
    "4x4 whole image": (8, 4, 4, dict(num_filters=7, filter_size=4)),
    "oblong": (8, 9, 10, dict(num_filters=6, filter_size=(2, 3), pad=(1, 0))),
    "stride": (8, 11, 12, dict(num_filters=6, filter_size=3, stride=2, pad=1)),
    "2x2 image": (8, 2, 2, dict(num_filters=9, filter_size=3, pad=1)),
    "1x1 image": (8, 1, 1, dict(num_filters=6, filter_size=3, pad=1)),
    "wider than the image": (8, 2, 3, dict(num_filters=6, filter_size=5, pad=2)),
    "stride and padding": (8, 3, 5, dict(num_filters=6, filter_size=3, stride=3,
                                          pad=2)),
    "stride oblong": (2, 11, 12, dict(num_filters=6, filter_size=3, stride=(1, 3))),
    "7x7 stride": (3, 21, 20, dict(num_filters=4, filter_size=7, stride=2, pad=3)),
    "unflipped": (8, 10, 9, dict(num_filters=8, filter_size=3, flip_filters=False)),
    "no bias": (8, 10, 9, dict(num_filters=8, filter_size=3, b=None)),
    "linear": (8, 10, 9, dict(num_filters=8, filter_size=3, nonlinearity=None)),
    "tanh": (8, 10, 9, dict(num_filters=8, filter_size=3, nonlinearity=f.tanh)),
    "untied": (8, 10, 9, dict(num_filters=8, filter_size=3, untie_biases=True)),
}


@pytest.mark.parametrize("algorithm", ["auto", "elements", "im2col", "row", "winograd"])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("case", CONVS)
def test_conv(case, pool, algorithm):
    C, H, W, options = CONVS[case]
    options = {"b": minifer.init.Normal(0.5, rng=3), **options}
    below = Conv2DLayer(image(2, H, W), C, 1, name="below")  # so that dx is needed
    network = Conv2DLayer(below, name="conv", **options)
    if pool and min(network.output_shape[2:]) >= 2:
        network = MaxPool2DLayer(network, 2)
    compare(network, normal((5, 2, H, W)), algorithm=algorithm)
    compare(network, normal((5, 2, H, W)), training=False, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["elements", "im2col", "row", "winograd"])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("case", ["3x3", "5x5 same", "oblong", "stride", "7x7 stride"])
def test_one_image_in_bands(case, pool, algorithm, monkeypatch):
    """Bands of the fewest rows, the last of which overlaps another."""
    monkeypatch.setattr(fused_conv, "BAND_BYTES", 1)
    C, H, W, options = CONVS[case]
    network = Conv2DLayer(image(C, H, W), name="conv", **options)
    network = MaxPool2DLayer(network, 2) if pool else network
    network = Conv2DLayer(network, 3, 2, name="above")
    x = normal((1, C, H, W))
    plan = compare(network, x, training=False, algorithm=algorithm)
    conv = plan.steps[0].convs[0]
    assert len(conv.starts) == conv.geometry.tiles[0] and conv.tiles[0] == 1
    for size in (plan.nbytes // 4, plan.nbytes // 8):
        monkeypatch.setattr(fused_conv, "BAND_BYTES", size)
        compare(network, x, training=False, algorithm=algorithm)


def test_only_a_single_image_to_predict_is_in_bands():
    network = models.ck96()
    x = normal((1, 1, 96, 96))
    one = compare(network, x, training=False)
    assert all(len(conv.starts) > 1 for conv in one.steps[0].convs)
    for batch, training in ((1, True), (8, False)):
        plan = CpuPlan([network], {"deterministic": not training}, (), batch, training,
                       THREADS)
        assert all(len(conv.starts) == 1 for conv in plan.steps[0].convs)


def test_every_layer_runs_inside_a_plan():
    x = image(3, 12, 11)
    a = batch_norm(Conv2DLayer(x, 8, 3, pad=1, name="a"))
    b = Conv2DLayer(a, 8, 3, pad=1, nonlinearity=None, name="b")
    c = NonlinearityLayer(ElemwiseSumLayer([a, b]), f.rectify)
    d = ConcatLayer([c, Pool2DLayer(c, 3, stride=1, pad=1, mode="average_exc_pad")])
    e = MaxPool2DLayer(d, 3, stride=2, pad=1)
    top = [DenseLayer(DropoutLayer(e, 0.3), 6, name="dense"), GlobalPoolLayer(d)]
    plan = compare(top, normal((4, 3, 12, 11)))
    assert all(len(row) == 6 for row in plan.table()) and "plain" in str(plan)
    compare(top, normal((4, 3, 12, 11)), training=False)


def test_steps_between_convolutions():
    """Batch norm, ReLU and pooling where they cannot be fused into a convolution."""
    a = batch_norm(Conv2DLayer(image(1, 14, 13), 8, 3, pad=1, name="a"))
    b = MaxPool2DLayer(a, 2, name="pool")
    c = BatchNormLayer(Conv2DLayer(b, 8, 3, pad=1, name="c"), gamma=None, name="n")
    c = MaxPool2DLayer(NonlinearityLayer(c, f.rectify), 2)
    d = BatchNormLayer(c, beta=None, name="m")
    plan = compare(DenseLayer(d, 3, name="dense"), normal((6, 1, 14, 13)))
    assert "plain" not in str(plan)
    compare(DenseLayer(d, 3, name="dense"), normal((6, 1, 14, 13)), training=False)


@pytest.mark.parametrize("training", [True, False])
def test_a_perceptron_with_batch_norm_and_dropout(training):
    network = models.mlp(size=6, batch_norm=True, dropout=.5)
    compare(network, normal((5, 1, 6, 6)), training)


def test_a_shared_layer_and_a_shared_parameter_collect_from_every_use():
    x = image(8, 10, 10)
    first = Conv2DLayer(x, 8, 3, pad=1, name="first")
    again = Conv2DLayer(first, 8, 3, pad=1, W=first.W, b=first.b)
    network = DenseLayer(ConcatLayer([first, again]), 3, name="dense")
    compare(network, normal((4, 8, 10, 10)))


def test_frozen_layers_at_the_bottom_are_left_alone():
    first = Conv2DLayer(image(1, 14, 14), 8, 3, name="first")
    second = Conv2DLayer(first, 8, 3, name="second")
    network = DenseLayer(MaxPool2DLayer(second, 2), 3, name="dense")
    for param in (first.W, first.b):
        first.params[param].discard("trainable")
    plan = compare(network, normal((4, 1, 14, 14)))
    assert len(plan.steps) == 2  # still one chain


@st.composite
def networks(draw):
    """A random chain with branches: whatever comes, plan and eager must agree."""
    minifer.random.set_rng(1)  # weights are drawn as the layers are made
    number = st.integers
    C, H, W = draw(number(1, 9)), draw(number(8, 17)), draw(number(8, 17))
    top = image(C, H, W)
    for place in range(draw(number(1, 5))):
        kind = draw(st.sampled_from(["conv", "conv", "conv", "pool", "norm", "drop",
                                     "sum", "concat", "elu"]))
        h, w = top.output_shape[2:]
        if kind == "conv":
            size = draw(st.sampled_from([1, 2, 3, 3, 5]))
            pad = draw(number(0, size // 2)) if min(h, w) > size else size
            top = Conv2DLayer(top, draw(number(1, 10)), size, pad=pad,
                              stride=draw(st.sampled_from([1, 1, (1, 2)])),
                              nonlinearity=draw(st.sampled_from([f.rectify, None])),
                              flip_filters=draw(st.booleans()),
                              b=minifer.init.Normal(0.3, rng=place), name=f"c{place}")
        elif kind == "pool" and min(h, w) >= 2:
            top = MaxPool2DLayer(top, 2, ignore_border=draw(st.booleans()))
        elif kind == "norm":
            top = BatchNormLayer(top, name=f"n{place}")
        elif kind == "drop":
            top = DropoutLayer(top, 0.4, rng=place)
        elif kind == "sum":
            top = ElemwiseSumLayer([top, top], coeffs=[1, 0.5])
        elif kind == "concat":
            top = ConcatLayer([top, Conv2DLayer(top, 2, 1, name=f"k{place}")])
        else:
            top = NonlinearityLayer(top, f.elu)
    return DenseLayer(top, 4, name="top"), draw(number(1, 7)), (C, H, W)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks())
def test_random_networks(case):
    network, N, shape = case
    compare(network, normal((N,) + shape), cancels=True)


def small_network():
    net = image(1, 16, 16)
    net = MaxPool2DLayer(Conv2DLayer(net, 8, 3, name="conv1"), 2)
    net = MaxPool2DLayer(Conv2DLayer(net, 8, 3, pad=1, name="conv2"), 2)
    net = DenseLayer(DropoutLayer(net, 0.5, rng=5), 16, name="dense")
    return DenseLayer(net, 3, nonlinearity=f.softmax, name="output")


def trained(mode, steps=50, threads=THREADS, sizes=(12,)):
    """Losses and final weights of a short training run."""
    minifer.random.set_rng(7)
    net = small_network()
    x, y = layers.get_all_layers(net)[0], tensor.ivector("y")
    prediction = layers.get_output(net)
    loss = objectives.categorical_crossentropy(prediction, y).mean()
    params = layers.get_all_params(net, trainable=True)
    train = minifer.function([x.input_var, y], loss,
                             updates.nesterov_momentum(loss, params, 0.02, 0.9),
                             mode=mode, threads=threads)
    data, labels = normal((12, 1, 16, 16)), np.arange(12) % 3
    losses = [train(data[:sizes[i % len(sizes)]], labels[:sizes[i % len(sizes)]])
              for i in range(steps)]
    return losses, layers.get_all_param_values(net), train


def test_fifty_training_steps():
    planned, weights, train = trained("compiled")
    eager, expected, _ = trained("eager")
    assert train.plan is not None
    np.testing.assert_allclose(planned, eager, rtol=2e-4)
    assert planned[-1] < 0.5 * planned[0]
    for one, other in zip(weights, expected):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-4)


def test_smaller_batches_need_no_new_plan():
    sizes = (12, 5, 1, 7)
    planned, _, train = trained("compiled", steps=8, sizes=sizes)
    eager, _, _ = trained("eager", steps=8, sizes=sizes)
    assert train.plan.batch == 12
    assert train.plan.nbytes == trained("compiled", steps=1)[2].plan.nbytes
    np.testing.assert_allclose(planned, eager, rtol=1e-4)


def test_runs_repeat_bit_for_bit_and_threads_change_rounding_only():
    first, weights, _ = trained("compiled", steps=10)
    again, same, _ = trained("compiled", steps=10)
    assert first == again
    assert all((a == b).all() for a, b in zip(weights, same))
    alone, _, _ = trained("compiled", steps=10, threads=1)
    np.testing.assert_allclose(first, alone, rtol=1e-5)


@pytest.mark.parametrize("C, algorithm", [(1, "im2col"), (8, "winograd"), (8, "row")])
def test_a_first_maximum_takes_the_gradient_when_several_tie(C, algorithm):
    """Filters of 0 make every window a tie: the plan routes as eager does."""
    conv = Conv2DLayer(image(C, 10, 10), 3, 3, W=minifer.init.Constant(0),
                       b=minifer.init.Constant(1), name="conv")
    compare(MaxPool2DLayer(conv, 2), normal((2, C, 10, 10)), algorithm=algorithm)


def test_float64_takes_the_plain_path():
    with minifer.config.use_floatX("float64"):
        losses, _, train = trained("compiled", steps=2)
        assert train.plan is None
    assert np.isfinite(losses).all()


def test_outputs_stay_valid_after_the_next_call():
    net = small_network()
    source = layers.get_all_layers(net)[0]
    output = layers.get_output(net, deterministic=True)
    predict = minifer.function([source.input_var], output)
    first = predict(normal((3, 1, 16, 16)))
    kept = first.copy()
    predict(normal((3, 1, 16, 16), seed=9))
    assert (first == kept).all()


def test_the_plan_and_the_profile_print_a_table():
    _, _, train = trained("compiled", steps=1)
    text = str(train.plan)
    assert "winograd F(4,3)" in text and "im2col" in text and "matmul" in text
    assert "conv1 + MaxPool2DLayer" in text and "batch up to 12" in text
    profile = train.profile(normal((12, 1, 16, 16)), np.arange(12) % 3, repeat=2)
    assert "ms/image" in profile and "GFLOP/s" in profile


def test_algorithms_are_chosen_by_shape():
    assert choose(Conv2DLayer(image(1, 96, 96), 32, 5), True)[0] == "im2col"
    assert choose(Conv2DLayer(image(32, 46, 46), 32, 5), True) == ("winograd", 4)
    assert choose(Conv2DLayer(image(32, 46, 46), 32, 5, stride=2), True)[0] == "im2col"
    assert choose(Conv2DLayer(image(32, 46, 46), 32, 1), False)[0] == "im2col"
    assert choose(Conv2DLayer(image(32, 46, 46), 32, 7), True)[0] == "row"
    assert choose(Conv2DLayer(image(32, 4, 4), 32, 4), False)[0] == "im2col"


@pytest.mark.parametrize("C, side, options, pool, name", [
    (64, 2, dict(filter_size=3, pad=1), False, "elements"),  # 16 products, as Winograd
    (64, 3, dict(filter_size=3, pad=1), False, "winograd"),  # 49, and 25
    (64, 1, dict(filter_size=3, pad=1), False, "elements"),
    (64, 3, dict(filter_size=3, pad=1, stride=2), False, "elements"),
    (64, 6, dict(filter_size=3, pad=1, stride=2), False, "elements"),
    (64, 12, dict(filter_size=3, pad=1, stride=2), False, "im2col"),  # little padding
    (32, 2, dict(filter_size=3, pad=1), False, "winograd"),  # few channels
    (64, 2, dict(filter_size=3, pad=1), True, "winograd"),
    (64, 2, dict(filter_size=2), False, "im2col")])
def test_elements_are_chosen_where_windows_are_mostly_padding(C, side, options, pool,
                                                              name):
    assert choose(Conv2DLayer(image(C, side, side), 64, **options), pool)[0] == name


@pytest.mark.parametrize("side, pool, m", [(1, False, 0), (2, False, 2), (3, False, 3),
                                           (4, False, 4), (12, True, 6), (14, True, 4),
                                           (48, False, 6), (9, False, 3), (6, True, 6),
                                           (44, True, 4), (46, False, 6),
                                           (56, False, 4), (112, False, 6)])
def test_tiles_are_those_that_cost_least(side, pool, m):
    layer = Conv2DLayer(image(32, side, side), 32, 3, pad=1)
    name, found = choose(layer, pool)
    assert (name, found) == (("winograd", m) if m else ("im2col", 1))


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"algorithm": "fft"}])
def test_unknown_choices_are_refused(options):
    net = small_network()
    source = layers.get_all_layers(net)[0]
    with pytest.raises(SettingError, match="expected"):
        run = minifer.function([source.input_var], layers.get_output(net), **options)
        run(normal((2, 1, 16, 16)))


@pytest.mark.parametrize("training", [True, False])
def test_frozen_batch_norm_is_planned(training):
    body = Conv2DLayer(batch_norm(Conv2DLayer(InputLayer((None, 3, 9, 8)), 8, 3)), 8, 3)
    for p in layers.get_all_params(body, batch_norm_stat=True):
        p.set_value(np.abs(normal(p.shape, 4)))
    layers.freeze(body)
    compare(DenseLayer(body, 3), normal((5, 3, 9, 8)), training)
    plan = CpuPlan([body], {}, (), 5, training, THREADS)
    assert len(plan.steps) == 1  # one chain


def test_threads_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MINIFER_NUM_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.setenv("MINIFER_NUM_THREADS", "many")
    with pytest.raises(SettingError, match="MINIFER_NUM_THREADS"):
        default_threads()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("T", [4, None])
def test_dense_layers_of_sequences(T, training):
    body = DenseLayer(InputLayer((None, T, 6)), 5, nonlinearity=f.tanh, name="body",
                      num_leading_axes=2)
    network = DenseLayer(body, 3, num_leading_axes=-1, nonlinearity=f.softmax)
    for length in (4, 7) if T is None else (4,):
        compare(network, normal((3, length, 6)), training)
