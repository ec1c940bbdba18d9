"""Two networks that train each other: python examples/lasagne/two_networks.py

A generator makes numbers of noise; a discriminator tells them from numbers of a real
distribution, here of two humps. Each has an update rule and a loss of its own, and one
function takes both steps. They share their pieces: get_output runs the discriminator on
real numbers and once more on what the generator made, so that the generator's gradient
comes through the discriminator. Goodfellow et al. (2014), arXiv:1406.2661.
"""

import numpy as np

import minifer as lasagne
import minifer as theano
import minifer.tensor as T
from minifer.commands.cli import run_script
from minifer.files import make_folder
from minifer.report.style import blank, headline, save, tidy


def draw_real(count, rng):
    """Numbers (N, 1): half around -1.5, half around 1, those twice as far spread."""
    left = rng.random((count, 1)) < 0.5
    numbers = rng.normal(np.where(left, -1.5, 1), np.where(left, 0.3, 0.6))
    return numbers.astype(theano.config.floatX)


def draw_noise(count, rng):
    """What the generator makes numbers of, (N, 4)."""
    return rng.normal(size=(count, 4)).astype(theano.config.floatX)


def distance(a, b):
    """Earth mover's distance of two samples: how far numbers are carried."""
    return float(np.abs(np.sort(a, axis=0) - np.sort(b, axis=0)).mean())


def build_generator(input_var):
    """Four numbers of noise in, one number out."""
    net = lasagne.layers.InputLayer((None, 4), input_var)
    net = lasagne.layers.DenseLayer(lasagne.layers.DenseLayer(net, 32), 32)
    return lasagne.layers.DenseLayer(net, num_units=1, nonlinearity=None)


def build_discriminator(input_var):
    """A number in; out the probability that it is real."""
    net = lasagne.layers.InputLayer((None, 1), input_var)
    # Blurred by noise, real and made numbers overlap from the start: without it, the
    # discriminator is soon sure, and the generator learns nothing from it.
    net = lasagne.layers.GaussianNoiseLayer(net, sigma=1)
    for _ in range(2):
        net = lasagne.layers.DenseLayer(
            net, num_units=32, nonlinearity=lasagne.nonlinearities.LeakyRectify(0.2))
    return lasagne.layers.DenseLayer(net, num_units=1,
                                     nonlinearity=lasagne.nonlinearities.sigmoid)


def main(steps=4000, out="runs/two_networks"):
    """Train, draw; return the distances: before, after, of two real samples."""
    lasagne.random.set_rng(0)
    rng = np.random.default_rng(0)
    noise_var, real_var = T.matrix("noise"), T.matrix("real")
    generator = build_generator(noise_var)
    discriminator = build_discriminator(real_var)
    made = lasagne.layers.get_output(generator)
    of_real = lasagne.layers.get_output(discriminator)
    of_made = lasagne.layers.get_output(discriminator, made)

    # The discriminator is to say 1 of real numbers and 0 of made ones; the generator
    # wants it to say 1 of its own. Each rule moves the parameters of one network only.
    crossentropy = lasagne.objectives.binary_crossentropy
    losses = [(crossentropy(of_real, 1) + crossentropy(of_made, 0)).mean(),
              crossentropy(of_made, 1).mean()]
    rate = theano.shared(np.array(0.001, theano.config.floatX))
    updates = {}
    for loss, network in zip(losses, (discriminator, generator)):
        params = lasagne.layers.get_all_params(network, trainable=True)
        updates.update(lasagne.updates.adam(loss, params, rate, beta1=0.5))
    train_fn = theano.function([noise_var, real_var], losses, updates=updates)
    generate_fn = theano.function([noise_var], made)

    noise, real = draw_noise(5000, rng), draw_real(5000, rng)
    first = generate_fn(noise)
    for step in range(steps):
        rate.set_value(np.array(0.001 * (1 - step / steps), theano.config.floatX))
        train_fn(draw_noise(128, rng), draw_real(128, rng))
    last = generate_fn(noise)
    found = [distance(x, real) for x in (first, last, draw_real(5000, rng))]
    print("Distance from the real numbers: {:.3f} before training, {:.3f} after; "
          "{:.3f} of other real numbers".format(*found))
    ax = (figure := blank(6, 3)).subplots()
    ax.hist([real[:, 0], last[:, 0]], 80, histtype="step", label=["real", "made"])
    ax.legend(frameon=False)
    tidy(ax)
    headline(figure, "Two networks", "numbers made by the one that the other taught")
    save(figure, f"{make_folder(out)}/numbers.png")
    return found


if __name__ == "__main__":
    run_script(main)
