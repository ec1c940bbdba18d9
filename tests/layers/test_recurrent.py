"""Recurrent layers: parameters as Lasagne's, masks, starts, limits, refusals."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import minifer
from helpers import reference
from helpers.checking import RANDOM_SHAPES
from helpers.layers import check_layer, numbers, refused
from minifer import gradcheck, init, nonlinearities as f, updates
from minifer.errors import ShapeError
from minifer.expressions import Variable
from minifer.layers import (BatchNormLayer, CustomRecurrentLayer, DenseLayer,
                            DropoutLayer, Gate, GRULayer, InputLayer, LSTMLayer,
                            RecurrentLayer, forward, freeze, get_all_param_values,
                            get_all_params, get_output)
from minifer.weights.architecture import from_dict, to_dict

N, T, D, H = 3, 4, 2, 3
X = numbers((N, T, D))
MASK = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0.]])
W = init.Normal(0.5)
LAYERS = [LSTMLayer, GRULayer, RecurrentLayer]
each = pytest.mark.parametrize("Layer", LAYERS)


def sequences():
    return InputLayer((None, None, D), name="x")


def with_gates(Layer, below=None, **options):
    """A layer whose weights are large enough to matter."""
    below = sequences() if below is None else below
    if Layer is RecurrentLayer:
        return RecurrentLayer(below, H, W, W, W, f.tanh, **options)
    gate = Gate(W, W, W, W)
    tanh = Gate(W, W, None, W, f.tanh)
    gates = [gate, gate, tanh, gate] if Layer is LSTMLayer else [gate, gate, tanh]
    return Layer(below, H, *gates, **options)


def in_loops(layer, x, h0, c0=None, mask=None):
    """The layer's output by slow loops, from its parameters."""
    options = {"mask": mask, "backwards": layer.backwards}
    if isinstance(layer, RecurrentLayer):
        return reference.recurrent(x, layer.W_in_to_hid.value, layer.W_hid_to_hid.value,
                                   layer.b.value, h0, **options)
    stacked = [np.concatenate([getattr(layer, f"{part}_{name}").value
                               for name in layer.GATES], axis=-1)
               for part in ("W_in_to", "W_hid_to", "b")]
    if isinstance(layer, GRULayer):
        return reference.gru(x, *stacked, h0, **options)
    peepholes = np.stack([getattr(layer, f"W_cell_to_{name}gate").value
                          for name in ("in", "forget", "out")])
    return reference.lstm(x, *stacked, h0, c0, peepholes, **options)


# --- values -------------------------------------------------------------------

@each
@pytest.mark.parametrize("backwards", [False, True])
def test_values_are_those_of_loops(Layer, backwards):
    starts = {"cell_init": W} if Layer is LSTMLayer else {}
    layer = with_gates(Layer, InputLayer((None, T, D)), backwards=backwards, hid_init=W,
                       **starts)
    assert layer.output_shape == (None, T, H)
    c0 = layer.cell_init.value if starts else None
    check_layer(layer, X, in_loops(layer, X, layer.hid_init.value, c0))


@each
@pytest.mark.parametrize("backwards", [False, True])
def test_a_mask_and_starts_come_from_layers(Layer, backwards):
    mask, start = InputLayer((None, None)), InputLayer((None, H))
    starts = {"cell_init": InputLayer((None, H))} if Layer is LSTMLayer else {}
    layer = with_gates(Layer, mask_input=mask, hid_init=start, backwards=backwards,
                       **starts)
    assert layer.incomings[1:] == [mask, start, *starts.values()]
    h0, c0 = numbers((N, H), 1), numbers((N, H), 2)
    given = {layer.incomings[0]: X, mask: MASK, start: h0}
    given.update({one: c0 for one in starts.values()})
    expected = in_loops(layer, X, h0, c0, MASK)
    y, tape = forward(layer, given)
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    assert (y[2] == h0[2]).all()  # no step was taken
    assert not any("init" in p.name for p in get_all_params(layer))
    found = tape.backward(np.ones_like(y), wrt_inputs=True).inputs
    assert not found[mask].any() and not found[given_x(layer)][2].any()
    np.testing.assert_array_equal(found[start][2], T)
    report = gradcheck.check(layer, given)
    assert report.ok, f"\n{report}"


