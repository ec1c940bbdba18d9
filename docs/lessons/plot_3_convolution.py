r"""
3. Convolution: loops, columns, Winograd
========================================

A dense layer looks at the whole picture at once. A convolution looks through a small
window, and asks the same question everywhere: is there an edge here? Here? Here? This
lesson writes it three times: as loops, which say what it is; as one matrix product,
which is how it is mostly computed; and with fewer multiplications than seem possible.
"""

import pathlib
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np

from minifer import data, faces
from minifer.ops import winograd
from minifer.ops.conv import col2im, conv2d_backward, conv2d_forward, im2col

# %%
# A picture, and a question
# -------------------------
#
# The face is drawn; it belongs to nobody. Its brightness is brought to 96×96 numbers
# around 0.

with tempfile.TemporaryDirectory() as folder:
    images, _ = data.make_faces(folder, subjects=1, emotions=["surprise"],
                                frames=(2, 2))
    photo = faces.read_image(sorted(pathlib.Path(images).rglob("*.png"))[-1])

face = photo[76:460, 128:512].reshape(96, 4, 96, 4).mean(axis=(1, 3))
face = ((face - face.mean()) / face.std()).astype(np.float32)

# %%
# The questions are *filters*, small pictures of numbers. The first asks: is it brighter
# on the right than on the left? The second: brighter below than above? The third: is
# the middle brighter than what is around it?

right = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
spot = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)
W = np.stack([right, right.T, spot])[:, None]       # (F, C, kh, kw) = (3, 1, 3, 3)
x = face[None, None]                                # (N, C, H, W) = (1, 1, 96, 96)

# %%
# The definition
# --------------
#
# Lay the window on the picture, multiply what lies on each other, add up, move on:
#
# .. math:: y_{f,i,j} = \sum_{c,u,v} W_{f,c,u,v}\; x_{c,\,i+u,\,j+v}
#
# Six letters, six loops.


def convolve_loops(x, W):
    (C, H, Wd), (F, _, kh, kw) = x.shape, W.shape
    y = np.zeros((F, H - kh + 1, Wd - kw + 1), x.dtype)
    for f in range(F):
        for i in range(H - kh + 1):
            for j in range(Wd - kw + 1):
                for c in range(C):
                    for u in range(kh):
                        for v in range(kw):
                            y[f, i, j] += W[f, c, u, v] * x[c, i + u, j + v]
    return y


start = time.perf_counter()
by_loops = convolve_loops(x[0], W)
loop_seconds = time.perf_counter() - start

figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
axes[0].imshow(face, cmap="gray")
axes[0].set_title("the face")
for ax, y, title in zip(axes[1:], by_loops, ("brighter right", "brighter below",
                                             "bright spots")):
    reach = np.percentile(np.abs(y), 99.5)
    ax.imshow(y, cmap="RdBu_r", vmin=-reach, vmax=reach)
    ax.set_title(title + "?")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# Red is yes, blue is the opposite, white is neither.

# %%
# Turned round, or not
# --------------------
#
# Mathematicians turn the filter by 180° first, and only that is a *convolution*;
# without it, it is a *correlation*. One bright pixel shows the difference: convolution
# stamps the filter there as it is, correlation stamps it upside down. For a network
# that learns its filters it makes no difference, but whoever loads somebody else's
# weights has to know. minifer, like Lasagne, turns, unless told ``flip_filters=False``.

pixel = np.zeros((1, 1, 5, 5), np.float32)
pixel[0, 0, 2, 2] = 1
stamp = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
convolution, _ = conv2d_forward(pixel, stamp)
correlation, _ = conv2d_forward(pixel, stamp, flip_filters=False)
print("filter\n", stamp[0, 0].astype(int))
print("convolution\n", convolution[0, 0].astype(int))
print("correlation\n", correlation[0, 0].astype(int))
assert (convolution == stamp).all() and (correlation == stamp[:, :, ::-1, ::-1]).all()

# %%
# One matrix product
# ------------------
#
# A processor multiplies large matrices at its full speed and loops of Python at a
# thousandth of it. So make a matrix product of the convolution. Copy each window into a
# *column*; each filter, read in the same order, is a row; and row times column is just
# the sum that we want. A 4×4 picture has four windows of 3×3:

small = np.arange(16.0).reshape(1, 1, 4, 4)
columns = im2col(small, (3, 3), (1, 1), (2, 2))[0]
print(small[0, 0].astype(int))
print("becomes\n", columns.astype(int))

