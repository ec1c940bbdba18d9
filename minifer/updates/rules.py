r"""Update rules: how a parameter moves against its gradient.

In the formulas p is a parameter, g its gradient, η the learning rate, t the number of
the step. All values on the right are those from before the step; state starts at 0.
A class holds a rule's formula, its step and the name of its kernel; below each stands
Lasagne's function of it, which also takes a loss before the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..expressions import shared
from ..layers.param import Param
from .as_function import function_of
from .mapping import pairs_of
from .momentum_on_device import AppliedMomentumState
from .update import Update

__all__ = ["sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta",
           "adam", "amsgrad", "adamax", "adamw", "apply_momentum",
           "apply_nesterov_momentum"]


class SGD(Update):
    """Stochastic gradient descent: ``p ← p − η g``.

    Parameters
    ----------
    params : list of Param
        In ``updates.sgd`` and its relatives a loss expression may stand before it.
    learning_rate : float
        η.

    Returns
    -------
    Update
        ``step(gradients)`` takes a step in place.
    """

    kernel = "sgd"

    def rule(self, p, g):
        p -= self.learning_rate * g

    def constants(self):
        return (self.learning_rate,)


sgd = function_of(SGD)


class Momentum(Update):
    """SGD with momentum: ``v ← μ v − η g; p ← p + v``."""

    slots, kernel = ("velocity",), "momentum"  # type: ignore[assignment]

    def __init__(self, params: Sequence[Param], learning_rate: float,
                 momentum: float = 0.9):
        super().__init__(params, learning_rate)
        self.momentum = self.setting("momentum", momentum, below=1)

    def rule(self, p, g, v):
        v *= self.momentum
        v -= self.learning_rate * g
        p += v

    def constants(self):
        return self.learning_rate, self.momentum


momentum = function_of(Momentum)


class NesterovMomentum(Momentum):
    """SGD with Nesterov momentum: ``v ← μ v − η g; p ← p + μ v − η g``.

    The second formula uses the new v: the gradient is, in effect, taken where
    the velocity is about to carry the parameter (Sutskever et al. 2013).
    """

    kernel = "nesterov_momentum"

    def rule(self, p, g, v):
        step = self.learning_rate * g
        v *= self.momentum
        v -= step
        p += self.momentum * v
        p -= step


nesterov_momentum = function_of(NesterovMomentum)


class AdaGrad(Update):
    """AdaGrad (Duchi et al. 2011): ``a ← a + g²; p ← p − η g / √(a + ε)``."""

    slots, kernel = ("squares",), "adagrad"  # type: ignore[assignment]

    def __init__(self, params: Sequence[Param], learning_rate: float = 1.0,
                 epsilon: float = 1e-6):
        super().__init__(params, learning_rate)
        self.epsilon = self.setting("epsilon", epsilon)

    def rule(self, p, g, a):
        a += g * g
        p -= self.learning_rate * g / np.sqrt(a + self.epsilon)

    def constants(self):
        return self.learning_rate, self.epsilon


adagrad = function_of(AdaGrad)


class RMSProp(AdaGrad):
    """RMSProp (Tieleman & Hinton 2012).

    ``a ← ρ a + (1−ρ) g²; p ← p − η g / √(a + ε)``. The default η really is 1.
    """

    kernel = "rmsprop"

    def __init__(self, params: Sequence[Param], learning_rate: float = 1.0,
                 rho: float = 0.9, epsilon: float = 1e-6):
        super().__init__(params, learning_rate, epsilon)
        self.rho = self.setting("rho", rho, below=1)

    def rule(self, p, g, a):
        a *= self.rho
        a += (1 - self.rho) * g * g
        p -= self.learning_rate * g / np.sqrt(a + self.epsilon)

    def constants(self):
        return self.learning_rate, self.rho, 1 - self.rho, self.epsilon


rmsprop = function_of(RMSProp)


class AdaDelta(RMSProp):
    """AdaDelta (Zeiler 2012, arXiv:1212.5701).

    ``a ← ρ a + (1−ρ) g²; u = g √(d + ε) / √(a + ε); p ← p − η u;
    d ← ρ d + (1−ρ) u²``.
    """

    slots, kernel = ("squares", "deltas"), "adadelta"  # type: ignore[assignment]

    def __init__(self, params: Sequence[Param], learning_rate: float = 1.0,
                 rho: float = 0.95, epsilon: float = 1e-6):
        super().__init__(params, learning_rate, rho, epsilon)

    def rule(self, p, g, a, d):
        a *= self.rho
        a += (1 - self.rho) * g * g
        u = g * np.sqrt(d + self.epsilon) / np.sqrt(a + self.epsilon)
        p -= self.learning_rate * u
        d *= self.rho
        d += (1 - self.rho) * u * u


adadelta = function_of(AdaDelta)


class Adam(Update):
    """Adam (Kingma & Ba 2014, arXiv:1412.6980, the form before section 2.1).

    ``m ← β₁ m + (1−β₁) g; v ← β₂ v + (1−β₂) g²;
    p ← p − η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)``. ε is not bias-corrected.
    """

    slots, kernel = ("mean", "squares"), "adam"  # type: ignore[assignment]

    def __init__(self, params: Sequence[Param], learning_rate: float = 0.001,
                 beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        super().__init__(params, learning_rate)
        self.beta1 = self.setting("beta1", beta1, below=1)
        self.beta2 = self.setting("beta2", beta2, below=1)
        self.epsilon = self.setting("epsilon", epsilon)

    def corrected_rate(self):
        """η, made up for means that start at 0."""
        t = self.state["t"]
        return self.learning_rate * (1 - self.beta2 ** t) ** 0.5 / (1 - self.beta1 ** t)

    def moments(self, g, m, v):
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * g * g

    def rule(self, p, g, m, v):
        self.moments(g, m, v)
        p -= self.corrected_rate() * m / (np.sqrt(v) + self.epsilon)

    def constants(self):
        return (self.corrected_rate(), self.beta1, 1 - self.beta1, self.beta2,
                1 - self.beta2, self.epsilon)


adam = function_of(Adam)


class AMSGrad(Adam):
    """AMSGrad (Reddi et al. 2018): :func:`adam` with ``max(v̂, v)`` in the root."""

    slots, kernel = ("mean", "squares", "largest_squares"), "amsgrad"  # type: ignore[assignment]

    def rule(self, p, g, m, v, v_hat):
        self.moments(g, m, v)
        np.maximum(v_hat, v, out=v_hat)
        p -= self.corrected_rate() * m / (np.sqrt(v_hat) + self.epsilon)


amsgrad = function_of(AMSGrad)


class AdaMax(Adam):
    """AdaMax (Kingma & Ba 2014, section 7.1).

    ``m`` as in :func:`adam`; ``u ← max(β₂ u, |g|);
    p ← p − η/(1−β₁ᵗ) · m / (u + ε)``.
    """

    slots, kernel = ("mean", "largest"), "adamax"  # type: ignore[assignment]

    def __init__(self, params: Sequence[Param], learning_rate: float = 0.002,
                 beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        super().__init__(params, learning_rate, beta1, beta2, epsilon)

    def corrected_rate(self):
        return self.learning_rate / (1 - self.beta1 ** self.state["t"])

    def rule(self, p, g, m, u):
        m *= self.beta1
        m += (1 - self.beta1) * g
        np.maximum(self.beta2 * u, np.abs(g), out=u)
        p -= self.corrected_rate() * m / (u + self.epsilon)

    def constants(self):
        return (self.corrected_rate(), self.beta1, 1 - self.beta1, self.beta2,
                self.epsilon)


adamax = function_of(AdaMax)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101).

    ``p ← (1 − η λ) p``, then a step of :func:`adam`. With ``weights_only`` biases, and
    the scales and shifts of batch norm, which have one axis, do not shrink: they are
    few, and nothing is learnt by heart in them.
    """

    kernel = "adamw"
    weights_only = False

    def __init__(self, params: Sequence[Param], learning_rate: float = 0.001,
                 beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 weight_decay: float = 0.01, weights_only: bool = False):
        super().__init__(params, learning_rate, beta1, beta2, epsilon)
        self.weight_decay = self.setting("weight decay", weight_decay)
        if weights_only:  # else it is as ever for those who note an update's numbers
            self.weights_only = True

    def shrinks(self, param):
        """Whether a parameter is held small."""
        return not self.weights_only or len(param.shape) > 1

    def rule_of(self, param):
        return self.rule if self.shrinks(param) else super().rule

    def kernel_of(self, param):
        return (self.usable_kernel if self.shrinks(param) or self.usable_kernel is None
                else Adam.kernel)

    def shrinking(self):
        return 1 - self.learning_rate * self.weight_decay

    def rule(self, p, g, m, v):
        p *= self.shrinking()
        super().rule(p, g, m, v)

    def constants(self):
        return (*super().constants(), self.shrinking())


