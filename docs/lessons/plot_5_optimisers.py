r"""
5. Momentum, Nesterov, Adam
===========================

The gradient says which way is down. How far to go, and whether to trust it, is up to
the *update rule*. A loss often looks like a ravine: steep across, nearly flat along. On
a ravine of two dimensions we can watch what the rules do. Each is written out in a line
or two, and minifer's has to take the very same steps.
"""

import matplotlib.pyplot as plt
import numpy as np

from minifer import nonlinearities, random, updates
from minifer.layers import DenseLayer, InputLayer, forward, get_all_params
from minifer.layers.param import Param

# %%
# The ravine
# ----------
#
# .. math:: f(a, b) = \frac{1}{2}\,(a^2 + 25\, b^2), \qquad
#           \nabla f = (a,\; 25\, b)
#
# Across, in :math:`b`, it is 25 times as steep as along. The lowest point is (0, 0).

STEEPNESS = np.array([1.0, 25.0])
START = np.array([-9.0, 1.5])
COLORS = {"sgd": "#6b6b6b", "momentum": "#0072B2", "Nesterov": "#D55E00",
          "Adam": "#009E73"}


def f(points):
    return 0.5 * (STEEPNESS * points ** 2).sum(axis=-1)


def gradient(point):
    return STEEPNESS * point


def walk(make_rule, steps=60, start=START):
    """The path of a rule of minifer, shape (steps + 1, 2)."""
    param = Param(start.copy(), "place")
    step = make_rule([param])
    path = [start]
    for _ in range(steps):
        step([gradient(param.value)])
        path.append(param.value.copy())
    return np.array(path)


def draw(paths):
    """Each path in a picture of its own, over the contours of f."""
    figure, axes = plt.subplots(len(paths), 1, figsize=(7.5, 2.05 * len(paths)),
                                sharex=True, layout="constrained")
    a, b = np.linspace(-10, 4, 141), np.linspace(-2.2, 2.2, 89)
    heights = f(np.stack(np.meshgrid(a, b), axis=-1))
    for ax, (name, path) in zip(np.atleast_1d(axes), paths.items()):
        ax.contour(a, b, heights, levels=[0.2, 1, 3, 8, 16, 30, 50], colors="#c8c8c8",
                   linewidths=0.8)
        ax.plot(*path.T, ".-", color=COLORS.get(name, "#0072B2"), linewidth=1.1,
                markersize=5)
        ax.plot(0, 0, "+", color="#222222", markersize=10)
        ax.set(title=name, ylabel="b", xlim=(-10, 4), ylim=(-2.2, 2.2))
    ax.set_xlabel("a")
    plt.show()


# %%
# Gradient descent
# ----------------
#
# .. math:: p \leftarrow p - \eta\, g
#
# On this ravine each coordinate goes its own way: :math:`a \leftarrow (1 - \eta)\, a`
# and :math:`b \leftarrow (1 - 25\eta)\, b`. So the steep side sets a limit: beyond
# :math:`\eta = 2/25`, :math:`|1 - 25\eta|` is larger than 1 and :math:`b` grows. And
# the flat side has to live with what the steep side allows.


def by_hand(learning_rate, steps=60):
    path = [START]
    for _ in range(steps):
        path.append(path[-1] - learning_rate * gradient(path[-1]))
    return np.array(path)


paths = {}
for eta in (0.02, 0.07, 0.082):
    path = walk(lambda params: updates.sgd(params, eta), steps=30)
    assert np.allclose(path, by_hand(eta, 30))
    assert np.allclose(path[30], START * (1 - eta * STEEPNESS) ** 30)
    paths[f"sgd, learning rate {eta}"] = path
    print(f"learning rate {eta:<5}: f = {f(START):.1f} at the start, {f(path[30]):.3f} "
          "after 30 steps")
draw(paths)
assert f(path[30]) > f(START)

# %%
# Too slow along; then about as good as it gets, with a zigzag across; then out of the
# ravine.

# %%
# Momentum
# --------
#
# Now let a ball roll. Its velocity :math:`v` forgets a tenth in each step
# (:math:`\mu = 0.9`) and is pushed by the gradient:
#
# .. math:: v \leftarrow \mu v - \eta\, g, \qquad p \leftarrow p + v
#
# Across, pushes to the left and to the right cancel. Along, they add up: under a
# constant push the velocity grows to :math:`-\eta g\,(1 + \mu + \mu^2 + \ldots) = -\eta
# g / (1 - \mu)`, ten times one step.


