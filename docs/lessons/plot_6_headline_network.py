r"""
6. Inside the headline network
==============================

Time to put the parts together. The network of this lesson has two convolutions, two
poolings and two dense layers; students of a project in Kraków wrote it for CK+ with
Lasagne, and in minifer it is ``models.ck96()``. We train it on small drawn faces, ask
how good it is, and then open it: what do its filters look for, what do its layers see,
and which pixels does its answer hang on?

The faces are drawings and belong to nobody. What a network scores on them says that the
program works, and nothing about real faces.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from minifer import data, init, layers, models, random, updates
from minifer.evaluation import explain
from minifer.evaluation.metrics import evaluate
from minifer.evaluation.start import look_at_start
from minifer.faces.preprocessing import Preprocessing
from minifer.report import plots
from minifer.training.trainer import Trainer

# %%
# Faces, split by person
# ----------------------
#
# Nobody in the test part has been seen in training; the next lesson shows why that
# matters. The third part, *validation*, is looked at after each epoch.

with tempfile.TemporaryDirectory() as folder:
    roots = data.make_faces(folder, subjects=24, frames=(2, 2), seed=1)
    faces = data.load_ck(*roots, last=0.5, size=48, cache=False)
train, valid, test = data.split_by_subject(faces.labels, faces.subjects,
                                           (0.6, 0.2, 0.2))
print(faces.summary())
print(f"{len(train)} to train, {len(valid)} to validate, {len(test)} to test")

figure, axes = plt.subplots(1, 7, figsize=(9.5, 1.9), layout="constrained")
for k, ax in enumerate(axes):
    i = train[faces.labels[train] == k][-1]
    ax.imshow(faces.images[i, 0], cmap="gray", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    ax.set_title(faces.classes[k], fontsize=10)
plt.show()

# %%
# The network
# -----------
#
# Numbers from 0 to 255 are scaled to :math:`-0.5 \ldots 0.5` first. We build it
# for pictures of 48 × 48 pixels instead of 96 × 96, so that this page is done in half a
# minute. Count the parameters of the first convolution: 32 filters of 5 × 5 and a bias
# each, :math:`32 \cdot 5 \cdot 5 + 32 = 832`. Nearly all the others sit between the
# last pooling and the first dense layer, where every number meets every unit.

random.set_rng(0)
network = models.ck96(size=48)
for layer in layers.get_all_layers(network):
    own = sum(param.size for param in layer.get_params())
    print(f"{layer.name:<10}{str(layer.output_shape):<22}{own:>9,}")
print(f"{layers.count_params(network):,} parameters in all")
assert network.input_layer.input_layer.name == "dense1"

# %%
# Training
# --------
#
# Nesterov momentum, mini-batches of 16, dropout in front of both dense layers.

x = Preprocessing()(faces.images)
trainer = Trainer(network, learning_rate=0.02, batch_size=16, seed=0)
history = trainer.fit(x[train], faces.labels[train],
                      valid=(x[valid], faces.labels[valid]), epochs=15).history

epochs = [row["epoch"] for row in history]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
left.plot(epochs, [row["train_loss"] for row in history], color="#D55E00",
          label="training")
left.plot(epochs, [row["valid_loss"] for row in history], color="#0072B2",
          label="validation")
left.axhline(np.log(7), color="0.5", linestyle="--", linewidth=1)
left.text(epochs[-1], np.log(7) + 0.03, "guessing, log 7", color="0.4", ha="right")
left.set(xlabel="epoch", ylabel="loss", ylim=(0, 2.3))
left.legend()
right.plot(epochs, [100 * row["valid_accuracy"] for row in history], color="#0072B2")
right.set(xlabel="epoch", ylabel="validation pictures right, %", ylim=(0, 100))
plt.show()
assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]

# %%
# A network that guesses has the loss :math:`\log 7`. That is where it begins and, for
# some epochs, stays: as long as the filters find nothing, the layers behind them have
# nothing to learn from. The training loss is measured with half of the units dropped,
# which makes it look worse than it is; the validation loss with all of them.
#
# How good is it?
# ---------------
#
# One number is not enough. The interval tells how far the accuracy could be off, given
# how few people are in the test; the matrix tells who is taken for whom.

probabilities = trainer.predict(x[test])
scores = evaluate(probabilities, faces.labels[test], faces.classes,
                  subjects=faces.subjects[test], protocol="split by subject")
print(scores)
figure, ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
plots.confusion_matrix(scores.confusion, faces.classes, protocol=scores.protocol, ax=ax)
plt.show()
assert scores.accuracy > 2 / 7  # twice as good as guessing

# %%
# How a network starts
# --------------------
#
# The headline network starts well by itself: it says nearly the same of every face, and
# its loss is that of a guess. Others do not. Six convolutions, each with a batch norm
# behind it, make values of size 1 however small the weights are, and the dense layers
# make scores of them. With Lasagne's default, weights from Glorot's uniform
# distribution, these scores spread by more than 2: the network is sure of things that
# it cannot know, and has to forget them first. PyTorch, in which this network was
# written, starts weights and biases uniform in :math:`\pm 1/\sqrt{n}`, for n inputs of
# a unit, with a third of the variance or less; ``models.six_conv()`` does the same.
# ``look_at_start`` sends one batch through and back, and finds the layer to blame
# (``minifer show start six`` prints its whole table).


def glorot(network):
    """Let all weights and biases start as Lasagne's layers do."""
    for layer in layers.get_all_layers(network):
        if hasattr(layer, "W"):
            layer.W.set_value(init.GlorotUniform()(layer.W.shape))
            layer.b.set_value(np.zeros(layer.b.shape, np.float32))


