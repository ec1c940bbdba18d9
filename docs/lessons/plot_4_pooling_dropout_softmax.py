r"""
4. Pooling, dropout, softmax and cross-entropy
==============================================

Convolutions find things. Three small parts make an answer of what they found: pooling
forgets where exactly, dropout keeps units from relying on one another, and softmax
turns scores into probabilities, which the cross-entropy judges. Each fits in a few
lines, and each has a gradient that is simpler than one fears.
"""

import matplotlib.pyplot as plt
import numpy as np

from minifer import gradcheck
from minifer.ops.activation import softmax_backward, softmax_forward
from minifer.ops.dropout import dropout_backward, dropout_forward
from minifer.ops.loss import (softmax_crossentropy_backward,
                              softmax_crossentropy_forward)
from minifer.ops.pool import pool2d_backward, pool2d_forward
from minifer.random import Stream

BLUE, ORANGE, RED = "#0072B2", "#E69F00", "#D55E00"
rng = np.random.default_rng(4)

# %%
# Max-pooling
# -----------
#
# Cut the map into windows of 2×2 and keep the largest number of each:
#
# .. math:: y_{i,j} = \max_{u,v \in \{0,1\}} x_{2i+u,\,2j+v}
#
# Backward, only the number that was kept had any influence on the loss, so it gets all
# of the gradient, and the other three get none.


