r"""
2. The gradient check
=====================

A wrong gradient does not crash. The network learns a little worse, or much worse, and
you look for the reason in the data, in the learning rate, in the weather. So measure
each gradient that you derive: it takes three lines, and it finds every mistake but one
kind, which this lesson shows as well.
"""

import matplotlib.pyplot as plt
import numpy as np

from minifer import gradcheck, nonlinearities, random
from minifer.layers import Conv2DLayer, DenseLayer, InputLayer, MaxPool2DLayer
from minifer.ops.activation import tanh_backward, tanh_forward
from minifer.ops.dense import dense_backward, dense_forward

# %%
# Measuring a slope
# -----------------
#
# The slope of :math:`f` at :math:`x` is the limit of a difference. A computer takes no
# limits, it takes a small :math:`h`; and there are several differences to choose from:
#
# .. math:: \frac{f(x+h) - f(x)}{h} = f'(x) + O(h)
# .. math:: \frac{f(x+h) - f(x-h)}{2h} = f'(x) + O(h^2)
# .. math:: \frac{8\,(f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))}{12h} = f'(x) + O(h^4)
#
# Call them one-sided, two-sided and four points.
# Taylor's series gives the orders: two sides cancel the :math:`h^2` term of the series,
# four points cancel the :math:`h^3` and :math:`h^4` terms too.

DIFFERENCES = {
    "one-sided": lambda f, x, h: (f(x + h) - f(x)) / h,
    "two-sided": lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h),
    "four points": lambda f, x, h: (8 * (f(x + h) - f(x - h))
                                    - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)}


def f(x):
    """log(1 + exp(x)), whose slope is 1 / (1 + exp(-x))."""
    return np.log1p(np.exp(x))


x0, slope = 0.7, 1 / (1 + np.exp(-0.7))
for (name, difference), order in zip(DIFFERENCES.items(), (1, 2, 4)):
    errors = [abs(difference(f, x0, h) - slope) for h in (0.1, 0.05)]
    print(f"{name:<12} error {errors[0]:.1e} at h = 0.1; half the step makes it "
          f"{errors[0] / errors[1]:.1f} times smaller")
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.1

# %%
# Halving the step makes the errors 2, 4 and 16 times smaller, as the orders say. So,
# the smaller the better? No: :math:`f(x+h)` and :math:`f(x-h)` agree in more and more
# of their digits, and what is left after subtracting is rounding, divided by a tiny
# number.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
best = {}
for ax, kind in zip(axes, (np.float64, np.float32)):
    hs = np.logspace(-12, 0, 120).astype(kind)      # twelve decades of ten steps
    for (name, difference), color in zip(DIFFERENCES.items(),
                                         ("#E69F00", "#0072B2", "#D55E00")):
        errors = np.array([abs(difference(f, kind(x0), h) - slope) for h in hs])
        errors = np.maximum(errors / slope, 1e-17)
        worst = errors.reshape(12, 10).max(axis=1)  # of each decade
        best[kind.__name__, name] = worst.min(), hs[10 * worst.argmin()]
        ax.loglog(hs, errors, color=color, label=name, linewidth=1.3)
    ax.set(title=kind.__name__, xlabel="step h")
axes[0].set_ylabel("relative error")
axes[0].legend()
plt.show()

print("The best decade of steps, and the largest error in it:")
for (kind, name), (error, h) in best.items():
    print(f"{kind}  {name:<12} from h = {h:.0e}: {error:.0e}")
(deep, far), (shallow, near) = (best["float64", name] for name in ("four points",
                                                                   "two-sided"))
assert deep < shallow and far > near
assert best["float32", "four points"][0] > 1e-7

# %%
# On the right branch of each curve the formula is to blame, on the left one rounding.
# Two things follow. Take the difference of high order: its valley is deep, *and* it
# lies at large steps, far from the noise. And check in float64: in float32 even the
# best steps leave five digits or so. :mod:`minifer.gradcheck` does both.