losses = {}
for name, restart in (("Glorot's start", glorot), ("PyTorch's start", None)):
    random.set_rng(0)
    six = models.six_conv()
    if restart:
        restart(six)
    start = look_at_start(six, x[train[:32]], faces.labels[train[:32]])
    print(f"{name}: {start.verdict}")
    step = Trainer(six, updates.adam, learning_rate=0.001).functions.train
    rng = np.random.default_rng(0)
    batches = [rng.choice(train, 16, replace=False) for _ in range(30)]
    losses[name] = [float(step(x[rows], faces.labels[rows])) for rows in batches]

figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (name, values), colour in zip(losses.items(), ("#D55E00", "#0072B2")):
    ax.plot(np.arange(1, 31), values, color=colour, label=name)
ax.axhline(np.log(7), color="0.5", linestyle="--", linewidth=1)
ax.text(30, np.log(7) + 0.1, "guessing, log 7", color="0.4", ha="right")
ax.set(xlabel="step", ylabel="loss", ylim=(0, 9))
ax.legend()
plt.show()
assert np.mean(losses["PyTorch's start"]) < 0.7 * np.mean(losses["Glorot's start"])

# %%
# What the filters look for
# -------------------------
#
# The first convolution sees the picture itself, so its filters are pictures: blue is
# negative, red positive. They began as noise, and so short a training leaves much of
# it. A filter with a red and a blue side answers where light meets dark.

conv1, conv2 = (next(layer for layer in layers.get_all_layers(network)
                     if layer.name == name) for name in ("conv1", "conv2"))
W = conv1.W.get_value()[:, 0]
figure, axes = plt.subplots(4, 8, figsize=(7, 3.7), layout="constrained")
for ax, filter_ in zip(axes.flat, W):
    ax.imshow(filter_, cmap="RdBu_r", vmin=-np.abs(W).max(), vmax=np.abs(W).max())
    ax.set(xticks=[], yticks=[])
figure.suptitle("32 filters of 5 × 5", fontsize=11)
plt.show()

# %%
# What the layers see
# -------------------
#
# ``get_output`` gives the output of any layer. Of one test face, some of the 32 maps of
# each convolution: the first still shows a face, drawn in edges; the second, after
# pooling, only where something is.

right_ones = test[probabilities.argmax(axis=1) == faces.labels[test]]
shown = right_ones[len(right_ones) // 2]
face = x[shown:shown + 1]
maps = {layer.name: layers.get_output(layer, face, deterministic=True)[0]
        for layer in (conv1, conv2)}
figure, axes = plt.subplots(2, 7, figsize=(9.5, 3.1), layout="constrained")
for row, (name, stack) in zip(axes, maps.items()):
    row[0].imshow(face[0, 0], cmap="gray")
    row[0].set_ylabel(f"{name}, {stack.shape[1]} × {stack.shape[2]}", fontsize=9)
    liveliest = np.argsort(-stack.std(axis=(1, 2)))[:6]
    for ax, k in zip(row[1:], liveliest):
        ax.imshow(stack[k], cmap="magma")
        ax.set_title(f"map {k}", fontsize=8)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# Which pixels does the answer hang on?
# -------------------------------------
#
# The tape that gives the gradient by the weights can also give the one by the *input*.
# The *saliency* of a pixel is how much the score :math:`s_c` of the answer moves if the
# pixel does (Simonyan, Vedaldi & Zisserman 2013):
#
# .. math:: M_{ij} = \left| \frac{\partial s_c}{\partial x_{ij}} \right|
#
# *Grad-CAM* asks more coarsely: where did the last convolution find what speaks for the
# class (Selvaraju et al. 2017)?

chosen = right_ones[np.linspace(0, len(right_ones) - 1, 5).astype(int)]
answers = faces.labels[chosen]
saliency = explain.saliency(network, x[chosen], answers)
cam = explain.grad_cam(network, x[chosen], answers)
figure, axes = plt.subplots(3, 5, figsize=(8, 5), layout="constrained")
for column, i, s, g in zip(axes.T, chosen, saliency, cam):
    for ax in column:
        ax.imshow(faces.images[i, 0], cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
    column[0].set_title(faces.classes[faces.labels[i]], fontsize=10)
    column[1].imshow(s, cmap="magma")
    column[2].imshow(g, cmap="magma", alpha=0.5)
for ax, name in zip(axes[:, 0], ("face", "saliency", "Grad-CAM")):
    ax.set_ylabel(name)
plt.show()

# %%
# Is the saliency what it claims to be? Brighten the pixel that matters most by a
# little, and the score has to move by so much:

row, column = np.unravel_index(saliency[0].argmax(), saliency[0].shape)
h = 1e-2
both = np.repeat(x[chosen[:1]], 2, axis=0)
both[0, 0, row, column] += h
both[1, 0, row, column] -= h
logits, _ = layers.forward(network, both, deterministic=True, logits=True)
up, down = logits[:, answers[0]]
print(f"measured {abs(up - down) / (2 * h):.4f}, saliency {saliency[0].max():.4f}")
assert np.isclose(abs(up - down) / (2 * h), saliency[0].max(), rtol=0.05)

# %%
# Such pictures say which pixels the network *used*. Whether it was right to use them
# is for you to judge: bright spots in the background would be a bad sign.
#
# Exercises
# ---------
#
# 1. Remove both dropout layers from a copy of ``models.ck96``. How do the two loss
#    curves change, and which of the two says more about faces that nobody has seen?
# 2. Draw the saliency of pictures that are classified wrongly, once for the right class
#    and once for the answer. What did the network see?
# 3. The convolution is the heart of this network. Write one, forward and backward, and
#    let ``minifer check conv my_file.py`` look at it; then ``maxpool``.
