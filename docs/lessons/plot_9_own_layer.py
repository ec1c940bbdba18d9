r"""
9. A layer of your own
======================

A library that can be read can also be continued. In this lesson we write a layer that
minifer does not have: *Swish*, a smooth cousin of ReLU with a slope that it learns, a
number for each channel. We work out its gradients, prove them, train a network with it,
and see how it takes its place in a compiled plan, in 20 lines.
"""

import matplotlib.pyplot as plt
import numpy as np

import minifer
from minifer import (gradcheck, init, layers, nonlinearities, objectives, random,
                     tensor, updates)

# %%
# The formula and its gradients
# -----------------------------
#
# .. math:: y = x\,\sigma(\beta x), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}
#
# (Ramachandran, Zoph & Le 2017). For :math:`\beta = 0` it is the straight line
# :math:`x/2`, and the larger :math:`\beta`, the more it looks like ReLU. With
# :math:`\sigma' = \sigma(1-\sigma)` the product rule and the chain rule give
#
# .. math::
#
#    \frac{\partial y}{\partial x} = \sigma + \beta x\,\sigma(1-\sigma), \qquad
#    \frac{\partial y}{\partial \beta} = x^2\,\sigma(1-\sigma)

sigmoid = nonlinearities.sigmoid

xs = np.linspace(-5, 5, 201)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
for beta, color in ((0.0, "#999999"), (0.5, "#56B4E9"), (1.0, "#0072B2"),
                    (4.0, "#D55E00")):
    s = sigmoid(beta * xs)
    left.plot(xs, xs * s, color=color, label=rf"$\beta = {beta:g}$")
    right.plot(xs, s + beta * xs * s * (1 - s), color=color)
left.plot(xs, np.maximum(xs, 0), "k:", label="ReLU")
right.plot(xs, xs > 0, "k:")
left.set(xlabel="x", title="y")
right.set(xlabel="x", title=r"$\partial y / \partial x$")
left.legend()
plt.show()

# %%
# The class
# ---------
#
# A layer is a class with three methods. ``__init__`` makes the parameters;
# ``add_param`` takes an initialiser, a shape and a name. ``forward`` returns the output
# and a *cache*, whatever ``backward`` will need. ``backward`` gets the gradient
# :math:`dy` of the loss with respect to the output, and returns the one with respect to
# the input, and a dict with one for each parameter.
#
# One :math:`\beta` serves a whole channel, in every picture and at every place. So it
# hears from all of them, and its gradient is a sum:
#
# .. math:: d\beta_c = \sum_{n, i, j} dy_{ncij}\, x_{ncij}^2\, \sigma(1-\sigma)


class SwishLayer(layers.Layer):
    """y = x sigmoid(beta x), with a learned beta for each channel."""

    def __init__(self, incoming, beta=init.Constant(1.0), name=None):
        super().__init__(incoming, name)
        self.beta = self.add_param(beta, (self.input_shape[1],), "beta",
                                   regularizable=False)

    def forward(self, x):
        beta = self.beta.value.reshape((-1,) + (1,) * (x.ndim - 2))
        s = sigmoid(beta * x)
        return x * s, (x, s, beta)

    def backward(self, dy, cache):
        x, s, beta = cache
        slope = s * (1 - s)
        all_but_channels = (0,) + tuple(range(2, x.ndim))
        dbeta = (dy * x * x * slope).sum(axis=all_but_channels)
        return dy * (s + beta * x * slope), {self.beta: dbeta}


# %%
# Nothing is kept on ``self`` between the two methods. That is what lets one layer stand
# at two places of a network.
#
# Is it right?
# ------------
#
# Do not believe it; measure it. :func:`minifer.gradcheck.check` moves each number a
# little and compares. It needs no data, and a single layer on an input will do.

report = gradcheck.check(SwishLayer(layers.InputLayer((None, 3, 5, 4)), name="swish"))
print(report)
assert report.ok

# %%
# Would it notice a mistake? Forget the second term of the slope, the one from
# :math:`\sigma` moving too:


class Forgetful(SwishLayer):
    def forward(self, x):  # the same; a class must define both or neither
        return super().forward(x)

    def backward(self, dy, cache):
        dx, gradients = super().backward(dy, cache)
        return dy * cache[1], gradients


wrong = gradcheck.check(Forgetful(layers.InputLayer((None, 3, 5, 4)), name="forgetful"))
print(wrong)
assert not wrong.ok

# %%
# In use
# ------
#
# A task for it: in a picture of 12 × 12 pixels with a lot of noise there is a bar,
# upright, lying or aslant. The network is a convolution, *our layer*, pooling over the
# whole picture, and a dense layer.

SHAPES = ("upright", "lying", "aslant")


