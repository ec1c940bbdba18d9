"""Layers that look at each image by itself, with threads that share a batch."""

import numpy as np
import pytest

from minifer import layers
from minifer.commands.gradcheck import convolutions, pools
from minifer.compiled.cpu import narrow, steps
from minifer.compiled.cpu.plan import CpuPlan
from minifer.errors import ShapeError
from minifer.layers import InputLayer, NonlinearityLayer

TABLE = [pytest.param(layer, id=title)
         for make in (convolutions, pools) for title, layer in make()]
IMAGE = (None, 6, 5, 4)
#: Layers whose options say whether they look at each image by itself, and one beside.
ALONE = {
    "response": lambda x: layers.LocalResponseNormalization2DLayer(x),
    "padding": lambda x: layers.PadLayer(x, [(1, 2), 3], val=0.5),
    "padded channels": lambda x: layers.PadLayer(x, 1, batch_ndim=1),
    "standardised": lambda x: layers.StandardizationLayer(x, axes="spatial"),
    "rectifier": lambda x: layers.ParametricRectifierLayer(x),
}
TOGETHER = {
    "padded batch": lambda x: layers.PadLayer(x, 1, batch_ndim=0),
    "over the batch": lambda x: layers.StandardizationLayer(x, axes=(0, 2)),
    "slopes for each image": lambda x: layers.ParametricRectifierLayer(
        layers.InputLayer((7, *IMAGE[1:])), shared_axes=(1, 2, 3)),
}


@pytest.fixture(autouse=True)
def small_shares(monkeypatch):
    """So that a few images already get several threads."""
    monkeypatch.setattr(steps, "FEW_ELEMENTS", 1)
    monkeypatch.setattr(narrow, "ENOUGH_PIXELS", 1)


def source_of(layer):
    return layers.get_all_layers(layer)[0]


def images(layer, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *source_of(layer).shape[1:])).astype(np.float32)


def planned(top, batch=7, training=True, threads=3):
    return CpuPlan([top], {"deterministic": not training}, (), batch, training, threads)


def compare(plan, top, x):
    """Outputs and gradients are those of the eager pass, but for rounding."""
    y, tape = layers.forward(top, x)
    found, = plan.run({source_of(top): x})
    np.testing.assert_allclose(found, y, rtol=2e-5, atol=2e-5)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    expected, gradients = tape.backward(dy), plan.backward({0: dy})
    assert set(gradients) == set(expected)
    for param, gradient in expected.items():
        assert gradients[param].shape == gradient.shape
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(gradients[param], gradient, rtol=0,
                                   atol=3e-5 * scale)


@pytest.mark.parametrize("layer", TABLE)
def test_a_plan_is_the_eager_pass(layer):
    """Alone, and over a layer that learns, so that the input's gradient is wanted."""
    below = layers.BatchNormLayer(source_of(layer), beta=None, name="below")
    top = NonlinearityLayer(layer, None)
    plan = planned(top)
    assert "shared" in str(plan) or "narrow" in str(plan)
    for n in (7, 1, 4):
        compare(plan, top, images(top, n))
    again = type(layer)(below, **{
        name: getattr(layer, name) for name in options_of(type(layer))})
    compare(planned(again), again, images(again, 5))


@pytest.mark.parametrize("name", [*ALONE, *TOGETHER])
def test_options_say_whether_threads_share(name):
    layer = {**ALONE, **TOGETHER}[name](InputLayer(IMAGE))
    plan = planned(layer)
    assert ("shared" in str(plan)) == (name in ALONE)
    compare(plan, layer, images(layer, 7))


def options_of(cls):
    """Names of a constructor's arguments behind the layer below."""
    return cls.__init__.__code__.co_varnames[2:cls.__init__.__code__.co_argcount
                                             + cls.__init__.__code__.co_kwonlyargcount]


def test_runs_repeat_bit_for_bit():
    net = layers.Conv2DLayer(InputLayer((None, 4, 9, 8)), 8, 3, num_groups=4)
    x, results = images(net, 6), []
    for _ in range(2):
        plan = planned(net)
        plan.run({source_of(net): x})
        for _ in range(3):
            y, = plan.run({source_of(net): x})
            found = plan.backward({0: np.ones_like(y)})
            results.append([y.tobytes(), *(found[p].tobytes() for p in net.params)])
    assert all(one == results[0] for one in results)


def test_lengths_may_change_from_call_to_call():
    net = layers.TransposedConv2DLayer(InputLayer((None, 2, None, None)), 2, 3, 2)
    plan = planned(net)
    for shape in ((4, 2, 5, 6), (7, 2, 3, 4), (9, 2, 5, 6)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        compare(plan, net, x)


def test_an_error_in_a_thread_arrives():
    net = layers.SpatialPyramidPoolingLayer(InputLayer((None, 1, None, None)), [4])
    with pytest.raises(ShapeError, match="4 by 4 windows"):
        planned(net, training=False).run({source_of(net): np.ones((5, 1, 7, 8), "f")})