def momentum_by_hand(learning_rate, mu=0.9, steps=60):
    p, v, path = START, np.zeros(2), [START]
    for _ in range(steps):
        v = mu * v - learning_rate * gradient(p)
        p = p + v
        path.append(p)
    return np.array(path)


rolled = walk(lambda params: updates.momentum(params, 0.02, 0.9))
assert np.allclose(rolled, momentum_by_hand(0.02))

v = 0.0
for _ in range(100):
    v = 0.9 * v - 0.02 * 1.0               # the gradient is 1, step after step
print(f"terminal velocity {v:.4f}; a step without momentum: {-0.02:.4f}")
assert np.isclose(v, -0.02 / (1 - 0.9), rtol=1e-4)

# %%
# Nesterov
# --------
#
# The ball is blind: it takes the slope where it is, though it already knows that its
# velocity is about to carry it elsewhere. Nesterov's rule looks at the slope *there*:
#
# .. math:: v \leftarrow \mu v - \eta\, \nabla f(p + \mu v), \qquad p \leftarrow p + v
#
# But a network gives us the gradient at the place where its parameters are. So Lasagne,
# and minifer with it, keeps the parameters at the place looked at,
# :math:`q = p + \mu v`, and moves that:
#
# .. math:: v \leftarrow \mu v - \eta\, g, \qquad q \leftarrow q + \mu v - \eta\, g
#
# It is the same walk, seen one look ahead. We do not have to believe it:


def nesterov_looking_ahead(learning_rate, mu=0.9, steps=60):
    p, v, looks = START, np.zeros(2), []
    for _ in range(steps + 1):
        ahead = p + mu * v
        looks.append(ahead)
        v = mu * v - learning_rate * gradient(ahead)
        p = p + v
    return np.array(looks)


looked = walk(lambda params: updates.nesterov_momentum(params, 0.02, 0.9))
difference = np.abs(looked - nesterov_looking_ahead(0.02)).max()
print(f"largest difference of the two forms in 60 steps: {difference:.0e}")
assert difference < 1e-12

# %%
# Adam
# ----
#
# Adam keeps two running means for each parameter, of the gradient and of its square,
# and divides the one by the root of the other:
#
# .. math:: m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad
#           s \leftarrow \beta_2 s + (1 - \beta_2)\, g^2
# .. math:: p \leftarrow p - \eta\, \frac{\hat m}{\sqrt{\hat s}}, \qquad
#           \hat m = \frac{m}{1 - \beta_1^t}, \quad \hat s = \frac{s}{1 - \beta_2^t}
#
# The means start at 0, so at first they are too small: after one step :math:`m` is only
# :math:`(1 - \beta_1)\, g`. The hats put that right at step :math:`t`. (A tiny
# :math:`\varepsilon` in the denominator avoids 0/0; minifer adds it to :math:`\sqrt
# s`.)


def adam_by_hand(learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, steps=60,
                 scale=1.0):
    p, m, s, path = START, np.zeros(2), np.zeros(2), [START]
    for t in range(1, steps + 1):
        g = scale * gradient(p)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g * g
        m_hat, root = m / (1 - beta1 ** t), np.sqrt(1 / (1 - beta2 ** t))
        p = p - learning_rate * m_hat / (root * (np.sqrt(s) + epsilon))
        path.append(p)
    return np.array(path)


adapted = walk(lambda params: updates.adam(params, learning_rate=0.5))
assert np.allclose(adapted, adam_by_hand(0.5))
print("first step of Adam:", (adapted[1] - adapted[0]).round(6), " of sgd:",
      (-0.02 * gradient(START)).round(6))

# %%
# The first step is :math:`\eta` along each axis, however steep: the size of the
# gradient cancels, its sign stays. Multiply the loss by 1000, and Adam does not notice,
# while gradient descent would need another learning rate.

louder = adam_by_hand(0.5, scale=1000.0)
print(f"loss × 1000 moves Adam's path by {np.abs(louder - adapted).max():.0e}")
assert np.allclose(louder, adapted, atol=1e-6)

