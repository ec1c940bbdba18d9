r"""
1. A neuron and its gradient
============================

A neuron takes a few numbers, weighs them, adds them up, and squeezes the sum into an
answer between 0 and 1. It learns by asking of each weight: if I moved you a little,
would the answer be less wrong? That question is the gradient. In this lesson we work
it out by hand for one neuron, see that minifer gets the same, and let the neuron learn.

What you need: the chain rule from school, and a little NumPy.
"""

import matplotlib.pyplot as plt
import numpy as np

from minifer import nonlinearities, random
from minifer.layers import DenseLayer, InputLayer, forward, get_all_params
from minifer.objectives import binary_crossentropy
from minifer.updates import momentum, sgd

# %%
# A small problem
# ---------------
#
# Eighty smiles. Of each we measured two things, both made up here: how far the corners
# of the mouth are raised (:math:`x_1`) and how narrow the eyes are (:math:`x_2`). Half
# of the smiles are real (target :math:`t = 1`), half are posed (:math:`t = 0`).

rng = np.random.default_rng(1)
posed = rng.normal([0.8, -0.6], 0.8, size=(40, 2))
real = rng.normal([0.4, 1.2], 0.8, size=(40, 2))
x = np.concatenate([posed, real])           # (N, D) = (80, 2)
t = np.repeat([0.0, 1.0], 40)               # (N,)


def show_smiles(ax):
    ax.scatter(*posed.T, color="#0072B2", label="posed, t = 0")
    ax.scatter(*real.T, color="#D55E00", marker="s", label="real, t = 1")
    ax.set(xlabel="$x_1$, corners of the mouth", ylabel="$x_2$, eyes",
           xlim=(-2, 3.2), ylim=(-2.8, 3.4))


figure, ax = plt.subplots(figsize=(5, 4.2), layout="constrained")
show_smiles(ax)
ax.legend(loc="lower left")
plt.show()

# %%
# The neuron
# ----------
#
# It has a weight for each input and a bias, three numbers in all:
#
# .. math:: z = w_1 x_1 + w_2 x_2 + b, \qquad p = \sigma(z) = \frac{1}{1 + e^{-z}}
#
# :math:`z` can be any number; :math:`\sigma` squeezes it between 0 and 1, and we read
# :math:`p` as the probability that the smile is real. How wrong is that? Very, if we
# were sure of the wrong answer. The *cross-entropy* says it in a number:
#
# .. math:: \ell = -\bigl(t \log p + (1 - t) \log (1 - p)\bigr)
#
# For a real smile that is :math:`-\log p`. Here is one, with weights that nobody chose
# with care:


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss_of(p, t):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


w, b = np.array([0.9, -0.4]), 0.1
x0, t0 = x[49], t[49]
z0 = w[0] * x0[0] + w[1] * x0[1] + b
p0 = sigmoid(z0)
print(f"x = ({x0[0]:.3f}, {x0[1]:.3f}), a real smile")
print(f"z = {z0:.4f}, p = {p0:.4f}, loss = {loss_of(p0, t0):.4f}")

# %%
# Backwards, link by link
# -----------------------
#
# The loss hangs on :math:`w_1` by a chain: :math:`w_1` moves :math:`z`, :math:`z` moves
# :math:`p`, :math:`p` moves :math:`\ell`. The chain rule multiplies the links:
#
# .. math::
#
#    \frac{d\ell}{dw_1} = \frac{d\ell}{dp} \cdot \frac{dp}{dz} \cdot \frac{dz}{dw_1},
#    \qquad
#    \frac{d\ell}{dp} = \frac{p - t}{p\,(1 - p)}, \quad
#    \frac{dp}{dz} = p\,(1 - p), \quad
#    \frac{dz}{dw_1} = x_1
#
# Look at the middle: :math:`p\,(1-p)` cancels, and what is left is as simple as one
# could wish, *the error times the input*:
#
# .. math:: \frac{d\ell}{dz} = p - t, \qquad \frac{d\ell}{dw_i} = (p - t)\, x_i,
#           \qquad \frac{d\ell}{db} = p - t

