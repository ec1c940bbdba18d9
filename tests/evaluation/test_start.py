"""A network before training: what is measured, and which layer gets the blame."""

import math
import re

import numpy as np
import pytest

from minifer import init, layers, models, nonlinearities, objectives, tensor
from minifer.compiled import function
from minifer.errors import LabelError, ShapeError
from minifer.evaluation.start import look_at_start

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 30)).astype(np.float32)
Y = np.arange(48) % 5


def network(*spreads):
    """Dense layers of 40 ReLUs whose weights have these standard deviations."""
    net = layers.InputLayer((None, 30))
    for place, spread in enumerate(spreads[:-1], 1):
        net = layers.DenseLayer(net, 40, W=init.Normal(spread, rng=place),
                                name=f"dense{place}")
    return layers.DenseLayer(net, 5, W=init.Normal(spreads[-1], rng=9), name="output",
                             nonlinearity=nonlinearities.softmax)


def test_the_numbers_are_those_of_the_network():
    net = network(.2, .2, .1)
    start = look_at_start(net, X, Y)
    dense1, _, output = start.layers
    maps = layers.get_output(net.input_layer.input_layer, X)
    assert dense1.shape == (40,) and output.shape == (5,)
    assert dense1.mean == pytest.approx(maps.mean(), rel=1e-5)
    assert dense1.spread == pytest.approx(np.sqrt((maps ** 2).mean()), rel=1e-5)
    assert dense1.growth == pytest.approx(dense1.spread / np.sqrt((X ** 2).mean()),
                                          rel=1e-5)
    target = tensor.ivector("t")
    loss = objectives.categorical_crossentropy(layers.get_output(net), target).mean()
    source = layers.get_all_layers(net)[0].input_var
    assert start.loss == pytest.approx(float(function([source, target], loss)(X, Y)),
                                       rel=1e-5)
    assert start.guess == math.log(5)


@pytest.mark.parametrize("spreads, verdict", [
    ((.22, .22, .05), "good start: loss 1.6"),
    ((.22, 9., .2), "bad start: .*'dense2' makes values [0-9]+ times as large"),
    ((.22, .22, 40.), "bad start: .*'output' makes values"),
    ((.22, .22, .6), "bad start: .*scores of 'output' spread by"),
    ((.22, .001, .05), "bad start: values fade; 'dense2' makes them"),
    ((.22, 9., .001), "bad start: (values fade; 'output'|'dense2' makes values)")])
def test_the_layer_that_is_to_blame_is_named(spreads, verdict):
    start = look_at_start(network(*spreads), X, Y)
    assert re.match(verdict, start.verdict), start.verdict
    assert start.good == verdict.startswith("good")
    assert str(start).endswith(start.verdict) and "dense1" in str(start)


def test_sleeping_units_are_found():
    net = network(.22, .22, .05)
    net.input_layer.b.value[:30] = -100
    verdict = look_at_start(net, X, Y).verdict
    assert verdict == "bad start: 75% of 'dense2' are 0 for every image"


def test_nothing_is_changed_and_batch_norm_takes_the_batch():
    net = models.six_conv(size=16)
    before = [p.get_value() for p in layers.get_all_params(net)]
    streams = [one.stream.step for one in layers.get_all_layers(net)
               if hasattr(one, "stream")]
    x = RNG.normal(size=(20, 1, 16, 16)).astype(np.float32)
    start = look_at_start(net, 50 * x, np.arange(20) % 7)
    norms = [one for one in start.layers if one.name.startswith("bn")]
    assert len(norms) == 6
    np.testing.assert_allclose([one.spread for one in norms], 1, rtol=1e-3)
    assert start.good
    after = [p.get_value() for p in layers.get_all_params(net)]
    assert all((a == b).all() for a, b in zip(before, after))
    assert streams == [one.stream.step for one in layers.get_all_layers(net)
                       if hasattr(one, "stream")]


def test_glorots_start_of_the_six_convolutions_is_a_bad_one():
    """The finding that gave this network the start of the library it came from."""
    net = models.six_conv(size=16)
    for one in layers.get_all_layers(net):
        if hasattr(one, "W"):
            one.W.set_value(init.GlorotUniform(rng=1)(one.W.shape))
            one.b.set_value(np.zeros(one.b.shape))
    x = RNG.normal(size=(50, 1, 16, 16)).astype(np.float32)
    assert "'output'" in look_at_start(net, x, np.arange(50) % 7).verdict


@pytest.mark.parametrize("labels, error", [
    (Y[:-1], ShapeError), (Y.astype(float), LabelError), (Y + 1, LabelError),
    (Y - 1, LabelError)])
def test_labels_are_checked(labels, error):
    with pytest.raises(error, match="look_at_start: expected"):
        look_at_start(network(.2, .2), X, labels)
