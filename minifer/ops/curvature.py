"""Second derivatives of the nonlinearities that have one at every place."""

import numpy as np

from .activation import sigmoid_forward

__all__ = ["CURVATURES"]


def _tanh(x, scale_in=1.0, scale_out=1.0):
    t = np.tanh(x * scale_in)
    return t * (1 - t * t) * (-2 * scale_out * scale_in * scale_in)


def _elu(x, scale=1.0, scale_neg=1.0):
    return np.where(x > 0, 0 * x, np.exp(np.minimum(x, 0)) * (scale * scale_neg))


def _sigmoid(x):
    y, _ = sigmoid_forward(x)
    return y * (1 - y) * (1 - 2 * y)


def _softplus(x):
    y, _ = sigmoid_forward(x)
    return y * (1 - y)


def _softsign(x):
    return -2 * np.sign(x) / (1 + np.abs(x)) ** 3


#: By the nonlinearity's name ``f''(x, **options)``; None where it is 0 but at kinks.
CURVATURES = {"identity": None, "rectify": None, "leaky_rectify": None, "elu": _elu,
              "selu": _elu, "tanh": _tanh, "scaled_tanh": _tanh, "sigmoid": _sigmoid,
              "softplus": _softplus, "clipped_rectify": None, "hard_sigmoid": None,
              "softsign": _softsign}
