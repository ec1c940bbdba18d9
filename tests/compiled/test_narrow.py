"""The step of narrow groups is the layer as it is, forward and back, in all its shapes.
"""

import numpy as np
import pytest

import minifer
from helpers.both_ways import both_ways
from helpers.layers import numbers
from minifer import layers, nonlinearities
from minifer.compiled.cpu import narrow

CASES = {
    "same": {"pad": "same"}, "valid": {}, "full": {"pad": "full"},
    "uneven": {"filter_size": (2, 4), "pad": (0, 3)}, "5 by 5": {"filter_size": 5},
    "two filters a channel": {"num_filters": 12, "pad": 1},
    "two groups": {"num_groups": 2, "num_filters": 4, "pad": 1},
    "two groups, uneven": {"num_groups": 2, "filter_size": (4, 1), "pad": (2, 0)},
    "not flipped": {"flip_filters": False, "pad": 1},
    "no bias": {"b": None, "pad": 1},
    "linear": {"nonlinearity": None, "pad": 1}, "1 by 1": {"filter_size": 1},
    "tanh": {"nonlinearity": nonlinearities.tanh, "pad": 1}, "strides": {"stride": 2},
    "wide groups": {"num_groups": 2, "num_filters": 18},
}
SLOW = "tanh", "strides", "wide groups"


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch):
    """So that small images are enough."""
    monkeypatch.setattr(narrow, "ENOUGH_PIXELS", 1)


def network(options):
    options = {"num_filters": 6, "filter_size": 3, "num_groups": 6, **options}
    below = layers.ScaleLayer(layers.InputLayer((None, 6, 7, 9)))
    return layers.Conv2DLayer(below, **options)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_the_layer(name, threads):
    net = network(CASES[name])
    batches = [numbers((batch, 6, 7, 9), batch).astype("float32") for batch in (5, 3)]
    eager, compiled, plans = both_ways(net, batches, 1e-3, threads)
    assert all(("narrow" in str(plan)) == (name not in SLOW) for plan in plans)
    for one, other in zip(eager, compiled):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("most", [2 ** 11, 2 ** 9, 1])
@pytest.mark.parametrize("name", ["same", "two groups", "5 by 5"])
def test_pieces_of_a_batch_and_of_an_image_are_added_up(name, most, monkeypatch):
    monkeypatch.setattr(narrow, "PIECE_BYTES", 4 * most)
    test_it_is_the_layer(name, 2)


def test_runs_repeat_whatever_the_threads(monkeypatch):
    """Sums belong to pieces, not to threads."""
    monkeypatch.setattr(narrow, "PIECE_BYTES", 2 ** 12)
    found = []
    for threads in 1, 2, 3:
        minifer.random.set_rng(0)
        net = network({"num_groups": 2})
        _, compiled, _ = both_ways(net, [numbers((5, 6, 7, 9)).astype("float32")], 1,
                                   threads)
        found.append(compiled)
    for one, *others in zip(*found):
        for other in others:
            np.testing.assert_array_equal(other, one)


def test_what_does_not_learn_has_buffers_of_one_way():
    net = layers.Conv2DLayer(layers.InputLayer((None, 8, 7, 9)), 8, 3, num_groups=8)
    source = layers.get_all_layers(net)[0].input_var
    predict = minifer.function([source], layers.get_output(net), threads=2)
    predict(np.ones((4, 8, 7, 9), "float32"))
    step, = predict.plan.steps
    assert len(step.slides) == 1 and step.x is None and step.dx is None


def test_few_pixels_are_convolved_as_they_are(monkeypatch):
    monkeypatch.setattr(narrow, "ENOUGH_PIXELS", 200)
    net = network({})
    assert not narrow.is_narrow(net, 3) and narrow.is_narrow(net, 4)
