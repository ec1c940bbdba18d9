"""Slow loops for what works along any axis, for maps with labels, for kinds of GRU."""

import math

import numpy as np

from helpers import reference

__all__ = ["log_softmax", "softmax_along", "matmul", "label_loss", "gru_variant"]


def log_softmax(x, axis):
    """z_k - log(sum over l of exp(z_l)), line by line along an axis."""
    y, turned = np.zeros(x.shape), np.moveaxis(x, axis, -1)
    lines = np.moveaxis(y, axis, -1)  # a view
    for at in np.ndindex(turned.shape[:-1]):
        lines[at] = reference.log_softmax(turned[at][None])[0]
    return y


def softmax_along(x, axis):
    """exp(z_k) / sum over l of exp(z_l), line by line along an axis."""
    return reference.elementwise(math.exp, log_softmax(x, axis))


def matmul(a, b):
    """Matrices (..., M, D) times (..., D, U); those of one axis are a row, a column."""
    rows, columns = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    before = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    y = np.zeros((*before, rows.shape[-2], columns.shape[-1]))
    left = np.broadcast_to(rows, (*before, *rows.shape[-2:]))
    right = np.broadcast_to(columns, (*before, *columns.shape[-2:]))
    for *at, m, u in np.ndindex(y.shape):
        y[(*at, m, u)] = sum(float(left[(*at, m, d)]) * float(right[(*at, d, u)])
                             for d in range(rows.shape[-1]))
    y = y[..., 0] if b.ndim == 1 else y
    return y if a.ndim > 1 else y[..., 0] if b.ndim == 1 else y[..., 0, :]


def label_loss(log_p, labels, weights=None, ignore=None):
    """-w log p of the label's class at each place; 0 where it is to be ignored."""
    y = np.zeros(labels.shape)
    for at in np.ndindex(labels.shape):
        label = int(labels[at])
        if label != ignore:
            w = 1.0 if weights is None else float(weights[label])
            y[at] = -w * float(log_p[(at[0], label, *at[1:])])
    return y


def gru_variant(x, W_in, W_hid, b, b_hid, h0, mask=None, backwards=False,
                reset_after=True):
    """Gates r, u, c; with a bias of the state's product, or the reset before it."""
    N, T, _ = x.shape
    H, y = len(W_hid), np.zeros((*x.shape[:2], len(W_hid)))
    for n in range(N):
        h = [float(v) for v in h0[n % len(h0)]]
        for t in reversed(range(T)) if backwards else range(T):
            def total(values, W, k):
                return sum(float(v) * float(w) for v, w in zip(values, W[:, k]))

            def sums(k):
                return total(x[n, t], W_in, k) + float(b[k])

            def sigmoid(z):
                return 1 / (1 + math.exp(-z))

            r = [sigmoid(sums(k) + total(h, W_hid, k)) for k in range(H)]
            new = []
            for k in range(H):
                u = sigmoid(sums(H + k) + total(h, W_hid, H + k))
                seen = h if reset_after else [a * v for a, v in zip(r, h)]
                product = total(seen, W_hid, 2 * H + k) + float(b_hid[k])
                c = math.tanh(sums(2 * H + k) + (r[k] * product if reset_after
                                                 else product))
                new.append((1 - u) * h[k] + u * c)
            if mask is None or mask[n, t]:
                h = new
            y[n, t] = h
    return y