def given_x(layer):
    return layer.incomings[0]


@each
@pytest.mark.parametrize("backwards", [False, True])
def test_the_final_state_alone(Layer, backwards):
    whole = with_gates(Layer, backwards=backwards)
    final = from_dict(to_dict(whole))
    final.only_return_final = True
    minifer.layers.set_all_param_values(final, get_all_param_values(whole))
    assert final.output_shape == (None, H)
    np.testing.assert_array_equal(
        get_output(final, X), get_output(whole, X)[:, 0 if backwards else -1])


@each
def test_what_follows_the_first_two_axes_is_flattened(Layer):
    images = with_gates(Layer, InputLayer((None, T, 2, 3)))
    rows = with_gates(Layer, InputLayer((None, T, 6)))
    minifer.layers.set_all_param_values(rows, get_all_param_values(images))
    x = numbers((N, T, 2, 3))
    np.testing.assert_array_equal(get_output(images, x),
                                  get_output(rows, x.reshape(N, T, 6)))


OPTIONS = dict(backwards=st.booleans(), learn_init=st.booleans(),
               gradient_steps=st.sampled_from([-1, 1, 2, 9]),
               grad_clipping=st.sampled_from([0, 0.1]), unroll_scan=st.booleans(),
               precompute_input=st.booleans(), only_return_final=st.booleans())


@RANDOM_SHAPES
@given(options=st.fixed_dictionaries(OPTIONS), Layer=st.sampled_from(LAYERS),
       masked=st.booleans(), started=st.booleans(), peepholes=st.booleans())
def test_all_options_go_together(options, Layer, masked, started, peepholes):
    if options["unroll_scan"]:
        options["gradient_steps"] = -1
    if Layer is LSTMLayer:
        options["peepholes"] = peepholes
    x = InputLayer((None, T, D))
    mask = InputLayer((None, T)) if masked else None
    start = DenseLayer(x, H, W, nonlinearity=f.tanh) if started else W
    layer = with_gates(Layer, x, mask_input=mask, hid_init=start, **options)
    given = {x: X, **({mask: MASK} if masked else {})}
    y, tape = forward(layer, given)
    assert y.shape == (N, *layer.output_shape[1:])
    if options["gradient_steps"] in (-1, 9) and not options["grad_clipping"]:
        report = gradcheck.check(layer, given, elementwise_up_to=0, elements=0,
                                 directions=1)
        assert report.ok, f"\n{report}"
    gradients = tape.backward(np.ones_like(y))
    for param in get_all_params(layer, trainable=True):
        assert gradients[param].shape == param.shape
        assert np.isfinite(gradients[param]).all()
    copy = from_dict(to_dict(layer))
    assert to_dict(copy) == to_dict(layer)


# --- parameters, as Lasagne's -------------------------------------------------

def test_parameters_of_an_lstm():
    layer = LSTMLayer((None, 5, 2), 3, name="l")
    gates = ["ingate", "forgetgate", "cell", "outgate"]
    expected = [name for gate in gates for name in (
        f"W_in_to_{gate}", f"W_hid_to_{gate}", f"b_{gate}")]
    expected += [f"W_cell_to_{gate}" for gate in gates if gate != "cell"]
    expected += ["cell_init", "hid_init"]
    assert [p.name for p in layer.get_params()] == [f"l.{name}" for name in expected]
    shapes = [(2, 3), (3, 3), (3,)] * 4 + [(3,)] * 3 + [(1, 3)] * 2
    assert [p.shape for p in layer.get_params()] == shapes
    assert layer.get_params(trainable=False) == [layer.cell_init, layer.hid_init]
    assert layer.get_params(regularizable=False) == [
        layer.b_ingate, layer.b_forgetgate, layer.b_cell, layer.b_outgate,
        layer.cell_init, layer.hid_init]
    assert layer.nonlinearity_cell is f.tanh
    learnt = LSTMLayer((None, 5, 2), 3, learn_init=True)
    assert not learnt.get_params(trainable=False)


def test_parameters_of_a_gru():
    layer = GRULayer((None, 5, 2), 3)
    assert [p.name for p in layer.get_params()] == [
        name for gate in ("updategate", "resetgate", "hidden_update")
        for name in (f"W_in_to_{gate}", f"W_hid_to_{gate}", f"b_{gate}")] + ["hid_init"]
    assert layer.nonlinearity_hid is f.tanh


