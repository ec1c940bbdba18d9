"""What ``theano.tensor.nnet`` had: nonlinearities and cross-entropies.

>>> import numpy as np
>>> from minifer.tensor import nnet, vector
>>> x = vector("x")
>>> nnet.relu(x).eval({x: np.array([-1.0, 2.0])})
array([0., 2.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _absent
from ..expressions import Apply, Expression, as_expression
from ..expressions import functions as f
from ..objectives import binary_crossentropy as _binary_crossentropy
from ..objectives import categorical_crossentropy as _categorical_crossentropy
from ..ops import activation
from .arithmetic import clip, exp, expm1, log, sigmoid
from .gradient import disconnected_grad
from .shapes import eye

__all__ = ["sigmoid", "ultra_fast_sigmoid", "hard_sigmoid", "softplus", "softmax",
           "logsoftmax", "relu", "elu", "selu", "softsign", "binary_crossentropy",
           "sigmoid_binary_crossentropy", "categorical_crossentropy", "one_hot"]

ultra_fast_sigmoid = sigmoid
__getattr__ = _absent.getter(__name__)


def hard_sigmoid(x: Any) -> Expression:
    """``x / 5 + 1/2``, within [0, 1]."""
    return clip(0.2 * as_expression(x) + 0.5, 0, 1)


def softplus(x: Any) -> Expression:
    """``log(1 + exp(x))``."""
    x = as_expression(x)
    return Apply(activation.softplus_forward, activation.softplus_backward, x,
                 ndim=x.ndim)


def softmax(c: Any) -> Expression:
    """Probabilities of scores (N, K); a vector is a single row."""
    c = as_expression(c)
    c = f.reshape(c, (1, -1)) if c.ndim == 1 else c
    return Apply(activation.softmax_forward, activation.softmax_backward, c, ndim=2)


def logsoftmax(c: Any) -> Expression:
    """The logarithm of :func:`softmax`, exact however small a probability is."""
    c = as_expression(c)
    shifted = c - disconnected_grad(c.max(axis=1, keepdims=True))
    return shifted - log(exp(shifted).sum(axis=1, keepdims=True))


def relu(x: Any, alpha: float = 0) -> Expression:
    """``x`` where positive, else ``alpha * x``; the slope at 0 is ``alpha``."""
    x = as_expression(x)
    if alpha == 0:
        return Apply(activation.rectify_forward, activation.rectify_backward, x,
                     ndim=x.ndim)
    return Apply(activation.leaky_rectify_forward, activation.leaky_rectify_backward, x,
                 constants=(alpha,), ndim=x.ndim)


def elu(x: Any, alpha: float = 1) -> Expression:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    x = as_expression(x)
    if alpha == 1:
        return Apply(activation.elu_forward, activation.elu_backward, x, ndim=x.ndim)
    return f.elementwise_op("where", x > 0, x, alpha * expm1(clip(x, -np.inf, 0)))


def selu(x: Any) -> Expression:
    """The self-normalising ELU of Klambauer et al. (2017)."""
    scale, steepness = 1.0507009873554805, 1.6732632423543772
    return scale * elu(x, steepness)


def softsign(x: Any) -> Expression:
    """``x / (1 + |x|)``."""
    x = as_expression(x)
    return x / (1 + abs(x))


def binary_crossentropy(output: Any, target: Any) -> Expression:
    """``-(t log p + (1 - t) log(1 - p))``; of a sigmoid, in one stable step."""
    return _binary_crossentropy(as_expression(output), target)


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Expression:
    """:func:`binary_crossentropy` of ``sigmoid(output)``, in one stable step."""
    return _binary_crossentropy(sigmoid(output), target)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Expression:
    """``-sum t log p`` for each row; of a softmax, in one stable step."""
    return _categorical_crossentropy(as_expression(coding_dist), true_dist)


def one_hot(x: Any, m: int, dtype: Any = None) -> Expression:
    """Rows with a 1 at the class and 0 elsewhere, (N, m)."""
    return eye(m, dtype=dtype)[x]
