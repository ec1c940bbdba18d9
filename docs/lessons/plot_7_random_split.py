r"""
7. Why a random split lies
==========================

A classifier is judged by pictures that it has not seen. So we put some aside, at
random, and are content with 97 % right. This lesson shows a classifier that
understands nothing at all and still gets there, and what the split has to do with it.

The faces are drawn by minifer and belong to nobody. What we measure on them says
nothing about real faces, but the trap is the same: on CK+, the real data set whose
folders they imitate, the numbers are 97 % and 62 %.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from minifer import data

# %%
# Films and their frames
# ----------------------
#
# CK+ films people while they make a face, from neutral to the full expression, and the
# last frames of each film are the pictures with a label. We draw 16 people so, and take
# half of each film's frames.

with tempfile.TemporaryDirectory() as folder:
    roots = data.make_faces(folder, subjects=16, frames=(6, 8), seed=3)
    faces = data.load_ck(*roots, last=0.5, faces="whole", size=48, cache=False)
print(faces.summary())

# %%
# Look at the frames of two films. Within a row you have to search for the difference;
# between the rows you see it at once: it is another person.

names = list(dict.fromkeys(faces.sequences))
films = [next(n for n in names if n.startswith(person)) for person in ("S001", "S002")]
figure, axes = plt.subplots(2, 3, figsize=(6, 4.3), layout="constrained")
for row, film in zip(axes, films):
    for ax, i in zip(row, np.flatnonzero(faces.sequences == film)):
        ax.imshow(faces.images[i, 0], cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[], title=faces.classes[faces.labels[i]])
    row[0].set_ylabel(film)
plt.show()

# %%
# A classifier that understands nothing
# -------------------------------------
#
# The *nearest neighbour* learns nothing. It keeps all training pictures, and a new one
# gets the label of the picture that it resembles most, pixel by pixel:
#
# .. math:: \hat y(x) = y_{i^*}, \qquad i^* = \arg\min_i \lVert x - x_i \rVert^2,
#           \qquad \lVert x - x_i \rVert^2
#           = \lVert x \rVert^2 - 2\, x \cdot x_i + \lVert x_i \rVert^2
#
# The right-hand side needs one matrix product for all pairs at once.

pixels = faces.images.reshape(len(faces), -1) / 255.0


def nearest(train, test):
    """For each test picture, the number of the training picture that is nearest."""
    a, b = pixels[test], pixels[train]
    squares = (a ** 2).sum(1)[:, None] - 2 * a @ b.T + (b ** 2).sum(1)
    return train[squares.argmin(axis=1)]


found = nearest(np.arange(1, 40), np.array([0]))[0]  # against the definition
assert found == 1 + ((pixels[1:40] - pixels[0]) ** 2).sum(axis=1).argmin()

# %%
# Two splits of the same pictures
# -------------------------------
#
# Three quarters train, a quarter tests. Once we draw the test *pictures* at random, and
# once we draw *people*: whoever is in the test is in no training picture. Another seed
# gives another quarter, so we do it ten times and see how much is chance.


def at_random(seed):
    return data.split_random(faces.labels, (0.75, 0.25), seed=seed)


def by_subject(seed):
    return data.split_by_subject(faces.labels, faces.subjects, (0.75, 0.25), seed=seed)


splits = {"at random": at_random, "by subject": by_subject}
accuracy, same_person = {}, {}
for name, split in splits.items():
    rows = []
    for seed in range(10):
        train, test = split(seed)
        twin = nearest(train, test)
        rows.append([(faces.labels[twin] == faces.labels[test]).mean(),
                     (faces.sequences[twin] == faces.sequences[test]).mean(),
                     (faces.subjects[twin] == faces.subjects[test]).mean()])
    accuracy[name], same_film, same_person[name] = np.transpose(rows)
    print(f"{name:<11} right {accuracy[name].mean():4.0%}   neighbour of the same film "
          f"{same_film.mean():4.0%}, of the same person "
          f"{same_person[name].mean():4.0%}")
gap = accuracy["at random"].mean() - accuracy["by subject"].mean()
print(f"the gap: {100 * gap:.0f} points")
assert gap > 0.2 and same_person["by subject"].max() == 0

# %%
# Nothing has changed but the question. At random: *have you seen this film?* By
# subject: *can you read a stranger's face?* The second is what we wanted to know.

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
sideways = np.random.default_rng(0).uniform(-0.12, 0.12, 10)
for i, (name, color) in enumerate(zip(splits, ("#D55E00", "#0072B2"))):
    mean = 100 * accuracy[name].mean()
    ax.bar(i, mean, 0.55, color=color, alpha=0.35)
    ax.plot(i + sideways, 100 * accuracy[name], "o", color=color, markersize=4)
    ax.text(i, 3, f"{mean:.0f} %", ha="center", fontsize=12)
chance = 100 / len(faces.classes)
ax.axhline(chance, color="0.4", linestyle="--", linewidth=1)
ax.text(1.62, chance + 1.5, "guessing", color="0.4", ha="right")
ax.set(xticks=[0, 1], xticklabels=list(splits), ylabel="test pictures right, %",
       ylim=(0, 109), xlim=(-0.6, 1.65))
ax.set_title("the nearest neighbour, ten splits of each kind", fontsize=10)
plt.show()

# %%
# What it looked at
# -----------------
#
# Test pictures, and the training picture that each was recognised by: green where the
# label is right, orange where it is wrong. With the random split that is the frame
# before or after. With the split by subject it is somebody with a similar face,
# whatever expression they wear.

figure, axes = plt.subplots(2, 6, figsize=(9, 3.9), layout="constrained")
for row, (name, split) in zip(axes, splits.items()):
    train, test = split(0)
    chosen = test[[len(test) // 5, len(test) // 2, 4 * len(test) // 5]]
    for k, (i, j) in enumerate(zip(chosen, nearest(train, chosen))):
        color = "#009E73" if faces.labels[i] == faces.labels[j] else "#D55E00"
        for ax, which, title in ((row[2 * k], i, "test"),
                                 (row[2 * k + 1], j, "neighbour")):
            ax.imshow(faces.images[which, 0], cmap="gray", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{title}: {faces.subjects[which]}", fontsize=8)
            ax.set_xlabel(faces.classes[faces.labels[which]], fontsize=9, color=color)
    row[0].set_ylabel(name)
plt.show()

# %%
# What minifer does about it
# --------------------------
#
# ``minifer train ck`` splits by subject unless it is told otherwise, and a report made
# with ``--split random`` is stamped LEAKY. :func:`minifer.data.audit` finds people and
# pictures that stand on both sides of a split that is there already. A network falls
# into the same trap as the neighbour: it has millions of weights to learn people by
# heart with.
#
# Exercises
# ---------
#
# 1. Take only the last frame of each film (``last=0.1``) and split at random. No film
#    is torn apart now. What is left of the gap, and why?
# 2. Subtract from each picture the mean picture of its person, and try the split by
#    subject again. Is that fair? What would you have to know about a stranger?
# 3. The neighbour has no loss; a network has. Write softmax and cross-entropy in a file
#    of your own, and let ``minifer check softmax my_file.py`` look at it.