adamw = function_of(AdamW)


class AppliedMomentum(Update):
    """Momentum around another rule, which moves the parameters by d."""

    slots = ("velocity",)

    def __init__(self, inner, params, momentum, nesterov):
        self.inner, self.nesterov = inner, nesterov
        super().__init__(inner.params,
                         inner.symbols.get("learning_rate", inner.learning_rate))
        self.momentum = self.setting("momentum", momentum, below=1)
        self.chosen = set(self.params if params is None else params)
        self.loss, self.gradients = inner.loss, inner.gradients
        self.state["inner"] = inner.state

    def follow(self, values):
        super().follow(values)
        self.inner.follow(values)

    def pass_on(self):
        """Give the inner rule what may be changed between steps."""
        self.inner.learning_rate = self.learning_rate
        self.inner.max_total_norm = self.max_total_norm

    def _make_buffers(self):
        return AppliedMomentumState(self)

    def _step(self, gradients, run):
        self.pass_on()
        before = [p.value.copy() for p in self.params]
        self.inner(gradients, run)
        self.state["t"] += 1
        for param, old, v in zip(self.params, before, self.state["velocity"]):
            if param in self.chosen:
                p, d = param.value, param.value - old
                v *= self.momentum
                v += d
                p[...] = old + (self.momentum * v + d if self.nesterov else v)
        self._constrain()

    def constants(self):
        return (self.momentum,)


