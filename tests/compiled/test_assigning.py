"""Functions with updates of any kind, givens, and gradients of any expressions."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from helpers.layers import numbers
from minifer import layers, nonlinearities, objectives, tensor as T, updates
from minifer.errors import NotFiniteError, SettingError, ShapeError
from minifer.expressions import Param

ON = ["cpu", *DEVICES]
X = numbers((5, 3)).astype("float32")
IMAGES = numbers((4, 1, 8, 8)).astype("float32")


def dense(units, incoming, name, seed, **options):
    """A dense layer of known weights."""
    W = numbers((np.prod(incoming.output_shape[1:]), units), seed) * 0.5
    return layers.DenseLayer(incoming, units, W=W, name=name, **options)


# --- values that are shared ------------------------------------------------------

def test_a_counter():
    count, x = minifer.shared(np.int64(0), "count"), T.lscalar("x")
    step = minifer.function([x], count, updates=[(count, count + x)])
    assert [step(2), step(3)] == [0, 2] and count.get_value() == 5


def test_all_new_values_are_of_the_old_ones():
    a, b = minifer.shared(np.array([1.0, 2.0])), minifer.shared(np.array([3.0, 4.0]))
    assert minifer.function([], updates={a: b, b: a * 10})() == []
    np.testing.assert_array_equal(a.get_value(), [3, 4])
    np.testing.assert_array_equal(b.get_value(), [10, 20])


def test_a_shared_value_may_change_its_shape_and_a_parameter_not():
    data = minifer.shared(np.zeros((1, 1), "float32"))
    total = minifer.function([], data.sum())
    data.set_value(np.ones((3, 4)))
    assert total() == 12 and data.get_value(borrow=True).dtype == "float32"
    with pytest.raises(ShapeError, match="expected 2 axes"):
        data.set_value(np.ones(3))
    W = Param(np.ones(2), "W")
    with pytest.raises(ShapeError, match=r"shape \(2,\) for 'W', got \(3,\)"):
        minifer.function([], updates={W: T.ones((3,))})()
    np.testing.assert_array_equal(W.value, 1)


def test_results_do_not_change_when_the_parameter_moves():
    W = Param(np.ones((2, 2)), "W")
    loss = (W * W).sum()
    step = minifer.function([], [W, W.T, loss], updates.sgd(loss, [W], 0.25))
    before = step()
    np.testing.assert_array_equal(before[0], np.ones((2, 2)))
    np.testing.assert_array_equal(before[1], np.ones((2, 2)))
    np.testing.assert_array_equal(W.value, 0.5)


def test_givens_are_parts_of_shared_data():
    data, i = minifer.shared(np.arange(12.0).reshape(6, 2)), T.lscalar("i")
    x = T.matrix("x")
    run = minifer.function([i], x.sum(axis=0), givens={x: data[i * 2:(i + 1) * 2]})
    np.testing.assert_array_equal(run(1), [4 + 6, 5 + 7])
    net = dense(2, layers.InputLayer((None, 2), x), "h", 1)
    run = minifer.function([i], layers.get_output(net), givens=[(x, data[i:i + 2])])
    np.testing.assert_allclose(run(3), layers.get_output(net, data.value[3:5]))


def test_names_of_outputs():
    x = T.vector("x")
    assert minifer.function([x], {"sum": x.sum(), "max": x.max()})(
        np.array([1.0, 2.0])) == {"sum": 3, "max": 2}


@pytest.mark.parametrize("what, raises", [("raise", True), ("ignore", False)])
def test_inputs_that_nothing_reads(what, raises):
    x, y = T.vector("x"), T.vector("y")
    if raises:
        with pytest.raises(SettingError, match="none that depend on 'y'"):
            minifer.function([x, y], x.sum(), on_unused_input=what)
    else:
        minifer.function([x, y], x.sum(), on_unused_input=what)
    with pytest.warns(UserWarning, match="none that depend on 'y'"):
        minifer.function([x, y], x.sum(), on_unused_input="warn")


@pytest.mark.parametrize("wrong", [3, ["W"], [("W", 1)], {"W": 1}])
def test_what_is_no_updates_is_refused(wrong):
    with pytest.raises(SettingError, match="expected updates such as"):
        minifer.function([], updates=wrong)


# --- updates as a dict ---------------------------------------------------------------

def quadratic():
    """A parameter and a loss whose gradient is 2 W."""
    W = Param(np.array([1.0, -2.0]), "W")
    return W, (W * W).sum()


def test_an_update_is_a_dict_of_new_values():
    W, loss = quadratic()
    step = updates.sgd(loss, [W], 0.1)
    assert list(step) == step.keys() == [W] and len(step) == 1 and W in step
    assert [p for p, _ in step.items()] == [W] and step.values() == [step[W]]
    assert step.get(Param(np.ones(1))) is None
    step[W] = updates.norm_constraint(step[W], 0.8, norm_axes=(0,))
    minifer.function([], [], step)()
    assert np.linalg.norm(W.value) == pytest.approx(0.8)


@pytest.mark.parametrize("make", [dict, list, lambda pairs: pairs])
def test_it_may_be_made_anew(make):
    W, loss = quadratic()
    step = updates.momentum(loss, [W], 0.1, momentum=0.5)
    run = minifer.function([], loss, make(step.items()))
    run(), run()
    np.testing.assert_allclose(W.value, [0.54, -1.08])  # .8, then v = -.1 - .16


@pytest.mark.parametrize("kind", ["rules", "dicts", "mixed"])
def test_a_list_of_updates_is_no_list_of_pairs(kind):
    W, V, n = (Param(np.array([value, -2.0]), name)
               for value, name in ((1.0, "W"), (2.0, "V"), (3.0, "n")))
    rules = [updates.sgd((W * W).sum(), [W], 0.1),
             updates.sgd((V * V).sum() + (n * n).sum(), [V, n], 0.25)]
    given = {"rules": rules, "dicts": [dict(one.items()) for one in rules],
             "mixed": [rules[0], *rules[1].items()]}[kind]
    minifer.function([], [], given)()
    for param, value in (W, [0.8, -1.6]), (V, [1, -1]), (n, [1.5, -1]):
        np.testing.assert_allclose(param.value, value)


def test_what_was_left_out_stays():
    W, loss = quadratic()
    V = Param(np.array([3.0]), "V")
    step = updates.sgd(loss + (V * V).sum(), [W, V], 0.1)
    minifer.function([], [], {W: step[W]})()
    np.testing.assert_array_equal(V.value, [3])
    np.testing.assert_allclose(W.value, [0.8, -1.6])


def test_a_rate_that_is_shared_or_comes_with_the_batch():
    for rate in (minifer.shared(np.float32(0.25)), T.scalar("rate")):
        W, loss = quadratic()
        step = updates.nesterov_momentum(loss, [W], learning_rate=rate, momentum=0.)
        fixed = isinstance(rate, Param)
        run = minifer.function([] if fixed else [rate], loss, step)
        run() if fixed else run(np.float32(0.25))
        np.testing.assert_allclose(W.value, [0.5, -1])
        if fixed:
            rate.set_value(0.5)
        run() if fixed else run(np.float32(0.5))
        np.testing.assert_allclose(W.value, [0, 0])


def test_gradients_may_be_changed_on_their_way():
    W, loss = quadratic()
    grads = T.grad(loss, [W])
    limited, norm = updates.total_norm_constraint(grads, 1.0, return_norm=True)
    run = minifer.function([], norm, updates.sgd(limited, [W], learning_rate=1.0))
    assert run() == pytest.approx(np.sqrt(20))
    np.testing.assert_allclose(W.value, np.array([1, -2]) * (1 - 1 / np.sqrt(5)),
                               rtol=1e-6)
    clipped = [T.clip(g, -0.5, 0.5) for g in T.grad(loss, [W])]
    minifer.function([], [], updates.sgd(clipped, [W], learning_rate=1.0))()
    with pytest.raises(SettingError, match="expected 1 gradients.+ got 2"):
        updates.sgd(clipped * 2, [W], learning_rate=1.0)


@pytest.mark.parametrize("apply, expected", [
    (updates.apply_momentum, [0.8, 0.8 - 0.16 - 0.1]),
    (updates.apply_nesterov_momentum, None)])
def test_momentum_of_a_dict_is_that_of_the_rule(apply, expected):
    values = []
    for wrap in (lambda u: u, dict):
        W, loss = quadratic()
        run = minifer.function([], loss, apply(wrap(updates.sgd(loss, [W], 0.1)), [W],
                                               momentum=0.5))
        values.append([run() is not None and W.value[0] for _ in range(3)])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    if expected:
        np.testing.assert_allclose(values[0][:2], expected)


def test_two_rules_for_one_parameter_the_later_counts():
    W, loss = quadratic()
    step = updates.sgd(loss, [W], 0.1)
    step.update(updates.sgd(loss, [W], 0.25))
    minifer.function([], [], step)()
    np.testing.assert_allclose(W.value, [0.5, -1])


# --- a pair of networks ---------------------------------------------------

def adversaries(device, mode):
    """What a pair of networks with two rules has learnt in three steps."""
    noise, real = T.matrix("noise"), T.matrix("real")
    maker = dense(3, dense(4, layers.InputLayer((None, 3), noise), "a", 1), "b", 2,
                  nonlinearity=nonlinearities.tanh)
    judge = dense(1, dense(4, layers.InputLayer((None, 3), real), "c", 3), "d", 4,
                  nonlinearity=nonlinearities.sigmoid)
    yes = layers.get_output(judge)
    no = layers.get_output(judge, layers.get_output(maker))
    judged = (objectives.binary_crossentropy(yes, 1)
              + objectives.binary_crossentropy(no, 0)).mean()
    made = objectives.binary_crossentropy(no, 1).mean()
    of_maker = layers.get_all_params(maker, trainable=True)
    of_judge = layers.get_all_params(judge, trainable=True)
    step = updates.adam(made, of_maker, learning_rate=0.05)
    step.update(updates.sgd(judged, of_judge, learning_rate=0.1))
    run = minifer.function([noise, real], [made, judged], step, device=device,
                           mode=mode)
    losses = [run(X, X[::-1].copy()) for _ in range(3)]
    return losses, [p.get_value() for p in of_maker + of_judge]


@pytest.mark.parametrize("device", ON)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_two_networks_train_against_each_other(mode, device):
    with minifer.config.use_floatX("float64"):
        losses, values = adversaries("cpu", "eager")
    found = adversaries(device, mode)
    np.testing.assert_allclose(found[0], losses, rtol=1e-4)
    for one, other in zip(found[1], values):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert np.abs(found[1][0] - numbers((3, 4), 1) * 0.5).max() > 0.05


def test_a_loss_that_is_not_finite_changes_nothing():
    W, V = Param(np.ones(2), "W"), Param(np.zeros(2), "V")
    step = updates.sgd((W * W).sum(), [W], 0.1)
    step.update(updates.sgd((V / V).sum(), [V], 0.1))
    with pytest.raises(NotFiniteError):
        minifer.function([], [], step)()
    np.testing.assert_array_equal(W.value, 1)


# --- gradients of inputs --------------------------------------------------

def classifier():
    """A small convolutional network."""
    net = layers.InputLayer((None, 1, 8, 8))
    net = layers.Conv2DLayer(net, 4, 3, W=numbers((4, 1, 3, 3), 1), pad=1)
    net = layers.MaxPool2DLayer(net, 2)
    net = layers.Conv2DLayer(net, 4, 3, W=numbers((4, 4, 3, 3), 2))
    return dense(3, net, "top", 3, nonlinearity=nonlinearities.softmax)


@pytest.mark.parametrize("device", ON)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_saliency(mode, device):
    net = classifier()
    x = layers.get_all_layers(net)[0].input_var
    score = T.log(layers.get_output(net, deterministic=True).max(axis=1)).sum()
    p, tape = layers.forward(net, IMAGES)
    best = np.eye(3, dtype="float32")[p.argmax(axis=1)]
    expected = tape.backward(best / p, wrt_inputs=True)
    found = minifer.function([x], T.grad(score, x), mode=mode, device=device)(IMAGES)
    np.testing.assert_allclose(found, list(expected.inputs.values())[0], rtol=2e-3,
                               atol=1e-4)


@pytest.mark.parametrize("device", ON)
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_variable_in_the_place_of_a_hidden_layer(mode, device):
    net = classifier()
    hidden = layers.get_all_layers(net)[2]
    h, t = T.tensor4("h"), T.ivector("t")
    loss = objectives.categorical_crossentropy(
        layers.get_output(net, {hidden: h}), t).mean()
    given = layers.get_output(hidden, IMAGES)
    W = net.W
    run = minifer.function([h, t], [loss, T.grad(loss, W), T.grad(loss, h)], mode=mode,
                           device=device)
    with pytest.raises(ShapeError, match=r"an array of shape \(None, 4, 4, 4\)"):
        run(given[:, :, 1:], np.arange(4) % 3)
    value, dW, dh = run(given, np.arange(4) % 3)
    p = layers.get_output(net, IMAGES)[np.arange(4), np.arange(4) % 3]
    assert value == pytest.approx(-np.log(p).mean(), rel=1e-5)
    assert dW.shape == W.shape and dh.shape == given.shape
    eps = 1e-2 * np.sign(dh)
    up, down = (run(given + e, np.arange(4) % 3)[0] for e in (eps, -eps))
    assert (up - down) / 2e-2 == pytest.approx(np.abs(dh).sum(), rel=0.05)


def test_what_a_gradient_does_not_depend_on():
    x, y = T.vector("x"), T.vector("y")
    with pytest.raises(SettingError, match="does not depend on .y."):
        T.grad(x.sum(), y).eval({x: np.ones(2), y: np.ones(3)})
    zeros = T.grad(x.sum(), [x, y], disconnected_inputs="ignore")
    assert zeros[1].eval({x: np.ones(2), y: np.ones(3)}).tolist() == [0, 0, 0]
    kept = T.grad((x * T.disconnected_grad(x)).sum(), x)
    np.testing.assert_array_equal(kept.eval({x: np.array([2.0, 3.0])}), [2, 3])
    with pytest.raises(SettingError, match="once: write the second"):
        T.grad(T.grad((x * x).sum(), x).sum(), x).eval({x: np.ones(2)})


def test_columns_and_rows_make_tables_only_with_a_warning():
    x, t = T.col("x"), T.vector("t")
    with pytest.warns(UserWarning, match=r"to \(3, 3\).+dimshuffle\(0, 'x'\)"):
        table = minifer.function([x, t], x - t)(np.ones((3, 1)), np.arange(3.0))
    assert table.shape == (3, 3)
    loss = objectives.squared_error(x, t)
    assert minifer.function([x, t], loss)(np.ones((3, 1)), np.arange(3.0)).tolist() == [
        [1], [0], [1]]
