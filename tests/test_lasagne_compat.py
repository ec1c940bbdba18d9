"""Lasagne's scripts, seeds and weight files work here."""

import math

import numpy as np
import pytest

import minifer
from helpers import reference
from helpers.tolerances import assert_close
from minifer import layers, random, weights
from minifer.errors import WeightsError

# Chapter 8 of the students' text, steps 1 to 7 as printed there. Repaired:
# underscores that the scan lost ("target var", "pool size", "learning rate",
# "nesterov momentum"). Changed: nothing but the imports.
LISTING = """
import minifer as lasagne
import minifer as theano
import minifer.tensor as T

input_var = T.tensor4('inputs')
target_var = T.ivector('targets')

network = lasagne.layers.InputLayer(shape=(None, 1, size, size),
                input_var=input_var)
network = lasagne.layers.Conv2DLayer(
               network, num_filters=32, filter_size=(5, 5),
               nonlinearity=lasagne.nonlinearities.rectify,
               W=lasagne.init.GlorotUniform())
network = lasagne.layers.MaxPool2DLayer(network, pool_size=(2, 2))
network = lasagne.layers.Conv2DLayer(
               network, num_filters=32, filter_size=(5, 5),
               nonlinearity=lasagne.nonlinearities.rectify)
network = lasagne.layers.MaxPool2DLayer(network, pool_size=(2, 2))
network = lasagne.layers.DenseLayer(
               lasagne.layers.dropout(network, p=.5),
               num_units=256,
               nonlinearity=lasagne.nonlinearities.rectify)
network = lasagne.layers.DenseLayer(
               lasagne.layers.dropout(network, p=.5),
               num_units=7,
               nonlinearity=lasagne.nonlinearities.softmax)

prediction = lasagne.layers.get_output(network)
loss = lasagne.objectives.categorical_crossentropy(prediction, target_var)
loss = loss.mean()

params = lasagne.layers.get_all_params(network, trainable=True)
updates = lasagne.updates.nesterov_momentum(loss, params, learning_rate=0.01,
                                            momentum=0.9)

test_prediction = lasagne.layers.get_output(network, deterministic=True)
test_loss = lasagne.objectives.categorical_crossentropy(test_prediction, target_var)
test_loss = test_loss.mean()

test_acc = T.mean(T.eq(T.argmax(test_prediction, axis=1), target_var),
                  dtype=theano.config.floatX)

train_fn = theano.function([input_var, target_var], loss, updates=updates)

val_fn = theano.function([input_var, target_var], [test_loss, test_acc])
"""


@pytest.fixture(autouse=True)
def same_rng_afterwards(monkeypatch):
    monkeypatch.setattr(random, "_rng", None)


def run_listing(size):
    """The names that the listing leaves behind."""
    names = {"size": size}
    exec(LISTING, names)
    return names


def batch(N, size):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(N, 1, size, size)).astype("float32")
    return images, rng.integers(0, 7, N)


# --- the listing ------------------------------------------------------------

def test_the_listing_of_the_text_runs_and_learns():
    names = run_listing(size=96)
    assert layers.count_params(names["network"]) == 3641191
    images, targets = batch(4, 96)
    before, accuracy = names["val_fn"](images, targets)
    assert before == names["val_fn"](images, targets)[0]  # deterministic
    assert accuracy in (0, 0.25, 0.5, 0.75, 1)
    losses = [names["train_fn"](images, targets) for _ in range(8)]
    assert np.isfinite(losses).all()
    after, accuracy = names["val_fn"](images, targets)
    assert after < before and accuracy in (0, 0.25, 0.5, 0.75, 1)
    assert {p.dtype.name for p in names["params"]} == {"float32"}


def test_its_validation_is_the_plain_definition():
    names = run_listing(size=16)
    images, targets = batch(5, 16)
    p = layers.get_output(names["network"], images, deterministic=True)
    loss, accuracy = names["val_fn"](images, targets)
    expected = -np.mean([math.log(p[n, t]) for n, t in enumerate(targets)])
    assert loss == pytest.approx(expected, rel=1e-6)
    hits = sum(row.argmax() == t for row, t in zip(p, targets))
    assert accuracy == pytest.approx(hits / 5)