def test_parameters_of_a_recurrent_layer():
    layer = RecurrentLayer((None, 5, 2), 3, name="r")
    assert [p.name for p in layer.get_params()] == [
        "r.hid_init", "r.input_to_hidden.W", "r.input_to_hidden.b",
        "r.hidden_to_hidden.W"]
    assert layer.get_params(trainable=True) == [layer.W_in_to_hid, layer.b,
                                                layer.W_hid_to_hid]
    assert layer.get_params(regularizable=False) == [layer.hid_init, layer.b]
    assert RecurrentLayer((None, 5, 2), 3, b=None).b is None


def test_gates_may_share_parameters_also_in_files():
    shared = minifer.layers.param.Param(np.ones((2, 3), "f"), "shared")
    gate = Gate(W_in=shared)
    layer = LSTMLayer(InputLayer((None, 5, 2)), 3, gate, gate, outgate=gate)
    assert layer.W_in_to_ingate is layer.W_in_to_outgate is shared
    copy = from_dict(to_dict(layer))
    assert copy.W_in_to_ingate is copy.W_in_to_forgetgate is copy.W_in_to_outgate
    assert copy.W_in_to_cell is not copy.W_in_to_ingate
    assert len(get_all_params(copy)) == len(get_all_params(layer))
    report = gradcheck.check(layer)
    assert report.ok, f"\n{report}"


@each
def test_frozen_recurrent_layers(Layer):
    layer = with_gates(Layer)
    freeze(layer)
    assert not get_all_params(layer, trainable=True)


# --- compiled -----------------------------------------------------------------

def trained(Layer, device="cpu", **options):
    """Losses and parameters of a few steps."""
    minifer.random.set_rng(5)
    x, mask = InputLayer((None, None, D)), InputLayer((None, None))
    net = with_gates(Layer, with_gates(Layer, x, mask_input=mask, name="below"),
                     backwards=True, learn_init=True, only_return_final=True)
    net = DenseLayer(net, 2, nonlinearity=f.softmax)
    y = Variable("y", 1)
    loss = minifer.objectives.categorical_crossentropy(get_output(net), y).mean()
    step = updates.momentum(loss, get_all_params(net, trainable=True), 0.1)
    train = minifer.function([x.input_var, mask.input_var, y], loss, updates=step,
                             device=device, **options)
    rng = np.random.default_rng(0)
    losses = [train(rng.standard_normal((n, steps, D)).astype("f"),
                    rng.integers(0, 2, (n, steps)).astype("f"), rng.integers(0, 2, n))
              for n, steps in ((9, 4), (5, 6), (1, 1), (9, 4))]
    return [float(minifer.device.arrays.to_host(loss)) for loss in losses], (
        get_all_param_values(net))


@each
@pytest.mark.parametrize("device, options", [
    ("cpu", {"threads": 1}), ("cpu", {"threads": 3}), ("emu", {})])
def test_compiled_is_eager(Layer, device, options):
    losses, values = trained(Layer, device, **options)
    expected, expected_values = trained(Layer, mode="eager")
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for a, b in zip(values, expected_values):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


# --- networks of one's own ----------------------------------------------------