# %%
# A backward pass to be checked
# -----------------------------
#
# A dense layer with tanh, and the gradient of a loss with respect to its weights, bias
# and input. The loss is :math:`L = \sum_{n,u} d_{n,u}\, y_{n,u}` with random numbers
# :math:`d`: then every output counts, each with another weight, and :math:`d` *is* the
# gradient that arrives from above.

rng = np.random.default_rng(2)
x, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=4)
d = rng.normal(size=(5, 4))


def loss():
    return (d * np.tanh(x @ W + b)).sum()


def backward():
    y = np.tanh(x @ W + b)
    dz = d * (1 - y * y)                # the slope of tanh is 1 - tanh²
    return {"x": dz @ W.T, "W": x.T @ dz, "b": dz.sum(axis=0)}


# %%
# First the three lines, for one weight: step to both sides, divide, compare.

claimed = backward()["W"][1, 2]
W[1, 2] += 1e-5
up = loss()
W[1, 2] -= 2e-5
down = loss()
W[1, 2] += 1e-5
print(f"claimed {claimed:.10f}, measured {(up - down) / 2e-5:.10f}")
assert abs((up - down) / 2e-5 - claimed) < 1e-8

# %%
# And now all weights, with ``gradcheck.compare``. It changes each number in place,
# measures, restores, and reports the worst relative error of each array.


def check(gradients):
    arrays = {"x": x, "W": W, "b": b}
    return gradcheck.compare(loss, {k: (arrays[k], gradients[k]) for k in arrays})


report = check(backward())
print(report)
assert report.ok

# %%
# minifer's own functions give the same three gradients:

z, dense_cache = dense_forward(x, W, b)
y, tanh_cache = tanh_forward(z)
dx, dW, db = dense_backward(tanh_backward(d, tanh_cache), dense_cache)
for name, gradient in {"x": dx, "W": dW, "b": db}.items():
    assert np.allclose(gradient, backward()[name], rtol=1e-12)

# %%
# Mistakes that people make
# -------------------------
#
# Each of these runs without a complaint, with all shapes right.


def no_slope(y):
    return {"dz": d}                            # the slope of tanh forgotten


def wrong_slope(y):
    return {"dz": d * (1 - y)}                  # 1 - y in place of 1 - y²


def mean_for_sum(y):
    dz = d * (1 - y * y)
    return {"dz": dz, "b": dz.mean(axis=0)}     # each sample counts fully


def one_sign(y):
    dz = d * (1 - y * y)
    dW = x.T @ dz
    dW[0, 0] *= -1                              # one weight of twelve
    return {"dz": dz, "W": dW}


def with_mistake(mistake):
    """The gradients of ``backward``, with what the mistake makes of them."""
    wrong = mistake(np.tanh(x @ W + b))
    dz = wrong.pop("dz")
    return {"x": dz @ W.T, "W": x.T @ dz, "b": dz.sum(axis=0)} | wrong


for mistake in (no_slope, wrong_slope, mean_for_sum, one_sign):
    report = check(with_mistake(mistake))
    print(f"{mistake.__name__}\n{report}\n")
    assert not report.ok

# %%
# Look at which arrays are wrong, since that says where to search. ``mean_for_sum`` and
# ``one_sign`` spoil one array only; a wrong slope spoils all that lies below it.

# %%
# It learns all the same
# ----------------------
#
# Would you have noticed without a check? Let a layer of tanh units learn to imitate
# another one, once with the right gradient and once with each of two wrong ones.

inputs = rng.normal(size=(200, 3))
target = np.tanh(inputs @ (2 * rng.normal(size=(3, 4))))


def learn(slope_of_tanh):
    V, losses = np.zeros((3, 4)), []
    for _ in range(150):
        y = np.tanh(inputs @ V)
        losses.append(((y - target) ** 2).mean())
        dz = 2 * (y - target) / target.size * slope_of_tanh(y)
        V -= 1.0 * inputs.T @ dz
    return losses


slopes = {"right: 1 − y²": lambda y: 1 - y * y,
          "wrong: 1 − y": lambda y: 1 - y,
          "wrong: (1 − y²)²": lambda y: (1 - y * y) ** 2}