def maxpool(x):
    H, Wd = x.shape
    windows = x.reshape(H // 2, 2, Wd // 2, 2).transpose(0, 2, 1, 3)
    windows = windows.reshape(H // 2, Wd // 2, 4)       # four numbers a window
    return windows.max(axis=2), windows.argmax(axis=2)  # argmax: the first of equals


def maxpool_backward(dy, places, shape):
    dx = np.zeros(shape)
    for (i, j), place in np.ndenumerate(places):
        dx[2 * i + place // 2, 2 * j + place % 2] = dy[i, j]
    return dx


x = np.array([[1., 3., 0., 2.],
              [2., 0., 5., 1.],
              [4., 4., 7., 6.],
              [4., 4., 8., 9.]])
dy = np.array([[10., 20.],
               [30., 40.]])
y, places = maxpool(x)
dx = maxpool_backward(dy, places, x.shape)
print("y\n", y, "\ndx\n", dx)

y_minifer, cache = pool2d_forward(x[None, None], (2, 2))
dx_minifer = pool2d_backward(dy[None, None], cache)
assert (y_minifer[0, 0] == y).all() and (dx_minifer[0, 0] == dx).all()

# %%
# In the lower left window four numbers are equal. Then somebody has to choose. We take
# the first in reading order, as minifer does; what must not happen is that all four get
# 30.

# %%
# What is it good for? The next layer has a quarter of the numbers to look at, and small
# shifts matter less. Here are bright strokes, moved by one pixel to the right, before
# and after pooling. We measure how alike the moved map and the old one are (1: the
# same, 0: nothing in common).

strokes = np.zeros((32, 32))
for _ in range(12):
    i, j = rng.integers(2, 26, size=2)
    strokes[i:i + 5, j:j + 2] = rng.uniform(0.5, 1)
moved = np.roll(strokes, 1, axis=1)


def alike(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


maps = {"pixels": (strokes, moved)}
for size in (2, 4):
    maps[f"pooled {size}×{size}"] = tuple(
        pool2d_forward(m[None, None], (size, size))[0][0, 0] for m in (strokes, moved))
figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.9), layout="constrained")
for column, (name, pair) in zip(axes.T, maps.items()):
    print(f"{name:<11} {alike(*pair):.2f} alike")
    column[0].set_title(f"{name}\n{alike(*pair):.2f} alike", fontsize=10)
    for ax, m, label in zip(column, pair, ("before", "moved by 1")):
        ax.imshow(m, cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        if name == "pixels":
            ax.set_ylabel(label)
plt.show()
assert alike(*maps["pixels"]) < alike(*maps["pooled 2×2"]) < alike(*maps["pooled 4×4"])

# %%
# Dropout
# -------
#
# While training, each unit is switched off with probability :math:`p`, by a coin toss
# of its own for each picture. What stays is divided by :math:`1 - p`:
#
# .. math:: y = \frac{m \odot x}{1 - p}, \qquad m_i =
#           \begin{cases} 1 & \text{with probability } 1 - p \\ 0 & \text{otherwise}
#           \end{cases}
#
# Why the division? Because then the unit's mean is what it was, :math:`(1-p)\cdot
# \frac{x}{1-p} = x`, and when the network is used, without any coin, the next layer
# meets numbers of the size that it has learnt to expect.

p = 0.5
x = rng.normal(1.0, 1.0, size=(4, 6))
mask = Stream(7, "dropout").keep_mask(x.shape, p)       # seed 7: the same every time
y = x * mask / (1 - p)
print(mask.astype(int))
y_minifer, cache = dropout_forward(x, mask, p)
assert np.allclose(y_minifer, y)

# %%
# The gradient goes through the same gates. A unit that was off learns nothing this
# time.

dy = rng.normal(size=x.shape)
assert np.allclose(dropout_backward(dy, cache), dy * mask / (1 - p))

# %%
# Is the mean kept? A unit of the next layer sums 200 inputs. Without dropout it gets
# one number; with dropout another one each time. We toss 4,000 times.

inputs, weights = rng.normal(1.0, 1.0, size=200), rng.normal(0.05, 0.1, size=200)
stream = Stream(8, "dropout")
masks = stream.keep_mask((4000, 200), p)
kept = (inputs * masks) @ weights
sums = {"divided by 1 − p": kept / (1 - p), "not divided": kept}
figure, ax = plt.subplots(figsize=(6, 3.3), layout="constrained")
for (name, values), color in zip(sums.items(), (BLUE, ORANGE)):
    ax.hist(values, bins=50, color=color, alpha=0.7, label=name)
    print(f"{name:<17} mean {values.mean():6.2f}, spread {values.std():.2f}")
ax.axvline(inputs @ weights, color="#222222", label="without dropout")
ax.set(xlabel="sum that arrives at the next unit", yticks=[])
ax.legend(loc="upper right", fontsize=8)
plt.show()
print(f"without dropout: {inputs @ weights:.2f}")
standard_error = sums["divided by 1 − p"].std() / np.sqrt(4000)
assert abs(sums["divided by 1 − p"].mean() - inputs @ weights) < 4 * standard_error

# %%
# The mean is right, and around it there is noise. Against this noise a network can only
# guard itself by not leaning on any single unit.

# %%
# Softmax
# -------
#
# The last layer gives a score, a *logit*, for each of :math:`K` classes. Softmax makes
# all of them positive and divides by their sum:
#
# .. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}
#
# Only differences count: add the same number to all scores, and it cancels. That is
# lucky, since the formula as it stands breaks down early.


def softmax_as_written(z):
    e = np.exp(z)
    return e / e.sum()


def softmax(z):
    e = np.exp(z - z.max())                # the largest exponent is now 0
    return e / e.sum()


with np.errstate(over="ignore", invalid="ignore"):
    print("as written:       ", softmax_as_written(np.array([1000.0, 1001.0, 998.0])))
print("largest taken off:", softmax(np.array([1000.0, 1001.0, 998.0])).round(4))
print("the same scores, less 1000:", softmax(np.array([0.0, 1.0, -2.0])).round(4))

z = np.array([[2.0, 1.0, -1.0, 0.5], [0.0, 1000.0, 999.0, -1000.0]])
assert np.allclose(softmax_forward(z)[0], [softmax(row) for row in z])

# %%
# Multiplying the scores changes how sure the answer is, but not which class is first:

figure, axes = plt.subplots(1, 4, figsize=(9, 2.5), sharey=True, layout="constrained")
for ax, factor in zip(axes, (0.3, 1, 3, 10)):
    ax.bar(range(4), softmax(factor * z[0]), color=BLUE)
    ax.set(title=f"{factor} · z", xlabel="class", xticks=range(4))
axes[0].set_ylabel("p")
plt.show()

# %%
# The gradient: raise :math:`z_j`, and :math:`p_j` grows while all others shrink, since
# they share a sum.
#
# .. math:: \frac{\partial p_k}{\partial z_j} = p_k\,(\delta_{kj} - p_j)
#           \quad\Rightarrow\quad dz = p \odot \bigl(dp - \sum_k dp_k\, p_k\bigr)

probabilities, cache = softmax_forward(z[:1])
p_row, dp = probabilities[0], rng.normal(size=4)
jacobian = np.diag(p_row) - np.outer(p_row, p_row)
print("all partial derivatives\n", jacobian.round(3))
assert np.allclose(jacobian.sum(axis=0), 0, atol=1e-12)  # what one wins others lose
assert np.allclose(jacobian @ dp, softmax_backward(dp[None], cache)[0])

# %%
# Cross-entropy
# -------------
#
# The picture shows class :math:`t`. How bad is the answer? As bad as the true class was
# unlikely: :math:`\ell = -\log p_t`. Put in the softmax, take the logarithm, and two
# nice things happen:
#
# .. math:: \ell = \log \sum_j e^{z_j} - z_t, \qquad
#           \frac{\partial \ell}{\partial z_k} = p_k - \delta_{kt}
#
# The exponentials that could overflow are tamed by taking the largest off, as before.
# And the gradient is *prediction minus target*, the same as for the single neuron of
# lesson 1.


def crossentropy(z, t):
    z = z - z.max()
    return np.log(np.exp(z).sum()) - z[t]


def crossentropy_gradient(z, t):
    p = softmax(z)
    p[t] -= 1
    return p


targets = np.array([3, 2])
losses, cache = softmax_crossentropy_forward(z, targets)
dz = softmax_crossentropy_backward(np.ones(2), cache)
for n in range(2):
    print(f"sample {n}: loss {crossentropy(z[n], targets[n]):.4f}, gradient",
          crossentropy_gradient(z[n], targets[n]).round(4))
    assert np.allclose(losses[n], crossentropy(z[n], targets[n]))
    assert np.allclose(dz[n], crossentropy_gradient(z[n], targets[n]))

# %%
# And measured, as in lesson 2:

scores = z[:1].copy()
report = gradcheck.compare(lambda: crossentropy(scores[0], 3),
                           {"scores": (scores, dz[:1])})
print(report)
assert report.ok

# %%
# Why not the squared error?
# --------------------------
#
# With two classes, let :math:`s` be how far the true class is ahead, :math:`z_t - z_o`,
# so that :math:`p_t = 1/(1+e^{-s})`. Far to the left the network is sure, and wrong.

s = np.linspace(-8, 8, 200)
p_true = 1 / (1 + np.exp(-s))
slopes = {"cross-entropy  −log p": (-np.log(p_true), p_true - 1),
          "squared error  (1 − p)²": ((1 - p_true) ** 2,
                                      -2 * (1 - p_true) ** 2 * p_true)}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for (name, (loss, slope)), color in zip(slopes.items(), (BLUE, RED)):
    left.plot(s, loss, color=color, label=name)
    right.plot(s, slope, color=color, label=name)
    print(f"{name:<24} slope {slope[0]:+.4f} where sure and wrong, {slope[-1]:+.4f} "
          "where sure and right")
left.set(xlabel="lead s of the true class", ylabel="loss")
right.set(xlabel="lead s of the true class", ylabel="slope: what drives learning")
left.legend(fontsize=9)
plt.show()
assert abs(slopes["cross-entropy  −log p"][1][0]) > 0.99
assert abs(slopes["squared error  (1 − p)²"][1][0]) < 0.01

# %%
# Where the network is sure and wrong, the cross-entropy pulls with full strength, and
# the squared error hardly at all: just there, where there is most to learn.
#
# Exercises
# ---------
#
# 1. Replace the maximum by the mean of the window. What is its gradient? Compare with
#    ``pool2d_forward(..., mode="average_exc_pad")``.
# 2. Use ``x * mask`` without the division while training. What must then be done when
#    the network is used, and why is it more pleasant to divide while training?
# 3. Write both parts by yourself, with their gradients:
#    ``minifer check maxpool my_file.py`` and ``minifer check softmax my_file.py``.
