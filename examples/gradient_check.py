"""See that every gradient is right: python examples/gradient_check.py

A network learns from gradients that people have derived by hand, and a sign
error there does not crash: the network just learns badly. So each gradient is
measured by small steps and compared: here first one of them, by hand; then, as
`minifer gradcheck` does, every layer of the library on a small random input,
and the whole headline network, 3,641,191 parameters.
"""

import sys

import numpy as np

import minifer
from minifer import config, layers, nonlinearities, objectives, tensor, updates
from minifer.commands import gradcheck
from minifer.commands.cli import ArgumentParser, run
from minifer.device.arrays import resolve


def by_hand(h=1e-4):
    """The slope of a loss along one weight, as measured and as backward has it."""
    with config.use_floatX("float64"):
        x, targets = tensor.matrix("x"), tensor.ivector("targets")
        network = layers.DenseLayer(layers.InputLayer((None, 3), x), 2,
                                    nonlinearity=nonlinearities.softmax)
        loss = objectives.categorical_crossentropy(layers.get_output(network),
                                                   targets).mean()
        loss_at = minifer.function([x, targets], loss)
        # With a learning rate of 1 a step of gradient descent is minus the gradient.
        step = minifer.function([x, targets], loss,
                                updates.sgd(loss, [network.W], learning_rate=1))
        batch = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 1, 0])
        here, losses = network.W.get_value(), []
        for change in (h, -h):
            moved = here.copy()
            moved[0, 0] += change
            network.W.set_value(moved)
            losses.append(loss_at(*batch))
        network.W.set_value(here)
        step(*batch)
        return ((losses[0] - losses[1]) / (2 * h),
                (here - network.W.get_value())[0, 0])


def main(argv=None, prog="gradient_check.py"):
    """Check one weight by hand, then everything; return the exit code."""
    parser = ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    gradcheck.arguments(parser)
    args = parser.parse_args(argv)
    resolve(args.device)  # before the work that would be in vain without it
    if not args.json:
        print("--- one weight, by hand\nmeasured {:+.9f}, computed {:+.9f}\n".format(
            *by_hand()), flush=True)
    return gradcheck.main(args)


if __name__ == "__main__":
    run(lambda: sys.exit(main()))