curves = {name: learn(slope) for name, slope in slopes.items()}
figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for (name, losses), color in zip(curves.items(), ("#0072B2", "#E69F00", "#D55E00")):
    ax.semilogy(losses, color=color, label=name)
    print(f"{name:<18} loss {losses[0]:.3f} -> {losses[-1]:.4f}")
    assert losses[-1] < 0.1 * losses[0]
assert curves["wrong: 1 − y"][-1] < curves["right: 1 − y²"][-1]
ax.set(xlabel="step", ylabel="loss (logarithmic)")
ax.legend()
plt.show()

# %%
# All three curves fall, and each by itself would look like success. Here one of the
# wrong ones even ends lowest. Nothing in a curve says which gradient is right.

# %%
# Kinks
# -----
#
# ReLU, :math:`\max(0, z)`, has no slope at 0: from the left it is 0, from the right 1.
# A difference that steps over the kink measures something in between, and there is no
# right answer to compare with.

inputs = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
claimed = (inputs > 0).astype(float)        # ReLU's slope; at exactly 0 we say 0
report = gradcheck.compare(lambda: np.maximum(inputs, 0).sum(),
                           {"z": (inputs, claimed)})
print(report)
assert report.ok and report.rows[0].kinks == 1

# %%
# The check tries smaller steps first; if left and right still disagree and the claim
# lies between them, it counts a kink and leaves that number out. If most of an array
# were kinks, the verdict would be UNDECIDED: no proof is not a proof. In a network,
# where biases of 0 under a ReLU do that, all parameters are shifted and tried again.

# %%
# A whole network
# ---------------
#
# ``gradcheck.check`` does all this for a network. Arrays up to 200 numbers are probed
# one by one; larger ones along a few directions of random signs, in which every number
# takes part, and by 26 numbers: three each of the largest and the smallest gradients,
# and 20 at random.
# One wrong number among a million changes a direction's slope by a thousandth of
# itself. That is far more than rounding, so halving the array again and again leads to
# it. Other batches are tried too, and upstream gradients that are tiny and huge.

random.set_rng(0)
network = InputLayer((None, 1, 12, 12), name="image")
network = Conv2DLayer(network, num_filters=4, filter_size=3, name="conv")
network = MaxPool2DLayer(network, pool_size=2)
network = DenseLayer(network, 10, nonlinearity=nonlinearities.tanh, name="hidden")
network = DenseLayer(network, 3, nonlinearity=nonlinearities.softmax, name="output")
report = gradcheck.check(network)
print(report)
assert report.ok

# %%
# What the check cannot find
# --------------------------
#
# It compares ``backward`` with ``forward``. If ``forward`` computes the wrong thing and
# ``backward`` is its right gradient, all is well as far as it can tell. So every layer
# needs a second witness: numbers from the definition, worked out another way.


def wrong_loss():
    return (d * np.tanh(x @ W - b)).sum()       # a minus for a plus


y = np.tanh(x @ W - b)
dz = d * (1 - y * y)
report = gradcheck.compare(wrong_loss, {"W": (W, x.T @ dz), "b": (b, -dz.sum(axis=0))})
print(report)
assert report.ok

# %%
# The gradient is right; the layer is not. That is why each function of ``minifer.ops``
# is also compared with slow, obvious loops.
#
# Exercises
# ---------
#
# 1. Derive a difference with six points whose error falls with :math:`h^6`, and add it
#    to ``DIFFERENCES``. Where is its valley?
# 2. Give the layer 100 inputs and 100 units, so that ``gradcheck`` probes its 10,000
#    weights along four directions. Does it still find ``one_sign``, and where it is?
#    Its signs are random: with those of the claimed gradient the slope would be a
#    hundred times as large. Why would one wrong number be harder to see then?
# 3. Write the ReLU's gradient with ``>=`` for ``>``. Is that a mistake?
#    ``minifer check relu my_file.py`` has an opinion; find out on which inputs.