def test_a_network_of_ones_own_gets_the_options_of_a_pass():
    inner = DenseLayer(DropoutLayer(InputLayer((None, D)), 0.5), H, nonlinearity=None)
    again = DenseLayer(InputLayer((None, H)), H, nonlinearity=None)
    layer = CustomRecurrentLayer(sequences(), inner, again, f.tanh)
    a, b = (get_output(layer, X, deterministic=True) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert (get_output(layer, X) != get_output(layer, X)).any()


@pytest.mark.parametrize("at_once", [True, False])
def test_batch_norm_inside_sees_all_steps_or_one(at_once):
    inner = BatchNormLayer(InputLayer((None, D)))
    again = DenseLayer(InputLayer((None, D)), D, W=np.zeros((D, D)), nonlinearity=None)
    layer = CustomRecurrentLayer(sequences(), inner, again, None,
                                 precompute_input=at_once)
    y = get_output(layer, X)
    np.testing.assert_allclose(y.mean(axis=(0, 1) if at_once else 0), 0, atol=1e-12)
    report = gradcheck.check(layer, X)
    assert report.ok, f"\n{report}"


def test_networks_inside_that_share_their_weights():
    inner = DenseLayer(InputLayer((None, H)), H, W, nonlinearity=None)
    again = DenseLayer(InputLayer((None, H)), H, inner.W, nonlinearity=None)
    layer = CustomRecurrentLayer(InputLayer((None, T, H)), inner, again, f.tanh)
    assert len(layer.get_params()) == 4
    report = gradcheck.check(layer)
    assert report.ok, f"\n{report}"
    copy = from_dict(to_dict(layer))
    assert copy.input_to_hidden.W is copy.hidden_to_hidden.W


def custom(inner_in=(None, D), inner_units=H, again_in=(None, H), again_units=H,
           shape=(None, None, D), **options):
    return CustomRecurrentLayer(
        shape, DenseLayer(InputLayer(inner_in), inner_units),
        DenseLayer(InputLayer(again_in), again_units), name="here", **options)


# --- refusals -----------------------------------------------------------------

@each
@pytest.mark.parametrize("options, fragments", [
    ({"gradient_steps": 0}, ["gradient_steps", "got 0"]),
    ({"gradient_steps": 1.5}, ["1.5"]), ({"grad_clipping": -1}, ["got -1"]),
    ({"grad_clipping": np.nan}, ["got nan"]), ({"num_units": 0}, ["num_units"]),
    ({"incoming": (None, 4)}, ["(N, T, ...)", "(None, 4)"]),
    ({"incoming": (None, 4, None)}, ["all known", "(None, 4, None)"]),
    ({"unroll_scan": True, "incoming": (None, None, 2)}, ["unroll_scan", "None"]),
    ({"unroll_scan": True, "gradient_steps": 2}, ["gradient_steps=2"]),
    ({"mask_input": InputLayer((None, 4, 1))}, ["mask_input", "(None, 4, 1)"]),
    ({"mask_input": InputLayer((None, 5))}, ["mask_input", "(None, 5)"]),
    ({"hid_init": InputLayer((None, 5))}, ["hid_init", "(None, 3)", "(None, 5)"]),
    ({"hid_init": np.zeros((2, 3))}, ["(1, 3)", "(2, 3)"])])
def test_what_is_refused(Layer, options, fragments):
    options = {"incoming": (None, 4, 2), "num_units": 3, "name": "here", **options}
    refused(lambda: Layer(**options), *fragments)


@pytest.mark.parametrize("build, fragments", [
    (lambda: LSTMLayer((None, 4, 2), 3, ingate=f.tanh, name="here"), ["as a Gate"]),
    (lambda: LSTMLayer((None, 4, 2), 3, ingate=Gate(W_cell=None), name="here"),
     ["ingate with W_cell", "peepholes=False"]),
    (lambda: custom(inner_in=(None, 5)), ["input_to_hidden's input", "(None, 5)"]),
    (lambda: custom(inner_units=5), ["input_to_hidden's output", "(None, 5)"]),
    (lambda: custom(again_in=(None, 5)), ["hidden_to_hidden's input", "(None, 5)"]),
    (lambda: custom(inner_in=(7, D), shape=(2, 4, D)), ["(8, 2)", "(7, 2)"]),
    (lambda: CustomRecurrentLayer((None, 4, 2), None, None, name="here"), ["network"]),
    (lambda: CustomRecurrentLayer(
        (None, 4, 2), minifer.layers.concat([InputLayer((None, 2))] * 2),
        DenseLayer((None, 3), 3), name="here"), ["one InputLayer", "got 0"])])
def test_what_else_is_refused(build, fragments):
    refused(build, *fragments)


@each
def test_sequences_of_no_step_are_refused(Layer):
    with pytest.raises(ShapeError, match="one step or more"):
        get_output(with_gates(Layer), np.zeros((2, 0, D)))


@each
def test_no_sequences_give_nothing(Layer):
    layer = with_gates(Layer)
    y, cache = layer.forward([np.zeros((0, T, D))])
    assert y.shape == (0, T, H)
    dxs, gradients = layer.backward(y, cache)
    assert dxs[0].shape == (0, T, D)
    assert not any(g.any() for g in gradients.values())
