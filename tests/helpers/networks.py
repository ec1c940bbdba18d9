"""What every network is tested with: shapes, slopes, learning, to disk and back."""

import numpy as np

from minifer import config, function, gradcheck, objectives, random, tensor, updates
from minifer.layers import (BatchNormLayer, forward, get_all_layers, get_all_params,
                            get_output, seed_noise)
from minifer.weights.model_file import Model, load_model, save_model


def outputs_of(network):
    """Name -> output of one image, for every layer."""
    return {layer.name: layer.output_shape[1:] for layer in get_all_layers(network)}


def counts_of(network):
    """Name -> number of parameters, for every layer that has any."""
    return {layer.name: sum(p.size for p in layer.params)
            for layer in get_all_layers(network) if layer.params}


def data(network, images, seed=0):
    """Images of which each shows its class's pattern, in noise; and the classes."""
    shape, K = get_all_layers(network)[0].shape[1:], network.output_shape[1]
    patterns = np.random.default_rng(1234).standard_normal((K,) + shape)
    y = np.arange(images) % K
    noise = np.random.default_rng(seed).standard_normal((images,) + shape)
    return (patterns[y] + 0.3 * noise).astype("float32"), y


def check_slope(build, images=3):
    """The loss along one direction through all parameters, against the gradient.

    The direction has the gradient's signs, so that no parameter cancels another, and
    is short: thousands of units have a kink, and few of them may lie along the way.
    """
    random.set_rng(0)
    with config.use_floatX("float64"):
        network = build()
    rng, options = np.random.default_rng(0), {}
    if any(isinstance(one, BatchNormLayer) for one in get_all_layers(network)):
        options = {"batch_norm_update_averages": False}
    x = data(network, images)[0].astype("float64")

    def run():
        seed_noise(network, 0)  # the same mask every time
        return forward(network, x, **options)

    y, tape = run()
    dy = rng.standard_normal(y.shape)
    found = tape.backward(dy)
    params = get_all_params(network, trainable=True)
    start = {p: p.get_value() for p in params}
    direction = {}
    for p in params:
        d = np.abs(rng.standard_normal(p.shape)) * np.sign(found[p])
        direction[p] = 0.01 * d / (np.linalg.norm(d) or 1)
    step = np.zeros(1)

    def loss():
        for p in params:
            p.set_value(start[p] + step[0] * direction[p])
        return float((dy * run()[0]).sum())

    slope = np.array([sum((found[p] * direction[p]).sum() for p in params)])
    report = gradcheck.compare(loss, {"all parameters": (step, slope)})
    assert report.ok and not report.rows[0].kinks, str(report)


def train(network, images=14, steps=25, rate=1e-3, penalty=0):
    """Losses of a few steps of Adam on one batch."""
    seed_noise(network, 0)
    x, y = data(network, images)
    source, target = get_all_layers(network)[0], tensor.ivector("y")
    source.input_var = source.input_var or tensor.tensor4("x")
    loss = objectives.categorical_crossentropy(get_output(network), target).mean()
    loss = loss + penalty if penalty else loss
    params = get_all_params(network, trainable=True)
    step = function([source.input_var, target], loss,
                    updates.adam(loss, params, learning_rate=rate))
    return [step(x, y) for _ in range(steps)]


def check_learns(network, **options):
    """Its loss falls, and it predicts shares of one."""
    losses = train(network, **options)
    assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0], losses
    shares = get_output(network, data(network, 3, seed=1)[0], deterministic=True)
    assert shares.shape == (3, network.output_shape[1]) and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)


def check_comes_back(network, path):
    """From a file it is the same network, and predicts the same."""
    names = [str(k) for k in range(network.output_shape[1])]
    save_model(path, Model(network, tuple(names)))
    back = load_model(path).network
    assert [(type(one), one.name) for one in get_all_layers(back)] == [
        (type(one), one.name) for one in get_all_layers(network)]
    x, _ = data(network, 3, seed=1)
    np.testing.assert_array_equal(get_output(back, x, deterministic=True),
                                  get_output(network, x, deterministic=True))
