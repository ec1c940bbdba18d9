r"""Updates: how parameters move against the gradient.

Each function makes an update rule for a list of parameters:

>>> import numpy as np
>>> from minifer.layers.param import Param
>>> w = Param(np.array([1.0, 2.0]), "w")
>>> step = nesterov_momentum([w], learning_rate=0.1, momentum=0.9)
>>> step([np.array([1.0, 1.0])])
>>> w.value
array([0.81, 1.81])
>>> step.learning_rate = 0.01

The learning rate can be changed at any time, and ``step.state`` is a plain
dict of numbers and lists of arrays that a checkpoint can hold. As in Lasagne,
a loss may come first, ``nesterov_momentum(loss, params, ...)``, for
:func:`minifer.function`.

In the formulas p is a parameter, g its gradient, η the learning rate. All
values on the right are those from before the step; state starts at 0.
"""

import functools

from ..expressions import Expression
from .rules import (SGD, AMSGrad, AdaDelta, AdaGrad, AdaMax, Adam, AdamW,
                    AppliedMomentum, Momentum, NesterovMomentum, RMSProp, Update,
                    norm_constraint, total_norm_constraint)

__all__ = ["Update", "sgd", "momentum", "nesterov_momentum", "apply_momentum",
           "apply_nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam",
           "adamax", "amsgrad", "adamw", "norm_constraint",
           "total_norm_constraint"]


def _rule(function):
    """Let a rule also be called as in Lasagne, with a loss before the params."""
    @functools.wraps(function)
    def rule(*args, **kwargs):
        loss = kwargs.pop("loss_or_grads", None)
        if args and isinstance(args[0], Expression):
            loss, args = args[0], args[1:]
        update = function(*args, **kwargs)
        update.loss = loss
        return update
    return rule


@_rule
def sgd(params, learning_rate):
    """Stochastic gradient descent: ``p ← p − η g``.

    Parameters
    ----------
    params : list of Param
        A loss expression may stand before it, here and in all rules.
    learning_rate : float
        η.

    Returns
    -------
    Update
        ``step(gradients)`` takes a step in place.
    """
    return SGD(params, learning_rate)


@_rule
def momentum(params, learning_rate, momentum=0.9):
    """SGD with momentum: ``v ← μ v − η g; p ← p + v``."""
    return Momentum(params, learning_rate, momentum)


@_rule
def nesterov_momentum(params, learning_rate, momentum=0.9):
    """SGD with Nesterov momentum: ``v ← μ v − η g; p ← p + μ v − η g``.

    The second formula uses the new v: the gradient is, in effect, taken where
    the velocity is about to carry the parameter (Sutskever et al. 2013).
    """
    return NesterovMomentum(params, learning_rate, momentum)


@_rule
def adagrad(params, learning_rate=1.0, epsilon=1e-6):
    """AdaGrad (Duchi et al. 2011): ``a ← a + g²; p ← p − η g / √(a + ε)``."""
    return AdaGrad(params, learning_rate, epsilon)


@_rule
def rmsprop(params, learning_rate=1.0, rho=0.9, epsilon=1e-6):
    """RMSProp (Tieleman & Hinton 2012).

    ``a ← ρ a + (1−ρ) g²; p ← p − η g / √(a + ε)``. The default η really is 1.
    """
    return RMSProp(params, learning_rate, rho, epsilon)


@_rule
def adadelta(params, learning_rate=1.0, rho=0.95, epsilon=1e-6):
    """AdaDelta (Zeiler 2012, arXiv:1212.5701).

    ``a ← ρ a + (1−ρ) g²; u = g √(d + ε) / √(a + ε); p ← p − η u;
    d ← ρ d + (1−ρ) u²``.
    """
    return AdaDelta(params, learning_rate, rho, epsilon)


@_rule
def adam(params, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam (Kingma & Ba 2014, arXiv:1412.6980, the form before section 2.1).

    ``m ← β₁ m + (1−β₁) g; v ← β₂ v + (1−β₂) g²;
    p ← p − η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)``. ε is not bias-corrected.
    """
    return Adam(params, learning_rate, beta1, beta2, epsilon)


@_rule
def adamax(params, learning_rate=0.002, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """AdaMax (Kingma & Ba 2014, section 7.1).

    ``m`` as in :func:`adam`; ``u ← max(β₂ u, |g|);
    p ← p − η/(1−β₁ᵗ) · m / (u + ε)``.
    """
    return AdaMax(params, learning_rate, beta1, beta2, epsilon)


@_rule
def amsgrad(params, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """AMSGrad (Reddi et al. 2018): :func:`adam` with ``max(v̂, v)`` in the root."""
    return AMSGrad(params, learning_rate, beta1, beta2, epsilon)


@_rule
def adamw(params, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8,
          weight_decay=0.01):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101).

    ``p ← (1 − η λ) p``, then a step of :func:`adam`.
    """
    return AdamW(params, learning_rate, beta1, beta2, epsilon, weight_decay)


def apply_momentum(updates, params=None, momentum=0.9):
    """Put momentum around any rule that moves p by d: ``v ← μ v + d; p ← p + v``.

    Parameters
    ----------
    updates : Update
    params : list of Param, optional
        Those to apply it to; default all.
    momentum : float, default 0.9
    """
    return AppliedMomentum(updates, params, momentum, nesterov=False)


def apply_nesterov_momentum(updates, params=None, momentum=0.9):
    """As :func:`apply_momentum`: ``v ← μ v + d; p ← p + μ v + d``."""
    return AppliedMomentum(updates, params, momentum, nesterov=True)
