"""Expressions that draw: others at each evaluation, of the right distribution."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from minifer import layers, tensor as T
from minifer.tensor.shared_randomstreams import RandomStreams


def test_theanos_places_lead_here():
    from minifer.sandbox.rng_mrg import MRG_RandomStreams
    assert MRG_RandomStreams is T.shared_randomstreams.RandomStreams is RandomStreams


@pytest.mark.parametrize("draw, mean, variance", [
    (lambda s, n: s.uniform(n), 0.5, 1 / 12),
    (lambda s, n: s.uniform(n, low=-1, high=3.0), 1, 4 / 3),
    (lambda s, n: s.normal(n), 0, 1),
    (lambda s, n: s.normal(n, avg=2.0, std=3.0), 2, 9),
    (lambda s, n: s.binomial(n, p=0.3), 0.3, 0.21),
    (lambda s, n: s.binomial(n, n=4, p=0.5, dtype="float32"), 2, 1)])
def test_distributions(draw, mean, variance):
    drawn = draw(RandomStreams(1), (200, 100)).eval()
    assert drawn.shape == (200, 100)
    assert abs(drawn.mean() - mean) < 0.03 * max(1, variance ** 0.5)
    assert abs(drawn.var() / variance - 1) < 0.05


def test_each_evaluation_and_each_expression_draws_others():
    streams = RandomStreams(seed=np.arange(6))
    a, b = streams.normal((5,)), streams.normal((5,))
    first, second = a.eval(), a.eval()
    assert (first != second).all() and (first != b.eval()).all()
    again = RandomStreams(seed=np.arange(6)).normal((5,))
    np.testing.assert_array_equal(again.eval(), first)
    assert (RandomStreams(seed=[0, 9]).normal((5,)).eval() != first).all()


def test_types_and_lengths():
    streams, x = RandomStreams(1), T.matrix("x")
    assert streams.binomial((3,)).eval().dtype == "int64"
    assert streams.normal((3,), dtype="float64").eval().dtype == "float64"
    assert streams.uniform((3,), dtype=x.dtype).eval().dtype == "float32"
    assert np.ndim(streams.uniform().eval()) == 0
    for size in (x.shape, (x.shape[0], 4)):
        drawn = streams.normal(size)
        assert drawn.ndim == 2
        assert minifer.function([x], drawn)(np.ones((2, 4))).shape == (2, 4)


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_step_draws_anew_though_it_could_be_captured(device, mode):
    x = T.matrix("x")
    net = layers.DenseLayer(layers.InputLayer((None, 3), x), 2)
    seen = layers.get_output(net) * 0 + RandomStreams(2).uniform((4, 2))
    loss = layers.get_output(net).mean()
    params = layers.get_all_params(net, trainable=True)
    step = minifer.function([x], seen, minifer.updates.sgd(loss, params, 0.1),
                            mode=mode, device=device)
    values = [step(np.ones((4, 3), "float32")) for _ in range(5)]
    assert len({value.tobytes() for value in map(np.asarray, values)}) == 5


def test_a_layer_of_ones_own_draws_and_learns():
    class Sample(layers.MergeLayer):
        """A code drawn around a mean, as in variational autoencoders."""

        streams = RandomStreams(3)

        def get_output_shape_for(self, input_shapes):
            return input_shapes[0]

        def get_output_for(self, inputs, deterministic=False, **kwargs):
            mean, log_sigma = inputs
            if deterministic:
                return mean
            return mean + T.exp(log_sigma) * self.streams.normal(mean.shape)

    l_in = layers.InputLayer((None, 3))
    codes = [layers.DenseLayer(l_in, 2, nonlinearity=None) for _ in range(2)]
    net = Sample(codes)
    x = np.ones((4, 3), "float32")
    quiet = layers.get_output(net, x, deterministic=True)
    np.testing.assert_array_equal(quiet, layers.get_output(codes[0], x))
    assert (layers.get_output(net, x) != layers.get_output(net, x)).all()
    y, tape = layers.forward(net, x)
    found = tape.backward(np.ones_like(y))
    noise = (y - quiet).sum(axis=0)  # sigma's own slope is the noise that it made
    np.testing.assert_allclose(found[codes[0].b], [4, 4])
    np.testing.assert_allclose(found[codes[1].b], noise, rtol=1e-5)


def test_the_generator_has_the_names_of_a_random_state():
    rng = minifer.random.get_rng()
    try:
        minifer.random.set_rng(7)
        rng = minifer.random.get_rng()
        assert 1 <= rng.randint(1, 5) < 5 and rng.randint(3, size=(2, 3)).max() < 3
        assert rng.rand(2, 3).shape == rng.randn(2, 3).shape == (2, 3)
        assert 0 <= rng.random_sample() < 1 and isinstance(rng, np.random.Generator)
    finally:
        minifer.random.set_rng(rng)