# --- the same numbers from the same seed ------------------------------------

def glorot_uniform(rng, shape):
    """Lasagne's init.GlorotUniform, drawn from NumPy's legacy generator."""
    std = np.sqrt(2.0 / ((shape[0] + shape[1]) * np.prod(shape[2:])))
    limit = np.sqrt(3) * std
    return rng.uniform(low=-limit, high=limit, size=shape).astype("float32")


def test_a_seed_draws_the_weights_that_lasagne_drew():
    random.set_rng(np.random.RandomState(42))
    names = run_listing(size=16)
    rng = np.random.RandomState(42)
    # In the order in which the listing makes its layers; a dropout layer
    # draws the seed of its masks when it is made.
    conv1 = glorot_uniform(rng, (32, 1, 5, 5))
    conv2 = glorot_uniform(rng, (32, 32, 5, 5))
    rng.randint(1, 2147462579)
    dense = glorot_uniform(rng, (32, 256))
    rng.randint(1, 2147462579)
    output = glorot_uniform(rng, (256, 7))
    for param, expected in zip(names["params"][::2], (conv1, conv2, dense, output)):
        np.testing.assert_array_equal(param.value, expected)
    for bias in names["params"][1::2]:
        assert not bias.value.any()


@pytest.mark.parametrize("name, draw", [
    ("Normal", lambda rng, shape: rng.normal(0.0, 0.01, size=shape)),
    ("Uniform", lambda rng, shape: rng.uniform(low=-0.01, high=0.01, size=shape)),
    ("GlorotUniform", glorot_uniform),
    ("GlorotNormal", lambda rng, shape: rng.normal(0, np.sqrt(2 / 14), size=shape)),
    ("HeNormal", lambda rng, shape: rng.normal(0, np.sqrt(1 / 6), size=shape))])
def test_initialisers_draw_as_lasagnes(name, draw):
    random.set_rng(np.random.RandomState(1))
    layer = layers.DenseLayer((None, 6), 8, W=getattr(minifer.init, name)())
    np.testing.assert_allclose(layer.W.value, draw(np.random.RandomState(1), (6, 8)),
                               rtol=1e-6)


# --- weight files -----------------------------------------------------------

SHAPES = [(3, 1, 3, 2), (3,), (4, 3, 2, 2), (4,), (16, 5), (5,), (5, 2), (2,), (2, 2),
          (2,), (2, 2), (2,)]


def small_network(flip_filters=True):
    """Two convolutions and four dense layers: twelve arrays, so that arr_10
    comes between arr_1 and arr_2 in alphabetical order."""
    network = layers.InputLayer((None, 1, 10, 9))
    network = layers.Conv2DLayer(network, 3, (3, 2), flip_filters=flip_filters)
    network = layers.MaxPool2DLayer(network, 2)
    network = layers.Conv2DLayer(network, 4, 2, stride=2, flip_filters=flip_filters)
    network = layers.DenseLayer(layers.dropout(network), 5)
    for _ in range(2):
        network = layers.DenseLayer(network, 2,
                                    nonlinearity=minifer.nonlinearities.tanh)
    return layers.DenseLayer(network, 2, nonlinearity=minifer.nonlinearities.softmax)


def by_hand(x, values, flip_filters=True):
    """The same network from tests/helpers/reference.py alone."""
    W1, b1, W2, b2, W3, b3, W4, b4, W5, b5, W6, b6 = values
    h = reference.rectify(reference.conv2d(x, W1, b1, flip_filters=flip_filters))
    h = reference.pool2d(h, (2, 2))
    h = reference.conv2d(h, W2, b2, (2, 2), flip_filters=flip_filters)
    h = reference.rectify(h)
    h = reference.rectify(reference.dense(h.reshape(len(x), -1), W3, b3))
    h = reference.tanh(reference.dense(h, W4, b4))
    h = reference.tanh(reference.dense(h, W5, b5))
    return reference.softmax(reference.dense(h, W6, b6))


def lasagne_values():
    rng = np.random.default_rng(7)
    return [rng.normal(0, 0.6, shape).astype("float32") for shape in SHAPES]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("flip_filters", [True, False])
