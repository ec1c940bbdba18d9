"""Adam: a step for each parameter that does not depend on its gradient's size.

    m <- beta1 * m + (1 - beta1) * g           the gradient, averaged
    v <- beta2 * v + (1 - beta2) * g * g       its square, averaged
    p <- p - learning_rate * M / (sqrt(V) + epsilon)

    where  M = m / (1 - beta1**t)  and  V = v / (1 - beta2**t)

undo that m and v began at 0. t counts the steps from 1. Return the new p, m and v (m
and v themselves, not M and V), and leave what you were given as it is.

This is algorithm 1 of Kingma & Ba (2014). minifer.updates.adam is the shorter form
before their section 2.1, in which epsilon is not corrected:

    p <- p - learning_rate * sqrt(1 - beta2**t) / (1 - beta1**t)
             * m / (sqrt(v) + epsilon)
"""

import functools

import numpy as np

from .. import updates
from .descent import Descent

__all__ = ["EXERCISE"]


def _adam(p, g, m, v, t, learning_rate, beta1, beta2, epsilon, correct=(True, True),
          inside=False, square=True, keep=True, sign=1, epsilon_corrected=True):
    """A step of Adam, or of what is often mistaken for it."""
    new_m = beta1 * m + (1 - beta1) * g
    new_v = beta2 * v + (1 - beta2) * (g * g if square else np.abs(g))
    M = new_m / (1 - beta1 ** t) if correct[0] else new_m
    V = new_v / (1 - beta2 ** t) if correct[1] else new_v
    if not epsilon_corrected:
        epsilon = epsilon / np.sqrt(1 - beta2 ** t)
    root = np.sqrt(V + epsilon) if inside else np.sqrt(V) + epsilon
    p = p - sign * learning_rate * M / root
    if keep == "corrected":
        return p, M, V
    return (p, new_m, new_v) if keep else (p, m, v)


def _no_root(p, g, m, v, t, learning_rate, beta1, beta2, epsilon):
    _, m, v = _adam(p, g, m, v, t, learning_rate, beta1, beta2, epsilon)
    M, V = m / (1 - beta1 ** t), v / (1 - beta2 ** t)
    return p - learning_rate * M / (V + epsilon), m, v


def _exchanged(p, g, m, v, t, learning_rate, beta1, beta2, epsilon):
    return _adam(p, g, m, v, t, learning_rate, beta2, beta1, epsilon)


def _first_step(p, g, m, v, t, *settings):
    return _adam(p, g, m, v, 1, *settings)


def _with(**options):
    return functools.partial(_adam, **options)


MISTAKES = {
    "that of no bias correction: divide m by 1 - beta1**t and v by 1 - beta2**t":
        _with(correct=(False, False)),
    "that of epsilon inside the root: sqrt(V) + epsilon": _with(inside=True),
    "that of no bias correction, and of epsilon inside the root":
        _with(correct=(False, False), inside=True),
    "that of m corrected and v not": _with(correct=(True, False)),
    "that of v corrected and m not": _with(correct=(False, True)),
    "minifer.updates.adam's, whose epsilon is not corrected: here it stands beside "
    "sqrt(V)": _with(epsilon_corrected=False),
    "going uphill: subtract the step": _with(sign=-1),
    "that of v from |g|: it averages g * g": _with(square=False),
    "that of no root: divide by sqrt(V), not V": _no_root,
    "that of m and v not kept: return the new ones": _with(keep=False),
    "that of M and V kept: return m and v as they were before the correction":
        _with(keep="corrected"),
    "that of beta1 and beta2 exchanged": _exchanged,
    "that of the first step's correction in every step: use t": _first_step,
}

EXERCISE = Descent(
    __name__, __doc__, {"adam_step": (_adam, updates.adam, MISTAKES)}, state="m, v",
    settings={"t": [], "learning_rate": [0.1, 0.01], "beta1": [0.9, 0.8],
              "beta2": [0.999, 0.95], "epsilon": [1e-3, 1e-3]},
    scales=[1.0, 0.01])