# %%
# .. math:: Y = W_{\text{rows}}\, X_{\text{columns}}, \qquad
#           (F \times HW) = (F \times C k_h k_w)\,(C k_h k_w \times HW)


def convolve_columns(x, W):
    F, _, kh, kw = W.shape
    Ho, Wo = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    X = np.stack([x[c, u:u + Ho, v:v + Wo].ravel() for c in range(len(x))
                  for u in range(kh) for v in range(kw)])
    return (W.reshape(F, -1) @ X).reshape(F, Ho, Wo), X


seconds = []
for _ in range(20):                                 # so fast that we take the best
    start = time.perf_counter()
    by_columns, X = convolve_columns(x[0], W)
    seconds.append(time.perf_counter() - start)
column_seconds = min(seconds)

by_minifer, cache = conv2d_forward(x, W, flip_filters=False)
assert np.allclose(by_columns, by_loops, atol=1e-4)
assert np.allclose(by_minifer[0], by_loops, atol=1e-4)
print(f"loops {1000 * loop_seconds:.0f} ms, columns {1000 * column_seconds:.2f} ms")
print(f"the columns hold {X.size / x.size:.1f} numbers for each pixel")
assert column_seconds < loop_seconds / 20

# %%
# The price is memory: with 3×3 windows each pixel is copied nine times (a little less,
# as the border has fewer windows).
#
# The way back
# ------------
#
# For a matrix product :math:`Y = W X` the gradients are products again, and what was
# copied must be added: the gradient of "copy a pixel into nine columns" is "add nine
# numbers up", each where its window stood. That is ``col2im``.
#
# .. math:: dW = dY\, X^T, \qquad dX = W^T\, dY, \qquad dx = \text{col2im}(dX)

rng = np.random.default_rng(0)
dy = rng.normal(size=by_minifer.shape).astype(np.float32)
dY = dy.reshape(3, -1)
dW = (dY @ X.T).reshape(W.shape)
dX = W.reshape(3, -1).T @ dY
dx = np.zeros_like(x[0, 0])
for row, (u, v) in zip(dX, np.ndindex(3, 3)):
    dx[u:u + 94, v:v + 94] += row.reshape(94, 94)

dx_minifer, dW_minifer, _ = conv2d_backward(dy, cache)
assert np.allclose(dx, dx_minifer[0, 0], atol=1e-4)
assert np.allclose(dW, dW_minifer, atol=1e-2)       # sums of 8,836 numbers
assert np.allclose(dx, col2im(dX[None], x.shape, (3, 3), (1, 1), (94, 94))[0, 0])
print("dW by hand\n", dW[0, 0].round(2), "\nby minifer\n", dW_minifer[0, 0].round(2))

# %%
# How often is each pixel looked at? Send ones back through ``col2im``: nine times in
# the middle, once in a corner. So pixels at the border have less of a say.

looked_at = col2im(np.ones((1, 9, 16)), (1, 1, 6, 6), (3, 3), (1, 1), (4, 4))[0, 0]
print(looked_at.astype(int))
assert looked_at.max() == 9 and looked_at[0, 0] == 1

# %%
# Fewer products
# --------------
#
# Two neighbouring outputs of a filter of three taps cost six products:
#
# .. math:: y_0 = g_0 d_0 + g_1 d_1 + g_2 d_2, \qquad y_1 = g_0 d_1 + g_1 d_2 + g_2 d_3
#
# Winograd (1980) needs four. Add and subtract first, then multiply, then add:
#
# .. math:: m_1 = (d_0 - d_2)\, g_0, \qquad m_4 = (d_1 - d_3)\, g_2
# .. math:: m_2 = (d_1 + d_2)\, \frac{g_0 + g_1 + g_2}{2}, \qquad
#           m_3 = (d_2 - d_1)\, \frac{g_0 - g_1 + g_2}{2}
# .. math:: y_0 = m_1 + m_2 + m_3, \qquad y_1 = m_2 - m_3 - m_4
#
# Multiply it out on paper, once; it is worth it. What is made of :math:`g` is made once
# for the whole picture, and halving is no real product.


