"""Momentum, and Nesterov's: steps that remember where they were going.

    both:      v <- momentum * v - learning_rate * g
    momentum:  p <- p + v
    Nesterov:  p <- p + momentum * v - learning_rate * g      (with the new v)

p are parameters of any shape, g their gradient and v the velocity, of the same shape,
which is 0 before the first step. Return the new p and the new v, and leave p, g and v
as they are. The second formula looks ahead: v is about to carry p on, so the step is
taken from there (Sutskever et al. 2013).
"""

from .. import updates
from .descent import Descent

__all__ = ["EXERCISE"]


def _momentum(p, g, v, learning_rate, momentum):
    v = momentum * v - learning_rate * g
    return p + v, v


def _nesterov(p, g, v, learning_rate, momentum):
    v = momentum * v - learning_rate * g
    return p + momentum * v - learning_rate * g, v


def _uphill(rule):
    return lambda p, g, v, lr, mu: rule(p, -g, v, lr, mu)


def _plain(p, g, v, lr, mu):
    return p - lr * g, v


def _old_v(p, g, v, lr, mu):
    return p + v, mu * v - lr * g


def _no_rate(p, g, v, lr, mu):
    v = mu * v - g
    return p + v, v


def _damped(p, g, v, lr, mu):
    v = mu * v - (1 - mu) * lr * g
    return p + v, v


def _without_mu(p, g, v, lr, mu):
    v = v - lr * g
    return p + v, v


def _restarted(p, g, v, lr, mu):
    """The look-ahead is there, but the velocity is not handed on."""
    return _nesterov(p, g, v, lr, mu)[0], v


def _ahead_twice(p, g, v, lr, mu):
    """The formula for the old v, with the new one put in."""
    v = mu * v - lr * g
    return p + mu * mu * v - (1 + mu) * lr * g, v


def _without_gradient(p, g, v, lr, mu):
    v = mu * v - lr * g
    return p + mu * v, v


def _v_and_gradient(p, g, v, lr, mu):
    v = mu * v - lr * g
    return p + v - lr * g, v


COMMON = {
    "that of plain gradient descent: the velocity is not kept, or not used": _plain,
    "moved by the old velocity: use the new v": _old_v,
    "that of v without the learning rate": _no_rate,
    "that of g weighted by 1 - momentum: it stands alone here": _damped,
    "that of a velocity that never fades: momentum * v": _without_mu,
}

EXERCISE = Descent(__name__, __doc__, {
    "momentum_step": (_momentum, updates.momentum, {
        "going uphill: the sign of g, or of v": _uphill(_momentum),
        "a step of Nesterov's: here p + v": _nesterov, **COMMON}),
    "nesterov_step": (_nesterov, updates.nesterov_momentum, {
        "going uphill: the sign of g, or of v": _uphill(_nesterov),
        "a step of plain momentum, p + v: there is no look-ahead": _momentum,
        "without the last term: - learning_rate * g once more": _without_gradient,
        "p + v - learning_rate * g: multiply v by momentum": _v_and_gradient,
        "that of a velocity that is not kept: return the new v": _restarted,
        "p + momentum² v - (1 + momentum) learning_rate g, which is for the old v":
            _ahead_twice, **COMMON})},
    state="v", settings={"learning_rate": [0.1, 0.02], "momentum": [0.9, 0.5]},
    scales=[1.0, 3.0])