def draw(count, rng):
    """Noisy bars, (N, 1, 12, 12), and which of the three each is."""
    labels = rng.integers(0, 3, count)
    x = rng.normal(0, 0.55, (count, 1, 12, 12)).astype("float32")
    for image, label in zip(x[:, 0], labels):
        row, column = rng.integers(1, 5, 2)
        for k in range(7):
            image[row + k * (label != 1), column + k * (label != 0)] += 1.5
    return x, labels


rng = np.random.default_rng(0)
x_train, t_train = draw(600, rng)
x_test, t_test = draw(600, rng)

figure, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
for ax, image, label in zip(axes, x_train[:, 0], t_train):
    ax.imshow(image, cmap="gray")
    ax.set(xticks=[], yticks=[], title=SHAPES[label])
plt.show()

# %%
# ``build`` takes what comes after the convolution, so that ReLU can stand in the same
# place. ``compile_training`` writes the loss down before there are data, and
# :func:`minifer.function` makes a callable of it, as Theano did.


def build(after_convolution, x_var=None):
    random.set_rng(1)
    net = layers.InputLayer((None, 1, 12, 12), x_var)
    net = layers.Conv2DLayer(net, 8, 5, nonlinearity=None, name="conv")
    net = after_convolution(net)
    net = layers.GlobalPoolLayer(net)
    return layers.DenseLayer(net, 3, nonlinearity=nonlinearities.softmax, name="out")


def compile_training(after_convolution, mode="compiled"):
    x, t = tensor.tensor4("x"), tensor.ivector("t")
    net = build(after_convolution, x)
    loss = objectives.categorical_crossentropy(layers.get_output(net), t).mean()
    step = updates.nesterov_momentum(
        loss, layers.get_all_params(net, trainable=True), learning_rate=0.1)
    return net, minifer.function([x, t], loss, step, mode=mode)


def train(after_convolution, epochs=25):
    """The network, the loss of each epoch and the share of test pictures right."""
    net, step = compile_training(after_convolution)
    order, losses = np.random.default_rng(2), []
    for _ in range(epochs):
        batches = order.permutation(len(x_train)).reshape(-1, 50)
        losses.append(np.mean([step(x_train[b], t_train[b]) for b in batches]))
    predicted = layers.get_output(net, x_test, deterministic=True).argmax(axis=1)
    return net, losses, (predicted == t_test).mean()


def swish(net):
    return SwishLayer(net, name="swish")


def relu(net):
    return layers.NonlinearityLayer(net, nonlinearities.rectify)


results = {"Swish": train(swish), "ReLU": train(relu)}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
for (name, (net, losses, share)), color in zip(results.items(), ("#0072B2", "#D55E00")):
    print(f"{name:<6} loss {losses[0]:.3f} -> {losses[-1]:.3f}, test {share:.1%} right")
    left.plot(range(1, len(losses) + 1), losses, color=color, label=name)
left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
left.legend()

net, losses, share = results["Swish"]
beta = next(p for p in layers.get_all_params(net) if p.name == "swish.beta").get_value()
right.bar(range(len(beta)), beta, color="#0072B2")
right.axhline(1, color="0.4", linestyle="--", linewidth=1)
right.set(xlabel="channel", title=r"$\beta$ after training (it began at 1)")
plt.show()
assert losses[-1] < 0.5 * losses[0] and share > 0.8
assert np.abs(beta - 1).max() > 0.05  # it has learned, too

# %%
# One network on three hundred pictures more or less says nothing about which of the two
# is better in general; the picture shows that both work here, and that :math:`\beta`
# found values of its own.
#
# In the plan
# -----------
#
# The compiled function looks at the network once and decides how each part is to run.
# minifer has a fast form of its own layers; a layer that it has never seen runs as a
# *plain* step: its ``forward`` and ``backward``, just as you wrote them.

_, compiled = compile_training(swish)
_, eager = compile_training(swish, mode="eager")
batch = x_train[:50], t_train[:50]
both = np.array([[float(compiled(*batch)), float(eager(*batch))] for _ in range(5)])
print(compiled.plan)
print("\nloss, compiled and layer after layer:")
print(both.round(6))
assert "plain" in str(compiled.plan)
assert np.allclose(both[:, 0], both[:, 1], rtol=1e-4)

# %%
# Exercises
# ---------
#
# 1. Put ``SwishLayer`` with its imports into a file and run
#    ``minifer check layer my_layer.py``. Then keep ``x`` on ``self`` in place of the
#    cache and run it again: what does it find that the gradient check did not?
# 2. Write a layer that multiplies each channel by a learned number and adds another,
#    ``y = a x + b``. Its gradients fit into two lines. Check it in the same way.
# 3. ``SwishLayer`` keeps ``s`` in its cache, which takes as much memory as ``x``. What
#    could ``backward`` do without it, and what would that cost?