def two_outputs(d, g):
    m1 = (d[0] - d[2]) * g[0]
    m2 = (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
    m3 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2
    m4 = (d[1] - d[3]) * g[2]
    return np.array([m1 + m2 + m3, m2 - m3 - m4])


d, g = rng.normal(size=4), rng.normal(size=3)
direct = np.array([g @ d[:3], g @ d[1:]])
print("direct, 6 products:  ", direct)
print("Winograd, 4 products:", two_outputs(d, g))
assert np.allclose(two_outputs(d, g), direct, rtol=1e-10)

# %%
# Before and after the products there are only sums, so they can be written as three
# small matrices, and minifer has them for several sizes:
#
# .. math:: y = A^T \bigl[(G\,g) \odot (B^T d)\bigr]

A, G, B = winograd.matrices(2, 3)
print("A^T\n", A.T, "\nG\n", G, "\nB^T\n", B.T)
assert np.allclose(A.T @ ((G @ g) * (B.T @ d)), direct, rtol=1e-10)

# %%
# (Rows may differ from ours by a sign that the others make up for.) In two dimensions
# the same is done along rows and along columns, and the savings multiply:
#
# .. math:: Y = A^T \bigl[(G\, g\, G^T) \odot (B^T d\, B)\bigr] A
#
# A tile of :math:`m \times m` outputs takes :math:`(m + r - 1)^2` products in place of
# :math:`m^2 r^2`. We go over the face tile by tile.


def convolve_winograd(x, W, m, sign=np.positive):
    """x (H, H), W (r, r) -> (Ho, Ho), for a side Ho that m divides."""
    r, Ho = len(W), len(x) - len(W) + 1
    A, G, B = (sign(M).astype(x.dtype) for M in winograd.matrices(m, r))
    U = G @ W @ G.T
    y = np.empty((Ho, Ho), x.dtype)
    for i in range(0, Ho, m):
        for j in range(0, Ho, m):
            tile = x[i:i + m + r - 1, j:j + m + r - 1]
            y[i:i + m, j:j + m] = A.T @ (U * (B.T @ tile @ B)) @ A
    return y


print("tile   filter   products an output   direct   error in float32")
errors, mixed = {}, {}
for m, r in ((2, 3), (4, 3), (2, 5), (4, 5)):
    W_r = rng.normal(size=(r, r)).astype(np.float32)
    x_r = face[:92 + r - 1, :92 + r - 1]               # 92 × 92 outputs
    exact, _ = convolve_columns(x_r[None].astype(float),
                                W_r[None, None].astype(float))
    found = convolve_winograd(x_r, W_r, m)
    errors[m, r] = np.abs(found - exact[0]).max() / np.abs(exact).max()
    mixed[m, r] = (convolve_winograd(np.abs(x_r), np.abs(W_r), m, np.abs).max()
                   / np.abs(exact).max())
    print(f"{m}×{m}    {r}×{r}      {(m + r - 1) ** 2 / m ** 2:<18g}   {r * r:<6} "
          f"  {errors[m, r]:.0e}")
    assert errors[m, r] < 1e-4

# %%
# With 4×4 tiles and 5×5 filters, 4 products do the work of 25. Nothing is left out;
# what is paid is accuracy, since larger tiles mix larger and smaller numbers. Take all
# signs away, so that nothing cancels, and see how large. Each of those numbers was
# rounded to 24 bits, fewer than 64 times, before others took it away again.

print("mixed for an output of 1:", {key: round(float(n)) for key, n in mixed.items()})
assert mixed[4, 5] > 10 * mixed[2, 3]
assert all(errors[key] < mixed[key] * 64 * 2.0 ** -24 for key in mixed)
figure, (left, beside) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
names = [f"F({m}×{m}, {r}×{r})" for m, r in errors]
left.barh(names, [(m * r / (m + r - 1)) ** 2 for m, r in errors], color="#0072B2")
left.set_xlabel("how many times fewer products")
beside.semilogx(list(errors.values()), names, "o", color="#D55E00")
beside.set(xlabel="largest relative error, float32", xlim=(1e-8, 1e-5))
for ax in (left, beside):
    ax.set_ylim(3.5, -0.5)
plt.show()

# %%
# To see all these rungs timed on your machine, in the second layer of the headline
# network, run ``python examples/bench/conv_ladder.py``; :doc:`/how-it-is-fast` tells
# how minifer arranges memory and threads so that the saved products are saved time as
# well.
#
# Exercises
# ---------
#
# 1. ``dx`` is a convolution too: of ``dy``, padded by two on each side, with the same
#    filters turned round. Show it with ``conv2d_forward`` and its ``pad``.
# 2. Give ``convolve_loops`` and ``convolve_columns`` a stride: the window moves by two.
#    How many columns are left?
# 3. Write a convolution layer with its backward pass, and have it looked at:
#    ``minifer check conv my_file.py``.