def test_a_lasagne_npz_gives_the_outputs_of_the_definition(
        tmp_path, flip_filters, dtype):
    values = lasagne_values()
    np.savez(tmp_path / "model.npz", *values)
    network = small_network(flip_filters)
    assert [p.shape for p in layers.get_all_params(network)] == SHAPES
    weights.load_params(tmp_path / "model.npz", network)
    x = np.random.default_rng(8).normal(size=(2, 1, 10, 9)).astype(dtype)
    y = layers.get_output(network, x, deterministic=True)
    assert y.dtype == dtype
    assert_close(y, by_hand(x, values, flip_filters), "reference", dtype, "output")
    assert not np.allclose(y, by_hand(x, values, not flip_filters))


def test_the_way_lasagnes_users_loaded_their_files(tmp_path):
    values = lasagne_values()
    np.savez(tmp_path / "model.npz", *values)
    network = small_network()
    with np.load(tmp_path / "model.npz") as f:
        param_values = [f["arr_%d" % i] for i in range(len(f.files))]
    layers.set_all_param_values(network, param_values)
    for found, value in zip(layers.get_all_param_values(network), values):
        np.testing.assert_array_equal(found, value)
    np.savez(tmp_path / "again.npz", *layers.get_all_param_values(network))
    with np.load(tmp_path / "again.npz") as f:
        assert sorted(f.files) == sorted(f"arr_{i}" for i in range(12))


def test_float64_files_are_cast_on_loading(tmp_path):
    np.savez(tmp_path / "model.npz", *[v.astype("float64") for v in lasagne_values()])
    network = small_network()
    weights.load_params(tmp_path / "model.npz", network)
    assert {p.dtype.name for p in layers.get_all_params(network)} == {"float32"}


def test_weights_of_another_network_change_nothing(tmp_path):
    np.savez(tmp_path / "model.npz", *lasagne_values()[::-1])
    network = small_network()
    before = layers.get_all_param_values(network)
    with pytest.raises(WeightsError, match=r"model.npz.*expected shape \(3, 1, 3, 2\)"):
        weights.load_params(tmp_path / "model.npz", network)
    for found, value in zip(layers.get_all_param_values(network), before):
        np.testing.assert_array_equal(found, value)


# --- a training run, pinned -------------------------------------------------

# Ten losses of the run below, from PyTorch 2.13 in float64: conv2d with the
# filters turned round, relu, max_pool2d, a product, cross_entropy, and
# torch.optim.SGD(lr=0.1, momentum=0.9, nesterov=True).
TORCH_LOSSES = [
    1.7669916893652344, 1.3631725502893632, 1.299275376659753, 1.152706269570087,
    0.9963885724234158, 0.8036972269728584, 0.6246935630774106, 0.4827381530299525,
    0.38565573474185655, 0.31562677880395784]


def wave(shape, scale, phase):
    """Numbers that any program can make."""
    return np.sin(np.arange(math.prod(shape)) * 1.7 + phase).reshape(shape) * scale


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-10), ("float32", 1e-5)])
def test_ten_losses_of_a_tiny_network(dtype, rtol, mode):
    T, f = minifer.tensor, minifer.nonlinearities
    with minifer.config.use_floatX(dtype):
        x, t = T.tensor4("x"), T.ivector("t")
        network = layers.InputLayer((None, 1, 8, 8), x)
        network = layers.Conv2DLayer(network, 3, 3, W=wave((3, 1, 3, 3), 0.5, 1.0),
                                     b=wave((3,), 0.1, 2.0))
        network = layers.MaxPool2DLayer(network, 2)
        network = layers.DenseLayer(network, 4, W=wave((27, 4), 0.3, 3.0),
                                    b=wave((4,), 0.1, 4.0), nonlinearity=f.softmax)
    loss = minifer.objectives.categorical_crossentropy(
        layers.get_output(network), t).mean()
    step = minifer.updates.nesterov_momentum(
        loss, layers.get_all_params(network, trainable=True), 0.1, momentum=0.9)
    train = minifer.function([x, t], loss, step, mode=mode)
    images = wave((4, 1, 8, 8), 1.0, 0.0).astype(dtype)
    losses = [train(images, np.arange(4)) for _ in range(10)]
    np.testing.assert_allclose(losses, TORCH_LOSSES, rtol=rtol)