# %%
# Side by side
# ------------
#
# All four from the same place, sixty steps.

paths = {"sgd": walk(lambda params: updates.sgd(params, 0.07)),
         "momentum": rolled, "Nesterov": looked, "Adam": adapted}
draw(paths)

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, path in paths.items():
    ax.semilogy(f(path), color=COLORS[name], label=name)
    print(f"{name:<9} f = {f(path[60]):.1e} after 60 steps")
ax.set(xlabel="step", ylabel="f (logarithmic)")
ax.legend()
plt.show()

# %%
# Momentum swings across the ravine, and along it rolls beyond the bottom and back.
# Nesterov brakes, since it sees the other slope before it is there. Adam sets off at
# the same speed along both axes, as if the ravine were round, and swings like momentum:
# its :math:`m` remembers as the velocity does.
#
# Do not read a ranking from it. Plain descent does well here, since we know this bowl
# and gave it nearly its best learning rate; and each rule was given another one.

for name in ("momentum", "Nesterov"):
    print(f"{name:<9} beyond the bottom {paths[name][:, 0].max():.2f}, "
          f"across after 10 steps still {np.abs(paths[name][10:, 1]).max():.2f}")
assert paths["Nesterov"][:, 0].max() < paths["momentum"][:, 0].max()
assert np.abs(looked[10:, 1]).max() < 0.2 * np.abs(rolled[10:, 1]).max()

# %%
# On a network
# ------------
#
# Two spirals, and a network of 20 + 20 units that tells them apart. All rules start
# from the same weights and see all points in each step.

rng = np.random.default_rng(5)
turn = np.linspace(0.3, 2 * np.pi, 100)
arm = np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1) / 3
points = np.concatenate([arm, -arm]) + rng.normal(0, 0.05, size=(200, 2))
target = np.repeat([[0.0], [1.0]], 100, axis=0)


def train(make_rule, steps=400):
    random.set_rng(6)
    network = InputLayer((None, 2))
    for _ in range(2):
        network = DenseLayer(network, 20, nonlinearity=nonlinearities.tanh)
    network = DenseLayer(network, 1, nonlinearity=nonlinearities.sigmoid)
    params = get_all_params(network)
    step, losses = make_rule(params), []
    for _ in range(steps):
        z, tape = forward(network, points, logits=True)
        losses.append(np.logaddexp(0, np.where(target == 1, -z, z)).mean())
        p = 1 / (1 + np.exp(-z))
        gradients = tape.backward((p - target) / len(points))
        step([gradients[param] for param in params])
    return losses


RULES = {"sgd": lambda params: updates.sgd(params, 0.3),
         "momentum": lambda params: updates.momentum(params, 0.3, 0.9),
         "Nesterov": lambda params: updates.nesterov_momentum(params, 0.3, 0.9),
         "Adam": lambda params: updates.adam(params, 0.01)}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.scatter(*points.T, c=target[:, 0], cmap="coolwarm", s=14)
left.set(aspect="equal", title="two spirals")
last = {}
for name, rule in RULES.items():
    losses = train(rule)
    last[name] = losses[-1]
    right.semilogy(losses, color=COLORS[name], label=name)
    print(f"{name:<9} loss {losses[0]:.3f} -> {losses[-1]:.4f}")
assert max(last["momentum"], last["Nesterov"], last["Adam"]) < 0.5 * last["sgd"]
right.set(xlabel="step", ylabel="loss (logarithmic)")
right.legend()
plt.show()

# %%
# The three rules that remember get far below the one that does not. A spike is a step
# that was too long for the place where it was taken: on a network nobody knows the
# steepness beforehand, and it changes on the way.
#
# Exercises
# ---------
#
# 1. Work out which learning rate makes plain descent fastest on this ravine. (Both
#    coordinates should shrink by the same factor.) Try it.
# 2. Leave the hats out of ``adam_by_hand``. How long is the first step now, and why?
# 3. Turn the ravine by 45°, so that it lies along neither axis. Which of the four rules
#    does not mind at all, and which loses its advantage?
# 4. Write the rules in a file of your own: ``minifer check momentum my_file.py``, then
#    ``minifer check adam my_file.py``.