dl_dp = (p0 - t0) / (p0 * (1 - p0))
dp_dz = p0 * (1 - p0)
by_links = np.array([dl_dp * dp_dz * x0[0], dl_dp * dp_dz * x0[1], dl_dp * dp_dz])
by_hand = np.array([(p0 - t0) * x0[0], (p0 - t0) * x0[1], p0 - t0])
print("link by link:      ", by_links.round(6))
print("error times input: ", by_hand.round(6))
assert np.allclose(by_links, by_hand, rtol=1e-12)

# %%
# Is it true? We do not have to believe the chain rule. Move :math:`w_1` a little to
# both sides and see how the loss changes:

h = 1e-5
up = loss_of(sigmoid(z0 + h * x0[0]), t0)
down = loss_of(sigmoid(z0 - h * x0[0]), t0)
measured = (up - down) / (2 * h)
print(f"measured {measured:.9f}, worked out {by_hand[0]:.9f}")
assert abs(measured - by_hand[0]) < 1e-8

# %%
# In a picture: the loss as :math:`w_1` alone is moved, and the straight line whose
# slope is the gradient. Near where we stand the two can hardly be told apart; further
# away they can. A gradient is a promise about *small* steps.

ws = np.linspace(-3, 5, 200)
curve = loss_of(sigmoid(z0 + (ws - w[0]) * x0[0]), t0)
figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
ax.plot(ws, curve, color="#0072B2", label="loss of this smile")
ax.plot(ws, loss_of(p0, t0) + by_hand[0] * (ws - w[0]), "--", color="#D55E00",
        label=f"slope {by_hand[0]:.2f}")
ax.plot(w[0], loss_of(p0, t0), "o", color="#222222")
ax.set(xlabel="$w_1$", ylabel="loss", ylim=(0, None))
ax.legend()
plt.show()

# %%
# All smiles at once, and minifer beside it
# -----------------------------------------
#
# Over a batch, the loss is the mean over all smiles, and so is the gradient. With the
# smiles as rows of a matrix, the sum is one matrix product.


def gradient_by_hand(w, b):
    error = (sigmoid(x @ w + b) - t) / len(x)          # (N,)
    return x.T @ error, error.sum()                    # (D,), one number


dw, db = gradient_by_hand(w, b)

# %%
# In minifer, a neuron is a :class:`~minifer.layers.dense.DenseLayer` with one unit.
# ``forward`` runs the network and keeps a *tape* of what the way back will need;
# ``tape.backward`` takes the gradient of the loss with respect to the output, and
# walks the chain down to each parameter.

network = InputLayer((None, 2))
network = DenseLayer(network, num_units=1, W=w[:, None], b=np.array([b]),
                     nonlinearity=nonlinearities.sigmoid, name="neuron")
p, tape = forward(network, x)
loss = binary_crossentropy(p, t[:, None]).mean()
gradients = tape.backward((p - t[:, None]) / (p * (1 - p)) / len(x))

print(f"loss: by hand {loss_of(sigmoid(x @ w + b), t).mean():.6f}, minifer {loss:.6f}")
print(f"dW:   by hand {dw.round(6)}, minifer {gradients[network.W][:, 0].round(6)}")
print(f"db:   by hand {db:.6f}, minifer {gradients[network.b][0]:.6f}")
assert np.allclose(gradients[network.W][:, 0], dw, rtol=1e-5)
assert np.allclose(gradients[network.b], db, rtol=1e-5)

# %%
# Learning
# --------
#
# The gradient points to where the loss grows; so we go the other way, by a small part
# :math:`\eta` of it, the *learning rate*:
#
# .. math:: w \leftarrow w - \eta \frac{d\ell}{dw}
#
# Again by hand, and again by minifer, whose ``sgd`` is this formula.

learning_rate = 0.5
step = sgd(get_all_params(network), learning_rate)
losses, lines = [], {}
for i in range(101):
    losses.append(loss_of(sigmoid(x @ w + b), t).mean())
    if i in (0, 2, 10, 100):
        lines[i] = (w.copy(), b)
    dw, db = gradient_by_hand(w, b)
    w, b = w - learning_rate * dw, b - learning_rate * db

    p, tape = forward(network, x)
    gradients = tape.backward((p - t[:, None]) / (p * (1 - p)) / len(x))
    step([gradients[param] for param in get_all_params(network)])

