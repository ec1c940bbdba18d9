"""Grouped, dilated, transposed convolutions as plain ones: they stay what they are."""

import numpy as np
import pytest

from helpers.both_ways import both_ways
from helpers.layers import numbers
from minifer import layers, nonlinearities

tanh = nonlinearities.tanh


def grouped(x, groups=2, **options):
    return layers.Conv2DLayer(x, 8 * groups, 3, num_groups=groups, **options)


def dilated(x, size=3, steps=(2, 2), **options):
    return layers.DilatedConv2DLayer(x, 8, size, steps, **options)


def transposed(x, size=4, stride=2, **options):
    return layers.TransposedConv2DLayer(x, 9, size, stride, **options)


CASES = {
    "groups": lambda x: grouped(x, pad=1),
    "groups, strides, flipped": lambda x: grouped(x, stride=2, flip_filters=False),
    "groups, tanh, no bias": lambda x: grouped(x, nonlinearity=tanh, b=None),
    "dilated": lambda x: dilated(x),
    "dilated, padded": lambda x: dilated(x, pad=2, flip_filters=True),
    "dilated, uneven": lambda x: dilated(x, (2, 3), (1, 4), pad=(0, 3)),
    "dilated by 3": lambda x: dilated(x, steps=(3, 2), pad=(4, 1), nonlinearity=tanh),
    "transposed": lambda x: transposed(x, crop=1),
    "transposed, flipped": lambda x: transposed(x, flip_filters=True),
    "transposed, 3 by 3": lambda x: transposed(x, 3, crop="same"),
    "transposed, 5 by 5": lambda x: transposed(x, 5, crop=2, output_size=(14, 18)),
    "transposed, uneven": lambda x: transposed(x, (3, 5), (1, 3), crop=(1, 0)),
    "transposed, gaps": lambda x: transposed(x, 2, 3, nonlinearity=None),
    "transposed, no bias": lambda x: transposed(x, crop="full", b=None),
}
#: Too few channels, unknown lengths, outputs beyond all places: as they are.
PLAIN = {
    "few channels": lambda x: layers.Conv2DLayer(x, 8, 3, num_groups=4),
    "unknown": lambda x: dilated(layers.InputLayer((None, 16, None, None))),
    "beyond": lambda x: transposed(x, 4, output_size=(17, 20)),
}


def run(build, threads=2, shapes=((3, 16, 7, 9), (2, 16, 7, 9))):
    """All that eager and compiled functions give, and the latter's plan."""
    net = build(layers.ScaleLayer(layers.InputLayer((None, 16, 7, 9))))
    batches = [numbers(shape, len(shape)).astype("float32") for shape in shapes]
    eager, compiled, (_, plan) = both_ways(net, batches, 1e-4, threads)
    return eager, compiled, str(plan)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_layer(name, threads):
    eager, compiled, plan = run(CASES[name], threads)
    assert any(kind in plan for kind in ("groups ", "dilated ", "phases ")), plan
    for one, other in zip(eager, compiled):
        scale = np.abs(one).max()
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize("name", CASES)
def test_one_image_alone(name):
    eager, compiled, _ = run(CASES[name], shapes=((1, 16, 7, 9),))
    for one, other in zip(eager, compiled):
        scale = np.abs(one).max()
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize("name", PLAIN)
def test_what_does_not_pay_runs_as_it_is(name):
    eager, compiled, plan = run(PLAIN[name])
    assert "shared" in plan
    for one, other in zip(eager, compiled):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)
