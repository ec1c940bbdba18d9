"""A dense layer: every output is a weighted sum of all inputs.

    y[n, u] = b[u] + sum over d of x[n, d] W[d, u]

x is (N, D), W is (D, U), b is (U,) and y is (N, U). `cache` is whatever your backward
needs. Given dy, the gradient of the loss with respect to y, return those with respect
to x, W and b. Each has the shape of what it belongs to. A weight that serves all N rows
receives the sum of what they say.
"""

import numpy as np

from ..ops.dense import dense_backward, dense_forward
from .pairs import Case, Pair

__all__ = ["EXERCISE"]


def _inputs(N, D, U):
    rng = np.random.default_rng(N)
    return tuple(rng.normal(size=shape) for shape in ((N, D), (D, U), (U,)))


MISTAKES = {
    "y": {
        "x W without the bias": lambda x, W, b: x @ W,
        "b - x W: the product's sign": lambda x, W, b: b - x @ W,
        "x W - b: the bias has the wrong sign": lambda x, W, b: x @ W - b,
    },
    "dx": {
        "dy W: W has to be transposed": lambda dy, x, W, b: dy @ W,
    },
    "dW": {
        "the transpose of the right one: x^T dy, not dy^T x":
            lambda dy, x, W, b: dy.T @ x,
        "averaged over the batch: sum it, the loss has its own 1/N":
            lambda dy, x, W, b: x.T @ dy / len(x),
        "that of the last row alone: add the rows up":
            lambda dy, x, W, b: np.outer(x[-1], dy[-1]),
        "that of the first row alone: add the rows up":
            lambda dy, x, W, b: np.outer(x[0], dy[0]),
    },
    "db": {
        "zero everywhere: the bias has no gradient yet":
            lambda dy, x, W, b: np.zeros_like(b),
        "averaged over the batch: sum it": lambda dy, x, W, b: dy.mean(axis=0),
        "dy itself: sum it over the batch": lambda dy, x, W, b: dy,
        "a sum along the wrong axis: sum over the batch, axis 0":
            lambda dy, x, W, b: dy.sum(axis=1),
        "a single number: sum over the batch alone, axis 0":
            lambda dy, x, W, b: dy.sum(),
        "that of the last row alone: add the rows up": lambda dy, x, W, b: dy[-1],
    },
}

EXERCISE = Pair(
    __name__, __doc__, "x, W, b", "dx, dW, db", (dense_forward, dense_backward),
    [Case("3 rows", _inputs(3, 4, 2)), Case("D = U", _inputs(2, 3, 3)),
     Case("a single row", _inputs(1, 5, 3))],
    _inputs(64, 200, 100), MISTAKES)
