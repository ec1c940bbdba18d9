"""Softmax and cross-entropy in one: how surprised is the network by the right answer?

    p[n, k] = exp(z[n, k]) / sum over j of exp(z[n, j])
    loss    = -1/N sum over n of log p[n, t[n]]

z are N rows of K scores, t the N right classes, ints from 0 to K-1, and loss is one
number, the mean over the batch. It must be right for scores of 1000 and -1000, too:
take each row's maximum off before exp, and the logarithm before a tiny p becomes 0.

backward gets dloss, one number by which everything is multiplied, and returns dz,
(N, K).
"""

import numpy as np

from ..ops.activation import softmax_forward
from ..ops.loss import softmax_crossentropy_backward, softmax_crossentropy_forward
from .pairs import Case, Pair

__all__ = ["EXERCISE"]


def _mean_forward(z, t):
    losses, cache = softmax_crossentropy_forward(z, t)
    return losses.mean(), (len(z), cache)


def _mean_backward(dloss, cache):
    N, cache = cache
    return softmax_crossentropy_backward(np.full(N, dloss / N, dloss.dtype), cache)


def _inputs(N, K, scale=1.0):
    rng = np.random.default_rng(N)
    return scale * rng.normal(size=(N, K)), rng.integers(0, K, N)


def _loss_of_log(log_p, t):
    return -log_p[np.arange(len(t)), t].mean()


def _loss(p, t):
    return _loss_of_log(np.log(p), t)


def _naive(z, axis=1):
    e = np.exp(z)
    return e / e.sum(axis=axis, keepdims=axis is not None)


def _stable(z, axis=1):
    e = np.exp(z - z.max())
    return e / e.sum(axis=axis, keepdims=axis is not None)


def _p(z):
    return softmax_forward(z)[0]


def _p_minus_1(z, t):
    return _p(z) - np.eye(z.shape[1])[t]


OVERFLOW = ("that of an overflow: exp(1000) is infinite. Take each row's maximum off "
            "before exp")

MISTAKES = {
    "loss": {
        OVERFLOW: lambda z, t: _loss(_naive(z), t),
        "that of an overflow in log(sum of exp(z)): take each row's maximum off first":
            lambda z, t: _loss_of_log(
                z - np.log(np.exp(z).sum(axis=1, keepdims=True)), t),
        "that of the logarithm of 0: take it before exp, log p = z - max - log(sum of "
        "exp(z - max))": lambda z, t: _loss(_p(z), t),
        "that of probabilities clipped away from 0, which is wrong for scores of 1000":
            lambda z, t: _loss(np.clip(_p(z), 1e-12, 1), t),
        "that of softmax along the wrong axis: each row sums to 1, axis=1":
            lambda z, t: _loss(_stable(z, 0), t),
        "that of softmax along the wrong axis, and of an overflow: each row sums to 1":
            lambda z, t: _loss(_naive(z, 0), t),
        "that of a softmax over the whole batch: each row sums to 1, axis=1":
            lambda z, t: _loss(_naive(z, None), t),
        "a sum over the batch: take the mean":
            lambda z, t: softmax_crossentropy_forward(z, t)[0].sum(),
        "divided by N twice": lambda z, t: _mean_forward(z, t)[0] / len(z),
        "divided by N K: take the mean over the N rows":
            lambda z, t: _mean_forward(z, t)[0] / z.shape[1],
        "minus the right one: the loss is -log p":
            lambda z, t: -_mean_forward(z, t)[0],
    },
    "dz": {
        "that of an overflow: exp(1000) is infinite. Take each row's maximum off":
            lambda d, z, t: d * (_naive(z) - np.eye(z.shape[1])[t]) / len(z),
        "not divided by N: the loss is a mean": lambda d, z, t: d * _p_minus_1(z, t),
        "divided by N twice": lambda d, z, t: d * _p_minus_1(z, t) / len(z) ** 2,
        "p/N: take 1 off at the right class first": lambda d, z, t: d * _p(z) / len(z),
        "target minus prediction: the sign":
            lambda d, z, t: -d * _p_minus_1(z, t) / len(z),
        "not multiplied by dloss": lambda d, z, t: _p_minus_1(z, t) / len(z),
        "neither multiplied by dloss nor divided by N":
            lambda d, z, t: _p_minus_1(z, t),
        "p minus target only at the right class: p stays at the others":
            lambda d, z, t: d * _p_minus_1(z, t) * np.eye(z.shape[1])[t] / len(z),
    },
}

LARGE = np.array([[1000.0, 0.0, -1000.0], [-1000.0, 1000.0, 0.0]])

EXERCISE = Pair(
    __name__, __doc__, "z, t", "dz", (_mean_forward, _mean_backward),
    [Case("4 rows of 3", _inputs(4, 3)), Case("a single row", _inputs(1, 5)),
     Case("scores of 1000 where they should be", (LARGE, np.array([0, 1])), False),
     Case("scores of 1000 and -1000", (LARGE, np.array([0, 2])), False)],
    _inputs(512, 100), MISTAKES, prefix="crossentropy", output="loss")