print("by hand: w =", w.round(4), " b =", b.round(4))
print("minifer: w =", network.W.value[:, 0].round(4), " b =", network.b.value.round(4))
assert np.allclose(network.W.value[:, 0], w, atol=1e-4)

right = ((sigmoid(x @ w + b) > 0.5) == t).mean()
print(f"loss {losses[0]:.3f} before, {losses[-1]:.3f} after; {right:.0%} right")
assert losses[-1] < 0.5 * losses[0]

# %%
# Where :math:`z = 0` the neuron is undecided, :math:`p = \frac{1}{2}`. That is a
# straight line, and learning turns it.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
show_smiles(left)
across = np.array([-2, 3.2])
for shade, (i, (w_i, b_i)) in zip(("#c8c8c8", "#999999", "#666666", "#000000"),
                                  lines.items()):
    left.plot(across, -(w_i[0] * across + b_i) / w_i[1], color=shade,
              label=f"after {i} steps")
left.legend(loc="upper right", fontsize=8)
right.plot(losses, color="#0072B2")
right.set(xlabel="step", ylabel="mean loss", ylim=(0, None))
plt.show()

# %%
# What one neuron cannot do
# -------------------------
#
# A straight line cannot separate the corners of a square from one another crosswise.
# Here is that puzzle, *exclusive or*: the answer is 1 if exactly one input is 1. Start
# a neuron at zero, and its gradient is zero: whatever it could win on one pair of
# corners it would lose on the other. It stays at :math:`p = \frac{1}{2}` for ever, with
# a loss of :math:`\log 2`.

corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
xor = np.array([[0.0], [1.0], [1.0], [0.0]])


def train(network, steps):
    """Learn the four corners; return the last loss."""
    params = get_all_params(network)
    step = momentum(params, learning_rate=0.2)
    for _ in range(steps):
        p, tape = forward(network, corners)
        gradients = tape.backward((p - xor) / (p * (1 - p)) / len(xor))
        step([gradients[param] for param in params])
    return binary_crossentropy(forward(network, corners)[0], xor).mean()


alone = DenseLayer(InputLayer((None, 2)), 1, W=np.zeros((2, 1)),
                   nonlinearity=nonlinearities.sigmoid)
stuck = train(alone, 500)
print(f"one neuron: loss {stuck:.4f}; log 2 = {np.log(2):.4f}")
assert np.isclose(stuck, np.log(2), atol=1e-6)

# %%
# Eight neurons side by side, and one that listens to them, find the answer. The chain
# rule only has one more link; ``forward`` and ``backward`` are the same two calls.

random.set_rng(3)
hidden = DenseLayer(InputLayer((None, 2)), 8, nonlinearity=nonlinearities.tanh)
together = DenseLayer(hidden, 1, nonlinearity=nonlinearities.sigmoid)
solved = train(together, 500)
print(f"nine neurons: loss {solved:.4f}")
print("answers:", forward(together, corners)[0][:, 0].round(2))
assert solved < 0.05

figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.6), layout="constrained")
side = np.linspace(-0.5, 1.5, 101)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
for ax, net, title in zip(axes, (alone, together), ("one neuron", "nine neurons")):
    p = forward(net, plane)[0].reshape(101, 101)
    image = ax.pcolormesh(side, side, p, cmap="RdBu_r", vmin=0, vmax=1)
    ax.scatter(*corners.T, c=xor[:, 0], cmap="RdBu_r", vmin=0, vmax=1, s=110,
               edgecolors="white", linewidths=2)
    ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
figure.colorbar(image, ax=axes, label="p", shrink=0.8)
plt.show()

# %%
# Exercises
# ---------
#
# 1. Multiply the learning rate by 100. What does the loss do, and why is that no
#    contradiction to the slope that we measured?
# 2. Use the squared error :math:`(p - t)^2` in place of the cross-entropy. Work out
#    :math:`d\ell/dz` by hand: now :math:`p\,(1-p)` does not cancel. Which of the
#    smiles teach the neuron least? Measure your gradient as we did above.
# 3. Write a dense layer of many units, forward and backward, in a file of your own, and
#    let ``minifer check dense my_file.py`` look at it. Then write the ReLU,
#    ``minifer check relu my_file.py``.
