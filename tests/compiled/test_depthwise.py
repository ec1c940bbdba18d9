"""The depthwise step is the layer as it is, forward and back, in all its shapes."""

import numpy as np
import pytest

import minifer
from helpers.both_ways import both_ways
from helpers.layers import numbers
from minifer import layers, nonlinearities
from minifer.compiled.cpu import depthwise

CASES = {
    "same": {"pad": "same"}, "valid": {}, "full": {"pad": "full"},
    "uneven": {"filter_size": (2, 4), "pad": (0, 3)}, "5 by 5": {"filter_size": 5},
    "two filters a channel": {"num_filters": 6, "pad": 1},
    "not flipped": {"flip_filters": False, "pad": 1},
    "no bias": {"b": None, "pad": 1},
    "linear": {"nonlinearity": None, "pad": 1}, "1 by 1": {"filter_size": 1},
    "tanh": {"nonlinearity": nonlinearities.tanh, "pad": 1}, "strides": {"stride": 2},
}


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch):
    """So that small images are enough."""
    monkeypatch.setattr(depthwise, "ENOUGH_PIXELS", 1)


def network(options):
    options = {"num_filters": 3, "filter_size": 3, **options}
    below = layers.ScaleLayer(layers.InputLayer((None, 3, 7, 9)))
    return layers.Conv2DLayer(below, num_groups=3, **options)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_the_layer(name, threads):
    net = network(CASES[name])
    batches = [numbers((batch, 3, 7, 9), batch).astype("float32") for batch in (5, 3)]
    eager, compiled, plans = both_ways(net, batches, 1e-3, threads)
    fast = name not in ("tanh", "strides")
    assert all(("depthwise" in str(plan)) == fast for plan in plans)
    for one, other in zip(eager, compiled):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


def test_pieces_of_a_batch_are_added_up(monkeypatch):
    monkeypatch.setattr(depthwise, "PIECE_BYTES", 2 * 4 * 9 * 11)
    test_it_is_the_layer("same", 2)


def test_most_of_a_bottom_that_does_not_learn_is_not_kept():
    net = layers.Conv2DLayer(layers.InputLayer((None, 8, 7, 9)), 8, 3, num_groups=8)
    source = layers.get_all_layers(net)[0].input_var
    predict = minifer.function([source], layers.get_output(net), threads=2)
    predict(np.ones((4, 8, 7, 9), "float32"))
    step, = predict.plan.steps
    assert step.x.shape[0] == 2 and step.dx is None


def test_few_pixels_are_convolved_as_they_are(monkeypatch):
    monkeypatch.setattr(depthwise, "ENOUGH_PIXELS", 200)
    net = network({})
    assert not depthwise.is_depthwise(net, 3) and depthwise.is_depthwise(net, 4)
