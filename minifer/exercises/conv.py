"""A convolution layer: every filter looks at every place of the picture.

    y[n, f, i, j] = b[f] + sum over c, u, v of
                    W[f, c, u, v] X[n, c, stride*i + u, stride*j + v]

X is x with `pad` rows and columns of zeros on each of the four sides. x is
(N, C, H, W), W is (F, C, kh, kw), b is (F,), stride >= 1 and pad >= 0 are whole
numbers. y is (N, F, Ho, Wo) with Ho = (H + 2*pad - kh) // stride + 1, and Wo likewise.
The filter is laid on as it is, not turned round (minifer's layers call that
flip_filters=False).

Given dy, return the gradients of the loss with respect to x, W and b. Each has the
shape of what it belongs to, and adds up all places of y in which its element had a
part.
"""

import numpy as np

from ..ops.conv import conv2d_backward, conv2d_forward
from .pairs import Case, Pair

__all__ = ["EXERCISE"]


def _forward(x, W, b, stride, pad):
    return conv2d_forward(x, W, b, (stride, stride), (pad, pad), flip_filters=False)


def _y(x, W, b, stride, pad):
    return _forward(x, W, b, stride, pad)[0]


def _gradient(i, turn=lambda W: W, scale=lambda x: 1.0, take=slice(None)):
    """A wrong gradient, the i-th: the right one of other filters, scaled, or of a few
    images."""
    def gradient(dy, x, W, b, stride, pad):
        _, cache = _forward(x[take], turn(W), b, stride, pad)
        return conv2d_backward(dy[take], cache)[i] * scale(x)
    return gradient


def _flip(W):
    return W[:, :, ::-1, ::-1]


def _transpose(W):
    return W.transpose(0, 1, 3, 2)


def _dW(dy, *inputs):
    return _gradient(1)(dy, *inputs)


def _inputs(N, C, H, Wd, F, kh, kw, stride, pad):
    rng = np.random.default_rng(H)
    shapes = (N, C, H, Wd), (F, C, kh, kw), (F,)
    return tuple(rng.normal(size=shape) for shape in shapes) + (stride, pad)


LAST, FIRST = slice(-1, None), slice(0, 1)

MISTAKES = {
    "y": {
        "that of a flipped filter: lay it on as it is, not turned round":
            lambda x, W, b, stride, pad: _y(x, _flip(W), b, stride, pad),
        "that of a transposed filter: rows of W belong to rows of x":
            lambda x, W, b, stride, pad: _y(x, _transpose(W), b, stride, pad),
        "without the bias": lambda x, W, b, stride, pad: _y(x, W, 0 * b, stride, pad),
        "that of stride 1: the stride is ignored":
            lambda x, W, b, stride, pad: _y(x, W, b, 1, pad),
        "that of no padding: pad is ignored":
            lambda x, W, b, stride, pad: _y(x, W, b, stride, 0),
        "padded by one too many": lambda x, W, b, stride, pad: _y(
            x, W, b, stride, pad + 1),
        "padded by one too few": lambda x, W, b, stride, pad: _y(
            x, W, b, stride, max(pad - 1, 0)),
        "padded at the bottom and the right only: half of it belongs to the other side":
            lambda x, W, b, stride, pad: _y(
                np.pad(x, [(0, 0)] * 2 + [(0, 2 * pad)] * 2), W, b, stride, 0),
        "that of the last channel alone: add up over c":
            lambda x, W, b, stride, pad: _y(x[:, LAST], W[:, LAST], b, stride, pad),
        "that of the first channel alone: add up over c":
            lambda x, W, b, stride, pad: _y(x[:, FIRST], W[:, FIRST], b, stride, pad),
    },
    "dx": {
        "that of a flipped filter: give back through W what came through it":
            _gradient(0, _flip),
        "that of a transposed filter: rows of W belong to rows of x":
            _gradient(0, _transpose),
    },
    "dW": {
        "that of a flipped filter: rows and columns are in the opposite order":
            lambda *a: _flip(_dW(*a)),
        "transposed: rows and columns of each filter are exchanged":
            lambda *a: _transpose(_dW(*a)),
        "transposed: filters and channels are exchanged":
            lambda *a: _dW(*a).swapaxes(0, 1),
        "that of the last image alone: add up over the batch":
            _gradient(1, take=LAST),
        "that of the first image alone: add up over the batch":
            _gradient(1, take=FIRST),
        "averaged over the batch: sum it, the loss has its own 1/N":
            _gradient(1, scale=lambda x: 1 / len(x)),
    },
    "db": {
        "zero everywhere: the bias has no gradient yet":
            lambda dy, x, W, b, *_: np.zeros_like(b),
        "averaged over batch and places: sum dy over n, i and j":
            lambda dy, *_: dy.mean(axis=(0, 2, 3)),
        "averaged over the batch: sum it":
            lambda dy, *_: dy.sum(axis=(2, 3)).mean(axis=0),
        "not summed over the batch: sum dy over n, i and j":
            lambda dy, *_: dy.sum(axis=(2, 3)),
        "not summed over the places: sum dy over n, i and j":
            lambda dy, *_: dy.sum(axis=0),
        "that of the last image alone: add up over the batch":
            _gradient(2, take=LAST),
        "that of the first image alone: add up over the batch":
            _gradient(2, take=FIRST),
    },
}

EXERCISE = Pair(
    __name__, __doc__, "x, W, b, stride, pad", "dx, dW, db",
    (_forward, conv2d_backward),
    [Case("stride 1, pad 0", _inputs(2, 2, 4, 5, 3, 2, 2, 1, 0)),
     Case("stride 2, pad 1", _inputs(3, 1, 5, 7, 2, 3, 3, 2, 1)),
     Case("stride 2, pixels left over", _inputs(2, 3, 6, 4, 2, 3, 3, 2, 0))],
    _inputs(4, 3, 14, 14, 4, 3, 3, 1, 1), MISTAKES)