def apply_momentum(updates: Any, params: Sequence[Param] | None = None,
                   momentum: float = 0.9) -> Any:
    """Put momentum around any rule that moves p by d: ``v ← μ v + d; p ← p + v``.

    Parameters
    ----------
    updates : Update, dict of parameter -> new value, or list of such pairs
    params : list of Param, optional
        Those to apply it to; default all.
    momentum : float, default 0.9

    Returns
    -------
    Update, or a dict where ``updates`` were none, or were changed by parameter
    """
    return _with_momentum(updates, params, momentum, nesterov=False)


def apply_nesterov_momentum(updates: Any, params: Sequence[Param] | None = None,
                            momentum: float = 0.9) -> Any:
    """As :func:`apply_momentum`: ``v ← μ v + d; p ← p + μ v + d``."""
    return _with_momentum(updates, params, momentum, nesterov=True)


def _with_momentum(updates, params, momentum, nesterov):
    if isinstance(updates, Update) and not updates.assigned:
        return AppliedMomentum(updates, params, momentum, nesterov)
    momentum = Update.setting("momentum", momentum, below=1)
    found = dict(pairs_of(updates))
    for param in list(found) if params is None else params:
        moved = found[param] - param
        v = shared(np.zeros_like(param.value), f"{param.name}.velocity")
        found[v] = momentum * v + moved
        found[param] = param + (momentum * found[v] + moved if nesterov else found[v])
    return found
